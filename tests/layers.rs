//! The layering of ARCHITECTURE.md, held: each layer sees only those before it, adapters never see one another, and what
//! decides reads no clock, disk or socket.
//!
//! Read as text: comments and test code do not count, names that a `mod.rs` re-exports count as where they come from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    Vocabulary,
    Seam,
    Decider,
    Adapter,
    Tool,
    Edge,
}

/// Sources by their path below the package, `src/agent/state.rs` for example.
struct Sources(BTreeMap<String, String>);

/// What only the edges of the program may do.
const EFFECTS: &str = r"\b(std::fs|std::env|std::net|std::process|tokio|SystemTime|Instant::now|async fn|\.await)\b";

/// `pub use docker::{DockerLauncher, LEASE};`
static EXPORTS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"pub(?:\([a-z]+\))? use (?:self::)?([a-z_]+)(?:::[a-z_]+)*::(\{[^}]*\}|\w+)";
    Regex::new(pattern).expect("a literal")
});

fn layer(file: &str) -> Layer {
    let parts: Vec<&str> = file.trim_start_matches("src/").trim_end_matches(".rs").split('/').collect();
    match parts.as_slice() {
        [
            "checkpoint" | "error" | "event" | "failpoint" | "helper" | "id" | "judgement" | "ledger" | "message"
            | "network" | "planted" | "score" | "shell" | "task" | "thrift",
        ]
        | ["snapshot", "mod" | "seen"] => Layer::Vocabulary,
        ["model" | "sandbox" | "store", "mod"] => Layer::Seam,
        ["agent", "history" | "limits" | "notebook" | "window"]
        | ["agent", "progress" | "state", ..]
        | ["context" | "feedback", ..] => Layer::Decider,
        ["model" | "sandbox" | "store" | "snapshot" | "complexity", ..] => Layer::Adapter,
        ["agent" | "tools" | "verify", ..] => Layer::Tool,
        ["attack" | "bench" | "cli" | "config" | "output" | "lib" | "main", ..] => Layer::Edge,
        _ => panic!("{file} belongs to no layer yet: say to which, here and in ARCHITECTURE.md"),
    }
}

/// `model` of `src/model/openai/stream.rs`.
fn room(file: &str) -> &str {
    let name = file.trim_start_matches("src/").split('/').next().expect("split gives at least one part");
    name.trim_end_matches(".rs")
}

impl Sources {
    fn read(folder: &str) -> Self {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeMap::new();
        let mut waiting: Vec<PathBuf> = vec![package.join(folder)];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).expect("a source folder") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(package).expect("below the package").to_string_lossy().into_owned();
                if path.is_dir() && !name.ends_with("/tests") {
                    waiting.push(path);
                } else if name.ends_with(".rs") && !name.ends_with("_tests.rs") && !name.ends_with("/tests.rs") {
                    found.insert(name, code(&std::fs::read_to_string(&path).expect("a source file")));
                }
            }
        }
        assert!(found.len() > 20, "{found:?}");
        Sources(found)
    }

    /// With one more file, as a control.
    fn with(mut self, file: &str, source: &str) -> Self {
        self.0.insert(file.into(), code(source));
        self
    }

    fn has_room(&self, room: &str) -> bool {
        [format!("src/{room}.rs"), format!("src/{room}/mod.rs")].iter().any(|file| self.0.contains_key(file))
    }

    /// `model` and `openai` to `src/model/openai.rs`, if there is such a module.
    fn module(&self, room: &str, name: &str) -> Option<String> {
        [format!("src/{room}/{name}.rs"), format!("src/{room}/{name}/mod.rs")]
            .into_iter()
            .find(|file| self.0.contains_key(file))
    }

    /// The file that `crate::room::name` comes from.
    fn origin(&self, room: &str, name: &str) -> String {
        if let Some(file) = self.module(room, name) {
            return file;
        }
        let root = format!("src/{room}/mod.rs");
        let Some(source) = self.0.get(&root) else { return format!("src/{room}.rs") };
        let from = EXPORTS.captures_iter(source).find(|export| words(&export[2]).contains(&name));
        from.and_then(|export| self.module(room, &export[1])).unwrap_or(root)
    }

    /// The edges that no layer allows.
    fn forbidden_edges(&self) -> Vec<String> {
        let paths = Regex::new(r"\bcrate::(\{[^;]*\}|[a-z_]+(?:::(?:\{[^}]*\}|\w+))?)").expect("a literal");
        let inner = Regex::new(r"([a-z_]+)(?:::(\{[^}]*\}|\w+))?").expect("a literal");
        let mut found = Vec::new();
        for (file, source) in &self.0 {
            for path in paths.captures_iter(source) {
                for step in inner.captures_iter(path[1].trim_start_matches('{')) {
                    let target_room = &step[1];
                    // Text that quotes Rust; the compiler sees to the rest.
                    if !self.has_room(target_room) {
                        continue;
                    }
                    let names = step.get(2).map_or(vec![""], |names| words(names.as_str()));
                    let origins = names.into_iter().map(|name| self.origin(target_room, name));
                    found.extend(origins.filter(|to| !is_allowed(file, to)).map(|to| format!("{file} sees {to}")));
                    if !path[1].starts_with('{') {
                        break;
                    }
                }
            }
        }
        found
    }

    /// Lines of files that must have no effects and have some.
    fn effects(&self, is_pure: impl Fn(&str) -> bool) -> Vec<String> {
        let effects = Regex::new(EFFECTS).expect("a literal");
        let pure = self.0.iter().filter(|(file, _)| is_pure(file));
        let lines = pure.flat_map(|(file, source)| source.lines().map(move |line| (file, line)));
        lines
            .filter(|(_, line)| effects.is_match(line))
            .map(|(file, line)| format!("{file}: {}", line.trim()))
            .collect()
    }
}

fn is_allowed(from: &str, to: &str) -> bool {
    let (above, below) = (layer(from), layer(to));
    match room(from) == room(to) {
        // A room's adapters know their seam; the seam names its adapters only to hand them out.
        true => below <= above || from.ends_with("/mod.rs"),
        false => below < above || (below == above && above != Layer::Adapter),
    }
}

fn words(names: &str) -> Vec<&str> {
    names.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty() && *word != "self").collect()
}

/// Without comments and without what only tests see.
fn code(source: &str) -> String {
    let program = source.split("\n#[cfg(test)]\nmod tests {").next().expect("split gives at least one part");
    program.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn decides(file: &str) -> bool {
    matches!(layer(file), Layer::Decider)
}

#[test]
fn each_layer_sees_only_those_before_it() {
    assert_eq!(Sources::read("src").forbidden_edges(), Vec::<String>::new());
}

#[test]
fn what_decides_has_no_effects() {
    assert_eq!(Sources::read("src").effects(decides), Vec::<String>::new());
}

#[test]
fn parsers_read_text_and_nothing_else() {
    let sources = Sources::read("parsers/src");
    assert_eq!(sources.effects(|_| true), Vec::<String>::new());
    for (file, source) in &sources.0 {
        assert!(!source.contains("greenroom::"), "{file} sees the program that uses it");
    }
}

#[test]
fn an_edge_that_is_forbidden_is_found() {
    for (file, source) in [
        ("src/feedback/control.rs", "use crate::sandbox::docker::DockerLauncher;"),
        ("src/feedback/control.rs", "use crate::sandbox::DockerLauncher;"),
        ("src/context/control.rs", "use crate::{\n    id::RunId,\n    cli::Context,\n};"),
        ("src/model/control.rs", "fn f() { crate::store::RunStore::create() }"),
        ("src/sandbox/control.rs", "use crate::snapshot::pack::tar_stream;"),
        ("src/tools/control.rs", "use crate::output::Printer;"),
        ("src/event.rs", "use crate::store::{Record, Store};"),
    ] {
        let found = Sources::read("src").with(file, source).forbidden_edges();
        assert!(found.iter().any(|edge| edge.starts_with(file)), "{source} in {file}: {found:?}");
    }
    let allowed = "// use crate::cli::Context;\nuse crate::id::RunId;\nuse crate::task::{Check, Task};\n";
    let found = Sources::read("src").with("src/feedback/control.rs", allowed).forbidden_edges();
    assert!(!found.iter().any(|edge| edge.starts_with("src/feedback/control.rs")), "{found:?}");
}

#[test]
fn an_effect_that_is_forbidden_is_found() {
    for source in ["use std::fs;", "let now = Instant::now();", "async fn f() {}", "tokio::spawn(f);"] {
        let found = Sources::read("src").with("src/context/control.rs", source).effects(decides);
        assert!(found.iter().any(|line| line.starts_with("src/context/control.rs")), "{source}: {found:?}");
    }
}
