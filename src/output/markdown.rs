//! Text of others in Markdown that somebody's site renders: it names nobody, closes nothing, and is no markup.

/// In a fence longer than any run of backticks in it: nothing in it is markup.
pub fn fenced(text: &str) -> String {
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let plain: String =
        text.chars().map(|char| if char.is_control() && char != '\n' && char != '\t' { '·' } else { char }).collect();
    format!("{fence}text\n{}\n{fence}\n", plain.trim_end_matches('\n'))
}

/// Text that stands outside of a fence: it names no person, issue or address.
pub fn harmless(text: &str) -> String {
    let plain = text.chars().map(|char| match char {
        '@' | '#' | '`' | '<' | '>' | '[' | ']' | '|' => ' ',
        char if char.is_control() => ' ',
        char => char,
    });
    let plain = plain.collect::<String>().replace("://", " ");
    let words =
        plain.split_whitespace().map(|word| if word.to_lowercase().starts_with("gh-") { &word[3..] } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        let text = fenced("a\n````\n@everyone fixes #1\n````");
        assert!(text.starts_with("`````text\n") && text.ends_with("\n`````\n"), "{text}");
    }

    #[test]
    fn outside_of_fences_nobody_is_named_and_nothing_is_closed() {
        assert_eq!(
            harmless("fix @bob's bug, closes #12 and GH-7 https://x/issues/3\u{1b}[2J"),
            "fix bob's bug, closes 12 and 7 https x/issues/3 2J"
        );
    }
}
