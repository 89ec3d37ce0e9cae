//! Webhooks.

use scaivault_core::ids::{TenantId, WebhookId};
use scaivault_core::ports::RecordKind;
use scaivault_core::receiver::Webhook;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, write};
use crate::refusal::Refusal;

const TABLE: &str = "webhook";

pub(crate) fn put(conn: &Conn, webhook: &Webhook, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        webhook.revision,
        "INSERT INTO webhook (tenant, id, revision, doc) VALUES (?1, ?2, ?3, ?4)",
        "UPDATE webhook SET revision = ?3, doc = ?4
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            webhook.tenant.as_str(),
            webhook.id.as_str(),
            int(webhook.revision),
            json,
        ),
    )?
    .or_conflict(RecordKind::Webhook)
}

pub(crate) fn delete(conn: &Conn, webhook: &Webhook) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Webhook,
        "DELETE FROM webhook WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            webhook.tenant.as_str(),
            webhook.id.as_str(),
            int(webhook.revision),
        ),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &WebhookId) -> Read<Option<Webhook>> {
    let sql = "SELECT tenant, id, doc FROM webhook WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(conn: &Conn, tenant: &TenantId) -> Read<Vec<Webhook>> {
    let sql = "SELECT tenant, id, doc FROM webhook WHERE tenant = ?1 ORDER BY id";
    docs(conn, TABLE, sql, [tenant.as_str()])
}
