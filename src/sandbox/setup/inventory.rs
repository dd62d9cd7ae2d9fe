//! Which packages there are, in what version and with which hash, from the managers' own records. What a manager does not
//! keep is left out rather than guessed; a record that cannot be read is an empty one.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::super::{SandboxError, WORKSPACE};
use super::chamber::Chamber;
use crate::network::{InstalledPackage, Manager};

/// Where pip writes what it installed from which file.
pub(super) const PIP_REPORT: &str = "/tmp/greenroom-pip.json";
const QUESTION_MAX: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Names, versions and hashes beyond these are not words of a package manager.
const WORD_BYTES_MAX: usize = 256;
/// Of packages that one install adds to the record.
const PACKAGES_MAX: usize = 2000;

/// What the manager has on record now.
pub(super) async fn take(chamber: &mut Chamber<'_>, manager: Manager) -> Result<Vec<InstalledPackage>, SandboxError> {
    let question = match manager {
        Manager::Apt => "dpkg-query -W -f '${Package} ${Version}\\n'",
        Manager::Cargo => "cat Cargo.lock",
        Manager::Npm => "cat node_modules/.package-lock.json",
        Manager::Pip => "python3 -m pip list --format=json",
    };
    let answer = ask(chamber, question).await?;
    let mut found = match manager {
        Manager::Apt => apt(&answer),
        Manager::Cargo => cargo(&answer),
        Manager::Npm => npm(&answer),
        Manager::Pip => pip(&answer),
    };
    let is_word = |word: &str| !word.is_empty() && word.len() <= WORD_BYTES_MAX && !word.contains(char::is_control);
    found.retain(|package| is_word(&package.name) && is_word(&package.version));
    for package in &mut found {
        package.hash = package.hash.take().filter(|hash| is_word(hash));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// What is there now and was not before.
pub(super) fn added(before: &[InstalledPackage], mut after: Vec<InstalledPackage>) -> Vec<InstalledPackage> {
    after.retain(|package| before.binary_search(package).is_err());
    after.truncate(PACKAGES_MAX);
    after
}

/// With the hashes that stand in another record than the list.
pub(super) async fn hashed(
    chamber: &mut Chamber<'_>,
    manager: Manager,
    mut packages: Vec<InstalledPackage>,
) -> Result<Vec<InstalledPackage>, SandboxError> {
    let known = match manager {
        Manager::Cargo | Manager::Npm => return Ok(packages),
        Manager::Pip => pip_hashes(&ask(chamber, &format!("cat {PIP_REPORT}")).await?),
        Manager::Apt if packages.is_empty() => return Ok(packages),
        Manager::Apt => {
            let names: Vec<String> =
                packages.iter().map(|package| format!("'{}={}'", package.name, package.version)).collect();
            apt_hashes(&ask(chamber, &format!("apt-cache show {}", names.join(" "))).await?)
        }
    };
    for package in &mut packages {
        let found = known.get(&(package.name.to_ascii_lowercase(), package.version.clone()));
        package.hash = found.filter(|hash| hash.len() <= WORD_BYTES_MAX).cloned();
    }
    Ok(packages)
}

async fn ask(chamber: &mut Chamber<'_>, question: &str) -> Result<String, SandboxError> {
    let (answered, text) = chamber.answer(WORKSPACE, question, QUESTION_MAX, ANSWER_BYTES_MAX).await?;
    Ok(if answered { text } else { String::new() })
}

fn apt(text: &str) -> Vec<InstalledPackage> {
    let package = |line: &str| {
        let (name, version) = line.split_once(' ')?;
        Some(InstalledPackage { name: name.to_owned(), version: version.to_owned(), hash: None })
    };
    text.lines().filter_map(package).collect()
}

/// Paragraphs of `Package`, `Version` and `SHA256`.
fn apt_hashes(text: &str) -> BTreeMap<(String, String), String> {
    let paragraph = |text: &str| {
        let field = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()));
        Some(((field("Package:")?, field("Version:")?), format!("sha256:{}", field("SHA256:")?)))
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

fn cargo(text: &str) -> Vec<InstalledPackage> {
    #[derive(Deserialize)]
    struct Lock {
        #[serde(default)]
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        /// Those of the repository itself have none.
        source: Option<String>,
        checksum: Option<String>,
    }
    let lock: Lock = toml::from_str(text).unwrap_or(Lock { package: Vec::new() });
    let package = |package: Package| {
        package.source?;
        let hash = package.checksum.map(|hash| format!("sha256:{hash}"));
        Some(InstalledPackage { name: package.name, version: package.version, hash })
    };
    lock.package.into_iter().filter_map(package).collect()
}

fn npm(text: &str) -> Vec<InstalledPackage> {
    #[derive(Default, Deserialize)]
    struct Lock {
        #[serde(default)]
        packages: BTreeMap<String, Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        version: Option<String>,
        integrity: Option<String>,
    }
    let lock: Lock = serde_json::from_str(text).unwrap_or_default();
    let package = |(path, package): (String, Package)| {
        let name = path.rsplit("node_modules/").next()?.to_owned();
        Some(InstalledPackage { name, version: package.version?, hash: package.integrity })
    };
    lock.packages.into_iter().filter_map(package).collect()
}

fn pip(text: &str) -> Vec<InstalledPackage> {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let packages: Vec<Package> = serde_json::from_str(text).unwrap_or_default();
    let package = |package: Package| InstalledPackage { name: package.name, version: package.version, hash: None };
    packages.into_iter().map(package).collect()
}

/// pip's report on an installation: <https://pip.pypa.io/en/stable/reference/installation-report/>.
fn pip_hashes(text: &str) -> BTreeMap<(String, String), String> {
    let report: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let item = |item: &serde_json::Value| {
        let text = |path: &str| item.pointer(path)?.as_str().map(str::to_owned);
        let hash = text("/download_info/archive_info/hashes/sha256")?;
        let (name, version) = (text("/metadata/name")?, text("/metadata/version")?);
        Some(((name.to_ascii_lowercase(), version), format!("sha256:{hash}")))
    };
    report["install"].as_array().into_iter().flatten().filter_map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, version: &str, hash: Option<&str>) -> InstalledPackage {
        InstalledPackage { name: name.into(), version: version.into(), hash: hash.map(str::to_owned) }
    }

    #[test]
    fn every_managers_record_is_read() {
        assert_eq!(apt("tree 2.2.1-1\nodd\n"), [package("tree", "2.2.1-1", None)]);
        let lock = "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n[[package]]\nname = \"itoa\"\n\
                    version = \"1.0.11\"\nsource = \"registry+x\"\nchecksum = \"49f1\"\n";
        assert_eq!(cargo(lock), [package("itoa", "1.0.11", Some("sha256:49f1"))]);
        let lock = r#"{"packages":{"node_modules/a/node_modules/@x/b":{"version":"2.0.0","integrity":"sha512-xyz"},
                      "node_modules/link":{"link":true}}}"#;
        assert_eq!(npm(lock), [package("@x/b", "2.0.0", Some("sha512-xyz"))]);
        assert_eq!(pip(r#"[{"name":"six","version":"1.16.0"}]"#), [package("six", "1.16.0", None)]);
        for broken in ["", "{", "null", "[[package]]"] {
            assert!(cargo(broken).is_empty() && npm(broken).is_empty() && pip(broken).is_empty(), "{broken}");
        }
    }

    #[test]
    fn hashes_are_found_where_they_are_kept() {
        let report = r#"{"install":[{"download_info":{"archive_info":{"hashes":{"sha256":"8abb"}}},
                        "metadata":{"name":"Six","version":"1.16.0"}},{"metadata":{}}]}"#;
        assert_eq!(pip_hashes(report)[&("six".to_owned(), "1.16.0".to_owned())], "sha256:8abb");
        let shown = "Package: tree\nVersion: 2.2.1-1\nSHA256: abcd\n\nPackage: other\nVersion: 1\n";
        assert_eq!(apt_hashes(shown)[&("tree".to_owned(), "2.2.1-1".to_owned())], "sha256:abcd");
    }

    #[test]
    fn what_was_there_before_is_not_news() {
        let before = [package("a", "1", None), package("b", "1", None)];
        let after = vec![package("a", "1", None), package("b", "2", None), package("c", "1", None)];
        assert_eq!(added(&before, after), [package("b", "2", None), package("c", "1", None)]);
    }
}
