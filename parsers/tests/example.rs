//! ARCHITECTURE.md shows the smallest parser: what it quotes is what stands there.
#![allow(clippy::unwrap_used)]

use std::path::Path;

#[test]
fn the_smallest_parser_is_quoted_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let source = std::fs::read_to_string(root.join("parsers/src/tools/cpplint.rs")).unwrap();
    let (_, chapter) = page.split_once("### The smallest parser").unwrap();
    let (words, rest) = chapter.split_once("```rust\n").unwrap();
    let (quoted, _) = rest.split_once("```").unwrap();
    assert!(words.contains(&format!("`parsers/src/tools/cpplint.rs` is {} lines long", source.lines().count())));
    let mut lines = 0;
    for line in quoted.lines() {
        let code = line.split("//").next().unwrap_or("");
        // Where something is left out, each side of it is in the file.
        for part in code.split("/* … */").map(str::trim).filter(|part| !part.is_empty()) {
            assert!(source.contains(part), "`{part}` is not in cpplint.rs");
            lines += 1;
        }
    }
    assert!(lines > 12, "{lines} lines quoted");
}
