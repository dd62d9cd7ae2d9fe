//! The rules of style of a run: the operator's, and what the repository's own `greenroom.toml` adds to them.

use serde::Deserialize;

use crate::error::Result;
use crate::feedback::score::check_rules;
use crate::output::Printer;
use crate::output::human::style::{DIM, RESET};
use crate::score::StyleRules;
use crate::snapshot::{Entry, Manifest, ReadBlob, TreePath};

const FILE: &str = "greenroom.toml";
const FILE_BYTES_MAX: u64 = 64 << 10;
const RULES_MAX: usize = 100;

/// All that a repository may say: each rule can only lower a score.
#[derive(Debug, Deserialize)]
struct OfRepository {
    #[serde(default)]
    style: StyleRules,
}

/// A file that cannot be used is told and left out: somebody else wrote it.
pub(super) fn resolve(
    own: StyleRules,
    pristine: &Manifest,
    read: ReadBlob<'_>,
    printer: &mut Printer,
) -> Result<StyleRules> {
    match of_repository(pristine, read) {
        Ok(rules) => Ok(own.tightened(rules)),
        Err(why) => {
            printer.note(&format!("{DIM}left out{RESET} the rules of `{FILE}` in the repository: {why}"))?;
            Ok(own)
        }
    }
}

fn of_repository(pristine: &Manifest, read: ReadBlob<'_>) -> Result<StyleRules, String> {
    let path = TreePath::new(FILE).expect("a plain name");
    let Some(Entry::File { size, content, .. }) = pristine.entries.get(&path) else { return Ok(StyleRules::default()) };
    if *size > FILE_BYTES_MAX {
        return Err(format!("it is longer than {} KiB", FILE_BYTES_MAX >> 10));
    }
    let text = String::from_utf8(read(content).map_err(|error| error.to_string())?).map_err(|_| "it is no text")?;
    let rules = toml::from_str::<OfRepository>(&text).map_err(|error| error.message().to_owned())?.style;
    check_rules(&rules)?;
    match rules.forbid.len() > RULES_MAX {
        true => Err(format!("it has more than {RULES_MAX} rules")),
        false => Ok(rules),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::id::BlobId;

    fn rules(text: &str) -> Result<StyleRules, String> {
        let content = BlobId::of(text.as_bytes());
        let file = Entry::File { mode: 0o644, size: text.len() as u64, content };
        let tree = Manifest { entries: [(TreePath::new(FILE).unwrap(), file)].into() };
        of_repository(&tree, &|_| Ok(text.as_bytes().to_vec()))
    }

    #[test]
    fn a_repository_can_only_be_stricter() {
        let own = StyleRules { line_length_max: Some(100), ..StyleRules::default() };
        let looser = rules("[style]\nline_length_max = 200\nforbid = [{ pattern = 'print\\(' }]\n").unwrap();
        let both = own.clone().tightened(looser);
        assert_eq!((both.line_length_max, both.forbid.len()), (Some(100), 1));
        assert_eq!(own.tightened(rules("[style]\nline_length_max = 80\n").unwrap()).line_length_max, Some(80));
    }

    #[test]
    fn what_is_no_rule_of_style_says_nothing() {
        assert_eq!(rules("image = 'evil'\n[sandbox]\nmemory = '1t'\n"), Ok(StyleRules::default()));
        assert!(rules("[style]\nforbid = [{ pattern = '(' }]\n").unwrap_err().contains("regular expression"));
        assert!(rules("[style]\nforbid = [{ pattern = '(a{1000}){1000}' }]\n").is_err(), "too large to compile");
        assert!(rules("[style]\nloosen = true\n").unwrap_err().contains("loosen"));
    }
}
