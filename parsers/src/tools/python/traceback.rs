//! `Traceback (most recent call last):` and what follows it, behind any prefix that all its lines share.

use super::{Code, Exception, Raised, SyntaxError};
use crate::{Diagnostic, Frame, Trace};

pub(super) const HEADER: &str = "Traceback (most recent call last):";
const FRAMES_MAX: usize = 400;
const CODE_LINES_MAX: usize = 40;
const MESSAGE_LINES_MAX: usize = 100;
const LOCALS_MAX: usize = 50;
const VALUE_CHARS_MAX: usize = 120;
/// Causes nest, and so does what reads them.
const CHAIN_MAX: usize = 32;
const GROUP_MAX: usize = 64;

type LineAt<'f, 'a> = &'f dyn Fn(usize) -> Option<&'a str>;

pub(crate) struct Traceback {
    /// The last exception of the chain; the ones before it are its causes.
    pub(crate) main: Raised,
    /// What an exception group holds, flat.
    pub(crate) group: Vec<Raised>,
    /// Of causes: those that say how to mend them.
    pub(crate) findings: Vec<Diagnostic>,
    pub(crate) lines: usize,
}

/// What may come behind the message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Nothing: the lines are the report of one failure.
    Nothing,
    /// Whatever the program and those that ran it print next.
    Anything,
}

impl Traceback {
    /// Reads the traceback whose header is line 0; the last line is the last of what belongs to it.
    pub(crate) fn read(line_at: LineAt<'_, '_>) -> Option<Self> {
        Self::read_before(Behind::Nothing, line_at)
    }

    /// Reads the traceback whose header is line 0, among other output.
    pub(crate) fn read_in_log(line_at: LineAt<'_, '_>) -> Option<Self> {
        Self::read_before(Behind::Anything, line_at)
    }

    fn read_before(behind: Behind, line_at: LineAt<'_, '_>) -> Option<Self> {
        let prefix = Prefix::of_header(line_at(0)?, line_at(1))?;
        let mut at = 0;
        let mut main: Option<Raised> = None;
        let mut group = Vec::new();
        let mut findings = Vec::new();
        for _ in 0..CHAIN_MAX {
            let mut block = Block::read(line_at, at + 1, &prefix, behind);
            at = block.end;
            if let Some(cause) = main.take() {
                findings.extend(Some(cause.finding()).filter(|finding| !finding.suggestions.is_empty()));
                block.raised.trace.cause = Some(Box::new(cause.trace));
            }
            main = Some(block.raised);
            if prefix.is_group {
                at = read_group(line_at, at, &mut group, behind);
            }
            match next_of_chain(line_at, at, &prefix) {
                Some(header) => at = header,
                None => break,
            }
        }
        Some(Self { main: main?, group, findings, lines: at })
    }
}

/// What stands before every line of a traceback.
struct Prefix {
    text: String,
    is_group: bool,
}

impl Prefix {
    fn of_header(header: &str, next: Option<&str>) -> Option<Self> {
        let (before, _) = header.split_once(HEADER)?;
        let (text, is_group) = match before.strip_suffix("+ Exception Group ") {
            Some(indent) => (format!("{indent}| "), true),
            None => (before.to_owned(), before.ends_with("Exception Group ")),
        };
        let own = Self { text, is_group };
        let continues = |prefix: &Self| next.and_then(|line| prefix.strip(line)).is_some_and(|l| l.starts_with("  "));
        if next.is_none() || continues(&own) {
            return Some(own);
        }
        // `2026-01-01 ERROR app: Traceback …`: only the first line has what the logger put before it.
        let blank: String = before.chars().take_while(|c| *c == ' ').collect();
        Some(Self { text: blank, is_group })
    }

    /// The line without the prefix, if it has it. Digits may differ: they are clocks and counters.
    fn strip<'a>(&self, line: &'a str) -> Option<&'a str> {
        if self.text.is_empty() {
            return Some(line);
        }
        let Some((head, rest)) = line.split_at_checked(self.text.len()) else {
            return (line.trim_end() == self.text.trim_end()).then_some("");
        };
        let same =
            head.bytes().zip(self.text.bytes()).all(|(a, b)| a == b || (a.is_ascii_digit() && b.is_ascii_digit()));
        same.then_some(rest)
    }
}

/// Frames and exception, from the line after the header on.
struct Block {
    raised: Raised,
    end: usize,
}

impl Block {
    fn read(line_at: LineAt<'_, '_>, start: usize, prefix: &Prefix, behind: Behind) -> Self {
        let mut at = start;
        let mut frames: Vec<Frame> = Vec::new();
        let mut code: Vec<Code> = Vec::new();
        let mut syntax = None;
        while let Some(line) = line_at(at).and_then(|line| prefix.strip(line)) {
            let stripped = |n: usize| line_at(at + n).and_then(|line| prefix.strip(line));
            if let Some((file, row, function)) = file_line(line.trim_start())
                && line.starts_with("  ")
            {
                match function {
                    None => {
                        if let Some((error, read)) = SyntaxError::read(&stripped) {
                            at += read;
                            syntax = Some(error);
                            break;
                        }
                    }
                    Some(function) => {
                        frames.push(Frame {
                            function: Some(function.to_owned()),
                            file: Some(file.to_owned()),
                            line: Some(row),
                            ..Frame::default()
                        });
                        code.push(Code::new());
                    }
                }
            } else if let Some(count) = repeated(line) {
                repeat_last(&mut frames, &mut code, count);
            } else if let (Some(text), Some(frame)) = (line.strip_prefix("    "), frames.last_mut()) {
                add_detail(text, frame, code.last_mut());
            } else if !line.trim().is_empty() || !stripped(1).is_some_and(|next| next.starts_with("    ")) {
                break;
            }
            at += 1;
            if frames.len() > 2 * FRAMES_MAX {
                // The innermost frames say most; the outermost say where it began.
                frames.drain(FRAMES_MAX / 2..FRAMES_MAX);
                code.drain(FRAMES_MAX / 2..FRAMES_MAX);
            }
        }
        let mut trace = Trace { language: "python".into(), ..Trace::default() };
        if let Some(error) = &syntax {
            trace.exception = Some(error.exception.clone());
            trace.message = Some(error.described());
        } else if let Some(line) = line_at(at).and_then(|line| prefix.strip(line))
            && let Some(exception) = Exception::parse(line)
        {
            trace.exception = Some(exception.name.to_owned());
            let more = message_lines(line_at, at + 1, prefix);
            let certain = behind == Behind::Nothing
                || goes_on(&exception, line_at, at + 1, prefix)
                || next_of_chain(line_at, at + 1 + more, prefix).is_some();
            let more = if certain { more } else { 0 };
            trace.message = exception.message.map(str::to_owned);
            if more > 0 {
                let message = trace.message.get_or_insert_default();
                for line in (at + 1..=at + more).filter_map(line_at) {
                    message.push('\n');
                    message.push_str(prefix.strip(line).unwrap_or(line).trim_end());
                }
            }
            at += 1 + more;
        }
        frames.reverse();
        code.reverse();
        trace.frames = frames;
        Self { raised: Raised { trace, code, syntax }, end: at }
    }
}

/// `File "app.py", line 3, in main`; without a function it is where a syntax error is.
pub(crate) fn file_line(text: &str) -> Option<(&str, u32, Option<&str>)> {
    let rest = text.strip_prefix("File \"")?;
    let (file, rest) = rest.rsplit_once("\", line ")?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let row = rest[..digits].parse().ok()?;
    let rest = rest[digits..].trim_end();
    match rest.strip_prefix(", in ").or_else(|| rest.strip_prefix(" in ")) {
        Some(function) => Some((file, row, Some(function))),
        None => rest.is_empty().then_some((file, row, None)),
    }
}

fn repeated(line: &str) -> Option<usize> {
    let rest = line.trim_start().strip_prefix("[Previous line repeated ")?;
    rest.split(' ').next()?.parse().ok()
}

/// The frames were there, only not printed.
fn repeat_last(frames: &mut Vec<Frame>, code: &mut Vec<Code>, count: usize) {
    if let (Some(frame), Some(lines)) = (frames.last().cloned(), code.last().cloned()) {
        let count = count.min(FRAMES_MAX);
        frames.extend(std::iter::repeat_n(frame, count));
        code.extend(std::iter::repeat_n(lines, count));
    }
}

/// A line under a frame: its code, carets, or (with `capture_locals`) a local variable.
fn add_detail(text: &str, frame: &mut Frame, code: Option<&mut Code>) {
    let text = text.trim_end();
    let is_carets = text.bytes().all(|b| matches!(b, b' ' | b'~' | b'^'));
    if is_carets {
        return;
    }
    if frame.code.is_none() {
        frame.code = Some(text.to_owned());
    } else if let Some((name, value)) = local(text) {
        add_local(frame, name, value);
        return;
    }
    if let Some(code) = code.filter(|code| code.len() < CODE_LINES_MAX) {
        code.push(text.to_owned());
    }
}

/// `name = value`, not indented.
pub(crate) fn local(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let name = name.strip_suffix(' ').or((text.len() > name.len() + 1).then_some(name))?.trim_end();
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '@');
    is_name.then_some((name, value.strip_prefix(' ')?))
}

pub(crate) fn add_local(frame: &mut Frame, name: &str, value: &str) {
    if frame.locals.len() < LOCALS_MAX && !frame.locals.iter().any(|(known, _)| known == name) {
        frame.locals.push((name.to_owned(), value.chars().take(VALUE_CHARS_MAX).collect()));
    }
}

/// Whether the message is more than one line, where anything may follow it: it breaks off, or what follows is not the
/// start of a line of its own.
fn goes_on(exception: &Exception<'_>, line_at: LineAt<'_, '_>, next: usize, prefix: &Prefix) -> bool {
    let is_bare = prefix.text.trim().is_empty() && !prefix.is_group;
    let text = |n: usize| line_at(n).and_then(|line| prefix.strip(line)).unwrap_or("");
    let first = exception.message.unwrap_or("").trim_end();
    let opens = first.is_empty() && text(next - 1).trim_end().ends_with(':');
    let breaks_off = first.ends_with([':', ',', '(', '[', '{', '=', '\\']);
    let hangs =
        |line: &str| line.starts_with([' ', '\t', '-', '|', '^', '~', '?', ')', ']', '}']) || line.starts_with("* ");
    let diff = text(next).starts_with("+ ") && text(next + 1).starts_with(['-', '?', '+', ' ']);
    // `1 validation error for User`, then a field's name, then what is wrong with it.
    let listed = text(next + 1).starts_with("  ") && !text(next).trim().is_empty();
    !is_bare || opens || breaks_off || hangs(text(next)) || diff || listed || text(next).trim().is_empty()
}

/// How many lines go on with the message. Nothing marks its end, so it ends where something else clearly begins.
fn message_lines(line_at: LineAt<'_, '_>, start: usize, prefix: &Prefix) -> usize {
    let mut count = 0;
    while count < MESSAGE_LINES_MAX {
        let Some(line) = line_at(start + count).and_then(|line| prefix.strip(line)) else { break };
        if line.trim().is_empty() {
            let next = line_at(start + count + 1).and_then(|line| prefix.strip(line)).unwrap_or("");
            // The differences that `unittest` prints are in paragraphs.
            let goes_on = ["First differing element", "First list contains", "Second list contains", "- ", "+ ", "  "];
            if !goes_on.iter().any(|start| next.starts_with(start)) || super::file_line(next.trim_start()).is_some() {
                break;
            }
        } else if ends_message(line) {
            break;
        }
        count += 1;
    }
    count
}

fn ends_message(line: &str) -> bool {
    const STARTS: &[&str] = &[
        "=====",
        "-----",
        "_____",
        "  +-",
        "    +-",
        "make: ***",
        "make[",
        "npm ",
        "Exception ignored",
        "Ran ",
        "FAILED",
        "Error: Process completed",
        "##[",
        "INFO ",
        "DEBUG ",
        "WARN ",
        "WARNING ",
        "[INFO]",
    ];
    // What Compose and others say when a service is over.
    line.contains(HEADER)
        || line.contains(" exited with code ")
        || STARTS.iter().any(|start| line.starts_with(start))
        || line.trim_start().starts_with("+---")
        || is_progress(line)
}

/// ninja's `[7/20] ` and what downloads say.
fn is_progress(line: &str) -> bool {
    let counted =
        line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).and_then(|(count, _)| count.split_once('/'));
    let digits = |text: &str| !text.trim().is_empty() && text.trim().bytes().all(|b| b.is_ascii_digit());
    counted.is_some_and(|(done, all)| digits(done) && digits(all)) || line.starts_with("Downloading")
}

/// Where the header of the next traceback of a chain is: `During handling of …` stands between blank lines.
fn next_of_chain(line_at: LineAt<'_, '_>, mut at: usize, prefix: &Prefix) -> Option<usize> {
    let text = |n: usize| line_at(n).and_then(|line| prefix.strip(line)).map(str::trim);
    if text(at)?.is_empty() {
        at += 1;
    }
    let says = text(at)?;
    let chained = says.starts_with("During handling of the above exception, another exception")
        || says.starts_with("The above exception was the direct cause");
    if !chained {
        return None;
    }
    at += 1;
    if text(at)?.is_empty() {
        at += 1;
    }
    line_at(at)?.contains(HEADER).then_some(at)
}

/// `+-+------ 1 ------` and the exceptions between such lines.
fn read_group(line_at: LineAt<'_, '_>, mut at: usize, group: &mut Vec<Raised>, behind: Behind) -> usize {
    while let Some(line) = line_at(at) {
        let rule = line.trim_start_matches([' ', '|']);
        if !rule.starts_with("+-") || !rule.contains("----") {
            break;
        }
        at += 1;
        let Some(next) = line_at(at) else { break };
        let bar = next.len() - next.trim_start_matches([' ', '|', '+']).len();
        let Some((text, _)) = next.split_at_checked(bar) else { break };
        if !text.contains(['|', '+']) {
            continue;
        }
        let prefix = Prefix { text: text.replace('+', "|"), is_group: next.contains("Exception Group ") };
        let mut block = if next.contains(HEADER) {
            Block::read(line_at, at + 1, &prefix, behind)
        } else if next.trim_start_matches([' ', '|']).starts_with("+-") {
            continue;
        } else {
            Block::read(line_at, at, &prefix, behind)
        };
        // A line that is nobody's must not stop the walk where it stands.
        at = block.end.max(at + 1);
        for _ in 0..CHAIN_MAX {
            let Some(header) = next_of_chain(line_at, at, &prefix) else { break };
            let cause = std::mem::replace(&mut block, Block::read(line_at, header + 1, &prefix, behind));
            block.raised.trace.cause = Some(Box::new(cause.raised.trace));
            at = block.end;
        }
        if group.len() < GROUP_MAX && block.raised.trace.exception.is_some() {
            group.push(block.raised);
        }
    }
    at
}

/// `Fatal Python error: …` with stacks that name the innermost frame first.
pub(super) fn fatal_error(line_at: LineAt<'_, '_>) -> Option<(Trace, usize)> {
    let (_, message) = line_at(0)?.split_once("Fatal Python error: ")?;
    let mut frames = Vec::new();
    let mut at = 1;
    let mut in_stack = false;
    while let Some(line) = line_at(at) {
        if let Some((file, row, Some(function))) = file_line(line.trim_start()) {
            if in_stack && frames.len() < FRAMES_MAX {
                frames.push(Frame {
                    function: Some(function.to_owned()),
                    file: Some(file.to_owned()),
                    line: Some(row),
                    ..Frame::default()
                });
            }
        } else if line.ends_with("(most recent call first):") {
            // The thread that died, or the first one printed.
            in_stack = line.starts_with("Current thread") || frames.is_empty();
        } else if !line.trim().is_empty()
            && !line.starts_with("Python runtime state")
            && line.trim() != "<no Python frame>"
        {
            break;
        }
        at += 1;
    }
    let trace = Trace {
        language: "python".into(),
        exception: Some("Fatal Python error".into()),
        message: Some(message.to_owned()),
        frames,
        cause: None,
    };
    Some((trace, at))
}
