//! Which directory a build tool is in: paths it prints are relative to that one, paths in a report to where it started.

/// A build that enters more without leaving is broken.
const DEPTH_MAX: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Directories {
    entered: Vec<String>,
    /// Where the command was started, if that was told.
    start: Option<String>,
}

impl Directories {
    /// `change` is the command line's own change of directory (`make -C lib`), which tells where it started.
    pub(crate) fn enter(&mut self, directory: &str, change: Option<&str>) {
        if self.entered.is_empty()
            && self.start.is_none()
            && let Some(change) = change
        {
            let start = directory.strip_suffix(change.trim_end_matches('/')).and_then(|start| start.strip_suffix('/'));
            self.start = start.map(str::to_owned);
        }
        if self.entered.len() < DEPTH_MAX {
            let relative = !directory.starts_with('/');
            let joined = if relative { self.join(directory) } else { None };
            self.entered.push(joined.unwrap_or_else(|| directory.to_owned()));
        }
    }

    pub(crate) fn leave(&mut self, directory: &str) {
        // With parallel jobs another one may be on top.
        if let Some(at) = self.entered.iter().rposition(|entered| entered.ends_with(directory)) {
            self.entered.remove(at);
        }
    }

    /// The path as seen from the start; `None` where it stays as it is.
    pub(crate) fn join(&self, path: &str) -> Option<String> {
        let directory = self.entered.last()?;
        if path.starts_with(['/', '\\', '<', '~']) || path.get(1..2) == Some(":") {
            return self.below_start(path).map(str::to_owned);
        }
        let mut parts: Vec<&str> = directory.split('/').collect();
        for part in path.split('/') {
            match part {
                "." | "" => {}
                ".." if parts.last().is_some_and(|last| !last.is_empty() && *last != "..") => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let joined = parts.join("/");
        Some(self.below_start(&joined).map(str::to_owned).unwrap_or(joined))
    }

    fn below_start<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.start.as_deref()?)?.strip_prefix('/')
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nested_directories() {
        let mut at = Directories::default();
        assert_eq!(at.join("a.c"), None);
        at.enter("/repo/lib", Some("lib"));
        at.enter("/repo/lib/deep", None);
        assert_eq!(at.join("../a.c").unwrap(), "lib/a.c");
        at.leave("/repo/lib/deep");
        assert_eq!(at.join("./a.c").unwrap(), "lib/a.c");
        assert_eq!(at.join("/usr/include/a.h"), None);
        at.leave("/repo/lib");
        assert_eq!(at.join("a.c"), None);
    }

    #[test]
    fn relative_build_folder() {
        let mut at = Directories::default();
        at.enter("build", None);
        assert_eq!(at.join("../src/a.c").unwrap(), "src/a.c");
    }
}
