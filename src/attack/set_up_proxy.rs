//! Set-up: a phase of root's that reaches a server the operator names, and nothing else by any way out.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::lab::{LIMITS, Lab, nothing};
use super::{Fault, Found, ensure};
use crate::id::RunId;
use crate::sandbox::proxy::Entry;
use crate::sandbox::{OutputSink, Setup, SetupError, Stream, operator_list};
use crate::snapshot::Manifest;
use crate::task::Outcome;

const PHASE_MAX: Duration = Duration::from_secs(60);
/// A refusal that takes longer looks like a server that is slow.
const REFUSAL_SECONDS_MAX: f64 = 1.0;
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// Asks the proxy for each address, then tries to do without it. The phase fails on purpose: nothing is committed.
const ASK: &str = r#"
import json, socket, sys, time
allowed, answers, direct = sys.argv[1], [], []
def ask(request):
    began = time.monotonic()
    try:
        s = socket.create_connection(('127.0.0.1', 3128), timeout=5)
        s.sendall(request.encode())
        answer = s.recv(4096).decode(errors='replace')
    except OSError as error:
        answer = 'none %s' % error
    status = answer.split(' ')[1] if ' ' in answer else 'none'
    answers.append({'asked': request.split('\r\n')[0], 'status': status, 'seconds': time.monotonic() - began})
ask('GET http://%s/ HTTP/1.1\r\nHost: %s\r\n\r\n' % (allowed, allowed))
port = allowed.split(':')[1]
for target in ['1.1.1.1:443', 'localhost:22', 'evil.example:443', '169.254.169.254:80', '10.0.0.1:443', '0x7f.1:' + port,
               '[::1]:' + port, '127.0.0.1:' + port, '172.17.0.1:2375']:
    ask('CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n' % (target, target))
ask('GET http://169.254.169.254/latest/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n')
ask('GET http://%s/ HTTP/1.1\r\nHost: evil.example\r\n\r\n' % allowed)
for address in ['1.1.1.1', '172.17.0.1', '169.254.169.254']:
    s = socket.socket()
    s.settimeout(1)
    try:
        s.connect((address, 443))
        direct.append(address)
    except OSError:
        pass
try:
    socket.getaddrinfo('example.org', 80)
    direct.append('a name')
except OSError:
    pass
print(json.dumps({'answers': answers, 'direct': direct}))
sys.exit(9)
"#;

#[derive(Deserialize)]
struct Told {
    answers: Vec<Answer>,
    direct: Vec<String>,
}

#[derive(Deserialize)]
struct Answer {
    asked: String,
    status: String,
    seconds: f64,
}

pub(super) async fn set_up_proxy(lab: &Lab) -> Found {
    let server = TcpListener::bind(("127.0.0.1", 0)).await?;
    let allowed = format!("localhost:{}", server.local_addr()?.port());
    let entry: Entry = allowed.parse().map_err(|error| Fault::broken(format!("{allowed}: {error}")))?;
    let setup = Setup {
        run: RunId::generate(),
        image: lab.image.clone(),
        commands: vec![format!("python3 - {allowed} <<'END'\n{ASK}\nEND")],
        repository: RunId::generate().to_string(),
        manifest: Arc::new(Manifest::default()),
        env: Vec::new(),
        allow: operator_list(&[entry], &[], &[]),
        ca_bundle: Vec::new(),
        limits: LIMITS,
        command_timeout: PHASE_MAX,
        cache: lab.folder("learned")?,
    };
    let mut output = Output::default();
    let launcher = lab.launcher();
    let phase = launcher.set_up(&setup, nothing(), &|_| {}, &mut output);
    let ended = tokio::select! {
        ended = phase => ended,
        () = serve(&server) => unreachable!("it serves until the phase is over"),
    };
    let said = String::from_utf8_lossy(&output.0).into_owned();
    let requests = match ended {
        Err(SetupError::Failed { outcome: Outcome::Exited { code: 9 }, requests, .. }) => requests,
        Err(SetupError::Sandbox(error)) => return Err(error.into()),
        Err(other) => return Err(Fault::broken(format!("the phase: {other}: {said}"))),
        Ok(_) => return Err(Fault::broken("a phase that failed became an image".to_owned())),
    };
    // The proxy's complaints follow.
    let first_line = said.lines().next().unwrap_or_default();
    let told: Told = serde_json::from_str(first_line).map_err(|_| Fault::broken(said.clone()))?;
    let (first, others) = told.answers.split_first().ok_or_else(|| Fault::broken("it asked for nothing".to_owned()))?;
    ensure(first.status == "200", || format!("what is allowed answers {}: {}", first.status, first.asked))?;
    for answer in others {
        let refused = answer.status.starts_with('4');
        ensure(refused, || format!("`{}` was answered {}", answer.asked, answer.status))?;
        let quick = answer.seconds < REFUSAL_SECONDS_MAX;
        ensure(quick, || format!("`{}` was refused after {:.1} s", answer.asked, answer.seconds))?;
    }
    ensure(told.direct.is_empty(), || format!("reached without the proxy: {}", told.direct.join(", ")))?;
    ensure(requests.len() == told.answers.len(), || {
        format!("{} of {} requests on record", requests.len(), told.answers.len())
    })?;
    Ok(format!(
        "one server that was allowed answered; {} other requests were refused, each within a second",
        others.len()
    ))
}

async fn serve(server: &TcpListener) {
    loop {
        let Ok((mut client, _)) = server.accept().await else { continue };
        let mut request = [0; 1024];
        let _ = client.read(&mut request).await;
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nopen").await;
    }
}

#[derive(Default)]
struct Output(Vec<u8>);

impl OutputSink for Output {
    fn chunk(&mut self, _: Stream, bytes: &[u8]) {
        let room = OUTPUT_BYTES_MAX - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}
