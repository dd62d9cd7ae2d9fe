//! What a run did, by its journal: every command with how it ended, and what it was allowed.

use std::collections::{BTreeSet, HashSet};

use serde::Serialize;
use serde_json::Value;

use super::deeds::{Deed, Deeds};
use crate::agent::history;
use crate::event::{Event, Limits, Parent};
use crate::helper::HelperReport;
use crate::id::RunId;
use crate::message::ToolUse;
use crate::network::{Install, InstalledPackage, Packages, ProxyRecord};
use crate::store::{Blobs, Record};
use crate::task::{CheckResult, Outcome};

/// Fields that the journal does not hold (yet) are null or empty.
#[derive(Debug, Default, Serialize)]
pub(super) struct Account {
    pub(super) run: Option<RunId>,
    /// The version that began it.
    pub(super) greenroom: Option<String>,
    pub(super) repo: Option<String>,
    pub(super) task: Option<String>,
    pub(super) model: Option<String>,
    pub(super) image: Option<String>,
    pub(super) image_digest: Option<String>,
    pub(super) limits: Option<Limits>,
    /// As begun with: image, resources, environment, set-up, runtime, weakened confinements.
    pub(super) plan: Value,
    pub(super) weaker: Vec<String>,
    /// As seen from inside, of the newest container.
    pub(super) hardening: Value,
    pub(super) parent: Option<Parent>,
    pub(super) containers: Vec<String>,
    pub(super) resumed: u32,
    pub(super) rewound: u32,
    pub(super) status: Option<String>,
    pub(super) commands: Vec<CommandLine>,
    /// Every request that went to the proxy, in the order in which they ended.
    pub(super) network: Vec<RequestLine>,
    /// Requests beyond the limit of records.
    pub(super) requests_left_out: u64,
    /// By the set-up before the run.
    pub(super) set_up: Vec<Packages>,
    pub(super) installed: Vec<InstallLine>,
    /// Whose helper it is.
    pub(super) helper_of: Option<RunId>,
    pub(super) helpers: Vec<HelperLine>,
}

/// A run of its own, with an audit of its own.
#[derive(Debug, Serialize)]
pub(super) struct HelperLine {
    pub(super) step: u64,
    pub(super) rewound: bool,
    #[serde(flatten)]
    pub(super) report: HelperReport,
}

#[derive(Debug, Serialize)]
pub(super) struct RequestLine {
    /// `None`: the set-up before the run.
    pub(super) step: Option<u64>,
    #[serde(flatten)]
    pub(super) request: ProxyRecord,
}

#[derive(Debug, Serialize)]
pub(super) struct InstallLine {
    pub(super) step: u64,
    pub(super) rewound: bool,
    #[serde(flatten)]
    pub(super) install: Install,
}

/// One command, or one tool call that runs none.
#[derive(Debug, Serialize)]
pub(super) struct CommandLine {
    /// `baseline`, `step 7`, `verification`.
    pub(super) place: String,
    pub(super) step: Option<u64>,
    pub(super) tool: String,
    /// The command, or the argument that says most.
    pub(super) command: String,
    pub(super) outcome: Option<Outcome>,
    /// The call was refused, or could not be done.
    pub(super) is_error: bool,
    /// Nobody knows whether it took effect.
    pub(super) unknown: bool,
    /// It was begun, and no end of it is in the journal.
    pub(super) unfinished: bool,
    /// A later rewind took it back.
    pub(super) rewound: bool,
    /// What it did to the files; null where no snapshot says so.
    pub(super) files: Option<Vec<Deed>>,
}

impl Account {
    pub(super) fn of(records: &[Record], blobs: &Blobs) -> Self {
        let mut account = Account::default();
        let mut deeds = Deeds::new(blobs);
        let branch = history::branch(records.iter().map(|record| &record.event));
        let branch: HashSet<*const Event> = branch.into_iter().map(std::ptr::from_ref).collect();
        let kept = |event: &Event| branch.contains(&std::ptr::from_ref(event));
        let mut call = None;
        for event in records.iter().map(|record| &record.event) {
            let files = deeds.follow(event);
            match event {
                Event::RunStarted { greenroom, run, repo, task, model, limits, plan, parent, helper, .. } => {
                    account.helper_of = helper.as_ref().map(|of| of.run.clone());
                    account.run = Some(run.clone());
                    account.greenroom = Some(greenroom.clone());
                    account.repo = Some(repo.clone());
                    account.task = task.instruction.clone();
                    account.model = Some(model.clone());
                    account.limits = Some(limits.clone());
                    account.parent = parent.clone();
                    account.plan = plan.clone();
                    let weaker = plan.get("weaker").and_then(Value::as_array).into_iter().flatten();
                    account.weaker = weaker.filter_map(Value::as_str).map(str::to_owned).collect();
                    let setup = plan.get("setup").and_then(Value::as_array).into_iter().flatten();
                    account.commands.extend(setup.filter_map(Value::as_str).map(set_up));
                    let packages = plan.get("packages").cloned().unwrap_or_default();
                    account.set_up = serde_json::from_value(packages).unwrap_or_default();
                }
                Event::SandboxStarted { container, image, image_digest, hardening, .. } => {
                    account.image = Some(image.clone());
                    account.sandbox(container, image_digest, hardening);
                }
                Event::SandboxReplaced { container, image_digest, hardening, .. } => {
                    account.sandbox(container, image_digest, hardening);
                }
                Event::NetworkUsed { token, requests, left_out } => {
                    let step = token.map(|token| token.0 + 1);
                    account.requests_left_out += left_out;
                    account
                        .network
                        .extend(requests.iter().map(|request| RequestLine { step, request: request.clone() }));
                }
                Event::BaselineFinished { checks, .. } => account.checks("baseline", None, checks, false),
                Event::ToolCallStarted { token, call: started } => {
                    if let Some(left) = call.replace((token.0 + 1, started)) {
                        account.commands.push(CommandLine { rewound: true, ..unfinished(left) });
                    }
                }
                Event::ToolCallFinished { token, result, .. } => {
                    let step = token.0 + 1;
                    let rewound = !kept(event);
                    let (tool, command) =
                        call.take().map_or_else(Default::default, |(_, call)| (call.name.clone(), said(call)));
                    account.commands.push(CommandLine {
                        place: format!("step {step}"),
                        step: Some(step),
                        tool,
                        command,
                        outcome: result.outcome,
                        is_error: result.is_error,
                        unknown: result.effect_unknown,
                        unfinished: false,
                        rewound,
                        files,
                    });
                    if let Some(install) = &result.installed {
                        account.image_digest = Some(install.image_digest.clone());
                        account.containers.push(install.container.clone());
                        account.installed.push(InstallLine { step, rewound, install: (**install).clone() });
                    }
                    if let Some(report) = &result.helper {
                        account.helpers.push(HelperLine { step, rewound, report: (**report).clone() });
                    }
                    if let Some(checks) = &result.checks {
                        account.checks(&format!("step {step}"), Some(step), checks, rewound);
                    }
                }
                Event::VerificationFinished { checks, .. } => {
                    account.checks("verification", None, checks, !kept(event));
                }
                Event::Finished { outcome, .. } => {
                    let status = serde_json::to_value(outcome.status).expect("a status is a word");
                    account.status = status.as_str().map(str::to_owned);
                }
                Event::Resumed { limits, .. } => {
                    account.resumed += 1;
                    account.limits = limits.clone().or(account.limits.take());
                }
                Event::Rewound { .. } => account.rewound += 1,
                Event::CandidatesRan { container, .. } => account.containers.push(container.clone()),
                Event::Imported { .. }
                | Event::CheckpointWritten { .. }
                | Event::WindowRebuilt { .. }
                | Event::WriterAsked { .. }
                | Event::BackgroundRead { .. }
                | Event::WriterFinished { .. }
                | Event::Said { .. }
                | Event::Reviewed { .. }
                | Event::ModelRequested { .. }
                | Event::ModelResponded { .. }
                | Event::ModelFailed { .. }
                | Event::TreeCaptured { .. } => {}
            }
        }
        account.commands.extend(call.map(unfinished));
        account
    }

    fn sandbox(&mut self, container: &str, image_digest: &str, hardening: &Value) {
        self.containers.push(container.to_owned());
        self.image_digest = Some(image_digest.to_owned());
        self.hardening = hardening.clone();
    }

    fn checks(&mut self, place: &str, step: Option<u64>, checks: &[CheckResult], rewound: bool) {
        self.commands.extend(checks.iter().map(|check| CommandLine {
            place: place.to_owned(),
            step,
            tool: "check".into(),
            command: check.check.command.clone(),
            outcome: Some(check.outcome),
            is_error: false,
            unknown: false,
            unfinished: false,
            rewound,
            files: None,
        }));
    }

    /// The head of the account, for a person.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
        let weaker = if self.weaker.is_empty() { "nothing".to_owned() } else { self.weaker.join(", ") };
        let digest = self.image_digest.as_deref().unwrap_or("no digest");
        let mut lines = vec![
            ("run", self.run.as_ref().map_or_else(|| "-".into(), ToString::to_string)),
            ("greenroom", text(&self.greenroom)),
            ("repo", text(&self.repo)),
            ("task", self.task.clone().unwrap_or_else(|| "make the checks pass".into())),
            ("model", text(&self.model)),
            ("image", format!("{} ({digest})", text(&self.image))),
            ("weakened", weaker),
        ];
        if let Some(limits) = &self.limits {
            lines.push(("limits", limits_text(limits)));
        }
        if let Some(parent) = &self.parent {
            lines.push(("parent", format!("{} at step {} (head {})", parent.run, parent.step, parent.head)));
        }
        if let Some(run) = &self.helper_of {
            lines.push(("helper of", run.to_string()));
        }
        for HelperLine { step, report, .. } in &self.helpers {
            let text = format!(
                "step {step}: {}, {} steps, {} files changed",
                report.run,
                report.steps,
                report.files_changed.len()
            );
            lines.push(("helper", text));
        }
        if !self.network.is_empty() {
            let refused = self.network.iter().filter(|line| line.request.complaint().is_some()).count();
            let hosts: BTreeSet<&str> = self.network.iter().map(|line| line.request.host.as_str()).collect();
            let more = match hosts.len().saturating_sub(HOSTS_NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named: Vec<&str> = hosts.into_iter().take(HOSTS_NAMED_MAX).collect();
            let named = named.join(", ");
            let text = format!("{} requests, {refused} of them not served, to {named}{more}", self.network.len());
            lines.push(("network", text));
        }
        for Packages { manager, packages } in &self.set_up {
            lines.push(("installed", format!("set-up, {manager}: {}", names(packages))));
        }
        for InstallLine { step, install, .. } in &self.installed {
            lines.push(("installed", format!("step {step}, {}: {}", install.manager, names(&install.packages))));
        }
        let story = format!(
            "{} of {} sandboxes, resumed {} times, rewound {} times",
            self.status.as_deref().unwrap_or("unfinished"),
            self.containers.len(),
            self.resumed,
            self.rewound
        );
        lines.push(("story", story));
        lines
    }
}

fn names(packages: &[InstalledPackage]) -> String {
    let names: Vec<String> = packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect();
    names.join(", ")
}

fn limits_text(limits: &Limits) -> String {
    let mut text = format!("{} steps", limits.steps_max);
    if let Some(tokens) = limits.tokens_max {
        text.push_str(&format!(", {tokens} tokens"));
    }
    if let Some(cost) = limits.cost_usd_max {
        text.push_str(&format!(", ${cost}"));
    }
    if let Some(ms) = limits.wall_time_max_ms {
        text.push_str(&format!(", {} s", ms / 1000));
    }
    text
}

/// A command of the set-up. The run would not have begun had it failed.
fn set_up(command: &str) -> CommandLine {
    CommandLine {
        place: "set-up".into(),
        step: None,
        tool: "setup".into(),
        command: command.to_owned(),
        outcome: None,
        is_error: false,
        unknown: false,
        unfinished: false,
        rewound: false,
        files: None,
    }
}

fn unfinished((step, call): (u64, &ToolUse)) -> CommandLine {
    CommandLine {
        place: format!("step {step}"),
        step: Some(step),
        tool: call.name.clone(),
        command: said(call),
        outcome: None,
        is_error: false,
        unknown: false,
        unfinished: true,
        rewound: false,
        files: None,
    }
}

/// In the head of the account; `--json` has every request.
const HOSTS_NAMED_MAX: usize = 8;

/// The argument that says most.
fn said(call: &ToolUse) -> String {
    let text = ["command", "path", "pattern", "manager"].iter().find_map(|key| call.input.get(key)?.as_str());
    text.unwrap_or_default().to_owned()
}
