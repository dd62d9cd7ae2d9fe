//! What a line is beside a finding: decorated, a task's, a frame of a stack, the context of another.

/// reek's `FeatureEnvy: text`, which it writes below the file's name.
pub(super) fn is_smell(message: &str) -> bool {
    message.split_once(": ").is_some_and(|(name, _)| {
        let capitals = name.bytes().filter(u8::is_ascii_uppercase).count();
        capitals > 1
            && name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.bytes().all(|b| b.is_ascii_alphabetic())
            && name.bytes().any(|b| b.is_ascii_lowercase())
    })
}

/// gcc's chains of templates, where the error at their end was not read with them.
pub(super) fn is_instantiation(message: &str) -> bool {
    ["instantiated from ", "required from ", "[ skipping "].iter().any(|start| message.starts_with(start))
}

/// What leads up to a finding or explains it, and is none itself.
pub(super) fn is_context(message: &str) -> bool {
    const STARTS: &[&str] = &["required ", "in ", "instantiated from", "included from", "imported from", "called from"];
    STARTS.iter().any(|start| message.starts_with(start))
}

/// What follows the tag of one of Ant's tasks.
pub(super) fn task(text: &str) -> Option<&str> {
    let (name, rest) = text.strip_prefix('[')?.split_once("] ")?;
    const TASKS: &[&str] = &[
        "javac",
        "javadoc",
        "jikes",
        "checkstyle",
        "groovyc",
        "scalac",
        "kotlinc",
        "cc",
        "exec",
        "java",
        "pmd",
        "compc",
        "mxmlc",
        "iajc",
        "ccbl",
    ];
    TASKS.contains(&name).then(|| rest.trim_start())
}

/// Without `** `, `%` and the like, which some tools put before a severity.
pub(super) fn undecorated(line: &str) -> &str {
    let text = line.trim();
    let text = text.strip_prefix("# ").filter(|rest| rest.starts_with("**")).unwrap_or(text);
    let bare = text.trim_start_matches(['*', '%']);
    if bare.len() == text.len() { text } else { bare.trim_end_matches('*').trim() }
}

/// Lines of stack traces, and of tools that number their processes.
pub(super) fn is_frame(text: &str) -> bool {
    const STARTS: &[&str] = &["at ", "from ", "==", "-->", ":::", "in ", "called from ", "| ", "> ", "↳", "╰", "│"];
    let numbered = text.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    // RXP's places follow their message.
    let entity = text.starts_with("in ") && text.contains(" entity at line ");
    // Zig's `a.zig:2:15: 0x124efbb in main (a.zig)`
    let addressed = text.split_once(": 0x").is_some_and(|(_, rest)| rest.contains(" in "));
    numbered
        || addressed
        || STARTS.iter().any(|start| text.starts_with(start)) && !entity
        || text.starts_with("File \"") && text.contains(", in ")
}
