//! What shells say themselves: a command that is not there, a script that is no script.

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "shell",
    kind: Kind::Runtime,
    anchors: &[
        ": command not found",
        ": not found",
        ": syntax error",
        ": Syntax error: ",
        ": parameter not set",
        ": unbound variable",
        ": No such file or directory",
        ": Permission denied",
        ": cannot execute",
        "zsh: command not found: ",
    ],
    reader: || Box::new(Shell),
    ..Tool::DEFAULT
};

struct Shell;

impl Reader for Shell {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let Some(found) = finding(lines.first().trim_end()) else { return 0 };
        sink.diagnostic(found);
        // bash shows the line it could not read below.
        let head = lines.first().rsplit_once(": ").map_or("", |(head, _)| head);
        let script = head.split_once(": line ").map_or("", |(script, _)| script);
        let shown =
            lines.ahead(1).filter(|line| !script.is_empty() && line.starts_with(script) && line.ends_with('\''));
        1 + usize::from(shown.is_some_and(|line| line.contains(": `")))
    }
}

/// `a.sh: line 4: message`, `c.sh: 3: message`, `bash: line 1: message`, `sh: 1: message`, `zsh: message`
fn finding(line: &str) -> Option<Diagnostic> {
    let (name, rest) = line.split_once(": ")?;
    let base = name.rsplit('/').next()?.trim_start_matches('-');
    let shell = matches!(base, "bash" | "sh" | "dash" | "zsh" | "ksh" | "ash");
    let script = [".sh", ".bash", ".zsh", ".ksh"].iter().any(|end| name.ends_with(end));
    if !shell && !script {
        return None;
    }
    let rest = rest.strip_prefix("line ").unwrap_or(rest);
    let (line, message) = match rest.split_once(": ").and_then(|(line, message)| Some((number(line)?, message))) {
        Some((line, message)) => (Some(line), message),
        // `bash: nosuch: command not found`
        None if shell => (None, rest),
        None => return None,
    };
    let is_error = message.to_ascii_lowercase().starts_with("syntax error");
    Some(Diagnostic {
        severity: is_error.then_some(Severity::Error),
        message: message.to_owned(),
        file: script.then(|| name.to_owned()),
        // What it cannot read may have come from standard input; `-c` has one line.
        line: line.filter(|_| script || is_error),
        ..Diagnostic::default()
    })
}
