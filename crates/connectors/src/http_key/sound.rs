//! Whether a description can work: every template names what is there to be named, every answer
//! can be read, and what a lost answer leaves can be found again.

use std::collections::BTreeSet;

use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::Value;

use super::description::{Description, Pages, Problem, Request, problem};
use super::template::{Name, Template};

/// The most pages of one list.
const PAGES_MAX: u32 = 50;

/// The longest time for a service to become consistent.
const CONSISTENCY_MAX: u64 = 600;

/// Which names a request may use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asker {
    /// Made with the manager's credential.
    Manager,
    /// Made with the manager's credential, about one key.
    ManagerAboutKey,
    /// Made with the key that is tried. It knows no manager.
    Key,
}

/// What is wrong with a description.
pub(super) fn problems(description: &Description) -> Vec<Problem> {
    let mut found = Vec::new();
    let list = &description.list;
    service(description, &mut found);
    auth(description, &mut found);
    request(
        "create",
        &description.create.request,
        Asker::Manager,
        &mut found,
    );
    request("validate", &description.validate, Asker::Key, &mut found);
    request("list", &list.request, Asker::Manager, &mut found);
    request(
        "revoke",
        &description.revoke,
        Asker::ManagerAboutKey,
        &mut found,
    );
    if let Some(rights) = &description.rights {
        request("rights", &rights.request, Asker::Manager, &mut found);
        pointer("rights.pointer", &rights.pointer, &mut found);
    }
    pointer("create.key", &description.create.key, &mut found);
    pointer("create.id", &description.create.id, &mut found);
    pointer("list.items", &list.items, &mut found);
    pointer("list.item_id", &list.item_id, &mut found);
    pointer("list.item_tag", &list.item_tag, &mut found);
    if let Some(last_used) = &list.last_used {
        pointer("list.last_used", last_used, &mut found);
    }
    if let Some(live) = &list.live {
        pointer("list.live.pointer", &live.pointer, &mut found);
    }
    if let Some(pages) = &list.pages {
        paging(pages, &mut found);
    }
    found
        .into_iter()
        .map(|(field, what)| (format!("description.{field}"), what))
        .collect()
}

fn service(description: &Description, found: &mut Vec<Problem>) {
    let service = &description.service;
    if service.consistency_seconds > CONSISTENCY_MAX {
        let what = format!("is at most {CONSISTENCY_MAX}");
        found.push(problem("service.consistency_seconds", what));
    }
    let tagged = |template: &Template| template.whole() == Some(&Name::Tag);
    let create = &description.create.request;
    if !carries_tag(create) {
        found.push(problem(
            "create",
            "one text of the body is exactly `{{tag}}`: it is what the list shows as `item_tag`",
        ));
    }
    if service.replays && !create.headers.values().any(tagged) {
        found.push(problem(
            "service.replays",
            "needs a header of `create` that is exactly `{{tag}}`: the idempotency key",
        ));
    }
    let quota = &description.statuses.quota;
    let ambiguous = description
        .statuses
        .forbidden
        .iter()
        .any(|status| quota.contains(status));
    if ambiguous && service.max_keys.is_none() {
        found.push(problem(
            "service.max_keys",
            "is needed where one status means both forbidden and quota",
        ));
    }
    let fields = &description.fields;
    if fields.key == fields.id || fields.key.is_empty() || fields.id.is_empty() {
        found.push(problem("fields", "`key` and `id` are two names"));
    }
}

fn carries_tag(create: &Request) -> bool {
    fn within(value: &Value) -> bool {
        match value {
            Value::String(text) => text == "{{tag}}",
            Value::Array(items) => items.iter().any(within),
            Value::Object(fields) => fields.values().any(within),
            _ => false,
        }
    }
    let tagged = |template: &Template| template.whole() == Some(&Name::Tag);
    create.json.as_ref().is_some_and(within)
        || create
            .form
            .as_ref()
            .is_some_and(|form| form.values().any(tagged))
}

fn auth(description: &Description, found: &mut Vec<Problem>) {
    let auth = &description.auth;
    header("auth.header", &auth.header, found);
    names("auth.manager", &auth.manager, Asker::Manager, found);
    names("auth.credential", &auth.credential, Asker::Key, found);
    if !auth.manager.names().any(Name::is_secret) {
        found.push(problem("auth.manager", "names no field of the manager"));
    }
    let key = Name::Credential(description.fields.key.clone());
    if !auth.credential.names().any(|name| *name == key) {
        let what = "does not name the credential's field in `fields.key`";
        found.push(problem("auth.credential", what));
    }
}

fn request(section: &str, request: &Request, asker: Asker, found: &mut Vec<Problem>) {
    if !matches!(
        request.method.parse(),
        Ok(Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
    ) {
        found.push(problem(
            format!("{section}.method"),
            "is GET, POST, PUT, PATCH or DELETE",
        ));
    }
    if request.expect.is_empty()
        || request
            .expect
            .iter()
            .any(|status| !(200..300).contains(status))
    {
        found.push(problem(
            format!("{section}.expect"),
            "lists statuses from 200 to 299",
        ));
    }
    let field = format!("{section}.path");
    place(&field, &request.path, asker, found);
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"/-._~:@!$'()*+,;=".contains(&b))
    };
    let rooted = request
        .path
        .literals()
        .next()
        .is_some_and(|text| text.starts_with('/'));
    if !rooted || !request.path.literals().all(plain) || request.path.whole().is_some() {
        found.push(problem(
            field,
            "begins with `/` and has only plain characters beside names",
        ));
    }
    for (name, template) in &request.query {
        place(&format!("{section}.query.{name}"), template, asker, found);
    }
    for (name, template) in &request.headers {
        let field = format!("{section}.headers.{name}");
        header(&field, name, found);
        names(&field, template, asker, found);
    }
    if request.json.is_some() && request.form.is_some() {
        found.push(problem(
            format!("{section}.form"),
            "a body is JSON or a form",
        ));
    }
    if let Some(body) = &request.json {
        body_names(&format!("{section}.json"), body, asker, found);
    }
    for (name, template) in request.form.iter().flatten() {
        names(&format!("{section}.form.{name}"), template, asker, found);
    }
    if asker == Asker::ManagerAboutKey && !uses_id(request) {
        found.push(problem(
            section,
            "does not say which key: `{{id}}` is missing",
        ));
    }
}

fn uses_id(request: &Request) -> bool {
    let has = |template: &Template| template.names().any(|name| *name == Name::Id);
    has(&request.path)
        || request.query.values().any(has)
        || request
            .form
            .iter()
            .flatten()
            .any(|(_, template)| has(template))
        || request
            .json
            .as_ref()
            .is_some_and(|body| body.to_string().contains("{{id}}"))
}

/// A template that becomes part of an address.
fn place(field: &str, template: &Template, asker: Asker, found: &mut Vec<Problem>) {
    names(field, template, asker, found);
    if template.names().any(Name::is_secret) {
        found.push(problem(field, "a secret does not belong into an address"));
    }
}

fn names(field: &str, template: &Template, asker: Asker, found: &mut Vec<Problem>) {
    for name in template.names() {
        let known = match name {
            Name::Account(_) => true,
            Name::Manager(_) | Name::Tag => asker != Asker::Key,
            Name::Credential(_) => asker == Asker::Key,
            Name::Id => asker == Asker::ManagerAboutKey,
        };
        if !known {
            found.push(problem(
                field,
                "names something that is not known in this request",
            ));
        }
    }
}

fn body_names(field: &str, body: &Value, asker: Asker, found: &mut Vec<Problem>) {
    match body {
        Value::String(text) => match Template::parse(text) {
            Ok(template) => names(field, &template, asker, found),
            Err(what) => found.push(problem(field, what)),
        },
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                body_names(&format!("{field}.{at}"), item, asker, found);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                body_names(&format!("{field}.{name}"), value, asker, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn header(field: &str, name: &str, found: &mut Vec<Problem>) {
    const OURS: [&str; 5] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "content-type",
    ];
    if HeaderName::from_bytes(name.as_bytes()).is_err()
        || OURS.contains(&name.to_ascii_lowercase().as_str())
    {
        found.push(problem(
            field,
            "is not the name of a header that may be set",
        ));
    }
}

fn pointer(field: &str, pointer: &str, found: &mut Vec<Problem>) {
    if !pointer.starts_with('/') {
        found.push(problem(field, "is a JSON pointer: it begins with `/`"));
    }
}

fn paging(pages: &Pages, found: &mut Vec<Problem>) {
    match (&pages.cursor, &pages.query, &pages.next_url) {
        (Some(cursor), Some(_), None) => pointer("list.pages.cursor", cursor, found),
        (None, None, Some(next)) => pointer("list.pages.next_url", next, found),
        _ => found.push(problem(
            "list.pages",
            "has `cursor` and `query`, or `next_url`",
        )),
    }
    if !(1..=PAGES_MAX).contains(&pages.max) {
        found.push(problem(
            "list.pages.max",
            format!("is from 1 to {PAGES_MAX}"),
        ));
    }
}

/// The attachment's fields that a description names.
pub(super) fn account_fields(description: &Description) -> BTreeSet<String> {
    let rights = description.rights.as_ref().map(|rights| &rights.request);
    let requests = [
        &description.create.request,
        &description.validate,
        &description.list.request,
        &description.revoke,
    ];
    let auth = &description.auth;
    fields_of(
        &[&auth.manager, &auth.credential],
        requests.into_iter().chain(rights),
    )
}

/// Those of them without which a key can neither be found nor revoked.
pub(super) fn fields_of_revoking(description: &Description) -> BTreeSet<String> {
    let requests = [&description.list.request, &description.revoke];
    fields_of(&[&description.auth.manager], requests.into_iter())
}

fn fields_of<'a>(
    proofs: &[&Template],
    requests: impl Iterator<Item = &'a Request>,
) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    let mut add = |template: &Template| {
        for name in template.names() {
            if let Name::Account(field) = name {
                fields.insert(field.clone());
            }
        }
    };
    proofs.iter().for_each(|proof| add(proof));
    for request in requests {
        add(&request.path);
        request.query.values().for_each(&mut add);
        request.headers.values().for_each(&mut add);
        request
            .form
            .iter()
            .flatten()
            .for_each(|(_, template)| add(template));
        let mut texts = Vec::new();
        request
            .json
            .iter()
            .for_each(|body| collect(body, &mut texts));
        let templates = texts
            .into_iter()
            .filter_map(|text| Template::parse(text).ok());
        templates.for_each(|template| add(&template));
    }
    fields
}

fn collect<'a>(body: &'a Value, texts: &mut Vec<&'a str>) {
    match body {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
