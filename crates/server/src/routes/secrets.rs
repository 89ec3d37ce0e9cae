//! `/v1/secrets…`
//!
//! A secret's path and the operations on it share one URL space: the last segment decides. The
//! reserved words cannot end a path, so no URL has two meanings.

use std::borrow::Cow;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use scaivault_api::secret::{
    ConsumerItem, ConsumerList, DeletedSecret, PatchMetadata, PutSecret, Secret, SecretAck,
    SecretAcked, SecretList, SecretValue, VersionList,
};
use scaivault_api::{ErrorCode, rotation as wire_rotation};
use scaivault_core::path::SecretPath;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Acknowledgement, Caller, MetadataChange};

use super::no_such_method;
use super::rotation_view::row_view;
use super::secret_batch::Batch;
use super::secret_lists::{expiring, list};
use super::secret_policies::recipe_id;
use super::secret_value::secret_value;
use super::secret_view::{details_view, head_view, version_view};
use super::secret_write::put;
use crate::app::{App, Shared};
use crate::body::{json_response, read};
use crate::call::Call;
use crate::fields;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::query::Query;
use crate::rate_limit::Category;

const ROOT: &str = "/v1/secrets/";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/v1/secrets", get(list))
        .route("/v1/secrets/expiring", get(expiring))
}

/// What a URL below `/v1/secrets/` asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Value,
    Versions,
    Metadata,
    Consumers,
    Rotate,
    Ack,
    Undelete,
}

impl Target {
    /// By the words that cannot end a path.
    const OPERATIONS: [(&'static str, Self); 6] = [
        ("versions", Self::Versions),
        ("metadata", Self::Metadata),
        ("consumers", Self::Consumers),
        ("rotate", Self::Rotate),
        ("ack", Self::Ack),
        ("undelete", Self::Undelete),
    ];

    /// The methods it takes.
    fn allow(self) -> &'static str {
        match self {
            Self::Value => "GET, PUT, DELETE",
            Self::Metadata => "GET, PATCH",
            Self::Versions | Self::Consumers => "GET",
            Self::Rotate | Self::Ack | Self::Undelete => "POST",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.allow().split(", ").any(|word| word == method.as_str())
    }
}

/// Splits path and operation by the last segment. Decoded once, so an encoded slash is a slash;
/// whatever is left that is not a path character is refused.
fn target(uri: &Uri) -> Result<(Target, SecretPath), Problem> {
    let raw = uri.path().strip_prefix(ROOT).unwrap_or_default();
    let text = if raw.contains('%') {
        percent_decode_str(raw)
            .decode_utf8()
            .map_err(|_| Problem::new(ErrorCode::InvalidPath, "a path is plain ASCII"))?
    } else {
        Cow::Borrowed(raw)
    };
    let found = Target::OPERATIONS.iter().find_map(|(word, target)| {
        let rest = text.strip_suffix(word)?.strip_suffix('/')?;
        Some((*target, rest))
    });
    match found {
        Some((target, rest)) => Ok((target, fields::path(rest)?)),
        None => Ok((Target::Value, fields::path(&text)?)),
    }
}

/// Whether [`answer`] is who answers at this path.
pub(crate) fn is_asked(path: &str) -> bool {
    path.strip_prefix(ROOT)
        .is_some_and(|rest| !rest.is_empty() && rest != "expiring")
}

/// Everything below `/v1/secrets/` but the lists.
pub(crate) async fn answer(
    app: &App,
    method: Method,
    uri: Uri,
    call: Call,
    body: Incoming,
) -> Result<Response, Problem> {
    let partner = call.passage.prefix.get().is_some_and(|p| p.partner);
    if partner && !is_partners(&uri) {
        return Err(super::no_such_route().await);
    }
    if let Some(batch) = Batch::at(uri.path()) {
        if method == Method::POST {
            return Box::pin(batch.answer(app, call, Body::new(body))).await;
        }
        call.enter(app, Category::Read).await?;
        return Err(not_taken("POST").await);
    }
    let category = match method.as_str() {
        "GET" | "HEAD" => Category::Read,
        "DELETE" => Category::Delete,
        "PUT" | "POST" | "PATCH" => Category::Write,
        _ => {
            let found = target(&uri).map(|(target, _)| target);
            return Err(not_taken(found.unwrap_or(Target::Value).allow()).await);
        }
    };
    let (target, path) = match target(&uri) {
        Ok(found) => found,
        Err(problem) => {
            // Who is asking comes first: without a token every spelling gets the same answer.
            call.enter(app, category).await?;
            return Err(problem);
        }
    };
    let category = match (&target, category) {
        (Target::Versions | Target::Metadata | Target::Consumers, Category::Read) => Category::List,
        (Target::Rotate, _) => Category::Rotation,
        (Target::Ack, _) => Category::Read,
        _ => category,
    };
    let caller = call.enter(app, category).await?;
    if !target.takes(&method) {
        return Err(not_taken(target.allow()).await);
    }
    match (method.as_str(), target) {
        ("GET", Target::Value) => read_value(app, &caller, &uri, &path).await,
        // A future of its own: the room all these operations need together would otherwise be
        // set aside, and moved from layer to layer, for every read.
        (_, target) => {
            let body = Body::new(body);
            Box::pin(operate(app, caller, method, uri, call, target, path, body)).await
        }
    }
}

/// Whether a partner's secrets have this operation: they are not rotated, and read one by one.
fn is_partners(uri: &Uri) -> bool {
    let batch = Batch::at(uri.path()).is_some();
    !batch
        && !matches!(
            target(uri),
            Ok((Target::Rotate | Target::Ack | Target::Consumers, _))
        )
}

/// Everything but reading a value.
#[expect(clippy::too_many_arguments, reason = "the parts of one request")]
async fn operate(
    app: &App,
    caller: Caller,
    method: Method,
    uri: Uri,
    call: Call,
    target: Target,
    path: SecretPath,
    body: Body,
) -> Result<Response, Problem> {
    match (method.as_str(), target) {
        ("PUT", Target::Value) => put(app, &caller, &call.headers, path, body).await,
        ("DELETE", Target::Value) => delete(app, &caller, &uri, &path).await,
        ("GET", Target::Versions) => versions(app, &caller, &path).await,
        ("GET", Target::Metadata) => metadata(app, &caller, &path).await,
        ("PATCH", Target::Metadata) => patch_metadata(app, &caller, &path, body).await,
        ("GET", Target::Consumers) => consumers(app, &caller, &path).await,
        ("POST", Target::Rotate) => rotate(app, &caller, &path).await,
        ("POST", Target::Ack) => ack(app, &caller, &path, body).await,
        ("POST", Target::Undelete) => undelete(app, &caller, &path).await,
        (_, target) => Err(not_taken(target.allow()).await),
    }
}

async fn not_taken(allow: &'static str) -> Problem {
    Problem {
        allow: Some(allow),
        ..no_such_method().await
    }
}

async fn read_value(
    app: &App,
    caller: &Caller,
    uri: &Uri,
    path: &SecretPath,
) -> Result<Response, Problem> {
    let version = match uri.query() {
        None => None,
        text => Query::parse(text)?.number("version", 1..=u64::MAX >> 1)?,
    };
    let secret = app.vault.secret_read(caller, path, version).await?;
    app.metrics
        .tenant(caller.principal.acts_in().as_str())
        .secret_read(secret.secret_type());
    secret_value(&secret)
        .ok_or_else(|| Problem::new(ErrorCode::InternalError, "the stored value is damaged"))
}

async fn delete(
    app: &App,
    caller: &Caller,
    uri: &Uri,
    path: &SecretPath,
) -> Result<Response, Problem> {
    let permanent = Query::parse(uri.query())?
        .flag("permanent")?
        .unwrap_or(false);
    let deleted = app.vault.secret_delete(caller, path, permanent).await?;
    let view = DeletedSecret {
        path: path.as_str().to_owned(),
        permanent,
        recoverable_until: deleted.recoverable_until.map(Timestamp::to_rfc3339),
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn versions(app: &App, caller: &Caller, path: &SecretPath) -> Result<Response, Problem> {
    let rows = app.vault.secret_versions(caller, path).await?;
    let now = app.vault.now();
    let list = VersionList {
        versions: rows.iter().map(|row| version_view(row, now)).collect(),
    };
    Ok(json_response(StatusCode::OK, &list))
}

async fn metadata(app: &App, caller: &Caller, path: &SecretPath) -> Result<Response, Problem> {
    let details = app.vault.secret_details(caller, path).await?;
    Ok(json_response(StatusCode::OK, &details_view(&details)))
}

async fn patch_metadata(
    app: &App,
    caller: &Caller,
    path: &SecretPath,
    body: Body,
) -> Result<Response, Problem> {
    let wire: PatchMetadata = read(app, body).await?;
    let change = MetadataChange {
        metadata: wire.metadata.map(fields::metadata).transpose()?,
        tags: wire
            .tags
            .map(|tags| fields::tags(tags, "tags"))
            .transpose()?,
        max_versions: wire
            .max_versions
            .map(|number| fields::max_versions(number, "max_versions"))
            .transpose()?,
        expires_at: match wire.expires_at {
            None => None,
            Some(None) => Some(None),
            Some(Some(text)) => Some(Some(fields::time(&text, "expires_at")?)),
        },
        notify_before: match wire.notify_before {
            None => None,
            Some(None) => Some(None),
            Some(Some(wire)) => Some(Some(fields::notify_before(wire, "notify_before")?)),
        },
        secret_policy_id: match wire.secret_policy_id {
            None => None,
            Some(id) => Some(id.as_deref().map(recipe_id).transpose()?),
        },
        ..MetadataChange::default()
    };
    let (head, assignment) = app
        .vault
        .secret_metadata_change(caller, path, &change)
        .await?;
    let view = head_view(&head, assignment.as_ref());
    Ok(json_response(StatusCode::OK, &view))
}

async fn consumers(app: &App, caller: &Caller, path: &SecretPath) -> Result<Response, Problem> {
    let (head, rows) = app.vault.secret_consumers(caller, path).await?;
    let consumers = rows
        .into_iter()
        .map(|row| ConsumerItem {
            identity_id: row.consumer.as_str().to_owned(),
            version: row.version,
            is_current: row.version == head.current_version,
            first_read_at: row.first_read_at.to_rfc3339_micros(),
            last_read_at: row.last_read_at.to_rfc3339_micros(),
            applied_at: row.applied_at.map(Timestamp::to_rfc3339_micros),
            failed_at: row.failed_at.map(Timestamp::to_rfc3339_micros),
            detail: row.detail,
        })
        .collect();
    Ok(json_response(StatusCode::OK, &ConsumerList { consumers }))
}

async fn rotate(app: &App, caller: &Caller, path: &SecretPath) -> Result<Response, Problem> {
    let rotation = app.vault.secret_rotate(caller, path).await?;
    Ok(json_response(
        StatusCode::ACCEPTED,
        &row_view(&rotation, app.vault.now()),
    ))
}

async fn ack(
    app: &App,
    caller: &Caller,
    path: &SecretPath,
    body: Body,
) -> Result<Response, Problem> {
    let body: SecretAck = read(app, body).await?;
    let applied = match body.status.as_str() {
        "applied" => true,
        "failed" => false,
        _ => return Err(Problem::field("status", "is applied or failed")),
    };
    let said = Acknowledgement {
        version: body.version,
        applied,
        detail: body.detail,
    };
    let (at, current_version) = app.vault.secret_ack(caller, path, said).await?;
    let view = SecretAcked {
        secret_path: path.as_str().to_owned(),
        version: body.version,
        status: body.status,
        at: at.to_rfc3339_micros(),
        current_version,
    };
    Ok(json_response(StatusCode::OK, &view))
}

async fn undelete(app: &App, caller: &Caller, path: &SecretPath) -> Result<Response, Problem> {
    let head = app.vault.secret_undelete(caller, path).await?;
    Ok(json_response(StatusCode::OK, &head_view(&head, None)))
}

pub(super) fn operations() -> Vec<Operation> {
    let one = "/v1/secrets/{path}";
    vec![
        Operation::get(
            one,
            "readSecret",
            "Secrets",
            "Read a value: the current version, or one by number",
        )
        .scope("secrets:read")
        .query("version", "integer", "Version number")
        .answers::<SecretValue>(200)
        .fails(&[
            "invalid_path",
            "access_denied",
            "secret_not_found",
            "version_not_found",
            "secret_expired",
        ]),
        Operation::put(
            one,
            "writeSecret",
            "Secrets",
            "Write one more version (201 for the first)",
        )
        .scope("secrets:write")
        .takes::<PutSecret>()
        .answers::<Secret>(200)
        .answers::<Secret>(201)
        .fails(&[
            "invalid_path",
            "invalid_secret_type",
            "invalid_duration",
            "validation_error",
            "secret_policy_not_found",
            "access_denied",
            "secret_exists",
            "version_conflict",
            "rotation_in_progress",
            "rotation_policy_not_found",
            "payload_too_large",
        ]),
        Operation::delete(
            one,
            "deleteSecret",
            "Secrets",
            "Delete: recoverable for 30 days, or for good",
        )
        .scope("secrets:delete")
        .query("permanent", "boolean", "Delete for good")
        .answers::<DeletedSecret>(200)
        .fails(&[
            "invalid_path",
            "access_denied",
            "secret_not_found",
            "rotation_in_progress",
        ]),
        Operation::get(
            "/v1/secrets/{path}/versions",
            "listSecretVersions",
            "Secrets",
            "Versions, newest first, without values",
        )
        .scope("secrets:list")
        .answers::<VersionList>(200)
        .fails(&["invalid_path", "access_denied", "secret_not_found"]),
        Operation::get(
            "/v1/secrets/{path}/metadata",
            "readSecretMetadata",
            "Secrets",
            "Everything but the value: the existence test",
        )
        .scope("secrets:list")
        .answers::<Secret>(200)
        .fails(&["invalid_path", "access_denied", "secret_not_found"]),
        Operation::patch(
            "/v1/secrets/{path}/metadata",
            "updateSecretMetadata",
            "Secrets",
            "Change metadata without a new version",
        )
        .scope("secrets:write")
        .takes::<PatchMetadata>()
        .answers::<Secret>(200)
        .fails(&[
            "invalid_path",
            "validation_error",
            "access_denied",
            "secret_policy_not_found",
            "secret_not_found",
        ]),
        Operation::get(
            "/v1/secrets/{path}/consumers",
            "listSecretConsumers",
            "Secrets",
            "Who holds which version",
        )
        .scope("secrets:list")
        .answers::<ConsumerList>(200)
        .fails(&["invalid_path", "access_denied", "secret_not_found"]),
        Operation::post(
            "/v1/secrets/{path}/ack",
            "acknowledgeSecret",
            "Secrets",
            "A consumer says that it works with a version, or fails with it",
        )
        .scope("secrets:read")
        .takes::<SecretAck>()
        .answers::<SecretAcked>(200)
        .fails(&[
            "invalid_path",
            "validation_error",
            "access_denied",
            "secret_not_found",
            "version_not_found",
        ]),
        Operation::post(
            "/v1/secrets/{path}/rotate",
            "rotateSecret",
            "Rotation",
            "Rotate one secret now",
        )
        .scope("secrets:rotate")
        .answers::<wire_rotation::Rotation>(202)
        .fails(&[
            "invalid_path",
            "access_denied",
            "secret_not_found",
            "rotation_policy_not_found",
        ]),
        Operation::post(
            "/v1/secrets/{path}/undelete",
            "undeleteSecret",
            "Secrets",
            "Bring a deleted secret back",
        )
        .scope("secrets:delete")
        .answers::<Secret>(200)
        .fails(&["invalid_path", "access_denied", "secret_not_found"]),
        Operation::get(
            "/v1/secrets",
            "listSecrets",
            "Secrets",
            "Secrets the caller may list, without values",
        )
        .scope("secrets:list")
        .query("prefix", "string", "Text prefix of the path")
        .query(
            "tag",
            "string",
            "Only with this tag; several times: with all of them",
        )
        .query("secret_type", "string", "Only of this type")
        .query(
            "recursive",
            "boolean",
            "False: only directly below the prefix",
        )
        .query(
            "delimiter",
            "string",
            "'/': what lies deeper than the prefix is answered as prefixes",
        )
        .query(
            "q",
            "string",
            "Text in path, description, tags or owner, whatever its case",
        )
        .paged()
        .answers::<SecretList>(200)
        .fails(&["invalid_path", "invalid_secret_type", "invalid_cursor"]),
        Operation::get(
            "/v1/secrets/expiring",
            "listExpiringSecrets",
            "Secrets",
            "Secrets whose value ends soon",
        )
        .scope("secrets:list")
        .query("days", "integer", "Within so many days (30)")
        .query("prefix", "string", "Text prefix of the path")
        .paged()
        .answers::<SecretList>(200)
        .fails(&["invalid_path", "invalid_cursor"]),
    ]
}
