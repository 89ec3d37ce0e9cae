//! `scaivault audit forward`: rows as they come, to a collector of logs.
//!
//! A mark on disk says up to which row of each chain everything was handed over. It moves after the
//! rows did, so that a crash, or a collector that is gone, repeats rows and loses none; memory holds
//! one slice of the chain, however far behind the collector is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use scaivault_store::audit::{Hash, genesis};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket, UnixDatagram};

use super::manifest::{put, shown};
use super::source::{Source, check_continues, follow};
use super::syslog::{MessageFormat, framed, message};
use super::write::{hex, unhex};
use crate::place::Place;

/// The longest wait for a collector that does not take what it is sent.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause before a collector is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a collector is waited for at the end.
const CLOSING: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(500);

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

/// Arguments.
#[derive(Debug, Clone)]
pub struct ForwardArgs {
    /// The store.
    pub database: Place,
    /// To whom.
    pub to: Destination,
    /// In which form.
    pub format: MessageFormat,
    /// The mark's file.
    pub mark: PathBuf,
    /// What the messages call this machine.
    pub host: String,
    /// Without a mark: begin with what comes from now on, not with the first row.
    pub from_now: bool,
    /// End when everything there is was handed over.
    pub once: bool,
    /// Between two looks.
    pub every: Duration,
}

/// How far each chain was handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    chains: Vec<MarkedChain>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkedChain {
    chain: String,
    last_seq: u64,
    head: String,
}

impl Mark {
    fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .with_context(|| format!("{}: not a mark", shown(path))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| shown(path)),
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{}: not a file's name", shown(path)))?;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        put(directory, name, &serde_json::to_vec(self)?)
    }

    fn of(&self, chain: &str) -> Result<(u64, Hash)> {
        match self.chains.iter().find(|marked| marked.chain == chain) {
            Some(marked) => Ok((marked.last_seq, unhex(&marked.head)?)),
            None => Ok((0, genesis(chain))),
        }
    }

    fn set(&mut self, chain: &str, last_seq: u64, head: &Hash) {
        self.chains.retain(|marked| marked.chain != chain);
        self.chains.push(MarkedChain {
            chain: chain.to_owned(),
            last_seq,
            head: hex(head),
        });
    }
}

/// Hands rows over until it is stopped; with `once`, until there are no more. Answers how many. What
/// an operator may want to know meanwhile goes to `told`.
///
/// # Errors
/// When the store or the mark cannot be used, and when the chain is broken or does not continue what
/// was handed over. A collector that is gone is waited for; with `once` it is an error.
pub fn forward(args: &ForwardArgs, told: &(dyn Fn(&str) + Sync)) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(args, told))
}

async fn run(args: &ForwardArgs, told: &(dyn Fn(&str) + Sync)) -> Result<u64> {
    let source = Source::open(&args.database).await?;
    let mark = match Mark::read(&args.mark)? {
        Some(mark) => mark,
        None => begin(args, &source).await?,
    };
    mark.write(&args.mark)?;
    let mut course = Course {
        args,
        source,
        kept: mark.clone(),
        sent: mark,
        out: None,
    };
    let (mut rows, mut pause) = (0, PAUSE_MIN);
    loop {
        match course.pass().await {
            Ok(0) if args.once => match course.finish().await {
                Ok(()) => return Ok(rows),
                Err(Trouble::Collector(error)) => bail!("the collector takes nothing: {error}"),
                Err(Trouble::Own(error)) => return Err(error),
            },
            Ok(0) => tokio::time::sleep(args.every).await,
            Ok(handed_over) => {
                rows += handed_over;
                pause = PAUSE_MIN;
            }
            Err(Trouble::Collector(error)) if !args.once => {
                course.hung_up();
                told(&format!(
                    "the collector takes nothing: {error}; trying again"
                ));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(Trouble::Collector(error)) => bail!("the collector takes nothing: {error}"),
            Err(Trouble::Own(error)) => return Err(error),
        }
    }
}

async fn begin(args: &ForwardArgs, source: &Source) -> Result<Mark> {
    let mut mark = Mark::default();
    if args.from_now {
        for head in source.heads().await? {
            mark.set(&head.chain, head.last_seq, &head.head);
        }
    }
    Ok(mark)
}

enum Trouble {
    /// The other side.
    Collector(std::io::Error),
    /// The store, the chain, the mark.
    Own(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Own(error.into())
    }
}

/// One run. What was sent last is kept as handed over only when the connection still stands at the
/// next look: a collector that hung up may have left it unread.
struct Course<'a> {
    args: &'a ForwardArgs,
    source: Source,
    /// As on disk.
    kept: Mark,
    sent: Mark,
    out: Option<Out>,
}

impl Course<'_> {
    /// Everything there is when it begins, chain by chain, a slice at a time.
    async fn pass(&mut self) -> Result<u64, Trouble> {
        self.confirm().await?;
        let mut rows = 0;
        for head in self.source.heads().await? {
            let chain = head.chain.as_str();
            let (mut seq, mut hash) = self.sent.of(chain)?;
            check_continues(&head, seq, &hash)?;
            let first = seq;
            while seq < head.last_seq {
                let segments = self.source.segments(chain, seq).await?;
                if segments.is_empty() {
                    let why = anyhow::anyhow!("the chain {chain} is broken behind row {seq}");
                    return Err(why.into());
                }
                for segment in &segments {
                    hash = follow(segment, chain, seq, &hash, seq == first)?;
                    rows += self.send(&segment.body).await?;
                    seq = segment.last_seq();
                }
                self.confirm().await?;
                self.sent.set(chain, seq, &hash);
            }
        }
        Ok(rows)
    }

    async fn send(&mut self, body: &[u8]) -> Result<u64, Trouble> {
        let args = self.args;
        let to = match &mut self.out {
            Some(to) => to,
            None => {
                let to = Out::open(&args.to).await.map_err(Trouble::Collector)?;
                self.out.insert(to)
            }
        };
        let mut rows = 0;
        for line in body.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                let text = message(line, args.format, &args.host)?;
                let sent = to.send(&text, args.format).await;
                sent.map_err(Trouble::Collector)?;
                rows += 1;
            }
        }
        Ok(rows)
    }

    /// Keeps what was sent before, if the connection it went over still stands.
    async fn confirm(&mut self) -> Result<(), Trouble> {
        if let Some(out) = &mut self.out {
            out.settle().await.map_err(Trouble::Collector)?;
        }
        self.keep()
    }

    fn keep(&mut self) -> Result<(), Trouble> {
        if self.kept != self.sent {
            self.sent.write(&self.args.mark)?;
            self.kept = self.sent.clone();
        }
        Ok(())
    }

    /// What was not kept is sent again.
    fn hung_up(&mut self) {
        self.out = None;
        self.sent = self.kept.clone();
    }

    async fn finish(&mut self) -> Result<(), Trouble> {
        if let Some(out) = self.out.take() {
            out.close().await.map_err(Trouble::Collector)?;
        }
        self.keep()
    }
}

/// An open way to the collector.
enum Out {
    Tcp(tokio::io::BufWriter<TcpStream>),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Out {
    async fn open(to: &Destination) -> std::io::Result<Self> {
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

    async fn send(&mut self, message: &[u8], format: MessageFormat) -> std::io::Result<()> {
        match self {
            Self::Tcp(stream) => in_time(stream.write_all(&framed(message, format))).await,
            Self::Udp(socket) => in_time(socket.send(message)).await.map(|_| ()),
            Self::Unix(socket) => in_time(socket.send(message)).await.map(|_| ()),
        }
    }

    /// Everything was handed to the system, and the other side has not hung up.
    async fn settle(&mut self) -> std::io::Result<()> {
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
    async fn close(self) -> std::io::Result<()> {
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
