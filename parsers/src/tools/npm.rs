//! npm, yarn and pnpm: why they could not do what they were asked. What a script's program said is told by its reader.

use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "npm",
    kind: Kind::Runtime,
    anchors: &[
        "npm ERR!",
        "npm error",
        "ERR_PNPM_",
        "ELIFECYCLE",
        "error Command failed with exit code ",
        "info Visit https://yarnpkg.com/",
        "➤ YN0",
    ],
    reader: || Box::new(Npm),
    ..Tool::DEFAULT
};

const BLOCK_LINES_MAX: usize = 300;
const MESSAGE_LINES_MAX: usize = 20;

struct Npm;

impl Reader for Npm {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim_end();
        if of_npm(line).is_some() {
            return npm(lines, sink);
        }
        if let Some(rest) = line.strip_prefix("➤ YN0") {
            return berry(rest, sink);
        }
        if line.contains("ERR_PNPM_") {
            return pnpm(line, lines, sink);
        }
        let text = line.trim_start();
        let script_failed = text.starts_with("error Command failed with exit code ")
            || text
                .strip_prefix("ELIFECYCLE")
                .or_else(|| text.strip_prefix("[ELIFECYCLE]"))
                .is_some_and(|rest| rest.contains("failed"));
        if script_failed {
            sink.evidence(Evidence::SaysError);
            return 1;
        }
        // yarn's own error stands above the page it names.
        if !line.starts_with("info Visit https://yarnpkg.com/") {
            return 0;
        }
        let message = lines.back(1).and_then(|above| above.strip_prefix("error "));
        if let Some(message) = message.filter(|message| !message.starts_with("Command failed")) {
            report("yarn", None, message.trim_end(), sink);
        }
        1
    }
}

fn report(source: &str, code: Option<&str>, message: &str, sink: &mut Sink) {
    sink.evidence(Evidence::SaysError);
    sink.diagnostic(Diagnostic {
        source: source.to_owned(),
        severity: Some(Severity::Error),
        code: code.map(str::to_owned),
        message: message.to_owned(),
        ..Diagnostic::default()
    });
}

/// What follows `npm error` or, before npm 10, `npm ERR!`.
fn of_npm(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("npm error").or_else(|| line.strip_prefix("npm ERR!"))?;
    (rest.is_empty() || rest.starts_with(' ')).then(|| rest.trim())
}

/// `npm error code ERESOLVE`, then the message among details of the system.
fn npm(lines: Lines<'_>, sink: &mut Sink) -> usize {
    const DETAILS: &[&str] = &["errno ", "syscall ", "path ", "location ", "workspace ", "command ", "dest ", "cwd "];
    let mut code = None;
    let mut message: Vec<&str> = Vec::new();
    let mut script = false;
    let mut read = 0;
    while let Some(text) = lines.ahead(read).and_then(|line| of_npm(line.trim_end())).filter(|_| read < BLOCK_LINES_MAX)
    {
        read += 1;
        if let Some(found) = text.strip_prefix("code ").filter(|_| message.is_empty()) {
            code = code.or(Some(found));
        } else if text.starts_with("A complete log of this run") || text.starts_with("Log files were not written") {
        } else if text.starts_with("Lifecycle script ")
            || text.starts_with("Exit status ")
            || text.starts_with("Test failed.")
        {
            script = true;
        } else if !text.is_empty()
            && message.len() < MESSAGE_LINES_MAX
            && !DETAILS.iter().any(|start| text.starts_with(start))
        {
            message.push(text);
        }
    }
    // The code of an error stands before each of its lines too: `enoent Could not read package.json`.
    let lower = code.unwrap_or("").to_ascii_lowercase();
    let plain =
        |line: &&str| line.strip_prefix(lower.as_str()).filter(|_| !lower.is_empty()).unwrap_or(line).trim().to_owned();
    let text = message.iter().map(plain).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    if script || code == Some("ELIFECYCLE") || text.is_empty() {
        sink.evidence(Evidence::SaysError);
    } else {
        report("npm", code, &text, sink);
    }
    read
}

/// ` ERR_PNPM_NO_LOCKFILE  message`, or `Error: ERR_PNPM_NO_LOCKFILE` with `  × message` and what caused it below.
fn pnpm(line: &str, lines: Lines<'_>, sink: &mut Sink) -> usize {
    let Some(at) = line.find("ERR_PNPM_") else { return 0 };
    let rest = &line[at..];
    let end = rest.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')).unwrap_or(rest.len());
    let (code, text) = rest.split_at(end);
    let before = line[..at].trim();
    if !(before.is_empty() || before == "Error:" || before == "[") {
        return 0;
    }
    let mut message = text.trim_start_matches(']').trim().to_owned();
    let mut read = 1;
    while message.is_empty() || read > 1 {
        let Some(line) = lines.ahead(read).filter(|_| read < MESSAGE_LINES_MAX) else { break };
        let text = line.trim();
        let words = ["× ", "╰─▶ ", "├─▶ "].iter().find_map(|mark| text.strip_prefix(mark));
        let goes_on = line.starts_with("      ") && !message.is_empty();
        match words.or_else(|| goes_on.then_some(text)) {
            Some(words) => {
                if !message.is_empty() {
                    message.push(if goes_on { ' ' } else { '\n' });
                }
                message.push_str(words);
            }
            None if text.is_empty() && message.is_empty() => {}
            None => break,
        }
        read += 1;
    }
    report("pnpm", Some(code), &message, sink);
    read
}

/// `➤ YN0002: │ message`; only the summary says whether it was an error.
fn berry(rest: &str, sink: &mut Sink) -> usize {
    let Some((number, text)) = rest.split_once(": ") else { return 0 };
    let text = text.trim_start_matches(['│', '┌', '└', '·', ' ']).trim();
    if text.starts_with("Failed with errors") {
        sink.evidence(Evidence::SaysError);
    } else if number != "000" && number.len() == 3 && !text.is_empty() {
        sink.diagnostic(Diagnostic {
            source: "yarn".to_owned(),
            code: Some(format!("YN0{number}")),
            message: text.to_owned(),
            ..Diagnostic::default()
        });
    }
    1
}

#[cfg(test)]
mod tests {
    use crate::{ToolOutput, Verdict, parse};

    /// From npm's, yarn's and pnpm's documentation.
    #[test]
    fn other_versions_say_it_in_other_forms() {
        for (text, source, code, message) in [
            ("npm ERR! code E404\nnpm ERR! 404 Not Found - nope\n", "npm", Some("E404"), "404 Not Found - nope"),
            (
                " ERR_PNPM_OUTDATED_LOCKFILE  Cannot install\n",
                "pnpm",
                Some("ERR_PNPM_OUTDATED_LOCKFILE"),
                "Cannot install",
            ),
            (
                "➤ YN0028: │ The lockfile would have been modified\n➤ YN0000: Failed with errors in 1s\n",
                "yarn",
                Some("YN0028"),
                "The lockfile would have been modified",
            ),
        ] {
            let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
            let [error] = report.diagnostics.as_slice() else { panic!("{report:?}") };
            assert_eq!((error.source.as_str(), error.code.as_deref(), error.message.as_str()), (source, code, message));
            assert_eq!(report.verdict, Verdict::Error);
        }
    }
}
