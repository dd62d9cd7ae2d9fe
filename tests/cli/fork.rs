use greenroom::event::Event;
use greenroom::id::CallToken;
use greenroom::store::{RunDir, Store};

use super::{RUN, record_a_run};
use crate::support::TestEnvironment;

#[test]
fn a_fork_is_there_whole_however_long_its_parent_is() {
    let environment = TestEnvironment::new();
    let store = record_a_run(&environment);
    let parent = RunDir::find(&environment.state(), RUN).expect("the run");
    let recorded = parent.journal().expect("its journal").records;
    let calls = |event: &&Event| matches!(event, Event::ToolCallStarted { .. } | Event::ToolCallFinished { .. });
    let step: Vec<&Event> = recorded.iter().map(|record| &record.event).filter(calls).collect();
    for number in 1..50 {
        for event in &step {
            let mut event = (*event).clone();
            if let Event::ToolCallStarted { token, .. } | Event::ToolCallFinished { token, .. } = &mut event {
                *token = CallToken(number);
            }
            store.append(&event).expect("appended");
        }
    }
    drop(store);
    let forked = environment.greenroom(&["fork", RUN, "--at", "40", "--json"]);
    assert_eq!(forked.code, 0, "{forked}");
    let line = forked.lines().remove(0);
    let fork = RunDir::find(&environment.state(), line["run"].as_str().expect("an id")).expect("the fork");
    let journal = fork.journal().expect("its journal");
    assert_eq!((journal.head(), &line["parent"]["step"]), (line["head"].as_str().expect("a hash"), &40.into()));
    let steps = journal.records.iter().filter(|record| matches!(record.event, Event::ToolCallFinished { .. })).count();
    let last = journal.records.last().map(|record| &record.event);
    assert_eq!((steps, last), (40, Some(&Event::Rewound { to_step: 40 })));
    assert_eq!(environment.greenroom(&["audit", line["run"].as_str().expect("an id")]).code, 0);
}
