//! Names that mean something to a machine: git's own folder in all its spellings, links that lead outside, and files
//! that an editor, a shell or a build service runs by itself.

use crate::snapshot::TreePath;

/// Code points that some file systems do not see: `.g\u{200c}it` is `.git` there.
const INVISIBLE: [char; 16] = [
    '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{206a}', '\u{206b}', '\u{206c}', '\u{206d}', '\u{206e}', '\u{206f}', '\u{feff}',
];

/// Whether any part of the path is git's folder on some file system: any case, trailing dots and blanks, the short
/// name `git~1`, a stream `.git::$INDEX_ALLOCATION`, invisible code points, a backslash where it separates.
pub(super) fn is_git_path(path: &[u8]) -> bool {
    path.split(|&b| b == b'/' || b == b'\\').any(|part| {
        let text = String::from_utf8_lossy(part).replace(INVISIBLE, "").to_lowercase();
        let name = text.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
        name == ".git" || name.strip_prefix("git~").is_some_and(|n| n.len() == 1 && n.as_bytes()[0].is_ascii_digit())
    })
}

/// Whether a link at `link` stays inside the tree and away from git's folder. Only leading `..` are counted: one that
/// follows a name could mean anything once that name is itself a link.
pub(super) fn link_stays_inside(link: &TreePath, target: &TreePath) -> bool {
    let target = target.as_bytes();
    if target.starts_with(b"/") || is_git_path(target) {
        return false;
    }
    let mut parts = target.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").peekable();
    let mut climbed = 0;
    while parts.next_if(|part| *part == b"..").is_some() {
        climbed += 1;
    }
    climbed <= link.ancestors().count() && parts.all(|part| part != b"..")
}

/// Whether a machine may run or obey this file without being asked: whoever applies a patch should look at it first.
pub fn runs_by_itself(path: &TreePath) -> bool {
    let lower = path.to_text().to_lowercase();
    let parts: Vec<&str> = lower.split('/').collect();
    let Some((name, folders)) = parts.split_last() else { return false };
    let anywhere = matches!(
        *name,
        ".envrc"
            | ".pre-commit-config.yaml"
            | ".pre-commit-config.yml"
            | "lefthook.yml"
            | "lefthook.yaml"
            | ".lefthook.yml"
            | ".gitmodules"
            | ".gitattributes"
            | ".gitlab-ci.yml"
            | ".gitlab-ci.yaml"
            | ".travis.yml"
            | ".drone.yml"
            | ".cirrus.yml"
            | ".woodpecker.yml"
            | "appveyor.yml"
            | ".appveyor.yml"
            | "azure-pipelines.yml"
            | "bitbucket-pipelines.yml"
            | "cloudbuild.yaml"
            | "jenkinsfile"
            | ".mise.toml"
            | "mise.toml"
            | ".autoenv"
            | ".autoenv.zsh"
            | ".env.vault"
            | ".vimrc"
            | ".nvimrc"
            | ".exrc"
            | ".nvim.lua"
            | ".dir-locals.el"
            | ".mcp.json"
            | ".npmrc"
            | ".yarnrc.yml"
            | ".gdbinit"
            | ".lldbinit"
            | "sitecustomize.py"
            | "usercustomize.py"
    ) || name.ends_with(".code-workspace")
        || name.ends_with(".pth");
    let below = folders.iter().any(|folder| {
        matches!(
            *folder,
            ".vscode"
                | ".idea"
                | ".vs"
                | ".fleet"
                | ".zed"
                | ".husky"
                | ".githooks"
                | ".circleci"
                | ".buildkite"
                | ".woodpecker"
                | ".devcontainer"
                | ".claude"
                | ".cursor"
                | ".codex"
                | ".gemini"
                | ".direnv"
        )
    });
    let forge = folders
        .windows(2)
        .any(|pair| matches!(pair, [".github" | ".gitea" | ".forgejo", "workflows" | "actions"] | [".cargo", _]))
        || (folders.last() == Some(&".cargo") && matches!(*name, "config" | "config.toml"));
    anywhere || below || forge || *name == ".devcontainer.json"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::link_target(text).expect("not empty")
    }

    #[test]
    fn every_spelling_of_gits_folder_is_known() {
        for git in [
            ".git/config",
            "a/.GIT/x",
            "git~1",
            "GIT~2/x",
            ".git ",
            ".git.",
            ".git::$INDEX_ALLOCATION/x",
            ".g\u{200c}it",
            "a\\.git\\x",
        ] {
            assert!(is_git_path(git.as_bytes()), "{git:?}");
        }
        for plain in [".gitignore", ".github/x", "git", "git~10", "a.git", ".gitattributes"] {
            assert!(!is_git_path(plain.as_bytes()), "{plain:?}");
        }
    }

    #[test]
    fn a_link_may_climb_only_to_the_root() {
        for (link, target, inside) in [
            ("a/b/link", "../../c", true),
            ("a/b/link", "../../../c", false),
            ("link", "a/b", true),
            ("link", "./a//b", true),
            ("link", "..", false),
            ("link", "/etc/passwd", false),
            ("link", "a/../b", false),
            ("link", ".git/config", false),
            ("a/link", "../.GIT", false),
        ] {
            assert_eq!(link_stays_inside(&path(link), &path(target)), inside, "{link} -> {target}");
        }
    }

    #[test]
    fn files_that_run_by_themselves_are_named() {
        for file in [
            ".envrc",
            "sub/.envrc",
            ".vscode/tasks.json",
            ".idea/x",
            ".github/workflows/ci.yml",
            ".husky/pre-commit",
            ".cargo/config.toml",
            "Jenkinsfile",
        ] {
            assert!(runs_by_itself(&path(file)), "{file}");
        }
        for file in ["Makefile", "package.json", "src/main.rs", ".github/CODEOWNERS", "tests/conftest.py"] {
            assert!(!runs_by_itself(&path(file)), "{file}");
        }
    }
}
