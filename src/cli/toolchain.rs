//! Which image and which check fit a repository: by the names of its files, and a bounded look into a few of them.
//!
//! The repository's files are data here: nothing is executed, no link is followed, no special file is opened.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use regex::bytes::Regex;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::sandbox::TOOLCHAINS;

/// Folders that hold other people's code or build output.
const SKIPPED: &[&str] = &["node_modules", "target", "venv", "vendor", "build", "dist", "__pycache__"];
const ENTRIES_MAX: usize = 20_000;
const DEPTH_MAX: usize = 6;
const READ_BYTES_MAX: u64 = 256 << 10;

/// The part of an `image.toml` that says which repositories choose it.
#[derive(Debug, Deserialize)]
struct Toolchain {
    name: String,
    #[serde(default)]
    manifest: Vec<Manifest>,
    #[serde(default)]
    check: Vec<DefaultCheck>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    file: String,
    priority: u32,
}

#[derive(Debug, Deserialize)]
struct DefaultCheck {
    file: String,
    contains: Option<String>,
    command: String,
}

/// What was chosen, and the file that spoke for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub image: String,
    /// `None` where the user said so.
    pub image_because: Option<String>,
    pub check: Option<ChosenCheck>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChosenCheck {
    pub command: String,
    pub because: String,
}

fn all() -> Vec<Toolchain> {
    TOOLCHAINS.iter().map(|known| toml::from_str(known.manifest).expect("a test reads each of them")).collect()
}

/// Finds image and default check for `repo`. `image`, where given, is the user's choice: a toolchain or any image.
pub fn choose(repo: &Path, image: Option<&str>) -> Result<Chosen> {
    let toolchains = all();
    let files = list(repo);
    let detected = detect(&toolchains, &files);
    if let Some(image) = image {
        let toolchain = toolchains.iter().find(|toolchain| toolchain.name == image).or(detected.map(|found| found.0));
        let check = toolchain.and_then(|toolchain| default_check(toolchain, repo, &files));
        return Ok(Chosen { image: image.to_owned(), image_because: None, check });
    }
    let Some((toolchain, because)) = detected else {
        let names: Vec<&str> = toolchains.iter().map(|toolchain| toolchain.name.as_str()).collect();
        return Err(Error::usage(format!("cannot tell which toolchain `{}` needs: no manifest found", repo.display()))
            .hint(format!(
                "choose one with `--image NAME` ({}, or any image), and name a check with `--check CMD`",
                names.join(", ")
            )));
    };
    let check = default_check(toolchain, repo, &files);
    Ok(Chosen { image: toolchain.name.clone(), image_because: Some(because), check })
}

/// The manifest of the highest priority wins; of equal ones the first toolchain by name.
fn detect<'a>(toolchains: &'a [Toolchain], files: &[PathBuf]) -> Option<(&'a Toolchain, String)> {
    let mut best: Option<(u32, &Toolchain, String)> = None;
    for toolchain in toolchains {
        for manifest in &toolchain.manifest {
            if best.as_ref().is_some_and(|(priority, ..)| *priority >= manifest.priority) {
                continue;
            }
            if let Some(file) = first_match(&manifest.file, files) {
                best = Some((manifest.priority, toolchain, file.display().to_string()));
            }
        }
    }
    best.map(|(_, toolchain, because)| (toolchain, because))
}

fn default_check(toolchain: &Toolchain, repo: &Path, files: &[PathBuf]) -> Option<ChosenCheck> {
    toolchain.check.iter().find_map(|check| {
        let matcher = matcher(&check.file);
        let mut named = files.iter().filter(|file| matcher.is_match(file));
        let file = match &check.contains {
            None => named.next()?,
            Some(pattern) => {
                let pattern = Regex::new(pattern).expect("a test compiles each of them");
                named.find(|file| read_bounded(&repo.join(file)).is_some_and(|text| pattern.is_match(&text)))?
            }
        };
        Some(ChosenCheck { command: check.command.clone(), because: file.display().to_string() })
    })
}

fn first_match<'a>(glob: &str, files: &'a [PathBuf]) -> Option<&'a PathBuf> {
    let matcher = matcher(glob);
    files.iter().find(|file| matcher.is_match(file))
}

fn matcher(glob: &str) -> GlobMatcher {
    GlobBuilder::new(glob).literal_separator(true).build().expect("a test compiles each of them").compile_matcher()
}

/// Relative paths of regular files, nearest first, in the order of their names. Bounded: a repository can be anything.
fn list(repo: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut level = vec![PathBuf::new()];
    let mut seen = 0;
    for _ in 0..DEPTH_MAX {
        let mut deeper = Vec::new();
        for folder in &level {
            let Ok(entries) = std::fs::read_dir(repo.join(folder)) else { continue };
            let mut here = Vec::new();
            for entry in entries.flatten().take(ENTRIES_MAX.saturating_sub(seen)) {
                let name = entry.file_name();
                let skipped = name.to_str().is_none_or(|name| name.starts_with('.') || SKIPPED.contains(&name));
                // The type is that of the entry itself: a link is neither file nor folder.
                match entry.file_type() {
                    Ok(kind) if kind.is_file() => here.push(folder.join(&name)),
                    Ok(kind) if kind.is_dir() && !skipped => deeper.push(folder.join(&name)),
                    Ok(_) | Err(_) => {}
                }
                seen += 1;
            }
            here.sort();
            files.append(&mut here);
        }
        deeper.sort();
        level = deeper;
    }
    files
}

/// The beginning of a regular file. A FIFO or device that took its place meanwhile is not waited for.
fn read_bounded(path: &Path) -> Option<Vec<u8>> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty()).ok()?);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn repo(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn every_embedded_image_can_be_read_and_its_patterns_compile() {
        for toolchain in all() {
            assert!(!toolchain.manifest.is_empty() && !toolchain.check.is_empty(), "{}", toolchain.name);
            for manifest in &toolchain.manifest {
                matcher(&manifest.file);
            }
            for check in &toolchain.check {
                matcher(&check.file);
                check.contains.as_deref().map(|pattern| Regex::new(pattern).unwrap());
            }
        }
    }

    #[test]
    fn a_python_project_gets_its_tests_run() {
        let repo = repo(&[("pyproject.toml", ""), ("tests/test_a.py", ""), ("node_modules/x/package.json", "{}")]);
        let chosen = choose(repo.path(), None).unwrap();
        assert_eq!((chosen.image.as_str(), chosen.image_because.as_deref()), ("python", Some("pyproject.toml")));
        let check = chosen.check.unwrap();
        assert_eq!((check.command.as_str(), check.because.as_str()), ("python3 -m pytest", "tests/test_a.py"));
    }

    #[test]
    fn the_users_image_stands_and_the_check_is_still_found() {
        let repo = repo(&[("setup.py", ""), ("a_test.py", "")]);
        let chosen = choose(repo.path(), Some("registry/python:3.12")).unwrap();
        assert_eq!((chosen.image.as_str(), chosen.image_because), ("registry/python:3.12", None));
        assert_eq!(chosen.check.unwrap().command, "python3 -m pytest");
    }

    #[test]
    fn a_folder_that_says_nothing_is_an_error_with_a_next_move() {
        let repo = repo(&[("notes.txt", "")]);
        let error = choose(repo.path(), None).unwrap_err();
        assert!(error.hints[0].contains("--image") && error.hints[0].contains("--check"), "{error:?}");
    }

    #[test]
    fn links_and_pipes_are_not_looked_at() {
        let repo = repo(&[("notes.txt", "")]);
        std::os::unix::fs::symlink("/etc/passwd", repo.path().join("setup.py")).unwrap();
        let fifo = repo.path().join("pyproject.toml");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(choose(repo.path(), None).is_err());
        assert_eq!(read_bounded(&fifo), None);
    }
}
