//! bats' pretty output: a file's name, marks of its tests, what failed in them, and the counts.

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "bats",
    kind: Kind::TestRunner,
    commands: &["bats"],
    anchors: &[".bats"],
    reader: || Box::new(Bats::default()),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 200;

#[derive(Default)]
struct Bats {
    /// The file whose tests are being told.
    file: Option<String>,
}

impl Reader for Bats {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if line.ends_with(".bats") && !line.contains(' ') && lines.ahead(1).and_then(mark).is_some() {
            if self.file.replace(line.to_owned()).is_none() {
                sink.evidence(Evidence::RunStarted);
            }
            return 1;
        }
        let Some(file) = &self.file else { return 0 };
        if let Some(counts) = counts(line) {
            sink.printed(&counts);
            sink.evidence(Evidence::RunEnded);
            self.file = None;
            return 1;
        }
        let Some((status, title)) = mark(line) else { return 0 };
        let skipped = title.strip_suffix(')').and_then(|title| title.rsplit_once(" (skipped"));
        let (title, reason) = match skipped.filter(|_| status == TestStatus::Skipped) {
            Some((title, reason)) => (title, reason.strip_prefix(": ")),
            None => (title, None),
        };
        let mut test = TestCase {
            id: title.to_owned(),
            status,
            file: Some(file.clone()),
            message: reason.map(str::to_owned),
            ..TestCase::default()
        };
        let mut message = Vec::new();
        let mut read = 1;
        while read < MESSAGE_LINES_MAX
            && status == TestStatus::Failed
            && let Some(text) = lines.ahead(read).and_then(|line| line.strip_prefix("   "))
        {
            match place(text.trim()) {
                Some((file, line)) => (test.file, test.line) = (Some(file.to_owned()), Some(line)),
                None => message.push(text.trim()),
            }
            read += 1;
        }
        if !message.is_empty() {
            test.message = Some(message.join("\n"));
        }
        sink.test(test);
        read
    }

    fn is_open(&self) -> bool {
        self.file.is_some()
    }
}

/// ` ✓ title`, ` ✗ title`, ` - title (skipped)`
fn mark(line: &str) -> Option<(TestStatus, &str)> {
    let text = line.strip_prefix(' ')?;
    let marks = [("✓ ", TestStatus::Passed), ("✗ ", TestStatus::Failed), ("- ", TestStatus::Skipped)];
    marks.into_iter().find_map(|(mark, status)| Some((status, text.strip_prefix(mark)?)))
}

/// `(in test file t.bats, line 7)`, `(from function `f' in file a.bash, line 3,` … `in test file t.bats, line 9)`: the
/// test's own place. TAP has the same in its comments.
pub(super) fn place(text: &str) -> Option<(&str, u32)> {
    let rest = text.strip_prefix("(in test file ").or_else(|| text.strip_prefix("in test file "))?;
    let (file, line) = rest.strip_suffix(')')?.rsplit_once(", line ")?;
    Some((file, super::place::number(line)?))
}

/// `3 tests, 1 failure, 1 skipped`
fn counts(line: &str) -> Option<PrintedCounts> {
    let mut parts = line.split(", ");
    let count = |part: &str, words: [&str; 2]| {
        let (number, word) = part.split_once(' ')?;
        words.contains(&word).then(|| super::place::number(number).map(u64::from))?
    };
    let all = count(parts.next()?, ["test", "tests"])?;
    let failed = count(parts.next()?, ["failure", "failures"])?;
    let skipped = parts.next().and_then(|part| count(part, ["skipped", "skipped"])).unwrap_or(0);
    Some(PrintedCounts {
        passed: Some(all.saturating_sub(failed + skipped)),
        failed: Some(failed),
        skipped: Some(skipped),
        ..PrintedCounts::default()
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{ToolOutput, Verdict, parse};

    #[test]
    fn marks_places_and_counts() {
        let text = "t.bats\n ✓ a\n ✗ b\n   (in test file t.bats, line 7)\n     `false' failed\n - c (skipped: not now)\n\n3 tests, 1 failure, 1 skipped\n";
        let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
        let seen: Vec<_> = report.tests.iter().map(|test| (test.id.as_str(), test.status, test.line)).collect();
        use TestStatus::{Failed, Passed, Skipped};
        assert_eq!(seen, [("a", Passed, None), ("b", Failed, Some(7)), ("c", Skipped, None)]);
        assert_eq!((report.verdict, report.unread_lines), (Verdict::Failed, 0));
        assert_eq!(report.tests[1].message.as_deref(), Some("`false' failed"));
        let cut = parse(&ToolOutput { text: b"t.bats\n \xe2\x9c\x93 a\n", ..ToolOutput::default() });
        assert_eq!(cut.verdict, Verdict::Unknown);
    }
}
