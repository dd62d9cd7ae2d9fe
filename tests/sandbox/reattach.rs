//! Another runner takes a sandbox over: nothing that ran is lost, nothing runs twice, and the one before has no say.

use super::*;

/// Names the run to the runner that is about to be killed.
const DOOMED_RUN: &str = "GREENROOM_TEST_KILLED_RUN";
/// More than waits for acknowledgement, and more than is kept in memory.
const LONG: &str = "seq 1000000; echo and loud >&2; until [ -e go ]; do sleep 0.05; done; seq 1000000 1000100; exit 5";
const SHORT: &str = "echo short; exit 3";

fn requests() -> [ExecRequest; 2] {
    [(7, SHORT), (8, LONG)].map(|(token, command)| {
        let mut request = ExecRequest::shell(CallToken(token), command, Duration::from_secs(60));
        request.part = 1;
        request
    })
}

fn spec(run: &RunId, image: &PreparedImage) -> SandboxSpec {
    SandboxSpec { run: run.clone(), image: image.image.clone(), limits: LIMITS, env: image.env.clone(), data: None }
}

#[tokio::test]
async fn what_a_killed_runner_had_running_is_followed_to_its_end() {
    let Some(engine) = engine().await else { return };
    let image = IMAGE.get_or_init(|| prepared(&engine)).await.clone();
    let launcher = DockerLauncher::new(engine.clone(), "tests");
    if let Ok(run) = std::env::var(DOOMED_RUN) {
        let sandbox = launcher.start(&spec(&run.parse().unwrap(), &image), tar_stream(Vec::new())).await.unwrap();
        let [short, long] = requests();
        sandbox.exec(&short, &mut Output::default()).await.unwrap();
        let _ = sandbox.exec(&long, &mut Killed).await;
        unreachable!("the first word ends this process");
    }
    let run = RunId::generate();
    let mut runner = tokio::process::Command::new(std::env::current_exe().unwrap());
    let name = "reattach::what_a_killed_runner_had_running_is_followed_to_its_end";
    let output = runner.args(["--exact", name]).env(DOOMED_RUN, run.as_str()).output().await.unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{output:?}");
    let docker = Docker::connect_with_host(&engine.facts.address).unwrap();
    let container = only_container(&docker, &run).await;

    // Not the same sandbox, or not ours.
    let spec = spec(&run, &image);
    let mut other = spec.clone();
    other.limits.memory_bytes /= 2;
    let refused = launcher.attach(&other, &container, 2).await.err();
    assert!(matches!(refused, Some(SandboxError::Hardening { .. })), "{refused:?}");
    let mut other = spec.clone();
    other.data = Some("/etc".into());
    let refused = launcher.attach(&other, &container, 2).await.err();
    assert!(matches!(refused, Some(SandboxError::Hardening { .. })), "{refused:?}");
    let mut other = spec.clone();
    other.run = RunId::generate();
    assert!(launcher.attach(&other, &container, 2).await.unwrap().is_none());
    let stranger = DockerLauncher::new(engine.clone(), "others");
    assert!(stranger.attach(&spec, &container, 2).await.unwrap().is_none());

    let sandbox = launcher.attach(&spec, &container, 2).await.unwrap().unwrap();
    assert_eq!(sandbox.facts().container, container);
    let [short, long] = requests();
    let mut output = Output::default();
    let ended = sandbox.exec(&short, &mut output).await.unwrap();
    assert_eq!((ended.outcome, output.stdout.as_slice()), (exited(3), &b"short\n"[..]));
    sandbox.write("/workspace/go", b"", None).await.unwrap().unwrap();
    let mut output = Output::default();
    let ended = sandbox.exec(&long, &mut output).await.unwrap();
    assert_eq!((ended.outcome, output.stderr.as_slice()), (exited(5), &b"and loud\n"[..]));
    let expected: String = (1..=1_000_000).chain(1_000_000..=1_000_100).map(|n| format!("{n}\n")).collect();
    assert_eq!(ended.stdout_bytes, expected.len() as u64);
    assert!(output.stdout == expected.as_bytes(), "{} bytes", output.stdout.len());
    // Once a runner; a step that nobody knows runs; one that was committed does not.
    let again = sandbox.exec(&long, &mut Output::default()).await;
    assert!(matches!(again, Err(SandboxError::Refused { .. })), "{again:?}");
    let mut output = Output::default();
    let next = ExecRequest::shell(CallToken(9), "ls", Duration::from_secs(30));
    assert_eq!(sandbox.exec(&next, &mut output).await.unwrap().outcome, exited(0));
    assert_eq!(output.stdout, b"go\n");
    sandbox.committed(CallToken(9));
    let third = launcher.attach(&spec, &container, 3).await.unwrap().unwrap();
    let forgotten = third.exec(&next, &mut Output::default()).await;
    assert!(matches!(forgotten, Err(SandboxError::Refused { .. })), "{forgotten:?}");
    third.stop().await.unwrap();
    assert!(launcher.attach(&spec, &container, 4).await.unwrap().is_none(), "gone");
}

#[tokio::test]
async fn a_runner_that_was_replaced_has_no_say_any_longer() {
    let Some(house) = House::open().await else { return };
    let launcher = DockerLauncher::new(engine().await.unwrap(), "tests");
    let spec = spec(&house.run, &house.image);
    let container = house.sandbox.facts().container.clone();
    let running = house.request("echo begun; sleep 300");
    let (mut output, mut begun) = Begun::new();
    let second = {
        let mut exec = house.sandbox.exec(&running, &mut output);
        tokio::select! {
            ended = &mut exec => panic!("{ended:?}"),
            word = begun.recv() => word.unwrap(),
        }
        let second = launcher.attach(&spec, &container, 2).await.unwrap().unwrap();
        match exec.await {
            Err(SandboxError::Lost { detail }) => assert!(detail.contains("another runner"), "{detail}"),
            other => panic!("{other:?}"),
        }
        second
    };
    // Neither by word nor by deed nor by going away; nor is an epoch good for two.
    house.sandbox.stop().await.unwrap();
    drop(house.sandbox);
    for epoch in [1, 2] {
        let refused = launcher.attach(&spec, &container, epoch).await.err();
        assert!(matches!(refused, Some(SandboxError::Lost { .. })), "{refused:?}");
    }
    let mut output = Output::default();
    let next = ExecRequest::shell(CallToken(100), "echo mine", Duration::from_secs(30));
    assert_eq!(second.exec(&next, &mut output).await.unwrap().outcome, exited(0));
    assert_eq!(output.stdout, b"mine\n");
    // What the first had asked for is still there, for as long as the second gives it.
    let mut rest = running.clone();
    rest.timeout = Duration::from_millis(100);
    let mut output = Output::default();
    assert_eq!(second.exec(&rest, &mut output).await.unwrap().outcome, Outcome::TimedOut);
    assert_eq!(output.stdout, b"begun\n");
    second.stop().await.unwrap();
    assert_eq!(containers(&house.docker, &house.run).await, 0);
}

async fn only_container(docker: &Docker, run: &RunId) -> String {
    let filters = HashMap::from([("label".to_owned(), vec![format!("greenroom.run={run}")])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
    let listed = docker.list_containers(Some(options)).await.unwrap();
    assert_eq!(listed.len(), 1);
    listed[0].id.clone().unwrap()
}

/// Says when the command has said something.
struct Begun(tokio::sync::mpsc::UnboundedSender<()>);

impl Begun {
    fn new() -> (Begun, tokio::sync::mpsc::UnboundedReceiver<()>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Begun(sender), receiver)
    }
}

impl OutputSink for Begun {
    fn chunk(&mut self, _: Stream, _: &[u8]) {
        let _ = self.0.send(());
    }
}

/// Ends this process as `kill -9` does, because that is what it is.
struct Killed;

impl OutputSink for Killed {
    fn chunk(&mut self, _: Stream, _: &[u8]) {
        let _ = std::process::Command::new("sh").args(["-c", "kill -9 $PPID"]).status();
    }
}
