//! Connections out of a set-up container: frames of the link on one side, byte streams for the proxy on the other.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use greenroom_supervisor::protocol::{
    PROXY_CONNECTIONS_MAX, PROXY_CREDIT_BYTES, PROXY_WINDOW_BYTES, ProxyFrame, ProxyNews,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Semaphore, mpsc};

const PIPE_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 32 << 10;

/// Puts the payload of a Proxy frame onto the wire. What may be on its way is bounded by the windows.
pub(super) type SendFrame = Arc<dyn Fn(Vec<u8>) + Send + Sync>;

/// The connections of one link. Dropping it breaks all of them off.
pub(super) struct Carrier {
    send: SendFrame,
    accepted: mpsc::UnboundedSender<DuplexStream>,
    peers: Arc<Mutex<HashMap<u32, Peer>>>,
}

struct Peer {
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Arrived and not yet passed on.
    waiting_bytes: Arc<AtomicUsize>,
    /// What the container still has room for.
    credit: Arc<Semaphore>,
}

enum Arrival {
    Data(Vec<u8>),
    End,
}

impl Carrier {
    /// With the connections that programs in the container open, one by one.
    pub(super) fn new(send: SendFrame) -> (Carrier, mpsc::UnboundedReceiver<DuplexStream>) {
        let (accepted, connections) = mpsc::unbounded_channel();
        (Carrier { send, accepted, peers: Arc::default() }, connections)
    }

    /// A frame from PID 1; `Err` is a PID 1 that does not keep to the protocol.
    pub(super) fn take(&self, payload: &[u8]) -> Result<(), String> {
        let frame = ProxyFrame::decode(payload).ok_or("PID 1 sent a proxy frame that is none")?;
        let id = frame.connection;
        let mut peers = self.peers.lock().expect("nothing panics while holding the connections");
        match (frame.news, peers.get(&id)) {
            (ProxyNews::Open, Some(_)) => return Err("PID 1 opened a connection twice".to_owned()),
            // One that has ended there may still be ending here, so there can be a few more than it has.
            (ProxyNews::Open, None) if peers.len() >= 2 * PROXY_CONNECTIONS_MAX => self.send(id, ProxyNews::Reset),
            (ProxyNews::Open, None) => {
                peers.insert(id, self.open(id));
            }
            (ProxyNews::Data(bytes), Some(peer)) => {
                if peer.waiting_bytes.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() > PROXY_WINDOW_BYTES {
                    return Err("PID 1 sent more of a connection than its window".to_owned());
                }
                // Whoever would take it is ending the connection already.
                let _ = peer.arrivals.send(Arrival::Data(bytes.to_vec()));
            }
            (ProxyNews::Credit(bytes), Some(peer)) => {
                let room = PROXY_WINDOW_BYTES.saturating_sub(peer.credit.available_permits());
                peer.credit.add_permits(room.min(bytes as usize));
            }
            (ProxyNews::End, Some(peer)) => {
                let _ = peer.arrivals.send(Arrival::End);
            }
            // Its task sees the channel end, and that no end was announced.
            (ProxyNews::Reset, Some(_)) => drop(peers.remove(&id)),
            (ProxyNews::Data(_) | ProxyNews::Credit(_) | ProxyNews::End | ProxyNews::Reset, None) => {}
        }
        Ok(())
    }

    fn send(&self, connection: u32, news: ProxyNews<'_>) {
        (self.send)(ProxyFrame { connection, news }.encode());
    }

    fn open(&self, id: u32) -> Peer {
        let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
        let (arrivals, queue) = mpsc::unbounded_channel();
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let credit = Arc::new(Semaphore::new(PROXY_WINDOW_BYTES));
        let line = Line { id, send: self.send.clone(), waiting_bytes: waiting_bytes.clone(), credit: credit.clone() };
        // Nobody to serve it: the stream ends at once, and its task says so.
        let _ = self.accepted.send(theirs);
        let peers = Arc::downgrade(&self.peers);
        tokio::spawn(async move {
            let ended = line.carry(ours, queue).await;
            let Some(peers) = peers.upgrade() else { return };
            let known = peers.lock().expect("nothing panics while holding the connections").remove(&id);
            // One that is not known any more was reset from the other side.
            if let (Err(error), Some(_)) = (ended, known) {
                tracing::debug!(%error, id, "a connection of a set-up broke off");
                line.say(ProxyNews::Reset);
            }
        });
        Peer { arrivals, waiting_bytes, credit }
    }
}

/// One connection's task.
struct Line {
    id: u32,
    send: SendFrame,
    waiting_bytes: Arc<AtomicUsize>,
    credit: Arc<Semaphore>,
}

impl Line {
    async fn carry(&self, stream: DuplexStream, mut queue: mpsc::UnboundedReceiver<Arrival>) -> io::Result<()> {
        let (mut from_proxy, mut to_proxy) = tokio::io::split(stream);
        let out = async {
            let mut passed_on = 0;
            loop {
                match queue.recv().await {
                    Some(Arrival::Data(bytes)) => {
                        to_proxy.write_all(&bytes).await?;
                        self.waiting_bytes.fetch_sub(bytes.len(), Ordering::Relaxed);
                        passed_on += bytes.len();
                        if passed_on >= PROXY_CREDIT_BYTES {
                            self.say(ProxyNews::Credit(passed_on as u32));
                            passed_on = 0;
                        }
                    }
                    Some(Arrival::End) => return to_proxy.shutdown().await,
                    None => return Err(io::ErrorKind::ConnectionReset.into()),
                }
            }
        };
        let back = async {
            let mut buffer = vec![0; READ_BYTES];
            loop {
                let length = from_proxy.read(&mut buffer).await?;
                if length == 0 {
                    self.say(ProxyNews::End);
                    return Ok(());
                }
                let permit = self.credit.acquire_many(length as u32).await;
                permit.map_err(|_| io::ErrorKind::ConnectionReset)?.forget();
                self.say(ProxyNews::Data(&buffer[..length]));
            }
        };
        tokio::try_join!(out, back).map(drop)
    }

    fn say(&self, news: ProxyNews<'_>) {
        (self.send)(ProxyFrame { connection: self.id, news }.encode());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct House {
        carrier: Carrier,
        connections: mpsc::UnboundedReceiver<DuplexStream>,
        sent: mpsc::UnboundedReceiver<Vec<u8>>,
    }

    fn house() -> House {
        let (sender, sent) = mpsc::unbounded_channel();
        let (carrier, connections) = Carrier::new(Arc::new(move |payload| drop(sender.send(payload))));
        House { carrier, connections, sent }
    }

    impl House {
        fn hear(&self, news: ProxyNews<'_>) -> Result<(), String> {
            self.carrier.take(&ProxyFrame { connection: 5, news }.encode())
        }
    }

    #[tokio::test]
    async fn bytes_and_ends_travel_both_ways() {
        let mut house = house();
        house.hear(ProxyNews::Open).unwrap();
        let mut stream = house.connections.recv().await.unwrap();
        house.hear(ProxyNews::Data(b"ask")).unwrap();
        house.hear(ProxyNews::End).unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"ask");
        stream.write_all(b"answer").await.unwrap();
        drop(stream);
        let sent = house.sent.recv().await.unwrap();
        assert_eq!(ProxyFrame::decode(&sent).unwrap().news, ProxyNews::Data(b"answer"));
        let sent = house.sent.recv().await.unwrap();
        assert_eq!(ProxyFrame::decode(&sent).unwrap().news, ProxyNews::End);
    }

    #[tokio::test]
    async fn more_than_a_window_waits_for_credit() {
        let mut house = house();
        house.hear(ProxyNews::Open).unwrap();
        let mut stream = house.connections.recv().await.unwrap();
        let writer = tokio::spawn(async move {
            stream.write_all(&vec![1; PROXY_WINDOW_BYTES + 1]).await.unwrap();
            stream
        });
        let mut received = 0;
        while received + READ_BYTES <= PROXY_WINDOW_BYTES {
            match ProxyFrame::decode(&house.sent.recv().await.unwrap()).unwrap().news {
                ProxyNews::Data(bytes) => received += bytes.len(),
                other => panic!("{other:?}"),
            }
        }
        tokio::task::yield_now().await;
        while let Ok(sent) = house.sent.try_recv() {
            received += sent.len() - ProxyFrame::HEADER_BYTES;
        }
        assert!(received <= PROXY_WINDOW_BYTES);
        house.hear(ProxyNews::Credit(PROXY_WINDOW_BYTES as u32)).unwrap();
        let stream = writer.await.unwrap();
        while received < PROXY_WINDOW_BYTES + 1 {
            received += house.sent.recv().await.unwrap().len() - ProxyFrame::HEADER_BYTES;
        }
        drop(stream);
    }

    #[tokio::test]
    async fn who_breaks_the_rules_is_named() {
        let house = house();
        house.hear(ProxyNews::Open).unwrap();
        assert!(house.hear(ProxyNews::Open).is_err());
        assert!(house.hear(ProxyNews::Data(&vec![0; PROXY_WINDOW_BYTES + 1])).is_err());
        assert!(house.carrier.take(b"nonsense").is_err());
    }
}
