//! The host's end of the supervisor's protocol: one reader and one writer task, many calls in flight.

use std::cmp::Ordering::{Equal, Greater, Less};
use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use futures_util::{Stream, StreamExt};
use greenroom_supervisor::protocol::{
    Chunk, DiskLimits, ErrorKind, Frame, FrameKind, FrameReader, HelloAck, PAYLOAD_BYTES_MAX, Request, Response,
    Stream as ChunkStream, WINDOW_BYTES,
};
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::SandboxError;
use super::carry::Carrier;

/// How long PID 1 may take from the container's start to its first word.
const HELLO_MAX: Duration = Duration::from_secs(30);
/// How long PID 1 is given to say whose sandbox it is.
const FENCED_MAX: Duration = Duration::from_secs(1);
/// Output of one call that is received before some of it is acknowledged: an eighth of what the supervisor holds back
/// for, so that it never has to stop reading a command that we keep up with.
const ACK_BYTES: usize = WINDOW_BYTES / 8;
/// More than this of one call cannot be waiting: the supervisor stops at its window, and repeats it once after a hello.
const QUEUE_BYTES_MAX: usize = 4 * WINDOW_BYTES;
/// Content on its way to the supervisor that may wait in memory.
const INPUT_BYTES_MAX: usize = 4 << 20;
const STDERR_BYTES_MAX: usize = 4 << 10;

/// A conversation with one supervisor. Dropping it ends the tasks, and with them the renewal of the lease.
pub(super) struct Link {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    epoch: u32,
    state: Mutex<State>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    input_budget: Arc<Semaphore>,
    /// How often the lease was asked for, and how often it was confirmed. Closed when the link is lost.
    renewals_sent: AtomicU64,
    renewed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    call_highest: u64,
    calls: HashMap<u64, Slot>,
    hello: Option<oneshot::Sender<HelloAck>>,
    /// Of a set-up phase: its connections to the proxy.
    carrier: Option<Carrier>,
    /// Why nothing can be said any more.
    lost: Option<String>,
    /// That is because another runner has taken the sandbox over: it is no longer ours to end.
    fenced: bool,
    /// The end of what PID 1 wrote to stderr: its last words, if it had to give up.
    last_words: Vec<u8>,
}

/// Where frames about a call go.
struct Slot {
    seq_seen: u64,
    taker: Taker,
}

enum Taker {
    Caller {
        frames: mpsc::UnboundedSender<Arrived>,
        queued_bytes: Arc<AtomicUsize>,
    },
    /// Nobody waits any longer: what comes is acknowledged so that the supervisor can forget the call.
    Nobody,
}

struct Outgoing {
    wire: Vec<u8>,
    /// Given back once the bytes are written.
    _permit: Option<OwnedSemaphorePermit>,
}

struct Arrived {
    seq: u64,
    bytes: usize,
    item: Item,
}

/// What comes back about a call.
#[derive(Debug)]
pub(super) enum Item {
    Chunk { stream: ChunkStream, offset: u64, bytes: Vec<u8> },
    Response(Response),
}

impl Link {
    /// Greets the supervisor over the container's streams. `epoch` must be higher than that of every earlier client, who is
    /// thereby shut out.
    /// `post_mortem` is asked once, when the connection ends, what became of the container.
    pub(super) async fn open(
        input: impl AsyncWrite + Send + Unpin + 'static,
        output: impl Stream<Item = Result<LogOutput, EngineError>> + Send + Unpin + 'static,
        epoch: u32,
        lease: Duration,
        post_mortem: impl Future<Output = String> + Send + 'static,
    ) -> Result<(Link, HelloAck), SandboxError> {
        let (outgoing, queue) = mpsc::unbounded_channel();
        let (hello, answer) = oneshot::channel();
        let shared = Arc::new(Shared {
            epoch,
            state: Mutex::new(State { hello: Some(hello), ..Default::default() }),
            outgoing,
            input_budget: Arc::new(Semaphore::new(INPUT_BYTES_MAX)),
            renewals_sent: AtomicU64::new(0),
            renewed: watch::Sender::new(0),
        });
        // The writer is not among the tasks that end with the link: it ends when nobody can send any longer, and by then
        // it has written what was sent last.
        tokio::spawn(write_frames(input, queue, shared.input_budget.clone()));
        let mut link = Link { tasks: vec![tokio::spawn(read_frames(output, shared.clone(), post_mortem))], shared };
        let lease_ms = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        link.shared.send(0, FrameKind::Request, &request_bytes(&Request::Hello { lease_ms }), None);
        let ack = match tokio::time::timeout(HELLO_MAX, answer).await {
            Ok(Ok(ack)) => ack,
            Ok(Err(_)) => return Err(SandboxError::Start { detail: link.shared.lost_detail() }),
            Err(_) => {
                let what = "PID 1 of the new sandbox".to_owned();
                return Err(SandboxError::Deadline { what, seconds: HELLO_MAX.as_secs() });
            }
        };
        link.shared.state().call_highest = ack.call_highest;
        link.tasks.push(tokio::spawn(renew_lease(link.shared.clone(), lease)));
        Ok((link, ack))
    }

    /// Opens a call. Its answers are taken with [`Call::next`]; dropping it before its end cancels it.
    pub(super) fn call(&self, request: &Request) -> Result<Call, SandboxError> {
        debug_assert!(request.opens_call());
        let payload = request_bytes(request);
        // What a model asks for can be of any size, and a frame cannot.
        if payload.len() > PAYLOAD_BYTES_MAX {
            let detail = format!("{} bytes are more than one request holds ({PAYLOAD_BYTES_MAX})", payload.len());
            return Err(SandboxError::Refused { what: "take a request so long".to_owned(), detail });
        }
        let (frames, arrivals) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let mut state = self.shared.state();
        if let Some(detail) = &state.lost {
            return Err(SandboxError::Lost { detail: detail.clone() });
        }
        state.call_highest += 1;
        let id = state.call_highest;
        let taker = Taker::Caller { frames, queued_bytes: queued_bytes.clone() };
        state.calls.insert(id, Slot { seq_seen: 0, taker });
        // Still under the lock: the supervisor wants ids in rising order.
        self.shared.send(id, FrameKind::Request, &payload, None);
        drop(state);
        Ok(Call { id, shared: self.shared.clone(), arrivals, queued_bytes, unacknowledged: 0, phase: Phase::Open })
    }

    /// Has PID 1 end commands that let the volumes grow too much. Nothing asked for later comes before it.
    pub(super) fn watch_disk(&self, limits: DiskLimits) {
        self.shared.send(0, FrameKind::Request, &request_bytes(&Request::WatchDisk(limits)), None);
    }

    /// From now on the container's connections arrive here; PID 1 is asked for them with `Listen`.
    pub(super) fn carry(&self) -> mpsc::UnboundedReceiver<DuplexStream> {
        let (outgoing, epoch) = (self.shared.outgoing.clone(), self.shared.epoch);
        let send = move |payload| {
            let frame = Frame { epoch, kind: FrameKind::Proxy, call: 0, seq: 0, payload };
            // As for calls: who cannot be told has been told so.
            let _ = outgoing.send(Outgoing { wire: frame.encode(), _permit: None });
        };
        let (carrier, connections) = Carrier::new(Arc::new(send));
        self.shared.state().carrier = Some(carrier);
        connections
    }

    /// Tells PID 1 to end everything. The container follows by itself.
    pub(super) fn shut_down(&self) {
        self.shared.send(0, FrameKind::Request, &request_bytes(&Request::Shutdown), None);
    }

    /// Lets what is kept of a step's commands go.
    pub(super) fn forget(&self, token_prefix: String) {
        self.shared.send(0, FrameKind::Request, &request_bytes(&Request::Forget { token_prefix }), None);
    }

    /// Whether another runner has taken the sandbox over. Asks PID 1, because a runner that was stopped for a while may
    /// not know it yet; one that does not answer is nobody's.
    pub(super) async fn is_fenced(&self) -> bool {
        let mut renewed = self.shared.renewed.subscribe();
        let asked = self.shared.renew();
        let answered = renewed.wait_for(|&renewals| renewals >= asked || self.shared.state().lost.is_some());
        let _ = tokio::time::timeout(FENCED_MAX, answered).await;
        self.knows_it_is_fenced()
    }

    pub(super) fn knows_it_is_fenced(&self) -> bool {
        self.shared.state().fenced
    }

    /// How often the supervisor has confirmed the lease.
    #[cfg(test)]
    fn renewals(&self) -> u64 {
        *self.shared.renewed.borrow()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.lose("the runner let the sandbox go".to_owned());
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// One call in flight.
pub(super) struct Call {
    id: u64,
    shared: Arc<Shared>,
    arrivals: mpsc::UnboundedReceiver<Arrived>,
    queued_bytes: Arc<AtomicUsize>,
    unacknowledged: usize,
    phase: Phase,
}

#[derive(PartialEq, Eq)]
enum Phase {
    Open,
    Ended,
}

impl Call {
    /// The next thing the supervisor says about this call, until the final response. What was taken before is thereby
    /// acknowledged, in pieces of [`ACK_BYTES`].
    pub(super) async fn next(&mut self) -> Result<Item, SandboxError> {
        let Some(Arrived { seq, bytes, item }) = self.arrivals.recv().await else {
            self.phase = Phase::Ended;
            return Err(SandboxError::Lost { detail: self.shared.lost_detail() });
        };
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.unacknowledged += bytes;
        let is_final = matches!(&item, Item::Response(response) if response.is_final());
        if is_final || self.unacknowledged >= ACK_BYTES {
            self.unacknowledged = 0;
            self.shared.send(self.id, FrameKind::Request, &request_bytes(&Request::Ack { seq }), None);
        }
        if is_final {
            self.phase = Phase::Ended;
            self.shared.state().calls.remove(&self.id);
        }
        Ok(item)
    }

    /// Sends the content that belongs to the request.
    pub(super) async fn send_input(&self, content: &[u8]) -> Result<(), SandboxError> {
        let mut offset = 0;
        for bytes in content.chunks(Chunk::BYTES_MAX) {
            let budget = self.shared.input_budget.clone();
            let bytes_u32 = u32::try_from(bytes.len()).expect("a chunk is at most a mebibyte");
            let Ok(permit) = budget.acquire_many_owned(bytes_u32).await else {
                return Err(SandboxError::Lost { detail: self.shared.lost_detail() });
            };
            let payload = Chunk { stream: ChunkStream::Input, offset, bytes }.encode();
            self.shared.send(self.id, FrameKind::Data, &payload, Some(permit));
            offset += bytes.len() as u64;
        }
        Ok(())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.phase == Phase::Ended {
            return;
        }
        let mut state = self.shared.state();
        if let Some(slot) = state.calls.get_mut(&self.id) {
            slot.taker = Taker::Nobody;
            self.shared.send(self.id, FrameKind::Request, &request_bytes(&Request::Cancel), None);
        }
        drop(state);
        // What arrived and was not looked at will not be sent again, so it is settled here.
        self.arrivals.close();
        let mut last = None;
        while let Ok(arrived) = self.arrivals.try_recv() {
            if matches!(&arrived.item, Item::Response(response) if response.is_final()) {
                self.shared.state().calls.remove(&self.id);
            }
            last = Some(arrived.seq);
        }
        if let Some(seq) = last {
            self.shared.send(self.id, FrameKind::Request, &request_bytes(&Request::Ack { seq }), None);
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the link's state")
    }

    fn send(&self, call: u64, kind: FrameKind, payload: &[u8], permit: Option<OwnedSemaphorePermit>) {
        let frame = Frame { epoch: self.epoch, kind, call, seq: 0, payload: payload.to_vec() };
        // The writer is gone only when the link is lost, and then every call learns that from the state.
        let _ = self.outgoing.send(Outgoing { wire: frame.encode(), _permit: permit });
    }

    fn lost_detail(&self) -> String {
        self.state().lost.clone().unwrap_or_else(|| "the connection to PID 1 ended".to_owned())
    }

    /// Ends every pending call with the same news.
    fn lose(&self, detail: String) {
        let mut state = self.state();
        let last_words = String::from_utf8_lossy(&state.last_words).trim().to_owned();
        let detail = if last_words.is_empty() { detail } else { format!("{detail}; PID 1 said: {last_words}") };
        state.lost.get_or_insert(detail);
        state.hello = None;
        state.calls.clear();
        state.carrier = None;
        drop(state);
        self.input_budget.close();
        // Whoever waits for an answer looks again.
        self.renewed.send_modify(|_| ());
    }

    fn renew(&self) -> u64 {
        let asked = self.renewals_sent.fetch_add(1, Ordering::Relaxed) + 1;
        self.send(0, FrameKind::Request, &request_bytes(&Request::Renew), None);
        asked
    }

    fn fenced(&self) -> String {
        self.state().fenced = true;
        "another runner has taken the sandbox over".to_owned()
    }

    fn take(&self, frame: Frame) -> Result<(), String> {
        match frame.epoch.cmp(&self.epoch) {
            // Until our hello is answered these are for an earlier client.
            Less => return Ok(()),
            Equal => {}
            // Everybody who is attached hears everything.
            Greater => return Err(self.fenced()),
        }
        let bytes = frame.payload.len();
        let item = match frame.kind {
            FrameKind::Response => Item::Response(
                serde_json::from_slice(&frame.payload).map_err(|error| format!("PID 1 answered nonsense: {error}"))?,
            ),
            FrameKind::Data => {
                let chunk = Chunk::decode(&frame.payload).ok_or("PID 1 sent a chunk without a header")?;
                Item::Chunk { stream: chunk.stream, offset: chunk.offset, bytes: chunk.bytes.to_vec() }
            }
            FrameKind::Proxy => {
                return match &self.state().carrier {
                    Some(carrier) => carrier.take(&frame.payload),
                    None => Err("PID 1 opened a connection nobody asked for".to_owned()),
                };
            }
            FrameKind::Request => return Err("PID 1 sent a request".to_owned()),
        };
        if frame.call == 0 {
            return self.take_news(item);
        }
        let mut state = self.state();
        let Some(slot) = state.calls.get_mut(&frame.call) else {
            // Settled already, and its acknowledgement crossed this frame.
            drop(state);
            self.send(frame.call, FrameKind::Request, &request_bytes(&Request::Ack { seq: frame.seq }), None);
            return Ok(());
        };
        if frame.seq <= slot.seq_seen {
            return Ok(());
        }
        slot.seq_seen = frame.seq;
        match &slot.taker {
            Taker::Caller { frames, queued_bytes } => {
                if queued_bytes.fetch_add(bytes, Ordering::Relaxed) > QUEUE_BYTES_MAX {
                    return Err("PID 1 sent more than its window".to_owned());
                }
                // A caller that just went away settles what is in its queue itself; see `Call::drop`.
                let _ = frames.send(Arrived { seq: frame.seq, bytes, item });
            }
            Taker::Nobody => {
                if matches!(&item, Item::Response(response) if response.is_final()) {
                    state.calls.remove(&frame.call);
                }
                drop(state);
                self.send(frame.call, FrameKind::Request, &request_bytes(&Request::Ack { seq: frame.seq }), None);
            }
        }
        Ok(())
    }

    /// A frame about the link itself.
    fn take_news(&self, item: Item) -> Result<(), String> {
        match item {
            Item::Response(Response::HelloAck(ack)) => {
                if let Some(hello) = self.state().hello.take() {
                    // Who opened the link may have given up meanwhile.
                    let _ = hello.send(*ack);
                }
                Ok(())
            }
            Item::Response(Response::Renewed) => {
                self.renewed.send_modify(|renewals| *renewals += 1);
                Ok(())
            }
            Item::Response(Response::Failed { error }) if error.kind == ErrorKind::StaleEpoch => {
                // Once our hello has been answered, this is for somebody who is attached beside us.
                if self.state().hello.is_some() { Err(self.fenced()) } else { Ok(()) }
            }
            Item::Response(Response::Failed { error }) => Err(format!("PID 1 refused a frame: {}", error.message)),
            Item::Response(other) => Err(format!("PID 1 said {other:?} about no call")),
            Item::Chunk { .. } => Err("PID 1 sent output of no call".to_owned()),
        }
    }
}

async fn write_frames(
    mut input: impl AsyncWrite + Unpin,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    input_budget: Arc<Semaphore>,
) {
    while let Some(outgoing) = queue.recv().await {
        let mut written = input.write_all(&outgoing.wire).await;
        if written.is_ok() && queue.is_empty() {
            written = input.flush().await;
        }
        if let Err(error) = written {
            // The reader sees the end of the connection too, and it finds out what happened to the container.
            tracing::debug!(%error, "cannot write to PID 1");
            input_budget.close();
            return;
        }
    }
}

async fn read_frames(
    mut output: impl Stream<Item = Result<LogOutput, EngineError>> + Unpin,
    shared: Arc<Shared>,
    post_mortem: impl Future<Output = String>,
) {
    let mut reader = FrameReader::new();
    let broken = loop {
        match output.next().await {
            Some(Ok(LogOutput::StdOut { message })) => {
                reader.push(&message);
                let mut taken = Ok(());
                while let (Ok(()), Some(frame)) = (&taken, reader.next_frame()) {
                    taken = shared.take(frame);
                }
                if let Err(reason) = taken {
                    break Some(reason);
                }
            }
            Some(Ok(LogOutput::StdErr { message })) => keep_last_words(&mut shared.state().last_words, &message),
            // Neither comes from a container without a terminal.
            Some(Ok(LogOutput::StdIn { .. } | LogOutput::Console { .. })) => {}
            Some(Err(error)) => {
                tracing::debug!(%error, "cannot read from PID 1");
                break None;
            }
            None => break None,
        }
    };
    let detail = match broken {
        Some(reason) => reason,
        None => post_mortem.await,
    };
    shared.lose(detail);
}

/// On its own clock, never by calls: a model may think for an hour while its sandbox waits.
async fn renew_lease(shared: Arc<Shared>, lease: Duration) {
    let mut clock = tokio::time::interval((lease / 4).max(Duration::from_millis(10)));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        shared.renew();
    }
}

fn keep_last_words(kept: &mut Vec<u8>, message: &[u8]) {
    kept.extend_from_slice(message);
    let excess = kept.len().saturating_sub(STDERR_BYTES_MAX);
    kept.drain(..excess);
}

fn request_bytes(request: &Request) -> Vec<u8> {
    serde_json::to_vec(request).expect("requests are plain data")
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
