//! Partners and tenants.

use async_trait::async_trait;
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::ports::{CommitError, RecordKind, TenancyReads, TenantFilter};
use scaivault_core::tenancy::{Partner, Status, Tenant};

use super::plan::{encode, write};
use super::row::{Read, count, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

pub(crate) fn put_partner(rows: &Rows, row: &Partner) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::Partner, "slug", "partner_slug"),
        write(
            row.revision,
            "INSERT INTO partner (id, revision, slug, status, doc) VALUES ($1, $2, $3, $4, $5)",
            "UPDATE partner SET revision = $2, slug = $3, status = $4, doc = $5
             WHERE id = $1 AND revision = $2::bigint - 1",
        ),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.slug.clone(),
        row.status.as_str().to_owned(),
        encode(rows, row)?,
    ))
}

pub(crate) fn put_tenant(rows: &Rows, row: &Tenant) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::Unique(RecordKind::Tenant, "slug", "tenant_slug"),
        write(
            row.revision,
            "INSERT INTO tenant (id, revision, partner, slug, is_suspended, doc)
             VALUES ($1, $2, $3, $4, $5, $6)",
            "UPDATE tenant SET revision = $2, partner = $3, slug = $4, is_suspended = $5, doc = $6
             WHERE id = $1 AND revision = $2::bigint - 1",
        ),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.partner.as_str().to_owned(),
        row.slug.clone(),
        row.is_suspended(),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_partner(row: &Partner) -> Step {
    step!(
        Expect::One(RecordKind::Partner),
        "DELETE FROM partner WHERE id = $1 AND revision = $2",
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

pub(crate) fn delete_tenant(row: &Tenant) -> Step {
    step!(
        Expect::One(RecordKind::Tenant),
        "DELETE FROM tenant WHERE id = $1 AND revision = $2",
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

#[async_trait]
impl TenancyReads for PostgresStore {
    async fn partner_find(&self, id: &PartnerId) -> Read<Option<Partner>> {
        let sql = "SELECT 'partner', id, doc FROM partner WHERE id = $1";
        self.doc("partner", sql, &[&id.as_str()]).await
    }

    async fn partner_list(
        &self,
        status: Option<Status>,
        skip: usize,
        rows: usize,
    ) -> Read<(Vec<Partner>, u64)> {
        let status = status.map(Status::as_str);
        let total = "SELECT count(*) FROM partner WHERE $1::text IS NULL OR status = $1";
        let total = self.rows(total, &[&status]).await?;
        let total = total.first().map_or(Ok(0), |row| count(row, 0))?;
        let sql = "SELECT 'partner', id, doc FROM partner WHERE $1::text IS NULL OR status = $1
                   ORDER BY id LIMIT $2 OFFSET $3";
        let page = self
            .docs("partner", sql, &[&status, &limit(rows), &limit(skip)])
            .await?;
        Ok((page, total))
    }

    async fn tenant_find(&self, id: &TenantId) -> Read<Option<Tenant>> {
        let sql = "SELECT 'tenant', id, doc FROM tenant WHERE id = $1";
        self.doc("tenant", sql, &[&id.as_str()]).await
    }

    async fn tenant_list(
        &self,
        filter: &TenantFilter,
        skip: usize,
        rows: usize,
    ) -> Read<(Vec<Tenant>, u64)> {
        let partner = filter.partner.as_ref().map(PartnerId::as_str);
        let suspended = filter.status.map(|status| status == Status::Suspended);
        let total = "SELECT count(*) FROM tenant
                     WHERE ($1::text IS NULL OR partner = $1)
                       AND ($2::boolean IS NULL OR is_suspended = $2)";
        let total = self.rows(total, &[&partner, &suspended]).await?;
        let total = total.first().map_or(Ok(0), |row| count(row, 0))?;
        let sql = "SELECT 'tenant', id, doc FROM tenant
                   WHERE ($1::text IS NULL OR partner = $1)
                     AND ($2::boolean IS NULL OR is_suspended = $2)
                   ORDER BY id LIMIT $3 OFFSET $4";
        let (rows, skip) = (limit(rows), limit(skip));
        let page = self
            .docs("tenant", sql, &[&partner, &suspended, &rows, &skip])
            .await?;
        Ok((page, total))
    }
}
