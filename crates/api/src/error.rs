//! The error envelope. `code` is the contract: clients branch on it, not on status or message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `{"error": {…}}`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// The error.
    pub error: ErrorDetail,
}

/// The error itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable code.
    #[schema(example = "secret_not_found")]
    pub code: String,
    /// For people: what happened and what to try.
    pub message: String,
    /// By code: the offending `path`, `fields` of a validation error, `failed_condition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub details: Option<serde_json::Value>,
    /// Equal to the `X-Request-ID` header.
    #[schema(example = "req_01JDB2V9Q7C0M3F5Y8K4T6R1ZX")]
    pub request_id: String,
}

macro_rules! codes {
    ($($name:ident = $status:literal, $text:literal;)*) => {
        /// Every code this server answers with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the words beside them are the documentation")]
        pub enum ErrorCode { $($name,)* }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The wire word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that goes with it.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }
        }
    };
}

codes! {
    AuthenticationRequired = 401, "authentication_required";
    TokenExpired = 401, "token_expired";
    TokenInvalid = 401, "token_invalid";
    TokenRevoked = 401, "token_revoked";
    LoginRefused = 401, "login_refused";
    CertificateRefused = 401, "certificate_refused";
    AccessDenied = 403, "access_denied";
    InsufficientScope = 403, "insufficient_scope";
    MfaRequired = 403, "mfa_required";
    IpNotAllowed = 403, "ip_not_allowed";
    TimeWindowViolation = 403, "time_window_violation";
    TenantAccessDenied = 403, "tenant_access_denied";
    TenantSuspended = 403, "tenant_suspended";
    Forbidden = 403, "forbidden";
    InvalidRequest = 400, "invalid_request";
    InvalidPath = 400, "invalid_path";
    InvalidSecretType = 400, "invalid_secret_type";
    InvalidDuration = 400, "invalid_duration";
    InvalidCursor = 400, "invalid_cursor";
    InvalidPolicy = 400, "invalid_policy";
    InvalidGlob = 400, "invalid_glob";
    InvalidConfig = 400, "invalid_config";
    ValidationError = 422, "validation_error";
    NotFound = 404, "not_found";
    SecretNotFound = 404, "secret_not_found";
    VersionNotFound = 404, "version_not_found";
    PolicyNotFound = 404, "policy_not_found";
    BindingNotFound = 404, "binding_not_found";
    TokenNotFound = 404, "token_not_found";
    RoleNotFound = 404, "role_not_found";
    SecretIdNotFound = 404, "secret_id_not_found";
    WebhookNotFound = 404, "webhook_not_found";
    DeliveryNotFound = 404, "delivery_not_found";
    SubscriptionNotFound = 404, "subscription_not_found";
    RotationPolicyNotFound = 404, "rotation_policy_not_found";
    RotationNotFound = 404, "rotation_not_found";
    AssignmentNotFound = 404, "assignment_not_found";
    TargetNotFound = 404, "target_not_found";
    CampaignNotFound = 404, "campaign_not_found";
    EngineNotFound = 404, "engine_not_found";
    LeaseNotFound = 404, "lease_not_found";
    ExportNotFound = 404, "export_not_found";
    DebtNotFound = 404, "debt_not_found";
    SecretPolicyNotFound = 404, "secret_policy_not_found";
    PartnerNotFound = 404, "partner_not_found";
    TenantNotFound = 404, "tenant_not_found";
    MethodNotAllowed = 405, "method_not_allowed";
    SecretExists = 409, "secret_exists";
    NameExists = 409, "name_exists";
    VersionConflict = 409, "version_conflict";
    RotationConflict = 409, "rotation_conflict";
    PolicyInUse = 409, "policy_in_use";
    TargetInUse = 409, "target_in_use";
    EngineInUse = 409, "engine_in_use";
    LeaseEnded = 409, "lease_ended";
    RotationInProgress = 409, "rotation_in_progress";
    CredentialNotVerified = 409, "credential_not_verified";
    StoreRestored = 409, "store_restored";
    SecretExpired = 410, "secret_expired";
    PayloadTooLarge = 413, "payload_too_large";
    RateLimited = 429, "rate_limited";
    InternalError = 500, "internal_error";
    EngineFailed = 502, "engine_failed";
    ServiceUnavailable = 503, "service_unavailable";
}
