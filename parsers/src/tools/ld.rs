//! Linkers: GNU ld, gold, lld, mold. What was not found, and where it is used.

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "ld",
    kind: Kind::Compiler,
    commands: &["ld", "ld.lld", "lld", "mold", "gold", "ld.gold"],
    anchors: &[
        ": undefined reference to ",
        ": multiple definition of ",
        "lld: error: ",
        "mold: error: ",
        "mold: fatal: ",
        ": cannot find ",
        " returned 1 exit status",
        ": in function `",
        "linker command failed with exit code",
    ],
    reader: || Box::new(Ld),
    ..Tool::DEFAULT
};

struct Ld;

impl Reader for Ld {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first();
        if line.contains("ld returned 1 exit status") || line.contains("linker command failed with exit code") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        // `/usr/bin/ld: main.o: in function `main':` leads up to the next line.
        if line.ends_with("':") && line.contains(": in function `") {
            return 1;
        }
        if let Some((diagnostic, read)) = lld(lines).or_else(|| gnu(line).map(|found| (found, 1))) {
            sink.diagnostic(diagnostic);
            return read;
        }
        0
    }
}

/// `main.c:(.text+0x9): undefined reference to `foo'`, with `main.c:3:` where there is debug information.
fn gnu(line: &str) -> Option<Diagnostic> {
    const MESSAGES: &[&str] = &[": undefined reference to ", ": multiple definition of ", ": cannot find "];
    let at = MESSAGES.iter().filter_map(|message| line.find(message)).min()?;
    let (head, message) = (&line[..at], line[at + 2..].trim_end());
    let (program, place) = match head.split_once(": ") {
        Some((program, place)) => (program, place),
        None => ("", head),
    };
    let is_linker = |name: &str| {
        let name = name.rsplit('/').next().unwrap_or(name);
        name == "ld" || name.ends_with("-ld") || name.starts_with("ld.") || name == "gold" || name == "mold"
    };
    let (file, line) = if is_linker(head) {
        (None, None)
    } else {
        let place = if is_linker(program) { place } else { head };
        // `lib.a(member.o):main.c:(.text+0x9)`, `main.o:main.c:3`
        let place = place.split_once(":(.").map_or(place, |(file, _)| file);
        match place.rsplit_once(':') {
            Some((file, number)) if number.parse::<u32>().is_ok() => (Some(file), number.parse().ok()),
            Some(_) | None => (Some(place), None),
        }
    };
    // `cannot find` is what shells say too; only a linker says it of a library or an object.
    if message.starts_with("cannot find ") && !is_linker(head) {
        return None;
    }
    Some(Diagnostic {
        severity: Some(Severity::Error),
        message: message.to_owned(),
        file: file.map(str::to_owned),
        line,
        ..Diagnostic::default()
    })
}

/// `ld.lld: error: undefined symbol: foo`, then `>>> referenced by main.c:3 (src/main.c:3)`.
fn lld(lines: Lines<'_>) -> Option<(Diagnostic, usize)> {
    let (program, message) = lines.first().split_once(": error: ").or_else(|| lines.first().split_once(": fatal: "))?;
    let program = program.rsplit('/').next().unwrap_or(program);
    if !matches!(program, "ld.lld" | "ld64.lld" | "lld" | "mold" | "wasm-ld" | "rust-lld") {
        return None;
    }
    let mut found =
        Diagnostic { severity: Some(Severity::Error), message: message.trim_end().to_owned(), ..Diagnostic::default() };
    let mut read = 1;
    while let Some(row) = lines.ahead(read).and_then(|line| line.strip_prefix(">>> ")) {
        read += 1;
        let Some(user) = row.strip_prefix("referenced by ").or_else(|| row.strip_prefix("defined at ")) else {
            continue;
        };
        let (short, full) = match user.split_once(" (") {
            Some((short, full)) => (short, full.trim_end_matches(')')),
            None => (user, user),
        };
        let place = if full.contains(':') { full } else { short };
        let Some((file, line)) = place.rsplit_once(':') else { continue };
        let Ok(line) = line.parse::<u32>() else { continue };
        if found.file.is_none() {
            found.file = Some(file.to_owned());
            found.line = Some(line);
        } else {
            found.related.push(Diagnostic {
                severity: Some(Severity::Note),
                message: "referenced here".to_owned(),
                file: Some(file.to_owned()),
                line: Some(line),
                ..Diagnostic::default()
            });
        }
    }
    Some((found, read))
}
