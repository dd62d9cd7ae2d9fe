//! Which suggestions are carried out in this turn: for every finding the first one that was not tried, as many as go
//! together.

use std::collections::{BTreeMap, BTreeSet};

use greenroom_parsers::{Edit, Suggestion};

use super::history::{History, Known};
use super::splice::Splice;
use super::suggest::Finding;
use super::{key, path, resolve};

/// Reading more files than this in one answer helps nobody.
const READS_MAX: usize = 16;
const SUGGESTIONS_MAX: usize = 50;

/// What can be done about the findings now.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Files to be seen first, each from this line on.
    pub(super) reads: BTreeMap<String, usize>,
    /// Each file's lines and the groups of splices that go into it.
    pub(super) files: BTreeMap<String, (Vec<String>, Vec<Vec<Splice>>)>,
    /// Names that are replaced, each with its replacement.
    renamed: BTreeSet<(String, String)>,
    /// What is carried out, for a person, with the key that marks it as tried.
    pub(super) notes: Vec<String>,
    /// Findings with a suggestion that was tried, or that fits nowhere in the file.
    pub(super) exhausted: Vec<String>,
    /// Findings nothing was suggested for.
    pub(super) unsuggested: Vec<String>,
}

/// What became of one suggestion.
enum Fit {
    Applies(BTreeMap<String, Vec<Splice>>),
    /// Another finding's suggestion already does the same.
    Covered,
    /// In the way of one that was chosen: its turn comes later.
    Collides,
    NotSeen,
    Useless,
}

impl Plan {
    pub(super) fn new(findings: &[Finding], history: &History) -> Plan {
        let mut plan = Plan::default();
        for finding in findings {
            if finding.suggestions.is_empty() {
                plan.unsuggested.push(finding.what.clone());
                continue;
            }
            if plan.notes.len() == SUGGESTIONS_MAX {
                break;
            }
            let mut exhausted = true;
            for suggestion in &finding.suggestions {
                match plan.fit(finding, suggestion, history) {
                    Fit::Useless => continue,
                    Fit::Applies(groups) => plan.choose(finding, suggestion, groups, history),
                    Fit::Covered | Fit::Collides | Fit::NotSeen => {}
                }
                exhausted = false;
                break;
            }
            if exhausted {
                plan.exhausted.push(finding.what.clone());
            }
        }
        plan
    }

    fn fit(&mut self, finding: &Finding, suggestion: &Suggestion, history: &History) -> Fit {
        let key = key(&finding.fingerprint, suggestion);
        let mut groups: BTreeMap<String, Vec<Splice>> = BTreeMap::new();
        let mut not_seen = false;
        for edit in &suggestion.edits {
            let Some(file) = path::own(resolve::file_of(edit)) else { return Fit::Useless };
            let lines = match history.file(&file) {
                Known::Whole(lines) => lines,
                Known::Unreadable => return Fit::Useless,
                Known::From(line) => {
                    if self.reads.len() < READS_MAX {
                        self.reads.insert(file, line);
                    }
                    not_seen = true;
                    continue;
                }
            };
            let Some(splice) = resolve::splice(edit, finding.role, &lines) else { return Fit::Useless };
            let line = match edit {
                Edit::AddImport { .. } => None,
                Edit::Replace { .. } | Edit::Substitute { .. } | Edit::DeleteLines { .. } => {
                    lines.get(splice.start.line).map(String::as_str)
                }
            };
            if history.tried(&key, &file, line) {
                return Fit::Useless;
            }
            let group = groups.entry(file).or_default();
            if group.iter().any(|other| other.collides(&splice)) {
                return Fit::Useless;
            }
            group.push(splice);
        }
        match (not_seen, self.reverses(suggestion)) {
            (true, _) => Fit::NotSeen,
            (false, true) => Fit::Collides,
            (false, false) => self.compare(groups),
        }
    }

    /// Whether it would write the name that another finding is about: a compiler that stumbles over a misspelt import
    /// proposes the misspelling wherever the right name is used.
    fn reverses(&self, suggestion: &Suggestion) -> bool {
        renames(suggestion).any(|(original, replacement)| self.renamed.contains(&(replacement, original)))
    }

    /// How the splices stand to those already chosen.
    fn compare(&self, groups: BTreeMap<String, Vec<Splice>>) -> Fit {
        let chosen = |file: &String| self.files.get(file).into_iter().flat_map(|(_, groups)| groups).flatten();
        let mut all = groups.iter().flat_map(|(file, splices)| splices.iter().map(move |splice| (file, splice)));
        if all.clone().all(|(file, splice)| chosen(file).any(|other| other == splice)) {
            return Fit::Covered;
        }
        let free = all.all(|(file, splice)| !chosen(file).any(|other| other == splice || other.collides(splice)));
        if free { Fit::Applies(groups) } else { Fit::Collides }
    }

    fn choose(
        &mut self,
        finding: &Finding,
        suggestion: &Suggestion,
        groups: BTreeMap<String, Vec<Splice>>,
        history: &History,
    ) {
        for (file, splices) in groups {
            if let Known::Whole(lines) = history.file(&file) {
                self.files.entry(file).or_insert_with(|| (lines, Vec::new())).1.push(splices);
            }
        }
        self.renamed.extend(renames(suggestion));
        let mark = super::mark(&key(&finding.fingerprint, suggestion));
        self.notes.push(format!("- {} → {} {mark}", finding.what, describe(suggestion)));
    }

    /// What nothing can be done about, without repetitions.
    pub(super) fn hopeless(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let all = self.unsuggested.iter().chain(&self.exhausted);
        all.map(String::as_str).filter(|what| seen.insert(*what)).collect()
    }
}

fn renames(suggestion: &Suggestion) -> impl Iterator<Item = (String, String)> {
    suggestion.edits.iter().filter_map(|edit| match edit {
        Edit::Substitute { original, replacement, .. } => Some((original.clone(), replacement.clone())),
        Edit::Replace { .. } | Edit::AddImport { .. } | Edit::DeleteLines { .. } => None,
    })
}

/// What is done, in a few words.
fn describe(suggestion: &Suggestion) -> String {
    let edits = suggestion.edits.iter().map(|edit| match edit {
        Edit::Substitute { original, replacement, .. } => format!("write `{replacement}` for `{original}`"),
        Edit::AddImport { module, .. } => format!("import `{module}`"),
        Edit::DeleteLines { first, last, .. } if first == last => format!("delete line {first}"),
        Edit::DeleteLines { first, last, .. } => format!("delete lines {first} to {last}"),
        Edit::Replace { .. } => suggestion.message.lines().next().unwrap_or_default().to_owned(),
    });
    let mut edits: Vec<String> = edits.collect();
    edits.dedup();
    edits.join(", ")
}
