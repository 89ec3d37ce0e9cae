//! HTTP/1.1 by hand, as little of it as a load generator needs: requests are bytes made
//! beforehand, of an answer only the status and the length are looked at.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls;

/// Where a server listens, and whether it speaks TLS there.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsConnector>,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> Vec<u8> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         user-agent: scaivault-bench\r\n"
    );
    if !body.is_empty() {
        let length = body.len();
        text.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {length}\r\n"
        ));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(into).await,
            Self::Tls(stream) => stream.read(into).await,
        }
    }
}

/// One connection that is kept open.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
}

/// What came back; lives in the connection's buffer.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl Connection {
    pub(crate) async fn open(to: &Endpoint) -> Result<Self> {
        let stream = TcpStream::connect(to.address).await?;
        stream.set_nodelay(true)?;
        let stream = match &to.tls {
            None => Stream::Plain(stream),
            Some(connector) => {
                let name = tls::server_name()?;
                Stream::Tls(Box::new(connector.connect(name, stream).await?))
            }
        };
        Ok(Self {
            stream,
            buffer: vec![0; 16 * 1_024],
        })
    }

    /// Sends a request and reads its answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the server closed the connection");
            }
            filled += read;
            if let Some(head) = Head::of(&self.buffer[..filled])?
                && filled >= head.length + head.body
            {
                let body = &self.buffer[head.length..head.length + head.body];
                return Ok(Answer {
                    status: head.status,
                    body,
                });
            }
        }
    }

    /// The same, where only success will do.
    pub(crate) async fn ask_well(&mut self, request: &[u8]) -> Result<&[u8]> {
        let answer = self.ask(request).await?;
        if !(200..300).contains(&answer.status) {
            bail!(
                "answer {}: {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            );
        }
        Ok(answer.body)
    }
}

struct Head {
    status: u16,
    length: usize,
    body: usize,
}

impl Head {
    /// `None` while it is not complete.
    fn of(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = &bytes[..end];
        let status = number(head.get(9..).unwrap_or_default());
        // One server writes it small, another with capitals.
        let names: [&[u8]; 2] = [b"\r\ncontent-length: ", b"\r\nContent-Length: "];
        let found = names
            .iter()
            .find_map(|name| Some(memmem::find(head, name)? + name.len()));
        let body = match found {
            Some(at) => number(&head[at..]),
            // "No content" says it by its status.
            None if status == 204 => 0,
            None => bail!("an answer without content-length"),
        };
        Ok(Some(Self {
            status: u16::try_from(status)?,
            length: end + 4,
            body,
        }))
    }
}

/// The digits at the start.
fn number(bytes: &[u8]) -> usize {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
