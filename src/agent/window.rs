//! The window: what of the conversation the model still sees, when a checkpoint is due, when it is rebuilt. Decided from
//! counted tokens alone.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::event::{Limits, Mark};
use crate::message::{Block, Message, Role};

/// Of the usable window: where a checkpoint is written.
const MARKS: [Mark; 3] = [Mark::Percent(20), Mark::Percent(45), Mark::Percent(70)];
/// One more, which leaves its writer time before the rebuild.
const LAST_MARK: Mark = Mark::Percent(85);
pub const MARKS_MAX: usize = 8;
const REBUILD_PERCENT: u64 = 95;
/// The most a rebuilt window holds, system text and tools included.
pub const REBUILT_TOKENS_MAX: u64 = 65_000;
/// Of what a small one leaves beside system text and tools.
pub const REBUILT_PERCENT: u64 = 60;
/// Of a rebuilt window: recent turns with their results.
const RECENT_PERCENT: u64 = 35;
/// Of a request: those turns, where fewer would leave out what the newest command said.
const RECENT_PERCENT_MAX: u64 = 25;
/// Calls that look up what is on record, or put something there: they can be made again.
const LOOK_UPS: [&str; 6] = ["recall", "read_file", "list_files", "search", "plan", "hypothesis"];
/// Of the whole window: the answer.
const ANSWER_PERCENT: u64 = 25;
const ANSWER_TOKENS_MAX: u64 = 8_192;
/// Bytes a token stands for, on the safe side: source code measures 4 to 5.
const BYTES_PER_TOKEN: u64 = 3;
/// Of every message, for role and separators.
const TOKENS_PER_MESSAGE: u64 = 8;
/// What a provider says of its counting is believed between these.
const COUNTED_PER_MILLE_MIN: u64 = 400;
const COUNTED_PER_MILLE_MAX: u64 = 2_500;

/// What the fold keeps of it.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Estimated, of the turns in it.
    pub tokens: u64,
    /// Estimated, of what stands before them in each request: system text, tools, opening. Known from the last request.
    fixed: u64,
    /// What the provider counted of the last request for every thousand tokens estimated; 0 before it ever said.
    counted_per_mille: u64,
    /// The same when the window began: its first message is laid out by it and stays as it is.
    laid_out_per_mille: u64,
    /// Estimated: turns that a rebuild kept.
    pub kept: u64,
    /// It began anew, and no request has been made of it yet.
    is_fresh: bool,
    /// What the provider counted of the last request in this window.
    counted_last: u64,
    /// Passed since the last rebuild.
    marks: usize,
    /// Messages of the window that the writer of notes has been shown.
    noted: usize,
    /// The newest version.
    pub newest: Option<Arc<Checkpoint>>,
    /// What the present window was rebuilt from; `None` while it is the first.
    pub opened_with: Option<Arc<Checkpoint>>,
    pub rebuilds: u32,
    /// Why a fresh window is wanted before this one is full.
    pub wanted: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    Checkpoint,
    Rebuild,
}

/// How many tokens there are for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The answer.
    pub answer: u64,
    /// Everything sent, system text and tools included.
    pub request: u64,
    /// Of a rebuilt window: recent turns, and the most of them where the newest command would not be among them.
    pub recent: u64,
    recent_max: u64,
    /// Where checkpoints are due, in tokens, lowest first.
    marks: [u64; MARKS_MAX + 1],
}

impl Room {
    /// `shrinks` halves it for every time the provider found a request too long.
    pub fn of(limits: &Limits, shrinks: u32) -> Self {
        let window = limits.context_tokens_max >> shrinks;
        let answer = (window * ANSWER_PERCENT / 100).min(ANSWER_TOKENS_MAX);
        let request = window - answer;
        let rebuilt = (request * REBUILT_PERCENT / 100).min(REBUILT_TOKENS_MAX);
        let mut marks = [u64::MAX; MARKS_MAX + 1];
        let asked = if limits.checkpoint_at.is_empty() { &MARKS[..] } else { &limits.checkpoint_at[..] };
        for (place, mark) in marks.iter_mut().zip(asked.iter().take(MARKS_MAX).chain([&LAST_MARK])) {
            *place = match *mark {
                Mark::Percent(percent) => (request * percent).div_ceil(100),
                Mark::Tokens(tokens) => tokens,
            };
        }
        marks.sort_unstable();
        let (recent, recent_max) = (rebuilt * RECENT_PERCENT / 100, request * RECENT_PERCENT_MAX / 100);
        Room { answer, request, recent, recent_max, marks }
    }
}

impl Window {
    /// What must happen before the request after `turn`.
    pub fn due(&self, room: Room, turn: u64) -> Option<Due> {
        let covered = self.newest.as_ref().is_some_and(|newest| newest.turn == turn);
        let tokens = self.counted(self.tokens + self.fixed);
        if self.wanted.is_some() || 100 * tokens / room.request.max(1) >= REBUILD_PERCENT {
            return Some(if covered { Due::Rebuild } else { Due::Checkpoint });
        }
        (self.passed(room) > self.marks && !covered).then_some(Due::Checkpoint)
    }

    fn passed(&self, room: Room) -> usize {
        let tokens = self.counted(self.tokens + self.fixed);
        room.marks.iter().filter(|&&mark| tokens >= mark).count()
    }

    /// An estimate as the provider would count it.
    pub fn counted(&self, estimated: u64) -> u64 {
        if self.counted_per_mille == 0 { estimated } else { estimated * self.counted_per_mille / 1000 }
    }

    /// What the next request may be counted as at its worst: the window only grows until it is rebuilt.
    pub fn worst(&self, estimated: u64) -> u64 {
        self.counted(estimated).max(self.counted_last)
    }

    /// The most tokens to estimate for something that may be counted as `tokens`.
    pub fn estimated(&self, tokens: u64) -> u64 {
        (tokens * 1000).checked_div(self.counted_per_mille).unwrap_or(tokens)
    }

    /// The same by what was known when the window began.
    pub fn laid_out(&self, tokens: u64) -> u64 {
        (tokens * 1000).checked_div(self.laid_out_per_mille).unwrap_or(tokens)
    }

    pub(super) fn requested(&mut self, estimated: u64, room: Room) {
        self.fixed = estimated.saturating_sub(self.tokens);
        if std::mem::take(&mut self.is_fresh) {
            // What it began with is in the checkpoint that it began with.
            self.marks = self.passed(room);
        }
    }

    /// Learns what an estimate is worth: at once where it was too low, carefully where it was too high.
    pub(super) fn counted_by_provider(&mut self, estimated: u64, counted: u64) {
        self.counted_last = counted;
        let now = (1000 * counted / estimated.max(1)).clamp(COUNTED_PER_MILLE_MIN, COUNTED_PER_MILLE_MAX);
        self.counted_per_mille = match self.counted_per_mille {
            0 => now,
            before => now.max((3 * before + now) / 4),
        };
    }

    pub(super) fn checkpoint(&mut self, checkpoint: Checkpoint, room: Room) {
        self.marks = self.passed(room);
        self.newest = Some(Arc::new(checkpoint));
    }

    /// The same facts with other notes.
    pub(super) fn amended(&mut self, checkpoint: Checkpoint) {
        self.newest = Some(Arc::new(checkpoint));
    }

    /// What the writer of notes has not been shown yet.
    pub fn unnoted<'a>(&self, transcript: &'a [Message]) -> &'a [Message] {
        &transcript[self.noted.min(transcript.len())..]
    }

    pub(super) fn noted_until(&mut self, messages: usize) {
        self.noted = messages;
    }

    /// How many messages leave at a rebuild: all but the newest whole turns that fit into `room.recent`, and a few more
    /// where these only looked things up. Where a fresh window was wanted, all.
    pub fn leaving(&self, transcript: &[Message], room: Room) -> usize {
        if self.wanted.is_some() {
            return transcript.len();
        }
        let (tokens_max, stretched) = (self.estimated(room.recent), self.estimated(room.recent_max));
        let (mut keep, mut tokens, mut has_done) = (0, 0, false);
        // Turns end with the user's half: results or a word of the runner.
        for (at, message) in transcript.iter().enumerate().rev() {
            tokens += tokens_of(message);
            if tokens > tokens_max && (has_done || tokens > stretched) {
                break;
            }
            if message.role == Role::Assistant {
                keep = transcript.len() - at;
                has_done |= message.content.iter().any(does_something);
            }
        }
        transcript.len() - keep
    }

    /// `transcript` is what stays of it; `dropped` messages before that left.
    pub(super) fn rebuilt(&mut self, transcript: &[Message], dropped: usize) {
        self.noted = self.noted.saturating_sub(dropped);
        self.tokens = transcript.iter().map(tokens_of).sum();
        self.kept = self.tokens;
        self.laid_out_per_mille = self.counted_per_mille;
        self.is_fresh = true;
        self.opened_with = self.newest.clone();
        self.marks = 0;
        self.fixed = 0;
        self.counted_last = 0;
        self.rebuilds += 1;
        self.wanted = None;
    }
}

fn does_something(block: &Block) -> bool {
    matches!(block, Block::ToolUse(call) if !LOOK_UPS.contains(&call.name.as_str()))
}

pub fn tokens_of_text(text: &str) -> u64 {
    (text.len() as u64).div_ceil(BYTES_PER_TOKEN)
}

pub fn tokens_of(message: &Message) -> u64 {
    text_bytes(message).div_ceil(BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE
}

fn text_bytes(message: &Message) -> u64 {
    message
        .content
        .iter()
        .map(|block| match block {
            Block::Text { text } => text.len(),
            Block::Thinking { thinking, signature } => thinking.len() + signature.as_ref().map_or(0, String::len),
            Block::RedactedThinking { data } => data.len(),
            Block::ToolUse(call) => call.name.len() + call.input.to_string().len(),
            Block::ToolResult { content, .. } => content.len(),
        } as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::{CHECKPOINT_SCHEMA, Notes, WriterOutcome};
    use crate::message::ToolUse;

    fn checkpoint(turn: u64) -> Checkpoint {
        Checkpoint {
            schema: CHECKPOINT_SCHEMA,
            version: 1,
            turn,
            step: turn,
            sections: vec![],
            notes: Notes::default(),
            writer: WriterOutcome::Absent,
        }
    }

    fn turns(count: usize, bytes: usize) -> Vec<Message> {
        (0..count)
            .flat_map(|n| {
                let id = n.to_string();
                let call = ToolUse { id: id.clone(), name: "bash".into(), input: serde_json::json!({"command": "ls"}) };
                let result = Block::ToolResult { tool_use_id: id, content: "x".repeat(bytes), is_error: false };
                [
                    Message { role: Role::Assistant, content: vec![Block::ToolUse(call)] },
                    Message { role: Role::User, content: vec![result] },
                ]
            })
            .collect()
    }

    fn room(tokens: u64) -> Room {
        Room::of(&Limits { context_tokens_max: tokens, ..Limits::default() }, 0)
    }

    #[test]
    fn checkpoints_are_due_at_their_marks_and_before_a_rebuild() {
        let room = room(100_000);
        let mut window = Window::default();
        let mut due = Vec::new();
        for turn in 0..100 {
            window.tokens = (room.request * turn).div_ceil(100);
            while let Some(what) = window.due(room, turn) {
                due.push((turn, what));
                if what == Due::Rebuild {
                    assert_eq!(
                        due,
                        [20, 45, 70, 85, 95]
                            .map(|at| (at, Due::Checkpoint))
                            .into_iter()
                            .chain([(95, Due::Rebuild)])
                            .collect::<Vec<_>>()
                    );
                    return;
                }
                window.checkpoint(checkpoint(turn), room);
            }
        }
        panic!("never rebuilt: {due:?}");
    }

    #[test]
    fn a_rebuilt_window_keeps_whole_turns_that_fit() {
        let mut transcript = turns(50, 3_000);
        let mut window = Window { newest: Some(Arc::new(checkpoint(50))), ..Window::default() };
        let room = Room { recent: 5_000, ..room(100_000) };
        let leaving = window.leaving(&transcript, room);
        transcript.drain(..leaving);
        window.rebuilt(&transcript, leaving);
        assert_eq!((leaving, transcript.len(), transcript[0].role), (92, 8, Role::Assistant));
        assert!(window.tokens <= 5_000);
    }

    #[test]
    fn what_the_newest_command_said_stays_though_look_ups_came_after_it() {
        let mut transcript = turns(10, 900);
        for (name, at) in [("recall", 14), ("plan", 16), ("recall", 18)] {
            let call = ToolUse { id: "r".into(), name: name.into(), input: serde_json::json!({"query": "x"}) };
            transcript[at].content = vec![Block::ToolUse(call)];
        }
        let window = Window::default();
        let leaving =
            |recent, recent_max| 20 - window.leaving(&transcript, Room { recent, recent_max, ..room(100_000) });
        assert_eq!((leaving(700, 5_000), leaving(700, 900), leaving(2_000, 5_000)), (8, 4, 12));
    }

    #[test]
    fn a_rebuilt_window_needs_no_checkpoint_of_what_it_began_with() {
        let room = room(8_000);
        let mut window = Window { newest: Some(Arc::new(checkpoint(7))), ..Window::default() };
        window.rebuilt(&turns(2, 900), 8);
        window.requested(4_300, room);
        assert_eq!(window.due(room, 8), None);
        window.tokens += 1_000;
        assert_eq!(window.due(room, 9), Some(Due::Checkpoint));
    }

    #[test]
    fn a_provider_that_counts_more_than_estimated_is_believed_at_once() {
        let mut window = Window::default();
        assert_eq!(window.counted(1_000), 1_000);
        window.counted_by_provider(1_000, 700);
        assert_eq!((window.counted(1_000), window.estimated(700)), (700, 1_000));
        window.counted_by_provider(1_000, 1_300);
        assert_eq!(window.counted(1_000), 1_300);
        window.counted_by_provider(1_000, 900);
        assert_eq!(window.counted(1_000), 1_200);
        window.counted_by_provider(1_000, 9_000);
        assert_eq!((window.counted(1_000), window.worst(1_000)), (2_500, 9_000));
    }

    #[test]
    fn a_small_window_leaves_room_for_an_answer() {
        let room = room(8_000);
        assert_eq!((room.answer, room.request, room.recent), (2_000, 6_000, 1_260));
        let half = Room::of(&Limits { context_tokens_max: 8_000, ..Limits::default() }, 1);
        assert_eq!(half.request, 3_000);
    }
}
