//! Requests no well-behaved client sends: the bytes as given, the answer parsed by hand. (URL
//! libraries fold `..` and `//` away before anything is sent.)

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Reply;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends `request` as it is and reads one answer. The server may answer, and close, before it
/// has read everything.
#[track_caller]
pub(crate) fn exchange(url: &str, request: Vec<u8>) -> impl Future<Output = Reply> {
    let caller = std::panic::Location::caller();
    let address = url.trim_start_matches("http://").to_owned();
    let first_line = request
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let what = String::from_utf8_lossy(first_line)
        .chars()
        .take(120)
        .collect::<String>();
    async move {
        let stream = TcpStream::connect(&address)
            .await
            .expect("the server listens");
        let (mut read, mut write) = stream.into_split();
        let sending = tokio::spawn(async move {
            // A refusal may come before the end of a long body; then writing fails, rightly.
            let _ = write.write_all(&request).await;
            write
        });
        let mut bytes = Vec::new();
        let answer = tokio::time::timeout(PATIENCE, async {
            let mut buffer = [0; 4096];
            loop {
                if let Some(reply) = parse(&what, &bytes) {
                    return reply;
                }
                match read.read(&mut buffer).await {
                    Ok(0) | Err(_) => panic!("{caller}: {what}: the connection closed unanswered"),
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                }
            }
        })
        .await;
        sending.abort();
        answer.unwrap_or_else(|_| panic!("{caller}: {what}: no answer within {PATIENCE:?}"))
    }
}

/// A request with the given target, exactly, and a JSON body.
pub(crate) fn request(
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        ));
    }
    head.push_str("\r\n");
    [head.as_bytes(), body].concat()
}

/// The answer, once it is complete.
fn parse(what: &str, bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("headers are text");
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok());
    let status = status.unwrap_or_else(|| panic!("{what}: not HTTP: {status_line:?}"));
    let headers: HeaderMap = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            (
                name,
                HeaderValue::from_str(value.trim()).expect("a header value"),
            )
        })
        .collect();
    let body = &bytes[end + 4..];
    let text = if let Some(length) = headers.get("content-length") {
        let length: usize = length.to_str().ok()?.parse().ok()?;
        body.get(..length)?.to_vec()
    } else if headers.get("transfer-encoding").is_some() {
        unchunk(body)?
    } else {
        Vec::new()
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    Some(Reply::new(what.to_owned(), status, headers, text))
}

/// A complete chunked body; `None` while parts are missing.
fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&body[..line]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let chunk = body.get(line + 2..line + 2 + size)?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(chunk);
        body = body.get(line + 2 + size + 2..)?;
    }
}
