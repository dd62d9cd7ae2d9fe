//! Which programs a command line runs, and whether its exit status speaks for all of them.

/// A command line, cut at shell operators, without wrappers and assignments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Command {
    steps: Vec<Vec<String>>,
    masked: bool,
}

/// Programs that run the program named after them.
const WRAPPERS: &[&str] = &[
    "sudo", "env", "time", "nice", "nohup", "timeout", "exec", "command", "npx", "pnpx", "bunx", "uvx", "pipx",
    "xvfb-run", "stdbuf", "unbuffer", "ccache", "bear",
];
/// Wrappers of two words.
const RUNNERS: &[(&str, &str)] = &[
    ("uv", "run"),
    ("poetry", "run"),
    ("pipenv", "run"),
    ("pdm", "run"),
    ("hatch", "run"),
    ("rye", "run"),
    ("pixi", "run"),
    ("bundle", "exec"),
    ("pnpm", "exec"),
    ("pnpm", "dlx"),
    ("yarn", "dlx"),
    ("npm", "exec"),
    ("dotnet", "tool"),
];

impl Command {
    pub(crate) fn parse(line: &str) -> Self {
        let mut steps = vec![Vec::new()];
        // What follows `|`, `;` or `||` decides the exit status, so a zero no longer speaks for what came before.
        let masked = line.contains(['|', ';', '\n']) || line.contains(" & ");
        for word in line.replace("&&", " && ").replace("||", " || ").replace([';', '\n'], " ; ").split_whitespace() {
            match word {
                "&&" | "||" | ";" | "|" | "&" => steps.push(Vec::new()),
                _ => {
                    steps.last_mut().expect("there is always one step").push(word.trim_matches(['\'', '"']).to_owned())
                }
            }
        }
        for step in &mut steps {
            strip_wrappers(step);
        }
        steps.retain(|step| !step.is_empty());
        Self { steps, masked }
    }

    /// Whether some step runs `program`: one or more words, flags between them ignored (`cargo +nightly test`).
    pub(crate) fn runs(&self, program: &str) -> bool {
        self.steps.iter().any(|step| step_runs(step, program))
    }

    /// Whether some step has the word `task`, alone or behind a colon: `gradle :app:test`.
    pub(crate) fn names(&self, task: &str) -> bool {
        self.steps.iter().flatten().any(|word| word.rsplit(':').next() == Some(task))
    }

    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.steps.iter().flatten().any(|other| other == word)
    }

    /// The word after the option `name`, in the first step that has it.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.steps.iter().find_map(|step| {
            let at = step.iter().position(|word| word == name)?;
            step.get(at + 1).map(String::as_str)
        })
    }

    /// Whether exit status 0 means that every step ended with 0.
    pub(crate) fn exit_speaks_for_all(&self) -> bool {
        !self.masked && !self.steps.is_empty()
    }

    /// Whether the last step runs `program` and every step's failure would be seen.
    pub(crate) fn ends_with(&self, program: &str) -> bool {
        self.exit_speaks_for_all() && self.steps.last().is_some_and(|step| step_runs(step, program))
    }
}

fn step_runs(step: &[String], program: &str) -> bool {
    let mut words = step.iter().filter(|word| !word.starts_with(['-', '+']));
    program.split(' ').all(|wanted| words.next().is_some_and(|word| base_name(word) == wanted))
}

fn base_name(word: &str) -> &str {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name.strip_suffix(".exe").unwrap_or(name)
}

fn strip_wrappers(step: &mut Vec<String>) {
    loop {
        let name = step.first().map(|word| base_name(word).to_owned());
        let second = step.get(1).map(String::as_str);
        let drop = match name.as_deref() {
            Some(name) if name.contains('=') && !name.starts_with('-') => 1,
            Some(name) if RUNNERS.iter().any(|(a, b)| *a == name && Some(*b) == second) => 2,
            Some(name) if name.starts_with("python") && second == Some("-m") => 2,
            Some(name) if WRAPPERS.contains(&name) => {
                // Their own flags and numbers (`timeout -k 5 60`).
                1 + step[1..]
                    .iter()
                    .take_while(|w| w.starts_with('-') || w.starts_with(|c: char| c.is_ascii_digit()))
                    .count()
            }
            Some(_) | None => return,
        };
        step.drain(..drop.min(step.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_flags_and_assignments_are_seen_through() {
        assert!(Command::parse("cd x && RUST_BACKTRACE=1 timeout 60 cargo +nightly -q test --all").runs("cargo test"));
        assert!(Command::parse("uv run python3 -m mypy src").runs("mypy"));
        assert!(!Command::parse("cargo build").runs("cargo test"));
    }

    #[test]
    fn a_pipe_hides_the_exit_status() {
        assert!(Command::parse("mypy . && ruff check").exit_speaks_for_all());
        for masked in ["mypy . | tee log", "mypy . ; true", "mypy . || true"] {
            assert!(!Command::parse(masked).exit_speaks_for_all(), "{masked}");
        }
    }
}
