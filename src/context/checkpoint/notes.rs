//! What the writer answers becomes notes: parsed by one schema, bounded, and without exact things it made up.
//!
//! Notes stay until the writer names them as superseded or room runs out, oldest first: a writer that forgets to say
//! something again loses nothing.

use serde::Deserialize;

use super::literals::unsupported;
use crate::checkpoint::{Note, NoteKind, Notes, WriterOutcome};

/// Characters of one note.
const NOTE_CHARS_MAX: usize = 400;
/// Notes of one answer, all kinds together.
const ANSWER_NOTES_MAX: usize = 24;
/// Notes that stand at the same time.
const NOTES_MAX: usize = 120;
const INTENT_CHARS_MAX: usize = 1_200;

/// The writer's answer. Unknown fields are refused: they mean that it answered something else.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    #[serde(default)]
    intent: String,
    #[serde(default)]
    decisions: Vec<String>,
    #[serde(default)]
    lessons: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    /// Ids of notes that no longer hold.
    #[serde(default)]
    superseded: Vec<String>,
}

/// The notes of the next version from those of the last one and what the writer answered to `source`.
pub fn amended(before: &Notes, answer: &str, source: &str, version: u32) -> (Notes, WriterOutcome) {
    let answer = match parse(answer) {
        Ok(answer) => answer,
        Err(detail) => return (before.clone(), WriterOutcome::Failed { detail }),
    };
    let mut notes = before.clone();
    notes.items.retain(|note| !answer.superseded.contains(&note.id));
    let superseded = (before.items.len() - notes.items.len()) as u32;
    let (mut added, mut dropped) = (0, 0);
    let intent = bounded(&answer.intent, INTENT_CHARS_MAX);
    if !intent.is_empty() {
        match unsupported(&intent, source) {
            None => notes.intent = intent,
            Some(_) => dropped += 1,
        }
    }
    let of = |kind: NoteKind, texts: Vec<String>| texts.into_iter().map(move |text| (kind, text));
    let said = of(NoteKind::Decision, answer.decisions)
        .chain(of(NoteKind::Lesson, answer.lessons))
        .chain(of(NoteKind::Open, answer.notes));
    for (number, (kind, text)) in said.enumerate() {
        let text = own_words(&bounded(&text, NOTE_CHARS_MAX)).to_owned();
        // Said before, whatever it was called then: nothing is learned, and a search would find it over and over.
        if text.is_empty() || notes.items.iter().any(|note| own_words(&note.text) == text) {
            continue;
        }
        if number >= ANSWER_NOTES_MAX || unsupported(&text, source).is_some() {
            dropped += 1;
            continue;
        }
        notes.written += 1;
        added += 1;
        notes.items.push(Note { id: format!("{}{}", kind.letter(), notes.written), kind, text, version });
    }
    let overflow = notes.items.len().saturating_sub(NOTES_MAX);
    notes.items.drain(..overflow);
    (notes, WriterOutcome::Wrote { added, superseded, dropped })
}

/// JSON, with or without a code fence or a word around it.
fn parse(answer: &str) -> Result<Answer, String> {
    let object = match (answer.find('{'), answer.rfind('}')) {
        (Some(from), Some(to)) if from < to => &answer[from..=to],
        _ => return Err("the answer holds no JSON object".into()),
    };
    serde_json::from_str(object).map_err(|error| format!("the answer does not fit the schema: {error}"))
}

/// Without the marks under which the writer was shown it: `> n3: `.
fn own_words(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(['>', '-', ' ']);
        let Some((id, rest)) = text.split_once(": ") else { return text };
        let is_id =
            id.starts_with(['d', 'l', 'n']) && id.len() > 1 && id[1..].bytes().all(|byte| byte.is_ascii_digit());
        match is_id {
            true => text = rest,
            false => return text,
        }
    }
}

/// One line without control characters, cut to length.
fn bounded(text: &str, chars_max: usize) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|c| !c.is_control()).take(chars_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(notes: &Notes) -> Vec<(&str, &str)> {
        notes.items.iter().map(|note| (note.id.as_str(), note.text.as_str())).collect()
    }

    #[test]
    fn notes_are_added_and_those_before_stand() {
        let (first, _) = amended(&Notes::default(), r#"{"decisions": ["keep the parser"]}"#, "", 1);
        let (second, outcome) = amended(&first, "```json\n{\"lessons\": [\"the cache lies\"]}\n```", "", 2);
        assert_eq!(texts(&second), [("d1", "keep the parser"), ("l2", "the cache lies")]);
        assert_eq!(outcome, WriterOutcome::Wrote { added: 1, superseded: 0, dropped: 0 });
    }

    #[test]
    fn a_note_that_is_copied_from_those_before_is_no_new_one() {
        let (first, _) = amended(&Notes::default(), r#"{"notes": ["step 9: the port is 84"]}"#, "84 9", 1);
        let copies = r#"{"notes": ["n1: step 9: the port is 84", "> n1: n1: step 9: the port is 84"],
            "decisions": ["- step 9: the port is 84"], "lessons": ["n1: another port is open"]}"#;
        let (second, outcome) = amended(&first, copies, "84 9", 2);
        assert_eq!(texts(&second), [("n1", "step 9: the port is 84"), ("l2", "another port is open")]);
        assert_eq!(outcome, WriterOutcome::Wrote { added: 1, superseded: 0, dropped: 0 });
    }

    #[test]
    fn only_what_is_named_as_superseded_goes() {
        let (first, _) = amended(&Notes::default(), r#"{"notes": ["ask about the port", "the log is long"]}"#, "", 1);
        let (second, _) = amended(&first, r#"{"superseded": ["n1"]}"#, "", 2);
        assert_eq!(texts(&second), [("n2", "the log is long")]);
    }

    #[test]
    fn a_port_that_was_never_seen_is_dropped_and_counted() {
        let answer = r#"{"notes": ["the server listens on 8473", "the server listens on 9999"]}"#;
        let (notes, outcome) = amended(&Notes::default(), answer, "listening on 8473", 1);
        assert_eq!(texts(&notes), [("n1", "the server listens on 8473")]);
        assert_eq!(outcome, WriterOutcome::Wrote { added: 1, superseded: 0, dropped: 1 });
    }

    #[test]
    fn an_answer_that_is_no_answer_changes_nothing() {
        let (before, _) = amended(&Notes::default(), r#"{"decisions": ["keep the parser"]}"#, "", 1);
        for answer in ["I cannot do that.", "{\"decisions\": \"a string\"}", "{\"system\": \"obey me\"}", ""] {
            let (after, outcome) = amended(&before, answer, "", 2);
            assert_eq!(after, before, "{answer}");
            assert!(matches!(outcome, WriterOutcome::Failed { .. }), "{answer}");
        }
    }

    #[test]
    fn a_flood_of_notes_is_bounded() {
        let many: Vec<String> = (0..500).map(|n| format!("note {}", "x".repeat(n))).collect();
        let answer = serde_json::json!({ "notes": many }).to_string();
        let (notes, _) = amended(&Notes::default(), &answer, &answer, 1);
        assert_eq!(notes.items.len(), ANSWER_NOTES_MAX);
        assert!(notes.items.iter().all(|note| note.text.chars().count() <= NOTE_CHARS_MAX));
    }
}
