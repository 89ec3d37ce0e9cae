//! `[audit] s3_…`: the bucket that exports of the trail are written to.

use std::path::PathBuf;
use std::time::Duration;

use scaivault_core::time::Span;
use url::Url;

use super::layers::{ConfigError, Section};

/// A bucket. The keys are in files, read at each use.
#[derive(Debug, Clone)]
pub(crate) struct S3Section {
    /// Where the service is.
    pub endpoint: Url,
    /// As signatures name it.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Before the names of all objects; empty, or with a slash at the end.
    pub prefix: String,
    /// The bucket in the path of URLs, not in the host's name.
    pub path_style: bool,
    /// The access key's id.
    pub access_key_file: PathBuf,
    /// The secret access key.
    pub secret_key_file: PathBuf,
    /// The token of temporary keys.
    pub session_token_file: Option<PathBuf>,
    /// Certificates that are believed besides the system's.
    pub ca_file: Option<PathBuf>,
    /// `x-amz-server-side-encryption`.
    pub encryption: Option<&'static str>,
    /// The key of `aws:kms`.
    pub kms_key_id: Option<String>,
    /// `x-amz-object-lock-mode`, and for how long.
    pub lock: Option<(&'static str, Duration)>,
    /// For one object.
    pub timeout: Duration,
}

impl S3Section {
    pub(super) fn read(section: &Section<'_>) -> Result<Option<Self>, ConfigError> {
        // All are read, so that a mistake is told also where no bucket is named yet.
        let bucket = section.optional("s3_bucket", bucket)?;
        let region = section.text("s3_region", word)?;
        let named = section.optional("s3_endpoint", endpoint)?;
        let prefix = section.optional("s3_prefix", prefix)?.unwrap_or_default();
        let path_style = section.flag("s3_path_style")?;
        let access_key_file = section.optional_path("s3_access_key_file")?;
        let secret_key_file = section.optional_path("s3_secret_key_file")?;
        let session_token_file = section.optional_path("s3_session_token_file")?;
        let ca_file = section.optional_path("s3_ca_file")?;
        let encryption = section.optional("s3_encryption", |text| match text {
            "AES256" => Ok("AES256"),
            "aws:kms" => Ok("aws:kms"),
            _ => Err("expected AES256, aws:kms, or \"\" for what the bucket does by itself"),
        })?;
        let kms_key_id = section.optional("s3_kms_key_id", word)?;
        if kms_key_id.is_some() && encryption != Some("aws:kms") {
            return Err(section.refuse("s3_kms_key_id", "is for s3_encryption = \"aws:kms\""));
        }
        let lock = lock(section)?;
        let timeout = section.duration("s3_timeout")?;
        if timeout > Duration::from_secs(240) {
            // A worker has five minutes for a part.
            return Err(section.refuse("s3_timeout", "expected at most 4m"));
        }
        let Some(bucket) = bucket else {
            return Ok(None);
        };
        let endpoint = match named {
            Some(endpoint) => endpoint,
            None => endpoint(&format!("https://s3.{region}.amazonaws.com"))
                .map_err(|_| section.refuse("s3_region", "expected a region such as eu-west-1"))?,
        };
        let needed = |file: Option<PathBuf>, field: &str| {
            let why = "is needed with s3_bucket: the name of the file that holds it";
            file.ok_or_else(|| section.refuse(field, why))
        };
        Ok(Some(Self {
            endpoint,
            region,
            bucket,
            prefix,
            path_style,
            access_key_file: needed(access_key_file, "s3_access_key_file")?,
            secret_key_file: needed(secret_key_file, "s3_secret_key_file")?,
            session_token_file,
            ca_file,
            encryption,
            kms_key_id,
            lock,
            timeout,
        }))
    }
}

fn lock(section: &Section<'_>) -> Result<Option<(&'static str, Duration)>, ConfigError> {
    let mode = section.optional("s3_lock_mode", |text| match text {
        "GOVERNANCE" => Ok("GOVERNANCE"),
        "COMPLIANCE" => Ok("COMPLIANCE"),
        _ => Err("expected GOVERNANCE, COMPLIANCE, or \"\" for none"),
    })?;
    let lock_for = section.optional("s3_lock_for", |text| {
        let span = Span::parse(text).map(|span| span.duration());
        span.map_err(|_| "expected a duration such as 400d")
    })?;
    match (mode, lock_for) {
        (Some(mode), Some(lock_for)) => Ok(Some((mode, lock_for))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(section.refuse("s3_lock_for", "is needed with s3_lock_mode")),
        (None, Some(_)) => Err(section.refuse("s3_lock_mode", "is needed with s3_lock_for")),
    }
}

fn word(text: &str) -> Result<String, &'static str> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b':' | b'/' | b'.');
    match !text.is_empty() && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err("expected letters, digits and - _ : / ."),
    }
}

fn endpoint(text: &str) -> Result<Url, &'static str> {
    const EXPECTED: &str = "expected https://host or https://host:port, without a path";
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(EXPECTED) }
}

fn bucket(text: &str) -> Result<String, &'static str> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'.');
    if (3..=63).contains(&text.len()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("expected a bucket's name: 3 to 63 of a-z, 0-9, - and .")
    }
}

fn prefix(text: &str) -> Result<String, &'static str> {
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/');
    let text = text.trim_end_matches('/');
    let fits = text.bytes().all(plain)
        && text.len() <= 512
        && !text.starts_with('/')
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if fits {
        Ok(format!("{text}/"))
    } else {
        Err("expected names of letters, digits, -, _ and . with / between them")
    }
}
