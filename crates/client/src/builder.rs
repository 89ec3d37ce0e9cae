//! Building a client.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::client::{Client, Inner};
use crate::exchange::{Exchange, Observer};
use crate::retry::{RetryPolicy, Sleeper, TokioSleeper};

const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Collects what a [`Client`] needs.
#[must_use]
pub struct ClientBuilder {
    base_url: String,
    token: Option<String>,
    tenant: Option<String>,
    partner: Option<String>,
    timeout: Duration,
    ca_file: Option<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    user_agent: String,
    retry: RetryPolicy,
    sleeper: Arc<dyn Sleeper>,
    observer: Option<Arc<Observer>>,
}

/// Why no client was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The base URL is no URL.
    #[error("the server URL '{url}' is not a URL")]
    Url {
        /// As given.
        url: String,
    },
    /// The base URL is of a kind that is not allowed. It is not repeated: it may hold a password.
    #[error("the server URL must be http:// or https://, without user, query or fragment")]
    UrlKind,
    /// The text cannot be a header. It is not repeated.
    #[error("the {what} holds characters that cannot be sent")]
    Header {
        /// `token`, `tenant id` or `partner id`.
        what: &'static str,
    },
    /// The file of extra certificate authorities.
    #[error("cannot read the CA file '{}'", path.display())]
    CaRead {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds no usable certificate.
    #[error("the CA file '{}' holds no PEM certificate", path.display())]
    CaContent {
        /// Which.
        path: PathBuf,
    },
    /// The client certificate or its key.
    #[error("cannot read '{}' of the client certificate", path.display())]
    ClientRead {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// They are not what they should be. Nothing of them is repeated.
    #[error(
        "'{}' and '{}' are not a client certificate and its unencrypted key, both PEM",
        certificate.display(), key.display()
    )]
    ClientContent {
        /// The certificate.
        certificate: PathBuf,
        /// Its key.
        key: PathBuf,
    },
    /// A client certificate is shown over TLS alone.
    #[error("a client certificate needs an https:// URL")]
    ClientInTheClear,
    /// TLS could not be set up.
    #[error("cannot set up TLS")]
    Tls(#[source] reqwest::Error),
}

impl ClientBuilder {
    pub(crate) fn new(base_url: &str) -> Self {
        Self {
            base_url: base_url.to_owned(),
            token: None,
            tenant: None,
            partner: None,
            timeout: TIMEOUT,
            ca_file: None,
            client_certificate: None,
            user_agent: concat!("scaivault-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            sleeper: Arc::new(TokioSleeper),
            observer: None,
        }
    }

    /// The bearer token. Without one, and without a client certificate, only health and version
    /// answer.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Acts in this tenant (`X-Tenant-ID`); needs partner-admin rights.
    pub fn tenant(mut self, tenant_id: impl Into<String>) -> Self {
        self.tenant = Some(tenant_id.into());
        self
    }

    /// The partner the tenant belongs to (`X-Partner-ID`).
    pub fn partner(mut self, partner_id: impl Into<String>) -> Self {
        self.partner = Some(partner_id.into());
        self
    }

    /// Time for one attempt, from connecting to the last byte. Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// PEM file of certificate authorities to trust besides the system's.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// PEM files of the certificate to show (what it was issued by may follow it) and of its key. A
    /// server that has a rule for it needs no token.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Name of the program, as the audit trail shows it.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// How to retry.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How to wait between attempts.
    pub fn sleeper(mut self, sleeper: Arc<dyn Sleeper>) -> Self {
        self.sleeper = sleeper;
        self
    }

    /// Called after every attempt. What it is told holds neither headers nor bodies.
    pub fn observer(mut self, observer: impl Fn(&Exchange<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// The client. Reads the files of certificates; opens no connection.
    ///
    /// # Errors
    /// [`BuildError`] names the setting at fault.
    pub fn build(self) -> Result<Client, BuildError> {
        let base = base_url(&self.base_url)?;
        let http = self.http(&base)?;
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        Ok(Client::new(Inner {
            http,
            base,
            authorization: header("token", bearer.as_deref())?,
            tenant: header("tenant id", self.tenant.as_deref())?,
            partner: header("partner id", self.partner.as_deref())?,
            retry: self.retry,
            sleeper: self.sleeper,
            observer: self.observer,
        }))
    }

    fn http(&self, base: &Url) -> Result<reqwest::Client, BuildError> {
        let mut http = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .timeout(self.timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            // A redirect could carry the token elsewhere, and this API has none.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if is_loopback(base) {
            http = http.no_proxy();
        }
        if let Some((certificate, key)) = &self.client_certificate {
            if base.scheme() == "http" {
                return Err(BuildError::ClientInTheClear);
            }
            http = http.identity(identity(certificate, key)?);
        }
        if base.scheme() == "http" {
            // No TLS will be spoken: a machine without system certificates is fine.
            http = http.tls_certs_only(std::iter::empty());
        } else if let Some(path) = &self.ca_file {
            http = http.tls_certs_merge(ca_certificates(path)?);
        }
        http.build().map_err(BuildError::Tls)
    }
}

impl std::fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The base URL is not checked yet and may hold a password.
        f.debug_struct("ClientBuilder")
            .field("has_token", &self.token.is_some())
            .field("tenant", &self.tenant)
            .field("timeout", &self.timeout)
            .field("ca_file", &self.ca_file)
            .field("client_certificate", &self.client_certificate)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

/// The base without a trailing slash; a path in it (a server behind a prefix) is kept.
fn base_url(text: &str) -> Result<Url, BuildError> {
    let mut url = Url::parse(text.trim()).map_err(|_| {
        if text.contains('@') {
            BuildError::UrlKind
        } else {
            BuildError::Url {
                url: text.to_owned(),
            }
        }
    })?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(BuildError::UrlKind);
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A proxy of the environment cannot reach this machine's own loopback.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn header(what: &'static str, value: Option<&str>) -> Result<Option<HeaderValue>, BuildError> {
    let Some(value) = value else { return Ok(None) };
    let mut value = HeaderValue::from_str(value).map_err(|_| BuildError::Header { what })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn ca_certificates(path: &PathBuf) -> Result<Vec<reqwest::Certificate>, BuildError> {
    let pem = std::fs::read(path).map_err(|source| BuildError::CaRead {
        path: path.clone(),
        source,
    })?;
    match reqwest::Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(BuildError::CaContent { path: path.clone() }),
    }
}

fn identity(certificate: &Path, key: &Path) -> Result<reqwest::Identity, BuildError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| BuildError::ClientRead {
            path: path.to_owned(),
            source,
        })
    };
    let mut pem = read(key)?;
    pem.push(b'\n');
    pem.extend(read(certificate)?);
    reqwest::Identity::from_pem(&pem).map_err(|_| BuildError::ClientContent {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_is_checked() {
        let base = |text| base_url(text).map(String::from).ok();
        assert_eq!(
            base("http://127.0.0.1:8200").as_deref(),
            Some("http://127.0.0.1:8200/")
        );
        assert_eq!(
            base("https://h/vault//").as_deref(),
            Some("https://h/vault")
        );
        for bad in [
            "",
            "h:8200/x",
            "ftp://h",
            "https://u:p@h",
            "https://h?x",
            "https://h#x",
        ] {
            assert_eq!(base(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_not_repeated() {
        for url in [
            "https://user:hunter2@h",
            "user:hunter2@h",
            "https://user:hunter2@",
        ] {
            let error = Client::builder(url).build().expect_err("refused");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn loopback_is_reached_without_a_proxy() {
        let check = |url: &str, expect| {
            assert_eq!(is_loopback(&Url::parse(url).expect("url")), expect, "{url}");
        };
        check("http://127.0.0.1:8200", true);
        check("http://localhost", true);
        check("http://[::1]:1", true);
        check("https://vault.example", false);
        check("https://127.0.0.1.example", false);
    }

    #[test]
    fn bad_settings_are_named_and_not_repeated() {
        let error = Client::builder("http://h")
            .token("skt_a\nb")
            .build()
            .expect_err("refused");
        assert_eq!(
            error.to_string(),
            "the token holds characters that cannot be sent"
        );
        let file = std::env::temp_dir().join("scaivault-no-such-ca.pem");
        let error = Client::builder("https://h")
            .ca_file(&file)
            .build()
            .expect_err("refused");
        assert!(matches!(error, BuildError::CaRead { .. }));
        let with_certificate = |url| {
            let client = Client::builder(url).client_certificate(&file, &file);
            client.build().expect_err("refused")
        };
        let error = with_certificate("https://h");
        assert!(matches!(error, BuildError::ClientRead { .. }), "{error}");
        let error = with_certificate("http://h");
        assert_eq!(
            error.to_string(),
            "a client certificate needs an https:// URL"
        );
    }

    #[test]
    fn debug_shows_no_token() {
        let builder = Client::builder("http://h").token("skt_hidden");
        assert!(!format!("{builder:?}").contains("skt_hidden"));
        let client = builder.build().expect("client");
        assert!(!format!("{client:?}").contains("skt_hidden"));
    }
}
