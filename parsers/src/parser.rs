//! The engine: text comes in pieces, lines worth a look are offered to the tools, what they read makes the report.
//!
//! Memory is bounded: text is forgotten once every line a tool could still ask for is past, lists have caps.

use crate::document::{self, Document, Extent};
use crate::select::Selector;
use crate::sink::{Evidence, Sink};
use crate::tools::{Reader, TOOLS, ToolSet};
use crate::window::{Lines, Window};
use crate::{Event, Exit, Report, Summary, clean, verdict};

/// Read when this much text waits: enough to make the look-ahead cheap, little enough to stay in cache, and for a short
/// log to cost no more a byte than a long one.
const BATCH_BYTES: usize = 64 << 10;
/// A reader may look ahead [`Lines::AHEAD_MAX`] lines or this far, whichever is less.
const AHEAD_BYTES: usize = 1 << 20;
/// Where somebody watches: lines further from the end than this are read at once.
const EARLY_AHEAD_LINES: usize = 100;
const ENDLESS_DOCUMENTS_MAX: u32 = 16;
/// A longer line is cut in two.
const LINE_BYTES_MAX: usize = document::DOCUMENT_BYTES_MAX;

/// Reads one command's output as it arrives.
///
/// Memory is bounded, however long the output is: about twice the longest document it may have to keep whole (24 MiB),
/// and lists with caps, whose overflow [`Report::unlisted`] counts.
///
/// ```
/// use greenroom_parsers::{Exit, Parser, Verdict};
///
/// let mut parser = Parser::new(None, Some("cargo test"), None);
/// for piece in ["running 1 test\ntest a ... o", "k\n\ntest result: ok. 1 passed; 0 failed; ", "0 ignored\n"] {
///     parser.feed(piece.as_bytes());
/// }
/// parser.set_exit(Exit::Code(0));
/// let report = parser.finish();
/// assert_eq!((report.verdict, report.summary.passed), (Verdict::Passed, 1));
/// ```
pub struct Parser {
    exit: Option<Exit>,
    sink: Sink,
    readers: Vec<Option<Box<dyn Reader>>>,
    /// Tools in the middle of something, in table order: they see every line.
    open: ToolSet,
    window: Window,
    peeler: clean::Peeler,
    /// Per line of the window: who may read it.
    marks: Vec<ToolSet>,
    /// The next line of the window to be read.
    next: usize,
    /// A document at `next` had no end yet when the window held this many bytes.
    awaited: usize,
    /// What the window still held when it was last read: that is moved to the front each time, so the next time waits for
    /// a share of it.
    left_bytes: usize,
    /// Documents that began and had no end: each costs a scan, so there is an end to trying.
    endless_documents: u32,
    /// The start of a line whose end has not arrived.
    partial: Vec<u8>,
    input_bytes: u64,
    lines_with_text: u64,
    lines_claimed: u64,
    /// The window's lines from here on belong to nobody.
    claimed_to: usize,
    /// Lines are read before all that may belong to them is there.
    is_early: bool,
}

impl Parser {
    /// What is known of the command: none of it is needed, see [`ToolOutput`](crate::ToolOutput).
    pub fn new(tool: Option<&str>, command: Option<&str>, exit: Option<Exit>) -> Self {
        Self {
            exit,
            sink: Sink::new(tool, command),
            readers: TOOLS.iter().map(|_| None).collect(),
            open: ToolSet::EMPTY,
            window: Window::default(),
            peeler: clean::Peeler::default(),
            marks: Vec::new(),
            next: 0,
            awaited: 0,
            left_bytes: 0,
            endless_documents: 0,
            partial: Vec::new(),
            input_bytes: 0,
            lines_with_text: 0,
            lines_claimed: 0,
            claimed_to: 0,
            is_early: false,
        }
    }

    /// Reads lines soon, at the price that some are read without what comes below them.
    pub(crate) fn tell_early(&mut self) {
        self.is_early = true;
        self.sink.watch();
    }

    /// What was read since the last time.
    pub(crate) fn events(&mut self) -> Vec<Event> {
        self.sink.events()
    }

    pub(crate) fn summary(&self) -> &Summary {
        self.sink.summary()
    }

    /// Reads every whole line that has come.
    pub(crate) fn read_all(&mut self) {
        clean::finish(&mut self.peeler, self.window.text_mut());
        self.index();
        self.read_soon(0);
    }

    fn read_soon(&mut self, ahead_lines: usize) {
        // A document without its end is scanned anew only when it has grown by its eighth part.
        if self.window.bytes() >= self.awaited + self.awaited / 8 {
            self.read(More::Soon { ahead_lines });
        }
    }

    /// Takes the next piece of output, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.input_bytes += bytes.len() as u64;
        match memchr::memrchr(b'\n', bytes) {
            Some(last) => {
                let (whole, rest) = bytes.split_at(last + 1);
                if self.partial.is_empty() {
                    clean::append(whole, &mut self.peeler, self.window.text_mut());
                } else {
                    self.partial.extend_from_slice(whole);
                    clean::append(&self.partial, &mut self.peeler, self.window.text_mut());
                    self.partial.clear();
                }
                self.partial.extend_from_slice(rest);
                self.index();
            }
            None => self.partial.extend_from_slice(bytes),
        }
        if self.partial.len() > LINE_BYTES_MAX {
            self.end_line();
        }
        if self.is_early {
            self.read_soon(EARLY_AHEAD_LINES);
        } else if self.window.bytes() >= self.left_bytes + BATCH_BYTES.max(self.left_bytes / 4) {
            self.read(More::MayCome);
        }
    }

    /// The exit status, where it became known only at the end.
    pub fn set_exit(&mut self, exit: Exit) {
        self.exit = Some(exit);
    }

    /// Reads what is left and says what was understood.
    pub fn finish(self) -> Report {
        self.finish_and_work().0
    }

    /// [`Parser::finish`], and how many bytes were looked at, each as often as it was: for tests that reading costs no
    /// more than so and so much for each byte of input.
    #[doc(hidden)]
    pub fn finish_and_work(mut self) -> (Report, u64) {
        let in_mid_line = !self.partial.is_empty();
        if in_mid_line {
            self.end_line();
        }
        clean::finish(&mut self.peeler, self.window.text_mut());
        self.index();
        self.read(More::No);
        if in_mid_line {
            self.judge_last_line();
        }
        for (index, reader) in self.readers.iter_mut().enumerate() {
            if let Some(reader) = reader {
                self.sink.turn_of(TOOLS[index].name, TOOLS[index].kind);
                reader.finish(&mut self.sink);
            }
        }
        let work_bytes = self.window.work_bytes();
        let (mut report, evidence, command) = self.sink.into_parts();
        report.input_bytes = self.input_bytes;
        report.unread_lines = self.lines_with_text.saturating_sub(self.lines_claimed);
        verdict::decide(&mut report, &evidence, command.as_ref(), self.exit);
        (report, work_bytes)
    }

    /// The output ends without a newline: a line that nobody read may be the start of one that somebody would have.
    fn judge_last_line(&mut self) {
        let Some(last) = self.window.len().checked_sub(1).filter(|last| self.claimed_to <= *last) else { return };
        let text = self.window.line(last).unwrap_or("").trim_start();
        if !text.is_empty() && self.sink.may_begin(text) {
            self.sink.evidence(Evidence::BreaksOff);
        }
    }

    fn end_line(&mut self) {
        self.partial.push(b'\n');
        clean::append(&self.partial, &mut self.peeler, self.window.text_mut());
        self.partial.clear();
        self.index();
    }

    fn index(&mut self) {
        let marks = &mut self.marks;
        let lines_with_text = &mut self.lines_with_text;
        let first = self.window.index(|line| {
            let mut mark = ToolSet::EMPTY;
            if !is_blank(line) {
                *lines_with_text += 1;
                if document::may_start(line) {
                    mark.insert(ToolSet::DOCUMENT_BIT);
                }
            }
            marks.push(mark);
        });
        Selector::get().mark(&self.window, first, &mut self.marks);
    }

    /// Reads lines while every line a tool may look ahead to is there.
    fn read(&mut self, more: More) {
        let until = match more {
            More::No => self.window.len(),
            More::Soon { ahead_lines } => self.window.len().saturating_sub(ahead_lines),
            More::MayCome => {
                let by_bytes = self.window.bytes().saturating_sub(AHEAD_BYTES);
                let by_bytes = self.window.starts().partition_point(|&start| start < by_bytes);
                by_bytes.max(self.window.len().saturating_sub(Lines::AHEAD_MAX + 1))
            }
        };
        self.awaited = 0;
        while self.next < until {
            let mark = self.marks[self.next];
            if mark == ToolSet::EMPTY && self.open == ToolSet::EMPTY {
                self.next += 1;
                continue;
            }
            if mark.contains(ToolSet::DOCUMENT_BIT) {
                match self.read_document(more) {
                    DocumentRead::Claimed(lines) => {
                        self.claim(lines);
                        continue;
                    }
                    DocumentRead::Waits => break,
                    DocumentRead::NotOne => {}
                }
            }
            let lines = self.offer(mark);
            self.claim(lines);
        }
        let forget = self.next.saturating_sub(Lines::BACK_MAX);
        self.window.forget(forget);
        self.marks.drain(..forget);
        self.next -= forget;
        self.claimed_to = self.claimed_to.saturating_sub(forget);
        self.left_bytes = self.window.bytes();
        if self.awaited > 0 {
            self.awaited = self.left_bytes;
        }
    }

    /// Moves on by `lines` claimed lines, or by one that nobody wanted.
    fn claim(&mut self, lines: usize) {
        let end = (self.next + lines).min(self.window.len());
        if lines > 0 {
            self.claimed_to = end;
        }
        let with_text = (self.next..end).filter(|&n| self.window.line(n).is_some_and(|l| !is_blank(l.as_bytes())));
        self.lines_claimed += with_text.count() as u64;
        self.next = end.max(self.next + 1);
    }

    /// Offers the line to tools in the middle of something, then to those one of whose anchors is in it.
    fn offer(&mut self, mark: ToolSet) -> usize {
        let lines = Lines::new(&self.window, self.next);
        for turn in [self.open, mark.without(self.open)] {
            for index in turn.iter() {
                let tool = &TOOLS[index];
                let reader = self.readers[index].get_or_insert_with(tool.reader);
                self.sink.turn_of(tool.name, tool.kind);
                let claimed = reader.read(lines, &mut self.sink);
                self.open.set(index, reader.is_open());
                if claimed > 0 {
                    self.sink.claimed();
                    return claimed;
                }
            }
        }
        0
    }

    fn read_document(&mut self, more: More) -> DocumentRead {
        if self.endless_documents > ENDLESS_DOCUMENTS_MAX {
            return DocumentRead::NotOne;
        }
        let document = match document::extent(&self.window, self.next) {
            Extent::Whole(document) => document,
            Extent::NeedsMore => {
                return match more {
                    More::MayCome | More::Soon { .. } => {
                        self.awaited = self.window.bytes();
                        DocumentRead::Waits
                    }
                    More::No => {
                        self.endless_documents += 1;
                        if self.window.line(self.next).is_some_and(|line| line.trim_start().starts_with('<')) {
                            self.sink.evidence(Evidence::BreaksOff);
                        }
                        DocumentRead::NotOne
                    }
                };
            }
            Extent::TooLong => {
                self.endless_documents += 1;
                return DocumentRead::NotOne;
            }
            Extent::NotADocument => return DocumentRead::NotOne,
        };
        for (index, tool) in TOOLS.iter().enumerate() {
            let wanted = match document {
                Document::Json { text, .. } => tool.json.iter().any(|key| text.contains(key)),
                Document::Xml { root, .. } => tool.xml_roots.contains(&root),
            };
            if !wanted {
                continue;
            }
            let reader = self.readers[index].get_or_insert_with(tool.reader);
            self.sink.turn_of(tool.name, tool.kind);
            if reader.read_document(&document, &mut self.sink) {
                self.sink.claimed();
                return DocumentRead::Claimed(document.lines());
            }
        }
        DocumentRead::NotOne
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum More {
    MayCome,
    /// It may, and lines are read all the same, but for the last ones.
    Soon {
        ahead_lines: usize,
    },
    No,
}

enum DocumentRead {
    Claimed(usize),
    Waits,
    NotOne,
}

fn is_blank(line: &[u8]) -> bool {
    match line.first() {
        None => true,
        Some(b' ' | b'\t' | b'\r' | 0x0b | 0x0c) => line.trim_ascii().is_empty(),
        Some(_) => false,
    }
}
