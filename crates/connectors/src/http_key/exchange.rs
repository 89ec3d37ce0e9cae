//! Requests to one service: to addresses that were judged, without redirects, proxies, cookies or
//! repetition, with an end in time and in size.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, Method, Response, redirect, retry};
use scaivault_core::ports::Reach;
use scaivault_core::target::{Trouble, TroubleKind};
use url::{Host, Url, form_urlencoded};
use zeroize::Zeroizing;

use super::description::Request;
use super::settings::Settings;
use super::template::{self, Template, Values};
use super::times;
use super::wiped::Wiped;

/// The longest answer that is read.
const ANSWER_MAX: usize = 64 * 1024;

/// The longest time for a connection to come about.
const CONNECT_MAX: Duration = Duration::from_secs(4);

/// The longest wait that a service may ask for.
const RETRY_AFTER_MAX: i64 = 24 * 3600;

/// What became of a request that got no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It was never sent: nothing was changed.
    NotSent(Trouble),
    /// It may have arrived.
    Lost(Trouble),
}

impl Fault {
    pub(super) fn trouble(self) -> Trouble {
        match self {
            Self::NotSent(trouble) | Self::Lost(trouble) => trouble,
        }
    }
}

/// The client of one call.
pub(super) struct Exchange {
    client: Client,
    base: Url,
}

/// An answer whose body is not read yet.
pub(super) struct Answer {
    pub(super) status: u16,
    /// How long the service asks to wait.
    pub(super) retry_after: Option<u64>,
    /// What time the service takes it to be.
    pub(super) date: Option<i64>,
    response: Response,
}

impl Exchange {
    /// A client that can reach the settings' service and nothing else.
    pub(super) async fn open(reach: &dyn Reach, settings: &Settings) -> Result<Self, Trouble> {
        let base = settings.base.clone();
        let host = base.host().ok_or(TroubleKind::Settings)?;
        let name = match &host {
            Host::Domain(name) => (*name).to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = base.port_or_known_default().ok_or(TroubleKind::Settings)?;
        let addresses = reach.reach(&name, port).await?;
        judged(&host, &addresses)?;
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .https_only(base.scheme() == "https")
            .http1_only()
            // Each request has its own connection: one that the service is about to close would
            // leave in doubt whether the request arrived.
            .pool_max_idle_per_host(0)
            // Well before the request's own end: nothing was sent then, and that is known.
            .connect_timeout(CONNECT_MAX.min(settings.timeout / 2))
            .timeout(settings.timeout)
            .resolve_to_addrs(&name, &addresses);
        if let Some(pem) = &settings.ca_pem {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes())
                .ok()
                .filter(|certificates| !certificates.is_empty())
                .ok_or_else(|| {
                    Trouble::new(TroubleKind::Tls).remedy("`ca_pem` holds no certificate")
                })?;
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|_| TroubleKind::Tls)?;
        Ok(Self { client, base })
    }

    /// Sends a request with `proof` in its header. `at` is another page of the same list.
    pub(super) async fn send(
        &self,
        request: &Request,
        (header, proof): (&str, &Template),
        values: &Values<'_>,
        at: Option<&Page>,
    ) -> Result<Answer, Fault> {
        let built = self
            .build(request, (header, proof), values, at)
            .map_err(Fault::NotSent)?;
        match self.client.execute(built).await {
            Ok(response) => Ok(Answer::of(response)),
            Err(error) => Err(fault(&error, self.base.scheme() == "https")),
        }
    }

    fn build(
        &self,
        request: &Request,
        (header, proof): (&str, &Template),
        values: &Values<'_>,
        at: Option<&Page>,
    ) -> Result<reqwest::Request, Trouble> {
        let url = match at {
            Some(Page::Address(url)) => url.clone(),
            _ => self.address(request, values, at)?,
        };
        let method: Method = request.method.parse().map_err(|_| TroubleKind::Settings)?;
        let mut built = reqwest::Request::new(method, url);
        let mut headers = HeaderMap::new();
        for (name, template) in &request.headers {
            headers.insert(header_name(name)?, template.header(values)?);
        }
        headers.insert(header_name(header)?, proof.header(values)?);
        if let Some(body) = &request.json {
            let body = Wiped::new(template::json(body, values)?);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *built.body_mut() = Some(body.value().to_string().into());
        } else if let Some(form) = &request.form {
            let mut encoded = form_urlencoded::Serializer::new(String::new());
            for (name, template) in form {
                encoded.append_pair(name, &template.plain(values)?);
            }
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, kind);
            *built.body_mut() = Some(encoded.finish().into());
        }
        *built.headers_mut() = headers;
        Ok(built)
    }

    fn address(
        &self,
        request: &Request,
        values: &Values<'_>,
        at: Option<&Page>,
    ) -> Result<Url, Trouble> {
        let path = request.path.path(values)?;
        let path = format!("{}{}", self.base.path().trim_end_matches('/'), *path);
        let mut url = self.base.clone();
        url.set_path(&path);
        if url.path() != path {
            // The path was understood as another one than was written.
            return Err(TroubleKind::Settings.into());
        }
        for (name, template) in &request.query {
            url.query_pairs_mut()
                .append_pair(name, &template.plain(values)?);
        }
        if let Some(Page::Cursor { query, cursor }) = at {
            url.query_pairs_mut().append_pair(query, cursor);
        }
        Ok(url)
    }

    /// The address of a next page, when it is at the same place. Anything else would take the
    /// manager's key elsewhere.
    pub(super) fn same_place(&self, next: &str) -> Option<Url> {
        let url = self.base.join(next).ok()?;
        let bare = url.username().is_empty() && url.password().is_none();
        (bare && url.origin() == self.base.origin()).then_some(url)
    }
}

/// Where a list goes on.
#[derive(PartialEq, Eq)]
pub(super) enum Page {
    /// A query parameter.
    Cursor {
        /// Its name.
        query: String,
        /// Its value, as the service gave it.
        cursor: String,
    },
    /// An address of the same service.
    Address(Url),
}

impl Answer {
    fn of(response: Response) -> Self {
        let text = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let date = text(DATE).and_then(times::http);
        let retry_after = text(RETRY_AFTER).and_then(|text| {
            let seconds = text
                .parse::<i64>()
                .ok()
                .or_else(|| Some(times::http(text)? - date?))?;
            u64::try_from(seconds.clamp(0, RETRY_AFTER_MAX)).ok()
        });
        Self {
            status: response.status().as_u16(),
            retry_after,
            date,
            response,
        }
    }

    /// Reads the body as JSON.
    pub(super) async fn json(mut self) -> Result<Wiped, Trouble> {
        let mut body = Zeroizing::new(Vec::with_capacity(ANSWER_MAX));
        loop {
            match self.response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_MAX => {
                    body.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => return Err(Trouble::new(TroubleKind::Protocol).code("too_long")),
                Ok(None) => break,
                Err(error) if error.is_timeout() => return Err(TroubleKind::TimedOut.into()),
                Err(_) => return Err(TroubleKind::Interrupted.into()),
            }
        }
        serde_json::from_slice(&body)
            .map(Wiped::new)
            .map_err(|_| Trouble::new(TroubleKind::Protocol).code("not_json"))
    }
}

/// An address in place of a name is connected to as it is: it has to be one that was answered.
fn judged(host: &Host<&str>, addresses: &[SocketAddr]) -> Result<(), Trouble> {
    let literal = match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some(IpAddr::V4(*address)),
        Host::Ipv6(address) => Some(IpAddr::V6(*address)),
    };
    let fits = literal.is_none_or(|ip| addresses.iter().any(|address| address.ip() == ip));
    if addresses.is_empty() || !fits {
        return Err(TroubleKind::NotPermitted.into());
    }
    Ok(())
}

fn header_name(name: &str) -> Result<HeaderName, Trouble> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| TroubleKind::Settings.into())
}

fn fault(error: &reqwest::Error, encrypted: bool) -> Fault {
    if error.is_connect() {
        return Fault::NotSent(if encrypted && is_bad_data(error) {
            TroubleKind::Tls.into()
        } else {
            TroubleKind::Unreachable.into()
        });
    }
    if error.is_builder() {
        return Fault::NotSent(TroubleKind::Settings.into());
    }
    Fault::Lost(if error.is_timeout() {
        TroubleKind::TimedOut.into()
    } else {
        TroubleKind::Interrupted.into()
    })
}

/// Whether a handshake failed for what the peer showed: that is how its errors are wrapped.
fn is_bad_data(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let io = inner.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::InvalidData) {
            return true;
        }
        // An I/O error's `source` leaves out what it wraps.
        cause = match io.and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => inner.source(),
        };
    }
    false
}
