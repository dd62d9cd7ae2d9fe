//! What may be reached: one parser for host names, and a list that compares what it parsed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

use super::record::Refusal;

const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
/// Where an entry without a port leads.
const WEB_PORTS: [u16; 2] = [443, 80];

/// A host, in the one form in which it is compared, logged and dialled: lower case, punycode, no dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Name(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a host name: {why}", text.escape_debug())]
pub struct HostError {
    text: String,
    why: &'static str,
}

impl Host {
    /// Every spelling of an address that some resolver would take (decimal, octal, hexadecimal, short) becomes that
    /// address here, as browsers do it, so that none passes for a name.
    pub fn parse(text: &str) -> Result<Host, HostError> {
        let wrong = |why| HostError { text: text.chars().take(NAME_BYTES_MAX).collect(), why };
        if text.contains('%') {
            return Err(wrong("it has an escape in it"));
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        let name = match url::Host::parse(bare) {
            Ok(url::Host::Ipv4(address)) => return Ok(Host::Address(address.into())),
            Ok(url::Host::Ipv6(address)) => {
                // One address, one form: a version 4 address in version 6 clothes is that address.
                let plain = address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4);
                return Ok(Host::Address(plain));
            }
            Ok(url::Host::Domain(name)) => name,
            Err(_) => return Err(wrong("it has characters or a form that no name has")),
        };
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(wrong("it is empty or too long"));
        }
        let fits = |label: &str| {
            (1..=LABEL_BYTES_MAX).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if !name.split('.').all(fits) {
            return Err(wrong("one of its parts is empty, too long, or has a character that names do not have"));
        }
        Ok(Host::Name(name))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    pub host: Host,
    pub port: u16,
}

impl Target {
    /// `host:port`, or `host` where there is a default. No user, no path.
    pub fn parse(text: &str, default_port: Option<u16>) -> Result<Target, HostError> {
        let wrong = |why| HostError { text: text.chars().take(NAME_BYTES_MAX).collect(), why };
        let (host, port) = split_port(text);
        let port = match (port, default_port) {
            (Some(port), _) => parse_port(port).ok_or_else(|| wrong("its port is not a number from 1 to 65535"))?,
            (None, Some(port)) => port,
            (None, None) => return Err(wrong("it names no port")),
        };
        Ok(Target { host: Host::parse(host)?, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// At the colon behind the host, which for an IPv6 address stands behind its bracket.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    // `parse` alone would take a sign.
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| plain && *port != 0)
}

/// Who put an entry on the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Configuration or a flag: may name a host inside the operator's network.
    Operator,
    /// Learned from a package manager of the pristine image.
    Learned,
}

/// `host:port`, `host` (ports 443 and 80), or either below `*.`: names that end so, not the name itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pattern: Pattern,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(Host),
    Below(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("`{0}` leaves more open than a list should: name a host, or `*.` and at least two parts of a name")]
    TooWide(String),
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        let (host, port) = split_port(text);
        let port = match port {
            Some(_) => Some(Target::parse(text.strip_prefix("*.").unwrap_or(text), None)?.port),
            None => None,
        };
        let pattern = match host.strip_prefix("*.") {
            None if host == "*" => return Err(EntryError::TooWide(text.to_owned())),
            None => Pattern::Exact(Host::parse(host)?),
            Some(suffix) => match Host::parse(suffix)? {
                Host::Name(name) if name.contains('.') => Pattern::Below(name),
                Host::Name(_) | Host::Address(_) => return Err(EntryError::TooWide(text.to_owned())),
            },
        };
        Ok(Entry { pattern, port })
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pattern {
            Pattern::Exact(host) => write!(f, "{host}")?,
            Pattern::Below(name) => write!(f, "*.{name}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl From<Target> for Entry {
    fn from(target: Target) -> Self {
        Entry { pattern: Pattern::Exact(target.host), port: Some(target.port) }
    }
}

impl Entry {
    fn names(&self, host: &Host) -> bool {
        match (&self.pattern, host) {
            (Pattern::Exact(known), host) => known == host,
            (Pattern::Below(suffix), Host::Name(name)) => {
                name.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            (Pattern::Below(_), Host::Address(_)) => false,
        }
    }
}

/// How far a target that is allowed may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Addresses of the world only.
    World,
    /// The operator named this host and port: inside too.
    Anywhere,
}

/// Empty, it refuses everything. What is denied stays so, whoever allows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList {
    allow: Vec<(Entry, Origin)>,
    deny: Vec<Entry>,
}

impl AllowList {
    pub fn allow(&mut self, entry: Entry, origin: Origin) {
        if !self.allow.iter().any(|known| known.0 == entry && known.1 == origin) {
            self.allow.push((entry, origin));
        }
    }

    pub fn deny(&mut self, entry: Entry) {
        self.deny.push(entry);
    }

    /// One line an entry, in an order of its own: equal lists are equal texts.
    pub fn canonical(&self) -> String {
        let allow = self.allow.iter().map(|(entry, origin)| match origin {
            Origin::Operator => format!("allow {entry} operator"),
            Origin::Learned => format!("allow {entry}"),
        });
        let mut lines: Vec<String> = allow.chain(self.deny.iter().map(|entry| format!("deny {entry}"))).collect();
        lines.sort();
        lines.dedup();
        lines.join("\n")
    }

    pub(super) fn decide(&self, target: &Target) -> Result<Reach, Refusal> {
        let denied = |entry: &Entry| entry.names(&target.host) && entry.port.is_none_or(|port| port == target.port);
        if self.deny.iter().any(denied) {
            return Err(Refusal::Denied);
        }
        let named: Vec<_> = self.allow.iter().filter(|(entry, _)| entry.names(&target.host)).collect();
        let mut reach = None;
        for (entry, origin) in &named {
            match (entry.port, &entry.pattern, origin) {
                (Some(port), Pattern::Exact(_), Origin::Operator) if port == target.port => return Ok(Reach::Anywhere),
                (Some(port), ..) if port == target.port => reach = Some(Reach::World),
                (None, ..) if WEB_PORTS.contains(&target.port) => reach = Some(Reach::World),
                (Some(_) | None, ..) => {}
            }
        }
        match (reach, named.is_empty(), &target.host) {
            (Some(reach), ..) => Ok(reach),
            (None, false, _) => Err(Refusal::Port),
            (None, true, Host::Address(_)) => Err(Refusal::RawAddress),
            (None, true, Host::Name(_)) => Err(Refusal::NotAllowed),
        }
    }
}

#[cfg(test)]
#[path = "allow_tests.rs"]
mod tests;
