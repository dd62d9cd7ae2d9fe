//! Both ends of the pipe: [`ask`] on the runner's side, [`serve`] in the child that holds the grammars.

use std::io::{Read, Write};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::io::AsyncWriteExt;

use super::{Answer, Question, functions};
use crate::planted::{self, Planted};

/// The hidden subcommand. Whoever types it gets a program that waits for JSON.
pub const COMMAND: &str = "__complexity";

/// Both versions together.
const QUESTION_BYTES_MAX: usize = 4 << 20;
const ANSWER_BYTES_MAX: u64 = 16 << 20;
const TIME_MAX: Duration = Duration::from_secs(10);
const CPU_SECONDS_MAX: u64 = 5;
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// `None` for anything but a whole answer in time: the file is not measured then.
pub async fn ask(question: &Question) -> Option<Answer> {
    let text = serde_json::to_vec(question).ok().filter(|text| text.len() <= QUESTION_BYTES_MAX)?;
    tokio::time::timeout(TIME_MAX, exchange(&text)).await.ok()?
}

async fn exchange(text: &[u8]) -> Option<Answer> {
    // The program as it runs, also where its file was replaced meanwhile.
    let mut command = tokio::process::Command::new("/proc/self/exe");
    if !planted::has(Planted::KeepComplexityEnvironment) {
        command.env_clear();
    }
    let mut child = command
        .arg(COMMAND)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let (mut stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    let mut answer = Vec::new();
    let mut limited = tokio::io::AsyncReadExt::take(stdout, ANSWER_BYTES_MAX);
    let told = async {
        stdin.write_all(text).await.ok()?;
        drop(stdin);
        Some(())
    };
    let heard = tokio::io::AsyncReadExt::read_to_end(&mut limited, &mut answer);
    let (told, heard) = tokio::join!(told, heard);
    told?;
    heard.ok()?;
    let ended = child.wait().await.ok()?;
    ended.success().then(|| serde_json::from_slice(&answer).ok()).flatten()
}

/// The child: limits first, then one question from stdin and one answer to stdout. The exit code of the process.
pub fn serve() -> u8 {
    let limited = limit().is_some();
    let mut text = Vec::new();
    let read = std::io::stdin().take(QUESTION_BYTES_MAX as u64 + 1).read_to_end(&mut text);
    // A variable may be a secret, and none is needed.
    let alone = std::env::vars_os().next().is_none();
    if !limited || !alone || read.is_err() || text.len() > QUESTION_BYTES_MAX {
        return 1;
    }
    let Ok(question) = serde_json::from_slice::<Question>(&text) else { return 1 };
    let count = |text: Option<&String>| functions(question.language, text?);
    let answer = Answer { before: count(question.before.as_ref()), after: count(question.after.as_ref()) };
    let Ok(text) = serde_json::to_vec(&answer) else { return 1 };
    u8::from(std::io::stdout().write_all(&text).is_err())
}

fn limit() -> Option<()> {
    let unless = |bug, most| if planted::has(bug) { u64::MAX } else { most };
    for (resource, most) in [
        (Resource::Cpu, unless(Planted::UnlimitedComplexityTime, CPU_SECONDS_MAX)),
        (Resource::As, unless(Planted::UnlimitedComplexityMemory, MEMORY_BYTES_MAX)),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
        (Resource::Nproc, 0),
        (Resource::Nofile, 3),
    ] {
        let most = Some(most).filter(|most| *most != u64::MAX);
        setrlimit(resource, Rlimit { current: most, maximum: most }).ok()?;
    }
    Some(())
}
