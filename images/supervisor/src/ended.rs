//! Commands that have ended: what they said and how they ended, until the host has committed the steps they belong to.
//!
//! In memory and in files without a name, no safer than PID 1 itself: with PID 1 the container goes, and the volume too.

use std::collections::BTreeMap;

use greenroom_supervisor::protocol::{CallPhase, CallState, ENDED_MAX, Response, SPOOL_BYTES_MAX};

use crate::outbox::Outbox;
use crate::spool::Spool;

pub(crate) struct Past {
    pub(crate) token: String,
    /// Of what was asked for: a token is not good for anything else.
    pub(crate) words: blake3::Hash,
    /// The call under which it is being told.
    pub(crate) call: Option<u64>,
    pub(crate) spool: Spool,
    pub(crate) last: Response,
}

#[derive(Default)]
pub(crate) struct Ended {
    /// By the first call id, hence by age.
    pasts: BTreeMap<u64, Past>,
}

impl Ended {
    pub(crate) fn add(&mut self, key: u64, past: Past) {
        self.pasts.insert(key, past);
        while self.pasts.len() > ENDED_MAX || self.bytes() > SPOOL_BYTES_MAX {
            // What is being told stays until it is told: there are few of these.
            let oldest = self.pasts.iter().find(|(_, past)| past.call.is_none()).map(|(key, _)| *key);
            let Some(oldest) = oldest else { return };
            self.pasts.remove(&oldest);
        }
    }

    fn bytes(&self) -> u64 {
        self.pasts.values().map(|past| past.spool.bytes()).sum()
    }

    /// Goes on telling, as far as the windows let it.
    pub(crate) fn pump(&mut self, outbox: &mut Outbox) {
        for past in self.pasts.values_mut() {
            past.spool.pump(past.call, outbox);
            if let Some(call) = past.call
                && past.spool.is_drained()
            {
                outbox.respond(call, &past.last);
                past.call = None;
            }
        }
    }

    pub(crate) fn is_telling(&self, call: u64) -> bool {
        self.pasts.values().any(|past| past.call == Some(call))
    }

    /// Tells from the beginning, under another call.
    pub(crate) fn follow(&mut self, token: &str, words: blake3::Hash, call: u64) -> bool {
        match self.pasts.values_mut().find(|past| past.token == token && past.words == words) {
            Some(past) => {
                past.call = Some(call);
                past.spool.rewind();
                true
            }
            None => false,
        }
    }

    /// The client to whom anything was being told is gone.
    pub(crate) fn stop_telling(&mut self) {
        self.pasts.values_mut().for_each(|past| past.call = None);
    }

    pub(crate) fn forget(&mut self, token_prefix: &str) {
        self.pasts.retain(|_, past| past.call.is_some() || !past.token.starts_with(token_prefix));
    }

    pub(crate) fn states(&self) -> impl Iterator<Item = (u64, CallState)> {
        let state = CallPhase::Finished;
        self.pasts.iter().map(move |(&key, past)| (key, CallState { token: past.token.clone(), state }))
    }
}

#[cfg(test)]
mod tests {
    use greenroom_supervisor::protocol::{Chunk, Stream};

    use super::*;

    fn past(token: &str, call: Option<u64>) -> Past {
        let mut spool = Spool::default();
        spool.push(&Chunk { stream: Stream::Stdout, offset: 0, bytes: b"said" });
        Past { token: token.into(), words: blake3::hash(b"words"), call, spool, last: Response::Renewed }
    }

    fn tokens(ended: &Ended) -> Vec<String> {
        ended.states().map(|(_, state)| state.token).collect()
    }

    #[test]
    fn what_ended_is_told_once_a_client_and_kept_until_it_is_forgotten() {
        let (mut ended, mut outbox) = (Ended::default(), Outbox::default());
        ended.add(1, past("1.0", Some(1)));
        ended.pump(&mut outbox);
        assert!(outbox.knows(1) && !ended.is_telling(1));
        outbox.acknowledge(1, u64::MAX);
        ended.pump(&mut outbox);
        assert!(!outbox.knows(1), "told once");
        assert!(!ended.follow("1.0", blake3::hash(b"other words"), 2));
        assert!(ended.follow("1.0", blake3::hash(b"words"), 2));
        ended.forget("1.");
        assert_eq!(tokens(&ended), ["1.0"], "it is being told");
        ended.pump(&mut outbox);
        assert!(outbox.knows(2));
        ended.add(3, past("11.0", None));
        ended.forget("1.");
        assert_eq!(tokens(&ended), ["11.0"]);
    }

    #[test]
    fn the_oldest_that_nobody_is_being_told_makes_room() {
        let mut ended = Ended::default();
        ended.add(0, past("telling", Some(7)));
        (1..=ENDED_MAX as u64).for_each(|n| ended.add(n, past(&n.to_string(), None)));
        let tokens = tokens(&ended);
        assert_eq!((tokens.len(), tokens[0].as_str(), tokens[1].as_str()), (ENDED_MAX, "telling", "2"));
    }
}
