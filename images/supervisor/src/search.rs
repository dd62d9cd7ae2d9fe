//! Lines that match a regular expression, in every text file below a path.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use greenroom_supervisor::protocol::{ByteString, CallError, ErrorKind, FileKind, Match, Response};
use regex::bytes::RegexBuilder;

use crate::files::{absolute, failure, kind_of, open_regular};
use crate::glob::Glob;
use crate::walk::{Then, visit};
use crate::worker::Reply;

/// Of a larger file only so much is searched, and the result says that it was cut.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Where a NUL shows that a file is no text.
const SNIFF_BYTES: usize = 8 << 10;
const TEXT_BYTES_MAX: usize = 500;
const PATTERN_BYTES_MAX: usize = 1 << 20;
/// A batch of so many matches stays below the limit of a frame, whatever their paths and text.
const BATCH_MATCHES: usize = 30;

pub(crate) fn search(
    pattern: &str,
    path: &ByteString,
    glob: Option<&str>,
    matches_max: u32,
    bytes_max: u64,
    reply: &Reply,
) -> Result<Response, CallError> {
    let root = absolute(path)?;
    let built = RegexBuilder::new(pattern).multi_line(true).crlf(true).size_limit(PATTERN_BYTES_MAX).build();
    let regex = built.map_err(|error| failure(ErrorKind::BadPattern, format!("`{pattern}`: {error}")))?;
    let glob = glob.map(Glob::new).transpose()?;
    let (mut count, mut files_searched, mut files_binary, mut files_unreadable) = (0u64, 0, 0, 0);
    let (mut cut, mut bytes_sent) = (false, 0u64);
    let mut batch: Vec<Match> = Vec::new();
    let unreadable = visit(root, |found| {
        match kind_of(found.metadata) {
            // What git keeps there is no text of the project's.
            FileKind::Dir if found.relative == b".git" || found.relative.ends_with(b"/.git") => return Then::Skip,
            FileKind::Dir => return Then::Descend,
            FileKind::Symlink | FileKind::Other => return Then::Skip,
            FileKind::File => {}
        }
        let name = match found.depth {
            0 => found.full.file_name().map_or(&b""[..], |name| name.as_bytes()),
            _ => found.relative,
        };
        if glob.as_ref().is_some_and(|glob| !glob.matches(name)) {
            return Then::Skip;
        }
        let mut content = Vec::new();
        let opened = open_regular(found.full).map(|(file, _)| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut content));
        if !matches!(opened, Ok(Ok(_))) {
            files_unreadable += 1;
            return Then::Skip;
        }
        if memchr::memchr(0, &content[..content.len().min(SNIFF_BYTES)]).is_some() {
            files_binary += 1;
            return Then::Skip;
        }
        cut |= content.len() as u64 > FILE_BYTES_MAX;
        content.truncate(FILE_BYTES_MAX as usize);
        files_searched += 1;
        for (line, column, text) in matching_lines(&regex, &content) {
            if count == u64::from(matches_max) || bytes_sent >= bytes_max {
                cut = true;
                return Then::Stop;
            }
            count += 1;
            bytes_sent += (name.len() + text.len()) as u64;
            batch.push(Match { path: ByteString::new(name), line, column, text });
            if batch.len() == BATCH_MATCHES {
                reply.interim(&Response::Matches { matches: std::mem::take(&mut batch) });
            }
        }
        Then::Skip
    })?;
    if !batch.is_empty() {
        reply.interim(&Response::Matches { matches: batch });
    }
    files_unreadable += unreadable;
    Ok(Response::SearchDone { matches: count, files_searched, files_binary, files_unreadable, cut })
}

/// The first match of each line that has one: line, column, text.
fn matching_lines<'a>(regex: &regex::bytes::Regex, content: &'a [u8]) -> impl Iterator<Item = (u64, u64, String)> + 'a {
    let (mut at, mut line, mut counted) = (0, 1u64, 0);
    let regex = regex.clone();
    std::iter::from_fn(move || {
        if at >= content.len() {
            return None;
        }
        let found = regex.find_at(content, at)?;
        if found.start() >= content.len() {
            return None;
        }
        line += memchr::memchr_iter(b'\n', &content[counted..found.start()]).count() as u64;
        let start = memchr::memrchr(b'\n', &content[..found.start()]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &content[found.start()..]).map_or(content.len(), |n| found.start() + n);
        counted = found.start();
        at = end + 1;
        let text = content[start..end].strip_suffix(b"\r").unwrap_or(&content[start..end]);
        Some((line, (found.start() - start) as u64 + 1, shorten(text)))
    })
}

fn shorten(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(TEXT_BYTES_MAX + 4)]);
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn lines(pattern: &str, text: &str) -> Vec<(u64, u64, String)> {
        let regex = RegexBuilder::new(pattern).multi_line(true).crlf(true).build().unwrap();
        matching_lines(&regex, text.as_bytes()).collect()
    }

    #[test]
    fn each_matching_line_is_named_once() {
        let text = "fn one() {}\nlet fn = fn\n\nnothing\r\nfn two\r\n";
        let found = lines("fn", text);
        assert_eq!(found, [(1, 1, "fn one() {}".into()), (2, 5, "let fn = fn".into()), (5, 1, "fn two".into())]);
        assert_eq!(lines("^nothing$", text), [(4, 1, "nothing".into())]);
        assert_eq!(lines("^$", "a\n\nb\n"), [(2, 1, String::new())]);
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        assert_eq!(shorten("ä".repeat(400).as_bytes()).len(), 500);
        assert_eq!(shorten(&[b"x".repeat(499), "ä".into()].concat()).len(), 499);
    }
}
