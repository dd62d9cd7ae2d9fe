//! What clang-tidy says around its findings, which are read as clang's.

use super::{Kind, Reader, Tool};
use crate::sink::Sink;
use crate::window::Lines;

pub(super) const TOOL: Tool = Tool {
    name: "clang-tidy",
    kind: Kind::Linter,
    commands: &["clang-tidy", "run-clang-tidy", "run-clang-tidy.py"],
    anchors: &[" warnings treated as error", " warning treated as error", "Use -header-filter=", " in non-user code"],
    reader: || Box::new(ClangTidy),
    ..Tool::DEFAULT
};

struct ClangTidy;

impl Reader for ClangTidy {
    fn read(&mut self, lines: Lines<'_>, _sink: &mut Sink) -> usize {
        let line = lines.first();
        let own = line.starts_with("Suppressed ")
            || line.starts_with("Use -header-filter=")
            || line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(" treated as error");
        usize::from(own)
    }
}
