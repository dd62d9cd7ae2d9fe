//! Shapes of going round in circles.

use serde_json::json;

use super::world::{FILES, World};

pub(super) const LOOPS: [&str; 16] = [
    "one call again and again",
    "one question in other words",
    "two reads in turns",
    "a round of reads",
    "edit and undo",
    "two edits in turns, tested",
    "checks without an edit",
    "the same file written again",
    "one call with noise in its answer",
    "edit and undo by name",
    "edit by name, undo by command",
    "two contents in turns, by name",
    "edit and undo by name, checked",
    "four calls with noise in turns",
    "waiting for what never comes",
    "planning in other words",
];

/// One round of a circle; how many steps it has.
pub(super) fn circle(world: &mut World, shape: usize) -> usize {
    let file = world.file;
    let version = world.versions[file];
    let before = world.calls.len();
    match shape {
        0 => world.read(file, 0),
        1 => {
            let words = world.draw(5);
            world.read(file, words);
        }
        2 => {
            world.read(file, 0);
            world.read((file + 1) % FILES, 0);
        }
        3 => (0..5).for_each(|n| world.read((file + n) % FILES, n)),
        4 => {
            world.edit(file, version ^ 1);
            world.edit(file, version);
        }
        5 => {
            world.edit(file, version ^ 1);
            world.test("");
            world.edit(file, version);
            world.test("");
        }
        6 => world.test(""),
        7 => world.run(&format!("cp /tmp/new.py src/m{file}.py && echo done"), "done".into()),
        8 => noisy(world, 0),
        9 => {
            world.edit_by_name(file, version ^ 1);
            world.edit_by_name(file, version);
        }
        10 => {
            world.edit_by_name(file, version ^ 1);
            world.checkout(file, version);
        }
        11 => {
            world.write_by_name(file, version ^ 1);
            world.write_by_name(file, version);
        }
        12 => {
            world.edit_by_name(file, version ^ 1);
            world.checks();
            world.edit_by_name(file, version);
            world.checks();
        }
        13 => (0..4).for_each(|n| noisy(world, n)),
        14 => world.run("sleep 10; tail -n 1 worker.log", "waiting for the lock".into()),
        _ => {
            let number = world.next();
            let items = json!([{"text": format!("try way {number}"), "status": "open"}]);
            world.push("plan", json!({"items": items}), "kept; 1 of 1 to do".into(), false);
        }
    }
    world.calls.len() - before
}

fn noisy(world: &mut World, number: usize) {
    let noise = world.next();
    world.run(&format!("./run.sh --verbose --case {number}"), format!("request id {noise} failed"));
}
