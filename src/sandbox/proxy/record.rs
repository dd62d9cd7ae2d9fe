//! What was asked of a proxy and what came of it, for the journal and for the person who wonders why a set-up failed.

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::network::{ProxyRecord, Traffic, Verdict};

/// Why a request was not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NotAllowed,
    Denied,
    /// An address instead of a name, which no entry names.
    RawAddress,
    /// The host is on the list with other ports.
    Port,
    /// The name leads inside, which takes an operator's entry with host and port.
    Inside(IpAddr),
    BadHost(String),
    /// The Host header names somebody else than the request does.
    HostMismatch(String),
    NotForAProxy,
    Limit(&'static str),
    Unresolved(String),
    Unreachable(String),
}

impl Refusal {
    /// The stable word in `x-proxy-error`.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotAllowed => "host_not_allowed",
            Refusal::Denied => "host_denied",
            Refusal::RawAddress => "raw_address",
            Refusal::Port => "port_not_allowed",
            Refusal::Inside(_) => "private_address",
            Refusal::BadHost(_) => "bad_host",
            Refusal::HostMismatch(_) => "host_mismatch",
            Refusal::NotForAProxy => "not_a_proxy_request",
            Refusal::Limit(_) => "limit",
            Refusal::Unresolved(_) => "unresolved",
            Refusal::Unreachable(_) => "unreachable",
        }
    }

    /// One line: who, why, and what would allow it.
    pub fn explain(&self, target: &str) -> String {
        let option = format!("the operator can allow it in config.toml with `[setup] allow = [\"{target}\"]`");
        match self {
            Refusal::NotAllowed => format!("`{target}` is not on the allow-list of this set-up; {option}"),
            Refusal::Denied => format!("`{target}` is denied by `[setup] deny` in the operator's config.toml"),
            Refusal::RawAddress => {
                format!("`{target}` is an address, and only names on the allow-list are reached; {option}")
            }
            Refusal::Port => format!("the host of `{target}` is allowed on other ports only; {option}"),
            Refusal::Inside(address) => {
                format!("`{target}` leads to {address}, which is inside this machine's network; {option}")
            }
            Refusal::BadHost(why) => why.clone(),
            Refusal::HostMismatch(header) => {
                format!("the request is for `{target}` and its Host header says `{header}`; both must be the same")
            }
            Refusal::NotForAProxy => "only CONNECT and requests with a whole http:// address are served".to_owned(),
            Refusal::Limit(what) => format!("this set-up has reached its limit of {what}"),
            Refusal::Unresolved(why) => format!("the name of `{target}` cannot be resolved: {why}"),
            Refusal::Unreachable(why) => format!("`{target}` cannot be reached: {why}"),
        }
    }

    /// Whether it was for us to refuse, rather than for the world to fail.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Refusal::Unresolved(_) | Refusal::Unreachable(_) => false,
            Refusal::NotAllowed
            | Refusal::Denied
            | Refusal::RawAddress
            | Refusal::Port
            | Refusal::Inside(_)
            | Refusal::BadHost(_)
            | Refusal::HostMismatch(_)
            | Refusal::NotForAProxy
            | Refusal::Limit(_) => true,
        }
    }

    pub(super) fn verdict(&self, target: &str) -> Verdict {
        let (code, reason) = (self.code().to_owned(), self.explain(target));
        match self.is_ours() {
            true => Verdict::Refused { code, reason },
            false => Verdict::Failed { code, reason },
        }
    }
}

/// The first so many records: what comes later is the same again.
pub(super) struct Log {
    records: Mutex<Traffic>,
    records_max: usize,
}

impl Log {
    pub(super) fn new(records_max: usize) -> Self {
        Log { records: Mutex::default(), records_max }
    }

    pub(super) fn push(&self, record: ProxyRecord) {
        let mut records = self.records.lock().expect("nothing panics while holding the log");
        match records.requests.len() < self.records_max {
            true => records.requests.push(record),
            false => records.left_out += 1,
        }
    }

    pub(super) fn take(&self) -> Traffic {
        std::mem::take(&mut self.records.lock().expect("nothing panics while holding the log"))
    }
}

/// A request that is being served: logged when it is over, however that comes.
pub(super) struct Open {
    log: std::sync::Arc<Log>,
    host: String,
    port: u16,
    verdict: Mutex<Verdict>,
    up: AtomicU64,
    down: AtomicU64,
}

impl Open {
    pub(super) fn new(log: std::sync::Arc<Log>, host: String, port: u16) -> Self {
        let verdict = Mutex::new(Verdict::Allowed);
        Open { log, host, port, verdict, up: AtomicU64::new(0), down: AtomicU64::new(0) }
    }

    pub(super) fn refuse(&self, refusal: &Refusal, target: &str) {
        *self.verdict.lock().expect("nothing panics while holding it") = refusal.verdict(target);
    }

    pub(super) fn count_up(&self, bytes: usize) {
        self.up.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_down(&self, bytes: usize) {
        self.down.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let (bytes_up, bytes_down) = (self.up.load(Ordering::Relaxed), self.down.load(Ordering::Relaxed));
        let verdict = self.verdict.lock().expect("nothing panics while holding it").clone();
        self.log.push(ProxyRecord { host: self.host.clone(), port: self.port, bytes_up, bytes_down, verdict });
    }
}
