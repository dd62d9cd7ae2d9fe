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
}
