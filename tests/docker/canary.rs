//! Secrets of the host's environment go nowhere: not into the container, the journal, a blob or a request's body.

use std::fmt::Write;

use greenroom::event::Event;
use greenroom::id::RunId;
use serde_json::json;

use super::{CHECK, House, text};
use crate::support::upstream::{Server, Turn};

/// A word that can be looked for by its shape, so that the search does not hold it itself.
pub(super) struct Canary(pub(super) String);

/// Prints every canary that a process inside can come by: its environment, everybody's, and every file.
pub(super) const SEARCH: &str = "{ env; for p in /proc/[0-9]*; do cat $p/environ $p/cmdline; done; } 2>/dev/null \
    | tr '\\0' '\\n' | grep -aoE 'cnr[y][0-9a-f]{32}'; \
    find / \\( -path /proc -o -path /sys \\) -prune -o -type f -readable -print0 2>/dev/null \
    | xargs -0 grep -aoEh 'cnr[y][0-9a-f]{32}' 2>/dev/null; find / -name 'cnr[y]*' 2>/dev/null; echo searched";

impl Canary {
    pub(super) fn new() -> Self {
        Canary(format!("cnry{}", &blake3::hash(RunId::generate().as_str().as_bytes()).to_hex()[..32]))
    }
}

/// The whole output of a tool call of the newest run.
pub(super) fn printed_by(house: &House, call: usize) -> String {
    let output = house.answers()[call].output.clone().expect("a command has an output");
    let run = greenroom::store::RunDir::find(&house.environment.state(), "last").expect("the run");
    String::from_utf8_lossy(&run.blobs().get(&output).expect("its output")).into_owned()
}

/// Every file of the state folder, blobs decompressed.
pub(super) fn kept(house: &House) -> String {
    let mut kept = String::new();
    for (path, _, bytes) in super::tree(&house.environment.root().join("greenroom")) {
        let bytes = match path.extension().is_some_and(|extension| extension == "zst") {
            true => zstd::stream::decode_all(&*bytes).expect("a blob"),
            false => bytes,
        };
        writeln!(kept, "{}\n{}", path.display(), String::from_utf8_lossy(&bytes)).expect("memory");
    }
    kept
}

#[test]
fn the_hosts_secrets_are_nowhere_and_the_search_can_see() {
    let Some(house) = House::open() else { return };
    let (secret, key, planted) = (Canary::new(), Canary::new(), Canary::new());
    let edit = json!({"path": "calc.py", "old_string": "a - b", "new_string": "a + b"});
    let upstream = house.block(Server::scripted(vec![
        Turn::text("I look around.").call("bash", json!({"command": SEARCH})),
        Turn::text("").call("edit_file", edit).call("submit", json!({})),
    ]));
    let house = house
        .with("CANARY_KEY", &secret.0)
        .with("OPENAI_API_KEY", &key.0)
        .with("OPENAI_BASE_URL", &upstream.url("/v1"));
    let repo = house.small_repository();
    house.environment.write("repo/planted.txt", &planted.0);

    let args =
        ["run", "--repo", text(&repo), "--image", "python", "--check", CHECK, "--model", "openai/scripted", "--json"];
    // A file, not a pipe: nobody reads while it runs.
    let printed = house.environment.root().join("printed.txt");
    let file = std::fs::File::create(&printed).expect("a file");
    let mut command = house.environment.command(&args);
    command.stdout(file.try_clone().expect("a second handle")).stderr(file);
    let mut child = command.spawn().expect("greenroom starts");
    // What the engine says of each container while it lives.
    let mut inspected = String::new();
    while child.try_wait().expect("it can be asked").is_none() {
        for container in house.containers() {
            writeln!(inspected, "{}", serde_json::to_string(&container).expect("plain data")).expect("memory");
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let printed = std::fs::read_to_string(printed).expect("text");
    assert_eq!(child.wait().expect("it ended").code(), Some(0), "{printed}");
    house.assert_nothing_left();

    let inside = printed_by(&house, 0);
    let kept = kept(&house);
    let bodies: String =
        upstream.requests().iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
    let image = house.events("last").into_iter().find_map(|event| match event {
        Event::SandboxStarted { image_digest, .. } => Some(image_digest),
        _ => None,
    });
    let image = house.block(house.docker.inspect_image(&image.expect("a sandbox started"))).expect("its image");
    let image = serde_json::to_string(&image).expect("plain data");
    let places = [
        ("the container", &inside),
        ("the journal and the blobs", &kept),
        ("a request's body", &bodies),
        ("what the engine says of a container", &inspected),
        ("the prepared image", &image),
        ("what is printed", &printed),
    ];
    for (place, content) in places {
        assert!(!content.contains(&secret.0), "{place} holds a secret of the environment");
        assert!(!content.contains(&key.0), "{place} holds the model's key");
    }

    for (place, content) in &places[..3] {
        assert!(content.contains(&planted.0), "the search does not see into {place}: {content}");
    }
    assert!(inside.contains("searched") && inspected.contains("greenroom.owner") && image.contains("sha256:"));
    let used =
        upstream.requests().iter().all(|request| request.header("authorization") == Some(&format!("Bearer {}", key.0)));
    assert!(used, "the key was used");
}
