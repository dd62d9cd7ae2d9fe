//! `install`: packages from outside, in the middle of a run, if the operator allowed that.
//!
//! The words of it; the driver does it, because the run goes on in another container.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;
use serde_json::json;

use crate::event::ToolOutcome;
use crate::message::ToolSpec;
use crate::network::{INSTALL, InstalledPackage, Manager};

pub(super) const NAME: &str = INSTALL;
const PACKAGES_MAX: usize = 32;
const PACKAGE_BYTES_MAX: usize = 128;
/// Each is one more layer of an image.
pub const INSTALLS_MAX: usize = 20;
/// Of what was installed in what the model reads.
const SHOWN_MAX: usize = 40;

/// A name with what its manager takes for a version. Nothing that is an option, a path, an address or a word of a shell.
static PACKAGE: LazyLock<[(Manager, Regex); 4]> = LazyLock::new(|| {
    let pattern = |text| Regex::new(text).expect("a literal");
    [
        (Manager::Apt, pattern(r"^[a-z0-9][a-z0-9.+-]*[a-z0-9+.](=[A-Za-z0-9.+:~-]+)?$")),
        (Manager::Cargo, pattern(r"^[A-Za-z][A-Za-z0-9_-]*(@[0-9A-Za-z.^~=<>*+-]+)?$")),
        (Manager::Npm, pattern(r"^(@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9][A-Za-z0-9._~-]*(@[0-9A-Za-z.^~=<>*+-]+)?$")),
        (
            Manager::Pip,
            pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9,._-]+\])?([=<>!~]=?=?[A-Za-z0-9.*+!,<>=~]+)?$"),
        ),
    ]
});

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Args {
    pub manager: Manager,
    #[serde(default)]
    pub packages: Vec<String>,
}

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        name: NAME,
        description: "Install packages from the network, if the operator allowed it: the only way to get any. The \
                      sandbox is made anew with them and your files on top; processes, build output and $HOME start \
                      afresh. npm and cargo write the packages into their manifests; with pip, list them there \
                      yourself. The clean container of the verification has them too.",
        input_schema: json!({
            "type": "object",
            "properties": {
                "manager": {"type": "string", "enum": ["pip", "npm", "cargo", "apt"]},
                "packages": {"type": "array", "items": {"type": "string"}, "maxItems": PACKAGES_MAX,
                    "description": "Names, with a version in the manager's notation if it matters. Without any: what \
                                    the manifests list now"},
            },
            "required": ["manager"],
            "additionalProperties": false,
        }),
    }
}

impl Args {
    /// What is wrong with them, for the model.
    pub fn refusal(&self) -> Option<String> {
        if self.packages.len() > PACKAGES_MAX {
            return Some(format!("at most {PACKAGES_MAX} packages at a time"));
        }
        let pattern = PACKAGE.iter().find(|(manager, _)| *manager == self.manager).map(|(_, pattern)| pattern)?;
        let fits = |package: &&String| package.len() <= PACKAGE_BYTES_MAX && pattern.is_match(package);
        let wrong = self.packages.iter().find(|package| !fits(package))?;
        Some(format!(
            "`{}` is not the name of a {} package: give names, with a version if it matters; no addresses, paths or \
             options",
            wrong.escape_debug(),
            self.manager
        ))
    }
}

/// The answer where the operator allowed nothing.
pub fn not_allowed() -> ToolOutcome {
    ToolOutcome::refused(
        "packages cannot be installed in this run: its operator did not allow it (`greenroom run --install` does). Work \
         with what is there, or say in `submit` which packages are needed",
    )
}

/// The answer to a call that was under way when an earlier runner ended.
pub fn unknown() -> ToolOutcome {
    ToolOutcome {
        effect_unknown: true,
        is_error: true,
        ..ToolOutcome::told(
            "the runner was interrupted while this install was under way, so what came of it is not known; the sandbox \
             is as it was before. Call it again if the packages are still needed",
        )
    }
}

/// What was installed, for the model.
pub fn told(manager: Manager, packages: &[InstalledPackage], written: &[String]) -> String {
    let mut text = match packages.len() {
        0 => format!("{manager} succeeded and added no package that was not there before\n"),
        1 => format!("installed 1 package with {manager}:\n"),
        count => format!("installed {count} packages with {manager}:\n"),
    };
    for package in packages.iter().take(SHOWN_MAX) {
        let hash = package.hash.as_deref().map_or(String::new(), |hash| format!(" {hash}"));
        text.push_str(&format!("- {} {}{hash}\n", package.name, package.version));
    }
    if packages.len() > SHOWN_MAX {
        text.push_str(&format!("- and {} more\n", packages.len() - SHOWN_MAX));
    }
    if !written.is_empty() {
        text.push_str(&format!("{manager} changed {}\n", written.join(", ")));
    }
    text.push_str(
        "The sandbox was made anew: your files are as they were; processes, build output and $HOME are not.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_pass_and_everything_else_is_refused() {
        let refused = |manager, package: &str| Args { manager, packages: vec![package.to_owned()] }.refusal();
        for (manager, package) in [
            (Manager::Pip, "six"),
            (Manager::Pip, "requests[socks]>=2.0,<3"),
            (Manager::Pip, "ruamel.yaml==0.18.*"),
            (Manager::Npm, "@types/node@^20.1.0"),
            (Manager::Npm, "is-number"),
            (Manager::Cargo, "serde_json@1.0"),
            (Manager::Apt, "libstdc++-14-dev"),
            (Manager::Apt, "g++=4:14.2.0-1"),
        ] {
            assert_eq!(refused(manager, package), None, "{package}");
        }
        for manager in [Manager::Pip, Manager::Npm, Manager::Cargo, Manager::Apt] {
            for package in [
                "",
                "-r",
                "--index-url=x",
                "a b",
                "a;b",
                "a'b",
                "$(a)",
                "../a",
                "/a",
                "https://evil.example/a",
                "git+https://evil.example/a",
                "user/repo",
                "file:a",
                "a\nb",
            ] {
                assert!(refused(manager, package).is_some(), "{manager} {package:?}");
            }
            assert!(refused(manager, &"a".repeat(PACKAGE_BYTES_MAX + 1)).is_some());
        }
        assert!(refused(Manager::Apt, "dash-").is_some(), "that removes it");
    }
}
