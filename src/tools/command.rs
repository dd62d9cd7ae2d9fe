//! Runs one command in the sandbox: its output is parsed as it streams, and its two ends are kept.

use greenroom_parsers::{Parser, Report};

use super::{ToolContext, ToolFailure};
use crate::sandbox::{ExecOutput, ExecRequest, OutputSink, Sandbox, SandboxError, Stream};

/// A command that ran to its end, however it ended.
pub struct Ran {
    pub output: ExecOutput,
    pub report: Report,
    pub kept: Kept,
    /// The kept text lacks its middle.
    pub text_cut: bool,
}

/// Kept at each end of an output; what lies between is parsed and counted, not kept.
const END_BYTES_MAX: usize = 2 << 20;

pub(super) async fn run(context: &ToolContext<'_>, request: &ExecRequest, command: &str) -> Result<Ran, ToolFailure> {
    Ok(run_in(context.sandbox, request, command).await?)
}

/// The same for callers without a tool context: baseline, verification, `exec`.
pub async fn run_in(sandbox: &dyn Sandbox, request: &ExecRequest, command: &str) -> Result<Ran, SandboxError> {
    let mut harvest = Harvest { parser: Parser::new(None, Some(command), None), kept: Kept::default() };
    let output = sandbox.exec(request, &mut harvest).await?;
    if let Some(exit) = output.outcome.as_exit() {
        harvest.parser.set_exit(exit);
    }
    let report = harvest.parser.finish();
    let text_cut = harvest.kept.left_out() > 0;
    Ok(Ran { output, report, kept: harvest.kept, text_cut })
}

struct Harvest {
    parser: Parser,
    kept: Kept,
}

impl OutputSink for Harvest {
    fn chunk(&mut self, _stream: Stream, bytes: &[u8]) {
        self.parser.feed(bytes);
        self.kept.push(bytes);
    }
}

/// Both ends of a byte stream and how much there was.
#[derive(Debug, Default)]
pub struct Kept {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    total: u64,
}

impl Kept {
    pub fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = END_BYTES_MAX - self.head.len();
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(first);
        let rest = &rest[rest.len().saturating_sub(END_BYTES_MAX)..];
        let overflow = (self.tail.len() + rest.len()).saturating_sub(END_BYTES_MAX);
        self.tail.drain(..overflow);
        self.tail.extend(rest);
    }

    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// Bytes between the two ends.
    pub fn left_out(&self) -> u64 {
        self.total - self.head.len() as u64 - self.tail.len() as u64
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut all = self.head.clone();
        if self.left_out() > 0 {
            all.extend_from_slice(format!("\n… {} bytes left out …\n", self.left_out()).as_bytes());
        }
        all.extend(&self.tail);
        all
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The last bytes as text, at most `bytes_max`.
    pub fn last(&self, bytes_max: usize) -> String {
        let all = self.bytes();
        String::from_utf8_lossy(&all[all.len().saturating_sub(bytes_max)..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_flood_are_kept_and_the_middle_is_counted() {
        let mut kept = Kept::default();
        for n in 0..5_000_000u32 {
            kept.push(format!("{n}\n").as_bytes());
        }
        let text = kept.text();
        assert!(text.starts_with("0\n1\n") && text.ends_with("4999999\n"));
        assert_eq!(kept.left_out(), kept.total_bytes() - 2 * END_BYTES_MAX as u64);
    }

    #[test]
    fn a_short_output_is_kept_whole() {
        let mut kept = Kept::default();
        kept.push(b"ab");
        kept.push(b"c");
        assert_eq!((kept.text().as_str(), kept.left_out()), ("abc", 0));
    }
}
