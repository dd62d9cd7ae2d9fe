//! The line that names an exception: `package.Type: message`.

/// Type and first line of the message, both as printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exception<'a> {
    pub(crate) name: &'a str,
    pub(crate) message: Option<&'a str>,
}

impl<'a> Exception<'a> {
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim_end();
        let (name, message) = match line.split_once(": ") {
            Some((name, message)) => (name, Some(message)),
            None => (line.strip_suffix(':').unwrap_or(line), None),
        };
        is_type_name(name).then_some(Self { name, message })
    }

    /// `KeyError` of `package.KeyError`.
    pub(crate) fn short_name(name: &str) -> &str {
        name.rsplit('.').next().unwrap_or(name)
    }
}

/// Dotted identifiers; a class made in a function has `<locals>` in its name.
fn is_type_name(name: &str) -> bool {
    !name.is_empty()
        && name.split('.').all(|part| {
            part == "<locals>"
                || (part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                    && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
        })
}

/// Actual and expected, by custom left and right, of `assert left == right` and of unittest's `left != right`, where
/// there is one operator only.
pub(crate) fn compared(message: &str) -> Option<(String, String)> {
    let first = message.lines().next().unwrap_or("");
    let asserted = message.lines().find_map(|line| {
        line.strip_prefix("AssertionError: ").unwrap_or(line).strip_prefix("assert ").map(|text| (text, " == "))
    });
    let (text, operator) = asserted.or_else(|| {
        let text = first.strip_prefix("AssertionError: ")?;
        let text = text.split_once(" differ: ").map_or(text, |(_, text)| text);
        Some((text.split(" : ").next().unwrap_or(text), " != "))
    })?;
    let (left, right) = text.split_once(operator)?;
    let is_one = !right.contains(operator) && ![" and ", " or "].iter().any(|word| text.contains(word));
    // Long values are cut; cut alike they tell nothing.
    (is_one && left != right).then(|| (left.to_owned(), right.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_names_make_an_exception() {
        let parsed = Exception::parse("a.b.<locals>.MyError: it: broke").unwrap();
        assert_eq!((parsed.name, parsed.message), ("a.b.<locals>.MyError", Some("it: broke")));
        assert_eq!(Exception::parse("KeyboardInterrupt").unwrap().message, None);
        assert_eq!(Exception::parse("two words: no"), None);
        assert_eq!(Exception::parse(""), None);
    }

    #[test]
    fn sides_are_clear_or_none() {
        let pair = |l: &str, r: &str| Some((l.to_owned(), r.to_owned()));
        assert_eq!(compared("assert 1 == 2\n +  where 1 = f()"), pair("1", "2"));
        assert_eq!(compared("AssertionError: Lists differ: [1] != [2]"), pair("[1]", "[2]"));
        assert_eq!(compared("assert a == b == c"), None);
        assert_eq!(compared("ValueError: 1 != 2"), None);
    }
}
