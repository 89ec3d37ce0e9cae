//! Exports of the trail in a bucket of S3, or of a service that speaks its API. Signatures are
//! rusty-s3's, in the query of a URL that is never printed; what goes out goes through the guarded
//! way.
//!
//! An object is written by one request, so it is there whole or not at all, and is then looked at:
//! its length and SHA-256, as the service says them or as they are when it is read back.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rusty_s3::actions::ListObjectsV2;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use scaivault_core::ids::ExportId;
use scaivault_core::ports::{Clock, ExportSink};
use sha2::{Digest as _, Sha256};

use super::s3_error::meaning;
use crate::config::S3Section;
use crate::egress::{EgressPolicy, OperatorHttp};

/// A signature is good for so long.
const SIGNED_FOR: Duration = Duration::from_secs(600);
/// Of a list, or a refusal.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Of one object that is read back.
const OBJECT_BYTES_MAX: usize = 1 << 30;
/// One request takes no more.
pub(crate) const PUT_BYTES_MAX: usize = 5 << 30;
const CHECKSUM: &str = "x-amz-checksum-sha256";

/// A bucket.
pub(crate) struct S3 {
    section: S3Section,
    bucket: Bucket,
    http: OperatorHttp,
    clock: Arc<dyn Clock>,
}

/// An object as its name, length and SHA-256.
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// The answer to a request, of which some are refusals.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl S3 {
    /// Reads no key and asks nobody.
    ///
    /// # Errors
    /// When the names do not make an address, or the certificates cannot be used.
    pub(crate) fn new(
        section: S3Section,
        egress: EgressPolicy,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let style = match section.path_style {
            true => UrlStyle::Path,
            false => UrlStyle::VirtualHost,
        };
        let (endpoint, name) = (section.endpoint.clone(), section.bucket.clone());
        let bucket = Bucket::new(endpoint, style, name, section.region.clone())
            .map_err(|_| anyhow!("audit.s3_endpoint and s3_bucket do not make an address"))?;
        let ca = match &section.ca_file {
            Some(file) => Some(std::fs::read(file).with_context(|| named(file))?),
            None => None,
        };
        let http = OperatorHttp::new(egress, ca.as_deref())
            .context("audit.s3_ca_file holds no certificate in PEM, or this machine trusts none")?;
        Ok(Self {
            section,
            bucket,
            http,
            clock,
        })
    }

    /// Where it is, for people.
    pub(crate) fn shown(&self) -> String {
        format!("s3://{}/{}", self.section.bucket, self.section.prefix)
    }

    /// Whether the bucket can be listed with these keys.
    ///
    /// # Errors
    /// What to do about it.
    pub(crate) async fn check(&self) -> Result<()> {
        self.list("", Some(1)).await.map(|_| ())
    }

    /// Writes an object whole, and looks whether it is what was sent.
    ///
    /// # Errors
    /// What to do about it.
    pub(crate) async fn put(&self, name: &str, bytes: Vec<u8>) -> Result<()> {
        if bytes.len() > PUT_BYTES_MAX {
            bail!("{name} is larger than one request may be: export fewer rows to a file");
        }
        let object = Object::of(name, &bytes);
        let credentials = self.credentials()?;
        let key = self.key(name);
        let mut action = self.bucket.put_object(Some(&credentials), &key);
        let mut headers = vec![
            (CHECKSUM, STANDARD.encode(object.sha256)),
            // Without this one an object with a lock is refused.
            ("x-amz-sdk-checksum-algorithm", "SHA256".to_owned()),
        ];
        if let Some(encryption) = self.section.encryption {
            headers.push(("x-amz-server-side-encryption", encryption.to_owned()));
        }
        if let Some(key) = &self.section.kms_key_id {
            let name = "x-amz-server-side-encryption-aws-kms-key-id";
            headers.push((name, key.clone()));
        }
        if let Some((mode, lock_for)) = self.section.lock {
            let until = self.clock.now().plus(lock_for).to_rfc3339();
            headers.push(("x-amz-object-lock-mode", mode.to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", until));
        }
        for (name, value) in &headers {
            action.headers_mut().insert(*name, value.as_str());
        }
        let answer = self.ask(Method::PUT, &action, &headers, bytes, ANSWER_BYTES_MAX);
        self.granted(answer.await?)?;
        match self.has(&object).await? {
            true => Ok(()),
            false => bail!("{}{name} is not what was sent to it", self.shown()),
        }
    }

    /// Whether an object is there and the same.
    ///
    /// # Errors
    /// What to do about it.
    pub(crate) async fn has(&self, object: &Object) -> Result<bool> {
        let credentials = self.credentials()?;
        let key = self.key(&object.name);
        let mut action = self.bucket.head_object(Some(&credentials), &key);
        let headers = [("x-amz-checksum-mode", "ENABLED".to_owned())];
        action.headers_mut().insert(headers[0].0, "ENABLED");
        let asked = self.ask(
            Method::HEAD,
            &action,
            &headers,
            Vec::new(),
            ANSWER_BYTES_MAX,
        );
        let answer = asked.await?;
        if answer.status == 404 {
            return Ok(false);
        }
        let answer = self.granted(answer)?;
        let header = |name: &str| answer.headers.get(name)?.to_str().ok();
        let length = header("content-length").and_then(|text| text.parse::<u64>().ok());
        if length.is_some_and(|length| length != object.bytes) {
            return Ok(false);
        }
        match header(CHECKSUM) {
            Some(sum) => Ok(sum == STANDARD.encode(object.sha256)),
            // A service that keeps no checksums: as it is.
            None => {
                let stored = self.get(&object.name).await?;
                Ok(stored.is_some_and(|stored| sha256(&stored) == object.sha256))
            }
        }
    }

    /// An object's bytes; `None` when it is not there.
    ///
    /// # Errors
    /// What to do about it.
    pub(crate) async fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let credentials = self.credentials()?;
        let key = self.key(name);
        let action = self.bucket.get_object(Some(&credentials), &key);
        let answer = self.ask(Method::GET, &action, &[], Vec::new(), OBJECT_BYTES_MAX);
        let answer = answer.await?;
        if answer.status == 404 && !String::from_utf8_lossy(&answer.body).contains("NoSuchBucket") {
            return Ok(None);
        }
        Ok(Some(self.granted(answer)?.body))
    }

    /// Removes all objects whose names begin so.
    ///
    /// # Errors
    /// What to do about it.
    pub(crate) async fn remove_all(&self, prefix: &str) -> Result<()> {
        let mut removed = HashSet::new();
        loop {
            let found = self.list(prefix, None).await?;
            if found.is_empty() {
                return Ok(());
            }
            for key in found {
                if !removed.insert(key.clone()) {
                    bail!("{}{key} is still there after it was removed", self.shown());
                }
                let credentials = self.credentials()?;
                let action = self.bucket.delete_object(Some(&credentials), &key);
                let asked = self.ask(Method::DELETE, &action, &[], Vec::new(), ANSWER_BYTES_MAX);
                self.granted(asked.await?)?;
            }
        }
    }

    /// The keys below a prefix: the first thousand.
    async fn list(&self, prefix: &str, max: Option<usize>) -> Result<Vec<String>> {
        let credentials = self.credentials()?;
        let mut action = self.bucket.list_objects_v2(Some(&credentials));
        action.with_prefix(self.key(prefix));
        if let Some(max) = max {
            action.with_max_keys(max);
        }
        let asked = self.ask(Method::GET, &action, &[], Vec::new(), ANSWER_BYTES_MAX);
        let answer = self.granted(asked.await?)?;
        let text = String::from_utf8(answer.body).context("the list of the bucket is no text")?;
        let list = ListObjectsV2::parse_response(&text)
            .map_err(|_| anyhow!("the answer is no list of a bucket: is this an S3 endpoint?"))?;
        let keys = list.contents.into_iter().map(|object| object.key);
        // Whatever it answers, nothing else is touched.
        let own = self.key(prefix);
        Ok(keys.filter(|key| key.starts_with(&own)).collect())
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.section.prefix)
    }

    /// As they are now.
    fn credentials(&self) -> Result<Credentials> {
        let read = |file: &Path| -> Result<String> {
            let text = std::fs::read_to_string(file).with_context(|| named(file))?;
            let text = text.trim();
            if text.is_empty() || !text.bytes().all(|c| c.is_ascii_graphic()) {
                bail!("{} holds no key: one line, printable", file.display());
            }
            Ok(text.to_owned())
        };
        let key = read(&self.section.access_key_file)?;
        let secret = read(&self.section.secret_key_file)?;
        Ok(match &self.section.session_token_file {
            Some(file) => Credentials::new_with_token(key, secret, read(file)?),
            None => Credentials::new(key, secret),
        })
    }

    async fn ask<'a>(
        &self,
        method: Method,
        action: &impl S3Action<'a>,
        signed: &[(&'static str, String)],
        body: Vec<u8>,
        answer_bytes_max: usize,
    ) -> Result<Answered> {
        let now = jiff::Timestamp::from_microsecond(self.clock.now().as_micros())
            .context("this machine's clock tells no time of this age")?;
        let url = action.sign_with_time(SIGNED_FOR, &now);
        let mut headers = HeaderMap::new();
        for (name, value) in signed {
            let value = HeaderValue::from_str(value).context("a header of audit.s3_… is none")?;
            headers.insert(HeaderName::from_static(name), value);
        }
        let sent = self
            .http
            .send(method, url.as_str(), headers, body, answer_bytes_max);
        let answer = sent.await?;
        Ok(Answered {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        })
    }

    fn granted(&self, answer: Answered) -> Result<Answered> {
        match answer.status {
            200..300 => Ok(answer),
            status => bail!("{}", meaning(status, &answer.body, &self.section.bucket)),
        }
    }
}

impl Object {
    /// Of these bytes.
    pub(crate) fn of(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
        }
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn named(file: &Path) -> String {
    format!("cannot read {}", file.display())
}

#[async_trait]
impl ExportSink for S3 {
    async fn put(&self, export: &ExportId, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let name = format!("{export}/{name}");
        Self::put(self, &name, bytes)
            .await
            .map_err(|error| format!("{error:#}"))
    }

    async fn discard(&self, export: &ExportId) -> Result<(), String> {
        let prefix = format!("{export}/");
        self.remove_all(&prefix)
            .await
            .map_err(|error| format!("{error:#}"))
    }
}
