//! Test results as XML: JUnit in its dialects (Surefire, pytest, jest-junit, GoogleTest), xUnit.net, NUnit 2 and 3, TRX.

mod failure;
mod lint;
mod outcome;

use std::collections::HashMap;

use super::xml::{self, Event, Tag, Xml};
use super::{Kind, Reader, Tool};
use crate::document::Document;
use crate::sink::{Evidence, Sink};
use crate::window::Lines;
use crate::{PrintedCounts, TestCase, TestStatus};

pub(super) const TOOL: Tool = Tool {
    name: "junit",
    kind: Kind::TestRunner,
    xml_roots: &["testsuites", "testsuite", "test-results", "test-run", "assemblies", "assembly", "TestRun"],
    anchors: &[
        "</testcase>",
        "</testsuite>",
        "</testsuites>",
        "</test-results>",
        "</test-run>",
        "</assemblies>",
        "</TestRun>",
    ],
    reader: || Box::new(JunitXml),
    ..Tool::DEFAULT
};

struct JunitXml;

impl Reader for JunitXml {
    fn read(&mut self, lines: Lines<'_>, sink: &mut Sink) -> usize {
        xml::tell_lost_end(lines, TOOL.anchors, sink);
        0
    }

    fn read_document(&mut self, document: &Document<'_>, sink: &mut Sink) -> bool {
        let Some(text) = document.xml() else { return false };
        let mut run = Run::default();
        let mut xml = Xml::new(text).peekable();
        if xml.peek().is_none() {
            return false;
        }
        for event in xml {
            match event {
                Event::Start(tag) => {
                    run.start(tag);
                    if tag.empty {
                        run.end(tag.name);
                    }
                }
                Event::Text(text) => run.text(&text),
                Event::End(name) => run.end(name),
            }
        }
        run.report(text, sink);
        true
    }
}

/// Which program wrote it: this decides how a test is named to run it again.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Dialect {
    #[default]
    Plain,
    Pytest,
    Surefire,
    GoogleTest,
}

/// Text that is kept, by the element it stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    /// The body of `<failure>` or `<error>`: message and trace in one.
    Body,
    Message,
    Stack,
    Reason,
}

#[derive(Default)]
struct Case {
    test: TestCase,
    class: String,
    body: String,
    stack: String,
    reason: String,
    failure_type: Option<String>,
    trx_id: Option<String>,
    /// Of a linter's finding.
    column: Option<u32>,
    severity: Option<String>,
    package: Option<(String, String)>,
    /// A group of data-driven results, each of which is a test.
    is_group: bool,
}

#[derive(Default)]
struct Run {
    dialect: Dialect,
    done: Vec<Case>,
    open: Vec<Case>,
    field: Option<Field>,
    /// Depth of `<testsuite>` below the first whose totals count.
    suites: usize,
    totals: Option<Totals>,
    /// Errors of whole suites, outside any test: a set-up that failed.
    broken_suites: u64,
    /// A failure that belongs to no test: a suite's own, or that of a test whose beginning is missing.
    failed_outside: bool,
    /// A test ended that had not begun: part of the document is missing.
    torn: bool,
    is_oxlint: bool,
    /// `org.<linter>` and the file, where the suite is one file's findings.
    package: Option<(String, String)>,
    /// TRX: test id to class.
    classes: HashMap<String, String>,
    trx_ids: Vec<String>,
}

#[derive(Default, Clone, Copy)]
struct Totals {
    tests: u64,
    failed: u64,
    errors: u64,
    skipped: u64,
    xfailed: u64,
}

const TEXT_BYTES_MAX: usize = 16 << 10;

impl Run {
    fn start(&mut self, tag: Tag<'_>) {
        match tag.name {
            "testsuites" | "testsuite" | "test-results" | "test-run" | "assembly" => self.suite(tag),
            "Counters" => self.totals = outcome::trx_totals(tag),
            "testcase" | "test-case" | "test" | "UnitTestResult" => self.case(tag),
            "UnitTest" => self.trx_ids.extend(tag.get("id").map(String::from)),
            "TestMethod" => {
                if let (Some(id), Some(class)) = (self.trx_ids.pop(), tag.get("className")) {
                    let class = class.split(',').next().unwrap_or("").to_owned();
                    self.classes.insert(id, class);
                }
            }
            _ => self.detail(tag),
        }
    }

    fn suite(&mut self, tag: Tag<'_>) {
        let schema = tag.get("noNamespaceSchemaLocation").or_else(|| tag.get("xsi:noNamespaceSchemaLocation"));
        if schema.is_some_and(|schema| schema.contains("surefire")) {
            self.dialect = Dialect::Surefire;
        } else if tag.get("name").is_some_and(|name| name == "pytest") {
            self.dialect = Dialect::Pytest;
        } else if tag.name == "testsuites" && tag.get("name").is_some_and(|name| name == "AllTests") {
            self.dialect = Dialect::GoogleTest;
        }
        self.is_oxlint |= tag.name == "testsuites" && tag.get("name").is_some_and(|name| name == lint::OXLINT);
        if tag.name == "testsuite" {
            let package = tag.get("package").filter(|package| package.starts_with("org.")).map(String::from);
            self.package = package
                .or_else(|| self.is_oxlint.then(|| lint::OXLINT.to_owned()))
                .zip(tag.get("name").map(String::from));
        }
        // The outermost suites that say how many tests they have speak for those inside.
        if self.suites == 0
            && let Some(totals) = outcome::totals(tag)
        {
            let sum = self.totals.get_or_insert_default();
            sum.add(totals);
            self.suites = 1;
        } else if self.suites > 0 {
            self.suites += 1;
        }
    }

    fn case(&mut self, tag: Tag<'_>) {
        if let Some(parent) = self.open.last_mut() {
            parent.is_group = true;
        }
        let attribute = |name: &str| tag.get(name).map(String::from);
        let mut case = Case {
            class: outcome::class(tag),
            trx_id: attribute("testId"),
            column: tag.position("column"),
            package: self.package.clone(),
            ..Case::default()
        };
        let name = ["fullname", "testName", "name"].into_iter().find_map(attribute).unwrap_or_default();
        case.test = TestCase {
            id: name,
            status: outcome::of_case(tag),
            file: ["file", "filepath", "source-file"].into_iter().find_map(attribute).filter(|file| !file.is_empty()),
            line: ["line", "lineno", "source-line"].into_iter().find_map(|name| tag.position(name)),
            duration_ms: outcome::duration_ms(tag),
            ..TestCase::default()
        };
        self.open.push(case);
    }

    /// What stands inside a test.
    fn detail(&mut self, tag: Tag<'_>) {
        let Some(case) = self.open.last_mut() else {
            self.broken_suites += u64::from(tag.name == "error" && self.suites > 0);
            self.failed_outside |= tag.name == "failure";
            return;
        };
        match tag.name {
            "failure" | "error" => {
                let status = if tag.name == "error" { TestStatus::Error } else { TestStatus::Failed };
                if matches!(case.test.status, TestStatus::Passed | TestStatus::NotRun | TestStatus::Error) {
                    case.test.status = status;
                }
                if case.test.message.is_none() {
                    case.test.message = tag.get("message").map(String::from).filter(|message| !message.is_empty());
                    case.failure_type = tag.get("type").or_else(|| tag.get("exception-type")).map(String::from);
                }
                self.field = Some(Field::Body);
            }
            "skipped" | "disabled" | "ignored" => {
                // pytest writes xfail as a skip of that type.
                let is_xfail = tag.get("type").is_some_and(|kind| kind == "pytest.xfail");
                if case.test.status == TestStatus::Passed {
                    case.test.status = if is_xfail { TestStatus::Xfailed } else { TestStatus::Skipped };
                }
                if case.test.message.is_none() {
                    case.test.message = tag.get("message").map(String::from).filter(|message| !message.is_empty());
                }
                self.field = Some(Field::Reason);
            }
            "message" | "Message" if self.field == Some(Field::Reason) => {}
            "message" | "Message" => self.field = Some(Field::Message),
            "stack-trace" | "StackTrace" => self.field = Some(Field::Stack),
            "reason" => self.field = Some(Field::Reason),
            "property" if tag.get("name").is_some_and(|name| name == "severity") => {
                case.severity = tag.get("value").map(String::from);
            }
            _ => self.field = None,
        }
    }

    fn text(&mut self, text: &str) {
        let (Some(field), Some(case)) = (self.field, self.open.last_mut()) else { return };
        let kept = match field {
            Field::Body => &mut case.body,
            Field::Message => case.test.message.get_or_insert_default(),
            Field::Stack => &mut case.stack,
            Field::Reason => &mut case.reason,
        };
        let room = TEXT_BYTES_MAX.saturating_sub(kept.len());
        kept.push_str(&text[..text.floor_char_boundary(room)]);
    }

    fn end(&mut self, name: &str) {
        match name {
            "testsuites" | "testsuite" | "test-results" | "test-run" | "assembly" => {
                self.suites = self.suites.saturating_sub(1);
            }
            "testcase" | "test-case" | "test" | "UnitTestResult" => {
                match self.open.pop() {
                    Some(case) if !case.is_group => self.done.push(case),
                    Some(_) => {}
                    None => self.torn = true,
                }
                self.field = None;
            }
            "failure" | "error" | "skipped" | "stack-trace" | "StackTrace" | "Message" | "reason" => self.field = None,
            // The stack may follow the message inside one `<failure>`.
            "message" if self.field == Some(Field::Message) => self.field = None,
            _ => {}
        }
    }

    fn report(mut self, text: &str, sink: &mut Sink) {
        let mut counted = Totals::default();
        let findings: Option<Vec<_>> = self
            .done
            .iter()
            .map(|case| case.package.as_ref().and_then(|(package, file)| lint::finding(case, package, file)))
            .collect();
        if let Some(findings) = findings.filter(|findings| !findings.is_empty()) {
            return findings.into_iter().for_each(|found| sink.diagnostic(found));
        }
        sink.evidence(Evidence::RunStarted);
        for mut case in self.done {
            if self.dialect == Dialect::Plain && failure::looks_like_googletest(&case.body) {
                self.dialect = Dialect::GoogleTest;
            }
            // TRX defines its tests after their results.
            if let Some(class) = case.trx_id.as_ref().and_then(|id| self.classes.get(id)) {
                case.class.clone_from(class);
            }
            let test = failure::complete(case, self.dialect);
            counted.count(test.status);
            sink.test(test);
        }
        // What is listed counts; a suite's totals speak where nothing is, or where they know of more failures.
        let says_more = |totals: &Totals| {
            counted.tests == 0 || totals.failed.saturating_add(totals.errors) > counted.failed + counted.errors
        };
        if let Some(totals) = self.totals.filter(says_more) {
            let not_passed = totals.failed.saturating_add(totals.errors).saturating_add(totals.skipped);
            sink.printed(&PrintedCounts {
                passed: Some(totals.tests.saturating_sub(not_passed).max(counted.passed())),
                failed: Some(totals.failed),
                errors: Some(totals.errors),
                // JUnit counts expected failures as skipped.
                skipped: Some(totals.skipped.saturating_sub(counted.xfailed)),
                ..PrintedCounts::default()
            });
        }
        if self.broken_suites > 0 {
            sink.evidence(Evidence::SaysError);
        }
        if self.failed_outside {
            sink.evidence(Evidence::SaysFailed);
        }
        // Less than was announced, or damaged on its way: what is missing may have failed. NUnit 2 counts as it likes.
        let announced = self.totals.filter(|_| !text.contains("<test-results")).map_or(0, |totals| totals.tests);
        if counted.failed + counted.errors == 0 && (counted.tests < announced || !is_sound(text)) {
            sink.evidence(Evidence::BreaksOff);
        }
        let nothing = counted.tests == 0 && self.totals.is_none_or(|totals| totals.tests == 0);
        if nothing {
            sink.evidence(Evidence::SaysNoTests);
        }
        if !self.torn && self.open.is_empty() && self.suites == 0 {
            sink.evidence(Evidence::RunEnded);
        }
    }
}

/// Text belongs in what was printed or said, and a message on an element that is known.
fn is_sound(text: &str) -> bool {
    const HOLDERS: &[&str] =
        &["testsuites", "testsuite", "properties", "testcase", "test-run", "test-suite", "assembly", "collection"];
    const SAYING: &[&str] =
        &["skipped", "failure", "error", "rerunFailure", "flakyFailure", "rerunError", "flakyError"];
    xml::is_sound(text, |event, inside| match event {
        Event::Start(tag) if inside == "testcase" => {
            SAYING.contains(&tag.name) || tag.pairs().all(|(name, _)| name != "message" && name != "type")
        }
        Event::Text(text) => !HOLDERS.contains(&inside) || text.trim().is_empty(),
        Event::Start(_) | Event::End(_) => true,
    })
}
