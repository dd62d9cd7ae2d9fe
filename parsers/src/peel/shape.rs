//! Prefixes that change from line to line: elapsed seconds, a log's step, a date without a year. What could as well be a
//! tool's own is believed where the lines that follow have it too.

use super::{blank_after, clock_or_date, matches, tag};

const LOOK_LINES: usize = 24;
const LINE_BYTES: usize = 256;
/// Lines that looked like it and were not: each costs a look at those that follow.
const TRIES_MAX: u32 = 64;

#[derive(Default)]
pub(super) struct Shapes {
    elapsed: Belief,
    numbered: Belief,
    /// Lines in a row that were not of a job's log.
    not_job_log: u32,
    month: Belief,
    level: Belief,
    /// The logger that a wrapper writes as.
    logger: Vec<u8>,
    logger_tries: u32,
}

#[derive(Default)]
struct Belief {
    is_known: bool,
    tries: u32,
}

impl Belief {
    /// Length of the prefix that `measure` finds behind the first `skip` bytes of `text`, if the lines near have one too.
    fn len(&mut self, text: &[u8], skip: usize, measure: impl Fn(&[u8]) -> usize) -> usize {
        if !self.is_known && self.tries >= TRIES_MAX {
            return 0;
        }
        let length = measure(&text[skip..]);
        if length == 0 || self.is_known {
            return length;
        }
        let near = super::lines(text).skip(1).take(LOOK_LINES).filter(|line| !line.is_empty());
        let (mut others, mut same) = (0, 0);
        for other in near {
            others += 1;
            same += u32::from(other.get(skip..).is_some_and(|other| measure(other) > 0));
        }
        let alone = || tag::tells(&text[skip + length..]);
        self.is_known = same >= 2 || same > 0 && same == others || others == 0 && alone();
        if self.is_known {
            return length;
        }
        self.tries += 1;
        0
    }
}

impl Shapes {
    /// `[   12.345678] ` of the kernel, `[ 0.013s] `
    pub(super) fn elapsed(&mut self, text: &[u8], skip: usize) -> usize {
        self.elapsed.len(text, skip, |line| {
            let blanks = line.iter().skip(1).take(8).take_while(|b| **b == b' ').count();
            let whole = digits(line, 1 + blanks);
            let dot = 1 + blanks + whole;
            let fraction = digits(line, dot + 1);
            let end = dot + 1 + fraction;
            let end = end + usize::from(line.get(end) == Some(&b's'));
            let fits = line.first() == Some(&b'[') && whole > 0 && fraction > 1 && line.get(dot) == Some(&b'.');
            if fits && line.get(end) == Some(&b']') { blank_after(line, end + 1) } else { 0 }
        })
    }

    /// `[test:12] `, `[test:L0:3s] `: a step with its line's number.
    pub(super) fn numbered(&mut self, text: &[u8], skip: usize) -> usize {
        self.numbered.len(text, skip, |line| {
            let name = word(line, 1);
            let rest = line.get(1 + name..).unwrap_or(&[]);
            let numbers =
                rest.iter().take(24).take_while(|b| b.is_ascii_digit() || matches!(b, b':' | b'L' | b's')).count();
            // `[a.c:12] ` is a place.
            let is_file = line.iter().skip(1).take(name).any(|b| matches!(b, b'.' | b'/'));
            let fits = name > 0 && !is_file && rest.starts_with(b":") && rest[..numbers].iter().any(u8::is_ascii_digit);
            if fits && rest.get(numbers) == Some(&b']') { blank_after(line, 1 + name + numbers + 1) } else { 0 }
        })
    }

    /// `job\tstep\t2026-01-02T03:04:05Z `: a job's whole log as the command line of GitHub gives it.
    pub(super) fn job_log(&mut self, text: &[u8], skip: usize) -> usize {
        if self.not_job_log >= TRIES_MAX {
            return 0;
        }
        let length = job_log(&text[skip..]);
        // Nothing else looks so.
        self.not_job_log = if length > 0 { 0 } else { self.not_job_log + 1 };
        length
    }

    /// The journal's `Jan 02 03:04:05 host app[123]: `; where not every line names an app, the date alone.
    pub(super) fn month(&mut self, text: &[u8], skip: usize) -> usize {
        let line = &text[skip..];
        let date = date_without_year(line);
        if date == 0 {
            return 0;
        }
        let is_bare = |line: &[u8]| match date_without_year(line) {
            date if date > 0 && program(line, date) == 0 => date,
            _ => 0,
        };
        let program = program(line, date);
        if self.month.is_known || program == 0 {
            return self.month.len(text, skip, date_without_year);
        }
        // Among lines with nothing but a date, `host app: ` is the line's own.
        let others = super::lines(text).skip(1).take(LOOK_LINES).filter_map(|line| line.get(skip..));
        if line[date..program].contains(&b'[') || !others.into_iter().any(|line| is_bare(line) > 0) {
            return program;
        }
        date
    }

    /// `runner: ` behind the level, where the lines near have the same.
    fn logger(&mut self, text: &[u8], skip: usize, level: usize) -> usize {
        let rest = &text[skip + level..];
        if !self.logger.is_empty() {
            return if rest.starts_with(&self.logger) { self.logger.len() } else { 0 };
        }
        let end = word(rest, 0);
        if self.logger_tries >= TRIES_MAX || end == 0 || !rest[end..].starts_with(b": ") || tag::is_level(&rest[..end])
        {
            return 0;
        }
        let name = &text[skip..skip + level + end + 2];
        let near = super::lines(text).skip(1).take(LOOK_LINES);
        if near.filter(|line| line.get(skip..).is_some_and(|line| line.starts_with(name))).count() < 2 {
            self.logger_tries += 1;
            return 0;
        }
        self.logger = name[level..].to_vec();
        self.logger.len()
    }

    /// What a runtime, a platform or a logger adds behind a date.
    pub(super) fn behind_date(&mut self, text: &[u8], skip: usize, date: usize) -> usize {
        let rest = &text[skip + date..];
        match rest.first() {
            Some(b's') if rest.starts_with(b"stdout ") || rest.starts_with(b"stderr ") => {
                let flag = matches!(rest.get(7), Some(b'F' | b'P'));
                if flag { blank_after(rest, 8) } else { 0 }
            }
            Some(b'I' | b'D') => {
                let level = self.level.len(text, skip + date, level);
                if level > 0 { level + self.logger(text, skip + date, level) } else { 0 }
            }
            Some(b'a'..=b'z' | b'0'..=b'9') => program_with_number(rest),
            Some(_) | None => 0,
        }
    }
}

fn job_log(line: &[u8]) -> usize {
    let line = &line[..line.len().min(LINE_BYTES)];
    let Some(step) = memchr::memchr2(b'\t', b'\n', line).filter(|at| line[*at] == b'\t') else { return 0 };
    let after = &line[step + 1..];
    let Some(end) = memchr::memchr2(b'\t', b'\n', after).filter(|at| after[*at] == b'\t') else { return 0 };
    let start = step + 1 + end + 1;
    let start = start + if line[start..].starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let stamp = if matches(&line[start..], b"0000-00-00T") { clock_or_date(&line[start..]) } else { 0 };
    if stamp > 0 { blank_after(line, start + stamp) } else { 0 }
}

/// `INFO ` or `DEBUG `: what a wrapper logs of another's output; the other levels are the program's own words.
fn level(rest: &[u8]) -> usize {
    [b"INFO ".as_slice(), b"DEBUG "].into_iter().find(|level| rest.starts_with(level)).map_or(0, <[u8]>::len)
}

fn digits(line: &[u8], from: usize) -> usize {
    line[from.min(line.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
}

fn word(line: &[u8], from: usize) -> usize {
    const WORD_BYTES_MAX: usize = 64;
    let fits = |b: &&u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/' | b'@');
    line[from.min(line.len())..].iter().take(WORD_BYTES_MAX).take_while(fits).count()
}

/// `Jan 02 03:04:05 `
fn date_without_year(line: &[u8]) -> usize {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = line.get(..3).is_some_and(|name| MONTHS.chunks(3).any(|month| month == name));
    let day = matches!(line.get(4), Some(b' ' | b'0'..=b'3'));
    if month && day && line.get(6..).is_some_and(|rest| matches(rest, b" 00:00:00") || matches(rest, b"0 00:00:00")) {
        blank_after(line, 15)
    } else {
        0
    }
}

/// Where `host app[123]: ` or `host app: ` ends that starts at `date`; 0 where there is none.
fn program(line: &[u8], date: usize) -> usize {
    let host = word(line, date);
    let start = date + host + 1;
    let name = word(line, start);
    if host == 0 || name == 0 || line.get(start - 1) != Some(&b' ') {
        return 0;
    }
    let end = start + name;
    let end = match line.get(end) {
        Some(b'[') => line[end..].iter().take(16).position(|b| *b == b']').map_or(0, |at| end + at + 1),
        Some(_) | None => end,
    };
    if line.get(end) == Some(&b':') { blank_after(line, end + 1) } else { 0 }
}

/// `app[web.1]: `, `host app[123]: `
fn program_with_number(line: &[u8]) -> usize {
    let first = word(line, 0);
    let (start, name) = match line.get(first) {
        Some(b' ') => (first + 1, word(line, first + 1)),
        Some(_) | None => (0, first),
    };
    let end = start + name;
    // `error[E0119]: ` is rustc's.
    if name == 0 || line.get(end) != Some(&b'[') || tag::is_level(&line[start..end]) {
        return 0;
    }
    let number = word(line, end + 1);
    let end = end + 1 + number;
    if number > 0 && line.get(end..end + 2) == Some(b"]:") { blank_after(line, end + 2) } else { 0 }
}

/// `[CI/Run tests]   | `: a workflow's job as a local runner prints it.
pub(super) fn workflow(line: &[u8]) -> usize {
    let line = &line[..line.len().min(LINE_BYTES)];
    let Some(end) = memchr::memchr2(b']', b'\n', line).filter(|at| line[*at] == b']') else { return 0 };
    let blanks = line[end + 1..].iter().take_while(|b| **b == b' ').count();
    let bar = end + 1 + blanks;
    if blanks > 1 && line[..end].contains(&b'/') && line.get(bar) == Some(&b'|') {
        blank_after(line, bar + 1)
    } else {
        0
    }
}

/// `[Tue Jan  2 03:04:05 2026] `
pub(super) fn weekday(line: &[u8]) -> usize {
    const DAYS: &[u8] = b"MonTueWedThuFriSatSun";
    let day = line.get(1..4).is_some_and(|name| DAYS.chunks(3).any(|day| day == name));
    let fits = day && line.get(11..).is_some_and(|rest| matches(rest, b" 00:00:00 0000]"));
    if fits { blank_after(line, 26) } else { 0 }
}

/// A device's log: `01-02 03:04:05.678  1234  1234 F DEBUG   : `
pub(super) fn device(line: &[u8]) -> usize {
    if !matches(line, b"00-00 00:00:00.000 ") {
        return 0;
    }
    let mut at = 18;
    for _ in 0..2 {
        at += line[at..].iter().take_while(|b| **b == b' ').count();
        let number = digits(line, at);
        if number == 0 {
            return 0;
        }
        at += number;
    }
    let level =
        line.get(at) == Some(&b' ') && matches!(line.get(at + 1), Some(b'V' | b'D' | b'I' | b'W' | b'E' | b'F'));
    let tag = line.get(at + 2..line.len().min(LINE_BYTES)).unwrap_or(&[]);
    match memchr::memchr2(b':', b'\n', tag).filter(|end| tag[*end] == b':') {
        Some(end) if level => blank_after(line, at + 2 + end + 1),
        Some(_) | None => 0,
    }
}

/// `<14>1 2026-01-02T03:04:05.000Z host app 123 - - `
pub(super) fn syslog5424(line: &[u8]) -> usize {
    let priority = digits(line, 1);
    if priority == 0 || !line[1 + priority..].starts_with(b">1 ") {
        return 0;
    }
    let mut at = 1 + priority + 3;
    let stamp = clock_or_date(&line[at..]);
    at += stamp;
    if stamp == 0 {
        return 0;
    }
    // Host, app, process, kind, and data that is rarely there.
    for _ in 0..5 {
        let word = word(line, at + 1);
        if line.get(at) != Some(&b' ') || word == 0 {
            return 0;
        }
        at += 1 + word;
    }
    if line.get(at - 1) == Some(&b'-') { blank_after(line, at) } else { 0 }
}

/// `Step #1 - "test": `
pub(super) fn cloud_build(line: &[u8]) -> usize {
    let number = digits(line, b"Step #".len());
    if number == 0 || !line.starts_with(b"Step #") {
        return 0;
    }
    let end = b"Step #".len() + number;
    match line.get(end..) {
        Some(rest) if rest.starts_with(b": ") => end + 2,
        Some(rest) if rest.starts_with(b" - \"") => {
            memchr::memmem::find(&rest[..rest.len().min(LINE_BYTES)], b"\": ").map_or(0, |at| end + at + 3)
        }
        Some(_) | None => 0,
    }
}

/// What TeamCity writes behind `[03:04:05]`: `W:\t [Step 2/3] `, each part or none of it. 0 where there is no step.
pub(super) fn teamcity(line: &[u8], at: usize) -> usize {
    let severity = usize::from(matches!(line.get(at), Some(b' ' | b'W' | b'E' | b'F' | b'i' | b'w')));
    let colon = usize::from(line.get(at + severity) == Some(&b':'));
    let at = at + if colon == 1 { severity + colon } else { 0 };
    let blanks = line[at.min(line.len())..].iter().take(4).take_while(|b| matches!(b, b' ' | b'\t')).count();
    let step = at + blanks;
    if !line.get(step..).is_some_and(|rest| rest.starts_with(b"[Step ")) {
        return 0;
    }
    let first = digits(line, step + 6);
    let second = digits(line, step + 6 + first + 1);
    let end = step + 6 + first + 1 + second;
    if first > 0 && second > 0 && line.get(end) == Some(&b']') { blank_after(line, end + 1) } else { 0 }
}

/// Airflow's `{subprocess.py:93} INFO - ` behind its date.
pub(super) fn airflow(line: &[u8], date: usize) -> usize {
    let Some(rest) = line.get(date..).filter(|rest| date > 0 && rest.starts_with(b"{")) else { return date };
    let rest = &rest[..rest.len().min(LINE_BYTES)];
    match memchr::memmem::find(rest, b"} INFO - ") {
        Some(at) if !rest[..at].contains(&b'\n') => date + at + b"} INFO - ".len(),
        Some(_) | None => date,
    }
}
