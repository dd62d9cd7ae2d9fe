//! A person's words while the run goes on: part of the next request, and word for word in every checkpoint.

use super::RunState;
use crate::agent::window::tokens_of_text;
use crate::message::{Block, Message, Role};

impl RunState {
    pub(super) fn take_said(&mut self, id: &str, text: &str) {
        if !self.said.insert(id.to_owned()) {
            return;
        }
        self.heed(text);
    }

    pub(super) fn heed(&mut self, text: &str) {
        self.notebook.said.push(text.to_owned());
        let told = format!("The user says, while you work:\n\n{text}");
        match self.transcript.last_mut() {
            // The user's half of the last turn.
            Some(last) if last.role == Role::User => {
                self.window.tokens += tokens_of_text(&told);
                last.content.push(Block::Text { text: told });
            }
            Some(_) | None => self.push(Message::user(told)),
        }
    }
}
