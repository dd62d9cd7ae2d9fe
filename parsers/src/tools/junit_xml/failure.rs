//! The rest of a test: how it is called to run it again, what failed, and where.

use super::{Case, Dialect};
use crate::TestCase;
use crate::tools::place::Place;

pub(super) fn complete(case: Case, dialect: Dialect) -> TestCase {
    let Case { mut test, class, body, stack, reason, failure_type, .. } = case;
    test.id = id(&test, &class, dialect);
    let text = [test.message.as_deref().unwrap_or(""), body.trim(), stack.trim()].join("\n");
    if test.message.as_deref().is_none_or(|message| message.trim().is_empty()) {
        test.message = [body.trim(), reason.trim(), failure_type.as_deref().unwrap_or("")]
            .into_iter()
            .find(|text| !text.is_empty())
            .map(str::to_owned);
    } else if let Some(message) = &mut test.message {
        *message = message.trim().to_owned();
    }
    // A skip has a reason, not a place where it broke.
    let broke = !body.is_empty() || !stack.is_empty();
    if broke
        && test.line.is_none()
        && let Some(place) = place(&text, &class)
    {
        test.file.get_or_insert_with(|| place.file.to_owned());
        test.line = Some(place.line);
    }
    if broke && let Some((expected, actual)) = values(&text) {
        test.expected = Some(expected.to_owned());
        test.actual = Some(actual.to_owned());
    }
    test
}

/// What its runner takes to run this test alone.
fn id(test: &TestCase, class: &str, dialect: Dialect) -> String {
    let name = &test.id;
    if class.is_empty() || name.starts_with(class) {
        return name.clone();
    }
    match dialect {
        Dialect::Pytest => pytest_id(test, class),
        Dialect::Surefire => format!("{class}#{name}"),
        Dialect::GoogleTest => format!("{class}.{name}"),
        // .NET filters by `Namespace.Class.Method`.
        Dialect::Plain
            if test.file.is_none() && name.starts_with(|c: char| c.is_ascii_uppercase()) && class.contains('.') =>
        {
            format!("{class}.{name}")
        }
        Dialect::Plain => format!("{class}::{name}"),
    }
}

/// `tests.test_a.TestB` and `test_c` are `tests/test_a.py::TestB::test_c`.
fn pytest_id(test: &TestCase, class: &str) -> String {
    if let Some(file) = &test.file {
        let module = file.strip_suffix(".py").unwrap_or(file).replace('/', ".");
        if let Some(classes) = class.strip_prefix(module.as_str()) {
            return format!("{file}{}::{}", classes.replace('.', "::"), test.id);
        }
    }
    // Classes begin with a capital, modules do not.
    let parts: Vec<&str> = class.split('.').collect();
    let modules = parts.iter().take_while(|part| !part.starts_with(|c: char| c.is_ascii_uppercase())).count();
    let mut id = parts[..modules].join("/") + ".py";
    for part in &parts[modules..] {
        id.push_str("::");
        id.push_str(part);
    }
    id + "::" + &test.id
}

/// GoogleTest's failures begin with their place on a line of its own.
pub(super) fn looks_like_googletest(body: &str) -> bool {
    body.lines().next().and_then(Place::colons).is_some_and(|place| {
        place.file.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "cc" | "cpp" | "cxx" | "h"))
    })
}

/// The place of the failure, by the forms traces have; the test's own class comes first.
fn place<'a>(text: &'a str, class: &str) -> Option<Place<'a>> {
    let mut best = None;
    for line in text.lines() {
        let line = line.trim();
        // .NET: `at Name.Space.Class.Method() in C:\path\File.cs:line 12`
        if let Some((_, place)) = line.rsplit_once(" in ")
            && let Some((file, number)) = place.rsplit_once(":line ")
            && let Ok(number) = number.trim().parse()
            && number > 0
        {
            return Some(Place { file, line: number, column: None });
        }
        // Java: `at com.example.ThingTest.works(ThingTest.java:12)`
        if let Some(call) = line.strip_prefix("at ")
            && !class.is_empty()
            && call.starts_with(class)
            && let Some((_, place)) = call.trim_end_matches(')').rsplit_once('(')
            && let Some(place) = Place::colons(place)
        {
            return Some(place);
        }
        // Catch2: `at file.cpp:12` alone.
        if let Some(place) = line.strip_prefix("at ").and_then(Place::colons)
            && !place.file.contains([' ', '('])
        {
            return Some(place);
        }
        // gtest: `file.cc:12` alone; pytest: `file.py:12: AssertionError`, of which the last is the innermost.
        let head = line.split(": ").next().unwrap_or(line);
        if let Some(place) = Place::colons(head)
            && place.file.contains('.')
            && !place.file.contains([' ', '(', '"'])
        {
            if looks_like_googletest(line) {
                return Some(place);
            }
            if place.file.ends_with(".py") {
                best = Some(place);
            }
        }
    }
    best
}

/// The two sides of an assertion as the common frameworks write them.
fn values(text: &str) -> Option<(&str, &str)> {
    // JUnit: `expected: <1> but was: <2>`, `expected:<1> but was:<2>`
    if let Some((before, after)) = text.split_once("> but was:") {
        let (_, expected) = before.rsplit_once("expected:")?;
        let actual = after.trim_start().strip_prefix('<')?;
        let (actual, _) = actual.split_once('>')?;
        return Some((expected.trim_start().strip_prefix('<')?, actual));
    }
    // NUnit and xUnit.net: `Expected: 1`, then `But was:  2` or `Actual:   2`.
    let mut lines = text.lines().map(str::trim);
    let expected = lines.find_map(|line| line.strip_prefix("Expected:"))?;
    let actual = lines.next()?;
    let actual = actual.strip_prefix("But was:").or_else(|| actual.strip_prefix("Actual:"))?;
    Some((expected.trim(), actual.trim()))
}
