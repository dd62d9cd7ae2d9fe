//! The failing tests of a check as a command of their own: their ids given back in the form their runner takes.
//!
//! A command is rewritten only where every word of it is understood; what runs before it (`make build && pytest`) stays.

use std::collections::BTreeSet;

use greenroom_parsers::{Report, TestStatus};

/// More failing tests than this are run with all the others.
const IDS_MAX: usize = 50;
const COMMAND_BYTES_MAX: usize = 16 << 10;

/// Failing tests by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    /// For `sh -c`, in the place of the check's own command.
    pub command: String,
    /// As the report names them.
    pub ids: Vec<String>,
}

/// Tests that the report says failed.
pub fn failing_tests(report: &Report) -> Vec<&str> {
    let fails = |status| matches!(status, TestStatus::Failed | TestStatus::Error | TestStatus::Timeout);
    let ids: BTreeSet<&str> =
        report.tests.iter().filter(|test| fails(test.status)).map(|test| test.id.as_str()).collect();
    ids.into_iter().collect()
}

/// `None` where the runner behind `check` is not known to take such ids, or where there are none, or too many.
pub fn rerun(check: &str, report: &Report, ids: &[&str]) -> Option<Rerun> {
    if ids.is_empty() || ids.len() > IDS_MAX || !ids.iter().all(|id| is_plain(id)) {
        return None;
    }
    let (before, last) = last_command(check);
    let words = words(last)?;
    let told = |tool: &str| report.tools.iter().any(|name| name == tool);
    let command = match Runner::of(&words)? {
        Runner::Pytest(at) if told("pytest") => pytest(&words, at, ids),
        Runner::Unittest(at) if told("unittest") => unittest(&words, at, ids),
        Runner::Cargo if told("libtest") => cargo(&words, ids),
        Runner::Go(at) if told("go-test") => go(&words, at, ids),
        Runner::Script if told("jest") || told("vitest") => script(&words, ids),
        Runner::Maven if told("maven") || told("junit") => maven(&words, ids),
        Runner::Ctest if told("ctest") => ctest(&words, ids),
        _ => None,
    }?;
    let command = format!("{before}{command}");
    let ids = ids.iter().map(|id| (*id).to_owned()).collect();
    (command.len() <= COMMAND_BYTES_MAX).then_some(Rerun { command, ids })
}

/// Neither an option nor anything a terminal would act on.
fn is_plain(id: &str) -> bool {
    !id.is_empty() && !id.starts_with('-') && !id.contains(char::is_control)
}

/// What runs before the last command of a line, and that command.
fn last_command(check: &str) -> (&str, &str) {
    let at = ["&& ", "; "].iter().filter_map(|mark| Some(check.rfind(mark)? + mark.len())).max().unwrap_or(0);
    check.split_at(at)
}

/// The words of a command that says nothing to a shell but words; quotes as they stand.
fn words(command: &str) -> Option<Vec<&str>> {
    if command.contains(['|', '&', ';', '<', '>', '$', '`', '(', ')', '{', '}', '\\', '\n', '\'', '"', '#']) {
        return None;
    }
    Some(command.split_whitespace().collect()).filter(|words: &Vec<&str>| !words.is_empty())
}

/// Who is called; the number is that of the first word after it.
#[derive(Debug, PartialEq, Eq)]
enum Runner {
    Pytest(usize),
    Unittest(usize),
    Cargo,
    Go(usize),
    /// jest, vitest, or npm's script that starts one of them.
    Script,
    Maven,
    Ctest,
}

impl Runner {
    fn of(words: &[&str]) -> Option<Runner> {
        let name = |word: &str| word.rsplit('/').next().unwrap_or(word).to_owned();
        words.iter().enumerate().find_map(|(at, word)| {
            let next = words.get(at + 1).copied();
            let before = at.checked_sub(1).map(|at| words[at]);
            match (name(word).as_str(), next) {
                ("pytest" | "py.test", _) => Some(Runner::Pytest(at + 1)),
                ("unittest", _) if before == Some("-m") => Some(Runner::Unittest(at + 1)),
                ("cargo", Some("test")) => Some(Runner::Cargo),
                ("go", Some("test")) => Some(Runner::Go(at + 2)),
                ("jest" | "vitest", _) => Some(Runner::Script),
                ("npm", Some("test" | "t")) if words.len() == at + 2 => Some(Runner::Script),
                ("mvn" | "mvnw", _) => Some(Runner::Maven),
                ("ctest", _) => Some(Runner::Ctest),
                _ => None,
            }
        })
    }
}

/// Options stay, paths go: ids name their files.
fn pytest(words: &[&str], at: usize, ids: &[&str]) -> Option<String> {
    const WITH_VALUE: [&str; 9] = ["-k", "-m", "-p", "-c", "-o", "-n", "-W", "--rootdir", "--maxfail"];
    let options = options(&words[at..], &WITH_VALUE);
    Some(join(words[..at].iter().copied().chain(options), ids))
}

/// Only where it finds the tests from where it stands, so that their ids are names from there too.
fn unittest(words: &[&str], at: usize, ids: &[&str]) -> Option<String> {
    let rest = &words[at..];
    let discovers = rest.first() == Some(&"discover");
    let rest = if discovers { &rest[1..] } else { rest };
    let plain = |word: &&str| ["-v", "-q", "-b", "-f", "-c", "--verbose", "--quiet", "--buffer"].contains(word);
    if discovers && !rest.iter().all(plain) {
        return None;
    }
    let options = rest.iter().copied().filter(plain);
    Some(join(words[..at].iter().copied().chain(options), ids))
}

fn cargo(words: &[&str], ids: &[&str]) -> Option<String> {
    let dashes = if words.contains(&"--") { "--exact" } else { "-- --exact" };
    Some(join(words.iter().copied().chain([dashes]), ids))
}

/// `example.com/x/stack::TestTable/two_words`: the package, and the test at the top.
fn go(words: &[&str], at: usize, ids: &[&str]) -> Option<String> {
    const WITH_VALUE: [&str; 12] = [
        "-bench",
        "-count",
        "-timeout",
        "-tags",
        "-p",
        "-cpu",
        "-coverprofile",
        "-covermode",
        "-coverpkg",
        "-parallel",
        "-ldflags",
        "-C",
    ];
    if words.iter().any(|word| word.starts_with("-run") || *word == "-args") {
        return None;
    }
    let (mut packages, mut tests) = (BTreeSet::new(), BTreeSet::new());
    for id in ids {
        let (package, test) = id.split_once("::")?;
        let top = test.split('/').next().filter(|name| is_word(name))?;
        packages.insert(package);
        tests.insert(top);
    }
    let pattern = format!("^({})$", tests.into_iter().collect::<Vec<_>>().join("|"));
    let options = options(&words[at..], &WITH_VALUE);
    let head = words[..at].iter().copied().chain(options).chain(["-run"]);
    Some(join(head, &[&[pattern.as_str()][..], &packages.into_iter().collect::<Vec<_>>()].concat()))
}

/// Their patterns are for names as a reader would say them, suites first.
fn script(words: &[&str], ids: &[&str]) -> Option<String> {
    if words.iter().any(|word| *word == "-t" || word.starts_with("--testNamePattern") || *word == "--") {
        return None;
    }
    let names: Vec<String> = ids.iter().map(|id| escaped(&id.replace(" > ", " "))).collect();
    let pattern = format!("({})$", names.join("|"));
    let by_npm = words.contains(&"npm");
    let option: &[&str] = if by_npm { &["--", "-t"] } else { &["-t"] };
    Some(join(words.iter().copied().chain(option.iter().copied()), &[&pattern]))
}

/// `shop.CalcTest#adds`, what a parameter was left out.
fn maven(words: &[&str], ids: &[&str]) -> Option<String> {
    let phase = |word: &&str| matches!(*word, "test" | "package" | "verify" | "install");
    if !words.iter().any(phase) || words.iter().any(|word| word.starts_with("-Dtest=")) {
        return None;
    }
    let mut wanted = BTreeSet::new();
    for id in ids {
        let plain = id.split(['(', '[', '{']).next()?;
        let (class, method) = plain.split_once('#')?;
        if ![class, method].iter().all(|name| name.split(['.', '$']).all(is_word)) {
            return None;
        }
        wanted.insert(plain);
    }
    let tests = format!("-Dtest={}", wanted.into_iter().collect::<Vec<_>>().join(","));
    let none_is_well = "-Dsurefire.failIfNoSpecifiedTests=false";
    Some(join(words.iter().copied().chain([none_is_well]), &[&tests]))
}

fn ctest(words: &[&str], ids: &[&str]) -> Option<String> {
    if words.iter().any(|word| word.starts_with("-R") || word.starts_with("--tests-regex")) {
        return None;
    }
    let names: Vec<String> = ids.iter().map(|id| escaped(id)).collect();
    Some(join(words.iter().copied().chain(["-R"]), &[&format!("^({})$", names.join("|"))]))
}

/// The options among these words, with the values of those that take one; other words are left out.
fn options<'a>(words: &[&'a str], with_value: &[&str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    let mut takes = false;
    for word in words {
        if takes || word.starts_with('-') {
            kept.push(*word);
        }
        takes = !takes && with_value.contains(word);
    }
    kept
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || char == '_')
}

/// For a regular expression.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        if ".+*?^$()[]{}|\\/".contains(char) {
            out.push('\\');
        }
        out.push(char);
    }
    out
}

/// The words as they are, then the others for a shell.
fn join<'a>(words: impl Iterator<Item = &'a str>, quoted: &[impl AsRef<str>]) -> String {
    let quoted = quoted.iter().map(|word| format!("'{}'", word.as_ref().replace('\'', "'\\''")));
    words.map(str::to_owned).chain(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(tool: &str, check: &str, ids: &[&str]) -> Option<String> {
        let report = Report { tools: vec![tool.into()], ..Report::default() };
        rerun(check, &report, ids).map(|rerun| rerun.command)
    }

    #[test]
    fn ids_go_back_in_the_form_their_runner_takes() {
        for (tool, check, ids, expected) in [
            (
                "pytest",
                "python3 -m pytest -q -k 5 tests",
                &["tests/test_a.py::test_x[it's 1]"][..],
                "python3 -m pytest -q -k 5 'tests/test_a.py::test_x[it'\\''s 1]'",
            ),
            ("pytest", "make build && pytest", &["t.py::a"], "make build && pytest 't.py::a'"),
            ("unittest", "python3 -m unittest -v", &["test_a.T.test_x"], "python3 -m unittest -v 'test_a.T.test_x'"),
            ("libtest", "cargo test", &["tests::a", "tests::b"], "cargo test -- --exact 'tests::a' 'tests::b'"),
            ("libtest", "cargo test -- -q", &["tests::a"], "cargo test -- -q --exact 'tests::a'"),
            (
                "go-test",
                "go test -count 1 ./...",
                &["x.io/st::TestB", "x.io/st::TestA", "x.io/st::TestA/sub_1"],
                "go test -count 1 -run '^(TestA|TestB)$' 'x.io/st'",
            ),
            ("jest", "npx jest", &["a suite > adds (1)"], "npx jest -t '(a suite adds \\(1\\))$'"),
            ("vitest", "npm test", &["adds"], "npm test -- -t '(adds)$'"),
            (
                "maven",
                "mvn -B test",
                &["shop.CalcTest#adds(int)[1]"],
                "mvn -B test -Dsurefire.failIfNoSpecifiedTests=false '-Dtest=shop.CalcTest#adds'",
            ),
            ("ctest", "ctest --output-on-failure", &["b.d"], "ctest --output-on-failure -R '^(b\\.d)$'"),
        ] {
            assert_eq!(told(tool, check, ids).as_deref(), Some(expected), "{check}");
        }
    }

    #[test]
    fn what_is_not_understood_is_run_as_a_whole() {
        for (tool, check, ids) in [
            ("pytest", "pytest | tee log", &["a"][..]),
            ("pytest", "pytest -k 'a or b'", &["a"]),
            ("libtest", "pytest", &["a"]),
            ("pytest", "make test", &["a"]),
            ("pytest", "pytest", &[]),
            ("pytest", "pytest", &["--exitfirst"]),
            ("go-test", "go test -run X ./...", &["p::TestX"]),
            ("go-test", "go test ./...", &["example.com/x::[build failed]"]),
            ("unittest", "python3 -m unittest discover -s tests", &["test_a.T.test_x"]),
            ("jest", "npm run lint && npm test -- --ci", &["adds"]),
        ] {
            assert_eq!(told(tool, check, ids), None, "{check}");
        }
    }

    #[test]
    fn more_than_fifty_are_no_few() {
        let many: Vec<String> = (0..=IDS_MAX).map(|number| format!("t{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(told("pytest", "pytest", &many).is_none() && told("pytest", "pytest", &many[1..]).is_some());
    }
}
