//! Logs whose every line is a JSON record with one printed line as its text: Docker's log files and its build interface,
//! and loggers that write what they were told with a time.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::Value;

/// How a record begins, so that other JSON costs nothing.
const STARTS: &[&str] = &["log", "stream", "time", "ts", "timestamp", "@timestamp", "level", "msg", "message"];
const TIMES: &[&str] = &["time", "ts", "timestamp", "@timestamp"];
const TEXTS: &[&str] = &["log", "msg", "message", "line"];
/// A record that has one of these tells a finding or a test, not a line.
const OTHER: &[&str] = &["file", "filename", "path", "code", "rule", "column", "severity", "test", "type", "event"];

/// `piece`, which holds whole lines, with the texts in place of the records.
pub(crate) fn unwrapped(piece: &[u8]) -> Cow<'_, [u8]> {
    if memmem::find(piece, b"{\"").is_none() {
        return Cow::Borrowed(piece);
    }
    let mut out: Option<Vec<u8>> = None;
    let mut copied = 0;
    let mut start = 0;
    while start < piece.len() {
        let end = memchr::memchr(b'\n', &piece[start..]).map_or(piece.len(), |at| start + at + 1);
        if let Some(text) = text_of(&piece[start..end]) {
            let out = out.get_or_insert_default();
            out.extend_from_slice(&piece[copied..start]);
            out.extend_from_slice(text.strip_suffix('\n').unwrap_or(&text).as_bytes());
            out.push(b'\n');
            copied = end;
        }
        start = end;
    }
    match out {
        None => Cow::Borrowed(piece),
        Some(mut out) => {
            out.extend_from_slice(&piece[copied..]);
            Cow::Owned(out)
        }
    }
}

fn text_of(line: &[u8]) -> Option<String> {
    let key = line.strip_prefix(b"{\"")?;
    let starts = |name: &&str| key.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\":"));
    if !STARTS.iter().any(starts) || !line.trim_ascii_end().ends_with(b"}") {
        return None;
    }
    let Ok(Value::Object(record)) = serde_json::from_slice(line) else { return None };
    if record.values().any(|value| value.is_object() || value.is_array()) {
        return None;
    }
    let text = |name: &&str| record.get(*name).and_then(Value::as_str);
    if let (Some(text), 1) = (text(&"stream"), record.len()) {
        return Some(text.to_owned());
    }
    let has = |names: &[&str]| names.iter().any(|name| record.contains_key(*name));
    let is_line = has(TIMES) && !has(OTHER);
    TEXTS.iter().find_map(text).filter(|_| is_line).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolOutput, parse};

    #[test]
    fn records_give_their_lines() {
        for (record, line) in [
            (r#"{"log":"a.c:1:2: x\n","stream":"stderr","time":"2026-01-02T03:04:05Z"}"#, "a.c:1:2: x"),
            (r#"{"stream":"Step 1/2 : FROM \"a\"\n"}"#, "Step 1/2 : FROM \"a\""),
            (r#"{"level":"info","ts":1.5,"msg":"\u001b[1ma\u001b[0m"}"#, "\u{1b}[1ma\u{1b}[0m"),
            (r#"{"@timestamp":"2026-01-02T03:04:05Z","message":"  x"}"#, "  x"),
        ] {
            let text = format!("before\n{record}\nafter\n");
            assert_eq!(unwrapped(text.as_bytes()), format!("before\n{line}\nafter\n").as_bytes(), "{record}");
        }
    }

    #[test]
    fn what_tells_more_than_a_line_stays() {
        for line in [
            r#"{"time":"x","message":"bad","file":"a.c","line":3}"#,
            r#"{"message":"bad","location":{"path":"a.c"}}"#,
            r#"{"Time":"x","Action":"output","Output":"ok\n"}"#,
            r#"{"time":"x","msg":"cut"#,
            r#"{"level":"error","msg":"no time"}"#,
        ] {
            assert_eq!(unwrapped(line.as_bytes()), line.as_bytes());
        }
    }

    #[test]
    fn a_compiler_in_a_containers_log_file_is_read() {
        let log = concat!(
            r#"{"log":"A.java:3: error: bad\n","stream":"stderr","time":"2026-01-02T03:04:05.1Z"}"#,
            "\n",
            r#"{"log":"    int x\n","stream":"stderr","time":"2026-01-02T03:04:05.2Z"}"#,
            "\n",
            r#"{"log":"        ^\n","stream":"stderr","time":"2026-01-02T03:04:05.3Z"}"#,
            "\n"
        );
        let found = parse(&ToolOutput { text: log.as_bytes(), ..ToolOutput::default() }).diagnostics;
        assert_eq!((found[0].file.as_deref(), found[0].line, found[0].column), (Some("A.java"), Some(3), Some(9)));
    }
}
