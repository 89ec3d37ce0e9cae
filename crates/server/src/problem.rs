//! Errors on their way out. A handler's error travels as itself to the outermost layer, which
//! knows the request id and writes the envelope.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use scaivault_api::{ErrorBody, ErrorCode, ErrorDetail};
use scaivault_core::access::DenialReason;
use scaivault_core::ids::RequestId;
use scaivault_core::time::Timestamp;
use scaivault_engine::{AuthError, VaultError};
use serde_json::{Value, json};

use crate::listener::CertificateRefused;

/// Seconds a client is asked to wait when the store cannot serve.
const UNAVAILABLE_RETRY_S: u64 = 1;

/// A failed request.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) details: Option<Value>,
    pub(crate) retry_after_s: Option<u64>,
    /// With 405: the methods there are.
    pub(crate) allow: Option<&'static str>,
    /// For the log alone: what is behind an internal error.
    pub(crate) cause: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let retry_after_s = (code == ErrorCode::ServiceUnavailable).then_some(UNAVAILABLE_RETRY_S);
        Self {
            code,
            message: message.into(),
            details: None,
            retry_after_s,
            allow: None,
            cause: None,
        }
    }

    #[must_use]
    pub(crate) fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// 422 with one reason per field.
    pub(crate) fn fields(fields: Vec<(String, String)>) -> Self {
        let map: serde_json::Map<String, Value> = fields
            .into_iter()
            .map(|(field, why)| (field, why.into()))
            .collect();
        Self::new(
            ErrorCode::ValidationError,
            "some fields are not valid: see details.fields",
        )
        .with(json!({ "fields": map }))
    }

    /// 422 for one field.
    pub(crate) fn field(field: &str, why: impl Into<String>) -> Self {
        Self::fields(vec![(field.to_owned(), why.into())])
    }

    /// For whoever has not shown who he is: a database's words are not for him.
    pub(crate) fn for_strangers(error: VaultError) -> Self {
        match error {
            VaultError::Unavailable(why) => Self {
                cause: Some(why),
                ..Self::new(
                    ErrorCode::ServiceUnavailable,
                    "the server cannot look that up now: try again",
                )
            },
            error => error.into(),
        }
    }

    /// The finished answer.
    pub(crate) fn render(&self, request_id: &RequestId) -> Response {
        let body = ErrorBody {
            error: ErrorDetail {
                code: self.code.as_str().to_owned(),
                message: self.message.clone(),
                details: self.details.clone(),
                request_id: request_id.as_str().to_owned(),
            },
        };
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(methods) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
        }
        if self.code.status() == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Carried in the response's extensions to the outermost layer.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Below settings the names of fields are the client's own: one that looks like none may be a value in
/// the wrong place, and is not repeated.
fn named((field, why): (String, String)) -> (String, String) {
    let plain = |part: &str| part.is_empty() || crate::body::is_field_name(part);
    match field.split(['.', '[', ']']).all(plain) {
        true => (field, why),
        false => {
            let known = field.split('.').next().filter(|first| plain(first));
            let shown = known.map_or("?".to_owned(), |first| format!("{first}.?"));
            (shown, why)
        }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let code = ErrorCode::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == error.code())
            .unwrap_or(ErrorCode::InternalError);
        match error {
            VaultError::Validation(fields) => Self::fields(fields.into_iter().map(named).collect()),
            VaultError::Denied(DenialReason::Failed(condition)) => Self::new(
                code,
                "a policy rule matches, but its condition does not hold",
            )
            .with(json!({ "failed_condition": condition.as_str() })),
            VaultError::Scope(scope) => {
                Self::new(code, error.to_string()).with(json!({ "scope": scope.as_str() }))
            }
            VaultError::NotFound(_) => Self::new(code, not_found_text(code)),
            VaultError::SecretExists(until) => Self::new(code, error.to_string())
                .with(json!({ "recoverable_until": until.map(Timestamp::to_rfc3339) })),
            VaultError::VersionConflict { current } => {
                Self::new(code, error.to_string()).with(json!({ "current_version": current }))
            }
            VaultError::RotationUnfinished(ref rotation) => {
                Self::new(code, error.to_string()).with(json!({ "rotation_id": rotation.as_str() }))
            }
            VaultError::NotAdopted { trouble, advice }
            | VaultError::EngineFailed { trouble, advice }
            | VaultError::EngineConfig { trouble, advice } => {
                Self::new(code, advice).with(json!({ "trouble": trouble }))
            }
            VaultError::IllegalAct { phase, ref actions } => Self::new(code, error.to_string())
                .with(json!({ "phase": phase.as_str(), "actions": actions })),
            VaultError::Internal(why) => Self {
                cause: Some(why),
                ..Self::new(
                    code,
                    "internal error: the server's log has more under this request id",
                )
            },
            other => Self::new(code, other.to_string()),
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let code = match error {
            AuthError::Invalid => ErrorCode::TokenInvalid,
            AuthError::Expired => ErrorCode::TokenExpired,
            AuthError::Revoked => ErrorCode::TokenRevoked,
            AuthError::UsedUp => ErrorCode::TokenExpired,
            AuthError::Address => ErrorCode::IpNotAllowed,
            AuthError::Nobody => ErrorCode::AuthenticationRequired,
            AuthError::OtherTenant => ErrorCode::TenantAccessDenied,
            AuthError::NoTenant => ErrorCode::TenantNotFound,
            AuthError::Suspended => ErrorCode::TenantSuspended,
            AuthError::Unavailable(_) => ErrorCode::ServiceUnavailable,
        };
        match error {
            // Whoever asks has not shown who he is: a database's words are not for him.
            AuthError::Unavailable(why) => Self {
                cause: Some(why),
                ..Self::new(code, "tokens cannot be checked now: try again")
            },
            error => Self::new(code, error.to_string()),
        }
    }
}

impl From<CertificateRefused> for Problem {
    fn from(why: CertificateRefused) -> Self {
        let text = format!("{why}: connect again with one that is valid");
        Self::new(ErrorCode::CertificateRefused, text)
    }
}

fn not_found_text(code: ErrorCode) -> String {
    let what = code
        .as_str()
        .trim_end_matches("_not_found")
        .replace('_', " ");
    match code {
        ErrorCode::RotationPolicyNotFound => {
            "there is no such rotation policy, or the secret has none attached".to_owned()
        }
        ErrorCode::AssignmentNotFound => {
            "the secret is not attached to this rotation policy".to_owned()
        }
        _ => format!("there is no such {what}"),
    }
}

#[cfg(test)]
mod tests {
    use scaivault_core::access::Condition;
    use scaivault_core::glob::GlobError;
    use scaivault_core::identity::Scope;
    use scaivault_core::ids::RotationId;
    use scaivault_core::path::PathError;
    use scaivault_engine::Missing;

    use super::*;

    /// Every failure of the engine has a code of the API; none falls back to internal_error.
    #[test]
    fn every_engine_error_has_its_code() {
        let missing = [
            Missing::Secret,
            Missing::Version,
            Missing::Policy,
            Missing::Binding,
            Missing::Token,
            Missing::Webhook,
            Missing::Delivery,
            Missing::Subscription,
            Missing::RotationPolicy,
            Missing::SecretPolicy,
            Missing::Rotation,
            Missing::Assignment,
            Missing::Target,
            Missing::Campaign,
            Missing::Debt,
            Missing::Partner,
            Missing::Tenant,
        ];
        let mut errors: Vec<VaultError> = missing.into_iter().map(VaultError::NotFound).collect();
        errors.extend([
            VaultError::Denied(DenialReason::NoRule),
            VaultError::Denied(DenialReason::Failed(Condition::IpRanges)),
            VaultError::Denied(DenialReason::Failed(Condition::RequireMfa)),
            VaultError::Denied(DenialReason::Failed(Condition::TimeWindow)),
            VaultError::Scope(Scope::Admin),
            VaultError::Forbidden("x"),
            VaultError::InvalidPath(PathError::Empty),
            VaultError::InvalidGlob(GlobError::Length),
            VaultError::InvalidPolicy("x".into()),
            VaultError::Validation(vec![]),
            VaultError::SecretExists(None),
            VaultError::NameExists,
            VaultError::VersionConflict { current: 1 },
            VaultError::RotationConflict,
            VaultError::IllegalAct {
                phase: scaivault_core::rotation::Phase::Revoking,
                actions: Vec::new(),
            },
            VaultError::StepUnderWay,
            VaultError::Restored,
            VaultError::NotLooked,
            VaultError::PolicyInUse,
            VaultError::SecretPolicyInUse,
            VaultError::TargetInUse,
            VaultError::ManagerInUse("orders".into()),
            VaultError::RotationUnfinished(RotationId::parse("rtn_1").unwrap()),
            VaultError::NotAdopted {
                trouble: "credential",
                advice: "x".into(),
            },
            VaultError::SecretExpired,
            VaultError::BatchFull(1),
            VaultError::Unavailable("x".into()),
        ]);
        for error in errors {
            let expect = error.code();
            assert_eq!(Problem::from(error).code.as_str(), expect);
        }
    }

    #[test]
    fn who_is_not_known_is_told_nothing_of_the_database() {
        let why = "no entry for host 10.0.0.5, user scaivault";
        let problem = Problem::from(AuthError::Unavailable(why.into()));
        assert!(!problem.message.contains("scaivault"));
        assert_eq!(problem.cause.as_deref(), Some(why));
    }

    #[test]
    fn the_cause_of_an_internal_error_stays_inside() {
        let problem = Problem::from(VaultError::Internal("row 7 of secrets".into()));
        assert_eq!(problem.cause.as_deref(), Some("row 7 of secrets"));
        assert!(!problem.message.contains("row 7") && problem.details.is_none());
    }
}
