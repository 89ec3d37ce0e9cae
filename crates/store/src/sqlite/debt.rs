//! What is still to be removed at targets.

use scaivault_core::debt::Debt;
use scaivault_core::ids::{DebtId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{Read, delete_one, doc, docs, int, limit, readable_docs, write};
use crate::refusal::Refusal;

const TABLE: &str = "debt";

pub(crate) fn put(conn: &Conn, row: &Debt, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO debt (tenant, id, revision, wake_at, doc, path, target_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "UPDATE debt SET revision = ?3, wake_at = ?4, doc = ?5, path = ?6, target_id = ?7
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            row.tenant.as_str(),
            row.id.as_str(),
            int(row.revision),
            row.wake_at.map(Timestamp::as_micros),
            json,
            row.owed.path().map(SecretPath::as_str),
            row.target_id.as_str(),
        ),
    )?
    .or_conflict(RecordKind::Debt)
}

pub(crate) fn delete(conn: &Conn, row: &Debt) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Debt,
        "DELETE FROM debt WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.id.as_str(), int(row.revision)),
    )
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &DebtId) -> Read<Option<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt
               WHERE tenant = ?1 AND id > ?2 ORDER BY id  LIMIT ?3";
    let after = after.unwrap_or_default();
    docs(conn, TABLE, sql, (tenant.as_str(), after, limit(rows)))
}

/// Of one secret.
pub(crate) fn of_path(
    conn: &Conn,
    tenant: &TenantId,
    path: &SecretPath,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt INDEXED BY debt_path
               WHERE tenant = ?1 AND path = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    let params = (tenant.as_str(), path.as_str(), after, limit(rows));
    docs(conn, TABLE, sql, params)
}

/// At one target.
pub(crate) fn at_target(
    conn: &Conn,
    tenant: &TenantId,
    target: &TargetId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt INDEXED BY debt_target
               WHERE tenant = ?1 AND target_id = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
    let after = after.unwrap_or_default();
    let params = (tenant.as_str(), target.as_str(), after, limit(rows));
    docs(conn, TABLE, sql, params)
}

/// Longest overdue first.
pub(crate) fn due(conn: &Conn, now: Timestamp, rows: usize) -> Read<Vec<Debt>> {
    let sql = "SELECT tenant, id, doc FROM debt INDEXED BY debt_wake
               WHERE wake_at <= ?1
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
               ORDER BY wake_at";
    readable_docs(conn, TABLE, sql, [now.as_micros()], rows)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use scaivault_core::debt::Owed;
    use scaivault_core::ids::RotationId;
    use scaivault_core::rotation::Attached;
    use scaivault_core::target::Overlap;

    use super::*;
    use crate::chain_mac::ChainMac;
    use crate::rows::{RowKey, Rows};

    struct Mac;

    impl ChainMac for Mac {
        fn mac(&self, _: &[u8]) -> [u8; 32] {
            [7; 32]
        }
    }

    /// A debt written before its secret and target had columns.
    #[test]
    fn earlier_debts_are_found_too() {
        let rows = Arc::<Rows>::default();
        let key = RowKey::of(&Mac);
        let conn = Conn::new(rusqlite::Connection::open_in_memory().unwrap(), rows);
        for sql in [
            include_str!("migrations/0001_initial.sql"),
            include_str!("migrations/0002_targets.sql"),
            include_str!("migrations/0003_runs.sql"),
        ] {
            conn.execute_batch(sql).unwrap();
        }
        let tenant = TenantId::parse("tnt_a").unwrap();
        let target = TargetId::parse("tgt_1").unwrap();
        let path = SecretPath::parse("s/1").unwrap();
        let rotation_id = RotationId::parse("rtn_1").unwrap();
        let attached = Attached {
            target_id: target.clone(),
            target_name: "orders".into(),
            overlap: Overlap::NKeys,
            account: serde_json::Map::new(),
            is_manager: false,
        };
        let credential = Owed::Credential {
            path: path.clone(),
            version: 1,
            rotation_id: rotation_id.clone(),
            attached: attached.clone(),
            may_arrive: false,
        };
        let residue = Owed::Residue {
            path: path.clone(),
            rotation_id,
            attached,
            until: 1,
        };
        let account = Owed::Account {
            account: serde_json::Map::new(),
            overlap: Overlap::NKeys,
            tag: "t".into(),
        };
        for (number, owed) in [credential, residue, account].into_iter().enumerate() {
            let now = Timestamp::from_secs(1_800_000_000).plus(Duration::from_secs(1));
            let id = DebtId::parse(&format!("dbt_{number}")).unwrap();
            let at = (target.clone(), "orders".to_owned());
            let row = Debt::new(id, tenant.clone(), at, owed, now, now);
            conn.execute(
                "INSERT INTO debt (tenant, id, revision, wake_at, doc) VALUES (?1, ?2, 1, 1, ?3)",
                (tenant.as_str(), row.id.as_str(), key.encode(&row).unwrap()),
            )
            .unwrap();
        }
        conn.execute_batch(include_str!("migrations/0006_debts.sql"))
            .unwrap();
        conn.rows.start(key);
        assert_eq!(of_path(&conn, &tenant, &path, None, 9).unwrap().len(), 2);
        let there = at_target(&conn, &tenant, &target, None, 9).unwrap();
        assert_eq!(there.len(), 3);
    }
}
