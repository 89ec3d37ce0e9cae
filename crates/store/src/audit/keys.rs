//! The keys of the audit index: which secret and which identity a line speaks of, each hashed with
//! its tenant to 64 bits. Two keys of one hash cost a look into a segment too many, nothing else.

use std::borrow::Cow;

use memchr::memmem;
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
    let named = plain(line).or_else(|| serde_json::from_slice(line).ok());
    let (identity, path) = named.map_or((None, None), |named| {
        let identity = identity_key(&named.tenant_id, &named.identity_id);
        let path = named
            .secret_path
            .map(|path| path_key(&named.tenant_id, &path));
        (Some(identity), path)
    });
    identity.into_iter().chain(path)
}

/// The names, cut out of a line in which nothing of them is escaped. A quotation mark within a text
/// always has a backslash before it, so `"tenant_id":"` is nowhere but where that field begins.
fn plain(line: &[u8]) -> Option<Named<'_>> {
    let (tenant_id, rest) = cut(line, b"\"tenant_id\":\"")?;
    let (identity_id, rest) = cut(rest, b"\"identity_id\":\"")?;
    let secret_path = match memmem::find(rest, PATH_FIELD) {
        Some(at) => Some(cut(&rest[at..], PATH_FIELD)?.0.into()),
        None => None,
    };
    Some(Named {
        tenant_id: tenant_id.into(),
        identity_id: identity_id.into(),
        secret_path,
    })
}

const PATH_FIELD: &[u8] = b"\"secret_path\":\"";

/// The text of the field that begins so, and what follows it. `None` as well when it has escapes.
fn cut<'a>(line: &'a [u8], field: &[u8]) -> Option<(&'a str, &'a [u8])> {
    let rest = &line[memmem::find(line, field)? + field.len()..];
    let end = memchr::memchr2(b'"', b'\\', rest)?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    (rest[end] == b'"').then_some((text, &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_decoding(line: &str) -> Vec<i64> {
        let named: Option<Named<'_>> = serde_json::from_str(line).ok();
        named.map_or_else(Vec::new, |named| {
            let path = named.secret_path.as_deref();
            let path = path.map(|path| path_key(&named.tenant_id, path));
            let identity = identity_key(&named.tenant_id, &named.identity_id);
            std::iter::once(identity).chain(path).collect()
        })
    }

    #[test]
    fn keys_are_those_of_the_decoded_line() {
        let bait = r#"x\",\"secret_path\":\"app/other\",\"tenant_id\":\"tnt_b"#;
        let lines = [
            r#"{"id":"log_1","timestamp":1,"tenant_id":"tnt_a","action":"read","identity_type":"user","identity_id":"user:a","secret_path":"app/db","success":true}"#.to_owned(),
            r#"{"id":"log_1","tenant_id":"tnt_a","identity_id":"user:a","success":true}"#.to_owned(),
            r#"{"id":"log_1","tenant_id":"tnt_a","identity_id":"user:a\"b\\","secret_path":"app/db"}"#.to_owned(),
            format!(r#"{{"id":"log_1","tenant_id":"tnt_a","identity_id":"user:a","user_agent":"{bait}"}}"#),
            format!(r#"{{"id":"log_1","tenant_id":"tnt_a","identity_id":"{bait}","secret_path":"app/db"}}"#),
        ];
        for line in lines {
            let expect = by_decoding(&line);
            assert!(!expect.is_empty(), "{line}");
            assert_eq!(
                row_keys(line.as_bytes()).collect::<Vec<_>>(),
                expect,
                "{line}"
            );
        }
        assert_eq!(row_keys(b"{\"id\":\"log_1").count(), 0);
    }
}
