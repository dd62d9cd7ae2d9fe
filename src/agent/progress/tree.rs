//! Names the files as far as calls write them by name. An edit that is taken back leads to the name that was there
//! before, so that edit and undo is a circle and not a way on.

use std::collections::HashMap;

use super::words::hash;
use crate::message::ToolUse;

/// Of one file; older ones become part of its name for good.
const EDITS_MAX: usize = 64;

#[derive(Debug, Clone, Default)]
pub(super) struct NamedTree {
    files: HashMap<u64, NamedFile>,
    /// Of all files together.
    name: u64,
}

#[derive(Debug, Clone, Default)]
struct NamedFile {
    /// What was written as a whole; 0 before.
    written: u64,
    /// Since: what was replaced by what.
    edits: Vec<(u64, u64)>,
}

impl NamedTree {
    pub(super) fn name(&self) -> u64 {
        self.name
    }

    /// A call that wrote the file it names.
    pub(super) fn note(&mut self, call: &ToolUse) {
        let text = |name: &str| call.input.get(name).and_then(|value| value.as_str());
        let path = text("path").unwrap_or_default();
        let path = hash(&path.trim_start_matches("/workspace/").trim_start_matches("./"));
        let file = self.files.entry(path).or_default();
        let before = file.name(path);
        match (text("old_string"), text("new_string"), text("content")) {
            (Some(old), Some(new), _) => file.edit(hash(&old), hash(&new)),
            (_, _, Some(content)) => *file = NamedFile { written: hash(&content), edits: Vec::new() },
            _ => file.edit(0, hash(&call.input.to_string())),
        }
        self.name ^= before ^ file.name(path);
    }
}

impl NamedFile {
    fn edit(&mut self, old: u64, new: u64) {
        // Made again: a command took it back meanwhile.
        if self.edits.contains(&(old, new)) {
            return;
        }
        match self.edits.iter().rposition(|edit| *edit == (new, old)) {
            Some(undone) => drop(self.edits.remove(undone)),
            None => self.edits.push((old, new)),
        }
        if self.edits.len() > EDITS_MAX {
            self.written = hash(&(self.written, self.edits.remove(0)));
        }
    }

    /// 0 for a file as it was at first.
    fn name(&self, path: u64) -> u64 {
        match self.written == 0 && self.edits.is_empty() {
            true => 0,
            false => hash(&(path, self.written, &self.edits)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(input: serde_json::Value) -> ToolUse {
        ToolUse { id: String::new(), name: "edit_file".into(), input }
    }

    fn edit(path: &str, old: &str, new: &str) -> ToolUse {
        call(serde_json::json!({"path": path, "old_string": old, "new_string": new}))
    }

    fn names(calls: &[ToolUse]) -> Vec<u64> {
        let mut tree = NamedTree::default();
        let mut name = |call| {
            tree.note(call);
            tree.name()
        };
        calls.iter().map(&mut name).collect()
    }

    #[test]
    fn an_edit_that_is_taken_back_leads_back() {
        let names = names(&[edit("a", "x", "y"), edit("b", "1", "2"), edit("./a", "y", "x"), edit("b", "2", "1")]);
        assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
        assert_eq!(names[3], 0);
    }

    #[test]
    fn the_same_content_has_the_same_name_whatever_stood_there() {
        let write = |content: &str| call(serde_json::json!({"path": "a", "content": content}));
        let names = names(&[write("one"), write("two"), edit("a", "t", "f"), write("one")]);
        assert_eq!(names[0], names[3]);
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 3);
    }

    #[test]
    fn edits_that_differ_never_come_to_the_same_name() {
        let calls: Vec<ToolUse> = (0..500).map(|n| edit("a", &n.to_string(), &(n + 1).to_string())).collect();
        let names: std::collections::HashSet<u64> = names(&calls).into_iter().collect();
        assert_eq!(names.len(), 500);
    }
}
