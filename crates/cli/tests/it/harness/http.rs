//! A plain client of the HTTP API: JSON in, JSON out, and checks of status and error code.

use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method};
use serde_json::Value;

/// Someone talking to a server with one token, or with none.
#[derive(Clone)]
pub(crate) struct Api {
    http: Client,
    url: String,
    token: Option<String>,
    /// For the header that names a tenant.
    tenant: Option<String>,
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> Self {
        let http = client()
            .build()
            .expect("a client needs nothing from outside");
        Self::with_client(http, url, token)
    }

    pub(crate) fn with_client(http: Client, url: &str, token: &str) -> Self {
        Self {
            http,
            url: url.to_owned(),
            token: Some(token.to_owned()),
            tenant: None,
        }
    }

    /// The same server, asked to act in another tenant.
    pub(crate) fn in_tenant(&self, tenant: &str) -> Self {
        Self {
            tenant: Some(tenant.to_owned()),
            ..self.clone()
        }
    }

    /// The same server, asked with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same server, asked by nobody.
    pub(crate) fn anonymous(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body)).await
    }

    /// A `POST` without a body.
    pub(crate) async fn post_empty(&self, path: &str) -> Reply {
        self.send(Method::POST, path, None).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// One request; no answer at all is a failed test.
    #[track_caller]
    pub(crate) fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> impl Future<Output = Reply> {
        let what = format!("{method} {path}");
        let caller = std::panic::Location::caller();
        let sent = self.attempt(method, path, body);
        async move {
            sent.await
                .unwrap_or_else(|error| panic!("{caller}: {what}: no answer: {error:?}"))
        }
    }

    /// One request that may get no answer: the server may be killed meanwhile.
    pub(crate) fn attempt(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> impl Future<Output = Result<Reply, reqwest::Error>> + use<> {
        let what = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Tenant-ID", tenant);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        async move {
            let response = request.send().await?;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let text = response.text().await?;
            Ok(Reply::new(what, status, headers, text))
        }
    }
}

/// A client that follows nothing and waits for ever for nothing.
pub(crate) fn client() -> reqwest::ClientBuilder {
    Client::builder()
        .timeout(Duration::from_secs(70))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    what: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; null when it is not.
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn new(what: String, status: u16, headers: HeaderMap, text: String) -> Self {
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self {
            what,
            status,
            headers,
            body,
            text,
        }
    }

    /// A header as text; empty when there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap_or_default())
    }

    /// The body of an answer that must have this status.
    #[track_caller]
    pub(crate) fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.what, self.text);
        assert!(
            !self.header("x-request-id").is_empty(),
            "{}: no X-Request-ID",
            self.what
        );
        self.body
    }

    /// The `error` object of a refusal with this status and code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        let error = self.error();
        assert_eq!(
            (self.status, error["code"].as_str()),
            (status, Some(code)),
            "{}: {}",
            self.what,
            self.text
        );
        if code == "rate_limited" || code == "service_unavailable" {
            assert!(self.retry_after() >= 1, "{}: no Retry-After", self.what);
        }
        error
    }

    /// The documented envelope, checked: code, message, and the request id of the header.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        let error = &self.body["error"];
        let id = self.header("x-request-id");
        assert!(
            error["code"].is_string(),
            "{}: no error envelope: {}",
            self.what,
            self.text
        );
        assert!(
            error["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{}: no message: {}",
            self.what,
            self.text
        );
        assert!(
            id.starts_with("req_"),
            "{}: X-Request-ID is {id:?}",
            self.what
        );
        assert_eq!(
            error["request_id"].as_str(),
            Some(id),
            "{}: {}",
            self.what,
            self.text
        );
        error.clone()
    }

    /// `Retry-After` in seconds; 0 when absent or not a number.
    pub(crate) fn retry_after(&self) -> u64 {
        self.header("retry-after").parse().unwrap_or(0)
    }
}

/// A field that must be a text.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    let found = value[field].as_str();
    found.unwrap_or_else(|| panic!("no text {field} in {value}"))
}
