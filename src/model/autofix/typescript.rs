//! What tsc says about a mistake.

use std::sync::LazyLock;

use greenroom_parsers::{Applicability, Diagnostic, Edit, Suggestion};
use regex::Regex;

pub(super) const EXTENSIONS: [&str; 8] = ["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"];

static DID_YOU_MEAN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"Did you mean (?:to write |the (?:static|instance) member )?'([^']+)'(?: instead)?\?$")
        .expect("the pattern is a literal")
});
/// What stands before the wrong name: a property, a name, a member, a type that is a literal.
static WRONG_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:Property|name|namespace|named|member|but|Type) '([^']+)'").expect("the pattern is a literal")
});

pub(super) fn suggest(diagnostic: &Diagnostic, file: &str) -> Vec<Suggestion> {
    let message = &diagnostic.message;
    let (Some(hint), Some(line)) = (DID_YOU_MEAN.captures(message), diagnostic.line) else { return Vec::new() };
    let before = hint.get(0).map_or("", |whole| &message[..whole.start()]);
    let Some(wrong) = WRONG_NAME.captures(before) else { return Vec::new() };
    let (original, replacement) = (wrong[1].to_owned(), hint[1].to_owned());
    let message = format!("write {replacement} for {original}");
    let column = diagnostic.column;
    let edits = vec![Edit::Substitute { file: file.to_owned(), line, column, original, replacement }];
    vec![Suggestion { message, applicability: Applicability::MaybeIncorrect, edits }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_suggestions() {
        for (message, expected) in [
            ("Property 'lenght' does not exist on type 'string'. Did you mean 'length'?", Some(("lenght", "length"))),
            ("Cannot find name 'pase'. Did you mean 'parse'?", Some(("pase", "parse"))),
            ("Cannot find name 'size'. Did you mean the instance member 'this.size'?", Some(("size", "this.size"))),
            ("'\"./a\"' has no exported member named 'Pont'. Did you mean 'Point'?", Some(("Pont", "Point"))),
            (
                "Object literal may only specify known properties, but 'widht' does not exist in type 'Box'. \
                 Did you mean to write 'width'?",
                Some(("widht", "width")),
            ),
            (
                "Type '\"rde\"' is not assignable to type 'Colour'. Did you mean '\"red\"'?",
                Some(("\"rde\"", "\"red\"")),
            ),
            ("Type 'string' is not assignable to type 'number'.", None),
            ("Cannot find name 'fs'. Do you need to install type definitions for node?", None),
        ] {
            let diagnostic =
                Diagnostic { message: message.into(), line: Some(3), column: Some(9), ..Default::default() };
            let found = suggest(&diagnostic, "a.ts").into_iter().next().map(|found| match &found.edits[0] {
                Edit::Substitute { original, replacement, column: Some(9), .. } => {
                    (original.clone(), replacement.clone())
                }
                other => panic!("{other:?}"),
            });
            let expected = expected.map(|(original, replacement)| (original.to_owned(), replacement.to_owned()));
            assert_eq!(found, expected, "{message}");
        }
    }
}
