//! How long a connection is waited for: a stream that ends itself when the other side neither
//! finishes the head of a request nor starts one for too long.
//!
//! hyper has one timer for both, and sets it anew for every request. A client that keeps
//! connections for reuse needs the second limit to be long, a slow attacker the first to be
//! short; and a timer per request costs more than the rest of a small request's framing. Here
//! the deadline is a number that moves, and the timer is touched only when it fires.

use std::future::Future;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Requests of one connection, counted by its service, read by its stream.
#[derive(Debug, Default)]
pub(super) struct Progress {
    started: AtomicU64,
    finished: AtomicU64,
}

impl Progress {
    /// A request's head is complete; it is being served until the value is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Serving {
        self.started.fetch_add(1, Ordering::Relaxed);
        Serving(Arc::clone(self))
    }
}

/// One request being served.
#[derive(Debug)]
pub(super) struct Serving(Arc<Progress>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// Which protocol is spoken over the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Bytes that arrive while nothing is served begin a request's head.
    Http1,
    /// They may be anything; only requests count as activity.
    Http2,
}

/// The stream.
pub(super) struct Patient<S> {
    stream: S,
    protocol: Protocol,
    head: Duration,
    idle: Duration,
    progress: Arc<Progress>,
    finished_seen: u64,
    reading_head: bool,
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(
        stream: S,
        protocol: Protocol,
        head: Duration,
        idle: Duration,
        progress: Arc<Progress>,
    ) -> Self {
        let since = Instant::now();
        let mut patient = Self {
            stream,
            protocol,
            head,
            idle,
            progress,
            finished_seen: 0,
            // The first request has to come soon: the client connected because it has one.
            reading_head: true,
            since,
            timer: Box::pin(tokio::time::sleep_until(since)),
        };
        let deadline = patient.deadline();
        patient.timer.as_mut().reset(deadline);
        patient
    }

    fn deadline(&self) -> Instant {
        self.since
            + if self.reading_head {
                self.head
            } else {
                self.idle
            }
    }

    /// Whether a request is being served; notes when the last one ended.
    fn is_serving(&mut self) -> bool {
        let finished = self.progress.finished.load(Ordering::Relaxed);
        let serving = self.progress.started.load(Ordering::Relaxed) != finished;
        if finished != self.finished_seen || serving {
            self.finished_seen = finished;
            self.reading_head = false;
            self.since = Instant::now();
        }
        serving
    }

    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline();
        if self.timer.deadline() > deadline {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) && !self.reading_head {
            self.since = Instant::now();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let serving = this.is_serving();
        let filled = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if serving {
            return read;
        }
        if read.is_pending() {
            ready!(this.poll_patience(cx));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        let begins = this.protocol == Protocol::Http1 && buffer.filled().len() > filled;
        if begins && !this.reading_head {
            this.reading_head = true;
            this.since = Instant::now();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(75);

    fn stream(protocol: Protocol) -> (Patient<DuplexStream>, DuplexStream, Arc<Progress>) {
        let (near, far) = tokio::io::duplex(1_024);
        let progress = Arc::new(Progress::default());
        (
            Patient::new(near, protocol, HEAD, IDLE, Arc::clone(&progress)),
            far,
            progress,
        )
    }

    /// How long the stream waits before it gives up.
    async fn waits(stream: &mut Patient<DuplexStream>) -> Duration {
        let start = Instant::now();
        let ended = stream.read(&mut [0; 64]).await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
        // The timer's wheel turns in milliseconds.
        Duration::from_secs(start.elapsed().as_secs())
    }

    /// Reads for that long and gets neither bytes nor an end.
    async fn rests(stream: &mut Patient<DuplexStream>, seconds: u64) {
        let mut buffer = [0; 4];
        let reading = stream.read(&mut buffer);
        assert!(
            tokio::time::timeout(Duration::from_secs(seconds), reading)
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_the_head_limit() {
        let (mut stream, _far, _progress) = stream(Protocol::Http1);
        assert_eq!(waits(&mut stream).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn drops_of_a_head_do_not_extend_its_limit() {
        let (mut stream, mut far, _progress) = stream(Protocol::Http1);
        let start = Instant::now();
        let dripping = tokio::spawn(async move {
            while far.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut sink = Vec::new();
        assert_eq!(
            stream.read_to_end(&mut sink).await.unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert_eq!(start.elapsed().as_secs(), HEAD.as_secs());
        dripping.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_served_connection_rests_longer_and_a_request_may_take_its_time() {
        let (mut stream, mut far, progress) = stream(Protocol::Http1);
        far.write_all(b"head").await.unwrap();
        stream.read_exact(&mut [0; 4]).await.unwrap();
        let serving = progress.begin();
        rests(&mut stream, 600).await; // No limit here while a request is served.
        drop(serving);
        assert_eq!(waits(&mut stream).await, IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_head_has_the_short_limit_again() {
        let (mut stream, mut far, progress) = stream(Protocol::Http1);
        drop(progress.begin());
        rests(&mut stream, 30).await;
        far.write_all(b"GE").await.unwrap();
        stream.read_exact(&mut [0; 2]).await.unwrap();
        assert_eq!(waits(&mut stream).await, HEAD);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_without_requests_do_not_keep_http2_open() {
        let (mut stream, mut far, progress) = stream(Protocol::Http2);
        drop(progress.begin());
        let start = Instant::now();
        let pinging = tokio::spawn(async move {
            while far.write_all(b"ping").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        });
        let mut sink = Vec::new();
        assert_eq!(
            stream.read_to_end(&mut sink).await.unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        assert_eq!(start.elapsed().as_secs(), IDLE.as_secs());
        pinging.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_being_taken_keeps_the_connection() {
        let (mut stream, mut far, progress) = stream(Protocol::Http1);
        drop(progress.begin());
        for _ in 0..3 {
            rests(&mut stream, 60).await;
            stream.write_all(b"part").await.unwrap();
            far.read_exact(&mut [0; 4]).await.unwrap();
        }
        assert_eq!(waits(&mut stream).await, IDLE);
    }
}
