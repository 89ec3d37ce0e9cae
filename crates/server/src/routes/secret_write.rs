//! `PUT /v1/secrets/{path}`: one more version, from the value that is given or by a recipe.

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use scaivault_api::ErrorCode;
use scaivault_api::secret::PutSecret;
use scaivault_core::ids::{RotationId, RotationPolicyId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_engine::{Caller, SecretWrite};

use super::id_in_path;
use super::secret_view::written_view;
use crate::app::App;
use crate::body::{json_response, read};
use crate::fields;
use crate::problem::Problem;

pub(super) async fn put(
    app: &App,
    caller: &Caller,
    headers: &HeaderMap,
    path: SecretPath,
    body: Body,
) -> Result<Response, Problem> {
    let wire: PutSecret = read(app, body).await?;
    let options = wire.options.unwrap_or_default();
    let recipe = options.generate_from;
    let data = match (wire.data, &recipe) {
        // From here the value is in a type that wipes itself and cannot be printed.
        (Some(data), None) => Plaintext::new(String::from(Box::<str>::from(data)).into_bytes()),
        (None, Some(_)) => Plaintext::new(b"{}".to_vec()),
        (Some(_), Some(_)) => {
            let why = "stands in place of data: give one of the two";
            return Err(Problem::field("options.generate_from", why));
        }
        (None, None) => {
            let why = "is needed, unless options.generate_from names a secret policy";
            return Err(Problem::field("data", why));
        }
    };
    if data.expose().first() != Some(&b'{') {
        return Err(Problem::field("data", "is a JSON object"));
    }
    let write = SecretWrite {
        path,
        data,
        secret_type: wire
            .secret_type
            .as_deref()
            .map(fields::secret_type)
            .transpose()?,
        metadata: wire.metadata.map(fields::metadata).transpose()?,
        max_versions: options
            .max_versions
            .map(|number| fields::max_versions(number, "options.max_versions"))
            .transpose()?,
        expires_in: options
            .expires_in
            .map(|text| fields::span(&text, "options.expires_in"))
            .transpose()?,
        notify_before: options
            .notify_before
            .map(|wire| fields::notify_before(wire, "options.notify_before"))
            .transpose()?,
        rotation_policy_id: options
            .rotation_policy_id
            .map(|id| id_in_path!(RotationPolicyId, id, RotationPolicyNotFound))
            .transpose()?,
        cas: match (options.cas, if_match(headers)?) {
            (Some(one), Some(other)) if one != other => {
                return Err(Problem::field("options.cas", "contradicts If-Match"));
            }
            (one, other) => one.or(other),
        },
        cas_required: false,
        delete_after_s: None,
        max_versions_new: None,
        rotation_id: options
            .rotation_id
            .map(|id| {
                RotationId::parse(&id)
                    .map_err(|_| Problem::field("options.rotation_id", "is an id rtn_…"))
            })
            .transpose()?,
    };
    let written = match recipe {
        None => app.vault.secret_write(caller, write).await?,
        Some(recipe) => {
            let vault = &app.vault;
            vault.secret_write_generated(caller, write, &recipe).await?
        }
    };
    app.metrics
        .tenant(caller.principal.acts_in().as_str())
        .secret_written();
    let status = if written.head.current_version == 1 {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok(json_response(status, &written_view(&written)))
}

/// `If-Match: "N"` is compare-and-set by version.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(quoted_number);
    match (number, values.next()) {
        (Some(number), None) => Ok(Some(number)),
        _ => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "If-Match is one version in quotes: If-Match: \"3\"",
        )),
    }
}

/// Digits only: parsing alone would take a sign.
fn quoted_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('"')?.strip_suffix('"')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_one_plain_version() {
        let check = |values: &[&str], expect: Result<Option<u64>, ()>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_MATCH, value.parse().unwrap());
            }
            assert_eq!(if_match(&headers).map_err(drop), expect, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["\"3\""], Ok(Some(3)));
        check(&["\"0\""], Ok(Some(0)));
        for bad in [
            "3",
            "\"+3\"",
            "\"-3\"",
            "\"\"",
            "\"",
            "*",
            "W/\"3\"",
            "\"3\", \"4\"",
        ] {
            check(&[bad], Err(()));
        }
        check(&["\"3\"", "\"3\""], Err(()));
    }
}
