//! docs/parsers.md says which file reads which format, and which recordings that rests on: it must be so.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

struct Row {
    format: String,
    readers: Vec<String>,
    recorded: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/parsers.md")).unwrap();
    let names = |cell: &str| cell.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "—").collect();
    text.lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| format "))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
            let [format, readers, recorded] = cells[..] else { panic!("not three cells: {line}") };
            Row { format: format.trim().to_owned(), readers: names(readers), recorded: names(recorded) }
        })
        .collect()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_reader_and_every_recording_has_its_row_and_is_there() {
    let (mut readers, recorded) =
        (names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tools")), names_in(&root().join("fixtures/output")));
    readers.remove("mod");
    let rows = rows();
    for row in &rows {
        assert!(!row.readers.is_empty(), "{} is read by nobody", row.format);
        let absent = row.readers.iter().find(|name| !readers.contains(*name));
        assert_eq!(absent, None, "{} names a reader that is not there", row.format);
        let absent = row.recorded.iter().find(|name| !recorded.contains(*name));
        assert_eq!(absent, None, "{} names recordings that are not there", row.format);
    }
    let of_rows = |names: fn(&Row) -> &Vec<String>| rows.iter().flat_map(names).cloned().collect::<BTreeSet<_>>();
    assert_eq!(of_rows(|row| &row.readers), readers, "readers without a row");
    assert_eq!(of_rows(|row| &row.recorded), recorded, "recordings without a row");
}
