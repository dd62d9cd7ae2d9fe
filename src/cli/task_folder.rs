//! A task folder: `task.toml` beside `repo/`, as `fixtures/tasks` has them. Named by the operator in place of a
//! repository, it says which checks must pass; the repository is its `repo/`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::sandbox::TOOLCHAINS;

const BYTES_MAX: u64 = 64 << 10;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskFolder {
    pub(super) name: String,
    pub(super) description: String,
    /// One of Greenroom's own toolchains.
    pub(super) toolchain: String,
    pub(super) checks: Vec<String>,
    pub(super) cure: Cure,
    /// What the cure is told to do; without it: make the checks pass.
    pub(super) instruction: Option<String>,
    #[serde(skip)]
    folder: PathBuf,
}

/// Who mends it in `greenroom demo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cure {
    Autofix,
    /// The answers in `cure.jsonl`.
    Scripted,
}

impl TaskFolder {
    /// `None` where the folder is an ordinary one.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("task.toml");
        if !path.is_file() || !folder.join("repo").is_dir() {
            return Ok(None);
        }
        let wrong = || Error::usage(format!("cannot read `{}`", path.display()));
        let size = std::fs::metadata(&path).map_err(|error| wrong().because(error))?.len();
        if size > BYTES_MAX {
            return Err(wrong().because(format!("it has {size} bytes, more than {BYTES_MAX}")));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| wrong().because(error))?;
        let task: TaskFolder = toml::from_str(&text).map_err(|error| wrong().because(error.message().to_owned()))?;
        if TOOLCHAINS.iter().all(|toolchain| toolchain.name != task.toolchain) {
            let known: Vec<&str> = TOOLCHAINS.iter().map(|toolchain| toolchain.name).collect();
            return Err(wrong()
                .because(format!("there is no toolchain `{}`", task.toolchain))
                .hint(format!("the toolchains are {}", known.join(", "))));
        }
        Ok(Some(TaskFolder { folder: folder.to_owned(), ..task }))
    }

    pub(super) fn repo(&self) -> PathBuf {
        self.folder.join("repo")
    }

    pub(super) fn script(&self) -> PathBuf {
        self.folder.join("cure.jsonl")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TASK: &str = "name = 'a'\ndescription = 'b'\ntoolchain = 'python'\nchecks = ['true']\ncure = 'autofix'\n";

    fn folder(task: Option<&str>, repo: bool) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        if let Some(task) = task {
            std::fs::write(folder.path().join("task.toml"), task).unwrap();
        }
        if repo {
            std::fs::create_dir(folder.path().join("repo")).unwrap();
        }
        folder
    }

    #[test]
    fn a_task_file_beside_a_repo_makes_a_task_folder() {
        let task = folder(Some(TASK), true);
        assert_eq!(TaskFolder::open(task.path()).unwrap().unwrap().repo(), task.path().join("repo"));
    }

    #[test]
    fn a_repository_that_has_a_task_file_of_its_own_is_a_repository() {
        assert!(TaskFolder::open(folder(Some(TASK), false).path()).unwrap().is_none());
        assert!(TaskFolder::open(folder(None, true).path()).unwrap().is_none());
    }

    #[test]
    fn a_task_cannot_name_an_image_of_its_own() {
        let task = folder(Some(&TASK.replace("python", "evil/image")), true);
        assert!(TaskFolder::open(task.path()).unwrap_err().to_string().contains("evil/image"));
    }
}
