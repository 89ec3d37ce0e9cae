//! Logins by what they came to.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use scaivault_api::ErrorCode;

/// How somebody logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginMethod {
    /// With a foreign token.
    Exchange,
    /// With a role id and a secret id.
    Machine,
    /// With a client certificate.
    Certificate,
    /// With a name and a password.
    Password,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginResult {
    /// A token was given.
    Success,
    /// What was shown is not accepted, or gives nothing.
    Refused,
    /// Too many.
    RateLimited,
    /// A mistake in the request.
    Invalid,
    /// Something of ours failed.
    Error,
}

impl LoginResult {
    /// Of a refusal's code.
    pub(crate) fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::RateLimited => Self::RateLimited,
            ErrorCode::InvalidRequest | ErrorCode::ValidationError => Self::Invalid,
            ErrorCode::ServiceUnavailable | ErrorCode::InternalError => Self::Error,
            _ => Self::Refused,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::RateLimited => "rate_limited",
            Self::Invalid => "invalid",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    result: &'static str,
}

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct LoginMetrics(Family<Labels, Counter>);

impl LoginMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Logins with a foreign token, a secret id, a client certificate or a password, by what they came to";
        registry.register("logins", help, self.0.clone());
    }

    /// One ended.
    pub(crate) fn ended(&self, method: LoginMethod, result: LoginResult) {
        let method = match method {
            LoginMethod::Exchange => "exchange",
            LoginMethod::Machine => "machine",
            LoginMethod::Certificate => "certificate",
            LoginMethod::Password => "password",
        };
        let result = result.as_str();
        self.0.get_or_create(&Labels { method, result }).inc();
    }
}
