//! The answer that carries a value: the stored bytes, in a frame that is made once for each version
//! and kept in the cache beside the sealed value.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Frame, ReadSecret};
use serde::Serialize;

use crate::body::json_bytes;

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
    metadata: &'a scaivault_core::secret::Metadata,
    created_at: String,
    updated_at: String,
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    readable_until: Option<String>,
    rotation_policy_id: Option<&'a str>,
}

/// 200 with the value; `ETag` is the version, for `If-Match`.
pub(super) fn secret_value(secret: &ReadSecret) -> Option<Response<Body>> {
    let value = secret.value().expose();
    // Sealed as a JSON object, and opened only if not a bit of it has changed since.
    let is_object = value.first() == Some(&b'{') && value.last() == Some(&b'}');
    std::str::from_utf8(value).ok().filter(|_| is_object)?;
    let frame = secret.frame(|| frame(secret))?;
    let length = frame.before.len() + value.len() + frame.after.len();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&frame.before);
    bytes.extend_from_slice(value);
    bytes.extend_from_slice(&frame.after);
    let mut response = json_bytes(StatusCode::OK, bytes);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", secret.version().version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}

fn frame(secret: &ReadSecret) -> Option<Frame> {
    let (head, version) = (secret.head(), secret.version());
    let before = Before {
        path: head.path.as_str(),
        secret_type: head.secret_type.as_str(),
        version: version.version,
        is_current: version.version == head.current_version,
    };
    let after = After {
        metadata: &head.metadata,
        created_at: head.created_at.to_rfc3339(),
        updated_at: head.updated_at.to_rfc3339(),
        expires_at: head.expires_at.map(Timestamp::to_rfc3339),
        readable_until: version.readable_until.map(Timestamp::to_rfc3339),
        rotation_policy_id: secret.rotation_policy_id(),
    };
    let mut before = serde_json::to_vec(&before).ok()?;
    // The value is one more field of the one object that both are parts of.
    before.pop();
    before.extend_from_slice(b",\"data\":");
    let mut after = serde_json::to_vec(&after).ok()?;
    *after.first_mut()? = b',';
    Some(Frame {
        before: before.into(),
        after: after.into(),
    })
}
