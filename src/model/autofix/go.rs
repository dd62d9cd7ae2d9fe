//! What the Go compiler says about a mistake.

use std::sync::LazyLock;

use greenroom_parsers::{Applicability, Diagnostic, Edit, Suggestion};
use regex::Regex;

static UNUSED_IMPORT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^"[^"]+" imported (?:as \w+ )?and not used"#).expect("the pattern is a literal"));
static OTHER_CASE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"has no field or method (\w+), but does have (?:field|method) (\w+)").expect("the pattern is a literal")
});
static IMPORT_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\s*(?:import\s+)?(?:[\w.]+\s+)?(?:"[^"]+"|`[^`]+`)\s*;?\s*(?://.*)?$"#)
        .expect("the pattern is a literal")
});

pub(super) fn suggest(diagnostic: &Diagnostic, file: &str) -> Vec<Suggestion> {
    let Some(line) = diagnostic.line else { return Vec::new() };
    let file = file.to_owned();
    if UNUSED_IMPORT.is_match(&diagnostic.message) {
        let edits = vec![Edit::DeleteLines { file, first: line, last: line }];
        let message = "delete the unused import".to_owned();
        return vec![Suggestion { message, applicability: Applicability::MachineApplicable, edits }];
    }
    OTHER_CASE.captures(&diagnostic.message).map_or_else(Vec::new, |names| {
        let (original, replacement) = (names[1].to_owned(), names[2].to_owned());
        let message = format!("write {replacement} for {original}");
        // The column is the operand's, not the name's.
        let edits = vec![Edit::Substitute { file, line, column: None, original, replacement }];
        vec![Suggestion { message, applicability: Applicability::MaybeIncorrect, edits }]
    })
}

/// Whether the line is one import and nothing else, so that it can go as a whole.
pub(super) fn is_import_line(line: &str) -> bool {
    IMPORT_LINE.is_match(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(message: &str) -> Option<Edit> {
        let diagnostic = Diagnostic { message: message.into(), line: Some(7), ..Default::default() };
        suggest(&diagnostic, "a.go").into_iter().next().map(|suggestion| suggestion.edits[0].clone())
    }

    #[test]
    fn an_import_go_refuses_is_deleted() {
        let delete = Edit::DeleteLines { file: "a.go".into(), first: 7, last: 7 };
        assert_eq!(edit(r#""os" imported and not used"#), Some(delete.clone()));
        assert_eq!(edit(r#""example.com/go-x" imported as x and not used"#), Some(delete));
        assert_eq!(edit("declared and not used: n"), None);
    }

    #[test]
    fn a_field_in_the_wrong_case_is_renamed() {
        let message = "t.cents undefined (type Transaction has no field or method cents, but does have field Cents)";
        assert!(matches!(edit(message), Some(Edit::Substitute { original, replacement, .. })
            if original == "cents" && replacement == "Cents"));
    }

    #[test]
    fn only_a_line_that_is_one_import_can_be_deleted() {
        for line in ["\t\"os\"", "import \"os\"", "\tx \"example.com/go-x\" // why", "\t_ \"embed\""] {
            assert!(is_import_line(line), "{line}");
        }
        for line in ["import (\"os\"; \"fmt\")", "x := f(\"os\")", "return \"os\" + y"] {
            assert!(!is_import_line(line), "{line}");
        }
    }
}
