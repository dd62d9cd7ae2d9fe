//! Helpers in real containers: what they find comes back, what they change is merged or refused as a whole, and what they
//! take is taken from the run.

use greenroom::event::{Event, RunStatus, ToolOutcome};
use greenroom::helper::{HelperReport, Merge};
use greenroom::store::RunDir;
use serde_json::{Value, json};

use super::{CHECK, House, Run, text, wait_for};

type Calls<'a> = &'a [(&'a str, Value)];

fn bash(command: &str) -> (&str, Value) {
    ("bash", json!({"command": command}))
}

fn helper(task: &str, writes: bool) -> (&str, Value) {
    ("helper", json!({"task": task, "writes": writes}))
}

fn submit(summary: &str) -> (&str, Value) {
    ("submit", json!({"summary": summary}))
}

fn cure() -> (&'static str, Value) {
    ("edit_file", json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"}))
}

impl House {
    /// The turns of a script under this name, each with what it is said to take.
    fn turns(&self, name: &str, turns: &[Calls<'_>], input_tokens: u64) -> String {
        let line = |calls: &Calls<'_>| {
            let content: Vec<Value> =
                calls.iter().map(|(name, input)| json!({"type": "tool_use", "name": name, "input": input})).collect();
            json!({"content": content, "usage": {"input_tokens": input_tokens, "output_tokens": 10}}).to_string()
        };
        let text: Vec<String> = turns.iter().map(line).collect();
        format!("scripted:{}", self.environment.write(name, &text.join("\n")).display())
    }

    /// The small repository, by one that has helpers.
    fn helped(&self, above: &[Calls<'_>], below: &[Calls<'_>], more: &[&str]) -> Run {
        let (model, helpers) = (self.turns("above.jsonl", above, 1_000), self.turns("below.jsonl", below, 1_000));
        let args = ["--helpers", "9", "--helper-model", &helpers, "--verification", "plain"];
        self.run_small(&model, &[&args, more].concat())
    }

    /// The runs below the newest one, the highest level first.
    fn below(&self) -> Vec<RunDir> {
        RunDir::find(&self.environment.state(), "last").expect("the run").helpers().expect("its helpers")
    }

    fn report(&self) -> HelperReport {
        *self.answers().into_iter().find_map(|answer| answer.helper).expect("a helper")
    }
}

fn answers_of(dir: &RunDir) -> Vec<ToolOutcome> {
    let events = dir.journal().expect("its journal").records.into_iter().map(|record| record.event);
    let answer = |event| match event {
        Event::ToolCallFinished { result, .. } => Some(*result),
        _ => None,
    };
    events.filter_map(answer).collect()
}

#[test]
fn a_helper_that_reads_answers_and_leaves_nothing_in_the_workspace() {
    let Some(house) = House::open() else { return };
    let run = house.helped(
        &[
            &[helper("What does add do?", false)],
            &[cure(), bash("test ! -e junk.txt"), ("run_checks", json!({}))],
            &[submit("")],
        ],
        &[
            &[bash("echo junk > junk.txt; cat calc.py"), ("write_file", json!({"path": "x", "content": "x"}))],
            &[submit("calc.py:2: it subtracts")],
        ],
        &[],
    );
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let report = house.report();
    assert_eq!((report.status, report.merge.clone()), (RunStatus::Answered, Merge::ThrownAway));
    assert_eq!((report.files_changed.as_slice(), report.steps), (["junk.txt".to_owned()].as_slice(), 3));
    let answers = house.answers();
    assert!(answers[0].content.contains("calc.py:2: it subtracts"), "{}", answers[0].content);
    assert!(answers[2].outcome.expect("a command").succeeded(), "its copy was a copy");
    let refused = &answers_of(&house.below()[0])[1];
    assert!(refused.is_error && refused.content.contains("helper that reads"), "{}", refused.content);
    assert_eq!(run.result["helpers"], json!({"count": 1, "steps": 3, "tokens": 2_020}), "{}", run.finished);
    assert_eq!(run.result["tokens"], 5 * 1_010, "{}", run.finished);

    // It is a run to look at, and nobody's to go on with.
    let id = report.run.as_str();
    let shown = house.greenroom(&["show", id]);
    assert!(shown.stdout.contains("What does add do?") && shown.stdout.contains("answered"), "{shown}");
    let resumed = house.greenroom(&["resume", id]);
    assert!(resumed.code == 2 && resumed.stderr.contains("is a helper of run"), "{resumed}");
    let listed = house.greenroom(&["runs"]);
    assert!(listed.stdout.lines().count() == 1 && listed.stdout.contains("(1 helper)"), "{listed}");
    // Images are everybody's here.
    let mut gc = house.environment.command(&["gc", "--yes"]);
    let freed = gc.env("DOCKER_HOST", "unix:///no/engine").output().expect("it starts");
    assert!(freed.status.success(), "{freed:?}");
    let audit = house.greenroom(&["audit", "last"]);
    assert!(audit.code == 0 && audit.stdout.contains(id), "nothing it takes is gone: {audit}");
    let archive = house.environment.root().join("run.tar");
    let exported = house.greenroom(&["export", "last", "-o", text(&archive)]);
    assert_eq!(exported.code, 0, "{exported}");
    let elsewhere = House::open().expect("asked for before");
    let imported = elsewhere.environment.greenroom(&["import", text(&archive)]);
    let audit = elsewhere.environment.greenroom(&["audit", id]);
    assert!(imported.code == 0 && audit.code == 0, "it comes along: {imported} {audit}");
    let journal = house.below()[0].journal_path();
    let mut bytes = std::fs::read(&journal).expect("its journal");
    bytes[100] ^= 1;
    std::fs::write(&journal, bytes).expect("a writable journal");
    let audit = house.environment.greenroom(&["audit", "last"]);
    assert!(audit.code == 3 && audit.stdout.contains(&format!("helper {id}")), "{audit}");
}

#[test]
fn what_a_writing_helper_changed_is_in_the_workspace() {
    let Some(house) = House::open() else { return };
    house.environment.write("repo/old/gone.txt", "gone\n");
    house.environment.write("repo/tool.sh", "echo tool\n");
    let looks = "test -x tool.sh && test ! -e old && test \"$(readlink link)\" = calc.py && cat new/deep/file";
    let run = house.helped(
        &[&[helper("Mend add.", true), bash(looks)], &[("run_checks", json!({}))], &[submit("mended")]],
        &[
            &[
                cure(),
                bash("chmod +x tool.sh; rm -r old; ln -s calc.py link; mkdir -p new/deep; echo text > new/deep/file"),
            ],
            &[submit("mended")],
        ],
        &[],
    );
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let report = house.report();
    assert_eq!(report.merge, Merge::Merged);
    assert_eq!(report.files_changed, ["calc.py", "link", "new/deep/file", "old/gone.txt", "tool.sh"]);
    let looked = &house.answers()[1];
    assert!(looked.outcome.expect("a command").succeeded(), "{}", looked.content);
    let diff = house.greenroom(&["diff", "last"]);
    assert!(diff.stdout.contains("+    return a + b") && diff.stdout.contains("new mode 100755"), "{diff}");
}

#[test]
fn a_diff_that_meets_another_change_is_refused_as_a_whole() {
    let Some(house) = House::open() else { return };
    let writes_on = json!({"action": "start", "name": "clock",
        "command": "while :; do date +%s%N > shared.txt; sleep 0.02; done"});
    let run = house.helped(
        &[
            &[("job", writes_on), bash("until test -s shared.txt; do :; done"), helper("Write shared.txt.", true)],
            &[("job", json!({"action": "stop", "name": "clock"})), bash("test ! -e extra.txt; rm shared.txt"), cure()],
            &[submit("")],
        ],
        &[&[bash("echo mine > shared.txt; echo extra > extra.txt")], &[submit("wrote both")]],
        &[],
    );
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(house.report().merge, Merge::Refused { conflicts: vec!["shared.txt".into()] });
    let answers = house.answers();
    assert!(answers[2].content.contains("NOT merged, nothing of it: shared.txt"), "{}", answers[2].content);
    assert!(answers[4].outcome.expect("a command").succeeded(), "nothing of it is there: {}", answers[4].content);
}

#[test]
fn a_helper_ends_before_its_share_is_overspent() {
    let Some(house) = House::open() else { return };
    let look = bash("ls");
    let turns: Vec<[(&str, Value); 1]> = (0..20).map(|_| [look.clone()]).collect();
    let turns: Vec<Calls<'_>> = turns.iter().map(|turn| turn.as_slice()).collect();
    let (model, helpers) = (
        house.turns("above.jsonl", &[&[helper("Look around.", true)], &[cure()], &[submit("")]], 1_000),
        house.turns("below.jsonl", &turns, 20_000),
    );
    let args = ["--helpers", "1", "--helper-model", &helpers, "--tokens-max", "200000"];
    let run = house.run_small(&model, &args);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let report = house.report();
    let took = report.input_tokens + report.output_tokens;
    assert_eq!((report.status, report.merge.clone()), (RunStatus::Limit, Merge::Nothing), "{report:?}");
    let share = (200_000 - 1_010) / 2;
    assert!(took <= share && took > share / 2, "{took} of {share} tokens: {}", report.reason);
    assert!(run.result["tokens"].as_u64().expect("a count") <= 200_000, "{}", run.finished);
    let again = house.answers()[0].content.clone();
    assert!(again.contains("the helper was stopped after") && again.contains("left of the budget"), "{again}");
}

#[test]
fn helpers_have_helpers_five_levels_down_and_no_further() {
    let Some(house) = House::open() else { return };
    let run = house.helped(
        &[&[helper("Ask another.", false), cure()], &[submit("")]],
        &[&[helper("Ask another.", false)], &[submit("asked")]],
        &[],
    );
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let below = house.below();
    assert_eq!((below.len(), run.result["helpers"]["count"].as_u64()), (5, Some(5)), "{}", run.finished);
    let refusals: Vec<bool> = below.iter().map(|dir| answers_of(dir)[0].is_error).collect();
    assert_eq!(refusals, [false, false, false, false, true]);
    let told = &answers_of(&below[4])[0].content;
    assert!(told.contains("at most 5 levels deep"), "{told}");
}

#[test]
fn ctrl_c_while_a_helper_works_parks_both_and_leaves_nothing_and_both_go_on() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let model = house.turns("above.jsonl", &[&[helper("Wait.", true), cure()], &[submit("")]], 1_000);
    let below = house.turns("below.jsonl", &[&[bash("sleep 3; echo waited > waited")], &[submit("waited")]], 1_000);
    let args = ["run", "--json", "--repo", text(&repo), "--image", "python", "--check", CHECK, "--model", &model];
    let mut runner = house.environment.command(&[&args[..], &["--helpers", "1", "--helper-model", &below]].concat());
    let quiet = std::process::Stdio::null;
    let mut runner = runner.stdout(quiet()).stderr(quiet()).spawn().expect("it starts");
    wait_for("the helper's call", 60, || {
        let below = RunDir::find(&house.environment.state(), "last").ok()?.helpers().ok()?.pop()?;
        let last = below.journal().ok()?.records.pop()?;
        matches!(last.event, Event::ToolCallStarted { .. }).then_some(())
    });
    assert_eq!(house.containers().len(), 2, "the run's and the helper's");
    let pid = rustix::process::Pid::from_child(&runner);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("the signal is sent");
    assert_eq!(runner.wait().expect("it ends").code(), Some(130));
    house.assert_nothing_left();
    let last = house.below()[0].journal().expect("its journal").records.pop().expect("a record").event;
    assert!(matches!(last, Event::Finished { outcome, .. } if outcome.status == RunStatus::Parked));

    let resumed = house.greenroom(&["resume", "last"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    assert_eq!((house.report().merge, house.below().len()), (Merge::Merged, 1));
    let diff = house.greenroom(&["diff", "last"]);
    assert!(diff.stdout.contains("+waited"), "{diff}");
}

#[test]
fn without_being_asked_for_there_are_none() {
    let Some(house) = House::open() else { return };
    let model = house.script(&[&[helper("Look.", false), cure()], &[submit("")]]);
    let run = house.run_small(&model, &[]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    let told = &house.answers()[0];
    assert!(told.is_error && told.content.contains("`--helpers N` does"), "{}", told.content);
    assert!(house.below().is_empty());
}
