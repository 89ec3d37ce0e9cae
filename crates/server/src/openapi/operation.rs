//! One operation of the description, as its route tells it.

use std::collections::BTreeMap;

use scaivault_api::ErrorCode;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use super::{examples, parameters};

/// One operation of the API.
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(super) id: &'static str,
    tag: &'static str,
    summary: &'static str,
    scope: Option<&'static str>,
    needs_token: bool,
    deprecated: bool,
    query: Vec<(&'static str, &'static str, &'static str)>,
    body: Option<(Value, bool)>,
    takes_form: bool,
    answers: BTreeMap<u16, Option<(&'static str, Value)>>,
    pub(super) errors: Vec<&'static str>,
    pub(super) schemas: BTreeMap<String, Value>,
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
        self.body = Some((self.named::<T>(), true));
        self
    }

    pub(crate) fn takes_optional<T: ToSchema>(mut self) -> Self {
        self.body = Some((self.named::<T>(), false));
        self
    }

    /// The body may also be a form of the same fields.
    pub(crate) fn or_form(mut self) -> Self {
        self.takes_form = true;
        self
    }

    pub(crate) fn answers<T: ToSchema>(mut self, status: u16) -> Self {
        let schema = match self.schema::<T>() {
            // One that has a name of its own is told once.
            schema if schema.get("properties").is_some() => self.named::<T>(),
            schema => schema,
        };
        self.answers
            .insert(status, Some(("application/json", schema)));
        self
    }

    pub(crate) fn text(mut self, status: u16, kind: &'static str) -> Self {
        self.answers
            .insert(status, Some((kind, json!({ "type": "string" }))));
        self
    }

    /// Server-sent events: the schema is that of one.
    pub(crate) fn events(mut self, status: u16) -> Self {
        let text = json!({ "type": "string" });
        let event = json!({
            "type": "object",
            "properties": { "id": text, "event": text, "data": text },
            "example": {
                "id": "evt_01JDB2V9Q7C0M3F5Y8K4T6R1ZX", "event": "secret.updated",
                "data": "{\"event_id\":\"evt_01JDB2V9Q7C0M3F5Y8K4T6R1ZX\"}",
            },
        });
        self.answers
            .insert(status, Some(("text/event-stream", event)));
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

    /// A reference; the schema and whatever it refers to are collected.
    fn named<T: ToSchema>(&mut self) -> Value {
        let schema = self.schema::<T>();
        let name = T::name();
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        self.schemas.insert(name.into_owned(), schema);
        reference
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

    /// Its entry in the document; `schemas` are all there are, for examples.
    pub(super) fn describe(&self, schemas: &BTreeMap<String, Value>) -> Value {
        let mut responses = Map::new();
        for (status, content) in &self.answers {
            let mut response = json!({ "description": self.summary });
            if let Some((kind, schema)) = content {
                let example = examples::of(schema, schemas);
                response["content"] = json!({ *kind: { "schema": schema, "example": example } });
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
                let examples: Map<String, Value> = codes
                    .iter()
                    .map(|code| ((*code).to_owned(), examples::refusal(code)))
                    .collect();
                json!({
                    "description": codes.join(", "),
                    "content": { "application/json": { "schema": schema, "examples": examples } },
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
                "content": {
                    "application/json": {
                        "schema": schema,
                        "example": examples::body(schema, schemas),
                    },
                },
            });
            if self.takes_form {
                let name = schema["$ref"]
                    .as_str()
                    .and_then(|text| text.rsplit('/').next());
                let fields = name.and_then(|name| schemas.get(name));
                described["requestBody"]["content"]["application/x-www-form-urlencoded"] =
                    json!({ "schema": form(fields.unwrap_or(schema)) });
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
                let schema = parameters::in_path(self.path, name);
                json!({ "name": name, "in": "path", "required": true, "schema": schema })
            });
        let in_query = self.query.iter().map(|(name, kind, text)| {
            let schema = parameters::in_query(self.path, name, kind);
            // As if it had not been given.
            let empty = kind == &"string";
            json!({
                "name": name, "in": "query", "description": text, "schema": schema,
                "allowEmptyValue": empty,
            })
        });
        in_path.chain(in_query).collect()
    }
}

/// The same fields in a form, which knows no null.
fn form(schema: &Value) -> Value {
    let mut form = schema.clone();
    let Some(fields) = form.get_mut("properties").and_then(Value::as_object_mut) else {
        return form;
    };
    fields.retain(|_, field| field["type"] != "null");
    for field in fields.values_mut() {
        field["type"] = "string".into();
        if let Some(words) = field.get_mut("enum").and_then(Value::as_array_mut) {
            words.retain(|word| !word.is_null());
        }
    }
    form
}
