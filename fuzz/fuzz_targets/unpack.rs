//! Any bytes for an archive that came out of a container: no panic, nothing outside the folder, nothing special, no more
//! than the limits say.
//!
//! Headers' checksums are mended first, so that what is changed gets past them.
#![no_main]

use std::fs::{self, FileType};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use greenroom::snapshot::unpack::{UnpackLimits, unpack};
use libfuzzer_sys::fuzz_target;

const BLOCK: usize = 512;
const LIMITS: UnpackLimits = UnpackLimits { entries_max: 24, depth_max: 5, bytes_max: 4 << 10 };
/// What stands beside the folder, for links to be followed to.
const OUTSIDE: &str = "outside";

fuzz_target!(|data: &[u8]| {
    let house = tempfile::tempdir().expect("a temporary folder");
    let dest = house.path().join("in");
    fs::create_dir(&dest).expect("an empty folder");
    fs::write(house.path().join(OUTSIDE), OUTSIDE).expect("a file beside it");
    let done = unpack(&mended(data)[..], &dest, LIMITS);

    let mut names: Vec<_> = fs::read_dir(house.path()).expect("the house").map(|e| e.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["in", OUTSIDE], "something was written beside the folder");
    assert_eq!(fs::read_to_string(house.path().join(OUTSIDE)).expect("the file beside it"), OUTSIDE);

    let mut seen = Seen::default();
    seen.walk(&dest, 1);
    assert!(seen.entries <= LIMITS.entries_max, "{} entries", seen.entries);
    assert!(seen.bytes <= LIMITS.bytes_max, "{} bytes", seen.bytes);
    assert!(seen.depth <= LIMITS.depth_max, "{} deep", seen.depth);
    // An archive that was read to its end is the same when it is read again, into the same state.
    if done.is_ok() {
        let again = house.path().join("again");
        fs::create_dir(&again).expect("an empty folder");
        assert!(unpack(&mended(data)[..], &again, LIMITS).is_ok(), "the second time it fails");
        let mut second = Seen::default();
        second.walk(&again, 1);
        assert_eq!(second, seen);
    }
});

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    entries: usize,
    bytes: u64,
    depth: usize,
}

impl Seen {
    /// Follows no link: where one points is its own business, that nothing went through it is checked outside.
    fn walk(&mut self, folder: &Path, depth: usize) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let meta = fs::symlink_metadata(entry.path()).expect("what it is");
            self.entries += 1;
            self.depth = self.depth.max(depth);
            let kind = meta.file_type();
            assert!(is_plain(kind), "{} is special", entry.path().display());
            if kind.is_file() {
                assert!(meta.nlink() == 1 && matches!(meta.mode() & 0o7777, 0o644 | 0o755), "{:o}", meta.mode());
                self.bytes += meta.len();
            }
            if kind.is_dir() {
                self.walk(&entry.path(), depth + 1);
            }
        }
    }
}

fn is_plain(kind: FileType) -> bool {
    kind.is_file() || kind.is_dir() || kind.is_symlink()
}

/// With the checksum of each header as it should be.
fn mended(data: &[u8]) -> Vec<u8> {
    let mut archive = data.to_vec();
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..at + BLOCK) {
        if header.iter().any(|byte| *byte != 0) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let size = header[124..136].iter().filter(|byte| matches!(byte, b'0'..=b'7'));
        let size = size.fold(0usize, |size, digit| size.saturating_mul(8).saturating_add(usize::from(digit - b'0')));
        at = at.saturating_add(BLOCK).saturating_add(size.div_ceil(BLOCK).saturating_mul(BLOCK));
    }
    archive
}
