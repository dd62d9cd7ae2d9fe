//! Which of the paths a tool prints are files of the workspace that may be edited.

use crate::sandbox::WORKSPACE;

/// Folders that hold other people's code or build output: a mistake found there is not mended there.
const FOREIGN: [&str; 9] =
    [".git", ".tox", ".venv", "__pycache__", "dist-packages", "node_modules", "site-packages", "target", "venv"];

/// The path relative to the workspace, without `.` and `..`; `None` for what lies outside or is not the project's own.
pub(super) fn own(printed: &str) -> Option<String> {
    let relative = match printed.strip_prefix(WORKSPACE) {
        Some(rest) => rest.strip_prefix('/')?,
        None if printed.starts_with('/') || printed.starts_with('<') => return None,
        None => printed,
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name if FOREIGN.contains(&name) => return None,
            name => parts.push(name),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// What follows the last dot of the file name.
pub(super) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::own;

    #[test]
    fn printed_paths_become_relative_to_the_workspace() {
        for (printed, expected) in [
            ("src/main.rs", Some("src/main.rs")),
            ("./src/main.rs", Some("src/main.rs")),
            ("/workspace/src/../lib/a.c", Some("lib/a.c")),
            ("/workspace", None),
            ("/workspaces/a.c", None),
            ("../a.c", None),
            ("/usr/lib/python3.13/json/__init__.py", None),
            ("<frozen runpy>", None),
            ("node_modules/left-pad/index.js", None),
        ] {
            assert_eq!(own(printed).as_deref(), expected, "{printed}");
        }
    }
}
