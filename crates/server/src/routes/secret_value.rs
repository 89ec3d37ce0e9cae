//! The answer that carries a value: the stored bytes, and around them what is said of the secret.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use scaivault_core::time::Rfc3339 as Text;
use scaivault_engine::ReadSecret;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::body::json_bytes;

/// What stands around value, path and metadata in an answer, and a little more.
const FRAME_BYTES: usize = 384;

/// The fields up to the value …
#[derive(Serialize)]
struct Before<'a> {
    path: &'a str,
    secret_type: &'a str,
    version: u64,
    is_current: bool,
}

/// … and those behind it.
#[derive(Serialize)]
struct After<'a> {
    metadata: &'a RawValue,
    created_at: Text,
    updated_at: Text,
    expires_at: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readable_until: Option<Text>,
    rotation_policy_id: Option<&'a str>,
}

/// 200 with the value; `ETag` is the version, for `If-Match`.
pub(super) fn secret_value(secret: &ReadSecret) -> Option<Response<Body>> {
    let value = secret.value().expose();
    // Sealed as a JSON object, and opened only if not a bit of it has changed since.
    let is_object = value.first() == Some(&b'{') && value.last() == Some(&b'}');
    std::str::from_utf8(value).ok().filter(|_| is_object)?;
    let before = Before {
        path: secret.path().as_str(),
        secret_type: secret.secret_type().as_str(),
        version: secret.version(),
        is_current: secret.is_current(),
    };
    let after = After {
        metadata: secret.metadata(),
        created_at: Text::of(secret.created_at()),
        updated_at: Text::of(secret.updated_at()),
        expires_at: secret.expires_at().map(Text::of),
        readable_until: secret.readable_until().map(Text::of),
        rotation_policy_id: secret.rotation_policy_id(),
    };
    // One allocation for nearly all.
    let around = FRAME_BYTES + before.path.len() + after.metadata.get().len();
    let mut bytes = Vec::with_capacity(around + value.len());
    serde_json::to_writer(&mut bytes, &before).ok()?;
    // The value is one more field of the one object that both are parts of.
    bytes.pop();
    bytes.extend_from_slice(b",\"data\":");
    bytes.extend_from_slice(value);
    let seam = bytes.len();
    serde_json::to_writer(&mut bytes, &after).ok()?;
    *bytes.get_mut(seam)? = b',';
    let mut response = json_bytes(StatusCode::OK, bytes);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", secret.version())) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}
