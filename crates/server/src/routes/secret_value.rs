//! The answer that carries a value, written around the stored bytes.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use scaivault_core::time::Timestamp;
use scaivault_engine::ReadSecret;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::body::json_bytes;

#[derive(Serialize)]
struct Answer<'a> {
    path: &'a str,
    secret_type: &'a str,
    version: u64,
    is_current: bool,
    data: &'a RawValue,
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
    let (head, version) = (secret.head(), secret.version());
    let data = std::str::from_utf8(secret.value().expose()).ok()?;
    let answer = Answer {
        path: head.path.as_str(),
        secret_type: head.secret_type.as_str(),
        version: version.version,
        is_current: version.version == head.current_version,
        data: serde_json::from_str(data).ok()?,
        metadata: &head.metadata,
        created_at: head.created_at.to_rfc3339(),
        updated_at: head.updated_at.to_rfc3339(),
        expires_at: head.expires_at.map(Timestamp::to_rfc3339),
        readable_until: version.readable_until.map(Timestamp::to_rfc3339),
        rotation_policy_id: secret.rotation_policy_id(),
    };
    let mut bytes = Vec::with_capacity(data.len() + 512);
    serde_json::to_writer(&mut bytes, &answer).ok()?;
    let mut response = json_bytes(StatusCode::OK, bytes);
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", version.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}
