//! What somebody does who gets on, also where it looks like standing still: waits, reruns, the same header in every
//! file, values tried one after another.

use serde_json::json;

use super::world::{FILES, World};

/// Kinds of [`work`].
const KINDS: usize = 20;

/// One thing of it, drawn by chance.
pub(super) fn work(world: &mut World) {
    let file = world.draw(FILES);
    match world.draw(KINDS) {
        0 => {
            for _ in 0..=world.draw(4) {
                let (file, words) = (world.draw(FILES), world.draw(5));
                world.read(file, words);
                let (needle, line) = (world.draw(1000), world.draw(100));
                world.run(&format!("grep -rn name{needle} src"), format!("src/m{file}.py:{line}: name{needle}"));
            }
        }
        1 | 2 => {
            let version = world.next();
            world.read(file, 0);
            world.edit(file, version);
            world.test("");
        }
        3 | 4 => {
            let version = world.next();
            world.read(file, 0);
            world.edit_by_name(file, version);
            world.checks();
        }
        5 => taken_back(world, file),
        6 => {
            // Does it flicker?
            let version = world.next();
            world.edit(file, version);
            for _ in 0..=world.draw(8) {
                world.test(&format!("tests/test_{file}.py"));
            }
        }
        7 => {
            // A server is starting: its log is looked at until it is there.
            for _ in 0..world.draw(12) {
                world.log_lines += world.next() % 2;
                let lines = world.log_lines;
                world.run("sleep 5; tail -n 3 server.log", format!("line {lines} of the log"));
            }
        }
        8 => {
            let version = world.next();
            world.edit(file, version);
            world.run("ruff format src", "8 files left unchanged".into());
            world.run("ruff check src", "All checks passed!".into());
        }
        9 => {
            let number = world.next() % 100_000;
            world.run(&format!("python3 -c 'print(f({number}))'"), format!("{}", number + 1));
        }
        10 => headers(world),
        11 => bisect(world),
        12 => {
            // Values are tried one after another, and none is right yet.
            for _ in 0..4 + world.draw(7) {
                let version = world.next() / 4 * 4;
                world.edit_by_name(file, version);
                world.checks();
            }
        }
        13 => {
            // Two files are brought into line with each other, step by step.
            for step in 0..2 * (1 + world.draw(5)) {
                let version = world.next();
                world.edit_by_name((file + step % 2) % FILES, version);
            }
            world.test("");
        }
        14 => (0..2 + world.draw(7)).for_each(|_| world.run("./migrate --next", "done".into())),
        15 => pages_that_look_alike(world),
        16 => guesses(world, file),
        17 => {
            // A server comes up.
            for _ in 0..world.draw(3) {
                world.run("curl -s localhost:8000/health", "curl: (7) Failed to connect to localhost port 8000".into());
            }
            let started = world.next();
            world.run("curl -s localhost:8000/health", format!("ok, up since {started}"));
        }
        18 => {
            // A build takes long and says nothing.
            (0..4 + world.draw(12)).for_each(|_| world.run("sleep 30; tail -n 1 build.log", "compiling".into()));
            let number = world.next();
            world.run("sleep 30; tail -n 1 build.log", format!("finished build {number}"));
        }
        _ => {
            let bytes = world.next() % 100_000;
            let output = |world: &mut World, result: String| {
                world.push("job", json!({"action": "output", "name": "web"}), result, false);
            };
            for _ in 0..2 + world.draw(8) {
                output(world, format!("job `web` is running; it has printed {bytes} bytes; nothing new"));
            }
            output(world, format!("job `web` is running; it has printed {} bytes; here are …", bytes + 40));
        }
    }
}

/// An attempt that did not help is taken back, by a command or by name.
fn taken_back(world: &mut World, file: usize) {
    let (before, version) = (world.versions[file], world.next());
    if world.draw(2) == 0 {
        world.edit(file, version);
        world.test("");
        world.checkout(file, before);
    } else {
        world.edit_by_name(file, version);
        world.checks();
        world.edit_by_name(file, before);
    }
}

/// The same licence stands at the top of all of them.
fn headers(world: &mut World) {
    let package = world.next();
    for number in 0..6 + world.draw(15) {
        let header = "# Copyright the authors. Licensed under the terms of the file LICENSE at the top of this tree.\n";
        world.run(&format!("head -n 1 lib{package}/part{number}.py"), header.into());
    }
}

fn bisect(world: &mut World) {
    let commit = world.next();
    for step in 0..3 + world.draw(6) {
        let red = "FAILED tests/test_0.py::test_f - AssertionError: assert 12 == 11\n1 failed, 40 passed in 1.21s";
        let command = format!("git checkout -q {:x} && pytest -q", commit.wrapping_add(step as u64));
        world.run(&command, red.into());
    }
}

fn pages_that_look_alike(world: &mut World) {
    let page = "0.0 0.0 0.0 0.0 0.0 0.0 0.0 0.0\n".repeat(40);
    let data = world.next();
    for number in 0..2 + world.draw(5) {
        let (from, to) = (40 * number + 1, 40 * number + 40);
        world.run(&format!("sed -n {from},{to}p data{data}.txt"), page.clone());
    }
}

fn guesses(world: &mut World, file: usize) {
    let number = world.next();
    let items = json!([{"text": format!("look into guess {number}"), "status": "doing"}]);
    world.push("plan", json!({"items": items}), "kept; 1 of 1 to do".into(), false);
    for guess in 0..1 + world.draw(4) {
        let statement = format!("cause {number}-{guess} is it");
        let input = json!({"statement": statement, "evidence": "", "verdict": "open"});
        world.push("hypothesis", input, format!("hypothesis {guess} is noted"), false);
    }
    world.read(file, 1);
}
