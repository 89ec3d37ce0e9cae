//! The HTTP API of HashiCorp Vault, over the same operations, policies, audit trail and limits as our
//! own: for clients that speak it. What it has, and where it differs, is in docs/vault-api.md.
//!
//! To add a family: a file here with `answer(app, asked, rest)`, and its line in [`dispatch`]. It
//! enters ([`Asked::enter`]) before it reads a body, asks the engine, and answers a [`Reply`]; who it
//! is, wrapping, envelope and errors are seen to here.

mod approle;
mod auths;
mod capabilities;
mod connection_fields;
mod connections;
mod cubbyhole;
mod database;
mod database_roles;
mod database_static;
mod federated;
mod fields;
mod health;
mod kv1;
mod kv2;
mod kv_list;
mod kv_metadata;
mod kv_rules;
mod leases;
mod merge;
mod mounts;
mod policies;
mod reply;
mod request;
mod statements;
mod system;
mod table;
mod token;
mod token_create;
mod transit;
mod transit_items;
mod transit_sign;
mod transit_uses;
mod userpass;
mod wrapping;

pub(crate) use reply::refusal;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use std::sync::Arc;

use scaivault_api::ErrorCode;
use scaivault_core::mount::MountKind;

use crate::app::App;
use crate::call::Passage;
use crate::problem::Problem;
use crate::rate_limit::Category;
use reply::Reply;
use request::Asked;

/// What is said of a mount whose kind has its place, and no more yet.
const PKI: &str = "pki: no certificates are issued here yet: nothing of a pki mount can be read or \
                   written, see docs/vault-api.md";
/// Before every path.
const ROOT: &str = "/v1/";
/// First segments of our own API: no mount is called so, and no request for one comes here.
pub(crate) const NATIVE: [&str; 18] = [
    "audit",
    "auth",
    "docs",
    "dynamic",
    "health",
    "identity",
    "metrics",
    "openapi.json",
    "partner",
    "policies",
    "rotation",
    "rotations",
    "secret-policies",
    "secrets",
    "subscriptions",
    "t",
    "version",
    "webhooks",
];
/// What stands behind `auth/` in our own API.
const NATIVE_AUTH: [&str; 7] = [
    "certificate",
    "exchange",
    "introspect",
    "login",
    "roles",
    "tokens",
    "whoami",
];
/// Headers that only clients of this API send.
const MARKS: [&str; 4] = [
    "x-vault-token",
    "x-vault-request",
    "x-vault-namespace",
    "x-vault-wrap-ttl",
];

/// Whether the client says that it speaks this API.
fn is_marked(headers: &HeaderMap) -> bool {
    MARKS.iter().any(|name| headers.contains_key(*name))
}

/// Whether a request is for this API. A path of our own API never is; one that is nobody's is when
/// the client says so, or shows a token: it may be below a mount.
pub(crate) fn is_asked(path: &str, headers: &HeaderMap) -> bool {
    let Some(path) = path.strip_prefix(ROOT) else {
        return false;
    };
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let second = rest.split('/').next().unwrap_or_default();
    match first {
        "sys" => true,
        "auth" if !NATIVE_AUTH.contains(&second) => {
            matches!(
                second,
                "token" | "approle" | "kubernetes" | "jwt" | "userpass"
            ) || is_marked(headers)
        }
        first if NATIVE.contains(&first) => false,
        _ => is_marked(headers) || headers.contains_key(axum::http::header::AUTHORIZATION),
    }
}

/// Answers, whatever comes.
pub(crate) async fn answer(
    app: &App,
    parts: Parts,
    body: Body,
    passage: &Arc<Passage>,
) -> Response {
    let asked = match Asked::read(parts, body, passage) {
        Ok(asked) => asked,
        Err(problem) => return refusal(&problem, passage),
    };
    let reply = match dispatch(app, &asked).await {
        Ok(reply) => wrapping::as_wanted(app, &asked, reply).await,
        refused => refused,
    };
    match reply {
        Ok(reply) => reply.render(passage),
        Err(problem) => refusal(&problem, passage),
    }
}

/// To the family that answers.
async fn dispatch(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    if let Some(problem) = &asked.unreadable {
        asked.enter(app, Category::Read).await?;
        // Who does not say that it speaks this API asked for nothing that is there.
        if !asked.is_marked {
            return reply::nothing_there(app, asked).await;
        }
        return Err(problem.clone());
    }
    let path = asked.path.as_str();
    if let Some(rest) = path.strip_prefix("sys/") {
        return sys(app, asked, rest).await;
    }
    if let Some(rest) = path.strip_prefix("auth/approle/") {
        return approle::answer(app, asked, rest).await;
    }
    if let Some(rest) = path.strip_prefix("auth/userpass/") {
        return userpass::answer(app, asked, rest).await;
    }
    for method in ["jwt", "kubernetes"] {
        let below = path
            .strip_prefix("auth/")
            .and_then(|path| path.strip_prefix(method));
        if let Some(rest) = below.and_then(|rest| rest.strip_prefix('/')) {
            return federated::answer(app, asked, rest).await;
        }
    }
    if let Some(rest) = path.strip_prefix("auth/token/") {
        return token::answer(app, asked, rest).await;
    }
    match path.strip_prefix("cubbyhole") {
        Some("") => return cubbyhole::answer(app, asked, "").await,
        Some(rest) if rest.starts_with('/') => {
            return cubbyhole::answer(app, asked, rest.trim_start_matches('/')).await;
        }
        _ => {}
    }
    mounted(app, asked).await
}

/// What stands behind a place: nothing, or a slash and more.
fn below<'a>(path: &'a str, place: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(place)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

async fn sys(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    if let Some(path) = below(rest, "mounts") {
        return mounts::answer(app, asked, path).await;
    }
    if let Some(path) = below(rest, "internal/ui/mounts") {
        return mounts::internal(app, asked, path).await;
    }
    if let Some(rest) = rest.strip_prefix("wrapping/") {
        return wrapping::answer(app, asked, rest).await;
    }
    match rest {
        "health" | "seal-status" | "leader" | "init" => health::answer(app, asked, rest).await,
        "capabilities" | "capabilities-self" | "capabilities-accessor" => {
            capabilities::answer(app, asked, rest).await
        }
        "renew" | "revoke" => leases::answer(app, asked, rest).await,
        _ if [
            "leases/",
            "renew/",
            "revoke/",
            "revoke-prefix/",
            "revoke-force/",
        ]
        .iter()
        .any(|begin| rest.starts_with(begin)) =>
        {
            let rest = rest.strip_prefix("leases/").unwrap_or(rest);
            leases::answer(app, asked, rest).await
        }
        "auth" => auths::answer(app, asked, "").await,
        "policy" | "policies/acl" => policies::answer(app, asked, rest).await,
        _ if rest.starts_with("auth/") => {
            let path = rest.strip_prefix("auth/").unwrap_or_default();
            auths::answer(app, asked, path).await
        }
        _ if rest.starts_with("policy/") || rest.starts_with("policies/acl/") => {
            policies::answer(app, asked, rest).await
        }
        _ => system::answer(app, asked, rest).await,
    }
}

/// Below a mount. Who asks is seen to before anything is said of what is mounted.
async fn mounted(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, asked.category()).await?;
    let mounts = app.vault.mounts(&caller).await?;
    let slashed = format!("{}/", asked.path);
    let found = mounts.of(&asked.path);
    // A list of a mount may come without its slash.
    let found = found.or_else(|| mounts.of(&slashed).map(|(mount, _)| (mount, "")));
    let Some((mount, rest)) = found else {
        return reply::nothing_there(app, asked).await;
    };
    match mount.kind {
        MountKind::Kv2 => kv2::answer(app, asked, mount, rest).await,
        MountKind::Database => database::answer(app, asked, mount, rest).await,
        MountKind::Kv1 => kv1::answer(app, asked, mount, rest).await,
        MountKind::Transit => transit::answer(app, asked, mount, rest).await,
        MountKind::Pki => Err(Problem::new(ErrorCode::InvalidRequest, PKI)),
        _ => {
            asked.enter(app, Category::Read).await?;
            Err(Problem::new(
                ErrorCode::InvalidRequest,
                "this kind of mount is not served yet: see docs/vault-api.md",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_our_own_is_known_here() {
        for operation in crate::routes::operations() {
            let path = operation.path;
            let path = path
                .strip_prefix(ROOT)
                .expect("every route is below the root");
            let mut segments = path.split('/');
            let first = segments.next().unwrap_or_default();
            assert!(NATIVE.contains(&first), "{path}");
            if first == "auth" {
                let second = segments.next().unwrap_or_default();
                assert!(NATIVE_AUTH.contains(&second), "{path}");
            }
        }
    }

    #[test]
    fn a_longer_name_is_another_place() {
        assert_eq!(below("mounts", "mounts"), Some(""));
        assert_eq!(below("mounts/a/tune", "mounts"), Some("/a/tune"));
        assert_eq!(below("mountsx", "mounts"), None);
        assert_eq!(below("internal/ui/mounts2/x", "internal/ui/mounts"), None);
    }

    fn asked(path: &str, header: Option<&'static str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(name) = header {
            headers.insert(name, "x".parse().unwrap());
        }
        is_asked(path, &headers)
    }

    #[test]
    fn our_own_api_is_not_taken_over() {
        for name in NATIVE.iter().filter(|name| **name != "auth") {
            for header in [None, Some("x-vault-token"), Some("authorization")] {
                assert!(!asked(&format!("/v1/{name}"), header), "{name}");
                assert!(!asked(&format!("/v1/{name}/data/x"), header), "{name}");
            }
        }
        for name in NATIVE_AUTH {
            assert!(!asked(&format!("/v1/auth/{name}"), Some("x-vault-token")));
        }
        for path in ["/", "/v1", "/v2/sys/health", "/v1/"] {
            assert!(!asked(path, None), "{path}");
        }
        assert!(!asked("/v1/secret/data/x", None));
    }

    #[test]
    fn what_is_theirs_is_found() {
        assert!(asked("/v1/sys/health", None));
        assert!(asked("/v1/auth/token/lookup-self", None));
        assert!(asked("/v1/auth/approle/login", None));
        assert!(asked("/v1/auth/elsewhere/login", Some("x-vault-request")));
        assert!(!asked("/v1/auth/elsewhere/login", None));
        for header in MARKS {
            assert!(asked("/v1/secret/data/x", Some(header)));
        }
        assert!(asked("/v1/secret/data/x", Some("authorization")));
    }
}
