//! Partners and tenants.

use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::ports::{RecordKind, TenantFilter};
use scaivault_core::tenancy::{Partner, Status, Tenant};

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, number, uint, write};
use crate::refusal::Refusal;

pub(crate) fn put_partner(conn: &Conn, row: &Partner, json: &str) -> Result<(), Refusal> {
    let key = (row.id.as_str(),);
    let params = (
        key.0,
        int(row.revision),
        &row.slug,
        row.status.as_str(),
        json,
    );
    write(
        conn,
        row.revision,
        "INSERT INTO partner (id, revision, slug, status, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
        "UPDATE partner SET revision = ?2, slug = ?3, status = ?4, doc = ?5
         WHERE id = ?1 AND revision = ?2 - 1",
        params,
    )?
    .or_duplicate(
        conn,
        RecordKind::Partner,
        "slug",
        row.revision,
        "SELECT 1 FROM partner WHERE id = ?1",
        key,
    )
}

pub(crate) fn put_tenant(conn: &Conn, row: &Tenant, json: &str) -> Result<(), Refusal> {
    let key = (row.id.as_str(),);
    let params = (
        key.0,
        int(row.revision),
        row.partner.as_str(),
        &row.slug,
        row.is_suspended(),
        json,
    );
    write(
        conn,
        row.revision,
        "INSERT INTO tenant (id, revision, partner, slug, is_suspended, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        "UPDATE tenant SET revision = ?2, partner = ?3, slug = ?4, is_suspended = ?5, doc = ?6
         WHERE id = ?1 AND revision = ?2 - 1",
        params,
    )?
    .or_duplicate(
        conn,
        RecordKind::Tenant,
        "slug",
        row.revision,
        "SELECT 1 FROM tenant WHERE id = ?1",
        key,
    )
}

pub(crate) fn delete_partner(conn: &Conn, row: &Partner) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Partner,
        "DELETE FROM partner WHERE id = ?1 AND revision = ?2",
        (row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn delete_tenant(conn: &Conn, row: &Tenant) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Tenant,
        "DELETE FROM tenant WHERE id = ?1 AND revision = ?2",
        (row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn find_partner(conn: &Conn, id: &PartnerId) -> Read<Option<Partner>> {
    let sql = "SELECT 'partner', id, doc FROM partner WHERE id = ?1";
    doc(conn, "partner", sql, (id.as_str(),))
}

pub(crate) fn find_tenant(conn: &Conn, id: &TenantId) -> Read<Option<Tenant>> {
    let sql = "SELECT 'tenant', id, doc FROM tenant WHERE id = ?1";
    doc(conn, "tenant", sql, (id.as_str(),))
}

pub(crate) fn list_partners(
    conn: &Conn,
    status: Option<Status>,
    skip: usize,
    rows: usize,
) -> Read<(Vec<Partner>, u64)> {
    let status = status.map(Status::as_str);
    let total = "SELECT count(*) FROM partner WHERE ?1 IS NULL OR status = ?1";
    let sql = "SELECT 'partner', id, doc FROM partner WHERE ?1 IS NULL OR status = ?1
               ORDER BY id LIMIT ?2 OFFSET ?3";
    let total = number(conn, total, (status,))?.map_or(0, uint);
    let page = docs(conn, "partner", sql, (status, limit(rows), limit(skip)))?;
    Ok((page, total))
}

pub(crate) fn list_tenants(
    conn: &Conn,
    filter: &TenantFilter,
    skip: usize,
    rows: usize,
) -> Read<(Vec<Tenant>, u64)> {
    let partner = filter.partner.as_ref().map(PartnerId::as_str);
    let suspended = filter.status.map(|status| status == Status::Suspended);
    let total = "SELECT count(*) FROM tenant
                 WHERE (?1 IS NULL OR partner = ?1) AND (?2 IS NULL OR is_suspended = ?2)";
    let sql = "SELECT 'tenant', id, doc FROM tenant
               WHERE (?1 IS NULL OR partner = ?1) AND (?2 IS NULL OR is_suspended = ?2)
               ORDER BY id LIMIT ?3 OFFSET ?4";
    let total = number(conn, total, (partner, suspended))?.map_or(0, uint);
    let page = (partner, suspended, limit(rows), limit(skip));
    Ok((docs(conn, "tenant", sql, page)?, total))
}
