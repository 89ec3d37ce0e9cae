//! The keys of the audit index: which secret and which identity a line speaks of, each hashed with
//! its tenant to 64 bits. Two keys of one hash cost a look into a segment too many, nothing else.

use std::borrow::Cow;

use scaivault_core::audit::AuditFilter;
use scaivault_core::identity::Identity;
use scaivault_core::path::SecretPath;
use serde::Deserialize;
use sha2::{Digest, Sha256};

fn key(tenant: &str, kind: &str, name: &str) -> i64 {
    let hash = Sha256::new()
        .chain_update(tenant)
        .chain_update(kind)
        .chain_update(name)
        .finalize();
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    i64::from_be_bytes(first)
}

/// The key of a secret's rows.
fn path_key(tenant: &str, path: &str) -> i64 {
    key(tenant, "\0path\0", path)
}

/// The key of an identity's rows.
fn identity_key(tenant: &str, identity: &str) -> i64 {
    key(tenant, "\0identity\0", identity)
}

/// The key under which the rows a filter asks for are found: the index serves questions for one
/// secret, or else one identity, of one tenant.
pub fn filter_key(filter: &AuditFilter) -> Option<i64> {
    let tenant = filter.tenant.as_ref()?;
    let path = filter.path.as_ref().map(SecretPath::as_str);
    let by_path = path.map(|path| path_key(tenant.as_str(), path));
    let identity = filter
        .identity_id
        .as_deref()
        .filter(|name| Identity::parse(name).is_ok());
    by_path.or_else(|| identity.map(|name| identity_key(tenant.as_str(), name)))
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    identity_id: Cow<'a, str>,
    #[serde(borrow, default)]
    secret_path: Option<Cow<'a, str>>,
}

/// The keys of a line; none for a line that does not decode (the verifier names it).
pub fn row_keys(line: &[u8]) -> impl Iterator<Item = i64> {
    let named: Option<Named<'_>> = serde_json::from_slice(line).ok();
    let (identity, path) = named.map_or((None, None), |named| {
        let identity = identity_key(&named.tenant_id, &named.identity_id);
        let path = named
            .secret_path
            .map(|path| path_key(&named.tenant_id, &path));
        (Some(identity), path)
    });
    identity.into_iter().chain(path)
}
