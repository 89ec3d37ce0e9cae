//! Rows posted to a collector's HTTP endpoint, many at a time. A batch counts when it was answered
//! with a 2xx: nothing has to be guessed from the connection.

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{HeaderMap as Headers, Method};
use std::path::PathBuf;

use crate::egress::OperatorHttp;

/// A batch is posted when it has so many bytes.
const BATCH_BYTES: usize = 512 << 10;
/// And so many rows.
const BATCH_ROWS: usize = 1_000;
/// What a collector answers is not used.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where to, and as whom.
pub(crate) struct Post {
    pub(crate) http: OperatorHttp,
    pub(crate) url: String,
    /// The header's name and the file with its value, read for each batch so that it may change.
    pub(crate) header: Option<(HeaderName, PathBuf)>,
}

/// Rows that are not posted yet.
#[derive(Default)]
pub(super) struct Batch {
    body: Vec<u8>,
    rows: usize,
}

impl Batch {
    /// One row more; whether it is time to post.
    pub(super) fn push(&mut self, framed: &[u8]) -> bool {
        self.body.extend_from_slice(framed);
        self.rows += 1;
        self.rows >= BATCH_ROWS || self.body.len() >= BATCH_BYTES
    }

    /// Posts what there is.
    pub(super) async fn post(&mut self, to: &Post) -> std::io::Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let headers = to.headers()?;
        let body = self.body.clone();
        let sent = to
            .http
            .send(Method::POST, &to.url, headers, body, ANSWER_BYTES_MAX);
        let answer = sent.await.map_err(std::io::Error::other)?;
        if !(200..300).contains(&answer.status) {
            let why = format!("it answered with the status {}", answer.status);
            return Err(std::io::Error::other(why));
        }
        *self = Self::default();
        Ok(())
    }
}

impl Post {
    fn headers(&self) -> std::io::Result<Headers> {
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-ndjson"),
        );
        if let Some((name, file)) = &self.header {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|error| {
                let why = format!("cannot read the header's file {}: {error}", file.display());
                std::io::Error::new(error.kind(), why)
            })?;
            let value = HeaderValue::from_str(text.trim_end_matches(['\r', '\n']));
            let mut value = value.map_err(|_| {
                let why = format!("{} holds no value of a header", file.display());
                std::io::Error::other(why)
            })?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        Ok(headers)
    }
}
