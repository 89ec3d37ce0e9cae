//! Mounts, and what tokens keep for themselves.

use async_trait::async_trait;
use scaivault_core::cubbyhole::CubbyItem;
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::mount::Mount;
use scaivault_core::ports::{CommitError, MountReads, RecordKind};

use super::plan::{encode, write};
use super::row::{Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

const MOUNT: &str = "mount";
const CUBBY: &str = "cubby";

pub(crate) fn put(row: &Mount) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Mount),
        write(
            row.revision,
            "INSERT INTO mount (tenant, path, revision, doc) VALUES ($1, $2, $3, $4)",
            "UPDATE mount SET revision = $3, doc = $4
             WHERE tenant = $1 AND path = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.path.clone(),
        int(row.revision),
        encode(row)?,
    ))
}

pub(crate) fn delete(row: &Mount) -> Step {
    step!(
        Expect::One(RecordKind::Mount),
        "DELETE FROM mount WHERE tenant = $1 AND path = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.path.clone(),
        int(row.revision),
    )
}

pub(crate) fn put_cubby(row: &CubbyItem) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Cubby),
        write(
            row.revision,
            "INSERT INTO cubby (tenant, token_id, path, revision, doc) VALUES ($1, $2, $3, $4, $5)",
            "UPDATE cubby SET revision = $4, doc = $5
             WHERE tenant = $1 AND token_id = $2 AND path = $3 AND revision = $4::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.token_id.as_str().to_owned(),
        row.path.clone(),
        int(row.revision),
        encode(row)?,
    ))
}

pub(crate) fn delete_cubby(row: &CubbyItem) -> Step {
    step!(
        Expect::One(RecordKind::Cubby),
        "DELETE FROM cubby WHERE tenant = $1 AND token_id = $2 AND path = $3 AND revision = $4",
        row.tenant.as_str().to_owned(),
        row.token_id.as_str().to_owned(),
        row.path.clone(),
        int(row.revision),
    )
}

#[async_trait]
impl MountReads for PostgresStore {
    async fn mount_list(&self, tenant: &TenantId) -> Read<Vec<Mount>> {
        let sql = "SELECT tenant, path, doc FROM mount WHERE tenant = $1 ORDER BY path";
        self.docs(MOUNT, sql, &[&tenant.as_str()]).await
    }

    async fn cubby_find(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        path: &str,
    ) -> Read<Option<CubbyItem>> {
        let sql = "SELECT token_id, path, doc FROM cubby
                   WHERE tenant = $1 AND token_id = $2 AND path = $3";
        self.doc(CUBBY, sql, &[&tenant.as_str(), &token.as_str(), &path])
            .await
    }

    async fn cubby_list(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        rows: usize,
    ) -> Read<Vec<CubbyItem>> {
        let sql = "SELECT token_id, path, doc FROM cubby
                   WHERE tenant = $1 AND token_id = $2 ORDER BY path LIMIT $3";
        let (tenant, token) = (tenant.as_str(), token.as_str());
        self.docs(CUBBY, sql, &[&tenant, &token, &limit(rows)])
            .await
    }
}
