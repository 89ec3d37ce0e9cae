//! `[server]`: where it listens, as what, and what a request may cost.

use std::net::SocketAddr;
use std::time::Duration;

use scaivault_core::access::Cidr;
use url::Url;

use super::layers::{ConfigError, Expected, Section};
use crate::listener::{ClientFiles, ListenerLimits, TlsFiles};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct ServerSection {
    /// Where to listen.
    pub bind_address: SocketAddr,
    /// Where clients reach us, without a slash at the end; `None` to make it from the address.
    pub base_url: Option<String>,
    /// `None` is plain HTTP.
    pub tls: Option<TlsFiles>,
    /// For a whole request.
    pub request_timeout: Duration,
    /// Larger bodies are refused.
    pub max_body_bytes: usize,
    /// Open connections.
    pub max_connections: usize,
    /// For requests in flight when told to stop.
    pub drain_timeout: Duration,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// Keep memory out of swap, or do not start.
    pub lock_memory: bool,
}

impl ServerSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        Ok(Self {
            bind_address: section.text("bind_address", |text| {
                text.parse()
                    .map_err(|_| "expected address:port, such as 0.0.0.0:8443 or [::]:8443")
            })?,
            base_url: section.optional("base_url", base_url)?,
            tls: tls(section)?,
            request_timeout: section.duration("request_timeout")?,
            max_body_bytes: size(section, "max_body_bytes", 1_024, 64 << 20)?,
            max_connections: size(section, "max_connections", 1, 1 << 20)?,
            drain_timeout: section.duration("drain_timeout")?,
            trusted_proxies: section.ranges("trusted_proxies")?,
            lock_memory: section.flag("lock_memory")?,
        })
    }

    /// Plain HTTP that other hosts can reach: worth a warning at start.
    pub(crate) fn is_exposed_in_clear_text(&self) -> bool {
        self.tls.is_none() && !self.bind_address.ip().is_loopback()
    }

    /// Whether clients are asked for certificates.
    pub(crate) fn asks_clients(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.clients.is_some())
    }

    /// What the listener is to allow.
    pub(crate) fn listener_limits(&self) -> ListenerLimits {
        ListenerLimits {
            connections_max: self.max_connections,
            drain: self.drain_timeout,
            ..ListenerLimits::default()
        }
    }
}

fn base_url(text: &str) -> Result<String, Expected> {
    const EXPECTED: Expected =
        "expected an http:// or https:// URL without user, query and fragment";
    let url = Url::parse(text).map_err(|_| EXPECTED)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(EXPECTED)
    }
}

fn tls(section: &Section<'_>) -> Result<Option<TlsFiles>, ConfigError> {
    let clients = clients(section)?;
    match (
        section.optional_path("tls_cert_file")?,
        section.optional_path("tls_key_file")?,
    ) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key, clients })),
        (None, None) if clients.is_some() => {
            let problem = "needs tls_cert_file and tls_key_file: clients show certificates to a \
                           server that speaks TLS itself";
            Err(section.refuse("tls_client_ca_file", problem))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(section.refuse("tls_cert_file", "needs tls_key_file beside it")),
        (None, Some(_)) => Err(section.refuse("tls_key_file", "needs tls_cert_file beside it")),
    }
}

fn clients(section: &Section<'_>) -> Result<Option<ClientFiles>, ConfigError> {
    let required = section.text("tls_client_auth", |text| match text {
        "optional" => Ok(false),
        "required" => Ok(true),
        _ => Err("expected optional or required"),
    })?;
    let crl = section.optional_path("tls_client_crl_file")?;
    let Some(ca) = section.optional_path("tls_client_ca_file")? else {
        let problem = "needs tls_client_ca_file: the authorities that client certificates are \
                       believed by";
        return match (crl, required) {
            (Some(_), _) => Err(section.refuse("tls_client_crl_file", problem)),
            (None, true) => Err(section.refuse("tls_client_auth", problem)),
            (None, false) => Ok(None),
        };
    };
    Ok(Some(ClientFiles { ca, crl, required }))
}

fn size(section: &Section<'_>, field: &str, min: u64, max: u64) -> Result<usize, ConfigError> {
    let number = section.whole(field, min..=max)?;
    usize::try_from(number).map_err(|_| section.refuse(field, "too large for this machine"))
}
