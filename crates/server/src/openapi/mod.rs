//! The OpenAPI 3.1 document: operations described beside their routes, schemas derived from the
//! wire types, and the bounds of their fields taken from where they are kept.

mod examples;
mod kinds;
mod limits;
mod operation;
mod parameters;
mod relations;

use std::collections::BTreeMap;

use scaivault_api::ErrorBody;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

pub(crate) use operation::Operation;

/// The whole document.
pub(crate) fn document(base_url: Option<&str>) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let operations = crate::routes::operations();
    for operation in &operations {
        schemas.extend(operation.schemas.clone());
    }
    for (name, schema) in &mut schemas {
        limits::apply(name, schema);
    }
    for operation in &operations {
        paths
            .entry(operation.path)
            .or_default()
            .insert(operation.method.to_owned(), operation.describe(&schemas));
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

    use scaivault_api::ErrorCode;

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

    /// What is read from requests, by name.
    fn asked(document: &Value) -> BTreeMap<String, Value> {
        let schemas = &document["components"]["schemas"];
        let mut found = BTreeMap::new();
        let mut todo: Vec<String> = Vec::new();
        let names = |value: &Value| -> Vec<String> {
            let text = value.to_string();
            let parts = text.split("#/components/schemas/").skip(1);
            parts
                .map(|part| part.split('"').next().unwrap().to_owned())
                .collect()
        };
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                todo.extend(names(&operation["requestBody"]));
            }
        }
        while let Some(name) = todo.pop() {
            if found.contains_key(&name) {
                continue;
            }
            todo.extend(names(&schemas[&name]));
            found.insert(name.clone(), schemas[&name].clone());
        }
        found
    }

    fn unbounded(name: &str, schema: &Value, found: &mut Vec<String>) {
        for part in ["allOf", "oneOf", "anyOf"] {
            for inner in schema[part].as_array().into_iter().flatten() {
                unbounded(name, inner, found);
            }
        }
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            let has = |kind: &str| {
                schema["type"] == kind
                    || schema["type"]
                        .as_array()
                        .is_some_and(|all| all.contains(&kind.into()))
            };
            let told = schema.get("description").is_some() || schema.get("type").is_some();
            let bounded = limits::limit(name, field).is_some();
            if told && !bounded && (has("string") || has("integer") || has("array")) {
                found.push(format!("{name}.{field}"));
            }
        }
    }

    #[test]
    fn every_field_of_a_request_has_its_bounds() {
        let document = document(None);
        let mut found = Vec::new();
        // Those that are written out whole have theirs in them.
        let written = |name: &str| relations::instead(name).is_some();
        for (name, schema) in asked(&document)
            .into_iter()
            .filter(|(name, _)| !written(name))
        {
            // The parts that say what fields have to do with each other repeat some.
            let mut plain = schema.clone();
            if schema.get("properties").is_some() {
                for part in ["oneOf", "anyOf", "allOf"] {
                    plain.as_object_mut().unwrap().remove(part);
                }
            }
            unbounded(&name, &plain, &mut found);
        }
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn the_bounds_are_those_that_are_kept() {
        let document = document(None);
        let field = |schema: &str, field: &str| {
            document["components"]["schemas"][schema]["properties"][field].clone()
        };
        assert_eq!(
            field("PolicyBody", "name")["maxLength"],
            crate::fields::NAME_CHARS_MAX
        );
        assert_eq!(field("PutOptions", "max_versions")["maximum"], 1_000);
        assert!(
            field("TokenBody", "scopes")["items"]["enum"]
                .as_array()
                .unwrap()
                .len()
                > 10
        );
        let kind = field("PutSecret", "secret_type");
        assert!(
            kind["enum"].as_array().unwrap().contains(&Value::Null),
            "{kind}"
        );
    }

    #[test]
    fn every_answer_has_an_example_and_every_refusal_its_own() {
        let document = document(None);
        for methods in document["paths"].as_object().unwrap().values() {
            for operation in methods.as_object().unwrap().values() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    for content in response["content"].as_object().into_iter().flatten() {
                        let has = |key: &str| content.1.get(key).is_some_and(|v| !v.is_null());
                        let id = &operation["operationId"];
                        assert!(has("example") || has("examples"), "{id} {status}");
                    }
                }
            }
        }
    }
}
