//! Single lines of pytest's terminal report.

use crate::{PrintedCounts, TestStatus};

const WORDS: &[(&str, TestStatus)] = &[
    ("PASSED", TestStatus::Passed),
    ("FAILED", TestStatus::Failed),
    ("ERROR", TestStatus::Error),
    ("SKIPPED", TestStatus::Skipped),
    ("XFAIL", TestStatus::Xfailed),
    ("XPASS", TestStatus::Xpassed),
];

/// A quick look at a line while tests run: most of what a program prints is none of pytest's.
pub(super) fn may_matter(line: &str) -> bool {
    let line = line.trim_end().as_bytes();
    let (Some(first), Some(last)) = (line.first(), line.last()) else { return false };
    matches!(first, b'=' | b'!' | b'[')
        // A percentage, the end of totals, of a quiet line's letters, of a result's word.
        || matches!(last, b']' | b'.' | b',' | b'-' | b'=' | b'A'..=b'Z' | b'x' | b'u' | b'p')
        || ((first.is_ascii_digit() || *first == b'n') && matches!(last, b's' | b')'))
        || memchr::memmem::find(line, b"::").is_some()
        || (first.is_ascii_lowercase() && is_preamble(std::str::from_utf8(line).unwrap_or("")))
        || memchr::memmem::find(line, b"SKIPPED (").is_some()
        || memchr::memmem::find(line, b"XFAIL (").is_some()
}

/// The totals of a session: `== 2 failed, 3 passed in 0.12s ==`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Totals {
    pub(super) counts: PrintedCounts,
    pub(super) is_empty: bool,
}

impl Totals {
    /// Of a line or of a rule's text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches(['=', ' ']);
        let (what, time) = text.rsplit_once(" in ")?;
        let seconds = time.split(' ').next()?.strip_suffix('s')?;
        if seconds.parse::<f64>().is_err() || !seconds.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let mut totals = Self::default();
        if what == "no tests ran" {
            totals.is_empty = true;
            return Some(totals);
        }
        for part in what.split(", ") {
            let (count, noun) = part.split_once(' ')?;
            let Ok(count) = count.parse::<u64>() else {
                // `no tests collected (3 deselected)`
                totals.is_empty |= what.starts_with("no tests collected");
                return totals.is_empty.then_some(totals);
            };
            let counts = &mut totals.counts;
            match noun {
                "passed" => counts.passed = Some(count),
                "failed" => counts.failed = Some(count),
                "error" | "errors" => counts.errors = Some(count),
                "skipped" => counts.skipped = Some(count),
                "xfailed" => counts.xfailed = Some(count),
                "xpassed" => counts.xpassed = Some(count),
                "warning" | "warnings" | "deselected" | "rerun" | "subtests passed" | "subtests failed" => {}
                // Plugins count too, but in one word.
                _ if noun.bytes().all(|b| b.is_ascii_lowercase()) => {}
                _ => return None,
            }
        }
        let c = &totals.counts;
        totals.is_empty = [c.passed, c.failed, c.errors, c.skipped, c.xfailed, c.xpassed].iter().all(Option::is_none);
        Some(totals)
    }
}

/// The text of a `=== rule ===` that is as wide as the terminal.
pub(super) fn section(line: &str, width: Option<usize>) -> Option<&str> {
    rule_text(line, b'=', width).filter(|text| !text.is_empty())
}

/// The text of a `___ title ___`.
pub(super) fn block_title(line: &str, width: Option<usize>) -> Option<&str> {
    rule_text(line, b'_', width).filter(|text| text.bytes().any(|b| b != b'_' && b != b' '))
}

/// `--- Captured stdout call ---`, `--- generated xml file: … ---`
pub(super) fn is_dashed_rule(line: &str, width: Option<usize>) -> bool {
    rule_text(line, b'-', width).is_some_and(|text| !text.is_empty())
}

fn rule_text(line: &str, fill: u8, width: Option<usize>) -> Option<&str> {
    let line = line.trim_end();
    let bytes = line.as_bytes();
    if bytes.first() != Some(&fill) || bytes.last() != Some(&fill) {
        return None;
    }
    let left = bytes.iter().take_while(|b| **b == fill).count();
    let right = bytes.iter().rev().take_while(|b| **b == fill).count();
    let text = line.get(left..bytes.len().checked_sub(right)?)?;
    let text = text.strip_prefix(' ')?.strip_suffix(' ')?;
    let fits = match width {
        // A title longer than the terminal has one character on each side.
        Some(width) => {
            let long = line.chars().count();
            long == width || long + 1 == width || (left == 1 && right == 1 && long >= width)
        }
        None => left >= 3 || (left == 1 && right == 1 && bytes.len() >= 80),
    };
    fits.then_some(text)
}

/// A quiet run's totals after the last block.
pub(super) fn quiet_end(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_digit()) && Totals::parse(line).is_some()
}

/// `tests/test_a.py::test_x[1] PASSED   [ 50%]` or, of several workers, `[gw0] [ 50%] PASSED tests/…`.
pub(super) fn result(line: &str) -> Option<(&str, TestStatus)> {
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix("[gw") {
        let (_, rest) = rest.split_once("] ")?;
        let rest = rest.strip_prefix('[').and_then(|rest| rest.split_once("%] ")).map_or(rest, |(_, rest)| rest);
        let (word, id) = rest.split_once(' ')?;
        let status = status(word)?;
        let id = match status {
            TestStatus::Skipped | TestStatus::Xfailed | TestStatus::Xpassed => cut_reason(id),
            _ => id,
        };
        return is_id(id).then_some((id.trim_end(), status));
    }
    if line.starts_with("        ") {
        return shown_with_setup(line);
    }
    let bare = without_progress(line);
    let may_be_word = |at: usize| bare.as_bytes().get(at + 1).is_some_and(|b| b"PFESX".contains(b));
    if !memchr::memchr_iter(b' ', bare.as_bytes()).any(may_be_word) {
        return None;
    }
    for (word, status) in WORDS {
        let Some(at) = bare.rfind(word).filter(|at| bare[..*at].ends_with(' ')) else { continue };
        let (id, after) = (&bare[..at - 1], &bare[at + word.len()..]);
        let reason = after.is_empty() || (after.starts_with(" (") && after.ends_with([')', '.']));
        // What a reason says may be any word too; the first one that follows a test's name is the result.
        // Only parameters hold blanks: otherwise it is the test's own output.
        let whole = !id.contains(' ') || id.find('[').is_some_and(|bracket| !id[..bracket].contains(' '));
        if reason && whole && is_id(id) && !WORDS.iter().any(|(word, _)| id.contains(&format!(" {word} ("))) {
            return Some((id.trim_end(), *status));
        }
    }
    None
}

/// `path::test ` alone: its result comes later.
pub(super) fn started(line: &str) -> Option<&str> {
    let id = line.split(' ').next()?;
    (id.contains("::") && is_id(id) && line.len() > id.len()).then_some(id)
}

/// `PASSED   [ 50%]`, maybe behind the test's own last words.
pub(super) fn late_result(line: &str) -> Option<TestStatus> {
    let bare = without_progress(line.trim_end());
    let word = bare.split(" (").next().unwrap_or(bare);
    WORDS
        .iter()
        .find(|(name, _)| word == *name || (bare.len() < line.trim_end().len() && word.ends_with(name)))
        .map(|(_, s)| *s)
}

/// Without `[ 50%]`, `[ 3/49]` or `454.5us`, whichever `console_output_style` asks for.
fn without_progress(line: &str) -> &str {
    let is_count = |c: char| c.is_ascii_digit() || matches!(c, '/' | '%' | ' ');
    match line.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
        Some((before, done)) if !done.is_empty() && done.ends_with(|c: char| c == '%' || c.is_ascii_digit()) => {
            let whole = done.contains(['%', '/']) && done.chars().all(is_count);
            if whole { before.trim_end() } else { line }
        }
        _ => without_time(line).unwrap_or(line),
    }
}

fn without_time(line: &str) -> Option<&str> {
    let (before, time) = line.strip_suffix('s')?.rsplit_once(' ')?;
    let digits = time.strip_suffix(['u', 'm', 'n']).unwrap_or(time);
    let is_time = digits.starts_with(|c: char| c.is_ascii_digit()) && digits.parse::<f64>().is_ok();
    is_time.then_some(before.trim_end())
}

/// Whether a line of letters is the last one.
pub(super) fn is_last(line: &str) -> bool {
    let done = line.trim_end().strip_suffix(']').and_then(|line| line.rsplit_once('[')).map_or("", |(_, done)| done);
    done == "100%" || done.split_once('/').is_some_and(|(done, all)| done.trim() == all)
}

/// `--setup-show`: `        path::test (fixtures used: a, b) .`
fn shown_with_setup(line: &str) -> Option<(&str, TestStatus)> {
    let (head, mark) = line.strip_prefix("        ")?.trim_end().rsplit_once(' ')?;
    let status = match mark {
        "." => TestStatus::Passed,
        "F" => TestStatus::Failed,
        "s" => TestStatus::Skipped,
        "x" => TestStatus::Xfailed,
        "X" => TestStatus::Xpassed,
        word => status(word)?,
    };
    let id = head.split_once(" (fixtures used: ").filter(|_| head.ends_with(')')).map_or(head, |(id, _)| id);
    let name = id.split('[').next().unwrap_or(id);
    (name.contains("::") && !name.contains(' ') && is_id(id)).then_some((id, status))
}

fn cut_reason(id: &str) -> &str {
    id.split(" (").next().unwrap_or(id)
}

fn status(word: &str) -> Option<TestStatus> {
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, status)| *status)
}

/// A path, and mostly a name in it.
fn is_id(id: &str) -> bool {
    let path = id.split("::").next().unwrap_or(id);
    let named = id.len() > path.len() + 2 || path.contains(['/', '\\', '.']);
    named && !path.is_empty() && !path.contains(' ') && !path.starts_with(['[', '<', '=', '-'])
}

/// The letters of `tests/test_a.py ..F.   [ 50%]` or `..F.   [ 50%]`.
pub(super) fn progress(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let bare = without_progress(line);
    let (path, letters) = bare.rsplit_once(' ').unwrap_or(("", bare));
    let is_letters = !letters.is_empty() && letters.bytes().all(|b| b".FEsxXRpuU,-".contains(&b));
    let is_path = path.trim_end().contains(['.', '/']) && !path.trim_end().contains(' ');
    (is_letters && (is_path || (path.is_empty() && bare.len() < line.len()))).then_some(letters)
}

/// Adds the tests that these letters stand for.
pub(super) fn count(letters: &str, counts: &mut PrintedCounts) {
    for letter in letters.bytes() {
        let count = match letter {
            b'.' => &mut counts.passed,
            b'F' => &mut counts.failed,
            b'E' => &mut counts.errors,
            b's' => &mut counts.skipped,
            b'x' => &mut counts.xfailed,
            b'X' => &mut counts.xpassed,
            _ => continue,
        };
        *count = Some(count.unwrap_or(0) + 1);
    }
}

/// What pytest says before the first test, and workers while they run.
pub(super) fn is_preamble(line: &str) -> bool {
    const STARTS: &[&str] = &[
        "platform ",
        "cachedir: ",
        "rootdir: ",
        "configfile: ",
        "plugins: ",
        "testpaths: ",
        "metadata: ",
        "collected ",
        "collecting ",
        "asyncio: ",
        "hypothesis profile ",
        "created: ",
        "bringing up nodes",
        "scheduling tests via ",
        "Using --randomly-seed",
        "benchmark: ",
        "django: ",
        "timeout: ",
        "run-last-failure: ",
    ];
    STARTS.iter().any(|start| line.starts_with(start)) || line.starts_with("[gw") || line.contains(" workers [")
}

/// `ERROR    app:app.py:12 no such user`, under a rule that says `live log`: what a program logs while its tests run.
pub(super) fn is_live_log(line: &str) -> bool {
    const LEVELS: &[&str] = &["DEBUG ", "INFO ", "WARNING ", "ERROR ", "CRITICAL "];
    let Some(rest) = LEVELS.iter().find_map(|level| line.strip_prefix(level)) else { return false };
    let Some(place) = rest.trim_start().split(' ').next() else { return false };
    let mut parts = place.rsplitn(3, ':');
    let row = parts.next().is_some_and(|row| !row.is_empty() && row.bytes().all(|b| b.is_ascii_digit()));
    row && parts.next().is_some_and(|file| file.contains('.')) && parts.next().is_some()
}

/// `FAILED path::test - message` in the short summary.
pub(super) fn summary(line: &str) -> Option<(&str, TestStatus, Option<&str>)> {
    let (word, rest) = line.trim_end().split_once(' ')?;
    let (status, rest) = match status(word) {
        Some(status) => (status, rest),
        // `SUBFAILED(n=1) path::test - message`, `SUBFAILED[what it was] (n=1) path::test`
        None => {
            let rest = line.strip_prefix("SUBFAIL").or_else(|| line.strip_prefix("SUBFAILED"))?;
            let path = rest.find("::").map(|at| rest[..at].rfind(' ').map_or(0, |space| space + 1))?;
            (TestStatus::Failed, rest[path..].trim_end())
        }
    };
    if status == TestStatus::Skipped {
        return None;
    }
    let (id, message) = split_message(rest);
    is_id(id).then_some((id, status, message))
}

/// An id's parameters may hold ` - ` too.
fn split_message(text: &str) -> (&str, Option<&str>) {
    let dash = text.find(" - ");
    if let (Some(bracket), dash) = (text.find('['), dash)
        && dash.is_none_or(|dash| bracket < dash)
    {
        if let Some(end) = text.find("] - ") {
            return (&text[..=end], Some(&text[end + 4..]));
        }
        if text.ends_with(']') {
            return (text, None);
        }
    }
    match dash {
        Some(dash) => (&text[..dash], Some(&text[dash + 3..])),
        None => (text, None),
    }
}

/// `0.01s call     path::test`; only the call is the test's own time.
pub(super) fn duration(line: &str) -> Option<(&str, f64)> {
    let (time, rest) = line.split_once("s ")?;
    let id = rest.trim_start().strip_prefix("call ")?.trim();
    Some((id, time.trim().parse::<f64>().ok()? * 1_000.0))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_keep_their_odd_characters() {
        let odd = "t.py::T::test[a b-x - y]";
        assert_eq!(result("t.py::T::test[a b-x - y] PASSED     [ 56%]"), Some((odd, TestStatus::Passed)));
        assert_eq!(result("[gw1] [  6%] FAILED t.py::T::test[a b-x - y] "), Some((odd, TestStatus::Failed)));
        assert_eq!(summary("FAILED t.py::T::test[a b-x - y] - E: m").unwrap(), (odd, TestStatus::Failed, Some("E: m")));
        assert_eq!(result("t.py::x SKIPPED (was PASSED before)   [  1%]"), Some(("t.py::x", TestStatus::Skipped)));
    }

    #[test]
    fn progress_is_told_in_many_ways() {
        for line in [
            "t.py::x[a b] PASSED  [ 3/49]",
            "t.py::x[a b] PASSED     454.5us",
            "        t.py::x[a b] (fixtures used: a, b) .",
        ] {
            assert_eq!(result(line), Some(("t.py::x[a b]", TestStatus::Passed)), "{line}");
        }
        assert_eq!(progress("t.py ..F   [49/49]"), Some("..F"));
        assert!(is_last("..F [100%]") && is_last("..F   [49/49]") && !is_last(".. [ 9/49]") && !is_last(".. [ 10%]"));
        assert!(is_live_log("WARNING  shop.door:door.py:33 ajar") && !is_live_log("ERROR t.py::test_a - x:1 y"));
    }

    #[test]
    fn output_behind_a_name_is_not_its_result() {
        assert_eq!(result("t.py::test_a t.py::test_b PASSED"), None);
        assert_eq!(started("t.py::test_a t.py::test_b PASSED"), Some("t.py::test_a"));
        assert_eq!(late_result("PASSED      [ 50%]"), Some(TestStatus::Passed));
    }

    #[test]
    fn totals_are_only_totals() {
        let totals = Totals::parse("= 1 failed, 2 passed, 3 warnings, 1 error in 61.20s (0:01:01) =").unwrap();
        assert_eq!((totals.counts.failed, totals.counts.errors), (Some(1), Some(1)));
        assert!(Totals::parse("16 deselected in 0.03s").unwrap().is_empty);
        assert!(Totals::parse("no tests ran in 0.01s").unwrap().is_empty);
        assert_eq!(Totals::parse("we met 3 times in 5s"), None);
        assert_eq!(Totals::parse("it broke in two"), None);
    }

    #[test]
    fn a_rule_of_another_width_is_somebody_elses() {
        assert_eq!(section("==== 1 passed in 0.01s ====", Some(80)), None);
        assert_eq!(section("==== 1 passed in 0.01s ====", Some(27)), Some("1 passed in 0.01s"));
        assert_eq!(block_title("_ _ _ _ _", Some(9)), None);
    }
}
