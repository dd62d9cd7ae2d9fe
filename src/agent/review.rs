//! A person's word at each checkpoint: waited for where the operator wants it, and journaled before it counts.

use std::time::Instant;

use async_trait::async_trait;

use super::driver::{Progress, Run};
use crate::context;
use crate::event::{Event, Review};
use crate::tools::ToolFailure;

/// Where a person answers.
#[async_trait]
pub trait Reviewer: Send + Sync {
    /// Waits for one line. `None`: nobody will answer any more.
    async fn line(&self) -> Option<String>;
}

impl Run<'_> {
    pub(super) async fn ask_person(&mut self, version: u32) -> Result<(), ToolFailure> {
        let document = self.state.window.newest.as_deref().map(context::checkpoint::for_people);
        self.observer.progress(&Progress::AwaitingReview { version, document: document.unwrap_or_default() });
        let asked = Instant::now();
        let review = match self.parts.reviewer.clone() {
            Some(reviewer) => loop {
                if let Some(review) = said(reviewer.line().await.as_deref()) {
                    break review;
                }
            },
            None => Review::Stop,
        };
        // Their time is not the run's.
        self.began += asked.elapsed();
        self.commit(Event::Reviewed { version, review })
    }
}

/// `None`: that was no answer.
fn said(line: Option<&str>) -> Option<Review> {
    let Some(line) = line.map(str::trim) else { return Some(Review::Stop) };
    match line.to_lowercase().as_str() {
        "" => None,
        "y" | "yes" => Some(Review::GoOn),
        "n" | "no" => Some(Review::Stop),
        _ => Some(Review::Steer { text: line.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert_eq!([said(Some("Yes\n")), said(Some("y"))], [Some(Review::GoOn), Some(Review::GoOn)]);
        assert_eq!([said(Some("NO")), said(None)], [Some(Review::Stop), Some(Review::Stop)]);
        assert_eq!(said(Some(" \n")), None);
        assert_eq!(said(Some("yes, but leave vendor/")), Some(Review::Steer { text: "yes, but leave vendor/".into() }));
    }
}
