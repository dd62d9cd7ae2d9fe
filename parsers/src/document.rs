//! Finds where a machine-readable document that starts at a line ends: JSON by its brackets, XML by its root's end tag.
//!
//! One JSON object on one line (JSON Lines) is the shortest such document.

use crate::tools::TOOLS;
use crate::window::{Lines, Window};

/// Longest document that is kept in memory to be read whole; a longer one counts as unread lines.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 24 << 20;
const JSON_DEPTH_MAX: usize = 128;

/// A whole document and how many lines it takes.
#[derive(Clone, Copy)]
pub(crate) enum Document<'a> {
    Json { text: &'a str, lines: usize },
    Xml { text: &'a str, root: &'a str, lines: usize },
}

pub(crate) enum Extent<'a> {
    Whole(Document<'a>),
    /// The window ends before the document does.
    NeedsMore,
    TooLong,
    NotADocument,
}

/// Whether a line may start a document, from its first bytes alone.
pub(crate) fn may_start(line: &[u8]) -> bool {
    let line = line.trim_ascii_start();
    match line.first() {
        Some(b'{') => matches!(next_token(line), None | Some(b'"' | b'}')),
        Some(b'[') => matches!(next_token(line), None | Some(b'{' | b'[' | b']' | b'"')),
        Some(b'<') => line.starts_with(b"<?xml") || xml_roots().any(|root| line[1..].starts_with(root.as_bytes())),
        _ => false,
    }
}

/// The roots some tool reads; looking for the end of any other would cost time for nothing.
fn xml_roots() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().flat_map(|tool| tool.xml_roots.iter().copied())
}

fn next_token(line: &[u8]) -> Option<u8> {
    line[1..].iter().copied().find(|b| !b.is_ascii_whitespace())
}

pub(crate) fn extent(window: &Window, line: usize) -> Extent<'_> {
    let text = &window.text()[window.starts()[line]..];
    let limit = text.len().min(DOCUMENT_BYTES_MAX);
    let bytes = &text.as_bytes()[..limit];
    let cut = || if text.len() >= DOCUMENT_BYTES_MAX { Extent::TooLong } else { Extent::NeedsMore };
    let indent = bytes.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let found = if bytes.get(indent) == Some(&b'<') { xml_end(text, limit) } else { json_end(bytes) };
    window.worked(match found {
        End::At { end, .. } | End::No { at: end } => end,
        End::Cut => limit,
    });
    match found {
        End::At { end, root } => {
            let rest = memchr::memchr(b'\n', &bytes[end..]).map_or(limit, |at| end + at);
            if !bytes[end..rest].trim_ascii().is_empty() {
                return Extent::NotADocument;
            }
            let lines = memchr::memchr_iter(b'\n', &bytes[..rest]).count() + 1;
            Extent::Whole(match root {
                Some(root) => Document::Xml { text: &text[..end], root, lines },
                None => Document::Json { text: &text[..end], lines },
            })
        }
        End::Cut => cut(),
        End::No { .. } => Extent::NotADocument,
    }
}

enum End<'a> {
    At {
        end: usize,
        root: Option<&'a str>,
    },
    Cut,
    /// What stands at `at` is neither.
    No {
        at: usize,
    },
}

/// Checks just enough of the syntax to give up early on what only looks like JSON.
fn json_end(bytes: &[u8]) -> End<'static> {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' if depth < JSON_DEPTH_MAX => depth += 1,
            b'}' | b']' if depth > 1 => depth -= 1,
            b'}' | b']' if depth == 1 => return End::At { end: at + 1, root: None },
            b'"' => loop {
                at += 1;
                match memchr::memchr3(b'"', b'\\', b'\n', &bytes[at.min(bytes.len())..]) {
                    Some(skip) if bytes[at + skip] == b'"' => {
                        at += skip;
                        break;
                    }
                    Some(skip) if bytes[at + skip] == b'\\' => at += skip + 1,
                    Some(skip) => return End::No { at: at + skip },
                    None => return End::Cut,
                }
            },
            b',' | b':' | b'0'..=b'9' | b'+' | b'-' | b'.' | b'E' => {}
            b if b.is_ascii_whitespace() || b.is_ascii_lowercase() => {}
            _ => return End::No { at },
        }
        at += 1;
    }
    End::Cut
}

/// The prologue, then the root's name, then the end tag of that name.
fn xml_end(text: &str, limit: usize) -> End<'_> {
    /// Comments and the document type stand before the root.
    const PROLOGUE_BYTES_MAX: usize = 64 << 10;
    let mut at = 0;
    let root = loop {
        let Some(open) = text[at..].find('<') else { return End::Cut };
        at += open;
        let rest = &text[at..];
        if at > PROLOGUE_BYTES_MAX {
            return End::No { at };
        }
        if rest.starts_with("<?") || rest.starts_with("<!") {
            let close = if rest.starts_with("<!--") { "-->" } else { ">" };
            let Some(end) = rest.find(close) else { return End::Cut };
            at += end + close.len();
        } else {
            let name = rest[1..].split(|c: char| c.is_whitespace() || c == '>' || c == '/').next().unwrap_or("");
            if !xml_roots().any(|root| root == name) {
                return End::No { at };
            }
            break name;
        }
    };
    let body = &text.as_bytes()[at..limit];
    if let Some(close) = memchr::memchr(b'>', body)
        && close > 0
        && body[close - 1] == b'/'
    {
        return End::At { end: at + close + 1, root: Some(root) };
    }
    // A root may hold elements of its own name (`testsuite`).
    let (open, shut) = (format!("<{root}"), format!("</{root}>"));
    let mut opens = memchr::memmem::find_iter(body, open.as_bytes()).skip(1).filter(|at| {
        let rest = &body[at + open.len()..];
        let named = rest.first().is_some_and(|b| b.is_ascii_whitespace() || *b == b'>');
        named && memchr::memchr(b'>', rest).is_none_or(|end| end == 0 || rest[end - 1] != b'/')
    });
    let mut next_open = opens.next();
    let mut depth = 1usize;
    for close in memchr::memmem::find_iter(body, shut.as_bytes()) {
        while next_open.is_some_and(|open| open < close) {
            depth += 1;
            next_open = opens.next();
        }
        depth -= 1;
        if depth == 0 {
            return End::At { end: at + close + shut.len(), root: Some(root) };
        }
    }
    End::Cut
}

impl<'a> Document<'a> {
    pub(crate) fn lines(&self) -> usize {
        match self {
            Document::Json { lines, .. } | Document::Xml { lines, .. } => *lines,
        }
    }

    /// The XML text, if it is XML.
    pub(crate) fn xml(&self) -> Option<&'a str> {
        match self {
            Document::Xml { text, .. } => Some(text),
            Document::Json { .. } => None,
        }
    }

    /// The JSON value, if it is one and valid.
    pub(crate) fn json<T: serde::de::Deserialize<'a>>(&self) -> Option<T> {
        match self {
            Document::Json { text, .. } => serde_json::from_str(text).ok(),
            Document::Xml { .. } => None,
        }
    }
}

const _: () = assert!(DOCUMENT_BYTES_MAX > Lines::AHEAD_MAX, "a document may be longer than a block of lines");

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Option<usize> {
        let mut window = Window::default();
        window.text_mut().push_str(text);
        window.index(|_| {});
        match extent(&window, 0) {
            Extent::Whole(document) => Some(document.lines()),
            Extent::NeedsMore | Extent::TooLong | Extent::NotADocument => None,
        }
    }

    #[test]
    fn documents_end_where_their_brackets_or_tags_do() {
        assert_eq!(lines_of("{\"a\": \"}\\\"\"}\nmore\n"), Some(1));
        assert_eq!(lines_of("[\n  {\"a\": 1}\n]\nmore\n"), Some(3));
        assert_eq!(lines_of("<?xml version=\"1.0\"?>\n<unknown>\n<b/>\n</unknown>\nmore\n"), None);
        assert_eq!(lines_of("[INFO] nothing\n"), None);
        assert_eq!(lines_of("{ return 1; }\n"), None);
        assert_eq!(lines_of("{\"a\": 1} and text\n"), None);
    }
}
