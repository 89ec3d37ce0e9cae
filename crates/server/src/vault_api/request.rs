//! A request as this API writes it: where token and tenant stand, what the method means, which path.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use scaivault_api::ErrorCode;
use scaivault_engine::{Caller, MintedToken};

use super::fields::{Fields, seconds};
use super::is_marked;
use crate::app::App;
use crate::body::read_bytes;
use crate::call::{Call, Passage};
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
const TENANT: HeaderName = HeaderName::from_static("x-tenant-id");
/// Longer paths are nobody's.
const PATH_BYTES_MAX: usize = 2_048;
/// What every token may do with itself, a wrapping one among them.
const OF_ITSELF: [&str; 4] = [
    "auth/token/lookup",
    "auth/token/lookup-self",
    "auth/token/revoke",
    "auth/token/revoke-self",
];
/// The longest that a wrapped answer waits.
const WRAP_MAX: Duration = Duration::from_secs(32 * 86_400);

/// What stands behind a mount of secrets with versions.
const WORDS: [&str; 6] = [
    "data", "metadata", "delete", "undelete", "destroy", "subkeys",
];

/// What is to be done at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// `GET`, `HEAD`.
    Read,
    /// `POST` and `PUT`: the same.
    Write,
    /// `PATCH`.
    Patch,
    /// `DELETE`.
    Delete,
    /// `LIST`, or `GET` with `?list=true`.
    List,
}

/// One request.
pub(super) struct Asked {
    pub(super) verb: Verb,
    /// Decoded, without `/v1/`.
    pub(super) path: String,
    pub(super) query: Query,
    /// How long the answer is to wait for whoever unwraps it.
    pub(super) wrap_ttl: Option<Duration>,
    /// What is wrong with the request line.
    pub(super) unreadable: Option<Problem>,
    /// The client says that it speaks this API.
    pub(super) is_marked: bool,
    pub(super) call: Call,
    body: Mutex<Option<Body>>,
    /// Who it is, once that was asked.
    entered: OnceLock<Caller>,
}

impl Asked {
    /// Takes a request apart. Nothing of it is believed yet; what cannot be read is told once it is
    /// known who asks.
    ///
    /// # Errors
    /// When not even that can be found out: the token or the tenant is given in two ways.
    pub(super) fn read(
        mut parts: Parts,
        body: Body,
        passage: &Arc<Passage>,
    ) -> Result<Self, Problem> {
        let is_marked = is_marked(&parts.headers);
        let wrap_ttl = wrap_ttl(&parts.headers);
        ours(&mut parts.headers)?;
        let asks = wrap_ttl.and_then(|wrap_ttl| {
            let query = Query::parse(parts.uri.query())?;
            let verb = verb(&parts.method, &query)?;
            Ok((verb, path(parts.uri.path())?, query, wrap_ttl))
        });
        let ((verb, path, query, wrap_ttl), unreadable) = match asks {
            Ok(asks) => (asks, None),
            Err(problem) => (
                (Verb::Read, String::new(), Query::default(), None),
                Some(problem),
            ),
        };
        Ok(Self {
            verb,
            path,
            query,
            wrap_ttl,
            unreadable,
            is_marked,
            call: Call {
                passage: Arc::clone(passage),
                headers: parts.headers,
            },
            body: Mutex::new(Some(body)),
            entered: OnceLock::new(),
        })
    }

    /// Who asks, within its limits: before a body is read. A request enters once, whoever asks again.
    pub(super) async fn enter(&self, app: &App, category: Category) -> Result<Caller, Problem> {
        if let Some(caller) = self.entered.get() {
            return Ok(caller.clone());
        }
        let path = self.path.as_str();
        let unwrapping = path.starts_with("sys/wrapping/") || OF_ITSELF.contains(&path);
        let caller = self.call.enter_for(app, category, unwrapping).await?;
        Ok(self.entered.get_or_init(|| caller).clone())
    }

    /// Lets the answer of a login be wrapped: by whoever logged in, as the request had no token.
    pub(super) async fn logged_in(&self, app: &App, minted: &MintedToken) -> Result<(), Problem> {
        if self.wrap_ttl.is_none() {
            return Ok(());
        }
        let entered = app.vault.enter(minted.text.expose(), app.vault.now());
        let caller = Caller {
            principal: entered.await?.principal,
            request_id: Some(self.call.passage.request_id.clone()),
            source_ip: self.call.source_ip(&app.settings.trusted_proxies),
            user_agent: self.call.user_agent(),
            started_at: self.call.passage.started_at,
        };
        let _ = self.entered.set(caller);
        Ok(())
    }

    /// What a request below a mount is counted as, before it is known what is mounted there.
    pub(super) fn category(&self) -> Category {
        category(self.verb, &self.path)
    }

    /// The token that came with the request, as it was sent.
    pub(super) fn token(&self) -> Result<&str, Problem> {
        self.call.bearer()
    }

    /// The body, which can be taken once.
    pub(super) async fn bytes(&self, app: &App) -> Result<axum::body::Bytes, Problem> {
        let body = self.body.lock().take();
        read_bytes(app, body.unwrap_or_default()).await
    }

    /// The body's fields; none when there is no body.
    pub(super) async fn fields(&self, app: &App) -> Result<Fields, Problem> {
        Fields::parse(&self.bytes(app).await?)
    }
}

/// The first word of KV version 2 behind the mount says it; what is behind that are names.
fn category(verb: Verb, path: &str) -> Category {
    let mut segments = path.split('/').skip(1);
    let word = segments.find(|segment| WORDS.contains(segment));
    match (verb, word.unwrap_or_default()) {
        (Verb::Delete, _) | (Verb::Write, "delete" | "undelete" | "destroy") => Category::Delete,
        (Verb::Write | Verb::Patch, _) => Category::Write,
        (Verb::List, _) | (Verb::Read, "metadata") => Category::List,
        (Verb::Read, _) => Category::Read,
    }
}

/// `?list=true`, as the languages of clients write it.
fn wants_list(query: &Query) -> bool {
    matches!(
        query.text("list"),
        Some("true" | "True" | "TRUE" | "1" | "t" | "T")
    )
}

fn verb(method: &Method, query: &Query) -> Result<Verb, Problem> {
    match *method {
        Method::GET if wants_list(query) => Ok(Verb::List),
        Method::GET | Method::HEAD => Ok(Verb::Read),
        Method::POST | Method::PUT => Ok(Verb::Write),
        Method::PATCH => Ok(Verb::Patch),
        Method::DELETE => Ok(Verb::Delete),
        ref other if other.as_str() == "LIST" => Ok(Verb::List),
        _ => Err(unsupported()),
    }
}

/// A method that a path does not have.
pub(super) fn unsupported() -> Problem {
    Problem::new(ErrorCode::MethodNotAllowed, "unsupported operation")
}

/// Puts token and tenant where our own API has them: from there one code reads both.
fn ours(headers: &mut HeaderMap) -> Result<(), Problem> {
    let mut tokens = headers.get_all(TOKEN).iter();
    if let Some(token) = tokens.next().cloned() {
        if tokens.next().is_some() {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "X-Vault-Token is given twice: send one",
            ));
        }
        let text = [b"Bearer ", token.as_bytes()].concat();
        let mut bearer = HeaderValue::from_bytes(&text)
            .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "X-Vault-Token is not a token"))?;
        bearer.set_sensitive(true);
        headers.remove(TOKEN);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    let named: Vec<HeaderValue> = headers.get_all(NAMESPACE).iter().cloned().collect();
    for name in named {
        let text = name.to_str().unwrap_or("?").trim_matches('/');
        // As their clients write that none is chosen.
        if text.is_empty() || text == "root" {
            continue;
        }
        let name = HeaderValue::from_str(text)
            .map_err(|_| Problem::new(ErrorCode::InvalidRequest, "X-Vault-Namespace is no name"))?;
        headers.append(TENANT, name);
    }
    Ok(())
}

fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut given = headers.get_all(WRAP_TTL).iter();
    let Some(value) = given.next().filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.to_str().ok().filter(|_| given.next().is_none());
    let span = text.and_then(seconds).map(Duration::from_secs);
    match span {
        Some(Duration::ZERO) => Ok(None),
        Some(span) if span <= WRAP_MAX => Ok(Some(span)),
        _ => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "X-Vault-Wrap-TTL is a number of seconds or a time such as 5m, at most 32 days",
        )),
    }
}

/// The path behind `/v1/`, decoded once. What could be read in two ways is refused.
fn path(raw: &str) -> Result<String, Problem> {
    let invalid = |why: &str| Problem::new(ErrorCode::InvalidPath, why);
    let raw = raw.strip_prefix(super::ROOT).unwrap_or_default();
    if raw.len() > PATH_BYTES_MAX {
        return Err(invalid("the path is too long"));
    }
    let text = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| invalid("a path is UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(invalid("a path has no control characters"));
    }
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(invalid("path cannot contain parent references"));
    }
    if text.contains("//") || text.starts_with('/') {
        return Err(invalid("a path has no empty segment"));
    }
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_reading() {
        assert_eq!(path("/v1/secret/data/a%20b").unwrap(), "secret/data/a b");
        assert_eq!(
            path("/v1/secret/metadata/a/").unwrap(),
            "secret/metadata/a/"
        );
        for bad in [
            "/v1/secret/data/../x",
            "/v1/secret/data/%2e%2e/x",
            "/v1/secret//data/x",
            "/v1//secret/data/x",
            "/v1/%2fsecret/data/x",
            "/v1/secret/data/%00",
            "/v1/secret/data/%ff",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_token_and_every_tenant_named() {
        let mut headers = HeaderMap::new();
        headers.insert(TOKEN, "skt_x".parse().unwrap());
        headers.insert(header::AUTHORIZATION, "Bearer other".parse().unwrap());
        headers.insert(NAMESPACE, "tnt_a/".parse().unwrap());
        headers.insert(TENANT, "tnt_b".parse().unwrap());
        ours(&mut headers).unwrap();
        assert_eq!(headers[header::AUTHORIZATION], "Bearer skt_x");
        assert_eq!(headers.get_all(header::AUTHORIZATION).iter().count(), 1);
        // Two different ones are refused where the tenant is chosen.
        assert_eq!(headers.get_all(TENANT).iter().count(), 2);
        headers.append(TOKEN, "a".parse().unwrap());
        headers.append(TOKEN, "b".parse().unwrap());
        assert!(ours(&mut headers).is_err());
    }

    #[test]
    fn names_do_not_change_what_a_request_is_counted_as() {
        let check = |verb, path, expect| assert_eq!(category(verb, path), expect, "{path}");
        check(Verb::Write, "secret/data/delete/x", Category::Write);
        check(Verb::Write, "secret/delete/data", Category::Delete);
        check(Verb::Write, "team/kv/destroy/x", Category::Delete);
        check(Verb::Read, "secret/data/metadata", Category::Read);
        check(Verb::Read, "secret/metadata/data", Category::List);
        check(Verb::Write, "delete/data/x", Category::Write);
        check(Verb::Delete, "secret/data/x", Category::Delete);
    }

    #[test]
    fn how_long_an_answer_waits() {
        let ttl = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(WRAP_TTL, text.parse().unwrap());
            wrap_ttl(&headers)
        };
        assert_eq!(ttl("300").unwrap(), Some(Duration::from_secs(300)));
        assert_eq!(ttl("5m").unwrap(), Some(Duration::from_secs(300)));
        assert_eq!(ttl("0").unwrap(), None);
        for bad in ["-1", "soon", "999999999"] {
            assert!(ttl(bad).is_err(), "{bad}");
        }
    }
}
