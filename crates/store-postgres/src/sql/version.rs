//! Versions. The value is written once, with the row, and never changed; state changes write the
//! rest of the row.

use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, RecordKind};
use scaivault_core::secret::{SealedVersion, Version};

use super::plan::encode;
use super::row::int;
use crate::step::{Expect, Step, step};
use scaivault_store::rows::Rows;

const ONE: Expect = Expect::One(RecordKind::Version);

/// Newest first.
pub(crate) const LIST: &str = "SELECT tenant, path || '#' || version, doc FROM version
    WHERE tenant = $1 AND path = $2 ORDER BY version DESC";

/// A state change. Only [`insert`] makes a row: one put with revision 1 would have no value.
pub(crate) fn put(rows: &Rows, version: &Version) -> Result<Step, CommitError> {
    if version.revision <= 1 {
        return Err(CommitError::Conflict(RecordKind::Version));
    }
    Ok(step!(
        ONE,
        "UPDATE version SET revision = $4, doc = $5
         WHERE tenant = $1 AND path = $2 AND version = $3 AND revision = $4::bigint - 1",
        version.tenant.as_str().to_owned(),
        version.path.as_str().to_owned(),
        int(version.version),
        int(version.revision),
        encode(rows, version)?,
    )
    .or_many(
        "UPDATE version v SET revision = r.revision, doc = r.doc
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[])
              AS r (tenant, path, version, revision, doc)
         WHERE v.tenant = r.tenant AND v.path = r.path AND v.version = r.version
           AND v.revision = r.revision - 1",
    ))
}

pub(crate) fn insert(rows: &Rows, sealed: &SealedVersion) -> Result<Step, CommitError> {
    let version = &sealed.version;
    if version.revision != 1 {
        return Err(CommitError::Conflict(RecordKind::Version));
    }
    Ok(step!(
        ONE,
        "INSERT INTO version (tenant, path, version, revision, doc, sealed)
         VALUES ($1, $2, $3, 1, $4, $5)",
        version.tenant.as_str().to_owned(),
        version.path.as_str().to_owned(),
        int(version.version),
        encode(rows, version)?,
        sealed.sealed.0.clone(),
    )
    .or_many(
        "INSERT INTO version (tenant, path, version, revision, doc, sealed)
         SELECT r.tenant, r.path, r.version, 1, r.doc, r.sealed
         FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[])
              AS r (tenant, path, version, doc, sealed)",
    ))
}

pub(crate) fn delete(version: &Version) -> Step {
    step!(
        ONE,
        "DELETE FROM version
         WHERE tenant = $1 AND path = $2 AND version = $3 AND revision = $4",
        version.tenant.as_str().to_owned(),
        version.path.as_str().to_owned(),
        int(version.version),
        int(version.revision),
    )
}

/// Removing what is not there succeeds.
pub(crate) fn remove(tenant: &TenantId, path: &SecretPath, version: u64) -> Step {
    step!(
        Expect::Any,
        "DELETE FROM version WHERE tenant = $1 AND path = $2 AND version = $3",
        tenant.as_str().to_owned(),
        path.as_str().to_owned(),
        int(version),
    )
    .or_many(
        "DELETE FROM version v
         USING unnest($1::text[], $2::text[], $3::bigint[]) AS r (tenant, path, version)
         WHERE v.tenant = r.tenant AND v.path = r.path AND v.version = r.version",
    )
}
