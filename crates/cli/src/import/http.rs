//! Requests to a server that speaks HashiCorp Vault's API: bounded, repeated where that is harmless,
//! and never told about with their bodies.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::trouble::Trouble;
use crate::exit::CliError;
use crate::output::note;

/// More than any answer: a list of some million names.
const BODY_BYTES_MAX: usize = 128 * 1024 * 1024;
const TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Sends of one request where the server is in trouble.
const ATTEMPTS_MAX: u32 = 6;
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// How long one request waits in all to be let in by a rate limit.
const LIMITED_MAX: Duration = Duration::from_secs(15 * 60);
/// Errors of one answer that are told.
const ERRORS_MAX: usize = 50;

/// What a path segment may have as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");

/// How a server is reached.
pub(crate) struct Settings<'a> {
    /// What it is called in messages: `source` or `target`.
    pub(crate) name: &'static str,
    pub(crate) url: &'a str,
    pub(crate) token: Option<&'a str>,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) ca_file: Option<&'a Path>,
    /// A certificate and its key.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) user_agent: &'static str,
    pub(crate) debug: bool,
}

/// A server.
pub(crate) struct Http {
    name: &'static str,
    client: reqwest::Client,
    base: Url,
    headers: HeaderMap,
    debug: bool,
}

/// What is repeated after trouble whose outcome is not known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// A second time changes nothing.
    Harmless,
    /// A second time would act again.
    Harmful,
}

/// A good answer. Its body may hold values: no `Debug`, and erased when it is dropped.
pub(crate) struct Answer {
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The body, which borrows from it what can be borrowed.
    pub(crate) fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Trouble> {
        // What serde says may repeat what it read.
        serde_json::from_slice(&self.body).map_err(|_| Trouble::Unclear("the answer".to_owned()))
    }
}

/// The errors of a refusal, as that API has them.
#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Http {
    /// Reads the files of certificates; opens no connection.
    pub(crate) fn new(settings: Settings<'_>) -> Result<Self, CliError> {
        let name = settings.name;
        let base = base_url(name, settings.url)?;
        let mut client = reqwest::Client::builder()
            .user_agent(settings.user_agent)
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry the token elsewhere.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if is_loopback(&base) {
            client = client.no_proxy();
        }
        let is_plain = base.scheme() == "http";
        if let Some((certificate, key)) = &settings.certificate {
            if is_plain {
                return Err(input(name, "a client certificate needs an https:// URL"));
            }
            client = client.identity(identity(name, certificate, key)?);
        }
        if is_plain {
            client = client.tls_certs_only(std::iter::empty());
        } else if let Some(path) = settings.ca_file {
            client = client.tls_certs_merge(authorities(name, path)?);
        }
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST, HeaderValue::from_static("true"));
        if let Some(token) = settings.token {
            let value = HeaderValue::from_str(token);
            let mut value =
                value.map_err(|_| input(name, "the token holds characters that cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(TOKEN, value);
        }
        for (header, text) in settings.headers {
            let value = HeaderValue::from_str(&text)
                .map_err(|_| input(name, &format!("{header} cannot be sent as it is")))?;
            headers.insert(HeaderName::from_static(header), value);
        }
        Ok(Self {
            name,
            client: client
                .build()
                .map_err(|_| input(name, "TLS cannot be set up"))?,
            base,
            headers,
            debug: settings.debug,
        })
    }

    /// Where it is, without a slash at its end.
    pub(crate) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Sends a request, again where that may be. `path` is what stands behind `/v1/`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&[u8]>,
        repeat: Repeat,
    ) -> Result<Answer, Trouble> {
        let url = self.target(path, query)?;
        let mut limited = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let error = match self.attempt(&method, &url, body).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let pause = match &error.trouble {
                // A refused request did nothing.
                Trouble::Refused { status: 429, .. } if limited < LIMITED_MAX => {
                    let pause = error.retry_after.unwrap_or(BACKOFF_MIN * 4);
                    limited += pause;
                    pause
                }
                Trouble::Refused { status, .. } if repeats(*status, repeat) => {
                    let usual = backoff(attempt);
                    attempt += 1;
                    error.retry_after.map_or(usual, |wait| wait.max(usual))
                }
                Trouble::Broken(_) if repeat == Repeat::Harmless => {
                    attempt += 1;
                    backoff(attempt - 1)
                }
                _ => return Err(error.trouble),
            };
            if attempt > ATTEMPTS_MAX || pause > LIMITED_MAX {
                return Err(error.trouble);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Answer, Failed> {
        let started = Instant::now();
        let result = self.exchange(method, url, body).await;
        if self.debug {
            let status = match &result {
                Ok(_) => "well".to_owned(),
                Err(Failed { trouble, .. }) => trouble.word(),
            };
            let took = started.elapsed().as_millis();
            note(&format!(
                "debug: {} {method} {url} -> {status} in {took} ms",
                self.name
            ));
        }
        result
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Answer, Failed> {
        let mut request = self
            .client
            .request(method.clone(), url.clone())
            .headers(self.headers.clone());
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_vec());
        }
        let mut response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let mut bytes = Zeroizing::new(Vec::new());
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.broken(&error))?
        {
            if bytes.len() + chunk.len() > BODY_BYTES_MAX {
                let text = format!("an answer of more than {BODY_BYTES_MAX} bytes");
                return Err(Trouble::Unclear(text).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        if (200..300).contains(&status) {
            return Ok(Answer { body: bytes });
        }
        let errors = serde_json::from_slice::<Errors>(&bytes);
        let mut errors = errors.map(|body| body.errors).unwrap_or_default();
        errors.truncate(ERRORS_MAX);
        if (300..400).contains(&status) {
            errors.push("it sends elsewhere: name the active server itself".to_owned());
        }
        Err(Failed {
            trouble: Trouble::Refused { status, errors },
            retry_after,
        })
    }

    fn broken(&self, error: &reqwest::Error) -> Failed {
        // The URL stands in the message of the library, the innermost cause says what happened.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Trouble::Broken(format!(
            "no answer from the {} at {}: {cause}",
            self.name,
            self.url()
        ))
        .into()
    }

    fn target(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, Trouble> {
        // Such segments would be taken for steps up and down, and lead to another path.
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            let errors = vec!["a path with the segment '.' or '..' cannot be asked for".to_owned()];
            return Err(Trouble::Refused {
                status: 400,
                errors,
            });
        }
        let segments = path.split('/');
        let encoded: Vec<String> = segments
            .map(|segment| utf8_percent_encode(segment, SEGMENT).to_string())
            .collect();
        let mut url = self.base.clone();
        let prefix = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{prefix}/v1/{}", encoded.join("/")));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Ok(url)
    }
}

/// An attempt that failed.
struct Failed {
    trouble: Trouble,
    retry_after: Option<Duration>,
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self {
            trouble,
            retry_after: None,
        }
    }
}

/// Whether a server in trouble is asked again. 412 says that a node is behind.
fn repeats(status: u16, repeat: Repeat) -> bool {
    repeat == Repeat::Harmless && matches!(status, 412 | 500 | 502..=504)
}

fn backoff(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX)
}

/// Whole seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

fn input(name: &str, text: &str) -> CliError {
    CliError::Input(format!("the {name}: {text}"))
}

fn base_url(name: &str, text: &str) -> Result<Url, CliError> {
    const WHY: &str = "its URL must be http:// or https://, without user, query or fragment";
    let mut url = Url::parse(text.trim()).map_err(|_| input(name, WHY))?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(input(name, WHY));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path)
        .map_err(|error| input(name, &format!("cannot read '{}': {error}", path.display())))
}

fn authorities(name: &str, path: &Path) -> Result<Vec<reqwest::Certificate>, CliError> {
    match reqwest::Certificate::from_pem_bundle(&read(name, path)?) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(input(
            name,
            &format!("'{}' holds no PEM certificate", path.display()),
        )),
    }
}

fn identity(name: &str, certificate: &Path, key: &Path) -> Result<reqwest::Identity, CliError> {
    let mut pem = Zeroizing::new(read(name, key)?);
    pem.push(b'\n');
    pem.extend(read(name, certificate)?);
    reqwest::Identity::from_pem(&pem).map_err(|_| {
        input(
            name,
            "the client certificate and its unencrypted key must be PEM",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Http {
        let settings = Settings {
            name: "source",
            url,
            token: Some("hvs.hidden"),
            headers: Vec::new(),
            ca_file: None,
            certificate: None,
            user_agent: "test",
            debug: false,
        };
        Http::new(settings).expect("it is well")
    }

    fn target(path: &str) -> Option<String> {
        let url = http("http://127.0.0.1:1/behind/").target(path, &[("list", "true")]);
        url.ok().map(String::from)
    }

    #[test]
    fn paths_are_encoded_segment_by_segment() {
        let check = |path: &str, expect: &str| {
            let expect = format!("http://127.0.0.1:1/behind/v1/{expect}?list=true");
            assert_eq!(target(path), Some(expect), "{path}");
        };
        check("secret/data/a/b", "secret/data/a/b");
        check("secret/metadata/", "secret/metadata/");
        check("secret/data/a b?c#d%2f", "secret/data/a%20b%3Fc%23d%252f");
        check("secret/data/é", "secret/data/%C3%A9");
        check("secret/data/a.b", "secret/data/a.b");
    }

    #[test]
    fn no_path_leads_to_another() {
        for path in ["secret/data/../../sys/x", "secret/data/.", ".."] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    #[test]
    fn urls() {
        for bad in [
            "",
            "h:1",
            "ftp://h",
            "https://u:hunter2@h",
            "https://h?x",
            "https://h#x",
        ] {
            let error = base_url("source", bad).expect_err(bad);
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(http("http://127.0.0.1:1/").url(), "http://127.0.0.1:1");
    }

    #[test]
    fn only_what_is_harmless_is_repeated() {
        for status in [412, 500, 502, 503, 504] {
            assert!(repeats(status, Repeat::Harmless), "{status}");
            assert!(!repeats(status, Repeat::Harmful), "{status}");
        }
        for status in [400, 403, 404, 405, 473] {
            assert!(!repeats(status, Repeat::Harmless), "{status}");
        }
        assert!(backoff(1) < backoff(2));
        assert_eq!(backoff(60), BACKOFF_MAX);
    }
}
