//! The lines of a document that were asked for.

/// Of one line.
const LINE_CHARS_MAX: usize = 240;

/// Lines with one of the words in them, in their order, each cut around it; the first lines where none has any. Bounded
/// by `bytes_max`.
pub(super) fn lines(body: &str, words: &[String], bytes_max: usize) -> String {
    let lowered: Vec<String> = words.iter().map(|word| word.to_lowercase()).collect();
    let mut text = String::new();
    let mut left_out = 0;
    let mut take = |line: String| {
        if text.len() + line.len() < bytes_max {
            text.push_str(&line);
            text.push('\n');
        } else {
            left_out += 1;
        }
    };
    let mut seen = std::collections::HashSet::new();
    // The rarest first would need a count; whole matches before parts do as well.
    let hits = |all: bool| {
        let lowered = &lowered;
        body.lines().filter_map(move |line| {
            let small = line.to_lowercase();
            let mut found = lowered.iter().filter_map(|word| small.find(word.as_str()));
            let at = found.next()?;
            let is_whole = found.count() + 1 == lowered.len();
            (is_whole == all).then(|| around(line, at))
        })
    };
    for line in hits(true).chain(hits(false)) {
        if seen.insert(line.clone()) {
            take(line);
        }
    }
    if seen.is_empty() {
        body.lines().filter(|line| !line.trim().is_empty()).map(|line| around(line, 0)).take(3).for_each(&mut take);
    }
    if left_out > 0 {
        text.push_str(&format!("[{left_out} more lines like these]\n"));
    }
    text
}

/// Part of a text in pieces of `bytes_max`, the first is 0, and how many there are.
pub(super) fn piece(body: &str, number: usize, bytes_max: usize) -> (String, usize) {
    let bytes_max = bytes_max.max(4);
    let mut bounds = vec![0];
    let mut at = 0;
    while body.len() - at > bytes_max {
        let end = body.floor_char_boundary(at + bytes_max);
        // At a line's end, if one is near.
        at = body[at..end].rfind('\n').filter(|line| *line > bytes_max / 2).map_or(end, |line| at + line + 1);
        bounds.push(at);
    }
    let count = bounds.len();
    let text = bounds.get(number).map(|from| {
        let to = bounds.get(number + 1).copied().unwrap_or(body.len());
        body[*from..to].to_owned()
    });
    (text.unwrap_or_default(), count)
}

/// Cut to length with `at` in it.
fn around(line: &str, at: usize) -> String {
    let line = line.trim_end();
    let chars = line.chars().count();
    if chars <= LINE_CHARS_MAX {
        return line.to_owned();
    }
    // Lowering may have moved it by some bytes; near is near enough.
    let before = line[..line.floor_char_boundary(at.min(line.len()))].chars().count();
    let from = before.saturating_sub(LINE_CHARS_MAX / 3).min(chars - LINE_CHARS_MAX);
    let cut: String = line.chars().skip(from).take(LINE_CHARS_MAX).collect();
    let (head, tail) = (if from > 0 { "…" } else { "" }, if from + LINE_CHARS_MAX < chars { "…" } else { "" });
    format!("{head}{cut}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_all_words_come_first_and_long_ones_are_cut_around_them() {
        let long = format!("{}port is 8473{}", "x".repeat(1000), "y".repeat(1000));
        let body = format!("the port\nnothing\n{long}\n");
        let text = lines(&body, &["port".into(), "8473".into()], 2_000);
        assert!(text.starts_with('…') && text.contains("port is 8473") && text.ends_with("the port\n"), "{text}");
        assert!(!text.contains("nothing"));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let body = (0..100).map(|n| format!("hit {n}\n")).collect::<String>();
        let text = lines(&body, &["hit".into()], 60);
        assert!(text.ends_with("more lines like these]\n") && text.len() < 110, "{text}");
    }

    #[test]
    fn the_pieces_of_a_text_are_the_text() {
        let body = (0..1000).map(|n| format!("line {n} é\n")).collect::<String>();
        let count = piece(&body, 0, 500).1;
        let whole: String = (0..count).map(|number| piece(&body, number, 500).0).collect();
        assert_eq!(whole, body);
        assert!((0..count).all(|number| piece(&body, number, 500).0.len() <= 500));
        assert_eq!(piece(&body, count, 500).0, "");
    }
}
