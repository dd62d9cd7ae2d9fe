//! The link against a supervisor played by the test, over pipes in memory.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use greenroom_supervisor::protocol::{CallError, Hardening};
use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;

const LEASE: Duration = Duration::from_secs(3600);

/// The other end: what a supervisor hears and says.
struct Peer {
    heard: DuplexStream,
    reader: FrameReader,
    says: Option<mpsc::UnboundedSender<Result<LogOutput, EngineError>>>,
}

impl Peer {
    async fn hear(&mut self) -> (u64, Request) {
        loop {
            if let Some(frame) = self.reader.next_frame() {
                match frame.kind {
                    FrameKind::Request => return (frame.call, serde_json::from_slice(&frame.payload).unwrap()),
                    FrameKind::Data | FrameKind::Response | FrameKind::Proxy => continue,
                }
            }
            let mut bytes = vec![0; 4096];
            let n = self.heard.read(&mut bytes).await.unwrap();
            assert!(n > 0, "the link closed its end");
            self.reader.push(&bytes[..n]);
        }
    }

    /// The next request that is not a renewal.
    async fn hear_of_calls(&mut self) -> (u64, Request) {
        loop {
            match self.hear().await {
                (_, Request::Renew) => {}
                heard => return heard,
            }
        }
    }

    fn say_raw(&self, bytes: Vec<u8>) {
        let output = LogOutput::StdOut { message: Bytes::from(bytes) };
        self.says.as_ref().unwrap().send(Ok(output)).unwrap();
    }

    fn say(&self, call: u64, seq: u64, response: &Response) {
        self.say_raw(frame(1, call, seq, response).encode());
    }
}

fn frame(epoch: u32, call: u64, seq: u64, response: &Response) -> Frame {
    Frame { epoch, kind: FrameKind::Response, call, seq, payload: serde_json::to_vec(response).unwrap() }
}

fn done(entries: u64) -> Response {
    Response::ListDone { entries, cut: false }
}

fn stat() -> Request {
    Request::Stat { path: "/workspace".into() }
}

fn hello_ack() -> Response {
    Response::HelloAck(Box::new(HelloAck {
        version: "0".into(),
        lease_ms: 45_000,
        calls: Vec::new(),
        call_highest: 7,
        hardening: Hardening::default(),
    }))
}

async fn linked(lease: Duration) -> (Link, Peer) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (says, output) = mpsc::unbounded_channel();
    let mut peer = Peer { heard: theirs, reader: FrameReader::new(), says: Some(says) };
    let output = tokio_stream(output);
    let opened = tokio::spawn(Link::open(ours, output, 1, lease, async { "the container is gone".to_owned() }));
    assert!(matches!(peer.hear().await, (0, Request::Hello { .. })));
    // What an earlier client left unread, then half a frame of it, comes before the answer.
    peer.say_raw(frame(0, 3, 9, &done(9)).encode());
    let torn = frame(0, 3, 10, &done(9)).encode();
    peer.say_raw(torn[..torn.len() / 2].to_vec());
    peer.say(0, 1, &hello_ack());
    (opened.await.unwrap().unwrap().0, peer)
}

fn tokio_stream(
    mut output: mpsc::UnboundedReceiver<Result<LogOutput, EngineError>>,
) -> impl Stream<Item = Result<LogOutput, EngineError>> + Send + Unpin + 'static {
    futures_util::stream::poll_fn(move |context| output.poll_recv(context))
}

fn entries(item: Item) -> u64 {
    match item {
        Item::Response(Response::ListDone { entries, .. }) => entries,
        other => panic!("expected `list_done`, got {other:?}"),
    }
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order_and_are_acknowledged() {
    let (link, mut peer) = linked(LEASE).await;
    let (mut first, mut second) = (link.call(&stat()).unwrap(), link.call(&stat()).unwrap());
    assert_eq!(peer.hear_of_calls().await.0, 8, "ids go on where the last client stopped");
    assert_eq!(peer.hear_of_calls().await.0, 9);
    peer.say(9, 2, &done(2));
    peer.say(8, 3, &done(1));
    assert_eq!(entries(first.next().await.unwrap()), 1);
    assert_eq!(entries(second.next().await.unwrap()), 2);
    assert_eq!(peer.hear_of_calls().await, (8, Request::Ack { seq: 3 }));
    assert_eq!(peer.hear_of_calls().await, (9, Request::Ack { seq: 2 }));
}

#[tokio::test]
async fn what_is_sent_twice_arrives_once() {
    let (link, mut peer) = linked(LEASE).await;
    let mut call = link.call(&stat()).unwrap();
    let (id, _) = peer.hear_of_calls().await;
    let part = Frame {
        epoch: 1,
        kind: FrameKind::Data,
        call: id,
        seq: 2,
        payload: Chunk { stream: ChunkStream::Stdout, offset: 0, bytes: b"once" }.encode(),
    };
    peer.say_raw(part.encode());
    peer.say_raw(part.encode());
    peer.say(id, 3, &done(1));
    match call.next().await.unwrap() {
        Item::Chunk { bytes, .. } => assert_eq!(bytes, b"once"),
        other => panic!("{other:?}"),
    }
    assert_eq!(entries(call.next().await.unwrap()), 1);
}

#[tokio::test]
async fn the_end_of_the_container_ends_every_pending_call_and_every_later_one() {
    let (link, mut peer) = linked(LEASE).await;
    let (mut first, mut second) = (link.call(&stat()).unwrap(), link.call(&stat()).unwrap());
    peer.says = None;
    for call in [&mut first, &mut second] {
        match call.next().await {
            Err(SandboxError::Lost { detail }) => assert_eq!(detail, "the container is gone"),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(link.call(&stat()), Err(SandboxError::Lost { .. })));
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled_and_its_rest_acknowledged() {
    let (link, mut peer) = linked(LEASE).await;
    let call = link.call(&stat()).unwrap();
    let (id, _) = peer.hear_of_calls().await;
    drop(call);
    assert_eq!(peer.hear_of_calls().await, (id, Request::Cancel));
    peer.say(id, 2, &done(1));
    assert_eq!(peer.hear_of_calls().await, (id, Request::Ack { seq: 2 }));
    assert!(link.shared.state().calls.is_empty());
}

#[tokio::test]
async fn a_runner_that_was_replaced_learns_it() {
    let (link, mut peer) = linked(LEASE).await;
    let mut call = link.call(&stat()).unwrap();
    peer.hear_of_calls().await;
    // A stranger's frame was refused: that is none of our business.
    let error = CallError { kind: ErrorKind::StaleEpoch, message: "epoch 0 is over".into() };
    peer.say(0, 2, &Response::Failed { error });
    peer.say(0, 3, &Response::Renewed);
    assert!(!link.is_fenced().await);
    peer.say_raw(frame(2, 0, 4, &hello_ack()).encode());
    match call.next().await {
        Err(SandboxError::Lost { detail }) => assert!(detail.contains("another runner"), "{detail}"),
        other => panic!("{other:?}"),
    }
    assert!(link.is_fenced().await);
}

#[tokio::test]
async fn the_lease_is_renewed_though_nobody_calls() {
    let (link, mut peer) = linked(Duration::from_millis(40)).await;
    for round in 1..=5 {
        assert_eq!(peer.hear().await, (0, Request::Renew));
        peer.say(0, round, &Response::Renewed);
    }
    while link.renewals() < 5 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn content_larger_than_a_frame_travels_in_pieces() {
    let (link, mut peer) = linked(LEASE).await;
    let call = link.call(&stat()).unwrap();
    let content: Vec<u8> = (0..3 * Chunk::BYTES_MAX + 5).map(|n| n as u8).collect();
    let sender = tokio::spawn({
        let content = content.clone();
        async move { call.send_input(&content).await.map(|()| call) }
    });
    let mut got = Vec::new();
    while got.len() < content.len() {
        let mut bytes = vec![0; 1 << 16];
        let n = peer.heard.read(&mut bytes).await.unwrap();
        peer.reader.push(&bytes[..n]);
        while let Some(frame) = peer.reader.next_frame() {
            if frame.kind == FrameKind::Data {
                let chunk = Chunk::decode(&frame.payload).unwrap();
                assert_eq!(chunk.offset, got.len() as u64);
                got.extend_from_slice(chunk.bytes);
            }
        }
    }
    assert!(got == content);
    drop(sender.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_goodbye_is_written_though_the_link_is_dropped_at_once() {
    let (link, mut peer) = linked(LEASE).await;
    link.shut_down();
    drop(link);
    assert_eq!(peer.hear_of_calls().await, (0, Request::Shutdown));
    let mut rest = Vec::new();
    peer.heard.read_to_end(&mut rest).await.unwrap();
}
