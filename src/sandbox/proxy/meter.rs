//! Counts what goes through a connection, ends it when it stands still, and all of them when too much has gone through.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// All connections of one proxy together.
pub(super) struct Meter {
    up: AtomicU64,
    down: AtomicU64,
    up_max: u64,
    down_max: u64,
}

impl Meter {
    pub(super) fn new(up_max: u64, down_max: u64) -> Self {
        Meter { up: AtomicU64::new(0), down: AtomicU64::new(0), up_max, down_max }
    }

    /// What there is no more of, if anything.
    pub(super) fn exhausted(&self) -> Option<&'static str> {
        match (self.up.load(Ordering::Relaxed) > self.up_max, self.down.load(Ordering::Relaxed) > self.down_max) {
            (true, _) => Some("bytes sent out"),
            (false, true) => Some("bytes fetched"),
            (false, false) => None,
        }
    }

    fn check(&self) -> io::Result<()> {
        self.exhausted().map_or(Ok(()), |what| Err(io::Error::other(format!("no more {what}"))))
    }
}

/// A connection out of the container: what is read from it goes up.
pub(super) struct Metered<S> {
    stream: S,
    meter: Arc<Meter>,
    moved: Arc<AtomicU64>,
}

impl<S> Metered<S> {
    pub(super) fn new(stream: S, meter: Arc<Meter>) -> Self {
        Metered { stream, meter, moved: Arc::default() }
    }

    /// Ends once nothing has moved for so long, or with the whole time.
    pub(super) fn watch(&self, idle_max: Duration, whole_max: Duration) -> impl Future<Output = ()> + use<S> {
        let moved = self.moved.clone();
        async move {
            let idle = async {
                loop {
                    let before = moved.load(Ordering::Relaxed);
                    tokio::time::sleep(idle_max).await;
                    if moved.load(Ordering::Relaxed) == before {
                        return;
                    }
                }
            };
            // Either is an end.
            let _ = tokio::time::timeout(whole_max, idle).await;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.meter.check()?;
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let count = (buf.filled().len() - before) as u64;
        self.meter.up.fetch_add(count, Ordering::Relaxed);
        self.moved.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.meter.down.fetch_add(count as u64, Ordering::Relaxed);
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        // After the write: an answer that says which limit was met still gets through.
        if count > 0 && bytes.len() > 4096 {
            self.meter.check()?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
