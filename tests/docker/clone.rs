//! `--repo URL`: a git host on this machine, spoken to from inside through the proxy, and what comes of it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use greenroom::event::Event;
use serde_json::json;

use super::{CHECK, House, WRONG, copy_folder, text};

/// Serves files to whoever asks, as a web server without git does.
fn serve(folder: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.2:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { continue };
            let folder = folder.clone();
            std::thread::spawn(move || {
                let (mut request, mut byte) = (Vec::new(), [0; 1]);
                while !request.ends_with(b"\r\n\r\n") && matches!(connection.read(&mut byte), Ok(1)) {
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or("/").split('?').next().unwrap_or("/").to_owned();
                let found = std::fs::read(folder.join(path.trim_start_matches('/')));
                let (status, body) = found.map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let _ = connection.write_all(&[head.as_bytes(), &body].concat());
            });
        }
    });
    port
}

fn git(folder: &Path, args: &[&str]) -> String {
    let done = Command::new("git")
        .args(["-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "init.defaultBranch=main"])
        .args(args)
        .current_dir(folder)
        .output()
        .expect("git starts");
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A repository with two branches and a submodule that leads elsewhere, served. Its folder, port and newest commit.
fn host(house: &House) -> (PathBuf, u16, String) {
    let work = house.small_repository();
    house.environment.write("repo/.gitattributes", "*.py filter=evil\n");
    let elsewhere = "[submodule \"x\"]\n\tpath = x\n\turl = https://evil.example/x\n";
    house.environment.write("repo/.gitmodules", elsewhere);
    house.environment.write("repo/task.toml", "name = 'theirs'\n");
    git(&work, &["init", "--quiet"]);
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "one"]);
    git(&work, &["branch", "old"]);
    house.environment.write("repo/new.txt", "new\n");
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "two"]);
    let commit = git(&work, &["rev-parse", "HEAD"]);
    let served = house.environment.root().join("served");
    std::fs::create_dir(&served).expect("a folder");
    let bare = served.join("shop.git");
    git(&work, &["clone", "--quiet", "--bare", ".", text(&bare)]);
    git(&bare, &["update-server-info"]);
    (work, serve(served), commit)
}

fn allow(house: &House, port: u16) {
    house.environment.write("greenroom/config.toml", &format!("[setup]\nallow = [\"127.0.0.2:{port}\"]\n"));
}

#[test]
fn a_repository_from_a_host_is_cloned_inside_and_its_patch_applies_to_a_clone_of_ones_own() {
    let Some(house) = House::open() else { return };
    let (work, port, commit) = host(&house);
    allow(&house, port);
    let url = format!("http://127.0.0.2:{port}/shop.git");
    let fix = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    let model = house.script(&[
        &[("bash", json!({"command": "git log --oneline | wc -l; git status --short -uno | wc -l; cat new.txt"}))],
        &[("edit_file", fix), ("submit", json!({"summary": "done"}))],
    ]);
    let run = house.run(&["--repo", &url, "--image", "python", "--check", CHECK, "--model", &model]);
    assert_eq!(run.ended(), ("verified", 0), "{}", run.finished);
    assert_eq!(run.result["repo"], format!("{url}@{commit}"));
    let seen = &house.answers()[0].content;
    assert!(seen.contains("\n2\n0\nnew\n") || seen.contains("\n1\n0\nnew\n"), "history and a clean tree: {seen}");
    let asked = house.events("last").into_iter().filter_map(|event| match event {
        Event::NetworkUsed { token: None, requests, .. } => Some(requests),
        _ => None,
    });
    let asked: Vec<_> = asked.flatten().collect();
    assert!(!asked.is_empty() && asked.iter().all(|request| request.port == port), "{asked:?}");
    let clones = house.environment.root().join("greenroom/cache/clones");
    assert_eq!(std::fs::read_dir(&clones).map_or(0, Iterator::count), 0, "the clone itself is gone");

    let refused = house.greenroom(&["apply", "last"]);
    assert!(refused.code == 2 && refused.stderr.contains("--to DIR"), "{refused}");
    let own = house.environment.root().join("own");
    copy_folder(&work, &own);
    let applied = house.greenroom(&["apply", "last", "--to", text(&own)]);
    assert_eq!(applied.code, 0, "{applied}");
    let fixed = std::fs::read_to_string(own.join("calc.py")).expect("the file");
    assert_eq!(fixed, WRONG.replace("a - b", "a + b"));
}

#[test]
fn a_branch_a_commit_and_what_is_not_there() {
    let Some(house) = House::open() else { return };
    let (_, port, commit) = host(&house);
    allow(&house, port);
    let exec = |reference: &str| {
        let url = format!("http://127.0.0.2:{port}/shop.git{reference}");
        house.greenroom(&["exec", "--json", "--repo", &url, "--image", "python", "--", "ls", "new.txt"])
    };
    assert_eq!(exec("@old").code, 3, "that branch has no such file");
    assert_eq!(exec(&format!("@{}", &commit[..10])).code, 0);
    let absent = exec("@no-such-branch");
    assert!(absent.code == 2 && absent.stderr.contains("no-such-branch"), "{absent}");
    let url = format!("http://127.0.0.2:{port}/other.git");
    let absent = house.greenroom(&["exec", "--repo", &url, "--image", "python", "--", "true"]);
    assert!(absent.code == 2 && absent.stderr.contains("not found"), "{absent}");
}

#[test]
fn naming_a_host_inside_this_network_is_not_allowing_it() {
    let Some(house) = House::open() else { return };
    let (_, port, _) = host(&house);
    let url = format!("http://127.0.0.2:{port}/shop.git");
    let refused = house.greenroom(&["exec", "--repo", &url, "--image", "python", "--", "true"]);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("inside this machine's network"), "{refused}");
    assert!(refused.stderr.contains(&format!("allow = [\"127.0.0.2:{port}\"]")), "{refused}");
}
