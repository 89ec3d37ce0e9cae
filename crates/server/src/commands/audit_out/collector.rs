//! The ways to a collector of logs.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use super::syslog::{MessageFormat, framed};

/// The longest wait for a collector that does not take what it is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a collector is waited for at the end.
const CLOSING: Duration = Duration::from_secs(5);

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
    Tcp(tokio::io::BufWriter<TcpStream>),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Out {
    pub(super) async fn open(to: &Destination) -> std::io::Result<Self> {
        match to {
            Destination::Tcp(address) => {
                let stream = in_time(TcpStream::connect(address)).await?;
                Ok(Self::Tcp(tokio::io::BufWriter::new(stream)))
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
            Self::Tcp(stream) => in_time(stream.write_all(&framed(message, format))).await,
            Self::Udp(socket) => in_time(socket.send(message)).await.map(|_| ()),
            Self::Unix(socket) => in_time(socket.send(message)).await.map(|_| ()),
        }
    }

    /// Everything was handed to the system, and the other side has not hung up.
    pub(super) async fn settle(&mut self) -> std::io::Result<()> {
        let Self::Tcp(stream) = self else {
            return Ok(());
        };
        in_time(stream.flush()).await?;
        match stream.get_ref().try_read(&mut [0; 64]) {
            Ok(0) => Err(std::io::ErrorKind::ConnectionAborted.into()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}

impl Out {
    /// Says that nothing follows, and waits a while for the other side to have read it all.
    pub(super) async fn close(self) -> std::io::Result<()> {
        let Self::Tcp(mut stream) = self else {
            return Ok(());
        };
        in_time(stream.flush()).await?;
        stream.get_mut().shutdown().await?;
        let mut rest = Vec::new();
        // A collector that keeps its side open has what the system could hand over by now.
        match tokio::time::timeout(CLOSING, stream.get_mut().read_to_end(&mut rest)).await {
            Ok(Err(error)) => Err(error),
            _ => Ok(()),
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
