//! Which paths a run may not change: tests, CI, lock files, the checks' configuration; by convention and by the
//! operator's globs.

use globset::{Glob, GlobSet, GlobSetBuilder};

use crate::judgement::Rules;
use crate::snapshot::TreePath;
use crate::task::Check;

/// Why a path is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Test,
    Ci,
    Lock,
    /// Read by the checks before the code under test is: protected where it is new, too.
    CheckConfig,
    /// Would be found in place of the runner itself.
    RunnerShadow,
    /// Holds what the checks read beside what they do not.
    Mixed(Mixed),
    /// By the operator's `--protect`.
    Operator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mixed {
    PyProject,
    SetupCfg,
    CargoToml,
    PackageJson,
    Pom,
    Makefile,
    CMakeLists,
    /// A source file with tests inside.
    Rust,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Test => "a test",
            Kind::Ci => "CI configuration",
            Kind::Lock => "a lock file",
            Kind::CheckConfig => "configuration of the checks",
            Kind::RunnerShadow => "what stands in for the test runner",
            Kind::Mixed(_) => "partly configuration of the checks",
            Kind::Operator => "protected by you",
        }
    }
}

/// The conventions and the operator's rules, for one set of checks.
pub struct Protection {
    protect: GlobSet,
    may_change: GlobSet,
    commands: Vec<String>,
}

const TEST_FOLDERS: [&str; 12] = [
    "tests",
    "test",
    "__tests__",
    "spec",
    "specs",
    "e2e",
    "testdata",
    "test_data",
    "__snapshots__",
    "testing",
    "__mocks__",
    "cypress",
];
const CI_FOLDERS: [&str; 7] = [".github", ".circleci", ".buildkite", ".gitlab", ".woodpecker", ".forgejo", ".gitea"];
const CI_FILES: [&str; 11] = [
    ".gitlab-ci.yml",
    "Jenkinsfile",
    "azure-pipelines.yml",
    ".travis.yml",
    ".drone.yml",
    "appveyor.yml",
    ".appveyor.yml",
    "bitbucket-pipelines.yml",
    ".woodpecker.yml",
    "codecov.yml",
    ".codecov.yml",
];
const CONFIG_FOLDERS: [&str; 4] = [".cargo", ".mvn", ".config", ".husky"];
const CONFIG_FILES: [&str; 39] = [
    "conftest.py",
    "sitecustomize.py",
    "usercustomize.py",
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "tox.ini",
    "noxfile.py",
    ".coveragerc",
    ".flake8",
    "mypy.ini",
    ".mypy.ini",
    "ruff.toml",
    ".ruff.toml",
    ".pylintrc",
    "pylintrc",
    "pyrightconfig.json",
    "clippy.toml",
    ".clippy.toml",
    "rustfmt.toml",
    ".rustfmt.toml",
    "rust-toolchain",
    "rust-toolchain.toml",
    ".npmrc",
    ".nycrc",
    ".nycrc.json",
    ".c8rc.json",
    ".eslintignore",
    "deno.json",
    "bunfig.toml",
    "go.work",
    "gradle.properties",
    "build.gradle",
    "build.gradle.kts",
    "phpunit.xml",
    ".rspec",
    "checkstyle.xml",
    "CTestConfig.cmake",
];
const CONFIG_STEMS: [&str; 16] = [
    "jest.config.",
    "vitest.config.",
    "vitest.workspace.",
    "vitest.setup.",
    "jest.setup.",
    "karma.conf.",
    "playwright.config.",
    "cypress.config.",
    ".mocharc",
    ".eslintrc",
    "eslint.config.",
    "babel.config.",
    ".babelrc",
    ".golangci.",
    "ava.config.",
    "biome.json",
];
/// A folder or module of this name beside the code is imported in place of the real one.
const SHADOWS: [&str; 12] = [
    "pytest",
    "_pytest",
    "unittest",
    "pluggy",
    "coverage",
    "node_modules",
    "_pytest_cov",
    "pytest_cov",
    "jest",
    "vitest",
    "mocha",
    "nose",
];

impl Protection {
    /// The globs were checked when they were read; one that is not a glob protects nothing and allows nothing.
    pub fn new(rules: &Rules, checks: &[Check]) -> Self {
        Protection {
            protect: globs(&rules.protect),
            may_change: globs(&rules.may_change),
            commands: checks.iter().map(|check| check.command.clone()).collect(),
        }
    }

    /// Whether the operator lets the run change it.
    pub fn may_change(&self, path: &TreePath) -> bool {
        self.may_change.is_match(path.to_path())
    }

    /// `None`: nobody minds. What the operator allows is not asked here.
    pub fn kind(&self, path: &TreePath) -> Option<Kind> {
        if self.protect.is_match(path.to_path()) {
            return Some(Kind::Operator);
        }
        let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
        let parts: Vec<&str> = text.split('/').collect();
        let (name, folders) = parts.split_last()?;
        let top = parts[0];
        let shadow = top.strip_suffix(".py").unwrap_or(top);
        if SHADOWS.contains(&shadow) || folders.contains(&"node_modules") {
            return Some(Kind::RunnerShadow);
        }
        if CI_FOLDERS.contains(&top) || CI_FILES.contains(name) {
            return Some(Kind::Ci);
        }
        if is_lock(name) {
            return Some(Kind::Lock);
        }
        if CONFIG_FILES.contains(name)
            || folders.first().is_some_and(|folder| CONFIG_FOLDERS.contains(folder))
            || CONFIG_STEMS.iter().any(|stem| name.starts_with(stem))
            || self.is_config_of_command(name)
        {
            return Some(Kind::CheckConfig);
        }
        if let Some(mixed) = self.mixed(name) {
            return Some(Kind::Mixed(mixed));
        }
        if folders.iter().any(|folder| TEST_FOLDERS.contains(folder)) || is_test_name(name) || self.names_script(&text)
        {
            return Some(Kind::Test);
        }
        name.ends_with(".rs").then_some(Kind::Mixed(Mixed::Rust))
    }

    /// Whether a check names this path.
    pub fn is_named(&self, path: &TreePath) -> bool {
        let text = path.to_text();
        self.words().any(|word| {
            let word = word.trim_start_matches("./");
            word == text || word.split("::").next() == Some(text.as_str())
        })
    }

    /// Whether some check starts this program.
    fn runs(&self, program: &str) -> bool {
        self.words().any(|word| word == program || word.rsplit('/').next() == Some(program))
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        let ends = |c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ';' | '&' | '|' | '(' | ')' | '=');
        self.commands.iter().flat_map(move |command| command.split(ends)).filter(|word| !word.is_empty())
    }

    fn is_config_of_command(&self, name: &str) -> bool {
        match name {
            "justfile" | "Justfile" | ".justfile" => self.runs("just"),
            "Taskfile.yml" | "Taskfile.yaml" => self.runs("task"),
            "tsconfig.json" => self.runs("tsc"),
            "WORKSPACE" | ".bazelrc" => self.runs("bazel"),
            _ => false,
        }
    }

    fn mixed(&self, name: &str) -> Option<Mixed> {
        match name {
            "pyproject.toml" => Some(Mixed::PyProject),
            "setup.cfg" => Some(Mixed::SetupCfg),
            "Cargo.toml" => Some(Mixed::CargoToml),
            "package.json" => Some(Mixed::PackageJson),
            "pom.xml" => Some(Mixed::Pom),
            "Makefile" | "makefile" | "GNUmakefile" if self.runs("make") || self.runs("gmake") => Some(Mixed::Makefile),
            "CMakeLists.txt" => Some(Mixed::CMakeLists),
            _ => None,
        }
    }

    /// A script that a check runs and whose name says that it checks, or that is a shell script.
    fn names_script(&self, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let checks = ["check", "test", "verify", "lint", "ci"]
            .iter()
            .any(|word| name.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == *word));
        let looks_so = checks || [".sh", ".bash", ".bats"].iter().any(|end| name.ends_with(end));
        looks_so && TreePath::new(path).is_some_and(|path| self.is_named(&path))
    }
}

pub(super) fn is_lock(name: &str) -> bool {
    matches!(
        name,
        "Cargo.lock"
            | "package-lock.json"
            | "npm-shrinkwrap.json"
            | "yarn.lock"
            | "pnpm-lock.yaml"
            | "bun.lock"
            | "poetry.lock"
            | "uv.lock"
            | "pdm.lock"
            | "Pipfile.lock"
            | "go.sum"
            | "Gemfile.lock"
            | "composer.lock"
    )
}

/// The manifests that a lock file follows.
pub(super) fn manifests_of(lock: &str) -> &'static [&'static str] {
    match lock {
        "Cargo.lock" => &["Cargo.toml"],
        "package-lock.json" | "npm-shrinkwrap.json" | "yarn.lock" | "pnpm-lock.yaml" | "bun.lock" => &["package.json"],
        "poetry.lock" | "uv.lock" | "pdm.lock" => &["pyproject.toml"],
        "Pipfile.lock" => &["Pipfile"],
        "go.sum" => &["go.mod"],
        "Gemfile.lock" => &["Gemfile"],
        "composer.lock" => &["composer.json"],
        _ => &[],
    }
}

pub(super) fn is_test_name(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    match extension {
        "py" => stem.starts_with("test_") || stem.ends_with("_test") || matches!(stem, "test" | "tests"),
        "go" => stem.ends_with("_test"),
        "js" | "mjs" | "cjs" | "jsx" | "ts" | "mts" | "cts" | "tsx" => {
            [".test", ".spec", ".cy", "-test", "_test"].iter().any(|end| stem.ends_with(end)) || stem == "test"
        }
        "java" | "kt" | "cs" | "scala" | "groovy" | "php" | "swift" => {
            let parts = ["Test", "Tests", "IT", "Spec", "TestCase"];
            parts.iter().any(|end| stem.ends_with(end))
                || stem.strip_prefix("Test").is_some_and(|rest| rest.starts_with(char::is_uppercase))
        }
        "c" | "cc" | "cpp" | "cxx" | "h" | "hpp" | "rs" | "sh" | "bash" | "rb" | "ex" | "exs" | "dart" | "lua"
        | "jl" => {
            stem.starts_with("test_")
                || ["_test", "_tests", "_spec", "-test"].iter().any(|end| stem.ends_with(end))
                || matches!(stem, "test" | "tests")
        }
        "bats" | "snap" => true,
        _ => false,
    }
}

/// Says what is wrong with a glob.
pub fn glob(text: &str) -> Result<Glob, String> {
    Glob::new(text).map_err(|error| error.kind().to_string())
}

fn globs(texts: &[String]) -> GlobSet {
    let mut set = GlobSetBuilder::new();
    for glob in texts.iter().filter_map(|text| glob(text).ok()) {
        set.add(glob);
    }
    set.build().unwrap_or_else(|_| GlobSet::empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn protection(command: &str) -> Protection {
        let rules =
            Rules { protect: vec!["golden/**".into()], may_change: vec!["tests/unit/**".into()], ..Rules::default() };
        Protection::new(&rules, &[Check { command: command.into() }])
    }

    fn kind(command: &str, path: &str) -> Option<Kind> {
        protection(command).kind(&TreePath::new(path).unwrap())
    }

    #[test]
    fn conventions_of_many_languages_are_known() {
        for test in [
            "tests/data/x.csv",
            "test_calc.py",
            "pkg/calc_test.go",
            "src/a.test.ts",
            "src/b.spec.jsx",
            "src/test/java/org/LibraryTest.java",
            "LibraryTests.java",
            "spec/calc_spec.rb",
            "tests/all.rs",
            "__snapshots__/a.snap",
        ] {
            assert_eq!(kind("make", test), Some(Kind::Test), "{test}");
        }
        for config in ["conftest.py", "a/conftest.py", "jest.config.mjs", ".cargo/config.toml", ".mvn/maven.config"] {
            assert_eq!(kind("make", config), Some(Kind::CheckConfig), "{config}");
        }
        for code in ["src/calc.py", "latest.py", "contest.go", "attest/sign.js", "src/Contest.java", "README.md"] {
            assert_eq!(kind("make", code), None, "{code}");
        }
        assert_eq!(kind("x", ".github/workflows/ci.yml"), Some(Kind::Ci));
        assert_eq!(kind("x", "Cargo.lock"), Some(Kind::Lock));
        assert_eq!(kind("x", "pytest.py"), Some(Kind::RunnerShadow));
        assert_eq!(kind("x", "golden/a.txt"), Some(Kind::Operator));
        assert_eq!(kind("x", "src/lib.rs"), Some(Kind::Mixed(Mixed::Rust)));
    }

    #[test]
    fn what_a_check_runs_decides_too() {
        assert_eq!(kind("make test", "Makefile"), Some(Kind::Mixed(Mixed::Makefile)));
        assert_eq!(kind("pytest", "Makefile"), None);
        assert_eq!(kind("python3 check.py", "check.py"), Some(Kind::Test));
        assert_eq!(kind("python3 main.py", "main.py"), None, "that is the program");
        assert_eq!(kind("sh scripts/all.sh", "scripts/all.sh"), Some(Kind::Test));
        assert_eq!(kind("make", "scripts/all.sh"), None);
    }

    #[test]
    fn what_the_operator_allows_is_told_apart() {
        let protection = protection("pytest tests/new_test.py::test_x");
        assert!(protection.may_change(&TreePath::new("tests/unit/test_a.py").unwrap()));
        assert!(!protection.may_change(&TreePath::new("tests/test_a.py").unwrap()));
        assert!(protection.is_named(&TreePath::new("tests/new_test.py").unwrap()));
    }
}
