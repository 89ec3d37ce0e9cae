//! The words metrics are labelled with: closed sets, so that no client can invent a series.

use http::Method;
use prometheus_client::encoding::EncodeLabelSet;

/// A request's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MethodLabel {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other,
}

impl MethodLabel {
    pub(super) const COUNT: usize = 8;

    /// Of a request; what nobody serves is `other`.
    pub(crate) fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            Method::PATCH => Self::Patch,
            Method::DELETE => Self::Delete,
            Method::OPTIONS => Self::Options,
            _ => Self::Other,
        }
    }

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Other => "other",
        }
    }
}

/// How a caller showed who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AuthMethod {
    /// A token of this server.
    Token,
    /// A token of an issuer.
    Issuer,
    /// A client certificate.
    Certificate,
}

impl AuthMethod {
    /// Every method, in the order of the discriminants.
    pub(crate) const ALL: [Self; 3] = [Self::Token, Self::Issuer, Self::Certificate];

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Issuer => "issuer",
            Self::Certificate => "certificate",
        }
    }
}

/// What part of the API a request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathCategory {
    Secrets,
    SecretsBatch,
    Policies,
    SecretPolicies,
    Rotation,
    Webhooks,
    Subscriptions,
    SubscriptionsPoll,
    Audit,
    Auth,
    Identity,
    Dynamic,
    System,
    VaultApi,
    Other,
}

impl PathCategory {
    /// Every category, in the order of the discriminants.
    pub(crate) const ALL: [Self; 15] = [
        Self::Secrets,
        Self::SecretsBatch,
        Self::Policies,
        Self::SecretPolicies,
        Self::Rotation,
        Self::Webhooks,
        Self::Subscriptions,
        Self::SubscriptionsPoll,
        Self::Audit,
        Self::Auth,
        Self::Identity,
        Self::Dynamic,
        Self::System,
        Self::VaultApi,
        Self::Other,
    ];

    /// Of a request's path or route, with or without a tenant prefix.
    pub(crate) fn of_path(path: &str) -> Self {
        let Some(path) = path.strip_prefix("/v1/") else {
            return Self::Other;
        };
        let path = match path
            .strip_prefix("t/")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((_tenant, rest)) => rest,
            None => path.strip_prefix("partner/").unwrap_or(path),
        };
        let (first, rest) = path.split_once('/').unwrap_or((path, ""));
        match first {
            "secrets" if rest == "batch" || rest.starts_with("batch/") => Self::SecretsBatch,
            "secrets" => Self::Secrets,
            "policies" => Self::Policies,
            "secret-policies" => Self::SecretPolicies,
            "rotation" | "rotations" => Self::Rotation,
            "webhooks" => Self::Webhooks,
            "subscriptions" if rest.ends_with("/poll") || rest.ends_with("/stream") => {
                Self::SubscriptionsPoll
            }
            "subscriptions" => Self::Subscriptions,
            "audit" => Self::Audit,
            "auth" => Self::Auth,
            "identity" => Self::Identity,
            "dynamic" => Self::Dynamic,
            "health" | "metrics" | "version" | "system" => Self::System,
            _ => Self::Other,
        }
    }

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::SecretsBatch => "secrets_batch",
            Self::Policies => "policies",
            Self::SecretPolicies => "secret_policies",
            Self::Rotation => "rotation",
            Self::Webhooks => "webhooks",
            Self::Subscriptions => "subscriptions",
            Self::SubscriptionsPoll => "subscriptions_poll",
            Self::Audit => "audit",
            Self::Auth => "auth",
            Self::Identity => "identity",
            Self::Dynamic => "dynamic",
            Self::System => "system",
            Self::VaultApi => "vault_api",
            Self::Other => "other",
        }
    }
}

/// The statuses this server answers with; any other is labelled `other`.
const STATUSES: [(u16, &str); 20] = [
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (304, "304"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (409, "409"),
    (410, "410"),
    (413, "413"),
    (415, "415"),
    (422, "422"),
    (429, "429"),
    (500, "500"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
];

/// A status as an index and a word.
#[derive(Debug, Clone, Copy)]
pub(super) struct StatusLabel(pub(super) usize);

impl StatusLabel {
    pub(super) const COUNT: usize = STATUSES.len() + 1;

    pub(super) fn of(status: u16) -> Self {
        Self(
            STATUSES
                .iter()
                .position(|known| known.0 == status)
                .unwrap_or(STATUSES.len()),
        )
    }

    pub(super) fn as_str(self) -> &'static str {
        STATUSES.get(self.0).map_or("other", |known| known.1)
    }
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As meant.
    Success,
    /// Not.
    Failed,
}

impl Outcome {
    pub(super) const ALL: [Self; 2] = [Self::Success, Self::Failed];

    /// The label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabels {
    pub(super) method: &'static str,
    pub(super) path_category: &'static str,
    pub(super) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabels {
    pub(super) method: &'static str,
    pub(super) path_category: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PathLabels {
    pub(super) path_category: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct CategoryLabels {
    pub(super) category: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct AuthLabels {
    pub(super) method: &'static str,
    pub(super) result: &'static str,
}

impl AuthLabels {
    const COUNT: usize = AuthMethod::ALL.len() * Outcome::ALL.len();

    /// Where the counter of a method and outcome stands.
    pub(super) fn place(method: AuthMethod, outcome: Outcome) -> usize {
        method as usize * Outcome::ALL.len() + outcome as usize
    }

    /// All of them, each at its place.
    pub(super) fn all() -> [Self; Self::COUNT] {
        std::array::from_fn(|place| Self {
            method: AuthMethod::ALL[place / Outcome::ALL.len()].as_str(),
            result: Outcome::ALL[place % Outcome::ALL.len()].as_str(),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct StatusLabels {
    pub(super) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TenantLabels {
    pub(super) tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct TenantTypeLabels {
    pub(super) tenant: String,
    pub(super) secret_type: &'static str,
}
