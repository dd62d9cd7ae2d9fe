//! A journal as it grows, for somebody who only watches.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::Record;
use super::journal::record_of_line;

/// Reads what was not read yet. Hashes are not checked: `audit` does that.
#[derive(Debug)]
pub struct Tail {
    lines: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    half: Vec<u8>,
}

impl Tail {
    pub fn open(journal: &Path) -> io::Result<Self> {
        Ok(Tail { lines: BufReader::new(File::open(journal)?), half: Vec::new() })
    }

    /// Whole records since the last call; a torn line waits for its end.
    pub fn read(&mut self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        while self.lines.read_until(b'\n', &mut self.half)? > 0 {
            if self.half.last() == Some(&b'\n') {
                let line = std::mem::take(&mut self.half);
                let read = record_of_line(&line[..line.len() - 1]);
                let unknown = "the journal has a line that this version cannot read";
                let (record, _) = read.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, unknown))?;
                records.push(record);
            }
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use super::*;
    use crate::event::Event;
    use crate::id::RunId;
    use crate::store::{RunStore, Store};

    #[test]
    fn a_line_is_told_once_and_only_when_it_is_whole() {
        let state = tempfile::tempdir().unwrap();
        let store = RunStore::create(state.path(), &RunId::generate()).unwrap();
        let said = |id: &str| Event::Said { id: id.into(), text: "x".into() };
        store.append(&said("1")).unwrap();
        let whole = std::fs::read(store.dir().journal_path()).unwrap();
        let path = state.path().join("copy");
        let mut file = File::create(&path).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        for piece in whole.chunks(7) {
            assert_eq!(tail.read().unwrap().len(), 0);
            file.write_all(piece).unwrap();
        }
        assert_eq!(tail.read().unwrap().into_iter().map(|record| record.event).collect::<Vec<_>>(), [said("1")]);
        assert_eq!(tail.read().unwrap(), []);
        file.write_all(b"no record\n").unwrap();
        assert!(tail.read().is_err());
    }
}
