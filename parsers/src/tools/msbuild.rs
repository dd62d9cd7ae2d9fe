//! .NET's compilers and MSBuild: `A.cs(3,54): error CS0029: message [app.csproj]`, and whether the build succeeded.

use std::collections::HashSet;

use super::place::number;
use super::{Kind, Reader, Tool};
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "msbuild",
    kind: Kind::Compiler,
    commands: &["dotnet build", "dotnet publish", "dotnet msbuild", "msbuild", "xbuild", "csc", "mcs", "vbc", "fsc"],
    anchors: &[
        ": error CS",
        ": warning CS",
        ": error FS",
        ": warning FS",
        ": error BC",
        ": warning BC",
        "error MSB",
        "warning MSB",
        "error NU1",
        "warning NU1",
        "error NETSDK",
        "warning NETSDK",
        ": error CA",
        ": warning CA",
        ": error IDE",
        ": warning IDE",
        ": error SA",
        ": warning SA",
        ": error xUnit",
        ": warning xUnit",
        "proj]",
        "Build succeeded.",
        "Build FAILED.",
        " Error(s)",
        "Compilation failed: ",
    ],
    reader: || Box::new(Msbuild::default()),
    ..Tool::DEFAULT
};

/// Findings told apart; more than these are shown twice rather than remembered.
const SEEN_MAX: usize = 20_000;

#[derive(Default)]
struct Msbuild {
    /// The summary says everything again, and so does each target framework.
    seen: HashSet<(String, u32, u32, String, String)>,
    succeeded: bool,
}

impl Reader for Msbuild {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        let line = lines.first().trim();
        match line {
            "Build succeeded." => {
                self.succeeded = true;
                return 1;
            }
            "Build FAILED." => {
                sink.evidence(Evidence::SaysError);
                return 1;
            }
            "0 Error(s)" if self.succeeded => {
                sink.evidence(Evidence::SaysPassed);
                self.succeeded = false;
                return 1;
            }
            _ if line.starts_with("Compilation failed: ") && line.contains(" error(s)") => {
                sink.evidence(Evidence::SaysError);
                return 1;
            }
            _ => {}
        }
        let Some(found) = finding(line) else { return 0 };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = (
            text(&found.file),
            found.line.unwrap_or(0),
            found.column.unwrap_or(0),
            text(&found.code),
            found.message.clone(),
        );
        if !self.seen.contains(&key) {
            if self.seen.len() < SEEN_MAX {
                self.seen.insert(key);
            }
            sink.diagnostic(found);
        }
        1
    }
}

/// `A.cs(3,54): error CS0029: message [/path/app.csproj]`, `CSC : error CS5001: …`, `MSBUILD : error MSB1009: …`
fn finding(line: &str) -> Option<Diagnostic> {
    let (head, severity, rest) = [("error ", Severity::Error), ("warning ", Severity::Warning)]
        .into_iter()
        .filter_map(|(word, severity)| {
            let at = line.match_indices(word).map(|(at, _)| at).find(|&at| at == 0 || line[..at].ends_with(": "))?;
            Some((&line[..at], severity, &line[at + word.len()..]))
        })
        .min_by_key(|(head, ..)| head.len())?;
    let (code, message) = rest.split_once(':')?;
    if !is_code(code.trim()) {
        return None;
    }
    let message = match message.strip_suffix(']').and_then(|text| text.rsplit_once(" [")) {
        Some((message, project)) if is_project(project) => message,
        Some(_) | None => message,
    };
    let head = head.trim().trim_end_matches(':').trim();
    let mut found = Diagnostic {
        severity: Some(severity),
        code: Some(code.trim().to_owned()),
        message: message.trim().to_owned(),
        ..Diagnostic::default()
    };
    if let Some((file, span)) = head.strip_suffix(')').and_then(|head| head.rsplit_once('(')) {
        found.file = Some(file.to_owned());
        // Also `(5-6)` and `(5,24-26)`.
        let first = |text: &str| number(text.split('-').next().unwrap_or(text));
        let mut numbers = span.split(',').map(first);
        found.line = numbers.next()?;
        found.column = numbers.next().flatten().filter(|column| *column > 0);
        let (end_line, end_column) = (numbers.next().flatten(), numbers.next().flatten());
        (found.end_line, found.end_column) = (end_column.and(end_line), end_column.filter(|_| end_line.is_some()));
    } else if head.contains(['/', '\\', '.']) {
        found.file = Some(head.to_owned());
    }
    Some(found)
}

/// Letters and then digits: `CS0029`, `NU1101`, `xUnit2004`.
fn is_code(text: &str) -> bool {
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = &text[letters..];
    // `TS2322` is TypeScript's, `C2065` and `LNK2019` are Visual C++'s.
    let own = !matches!(&text[..letters], "TS" | "C" | "D" | "LNK" | "RC" | "E" | "W");
    own && (2..=8).contains(&letters) && (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `/path/app.csproj`, and with `::TargetFramework=net8.0` behind it.
fn is_project(text: &str) -> bool {
    let path = text.split("::").next().unwrap_or(text);
    path.ends_with("proj") || path.ends_with(".sln") || path.ends_with(".slnx")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ToolOutput, Verdict, parse};

    #[test]
    fn spans_projects_and_missing_places() {
        let read = |line| finding(line).map(|found| (found.file, found.line, found.column, found.message));
        let file = |name: &str| Some(name.to_owned());
        assert_eq!(
            read("/w/A.cs(3,5): error CS1002: ; expected [/w/app.csproj::TargetFramework=net8.0]"),
            Some((file("/w/A.cs"), Some(3), Some(5), "; expected".to_owned()))
        );
        assert_eq!(
            read("CSC : error CS5001: Program does not contain a static 'Main' [/w/a.csproj]"),
            Some((None, None, None, "Program does not contain a static 'Main'".to_owned()))
        );
        assert_eq!(
            read("/w/a.csproj : error NU1101: Unable to find package Nope."),
            Some((file("/w/a.csproj"), None, None, "Unable to find package Nope.".to_owned()))
        );
        assert_eq!(read("a.ts(3,5): error TS2322: bad"), None);
        assert_eq!(read("a.cpp(3): error C2065: bad"), None);
        assert_eq!(read("an error occurred: nothing"), None);
    }

    /// `dotnet build` says an error where it happens and again in its summary.
    #[test]
    fn the_summary_says_nothing_new() {
        let line = "/w/A.cs(3,5): error CS1002: ; expected [/w/a.csproj]\n";
        let text = format!("{line}\nBuild FAILED.\n\n{line}    0 Warning(s)\n    1 Error(s)\n");
        let report = parse(&ToolOutput { text: text.as_bytes(), ..ToolOutput::default() });
        assert_eq!((report.diagnostics.len(), report.verdict), (1, Verdict::Error));
    }
}
