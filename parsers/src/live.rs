//! What is read while a command still runs: events as they come, and in the end the report that [`parse`](crate::parse)
//! would give.

use serde::Serialize;

use crate::{Diagnostic, Exit, Parser, Report, Summary, TestCase, TestStatus, Trace};

/// Something that was read. Events are early: a finding may be told without what the tool prints below it. The report in
/// the end is whole, and says what counts.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Only runners that print it when a test begins.
    TestStarted {
        id: String,
    },
    /// The name as the line gave it; a runner may complete it later (`go test` by the package).
    TestFinished {
        id: String,
        status: TestStatus,
    },
    /// A test that did not pass, with all that is known of why.
    Failure(TestCase),
    Diagnostic(Diagnostic),
    Trace(Trace),
}

/// Reads one command's output while it runs.
///
/// Reads everything twice, once as it comes and once with all that follows in view, so that being early costs the report
/// nothing. Both are bounded in memory. A list's cap ends its events too.
///
/// ```
/// use greenroom_parsers::{Event, Exit, Live, Verdict};
///
/// let mut live = Live::new(None, Some("make"));
/// live.feed(b"cc -c a.c\na.c:3:5: error: expected ';' before '}' token\n");
/// // Nothing more came for a moment: what is there is read as it is.
/// let events = live.settle();
/// let [Event::Diagnostic(found)] = &events[..] else { panic!("{events:?}") };
/// assert_eq!(found.line, Some(3));
///
/// live.feed(b"make: *** [Makefile:2: a.o] Error 1\n");
/// let report = live.finish(Some(Exit::Code(2)));
/// assert_eq!((report.verdict, report.diagnostics[0].line), (Verdict::Error, Some(3)));
/// ```
pub struct Live {
    whole: Parser,
    early: Parser,
}

impl Live {
    /// See [`ToolOutput`](crate::ToolOutput) for what these are.
    ///
    /// ```
    /// assert!(greenroom_parsers::Live::new(None, None).settle().is_empty());
    /// ```
    pub fn new(tool: Option<&str>, command: Option<&str>) -> Self {
        let mut early = Parser::new(tool, command, None);
        early.tell_early();
        Self { whole: Parser::new(tool, command, None), early }
    }

    /// Takes the next piece and answers what was read by now: some lines wait for those below them.
    ///
    /// ```
    /// let mut live = greenroom_parsers::Live::new(None, None);
    /// let events: usize = (0..10_000).map(|n| live.feed(format!("a.c:{n}:1: warning: x\n").as_bytes()).len()).sum();
    /// assert!(events > 0);
    /// ```
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.whole.feed(bytes);
        self.early.feed(bytes);
        self.early.events()
    }

    /// Nothing came for a while, or all has come: reads the lines that wait. Call it when a tenth of a second has passed
    /// without output.
    pub fn settle(&mut self) -> Vec<Event> {
        self.early.read_all();
        self.early.events()
    }

    /// The counts so far.
    ///
    /// ```
    /// let mut live = greenroom_parsers::Live::new(None, None);
    /// live.feed(b"ok  \tshop\t0.01s\n");
    /// live.settle();
    /// assert_eq!(live.so_far().passed, 1);
    /// ```
    pub fn so_far(&self) -> &Summary {
        self.early.summary()
    }

    /// The same report as that of [`parse`](crate::parse). What was not told yet is in it.
    pub fn finish(mut self, exit: Option<Exit>) -> Report {
        if let Some(exit) = exit {
            self.whole.set_exit(exit);
        }
        self.whole.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line comes alone, after a pause.
    fn told(text: &str, command: &str) -> Vec<Event> {
        let mut live = Live::new(None, Some(command));
        let mut events = Vec::new();
        for line in text.split_inclusive('\n') {
            events.extend(live.feed(line.as_bytes()));
            events.extend(live.settle());
        }
        events
    }

    fn names(events: &[Event]) -> Vec<String> {
        let name = |event: &Event| match event {
            Event::TestStarted { id } => format!("start {id}"),
            Event::TestFinished { id, status } => format!("{status:?} {id}"),
            Event::Failure(test) => format!("why {}: {}", test.id, test.message.as_deref().unwrap_or("")),
            Event::Diagnostic(found) => found.message.clone(),
            Event::Trace(trace) => format!("trace {}", trace.exception.as_deref().unwrap_or("")),
        };
        events.iter().map(name).collect()
    }

    #[test]
    fn a_go_test_is_told_when_it_begins_when_it_ends_and_with_its_reason() {
        let text = "=== RUN   TestA\n--- PASS: TestA (0.01s)\n=== RUN   TestB\n    b_test.go:9: no\n\
                    --- FAIL: TestB (0.00s)\nFAIL\nFAIL\tshop\t0.02s\n";
        assert_eq!(
            names(&told(text, "go test -v")),
            ["start TestA", "Passed TestA", "start TestB", "Failed TestB", "why shop::TestB: no"]
        );
    }

    #[test]
    fn a_rust_test_is_told_by_its_line_and_its_panic_at_the_end() {
        let text = "running 2 tests\ntest a ... ok\ntest b ... FAILED\n\nfailures:\n\n---- b stdout ----\n\
                    thread 'b' panicked at src/lib.rs:9:9:\nboom\n\n\nfailures:\n    b\n\n\
                    test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let told = names(&told(text, "cargo test"));
        assert_eq!(told[..2], ["Passed a", "Failed b"]);
        assert!(told.iter().any(|name| name.starts_with("why b: ")), "{told:?}");
    }

    #[test]
    fn a_document_waits_for_its_end() {
        let line = r#"{"type":"test","event":"started","name":"a"}"#;
        let mut live = Live::new(None, None);
        live.feed(b"[\n  {\"filePath\": \"a.js\", \"messages\": [\n");
        assert_eq!(live.settle(), []);
        live.feed(
            b"    {\"ruleId\": \"semi\", \"severity\": 2, \"message\": \"no\", \"line\": 1, \"column\": 2}\n  ]}\n]\n",
        );
        assert_eq!(names(&live.settle()), ["no"]);
        live.feed(format!("{line}\n").as_bytes());
        assert_eq!(names(&live.settle()), ["start a"]);
    }
}
