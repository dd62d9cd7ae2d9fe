//! A question to the index: all words, then some of them, then the exact characters.

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::excerpt;
use crate::id::BlobId;
use crate::store::{Hit, Match, Question, Recalled};

const WORDS_MAX: usize = 24;

pub(super) fn answer(index: &Connection, question: &Question) -> rusqlite::Result<Recalled> {
    let words = question.words();
    let skip = question.page.saturating_sub(1) * question.limit;
    if words.is_empty() {
        return found(index, question, None, Match::All, skip);
    }
    for (expression, how) in
        [(expression(&words, " AND ", ""), Match::All), (expression(&words, " OR ", "*"), Match::Some)]
    {
        let Some(expression) = expression else { continue };
        let answer = found(index, question, Some(Wanted::Words(expression)), how, skip)?;
        if answer.total > 0 {
            return Ok(answer);
        }
    }
    let exact = question.query.clone().unwrap_or_default();
    found(index, question, Some(Wanted::Characters(exact.trim().to_owned())), Match::Characters, skip)
}

enum Wanted {
    /// An FTS5 expression.
    Words(String),
    Characters(String),
}

/// Each word as a phrase of what the tokenizer makes of it: `src/app.py` finds `src`, `app` and `py` in a row.
fn expression(words: &[String], join: &str, suffix: &str) -> Option<String> {
    let phrases: Vec<String> = words
        .iter()
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(WORDS_MAX)
        .map(|word| format!("\"{}\"{suffix}", word.replace('"', "\"\"")))
        .collect();
    (!phrases.is_empty()).then(|| phrases.join(join))
}

fn found(
    index: &Connection,
    question: &Question,
    wanted: Option<Wanted>,
    how: Match,
    skip: usize,
) -> rusqlite::Result<Recalled> {
    let mut matches = Vec::new();
    let mut conditions = vec!["length(text.body) > 0".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    match wanted {
        Some(Wanted::Words(expression)) => matches.push(format!("({expression})")),
        Some(Wanted::Characters(exact)) => {
            conditions.push("(text.body LIKE ? ESCAPE '\\' OR text.title LIKE ? ESCAPE '\\')".into());
            let pattern = format!("%{}%", exact.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
            values.extend([Value::from(pattern.clone()), Value::from(pattern)]);
        }
        None => {}
    }
    // A file or a test is asked for by its name as it stands; the words of it only narrow the search down.
    for name in [question.file.as_deref().map(relative), question.test.as_deref()].into_iter().flatten() {
        if let Some(expression) = expression(&[name.to_owned()], "", "") {
            matches.push(format!("({expression})"));
        }
        conditions.push("(instr(text.body, ?) > 0 OR instr(text.title, ?) > 0)".into());
        values.extend([Value::from(name.to_owned()), Value::from(name.to_owned())]);
    }
    if let Some(step) = question.step {
        conditions.push("doc.step = ?".into());
        values.push(Value::from(step as i64));
    }
    let is_ranked = !matches.is_empty();
    if is_ranked {
        conditions.insert(0, "text MATCH ?".into());
        values.insert(0, Value::from(matches.join(" AND ")));
    }
    let from = format!("FROM text JOIN doc ON doc.id = text.rowid WHERE {}", conditions.join(" AND "));
    let total: i64 =
        index.query_row(&format!("SELECT count(*) {from}"), params_from_iter(values.iter()), |row| row.get(0))?;
    // What happened comes before what a writer noted of it: notes are short and would crowd out what they are about.
    // Where a name was asked for, the newest counts; where words were, the best.
    let order = match is_ranked && !question.words().is_empty() {
        true => "doc.kind = 'notes', bm25(text, 2.0, 1.0), doc.id DESC",
        false => "doc.kind = 'notes', doc.id DESC",
    };
    let columns = "doc.step, doc.turn, doc.kind, doc.blob, text.title, text.body";
    // A step that is asked for by its number is shown piece by piece, not hit by hit.
    let (limit, offset) = if question.is_one_step() { (1, 0) } else { (question.limit, skip) };
    let select = format!("SELECT {columns} {from} ORDER BY {order} LIMIT {limit} OFFSET {offset}");
    let bytes_max = question.text_bytes_max / question.limit.max(1).min((total as usize).max(1));
    let words = question.words();
    let mut statement = index.prepare(&select)?;
    let mut rows = statement.query(params_from_iter(values.iter()))?;
    let mut answer = Recalled { total: total as u64, how, pages: 0, hits: Vec::new() };
    answer.pages = (total as usize).div_ceil(question.limit.max(1));
    while let Some(row) = rows.next()? {
        let body: String = row.get(5)?;
        let text = if question.is_one_step() {
            let (text, pages) = excerpt::piece(&body, question.page.saturating_sub(1), question.text_bytes_max);
            answer.pages = pages;
            text
        } else {
            excerpt::lines(&body, &shown_words(question, &words), bytes_max)
        };
        answer.hits.push(hit(row, text)?);
    }
    Ok(answer)
}

fn shown_words(question: &Question, words: &[String]) -> Vec<String> {
    let named = [question.file.as_deref().map(relative), question.test.as_deref()];
    words.iter().cloned().chain(named.into_iter().flatten().map(str::to_owned)).collect()
}

fn hit(row: &Row<'_>, text: String) -> rusqlite::Result<Hit> {
    Ok(Hit {
        step: row.get::<_, Option<i64>>(0)?.map(|step| step as u64),
        turn: row.get::<_, i64>(1)? as u64,
        kind: row.get(2)?,
        blob: row.get::<_, Option<String>>(3)?.and_then(|hex| BlobId::from_hex(&hex)),
        title: row.get(4)?,
        text,
    })
}

/// As outputs and reports name files.
fn relative(path: &str) -> &str {
    let path = path.strip_prefix("/workspace/").unwrap_or(path);
    path.strip_prefix("./").unwrap_or(path)
}
