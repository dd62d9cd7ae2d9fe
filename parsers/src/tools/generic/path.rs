//! Whether a word is the name of a file.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// Could be one.
    Word,
    NoFile,
}

/// Files known without an extension.
const NAMES: &[&str] = &[
    "Makefile",
    "makefile",
    "GNUmakefile",
    "Dockerfile",
    "Containerfile",
    "Rakefile",
    "Gemfile",
    "Jenkinsfile",
    "Vagrantfile",
    "Procfile",
    "Justfile",
    "justfile",
    "Brewfile",
    "Podfile",
    "configure",
    "<stdin>",
    "<string>",
    "<standard input>",
    "(standard input)",
    "STDIN",
    "stdin",
    "(stdin)",
    "[stdin]",
    "Snakefile",
    "{standard input}",
    "{standard_input}",
    "<nopath>",
    "<stdout>",
    "<unknown>",
    "<command-line>",
    "<command line>",
    "<text>",
    "BUILD",
    "WORKSPACE",
    "-",
];

/// Last parts of host names, which a port may follow.
const DOMAINS: &[&str] =
    &["com", "org", "net", "io", "dev", "local", "internal", "svc", "localhost", "cloud", "app", "edu", "gov"];

pub(super) fn kind(text: &str) -> Kind {
    let path = text.trim_matches(['"', '\'', '`']);
    if NAMES.contains(&path) {
        return Kind::File;
    }
    let path = match path.split_once("://") {
        Some(("file", rest)) => rest,
        Some(_) => return Kind::NoFile,
        None => path.strip_prefix("file:").unwrap_or(path),
    };
    let drive = path.len() > 2 && path.as_bytes()[1] == b':' && path.as_bytes()[0].is_ascii_alphabetic();
    let body = if drive { &path[2..] } else { path };
    let rooted = drive || path.starts_with(['/', '\\', '.', '~']) || text.starts_with(['"', '\'']);
    if body.is_empty()
        || body.contains([':', '\t', '|', '*', '<', '>', '"', '=', ';', '{', '}'])
        || body.ends_with([' ', '/', '\\', ',', '('])
        || (body.contains(' ') && !rooted)
        // A comment.
        || body.starts_with("// ")
        || body.contains("  ")
    {
        return Kind::NoFile;
    }
    let name = body.rsplit(['/', '\\']).next().unwrap_or(body);
    if NAMES.contains(&name) {
        return Kind::File;
    }
    let has_folder = name.len() < body.len();
    match name.rsplit_once('.') {
        Some((stem, extension)) => {
            let lettered = extension.bytes().any(|b| b.is_ascii_alphabetic());
            let plain = extension.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+'));
            let sized = (1..=16).contains(&extension.len());
            // `v1.2`, `127.0.0.1`, `3.5s`
            let version = !stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let host = !has_folder && DOMAINS.contains(&extension);
            // Manual pages: `foo.1`
            let page =
                extension.len() == 1 && stem.starts_with(|c: char| c.is_ascii_alphabetic()) && !stem.contains('.');
            match lettered && plain && sized && !host && !version {
                true => Kind::File,
                false if page && plain => Kind::Word,
                false => Kind::NoFile,
            }
        }
        // `bin/tool:3:` is as often an image and its tag: a rooted path is a file.
        None if has_folder && rooted => Kind::File,
        None if has_folder || name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) => Kind::Word,
        None => Kind::NoFile,
    }
}

/// A name of a few words, the last of which has an extension: `keyboard handler.c`.
pub(super) fn is_spaced(text: &str) -> bool {
    const WORDS_MAX: usize = 4;
    let mut words = text.split(' ');
    words.clone().count() <= WORDS_MAX
        && words.clone().all(|word| word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')))
        && words.next_back().is_some_and(|last| kind(last) == Kind::File)
}

/// Without quotes and `file://`.
pub(super) fn plain(text: &str) -> String {
    let path = text.trim_matches(['"', '\'', '`']);
    if path.starts_with("file://") {
        return crate::tools::sarif::path(path);
    }
    path.strip_prefix("file:").unwrap_or(path).to_owned()
}
