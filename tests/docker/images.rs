//! Images that are not where, or not what, they were: a registry in trouble, a tag that moved.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptions, CreateContainerOptions, RemoveContainerOptions, RemoveImageOptions, TagImageOptions,
};
use greenroom::event::Event;
use serde_json::json;

use super::{House, text};

/// A registry that is in trouble for so many requests for a manifest, and then has none. How often it was asked.
fn registry(troubles: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let (status, body) = match request.contains("/manifests/") {
                false => ("200 OK", "{}"),
                true if count.fetch_add(1, Ordering::SeqCst) < troubles => ("503 Service Unavailable", "{}"),
                true => ("404 Not Found", r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
            };
            let length = body.len();
            let head = "Docker-Distribution-Api-Version: registry/2.0\r\nContent-Type: application/json";
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    (port, asked)
}

#[test]
fn a_registry_in_trouble_is_asked_again_and_one_that_has_no_such_image_is_not() {
    let Some(house) = House::open() else { return };
    let repo = house.small_repository();
    let requests = |troubles: usize| {
        let (port, asked) = registry(troubles);
        let image = format!("127.0.0.1:{port}/no/such:1");
        let refused = house.greenroom(&["exec", "--repo", text(&repo), "--image", &image, "--", "true"]);
        assert_eq!(refused.code, 7, "{refused}");
        assert!(refused.stderr.contains("cannot be had"), "{refused}");
        asked.load(Ordering::SeqCst)
    };
    // An engine asks more than once of itself, the same each time.
    let once = requests(0);
    assert!(once > 0, "the registry was asked");
    assert_eq!((requests(once), requests(usize::MAX)), (2 * once, 3 * once));
}

/// Fault: between two processes of a run somebody gives its image's name to another image.
#[test]
fn a_tag_that_moved_changes_nothing_for_a_run_that_has_begun() {
    let Some(house) = House::open() else { return };
    let name = "greenroom-moved-tag-test:1";
    let give = |image: &str| {
        let options = TagImageOptions { repo: Some("greenroom-moved-tag-test".into()), tag: Some("1".into()) };
        house.block(house.docker.tag_image(image, Some(options))).expect("tagged");
    };
    give("greenroom/python:latest");
    let turns: [&[_]; 2] = [&[("bash", json!({"command": "touch ready"}))], &[("submit", json!({"summary": "done"}))]];
    let model = house.script(&turns);
    let repo = house.small_repository();
    let args = ["--repo", text(&repo), "--image", name, "--check", "test -f ready", "--model", &model, "--steps", "1"];
    let run = house.run(&args);
    assert_eq!(run.ended(), ("limit", 4), "{}", run.finished);
    let Some(Event::RunStarted { plan, .. }) = house.events("last").into_iter().next() else { panic!("no beginning") };

    let other = other_image(&house);
    give(&other);
    let resumed = house.greenroom(&["resume", "last", "--steps", "9"]);
    assert_eq!(resumed.code, 0, "{resumed}");
    let replaced = house.events("last").into_iter().find_map(|event| match event {
        Event::SandboxReplaced { image_digest, .. } => Some(image_digest),
        _ => None,
    });
    assert_eq!(replaced.as_deref(), plan["image"]["digest"].as_str());
    // The control: the name does mean another image now.
    let fresh = house.run(&args);
    let Some(Event::RunStarted { plan: moved, .. }) = house.events("last").into_iter().next() else { panic!() };
    assert_ne!(moved["image"]["digest"], plan["image"]["digest"], "{}", fresh.finished);
    for image in [moved["image"]["digest"].as_str().expect("a digest"), name] {
        let force = RemoveImageOptions { force: true, ..Default::default() };
        house.block(house.docker.remove_image(image, Some(force), None)).expect("removed");
    }
}

/// Python's image with a label.
fn other_image(house: &House) -> String {
    let body = ContainerCreateBody { image: Some("greenroom/python:latest".into()), ..Default::default() };
    let create = house.docker.create_container(None::<CreateContainerOptions>, body);
    let container = house.block(create).expect("a container").id;
    let labels = Some([("moved".to_owned(), "yes".to_owned())].into());
    let options = CommitContainerOptions { container: Some(container.clone()), ..Default::default() };
    let config = ContainerConfig { labels, ..Default::default() };
    let image = house.block(house.docker.commit_container(options, config)).expect("an image").id;
    let force = RemoveContainerOptions { force: true, v: true, ..Default::default() };
    house.block(house.docker.remove_container(&container, Some(force))).expect("removed");
    image
}
