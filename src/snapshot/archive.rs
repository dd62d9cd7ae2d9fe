//! The members of an archive that somebody else wrote. Long names are read by us: the crate would hold a record of any
//! length in memory before a limit of ours could speak.

use std::io::{self, Read};

/// Of the names and records that stand before one member; a path of Linux has 4,096 at most.
const NAMES_BYTES_MAX: u64 = 64 << 10;

pub struct Members<'a, R: Read>(tar::Entries<'a, R>);

/// One member. Its content is what is read from `entry`.
pub struct Member<'a, R: Read> {
    pub name: Vec<u8>,
    /// Where a link points.
    pub link: Option<Vec<u8>>,
    pub entry: tar::Entry<'a, R>,
}

/// In the order of the archive, which is read once and never sought in.
///
/// # Errors
///
/// On what is no archive; of a member: names or records over 64 KiB, a size that only a record tells (over 8 GiB), an
/// archive that breaks off.
pub fn members<R: Read>(archive: &mut tar::Archive<R>) -> io::Result<Members<'_, R>> {
    Ok(Members(archive.entries()?.raw(true)))
}

#[derive(Default)]
struct Names {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    bytes: u64,
}

impl<'a, R: Read> Iterator for Members<'a, R> {
    type Item = io::Result<Member<'a, R>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut names = Names::default();
        loop {
            let mut entry = match self.0.next() {
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return Some(Err(error)),
                None if names.bytes > 0 => return Some(Err(bad("a name stands at its end, and no member"))),
                None => return None,
            };
            match names.take(&mut entry) {
                Ok(true) => {}
                Ok(false) => {
                    let name = names.name.unwrap_or_else(|| entry.path_bytes().into_owned());
                    let link = names.link.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
                    return Some(Ok(Member { name, link, entry }));
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Names {
    /// True when the entry only told about the one that follows.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        if !(kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions())
        {
            return Ok(false);
        }
        // One block at least, so that empty records have an end too.
        self.bytes = self.bytes.saturating_add(entry.header().entry_size()?).saturating_add(512);
        if self.bytes > NAMES_BYTES_MAX {
            return Err(bad(format!("names of more than {NAMES_BYTES_MAX} bytes stand before one member")));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        if kind.is_gnu_longname() {
            self.name = Some(without_end(bytes));
        } else if kind.is_gnu_longlink() {
            self.link = Some(without_end(bytes));
        } else if kind.is_pax_local_extensions() {
            self.records(&bytes)?;
        }
        Ok(true)
    }

    fn records(&mut self, bytes: &[u8]) -> io::Result<()> {
        for record in tar::PaxExtensions::new(bytes) {
            let record = record?;
            match record.key_bytes() {
                b"path" => self.name = Some(record.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(record.value_bytes().to_vec()),
                // What is read next would start at another place than the header says.
                b"size" => return Err(bad("a member is larger than 8 GiB")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A name ends where its NUL is.
fn without_end(mut name: Vec<u8>) -> Vec<u8> {
    name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
    name
}

fn bad(detail: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, detail.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn member(archive: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, name: &str, content: &[u8]) {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_path(name).unwrap();
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }

    fn names(archive: tar::Builder<Vec<u8>>) -> io::Result<Vec<String>> {
        let bytes = archive.into_inner().unwrap();
        let mut archive = tar::Archive::new(&bytes[..]);
        members(&mut archive)?.map(|member| Ok(String::from_utf8(member?.name).unwrap())).collect()
    }

    #[test]
    fn long_names_are_whole_in_both_dialects() {
        let long = format!("top/{}", "n".repeat(300));
        let mut archive = tar::Builder::new(Vec::new());
        member(&mut archive, tar::EntryType::GNULongName, "././@LongLink", format!("{long}\0").as_bytes());
        member(&mut archive, tar::EntryType::Regular, "cut", b"x");
        let record = format!("314 path={long}\n");
        assert_eq!(record.len(), 314);
        member(&mut archive, tar::EntryType::XHeader, "pax", record.as_bytes());
        member(&mut archive, tar::EntryType::Regular, "cut", b"x");
        member(&mut archive, tar::EntryType::Regular, "short", b"x");
        assert_eq!(names(archive).unwrap(), [&long, &long, "short"]);
    }

    #[test]
    fn a_name_of_any_length_is_refused_before_it_is_in_memory() {
        for kind in [
            tar::EntryType::GNULongName,
            tar::EntryType::GNULongLink,
            tar::EntryType::XHeader,
            tar::EntryType::XGlobalHeader,
        ] {
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(kind);
            header.set_size(1 << 30);
            header.set_cksum();
            let mut archive = tar::Archive::new(&header.as_bytes()[..]);
            let error = members(&mut archive).unwrap().next().unwrap().err().unwrap();
            assert!(error.to_string().contains("65536 bytes"), "{kind:?}: {error}");
        }
    }

    #[test]
    fn many_small_names_before_one_member_are_refused_too() {
        let mut archive = tar::Builder::new(Vec::new());
        for _ in 0..200 {
            member(&mut archive, tar::EntryType::XHeader, "pax", b"");
        }
        assert!(names(archive).is_err());
    }

    #[test]
    fn a_size_that_only_a_record_tells_is_refused() {
        let mut archive = tar::Builder::new(Vec::new());
        member(&mut archive, tar::EntryType::XHeader, "pax", b"10 size=1\n");
        member(&mut archive, tar::EntryType::Regular, "f", b"xx");
        assert!(names(archive).unwrap_err().to_string().contains("8 GiB"));
    }
}
