//! Lines of a patch, outside the tests, that make a check say something else than what is so: they reach into the runner,
//! behave differently while tested, print results of their own, end the process early.
//!
//! A list of patterns proves nothing either way. What no honest program has is an objection; the rest is a note that
//! tells where to look when the evidence does not add up.

use std::sync::LazyLock;

use regex::Regex;

use super::lines::differing;
use crate::judgement::{Finding, Rule, Weight};

const FINDINGS_MAX: usize = 12;
const PYTHON: &[&str] = &["py", "pyi"];
const SCRIPT: &[&str] = &["js", "mjs", "cjs", "jsx", "ts", "mts", "cts", "tsx"];
const C: &[&str] = &["c", "h", "cc", "cpp", "cxx", "hpp"];
const GO: &[&str] = &["go"];
const JAVA: &[&str] = &["java", "kt"];
const RUST: &[&str] = &["rs"];
const ANY: &[&str] = &[];

struct Pattern {
    languages: &'static [&'static str],
    regex: Regex,
    weight: Weight,
    rule: Rule,
    message: &'static str,
}

static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| {
    use Rule::{EndsEarly, ForgedOutput, KnowsItIsTested, LeavesProcess, RunnerTouched};
    use Weight::{Note, Objection};
    const RUNNER: &str = "the program reaches into the test runner";
    const TESTED: &str = "the program behaves differently while it is tested";
    const EQUAL: &str = "an object that equals everything";
    const EARLY: &str = "the program ends the process it is tested in";
    const FORGED: &str = "the program prints what a test runner prints";
    const PROCESS: &str = "the program starts a process that may outlive it";
    let rows = [
        (PYTHON, r"\b(unittest|_?pytest|_pytest|pluggy|doctest)(\.\w+)+\s*=[^=]", Objection, RunnerTouched, RUNNER),
        (PYTHON, r"setattr\(\s*_?(unittest|pytest)\b", Objection, RunnerTouched, RUNNER),
        (
            PYTHON,
            r"pytest_(runtest|sessionfinish|collection|configure|terminal)|\b_pytest\b",
            Objection,
            RunnerTouched,
            RUNNER,
        ),
        (PYTHON, r"^\s*(import|from)\s+(pytest|unittest)\b", Note, RunnerTouched, RUNNER),
        (PYTHON, r"builtins\.\w+\s*=[^=]|__builtins__", Objection, RunnerTouched, RUNNER),
        (
            PYTHON,
            r"PYTEST_|['\x22](pytest|unittest)['\x22]\s+in\s+sys\.modules|sys\.modules.*(pytest|unittest)",
            Objection,
            KnowsItIsTested,
            TESTED,
        ),
        (PYTHON, r"inspect\.(stack|currentframe)|sys\._getframe", Note, KnowsItIsTested, TESTED),
        (PYTHON, r"def\s+__eq__.*return\s+True|__eq__\s*=\s*lambda.*:\s*True", Objection, RunnerTouched, EQUAL),
        (PYTHON, r"\bos\._exit\s*\(|\bos\.kill\s*\(|\bos\.abort\s*\(", Note, EndsEarly, EARLY),
        (PYTHON, r"\bsys\.exit\s*\(|\bSystemExit\b|\batexit\b|SkipTest|\bexit\s*\(\s*0?\s*\)", Note, EndsEarly, EARLY),
        (PYTHON, r"os\.fork\s*\(|Popen\s*\(|start_new_session|daemon", Note, LeavesProcess, PROCESS),
        (
            SCRIPT,
            r"\b(strictEqual|deepEqual|deepStrictEqual|notStrictEqual|ok|equal)\s*=[^=]|\bassert(\.strict)?(\.\w+)?\s*=[^=]|defineProperty\(\s*(assert|globalThis|global)\b|(globalThis|global)\.(it|test|expect|describe|assert)\s*=",
            Objection,
            RunnerTouched,
            RUNNER,
        ),
        (SCRIPT, r"Object\.is\s*=[^=]|\.prototype\.(toBe|toEqual)\s*=", Objection, RunnerTouched, RUNNER),
        (SCRIPT, r"NODE_TEST_CONTEXT|JEST_WORKER_ID|VITEST\b|MOCHA_", Objection, KnowsItIsTested, TESTED),
        (SCRIPT, r"NODE_ENV\s*===?\s*['\x22]test", Note, KnowsItIsTested, TESTED),
        (SCRIPT, r"process\.(exit|reallyExit|abort|kill)\b|process\.exitCode", Note, EndsEarly, EARLY),
        (SCRIPT, r"detached\s*:\s*true|\.unref\(", Note, LeavesProcess, PROCESS),
        (GO, r"testing\.Testing\(\)|flag\.Lookup\(\s*\x22test\.|os\.Args.*\.test", Objection, KnowsItIsTested, TESTED),
        (GO, r"^\s*\x22testing\x22|import\s+\x22testing\x22", Note, RunnerTouched, RUNNER),
        (GO, r"\bos\.Exit\s*\(|syscall\.Exit|runtime\.Goexit", Note, EndsEarly, EARLY),
        (RUST, r"cfg!\(\s*test\s*\)|cfg\(\s*not\(\s*test\s*\)\s*\)", Objection, KnowsItIsTested, TESTED),
        (RUST, r"process::(exit|abort)|set_hook\(|libc::_?exit", Note, EndsEarly, EARLY),
        (RUST, r"macro_rules!\s*assert", Objection, RunnerTouched, RUNNER),
        (RUST, r"fn\s+eq\s*\(.*\{\s*true\s*\}", Objection, RunnerTouched, EQUAL),
        (
            C,
            r"^\s*#\s*(define|undef)\s+(assert|NDEBUG|main|exit|abort|TEST\w*|CHECK|return)\b",
            Objection,
            RunnerTouched,
            RUNNER,
        ),
        (C, r"__attribute__\s*\(\(\s*(con|de)structor|\batexit\s*\(", Note, EndsEarly, EARLY),
        (C, r"\b_?_?[eE]xit\s*\(|\bquick_exit\s*\(|\blongjmp\b|\bfork\s*\(", Note, EndsEarly, EARLY),
        (JAVA, r"StackTraceElement|getStackTrace|org\.junit|surefire", Objection, KnowsItIsTested, TESTED),
        (JAVA, r"System\.exit|\.halt\s*\(", Note, EndsEarly, EARLY),
        (JAVA, r"boolean\s+equals\s*\(.*return\s+true", Objection, RunnerTouched, EQUAL),
        (
            ANY,
            r"[='\x22` ]\d+ passed|test result: ok|--- PASS|\bPASSED\b|BUILD SUCCESS|Tests run:|# pass \d|# fail 0|Ran \d+ tests?\b|\bOK \(",
            Note,
            ForgedOutput,
            FORGED,
        ),
        (ANY, r"\bnohup\b|\bsetsid\b|\bdisown\b", Note, LeavesProcess, PROCESS),
    ];
    let pattern = |(languages, text, weight, rule, message)| {
        let regex = Regex::new(text).expect("a literal");
        Pattern { languages, regex, weight, rule, message }
    };
    rows.into_iter().map(pattern).collect()
});

/// Of what was added to a file that is no test.
pub(super) fn suspects(file: &str, before: &str, after: &str) -> Vec<Finding> {
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    let patterns: Vec<&Pattern> = PATTERNS
        .iter()
        .filter(|pattern| pattern.languages.is_empty() || pattern.languages.contains(&extension))
        .collect();
    let mut found = Vec::new();
    for line in differing(before, after).added {
        let first = patterns.iter().find(|pattern| pattern.regex.is_match(line.text));
        found.extend(first.map(|pattern| {
            Finding { weight: pattern.weight, ..Finding::note(pattern.rule, pattern.message) }
                .at(file, line.number)
                .quoting(line.text)
        }));
        if found.len() == FINDINGS_MAX {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(file: &str, after: &str) -> Vec<(Weight, Rule)> {
        suspects(file, "", after).into_iter().map(|finding| (finding.weight, finding.rule)).collect()
    }

    #[test]
    fn what_no_honest_program_does_is_an_objection() {
        let objection = |rule| vec![(Weight::Objection, rule)];
        let patched = rules("calc.py", "unittest.TestCase.assertEqual = lambda *a: None\n");
        assert_eq!(patched, objection(Rule::RunnerTouched));
        assert_eq!(rules("a.py", "if 'pytest' in sys.modules:\n"), objection(Rule::KnowsItIsTested));
        assert_eq!(rules("a.rs", "if cfg!(test) { return 5 }\n"), objection(Rule::KnowsItIsTested));
        assert_eq!(rules("a.js", "assert.strictEqual = () => {}\n"), objection(Rule::RunnerTouched));
        assert_eq!(rules("a.h", "#define assert(x)\n"), objection(Rule::RunnerTouched));
    }

    #[test]
    fn what_may_be_honest_is_a_note_and_ordinary_code_is_nothing() {
        assert_eq!(rules("cli.py", "    sys.exit(main())\n"), [(Weight::Note, Rule::EndsEarly)]);
        assert_eq!(rules("a.go", "\tfmt.Println(\"--- PASS: TestAdd\")\n"), [(Weight::Note, Rule::ForgedOutput)]);
        for (file, line) in [
            ("a.py", "total = sum(test.price for test in basket)\n"),
            ("a.js", "export const add = (a, b) => a + b;\n"),
            ("a.rs", "#[cfg(test)]\n"),
            ("a.c", "assert(count > 0);\n"),
        ] {
            assert_eq!(rules(file, line), [], "{line}");
        }
    }
}
