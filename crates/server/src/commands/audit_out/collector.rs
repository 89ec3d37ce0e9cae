//! The ways to a collector of logs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use super::syslog::{MessageFormat, framed};
use super::unacknowledged::unacknowledged;

/// The longest wait for a collector that does not take what it is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a collector is waited for at the end.
const CLOSING: Duration = Duration::from_secs(10);
/// Between two looks whether the end has arrived.
const LOOK: Duration = Duration::from_millis(10);

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A connection: `tcp://host:port`.
    Tcp(String),
    /// A datagram each: `udp://host:port`. What is lost on the way is lost.
    Udp(String),
    /// A datagram each, on this machine: `unix:///dev/log`.
    Unix(PathBuf),
}

impl Destination {
    /// Reads `tcp://…`, `udp://…` or `unix:///…`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let named = |address: &str| {
            let (host, port) = address.rsplit_once(':')?;
            let fits = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
            fits.then(|| address.to_owned())
        };
        let found = match text.split_once("://") {
            Some(("tcp", address)) => named(address).map(Self::Tcp),
            Some(("udp", address)) => named(address).map(Self::Udp),
            Some(("unix", path)) if path.starts_with('/') => Some(Self::Unix(path.into())),
            _ => None,
        };
        found.context("the destination is tcp://host:port, udp://host:port or unix:///path")
    }
}

/// An open way to the collector.
pub(super) enum Out {
    /// A connection, and how many bytes went into it.
    Tcp(tokio::io::BufWriter<TcpStream>, u64),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Out {
    pub(super) async fn open(to: &Destination) -> std::io::Result<Self> {
        match to {
            Destination::Tcp(address) => {
                let stream = in_time(TcpStream::connect(address)).await?;
                Ok(Self::Tcp(tokio::io::BufWriter::new(stream), 0))
            }
            Destination::Udp(address) => {
                let mut found = tokio::net::lookup_host(address).await?;
                let Some(to) = found.next() else {
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
        }
    }

    pub(super) async fn send(
        &mut self,
        message: &[u8],
        format: MessageFormat,
    ) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream, sent) => {
                let framed = framed(message, format);
                *sent += u64::try_from(framed.len()).unwrap_or(u64::MAX);
                in_time(stream.write_all(&framed)).await
            }
            Self::Udp(socket) => in_time(socket.send(message)).await.map(|_| ()),
            Self::Unix(socket) => in_time(socket.send(message)).await.map(|_| ()),
        }
    }

    /// How many bytes were sent.
    pub(super) fn sent(&self) -> u64 {
        match self {
            Self::Tcp(_, sent) => *sent,
            Self::Udp(_) | Self::Unix(_) => 0,
        }
    }

    /// How many of them the other side's system has, if the other side has not hung up; `None`
    /// where this system does not say. Of datagrams nothing is ever known: all of them.
    pub(super) async fn acknowledged(&mut self) -> std::io::Result<Option<u64>> {
        let Self::Tcp(stream, sent) = self else {
            return Ok(Some(0));
        };
        in_time(stream.flush()).await?;
        // Before the look whether it stands: what is asked for must have been so while it stood.
        let waiting = unacknowledged(stream.get_ref());
        // What it answers says nothing, but its end may be behind that.
        loop {
            match stream.get_ref().try_read(&mut [0; 256]) {
                Ok(0) => return Err(std::io::ErrorKind::ConnectionAborted.into()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Ok(waiting.map(|waiting| sent.saturating_sub(waiting)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Says that nothing follows, and waits for the other side to have read it all: it says so by
    /// closing too. One that does not may have read nothing.
    pub(super) async fn close(self) -> std::io::Result<()> {
        let Self::Tcp(mut stream, _) = self else {
            return Ok(());
        };
        in_time(stream.flush()).await?;
        stream.get_mut().shutdown().await?;
        let closed = async {
            let mut answer = [0; 256];
            while stream.get_mut().read(&mut answer).await? > 0 {}
            // It may have closed its side first, and not have all yet.
            while unacknowledged(stream.get_ref()).is_some_and(|waiting| waiting > 0) {
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

async fn in_time<T>(what: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(done) => done,
        Err(_) => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_waits_in_this_systems_buffer_is_not_acknowledged() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = Destination::Tcp(listener.local_addr().unwrap().to_string());
        let mut out = Out::open(&to).await.unwrap();
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
                let Out::Tcp(stream, _) = &out else { panic!() };
                let before = unacknowledged(stream.get_ref()).unwrap();
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
        let to = Destination::Tcp(listener.local_addr().unwrap().to_string());
        let mut out = Out::open(&to).await.unwrap();
        let (mut other, _) = listener.accept().await.unwrap();
        out.send(b"row", MessageFormat::Json).await.unwrap();
        out.acknowledged().await.unwrap();
        // Read here, so that it ends with an end and not with a reset.
        other.read_exact(&mut [0; 4]).await.unwrap();
        other.write_all(&[b'x'; 1000]).await.unwrap();
        drop(other);
        let Out::Tcp(stream, _) = &out else { panic!() };
        let has_ended = async {
            let readable = tokio::io::Interest::READABLE;
            while !stream
                .get_ref()
                .ready(readable)
                .await
                .unwrap()
                .is_read_closed()
            {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, has_ended).await.unwrap();
        assert!(out.acknowledged().await.is_err());
    }

    #[test]
    fn destinations_have_a_kind_and_an_address() {
        let parsed = |text| Destination::parse(text).ok();
        let tcp = "logs.example:6514".to_owned();
        assert_eq!(
            parsed("tcp://logs.example:6514"),
            Some(Destination::Tcp(tcp))
        );
        assert!(parsed("udp://[::1]:514").is_some());
        assert_eq!(
            parsed("unix:///dev/log"),
            Some(Destination::Unix("/dev/log".into()))
        );
        for bad in [
            "",
            "logs:514",
            "tcp://logs",
            "tcp://:514",
            "tcp://h:0",
            "tcp://h:x",
            "unix://x",
            "ftp://h:1",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
