//! From an allowed target to a connection: resolved here, every address looked at, and only what was looked at is dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;

use super::address::is_inside;
use super::allow::{Host, Reach, Target};
use super::record::Refusal;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// Longest for one of several addresses.
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// Resolves a name. A test brings its own.
pub type Lookup = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// This machine's resolver, its hosts file included.
pub fn system_lookup() -> Lookup {
    Arc::new(|name, port| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), port)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

pub(super) async fn dial(
    target: &Target,
    reach: Reach,
    lookup: &Lookup,
    dial_max: Duration,
) -> Result<TcpStream, Refusal> {
    let attempt = async {
        let addresses = addresses(target, reach, lookup).await?;
        let mut last = "the name has no address".to_owned();
        for address in addresses {
            match tokio::time::timeout(ATTEMPT_MAX, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    // Small requests wait for answers; a socket that refuses the option works all the same.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = format!("no answer within {} s", ATTEMPT_MAX.as_secs()),
            }
        }
        Err(Refusal::Unreachable(last))
    };
    let late = || Refusal::Unreachable(format!("no connection within {} s", dial_max.as_secs()));
    tokio::time::timeout(dial_max, attempt).await.unwrap_or_else(|_| Err(late()))
}

/// What may be dialled. A name that leads inside and outside is followed outside only.
async fn addresses(target: &Target, reach: Reach, lookup: &Lookup) -> Result<Vec<SocketAddr>, Refusal> {
    let found = match &target.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => {
            let found = lookup(name.clone(), target.port).await;
            found.map_err(|error| Refusal::Unresolved(error.to_string()))?
        }
    };
    let may = |address: &IpAddr| match reach {
        Reach::Anywhere => true,
        Reach::World => !is_inside(*address),
    };
    let outside: Vec<SocketAddr> = found
        .iter()
        .copied()
        .filter(may)
        .take(ADDRESSES_MAX)
        .map(|address| SocketAddr::new(address, target.port))
        .collect();
    match (outside.is_empty(), found.first()) {
        (false, _) => Ok(outside),
        (true, Some(inside)) => Err(Refusal::Inside(*inside)),
        (true, None) => Err(Refusal::Unresolved("it has no address".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn resolver(answer: &'static [&'static str]) -> Lookup {
        Arc::new(move |_, _| Box::pin(async move { Ok(answer.iter().map(|text| text.parse().unwrap()).collect()) }))
    }

    async fn resolved(reach: Reach, answer: &'static [&'static str]) -> Result<Vec<SocketAddr>, Refusal> {
        let target = Target::parse("index.example:443", None).unwrap();
        addresses(&target, reach, &resolver(answer)).await
    }

    #[tokio::test]
    async fn a_name_that_is_rebound_to_the_inside_is_refused() {
        for inside in [&["127.0.0.1"][..], &["169.254.169.254"], &["::1"], &["10.0.0.1", "::ffff:10.0.0.1"]] {
            let refusal = resolved(Reach::World, inside).await.unwrap_err();
            assert!(matches!(refusal, Refusal::Inside(_)), "{inside:?}: {refusal:?}");
        }
    }

    #[tokio::test]
    async fn of_several_addresses_only_those_outside_are_dialled() {
        let found = resolved(Reach::World, &["10.0.0.1", "1.2.3.4", "fe80::1"]).await.unwrap();
        assert_eq!(found, ["1.2.3.4:443".parse().unwrap()]);
    }

    #[tokio::test]
    async fn the_operator_may_lead_inside() {
        let found = resolved(Reach::Anywhere, &["10.0.0.1"]).await.unwrap();
        assert_eq!(found, ["10.0.0.1:443".parse().unwrap()]);
    }

    #[tokio::test]
    async fn what_is_dialled_is_what_was_checked_and_the_name_is_asked_for_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let lookup: Lookup = {
            let asked = asked.clone();
            Arc::new(move |_, _| {
                let first = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
                let answer = if first { "127.0.0.1" } else { "127.0.0.2" };
                Box::pin(async move { Ok(vec![answer.parse().unwrap()]) })
            })
        };
        let target = Target::parse(&format!("index.example:{port}"), None).unwrap();
        let stream = dial(&target, Reach::Anywhere, &lookup, Duration::from_secs(5)).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap().ip().to_string(), "127.0.0.1");
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
