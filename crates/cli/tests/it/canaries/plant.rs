//! Requests made from the OpenAPI document, with markers in every field.

#![expect(
    clippy::unwrap_used,
    reason = "what it reads is valid or the test is wrong"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::traces::{PLAIN, SECRET};
use crate::harness::Api;
use crate::harness::http::client;

/// Fields whose values are secrets, wherever they are.
const SENSITIVE: [&str; 7] = [
    "data",
    "secret",
    "signing_secret",
    "password",
    "passphrase",
    "token",
    "value",
];
/// A stream that says nothing for so long has told what there was.
const PAUSE: Duration = Duration::from_millis(200);
/// How deep a body is made.
const DEPTH_MAX: usize = 6;

/// One operation of the document.
pub(super) struct Operation {
    method: Method,
    path: String,
    queries: Vec<String>,
    body: Option<Value>,
}

impl Operation {
    /// Whether its answer is a stream of events.
    pub(super) fn is_stream(&self) -> bool {
        self.path.ends_with("/stream")
    }
}

/// All of them, in the document's order.
pub(super) fn operations(document: &Value) -> Vec<Operation> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array();
            let queries = parameters
                .into_iter()
                .flatten()
                .filter(|parameter| parameter["in"] == "query")
                .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
                .collect();
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            all.push(Operation {
                method: Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(),
                path: path.clone(),
                queries,
                body: (!body.is_null()).then(|| body.clone()),
            });
        }
    }
    all
}

/// What a stream of events says before it first pauses: it goes on for as long as somebody listens.
async fn told_at_once(mut response: reqwest::Response) -> String {
    let mut told = Vec::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(PAUSE, response.chunk()).await {
        told.extend_from_slice(&chunk);
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// How a request is wrong, or that it is not.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Fitting,
    WrongType,
    Broken,
    Huge,
    Header,
    Query,
    Stranger,
    Deep,
}

/// More fitting ones than others: what is taken is what can be stored and sent on.
const WAYS: [Way; 14] = [
    Way::Fitting,
    Way::Fitting,
    Way::Fitting,
    Way::Fitting,
    Way::Fitting,
    Way::Fitting,
    Way::WrongType,
    Way::WrongType,
    Way::Broken,
    Way::Huge,
    Way::Header,
    Way::Query,
    Way::Stranger,
    Way::Deep,
];

/// Sends requests, and remembers what was made so that later ones reach it.
pub(super) struct Planter {
    http: reqwest::Client,
    url: String,
    token: String,
    document: Value,
    /// Ids by the path of their collection.
    made: BTreeMap<String, Vec<String>>,
    /// Where webhooks send to.
    receiver: String,
    state: u64,
    planted: usize,
}

impl Planter {
    pub(super) fn new(url: &str, token: &str, document: &Value, receiver: &str, seed: u64) -> Self {
        Self {
            // A connection for each: the server closes one whose request it did not read whole.
            http: client()
                .timeout(Duration::from_secs(40))
                .pool_max_idle_per_host(0)
                .build()
                .unwrap(),
            url: url.to_owned(),
            token: token.to_owned(),
            document: document.clone(),
            made: BTreeMap::new(),
            receiver: receiver.to_owned(),
            state: seed,
            planted: 0,
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.state >> 33).unwrap() % end
    }

    /// A new marked value. The number makes it one of a kind, the rest hard to take for a name.
    fn marked(&mut self, marker: &str) -> String {
        self.planted += 1;
        format!("{marker} #{}!", self.planted)
    }

    /// Sends one; what it was, the status and the body of the answer.
    pub(super) async fn send(&mut self, operation: &Operation) -> (String, u16, String) {
        let way = WAYS[self.below(WAYS.len())];
        let path = self.path(operation);
        let mut url = Url::parse(&format!("{}{path}", self.url)).unwrap();
        if way == Way::Query {
            let mut names = operation.queries.clone();
            names.retain(|_| self.below(2) == 0);
            names.push("unknown".to_owned());
            for name in names {
                let value = self.marked(PLAIN);
                url.query_pairs_mut().append_pair(&name, &value);
            }
        }
        let mut request = self.http.request(operation.method.clone(), url);
        let agent = self.marked(PLAIN);
        request = request.header("user-agent", agent);
        request = match way {
            Way::Stranger => {
                let token = self.marked(SECRET);
                match self.below(3) {
                    0 => request.bearer_auth(token),
                    1 => request.basic_auth("user", Some(token)),
                    _ => request.header("x-api-key", token),
                }
            }
            _ => request.bearer_auth(&self.token),
        };
        if way == Way::Header {
            for name in [
                "if-match",
                "if-none-match",
                "idempotency-key",
                "x-request-id",
                "x-tenant-id",
                "x-forwarded-for",
                "traceparent",
                "range",
                "origin",
                "cookie",
            ] {
                let value = self.marked(PLAIN);
                request = request.header(name, value);
            }
        }
        if let Some(body) = self.body(operation, way) {
            let kind = match way == Way::Header && self.below(2) == 0 {
                true => self.marked(PLAIN),
                false => "application/json".to_owned(),
            };
            request = request.header("content-type", kind).body(body);
        }
        let what = format!("{way:?} {} {path}", operation.method);
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let text = match operation.is_stream() {
                    true => told_at_once(response).await,
                    false => response.text().await.unwrap_or_default(),
                };
                self.remember(operation, status, &text);
                (what, status, text)
            }
            // A body that is too large is refused before it is sent whole.
            Err(error) if way == Way::Huge && !error.is_timeout() => (what, 413, String::new()),
            Err(error) => panic!("{what}: {error:?}"),
        }
    }

    fn remember(&mut self, operation: &Operation, status: u16, text: &str) {
        if operation.method != Method::POST || !(200..300).contains(&status) {
            return;
        }
        let answer: Value = serde_json::from_str(text).unwrap_or_default();
        // Roles go by their names, secret ids by what is no credential.
        let named = match operation.path.as_str() {
            "/v1/auth/roles" => "name",
            "/v1/auth/roles/{role}/secret-ids" => "accessor",
            _ => "id",
        };
        if let Some(id) = answer[named].as_str() {
            let ids = self.made.entry(operation.path.clone()).or_default();
            ids.push(id.to_owned());
        }
    }

    fn path(&mut self, operation: &Operation) -> String {
        let mut filled = String::new();
        let mut rest = operation.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            filled.push_str(before);
            let collection = operation.path[..operation.path.len() - rest.len() + before.len()]
                .trim_end_matches('/')
                .to_owned();
            let value = match name {
                "path" | "secret_path" => format!("app/s{}", self.below(12)),
                "identity_id" => "sa:canary".to_owned(),
                _ => {
                    let known = self.made.get(&collection).cloned().unwrap_or_default();
                    match known.len() {
                        0 => "pol_01M7Y3MA7EXDZKTEWV6FTQTKEF".to_owned(),
                        count => known[self.below(count)].clone(),
                    }
                }
            };
            filled.push_str(&value);
            rest = after;
        }
        filled.push_str(rest);
        // Nobody waits for what does not come.
        match operation.queries.iter().any(|name| name == "timeout") {
            true => format!("{filled}?timeout=0"),
            false => filled,
        }
    }

    fn body(&mut self, operation: &Operation, way: Way) -> Option<String> {
        let Some(schema) = &operation.body else {
            // A body where none is asked for.
            let marked = self.marked(SECRET);
            return (way == Way::Broken).then(|| format!("{{\"data\": \"{marked}\""));
        };
        let mut body = self.written(&operation.path).unwrap_or_else(|| {
            let schema = schema.clone();
            self.value("", &schema, 0)
        });
        match way {
            Way::WrongType => self.spoil(&mut body),
            Way::Broken => {
                let marked = self.marked(SECRET);
                let text = format!("{{\"data\": {{\"password\": \"{marked}\"}}, ");
                let whole = body.to_string();
                let cut = self.below(whole.len());
                let end = (0..=cut)
                    .rev()
                    .find(|at| whole.is_char_boundary(*at))
                    .unwrap();
                return Some(match self.below(2) {
                    0 => text,
                    _ => whole[..end].to_owned(),
                });
            }
            Way::Huge => {
                let marked = self.marked(SECRET).repeat(60_000);
                body = json!({ "data": { "password": marked } });
            }
            Way::Deep => {
                let mut deep = Value::String(self.marked(SECRET));
                for _ in 0..200 {
                    deep = json!([deep]);
                }
                body["data"] = deep;
            }
            _ => {}
        }
        Some(body.to_string())
    }

    /// Bodies that the server takes, for what is worth having.
    fn written(&mut self, path: &str) -> Option<Value> {
        if self.below(4) == 0 {
            return None;
        }
        let plain = self.marked(PLAIN);
        let name = format!("n-{}", self.planted);
        Some(match path {
            "/v1/secrets/{path}" => json!({
                "data": { "password": self.marked(SECRET), "list": [self.marked(SECRET)] },
                "metadata": { "note": plain },
            }),
            "/v1/policies" | "/v1/policies/{id}" => json!({
                "name": name,
                "description": plain,
                "rules": [{ "path_pattern": "app/**", "permissions": ["read"] }],
            }),
            "/v1/webhooks" => json!({
                "name": name,
                "url": self.receiver,
                "events": ["secret.created", "secret.updated", "secret.deleted"],
                "secret": self.marked(SECRET),
            }),
            "/v1/subscriptions" => json!({
                "name": name,
                "paths": ["app/**"],
                "events": ["secret.created", "secret.updated", "secret.deleted"],
                "delivery": { "type": "polling" },
            }),
            "/v1/auth/tokens" => json!({
                "identity_type": "service_account",
                "identity_id": "sa:canary",
                "scopes": ["secrets:read"],
                "ttl": "1h",
                "description": plain,
            }),
            "/v1/rotation/policies" => json!({
                "name": name,
                "description": plain,
                "interval": "90d",
                "grace_period": "1d",
            }),
            _ => return None,
        })
    }

    /// A value as the schema asks for, markers where text goes.
    fn value(&mut self, name: &str, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return Value::Null;
        }
        if let Some(place) = schema["$ref"].as_str() {
            let known = place.rsplit('/').next().unwrap();
            let schema = self.document["components"]["schemas"][known].clone();
            return self.value(name, &schema, depth + 1);
        }
        for choice in ["oneOf", "anyOf", "allOf"] {
            if let Some(of) = schema[choice].as_array().filter(|of| !of.is_empty()) {
                let schema = of[self.below(of.len())].clone();
                return self.value(name, &schema, depth + 1);
            }
        }
        if let Some(of) = schema["enum"].as_array().filter(|of| !of.is_empty()) {
            return of[self.below(of.len())].clone();
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[0].as_str().unwrap_or("object"),
            kind => kind.as_str().unwrap_or("object"),
        };
        match kind {
            "string" => Value::String(self.text(name)),
            "integer" | "number" => json!(self.below(9)),
            "boolean" => json!(self.below(2) == 0),
            "array" => json!([self.value(name, &schema["items"].clone(), depth + 1)]),
            _ => self.object(name, schema, depth),
        }
    }

    fn object(&mut self, name: &str, schema: &Value, depth: usize) -> Value {
        let mut object = Map::new();
        for (field, of) in schema["properties"].as_object().into_iter().flatten() {
            let is_required = schema["required"]
                .as_array()
                .is_some_and(|required| required.contains(&json!(field)));
            if is_required || self.below(2) == 0 {
                object.insert(field.clone(), self.value(field, of, depth + 1));
            }
        }
        if object.is_empty() {
            object.insert("field".to_owned(), Value::String(self.text(name)));
        }
        Value::Object(object)
    }

    fn text(&mut self, name: &str) -> String {
        match name {
            _ if SENSITIVE.contains(&name) => self.marked(SECRET),
            "url" => format!("https://receiver.example/{PLAIN}"),
            "path_pattern" => "app/**".to_owned(),
            "path" => "app/s1".to_owned(),
            "identity_id" => "sa:canary".to_owned(),
            "ttl" | "interval" | "grace_period" | "expires_in" => "1h".to_owned(),
            _ => self.marked(PLAIN),
        }
    }

    /// Puts a marked text or list where something else belongs.
    fn spoil(&mut self, body: &mut Value) {
        let Value::Object(fields) = body else {
            *body = Value::String(self.marked(SECRET));
            return;
        };
        let names: Vec<String> = fields.keys().cloned().collect();
        let Some(name) = names.get(self.below(names.len().max(1))) else {
            return;
        };
        let is_sensitive = SENSITIVE.contains(&name.as_str());
        let marker = if is_sensitive { SECRET } else { PLAIN };
        let marked = self.marked(marker);
        fields[name] = match self.below(4) {
            0 => json!(marked),
            1 => json!([marked]),
            2 => json!({ "in": { "side": marked } }),
            _ => json!([[{ "x": marked }], 7, marked]),
        };
    }

    /// What a subscription that nothing here deletes, and those made on the way, tell of all that
    /// happened.
    pub(super) async fn heard(&self, kept: &str) -> String {
        let root = Api::new(&self.url, &self.token);
        let mut heard = String::new();
        let made = self.made.get("/v1/subscriptions").into_iter().flatten();
        for id in made.map(String::as_str).chain([kept]) {
            let polled = root
                .get(&format!("/v1/subscriptions/{id}/poll?timeout=0"))
                .await;
            if polled.status == 200 && polled.text.contains("secret.") {
                heard.push_str(&polled.text);
            }
        }
        heard
    }
}
