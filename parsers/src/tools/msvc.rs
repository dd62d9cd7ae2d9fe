//! What Visual C++'s tools say without a line: `LINK : fatal error LNK1181: message`, `a.obj : error LNK2019: message`,
//! `cl : Command line warning D9002 : message`, `NMAKE : fatal error U1077: message`.

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;
use crate::{Diagnostic, Severity};

pub(super) const TOOL: Tool = Tool {
    name: "msvc",
    kind: Kind::Compiler,
    commands: &["cl", "link", "nmake", "lib", "rc"],
    anchors: &[" : error ", " : warning ", " : fatal error ", " : Command line warning D", " : Command line error D"],
    reader: || Box::new(Msvc),
    ..Tool::DEFAULT
};

const PROGRAMS: &[&str] = &["LINK", "cl", "CL", "NMAKE", "RC", "CVTRES", "LIB", "MIDL", "MT", "CSC", "VBC", "EXEC"];
const OBJECTS: &[&str] = &[".obj", ".lib", ".exe", ".dll", ".res", ".pdb", ".o", ".a"];

struct Msvc;

impl Reader for Msvc {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        match finding(lines.first().trim()) {
            Some(found) => {
                sink.diagnostic(found);
                1
            }
            None => 0,
        }
    }
}

fn finding(line: &str) -> Option<Diagnostic> {
    let (origin, rest) = line.split_once(" : ")?;
    // Ant's `[exec] ` and the number of the project.
    let origin = origin.strip_prefix("[exec] ").unwrap_or(origin);
    let origin =
        origin.split_once('>').filter(|(n, _)| n.bytes().all(|b| b.is_ascii_digit())).map_or(origin, |(_, o)| o);
    let object = OBJECTS.iter().any(|end| origin.trim_end_matches(')').to_ascii_lowercase().ends_with(end));
    if !object && !PROGRAMS.contains(&origin) {
        return None;
    }
    let rest = rest.strip_prefix("Command line ").unwrap_or(rest);
    let (severity, rest) =
        [("fatal error", Severity::Error), ("error", Severity::Error), ("warning", Severity::Warning)]
            .into_iter()
            .find_map(|(word, severity)| Some((severity, rest.strip_prefix(word)?.strip_prefix(' ')?)))?;
    let (code, message) = rest.strip_prefix(": ").unwrap_or(rest).split_once(':')?;
    let code = code.trim_end();
    let letters = code.bytes().take_while(u8::is_ascii_uppercase).count();
    let numbered = (1..=6).contains(&letters)
        && code.len() - letters >= 3
        && code.bytes().skip(letters).all(|b| b.is_ascii_digit());
    // What MSBuild ran may speak without a code; the project at the end says that it was MSBuild.
    let project = message.trim_end().strip_suffix("proj]").and_then(|text| text.rsplit_once(" ["));
    let message = project.map_or(message, |(message, _)| message).trim();
    (numbered && !message.is_empty()).then(|| Diagnostic {
        severity: Some(severity),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        file: object.then(|| origin.to_owned()),
        ..Diagnostic::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_objects_speak() {
        let read = |line| finding(line).map(|found| (found.severity, found.code, found.file, found.message));
        let text = |text: &str| Some(text.to_owned());
        let (error, warning) = (Some(Severity::Error), Some(Severity::Warning));
        for (line, expected) in [
            (
                "[exec] 23>LINK : fatal error LNK1181: cannot open input file 'a.lib'",
                (error, text("LNK1181"), None, "cannot open input file 'a.lib'".to_owned()),
            ),
            (
                "a.obj : error LNK2019: unresolved external symbol f [C:\\w\\a.vcxproj]",
                (error, text("LNK2019"), text("a.obj"), "unresolved external symbol f".to_owned()),
            ),
            (
                "11>cl : Command line warning D9002 : ignoring unknown option '-x'",
                (warning, text("D9002"), None, "ignoring unknown option '-x'".to_owned()),
            ),
            (
                "EXEC : warning : NU1902: Package 'x' is vulnerable [C:\\w\\ci.msbuildproj]",
                (warning, text("NU1902"), None, "Package 'x' is vulnerable".to_owned()),
            ),
        ] {
            assert_eq!(read(line), Some(expected), "{line}");
        }
        for line in ["App : error LNK1181: x", "LINK : the error is: x", "cl : error handling: fine"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
