//! Finding due work: what the three claims have in common, and when the next of each is due.

use rusqlite::Params;
use scaivault_core::ports::{NextWork, ReadError};
use scaivault_core::time::Timestamp;
use serde::de::DeserializeOwned;

use super::conn::Conn;
use super::row::{Read, decode, number};
use crate::refusal::Refusal;
use crate::rows::Document;

/// Rows of a query that selects `row number, tenant, key, doc, …`; `None` for a document that does
/// not decode.
pub(crate) fn due<T: Document + DeserializeOwned>(
    conn: &Conn,
    table: &'static str,
    sql: &str,
    params: impl Params,
) -> Result<Vec<(i64, Option<T>)>, Refusal> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut found = statement.query(params)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push((row.get(0)?, decode(conn, table, row, 1).ok()));
    }
    Ok(rows)
}

/// Puts a row that does not decode out of the way for as long as a claim: it is nobody's to do,
/// but it must not stand before the others for ever.
pub(crate) fn set_aside(
    conn: &Conn,
    table: &'static str,
    row: i64,
    until: Timestamp,
) -> Result<(), Refusal> {
    tracing::error!(table, row, "due work passed over: its row does not decode");
    conn.prepare_cached(&format!(
        "UPDATE {table} SET claimed_until = ?2 WHERE rowid = ?1"
    ))?
    .execute((row, until.as_micros()))?;
    Ok(())
}

/// To be called inside one read transaction.
pub(crate) fn next(conn: &Conn) -> Read<NextWork> {
    let assignment_at = earliest(
        conn,
        "SELECT wake_at FROM assignment INDEXED BY assignment_wake
         WHERE wake_at IS NOT NULL AND claimed_until IS NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
         ORDER BY wake_at LIMIT 1",
        "SELECT min(max(wake_at, claimed_until)) FROM assignment INDEXED BY assignment_held
         WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)",
    )?;
    let rotation_at = earliest(
        conn,
        "SELECT wake_at FROM rotation INDEXED BY rotation_wake
         WHERE wake_at IS NOT NULL AND target_id IS NULL AND claimed_until IS NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
         ORDER BY wake_at LIMIT 1",
        "SELECT min(max(wake_at, claimed_until)) FROM rotation INDEXED BY rotation_held
         WHERE claimed_until IS NOT NULL AND wake_at IS NOT NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)",
    )?;
    let at_target = number(
        conn,
        "SELECT wake_at FROM rotation INDEXED BY rotation_wake_at_target
         WHERE wake_at IS NOT NULL AND target_id IS NOT NULL AND claimed_until IS NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
         ORDER BY wake_at LIMIT 1",
        [],
    )?;
    let at_target = at_target.map(Timestamp::from_micros);
    let probe_at = earliest(
        conn,
        "SELECT probe_at FROM assignment INDEXED BY assignment_probe
         WHERE probe_at IS NOT NULL AND claimed_until IS NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
         ORDER BY probe_at LIMIT 1",
        "SELECT min(max(probe_at, claimed_until)) FROM assignment INDEXED BY assignment_probe_held
         WHERE claimed_until IS NOT NULL AND probe_at IS NOT NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)",
    )?;
    let first = |table: &str| {
        let sql = format!(
            "SELECT wake_at FROM {table} INDEXED BY {table}_wake
             WHERE wake_at IS NOT NULL
               AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
             ORDER BY wake_at LIMIT 1"
        );
        Ok::<_, ReadError>(number(conn, &sql, [])?.map(Timestamp::from_micros))
    };
    let delivery_at = earliest(
        conn,
        "SELECT due_at FROM delivery INDEXED BY delivery_wake
         WHERE due_at IS NOT NULL AND claimed_until IS NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
         ORDER BY due_at LIMIT 1",
        "SELECT min(max(due_at, claimed_until)) FROM delivery INDEXED BY delivery_held
         WHERE claimed_until IS NOT NULL AND due_at IS NOT NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)",
    )?;
    let notice_at = number(
        conn,
        "SELECT notice_at FROM secret INDEXED BY secret_notice
         WHERE notice_at IS NOT NULL
           AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended
               UNION ALL SELECT 'tnt_p-' || substr(id, 5) FROM partner
                         WHERE status = 'SUSPENDED')
         ORDER BY notice_at LIMIT 1",
        [],
    )?;
    Ok(NextWork {
        assignment_at,
        rotation_at: rotation_at.into_iter().chain(at_target).min(),
        probe_at,
        campaign_at: first("campaign")?,
        debt_at: first("debt")?,
        lease_at: number(
            conn,
            "SELECT min(wake_at) FROM lease INDEXED BY lease_wake WHERE wake_at IS NOT NULL",
            [],
        )?
        .map(Timestamp::from_micros),
        notice_at: notice_at.map(Timestamp::from_micros),
        delivery_at,
    })
}

fn earliest(conn: &Conn, free: &str, held: &str) -> Read<Option<Timestamp>> {
    let (free, held) = (number(conn, free, [])?, number(conn, held, [])?);
    Ok(free
        .into_iter()
        .chain(held)
        .min()
        .map(Timestamp::from_micros))
}
