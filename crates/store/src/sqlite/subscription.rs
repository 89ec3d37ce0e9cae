//! Subscriptions.

use scaivault_core::ids::{SubscriptionId, TenantId};
use scaivault_core::ports::RecordKind;
use scaivault_core::receiver::Subscription;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, write};
use crate::refusal::Refusal;

const TABLE: &str = "subscription";

pub(crate) fn put(conn: &Conn, subscription: &Subscription, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        subscription.revision,
        "INSERT INTO subscription (tenant, id, revision, doc) VALUES (?1, ?2, ?3, ?4)",
        "UPDATE subscription SET revision = ?3, doc = ?4
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            subscription.tenant.as_str(),
            subscription.id.as_str(),
            int(subscription.revision),
            json,
        ),
    )?
    .or_conflict(RecordKind::Subscription)
}

/// Its count of dropped events goes with it: the id never comes again.
pub(crate) fn delete(conn: &Conn, subscription: &Subscription) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Subscription,
        "DELETE FROM subscription WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            subscription.tenant.as_str(),
            subscription.id.as_str(),
            int(subscription.revision),
        ),
    )?;
    conn.prepare_cached("DELETE FROM receiver_dropped WHERE receiver = ?1")?
        .execute([subscription.id.as_str()])?;
    Ok(())
}

pub(crate) fn find(
    conn: &Conn,
    tenant: &TenantId,
    id: &SubscriptionId,
) -> Read<Option<Subscription>> {
    let sql = "SELECT tenant, id, doc FROM subscription WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(conn: &Conn, tenant: &TenantId) -> Read<Vec<Subscription>> {
    let sql = "SELECT tenant, id, doc FROM subscription WHERE tenant = ?1 ORDER BY id";
    docs(conn, TABLE, sql, [tenant.as_str()])
}

/// Of all tenants, behind `after`.
pub(crate) fn page(conn: &Conn, after: (&str, &str), rows: usize) -> Read<Vec<Subscription>> {
    let sql = "SELECT tenant, id, doc FROM subscription WHERE (tenant, id) > (?1, ?2)
               ORDER BY tenant, id LIMIT ?3";
    docs(conn, TABLE, sql, (after.0, after.1, limit(rows)))
}
