//! The ways to a collector of logs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use super::destination::Destination;
use super::post::{Batch, Post};
use super::syslog::{MessageFormat, framed};
use super::unacknowledged::unacknowledged;
use super::way::Way;

/// The longest wait for a collector that does not take what it is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a collector is waited for at the end.
const CLOSING: Duration = Duration::from_secs(10);
/// Between two looks whether the end has arrived.
const LOOK: Duration = Duration::from_millis(10);

/// A connection, in clear text or not.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open way to the collector.
pub(super) enum Out {
    Stream(Stream),
    Udp(UdpSocket),
    Unix(UnixDatagram),
    /// Rows to be posted, and how many bytes of them were.
    Post(Arc<Post>, Batch, u64),
}

/// A connection, its two ends, and how many bytes went into it. Inside TLS more bytes wait in the
/// system than rows are behind them, so that what is taken as arrived has.
pub(super) struct Stream {
    io: BufWriter<Box<dyn Io>>,
    ends: (SocketAddr, SocketAddr),
    sent: u64,
}

impl Stream {
    fn new(io: Box<dyn Io>, ends: (SocketAddr, SocketAddr)) -> Self {
        Self {
            io: BufWriter::new(io),
            ends,
            sent: 0,
        }
    }

    fn waiting(&self) -> Option<u64> {
        unacknowledged(self.ends.0, self.ends.1)
    }
}

impl Out {
    pub(super) async fn open(way: &Way) -> std::io::Result<Self> {
        match &way.to {
            Destination::Tcp(address) => {
                let stream = in_time(way.connect(address)).await?;
                let ends = ends(&stream)?;
                Ok(Self::Stream(Stream::new(Box::new(stream), ends)))
            }
            Destination::Tls(address) => {
                let stream = in_time(way.connect(address)).await?;
                let ends = ends(&stream)?;
                let stream = in_time(way.encrypt(stream, address)).await?;
                Ok(Self::Stream(Stream::new(Box::new(stream), ends)))
            }
            Destination::Udp(address) => {
                let Some(to) = way.addresses(address).await?.into_iter().next() else {
                    return Err(std::io::ErrorKind::NotFound.into());
                };
                let from = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(from).await?;
                socket.connect(to).await?;
                Ok(Self::Udp(socket))
            }
            Destination::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Ok(Self::Unix(socket))
            }
            Destination::Http(_) => match &way.post {
                Some(post) => Ok(Self::Post(post.clone(), Batch::default(), 0)),
                None => Err(std::io::Error::other("no way to post was set up")),
            },
        }
    }

    pub(super) async fn send(
        &mut self,
        message: &[u8],
        format: MessageFormat,
    ) -> std::io::Result<()> {
        match self {
            Self::Stream(stream) => {
                let framed = framed(message, format);
                stream.sent += u64::try_from(framed.len()).unwrap_or(u64::MAX);
                in_time(stream.io.write_all(&framed)).await
            }
            Self::Udp(socket) => in_time(socket.send(message)).await.map(|_| ()),
            Self::Unix(socket) => in_time(socket.send(message)).await.map(|_| ()),
            Self::Post(to, batch, sent) => {
                let framed = framed(message, MessageFormat::Json);
                *sent += u64::try_from(framed.len()).unwrap_or(u64::MAX);
                match batch.push(&framed) {
                    true => batch.post(to).await,
                    false => Ok(()),
                }
            }
        }
    }

    /// How many bytes were sent.
    pub(super) fn sent(&self) -> u64 {
        match self {
            Self::Stream(stream) => stream.sent,
            Self::Post(_, _, sent) => *sent,
            Self::Udp(_) | Self::Unix(_) => 0,
        }
    }

    /// Whether [`Self::acknowledged`] says what the collector itself has, not what its system has.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self, Self::Post(..))
    }

    /// How many of them the other side's system has, if the other side has not hung up; `None`
    /// where this system does not say. Of datagrams nothing is ever known: all of them.
    pub(super) async fn acknowledged(&mut self) -> std::io::Result<Option<u64>> {
        let stream = match self {
            Self::Stream(stream) => stream,
            Self::Post(to, batch, sent) => {
                batch.post(to).await?;
                return Ok(Some(*sent));
            }
            Self::Udp(_) | Self::Unix(_) => return Ok(Some(0)),
        };
        in_time(stream.io.flush()).await?;
        // Before the look whether it stands: what is asked for must have been so while it stood.
        let waiting = stream.waiting();
        // What it answers says nothing, but its end may be behind that.
        let mut answer = [0; 256];
        while let Some(read) = stream.io.get_mut().read(&mut answer).now_or_never() {
            if read? == 0 {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(waiting.map(|waiting| stream.sent.saturating_sub(waiting)))
    }

    /// Says that nothing follows, and waits for the other side to have read it all: it says so by
    /// closing too. One that does not may have read nothing.
    pub(super) async fn close(self) -> std::io::Result<()> {
        let mut stream = match self {
            Self::Stream(stream) => stream,
            Self::Post(to, mut batch, _) => return batch.post(&to).await,
            Self::Udp(_) | Self::Unix(_) => return Ok(()),
        };
        in_time(stream.io.flush()).await?;
        stream.io.get_mut().shutdown().await?;
        let closed = async {
            let mut answer = [0; 256];
            while stream.io.get_mut().read(&mut answer).await? > 0 {}
            // It may have closed its side first, and not have all yet.
            while stream.waiting().is_some_and(|waiting| waiting > 0) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        };
        match tokio::time::timeout(CLOSING, closed).await {
            Ok(closed) => closed,
            Err(_) => Err(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "it did not close the connection, so what it has read is not known; the rows are \
                 sent again",
            )),
        }
    }
}

fn ends(stream: &TcpStream) -> std::io::Result<(SocketAddr, SocketAddr)> {
    Ok((stream.local_addr()?, stream.peer_addr()?))
}

async fn in_time<T>(what: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(done) => done,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::syslog::Form;
    use super::*;

    async fn open(listener: &tokio::net::TcpListener) -> Out {
        let to = Destination::Tcp(listener.local_addr().unwrap().to_string());
        let way = Way::anywhere(to, Form::json(), None).unwrap();
        Out::open(&way).await.unwrap()
    }

    #[tokio::test]
    async fn what_waits_in_this_systems_buffer_is_not_acknowledged() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut out = open(&listener).await;
        let (mut other, _) = listener.accept().await.unwrap();
        let row = vec![b'x'; 4096];
        out.send(&row, MessageFormat::Json).await.unwrap();
        let all = out.sent();
        while out.acknowledged().await.unwrap() != Some(all) {
            tokio::time::sleep(LOOK).await;
        }
        // More than the other side's system takes while nobody reads there.
        let full = async {
            loop {
                let Out::Stream(stream) = &out else { panic!() };
                let before = stream.waiting().unwrap();
                out.send(&row, MessageFormat::Json).await.unwrap();
                if before > 64 << 10 {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, full).await.unwrap();
        let (all, known) = (out.sent(), out.acknowledged().await.unwrap());
        assert!(known.is_some_and(|known| known < all), "{known:?} of {all}");
        // Read, it is.
        let reading = tokio::spawn(async move {
            let mut rest = Vec::new();
            other.read_to_end(&mut rest).await.map(|_| rest.len())
        });
        while out.acknowledged().await.unwrap() != Some(all) {
            tokio::time::sleep(LOOK).await;
        }
        out.close().await.unwrap();
        assert_eq!(u64::try_from(reading.await.unwrap().unwrap()).unwrap(), all);
    }

    #[tokio::test]
    async fn an_answer_before_the_end_does_not_hide_the_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut out = open(&listener).await;
        let (mut other, _) = listener.accept().await.unwrap();
        out.send(b"row", MessageFormat::Json).await.unwrap();
        out.acknowledged().await.unwrap();
        // Read here, so that it ends with an end and not with a reset.
        other.read_exact(&mut [0; 4]).await.unwrap();
        other.write_all(&[b'x'; 1000]).await.unwrap();
        drop(other);
        let has_ended = async {
            while out.acknowledged().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, has_ended).await.unwrap();
    }
}
