//! Turning an `Exec` request into a process: everything prepared before the fork, everything given up after it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;

use greenroom_supervisor::protocol::{ByteString, CallError, ErrorKind, Exec, Stdin};
use serde::{Deserialize, Serialize};

use crate::privileges;
use crate::sys::{self, Fork, Pid};
use crate::terminal;

const PATH_DEFAULT: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command whose strings need no more work.
pub(crate) struct Prepared {
    /// What to try in turn, as a search in PATH yields it.
    programs: Vec<CString>,
    argv: Vec<CString>,
    environment: Vec<CString>,
    cwd: CString,
    /// Its stdio is a terminal, which becomes that of its session.
    on_terminal: bool,
}

/// At which stage a command failed to start, and with which error.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SpawnError {
    stage: Stage,
    errno: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Stage {
    Fork,
    Confine,
    Cwd,
    Program,
}

impl Prepared {
    pub(crate) fn new(exec: &Exec) -> Result<Self, CallError> {
        let bad = |message: &str| CallError { kind: ErrorKind::BadRequest, message: message.into() };
        let c_string = |bytes: &[u8]| CString::new(bytes).map_err(|_| bad("a NUL in an argument, path or variable"));
        let program = exec.argv.first().ok_or_else(|| bad("argv is empty"))?.as_bytes();
        if program.is_empty() {
            return Err(bad("the program's name is empty"));
        }
        if !exec.cwd.as_bytes().starts_with(b"/") {
            return Err(bad("the working directory is not an absolute path"));
        }
        let programs = match program.contains(&b'/') {
            true => vec![c_string(program)?],
            false => {
                let path = exec.env.iter().rev().find(|(name, _)| name.as_bytes() == b"PATH");
                let path = path.map_or(PATH_DEFAULT, |(_, value)| value.as_bytes());
                let folders =
                    path.split(|byte| *byte == b':').map(|folder| if folder.is_empty() { b"." } else { folder });
                folders.map(|folder| c_string(&[folder, b"/", program].concat())).collect::<Result<_, _>>()?
            }
        };
        let variable = |(name, value): &(ByteString, ByteString)| {
            if name.as_bytes().is_empty() || name.as_bytes().contains(&b'=') {
                return Err(bad("a variable's name is empty or contains `=`"));
            }
            c_string(&[name.as_bytes(), b"=", value.as_bytes()].concat())
        };
        Ok(Self {
            programs,
            argv: exec.argv.iter().map(|argument| c_string(argument.as_bytes())).collect::<Result<_, _>>()?,
            environment: exec.env.iter().map(variable).collect::<Result<_, _>>()?,
            cwd: c_string(exec.cwd.as_bytes())?,
            on_terminal: matches!(exec.stdin, Stdin::Terminal { .. }),
        })
    }

    /// Forks the command and waits until it is either running or known not to.
    pub(crate) fn spawn(&self, stdio: [RawFd; 3]) -> Result<Pid, SpawnError> {
        let (failure, failure_sender) = sys::pipe().map_err(|error| SpawnError::of_fork(&error))?;
        match sys::fork().map_err(|error| SpawnError::of_fork(&error))? {
            Fork::Child => {
                let error = self.become_program(stdio);
                let bytes = serde_json::to_vec(&error).expect("an error is plain data");
                let _ = sys::write(failure_sender.as_raw_fd(), &bytes);
                sys::exit_now(127)
            }
            Fork::Parent(pid) => {
                drop(failure_sender);
                let mut buffer = [0; 256];
                loop {
                    match sys::read(failure.as_raw_fd(), &mut buffer) {
                        // Closed by execve: it runs. (Or it was killed on the way, which its status will say.)
                        Ok(0) => return Ok(pid),
                        Ok(length) => {
                            let unknown = SpawnError { stage: Stage::Program, errno: libc::EIO };
                            return Err(serde_json::from_slice(&buffer[..length]).unwrap_or(unknown));
                        }
                        Err(error) if sys::is_retry(&error) => {}
                        Err(error) => return Err(SpawnError::of_fork(&error)),
                    }
                }
            }
        }
    }

    /// In the session that `confine` began.
    fn take_terminal(&self) -> io::Result<()> {
        if self.on_terminal { terminal::take(0) } else { Ok(()) }
    }

    fn become_program(&self, stdio: [RawFd; 3]) -> SpawnError {
        let failed = |stage| move |error: io::Error| SpawnError { stage, errno: error.raw_os_error().unwrap_or(0) };
        let confined = (0..3).try_for_each(|fd| sys::duplicate_onto(stdio[fd as usize], fd)).and_then(|()| confine());
        if let Err(error) = confined.map_err(failed(Stage::Confine)) {
            return error;
        }
        if let Err(error) = self.take_terminal().map_err(failed(Stage::Confine)) {
            return error;
        }
        if let Err(error) = sys::change_directory(&self.cwd).map_err(failed(Stage::Cwd)) {
            return error;
        }
        let pointers = |strings: &[CString]| -> Vec<_> {
            strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (argv, environment) = (pointers(&self.argv), pointers(&self.environment));
        let mut last = failed(Stage::Program)(io::Error::from_raw_os_error(libc::ENOENT));
        for program in &self.programs {
            let error = failed(Stage::Program)(sys::execve(program, &argv, &environment));
            // As a shell searches: what is there but may not be executed is remembered, what is not there is not.
            match error.errno {
                libc::ENOENT | libc::ENOTDIR => {}
                libc::EACCES => last = error,
                _ => return error,
            }
        }
        last
    }
}

/// Gives up everything a command must not have. Also what the hardening probe goes through.
pub(crate) fn confine() -> io::Result<()> {
    sys::new_session();
    // First to die when memory runs out, and uid 1000 cannot lower it again.
    std::fs::write(Path::new("/proc/self/oom_score_adj"), "1000")?;
    privileges::become_command()?;
    sys::reset_signals();
    Ok(())
}

impl SpawnError {
    pub(crate) fn of_fork(error: &io::Error) -> Self {
        Self { stage: Stage::Fork, errno: error.raw_os_error().unwrap_or(0) }
    }

    /// For the host, which knows the command only by what it asked for.
    pub(crate) fn describe(&self, exec_program: &ByteString, cwd: &ByteString) -> CallError {
        let error = io::Error::from_raw_os_error(self.errno);
        let kind = match (self.stage, self.errno) {
            (_, libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => ErrorKind::Busy,
            (_, libc::ENOENT) => ErrorKind::NotFound,
            (_, libc::ENOTDIR) => ErrorKind::NotADirectory,
            (_, libc::EACCES | libc::EPERM) => ErrorKind::Permission,
            (_, libc::E2BIG | libc::ENAMETOOLONG) => ErrorKind::TooLarge,
            (_, libc::ELOOP) | (Stage::Program, libc::ENOEXEC | libc::ETXTBSY) => ErrorKind::BadRequest,
            (Stage::Fork | Stage::Confine | Stage::Cwd | Stage::Program, _) => ErrorKind::Io,
        };
        let message = match self.stage {
            Stage::Fork => format!("cannot fork a command just now: {error}"),
            Stage::Confine => format!("cannot confine a command: {error}"),
            Stage::Cwd => format!("cannot enter `{cwd}`: {error}"),
            Stage::Program => format!("cannot execute `{exec_program}`: {error}"),
        };
        CallError { kind, message }
    }
}
