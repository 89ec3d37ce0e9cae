//! The protocol, version 2: commands out, replies in. A reply has a limit in size and depth,
//! whatever the server announces.

use std::time::Duration;

use scaivault_core::target::{Trouble, TroubleKind};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use zeroize::Zeroizing;

/// The most bytes of one reply: a list of a hundred thousand connections fits.
const REPLY_MAX: u64 = 64 << 20;
/// The longest line.
const LINE_MAX: usize = 64 << 10;
/// The most elements of one array.
const ELEMENTS_MAX: usize = 100_000;
/// The deepest array in an array.
const DEPTH_MAX: u8 = 6;
/// How long one command may take.
const COMMAND_MAX: Duration = Duration::from_secs(8);

/// A stream to a server, plain or encrypted.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for T {}

/// Why there is no reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The server refused the command: it did nothing. The first word of what it said.
    Refused(String),
    /// The server does not know the command.
    NoCommand,
    /// The connection ended.
    Cut,
    /// There was no reply in time.
    Late,
    /// The reply breaks the protocol or a limit.
    Garbled,
}

impl Fault {
    /// Whether the command certainly did nothing.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::NoCommand)
    }

    /// Whether the reason is a right that is lacking.
    pub(crate) fn is_privilege(&self) -> bool {
        matches!(self, Self::Refused(code) if code == "NOPERM")
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Refused(code) => {
                let kind = match code.as_str() {
                    "NOPERM" => TroubleKind::Privilege,
                    "WRONGPASS" | "NOAUTH" => TroubleKind::ManagerRefused,
                    "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" => TroubleKind::Throttled,
                    "DENIED" => TroubleKind::Settings,
                    _ => TroubleKind::Protocol,
                };
                Self::new(kind).code(code)
            }
            Fault::NoCommand => TroubleKind::Unsupported.into(),
            Fault::Cut => TroubleKind::Interrupted.into(),
            Fault::Late => TroubleKind::TimedOut.into(),
            Fault::Garbled => TroubleKind::Protocol.into(),
        }
    }
}

/// A reply that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status or a string.
    Text(Vec<u8>),
    /// A number.
    Number(i64),
    /// Nothing.
    Nil,
    /// Several.
    List(Vec<Reply>),
}

impl Reply {
    /// Its text, where it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Its elements, where it is a list.
    pub(crate) fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

/// One connection.
pub(crate) struct Wire(BufReader<Box<dyn Stream>>);

impl Wire {
    pub(crate) fn new(stream: Box<dyn Stream>) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends one command and reads its reply.
    pub(crate) async fn ask<A: AsRef<[u8]> + Sync>(&mut self, args: &[A]) -> Result<Reply, Fault> {
        let command = encode(args);
        let asked = async {
            let stream = self.0.get_mut();
            stream.write_all(&command).await.map_err(|_| Fault::Cut)?;
            stream.flush().await.map_err(|_| Fault::Cut)?;
            let mut left = REPLY_MAX;
            read(&mut self.0, &mut left, 0).await?
        };
        match tokio::time::timeout(COMMAND_MAX, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(Fault::Late),
        }
    }
}

/// A command's bytes, wiped after use: it may hold a password. The room is taken at once, so that
/// no shorter copy is left behind.
fn encode<A: AsRef<[u8]>>(args: &[A]) -> Zeroizing<Vec<u8>> {
    let room = args
        .iter()
        .map(|arg| arg.as_ref().len() + 32)
        .sum::<usize>()
        + 32;
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    out.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

type Parsed = Result<Result<Reply, Fault>, Fault>;

/// Reads one reply. The outer error ends the connection, the inner one is the server's answer.
async fn read(stream: &mut BufReader<Box<dyn Stream>>, left: &mut u64, depth: u8) -> Parsed {
    let line = line(stream, left).await?;
    let (kind, rest) = line.split_first().ok_or(Fault::Garbled)?;
    match kind {
        b'+' => Ok(Ok(Reply::Text(rest.to_vec()))),
        b'-' => Ok(Err(refusal(rest))),
        b':' => Ok(Ok(Reply::Number(number(rest)?))),
        b'$' => match number(rest)? {
            -1 => Ok(Ok(Reply::Nil)),
            length => bulk(stream, left, length).await.map(Ok),
        },
        b'*' => match number(rest)? {
            -1 => Ok(Ok(Reply::Nil)),
            count => Box::pin(list(stream, left, count, depth)).await.map(Ok),
        },
        _ => Err(Fault::Garbled),
    }
}

async fn list(
    stream: &mut BufReader<Box<dyn Stream>>,
    left: &mut u64,
    count: i64,
    depth: u8,
) -> Result<Reply, Fault> {
    let count = usize::try_from(count).map_err(|_| Fault::Garbled)?;
    if count > ELEMENTS_MAX || depth >= DEPTH_MAX {
        return Err(Fault::Garbled);
    }
    let mut out = Vec::new();
    for _ in 0..count {
        // An error inside a list is no answer to any of our commands.
        let element = read(stream, left, depth + 1).await?;
        out.push(element.map_err(|_| Fault::Garbled)?);
    }
    Ok(Reply::List(out))
}

async fn bulk(
    stream: &mut BufReader<Box<dyn Stream>>,
    left: &mut u64,
    length: i64,
) -> Result<Reply, Fault> {
    let whole = u64::try_from(length).map_err(|_| Fault::Garbled)? + 2;
    *left = left.checked_sub(whole).ok_or(Fault::Garbled)?;
    let mut out = Vec::new();
    let read = stream.take(whole).read_to_end(&mut out).await;
    if read.is_err() || out.len() as u64 != whole {
        return Err(Fault::Cut);
    }
    if !out.ends_with(b"\r\n") {
        return Err(Fault::Garbled);
    }
    out.truncate(out.len() - 2);
    Ok(Reply::Text(out))
}

async fn line(stream: &mut BufReader<Box<dyn Stream>>, left: &mut u64) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let read = stream
        .take(LINE_MAX as u64)
        .read_until(b'\n', &mut out)
        .await;
    if read.is_err() {
        return Err(Fault::Cut);
    }
    *left = left.checked_sub(out.len() as u64).ok_or(Fault::Garbled)?;
    if !out.ends_with(b"\r\n") {
        let full = out.len() >= LINE_MAX || out.ends_with(b"\n");
        return Err(if full { Fault::Garbled } else { Fault::Cut });
    }
    out.truncate(out.len() - 2);
    Ok(out)
}

fn number(text: &[u8]) -> Result<i64, Fault> {
    std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(Fault::Garbled)
}

/// Only the first word is kept: the rest may repeat what was sent.
fn refusal(text: &[u8]) -> Fault {
    if text.starts_with(b"ERR unknown command") || text.starts_with(b"ERR unknown subcommand") {
        return Fault::NoCommand;
    }
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    Fault::Refused(String::from_utf8_lossy(&word[..word.len().min(32)]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer(bytes: &[u8]) -> Result<Reply, Fault> {
        let (ours, mut theirs) = tokio::io::duplex(2 * LINE_MAX);
        theirs.write_all(bytes).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut wire = Wire::new(Box::new(ours));
        let asked = wire.ask(&["PING"]).await;
        drop(theirs);
        asked
    }

    #[tokio::test]
    async fn replies_are_read() {
        let text = |text: &str| Reply::Text(text.into());
        assert_eq!(answer(b"+OK\r\n").await, Ok(text("OK")));
        assert_eq!(answer(b":-7\r\n").await, Ok(Reply::Number(-7)));
        assert_eq!(answer(b"$-1\r\n").await, Ok(Reply::Nil));
        assert_eq!(answer(b"$4\r\na\r\nb\r\n").await, Ok(text("a\r\nb")));
        let list = Reply::List(vec![text("a"), Reply::List(vec![])]);
        assert_eq!(answer(b"*2\r\n$1\r\na\r\n*0\r\n").await, Ok(list));
        let refused = answer(b"-NOPERM who 'x' secret\r\n").await;
        assert_eq!(refused, Err(Fault::Refused("NOPERM".into())));
        let unknown = answer(b"-ERR unknown command 'ACL', with args\r\n").await;
        assert_eq!(unknown, Err(Fault::NoCommand));
    }

    #[tokio::test]
    async fn broken_and_hostile_replies_end_the_call() {
        let deep = b"*1\r\n".repeat(50);
        let long = vec![b'+'; LINE_MAX + 1];
        for (bytes, expect) in [
            (&b""[..], Fault::Cut),
            (b"+OK", Fault::Cut),
            (b"$10\r\nabc", Fault::Cut),
            (b"!\r\n", Fault::Garbled),
            (b":x\r\n", Fault::Garbled),
            (b"$-5\r\n", Fault::Garbled),
            (b"$9000000000000\r\n", Fault::Garbled),
            (b"*9000000000\r\n", Fault::Garbled),
            (b"*1\r\n-ERR x\r\n", Fault::Garbled),
            (b"$1\r\nabc", Fault::Garbled),
            (&deep, Fault::Garbled),
            (&long, Fault::Garbled),
        ] {
            assert_eq!(answer(bytes).await, Err(expect));
        }
    }

    #[test]
    fn arguments_go_with_their_length() {
        let sent = encode(&[&b"AUTH"[..], b"a\r\nb"]);
        assert_eq!(&sent[..], b"*2\r\n$4\r\nAUTH\r\n$4\r\na\r\nb\r\n");
    }
}
