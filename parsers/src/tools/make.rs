//! make, ninja and cmake: which directory the next lines speak of, what failed, and cmake's own errors.

use super::place::Place;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "make",
    kind: Kind::Compiler,
    commands: &["make", "gmake", "ninja", "cmake"],
    anchors: &[
        ": Entering directory ",
        ": Leaving directory ",
        "*** [",
        "*** No rule to make target",
        ": *** ",
        "CMake Error",
        "CMake Warning",
        "CMake Deprecation Warning",
        "ninja: ",
        "FAILED: ",
        "-- Configuring incomplete",
        " (ignored)",
    ],
    reader: || Box::new(Make),
    ..Tool::DEFAULT
};

const MESSAGE_LINES_MAX: usize = 60;

struct Make;

impl Reader for Make {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if let Some((_, directory)) = line.split_once(": Entering directory ").filter(|(who, _)| is_make(who)) {
            sink.enter(unquoted(directory));
            return 1;
        }
        if let Some((_, directory)) = line.split_once(": Leaving directory ").filter(|(who, _)| is_make(who)) {
            sink.leave(unquoted(directory));
            return 1;
        }
        if line.starts_with("CMake ") {
            return cmake(lines, sink);
        }
        if line.starts_with("ninja: build stopped: ") || line.starts_with("-- Configuring incomplete") {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        if let Some(message) = line.strip_prefix("ninja: error: ").or_else(|| line.strip_prefix("ninja: fatal: ")) {
            sink.diagnostic(Diagnostic {
                source: "ninja".to_owned(),
                severity: Some(Severity::Error),
                message: message.to_owned(),
                ..Diagnostic::default()
            });
            return 1;
        }
        // ninja's `FAILED: target` stands above the command and what it printed.
        if line.starts_with("FAILED: ") && lines.back(1).is_none_or(|before| before.starts_with('[')) {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        failure(line, sink)
    }
}

/// `make: [Makefile:3: clean] Error 1 (ignored)`: a recipe that may fail did.
fn ignored(line: &str) -> Option<Diagnostic> {
    let (who, rest) = line.strip_suffix(" (ignored)")?.split_once(": ")?;
    let found = recipe(rest).filter(|_| is_make(who))?;
    Some(Diagnostic { severity: Some(Severity::Info), message: found.message + ", which is ignored", ..found })
}

/// `make`, `make[2]`, `gmake[1]`, `/usr/bin/make`, `ninja`
fn is_make(who: &str) -> bool {
    let who = who.rsplit('/').next().unwrap_or(who);
    let name = who.split('[').next().unwrap_or(who);
    // `gmake-4.3`
    let name = name
        .split_once('-')
        .filter(|(_, version)| version.starts_with(|c: char| c.is_ascii_digit()))
        .map_or(name, |(name, _)| name);
    name == "ninja" || (name.ends_with("make") || name == "Make") && !name.contains(' ')
}

fn unquoted(text: &str) -> &str {
    text.trim_matches(['`', '\'', '"', '‘', '’'])
}

/// `make[1]: *** [Makefile:5: all] Error 2`, `Makefile:5: *** missing separator.  Stop.`, `make: *** No rule to make target 'x'.`
fn failure(line: &str, sink: &mut Sink) -> usize {
    if let Some(found) = ignored(line) {
        sink.diagnostic(found);
        return 1;
    }
    let Some((head, message)) = line.split_once(": *** ") else { return 0 };
    let place = Place::colons(head);
    if place.is_none() && !is_make(head) {
        return 0;
    }
    // What a recipe's program said is told already; make only passes it on.
    if place.is_none() && message.starts_with('[') {
        sink.evidence(Evidence::SaysError);
        if let Some(found) = recipe(message) {
            sink.diagnostic(found);
        }
        return 1;
    }
    if message.starts_with("Waiting for unfinished jobs") {
        return 1;
    }
    sink.diagnostic(Diagnostic {
        severity: Some(Severity::Error),
        message: message.trim_end_matches("  Stop.").to_owned(),
        file: place.map(|place| place.file.to_owned()),
        line: place.map(|place| place.line),
        ..Diagnostic::default()
    });
    1
}

/// `[Makefile:20: all] Error 2`: where the rule stands whose recipe failed.
fn recipe(message: &str) -> Option<Diagnostic> {
    let (place, target) = message.strip_prefix('[')?.split_once("] ")?.0.split_once(": ")?;
    let place = Place::colons(place)?;
    Some(Diagnostic {
        severity: Some(Severity::Note),
        message: format!("the recipe of `{target}` failed"),
        file: Some(place.file.to_owned()),
        line: Some(place.line),
        ..Diagnostic::default()
    })
}

/// `CMake Error at CMakeLists.txt:5 (find_package):`, the message below, indented by two, then the call stack.
fn cmake(lines: Lines<'_>, sink: &mut Sink) -> usize {
    let line = lines.first().trim_end();
    let (severity, rest) = if let Some(rest) = line.strip_prefix("CMake Error") {
        (Severity::Error, rest)
    } else {
        let rest = line.strip_prefix("CMake Deprecation Warning").or_else(|| line.strip_prefix("CMake Warning"));
        let Some(rest) = rest else { return 0 };
        (Severity::Warning, rest)
    };
    let rest = rest.strip_prefix(" (dev)").unwrap_or(rest);
    let mut found = Diagnostic { source: "cmake".to_owned(), severity: Some(severity), ..Diagnostic::default() };
    if let Some(place) = rest.strip_prefix(" at ").or_else(|| rest.strip_prefix(" in ")) {
        let place = place.trim_end_matches(':');
        let place = place.split_once(" (").map_or(place, |(place, _)| place);
        match Place::colons(place) {
            Some(place) => (found.file, found.line) = (Some(place.file.to_owned()), Some(place.line)),
            None => found.file = Some(place.to_owned()),
        }
    } else if let Some(message) = rest.strip_prefix(": ") {
        found.message = message.to_owned();
        sink.diagnostic(found);
        return 1;
    }
    let mut read = 1;
    let mut in_stack = false;
    while read < MESSAGE_LINES_MAX {
        let Some(line) = lines.ahead(read) else { break };
        let text = line.trim();
        if text == "Call Stack (most recent call first):" {
            in_stack = true;
        } else if let Some(text) = line.strip_prefix("  ") {
            let place = text.trim().split_once(" (").and_then(|(place, _)| Place::colons(place));
            match place.filter(|_| in_stack) {
                Some(place) => found.related.push(Diagnostic {
                    severity: Some(Severity::Note),
                    message: "called from here".to_owned(),
                    file: Some(place.file.to_owned()),
                    line: Some(place.line),
                    ..Diagnostic::default()
                }),
                None if found.message.is_empty() => found.message = text.trim().to_owned(),
                None => {}
            }
        } else if !text.is_empty()
            || lines.ahead(read + 1).is_none_or(|next| !next.starts_with("  ")) && !in_stack_ahead(lines, read)
        {
            break;
        }
        read += 1;
    }
    sink.diagnostic(found);
    read
}

fn in_stack_ahead(lines: Lines<'_>, read: usize) -> bool {
    lines.ahead(read + 1).is_some_and(|next| next.starts_with("Call Stack "))
}
