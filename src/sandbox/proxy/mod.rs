//! The way out of a set-up phase: an HTTP proxy that reaches what an allow-list names, and nothing else.
//!
//! It has no listener. Connections are handed to it as streams, carried out of a container that has no network. Names are
//! resolved here, and the address that was checked is the one that is dialled. What travels inside TLS is not looked at,
//! the server name in its handshake included: an allowed host that serves others under their names (a content network)
//! is as far as the list can see.

mod address;
mod allow;
mod dial;
mod http;
mod meter;
mod record;

use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

pub use allow::{AllowList, Entry, EntryError, Host, HostError, Origin, Reach, Target};
pub use dial::{Lookup, system_lookup};
pub use record::{ProxyRecord, Refusal, Traffic, Verdict};

use meter::Meter;
use record::Log;

/// Where a proxy stops by itself, over all its connections unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyLimits {
    pub bytes_down_max: u64,
    /// Requests and handshakes are small; what grows beyond them is somebody taking things out.
    pub bytes_up_max: u64,
    pub records_max: usize,
    /// Of one connection, without a byte in either direction.
    pub idle_max: Duration,
    /// Of one connection, from its first byte to its last.
    pub connection_max: Duration,
    /// To resolve a name and to connect.
    pub dial_max: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        ProxyLimits {
            bytes_down_max: 20 << 30,
            bytes_up_max: 256 << 20,
            records_max: 20_000,
            idle_max: Duration::from_secs(120),
            connection_max: Duration::from_secs(60 * 60),
            dial_max: Duration::from_secs(20),
        }
    }
}

/// One set-up phase's proxy. Cheap to clone; clones share list, log and limits.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    allow: RwLock<AllowList>,
    lookup: Lookup,
    limits: ProxyLimits,
    log: Arc<Log>,
    meter: Arc<Meter>,
}

impl Proxy {
    pub fn new(allow: AllowList, limits: ProxyLimits) -> Self {
        Proxy::with_lookup(allow, limits, system_lookup())
    }

    pub fn with_lookup(allow: AllowList, limits: ProxyLimits, lookup: Lookup) -> Self {
        let log = Arc::new(Log::new(limits.records_max));
        let meter = Arc::new(Meter::new(limits.bytes_up_max, limits.bytes_down_max));
        Proxy { shared: Arc::new(Shared { allow: RwLock::new(allow), lookup, limits, log, meter }) }
    }

    /// What may be reached from now on.
    pub fn set_allowed(&self, allow: AllowList) {
        *self.shared.allow.write().expect("nothing panics while holding the list") = allow;
    }

    /// Serves one connection to its end.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        http::serve(self.shared.clone(), stream).await;
    }

    /// Every request since the last time this was asked, refused ones too, in the order in which they ended.
    pub fn take_records(&self) -> Vec<ProxyRecord> {
        self.take_traffic().requests
    }

    /// The same, with the number of those beyond the limit.
    pub fn take_traffic(&self) -> Traffic {
        self.shared.log.take()
    }
}
