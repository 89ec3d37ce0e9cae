//! The OpenAPI 3.1 document: operations described beside their routes, schemas derived from the
//! wire types.

use std::collections::BTreeMap;

use scaivault_api::{ErrorBody, ErrorCode};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

/// One operation of the API.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    scope: Option<&'static str>,
    needs_token: bool,
    deprecated: bool,
    query: Vec<(&'static str, &'static str, &'static str)>,
    body: Option<(Value, bool)>,
    takes_form: bool,
    answers: BTreeMap<u16, Option<(&'static str, Value)>>,
    errors: Vec<&'static str>,
    schemas: BTreeMap<String, Value>,
}

macro_rules! methods {
    ($($name:ident),*) => {$(
        pub(crate) fn $name(
            path: &'static str,
            id: &'static str,
            tag: &'static str,
            summary: &'static str,
        ) -> Self {
            Self::new(stringify!($name), path, id, tag, summary)
        }
    )*};
}

impl Operation {
    methods!(get, put, post, patch, delete);

    fn new(
        method: &'static str,
        path: &'static str,
        id: &'static str,
        tag: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag,
            summary,
            scope: None,
            needs_token: true,
            deprecated: false,
            query: Vec::new(),
            body: None,
            takes_form: false,
            answers: BTreeMap::new(),
            errors: Vec::new(),
            schemas: BTreeMap::new(),
        }
    }

    pub(crate) fn scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// No token needed.
    pub(crate) fn open(mut self) -> Self {
        self.needs_token = false;
        self
    }

    pub(crate) fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    pub(crate) fn query(
        mut self,
        name: &'static str,
        kind: &'static str,
        text: &'static str,
    ) -> Self {
        self.query.push((name, kind, text));
        self
    }

    pub(crate) fn paged(self) -> Self {
        self.query("limit", "integer", "Rows of a page, 1 to 1000 (100)")
            .query("cursor", "string", "Where the page before ended")
    }

    pub(crate) fn takes<T: ToSchema>(mut self) -> Self {
        self.body = Some((self.schema::<T>(), true));
        self
    }

    pub(crate) fn takes_optional<T: ToSchema>(mut self) -> Self {
        self.body = Some((self.schema::<T>(), false));
        self
    }

    /// The body may also be a form of the same fields.
    pub(crate) fn or_form(mut self) -> Self {
        self.takes_form = true;
        self
    }

    pub(crate) fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        let schema = self.schema::<T>();
        self.answers
            .insert(status, Some(("application/json", schema)));
        self
    }

    pub(crate) fn text(mut self, status: u16, kind: &'static str) -> Self {
        self.answers
            .insert(status, Some((kind, json!({ "type": "string" }))));
        self
    }

    pub(crate) fn empty(mut self, status: u16) -> Self {
        self.answers.insert(status, None);
        self
    }

    pub(crate) fn fails(mut self, codes: &[&'static str]) -> Self {
        self.errors.extend(codes);
        self
    }

    /// A schema in place; whatever it refers to is collected.
    fn schema<T: ToSchema>(&mut self) -> Value {
        let mut found = Vec::new();
        T::schemas(&mut found);
        for (name, schema) in found {
            self.schemas
                .insert(name, serde_json::to_value(schema).unwrap_or_default());
        }
        serde_json::to_value(<T as PartialSchema>::schema()).unwrap_or_default()
    }

    fn codes(&self) -> Vec<ErrorCode> {
        let mut words: Vec<&str> = self.errors.clone();
        words.extend(["internal_error", "service_unavailable"]);
        if self.needs_token {
            words.extend([
                "authentication_required",
                "token_expired",
                "token_invalid",
                "token_revoked",
                "tenant_access_denied",
                "tenant_suspended",
                "tenant_not_found",
                "rate_limited",
            ]);
        }
        if self.scope.is_some() {
            words.push("insufficient_scope");
        }
        if self.body.is_some() {
            words.extend(["invalid_request", "validation_error", "payload_too_large"]);
        } else if !self.query.is_empty() {
            words.push("invalid_request");
        }
        let mut codes: Vec<ErrorCode> = ErrorCode::ALL
            .iter()
            .copied()
            .filter(|code| words.contains(&code.as_str()))
            .collect();
        codes.sort_by_key(|code| code.status());
        codes
    }

    fn describe(&self) -> Value {
        let mut responses = Map::new();
        for (status, content) in &self.answers {
            let mut response = json!({ "description": self.summary });
            if let Some((kind, schema)) = content {
                response["content"] = json!({ *kind: { "schema": schema } });
            }
            responses.insert(status.to_string(), response);
        }
        let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for code in self.codes() {
            by_status
                .entry(code.status())
                .or_default()
                .push(code.as_str());
        }
        for (status, codes) in by_status {
            let schema = json!({ "$ref": "#/components/schemas/ErrorBody" });
            responses.entry(status.to_string()).or_insert_with(|| {
                json!({
                    "description": codes.join(", "),
                    "content": { "application/json": { "schema": schema } },
                })
            });
        }
        let mut described = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "parameters": self.parameters(),
            "responses": responses,
        });
        if let Some(scope) = self.scope {
            described["description"] = format!("Scope: `{scope}`").into();
        }
        if let Some((schema, required)) = &self.body {
            described["requestBody"] = json!({
                "required": required,
                "content": { "application/json": { "schema": schema } },
            });
            if self.takes_form {
                described["requestBody"]["content"]["application/x-www-form-urlencoded"] =
                    json!({ "schema": schema });
            }
        }
        if self.deprecated {
            described["deprecated"] = true.into();
        }
        described["security"] = if self.needs_token {
            json!([{ "bearer": [] }])
        } else {
            json!([])
        };
        described
    }

    fn parameters(&self) -> Vec<Value> {
        let in_path = self
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| {
                json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
            });
        let in_query = self.query.iter().map(|(name, kind, text)| {
            let schema = query_schema(name, kind);
            json!({ "name": name, "in": "query", "description": text, "schema": schema })
        });
        in_path.chain(in_query).collect()
    }
}

/// With the bounds that every operation has for a parameter of this name.
fn query_schema(name: &str, kind: &str) -> Value {
    match name {
        "limit" => json!({ "type": kind, "minimum": 1, "maximum": 1_000 }),
        "version" => json!({ "type": kind, "minimum": 1, "maximum": i64::MAX }),
        _ => json!({ "type": kind }),
    }
}

/// The whole document.
pub(crate) fn document(base_url: Option<&str>) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    for operation in crate::routes::operations() {
        schemas.extend(operation.schemas.clone());
        paths
            .entry(operation.path)
            .or_default()
            .insert(operation.method.to_owned(), operation.describe());
    }
    let mut found = Vec::new();
    ErrorBody::schemas(&mut found);
    schemas.extend(
        found
            .into_iter()
            .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())),
    );
    let error = serde_json::to_value(<ErrorBody as PartialSchema>::schema()).unwrap_or_default();
    schemas.insert("ErrorBody".to_owned(), error);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "ScaiVault",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Secrets that rotate without an outage. Errors carry a stable `code`; \
                            branch on it. `Retry-After` comes with rate_limited and \
                            service_unavailable. Every route but the open ones may stand behind \
                            /v1/t/{tenant_id} instead of /v1: then it acts in that tenant, as \
                            with the header X-Tenant-ID.",
        },
        "servers": [{ "url": base_url.unwrap_or("/") }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_error_word_is_a_code_and_every_id_is_unique() {
        let known: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let mut ids = BTreeSet::new();
        for operation in crate::routes::operations() {
            for word in &operation.errors {
                assert!(known.contains(word), "{}: {word}", operation.id);
            }
            assert!(ids.insert(operation.id), "{} twice", operation.id);
        }
        assert!(ids.len() > 50);
    }

    #[test]
    fn every_reference_resolves() {
        let document = document(None);
        let text = document.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(
                document["components"]["schemas"].get(name).is_some(),
                "{name}"
            );
        }
    }
}
