//! The window: what of the conversation the model still sees, when a checkpoint is due, when it is rebuilt. Decided from
//! counted tokens alone.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::event::Limits;
use crate::message::{Block, Message, Role};

/// Of the usable window: where a checkpoint is written. The last one leaves its writer time before the rebuild.
const MARKS_PERCENT: [u64; 4] = [20, 45, 70, 85];
const REBUILD_PERCENT: u64 = 95;
/// The most a rebuilt window holds.
const REBUILT_TOKENS_MAX: u64 = 65_000;
/// Of a usable window that is small.
const REBUILT_PERCENT: u64 = 60;
/// Of a rebuilt window: recent turns with their results.
const RECENT_PERCENT: u64 = 35;
/// Of the whole window: the answer.
const ANSWER_PERCENT: u64 = 25;
const ANSWER_TOKENS_MAX: u64 = 8_192;
/// Bytes a token stands for, on the safe side: source code measures 4 to 5.
const BYTES_PER_TOKEN: u64 = 3;
/// Of every message, for role and separators.
const TOKENS_PER_MESSAGE: u64 = 8;

/// What the fold keeps of it.
#[derive(Debug, Clone, Default)]
pub struct Window {
    /// Of the turns in it, the opening apart.
    pub tokens: u64,
    /// Passed since the last rebuild.
    marks: usize,
    /// The newest version.
    pub newest: Option<Arc<Checkpoint>>,
    /// What the present window was rebuilt from; `None` while it is the first.
    pub opened_with: Option<Arc<Checkpoint>>,
    pub rebuilds: u32,
    /// Why a fresh window is wanted before this one is full.
    pub wanted: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// A rebuilt window: opening and recent turns.
    pub rebuilt: u64,
    pub recent: u64,
}

impl Room {
    /// `shrinks` halves it for every time the provider found a request too long.
    pub fn of(limits: &Limits, shrinks: u32) -> Self {
        let window = limits.context_tokens_max >> shrinks;
        let answer = (window * ANSWER_PERCENT / 100).min(ANSWER_TOKENS_MAX);
        let request = window - answer;
        let rebuilt = (request * REBUILT_PERCENT / 100).min(REBUILT_TOKENS_MAX);
        Room { answer, request, rebuilt, recent: rebuilt * RECENT_PERCENT / 100 }
    }
}

impl Window {
    /// What must happen before the next request. `fixed` are the tokens of system text, tools and opening.
    pub fn due(&self, room: Room, fixed: u64, turn: u64) -> Option<Due> {
        let covered = self.newest.as_ref().is_some_and(|newest| newest.turn == turn);
        let percent = 100 * (self.tokens + fixed) / room.request.max(1);
        if self.wanted.is_some() || percent >= REBUILD_PERCENT {
            return Some(if covered { Due::Rebuild } else { Due::Checkpoint });
        }
        let passed = MARKS_PERCENT.iter().filter(|&&mark| percent >= mark).count();
        (passed > self.marks && !covered).then_some(Due::Checkpoint)
    }

    pub(super) fn checkpoint(&mut self, checkpoint: Checkpoint, room: Room, fixed: u64) {
        let percent = 100 * (self.tokens + fixed) / room.request.max(1);
        self.marks = MARKS_PERCENT.iter().filter(|&&mark| percent >= mark).count();
        self.newest = Some(Arc::new(checkpoint));
    }

    /// Leaves the newest turns that fit into `recent_tokens`, each with its results, and says how many messages left.
    pub(super) fn rebuild(&mut self, transcript: &mut Vec<Message>, recent_tokens: u64) -> usize {
        let mut keep = 0;
        let mut tokens = 0;
        // Turns end with the user's half: results or a word of the runner.
        for (at, message) in transcript.iter().enumerate().rev() {
            tokens += tokens_of(message);
            if tokens > recent_tokens {
                break;
            }
            if message.role == Role::Assistant {
                keep = transcript.len() - at;
            }
        }
        let left = transcript.len() - keep;
        transcript.drain(..left);
        self.tokens = transcript.iter().map(tokens_of).sum();
        self.opened_with = self.newest.clone();
        self.marks = 0;
        self.rebuilds += 1;
        self.wanted = None;
        left
    }
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
            window.tokens = room.request * turn / 100;
            while let Some(what) = window.due(room, 0, turn) {
                due.push((turn, what.clone()));
                match what {
                    Due::Checkpoint => window.checkpoint(checkpoint(turn), room, 0),
                    Due::Rebuild => break,
                }
            }
            if due.last().is_some_and(|(_, what)| *what == Due::Rebuild) {
                break;
            }
        }
        let at: Vec<u64> = due.iter().map(|(turn, _)| *turn).collect();
        // Percent are counted down, so a mark may come a turn late.
        assert!(matches!(at[..], [20..=21, 45..=46, 70..=71, 85..=86, 95..=96, 95..=96]), "{due:?}");
    }

    #[test]
    fn a_rebuilt_window_keeps_whole_turns_that_fit() {
        let mut transcript = turns(50, 3_000);
        let mut window = Window::default();
        window.newest = Some(Arc::new(checkpoint(50)));
        let left = window.rebuild(&mut transcript, 5_000);
        assert_eq!((left, transcript.len()), (92, 8));
        assert_eq!(transcript[0].role, Role::Assistant);
        assert!(window.tokens <= 5_000);
    }

    #[test]
    fn a_small_window_leaves_room_for_an_answer() {
        let room = room(8_000);
        assert_eq!((room.answer, room.request, room.rebuilt, room.recent), (2_000, 6_000, 3_600, 1_260));
        let half = Room::of(&Limits { context_tokens_max: 8_000, ..Limits::default() }, 1);
        assert_eq!(half.request, 3_000);
    }
}
