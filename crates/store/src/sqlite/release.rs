//! Giving back what a process that is gone held: for the one that has the store for itself.

use scaivault_core::delivery::Delivery;
use scaivault_core::rotation::{Assignment, Rotation};
use serde::de::DeserializeOwned;

use super::conn::Conn;
use super::row::{decode, encode};
use super::{assignment, delivery, rotation};
use crate::refusal::Refusal;
use crate::rows::Document;

/// Frees every held row by a write of its own number, so that nothing begun before can still
/// write it. A rotation whose effect may be under way at a target stays held until its claim
/// lapses: what was sent may still arrive, and where the target holds no number nothing else
/// keeps two changes apart. Answers how many rows were freed.
pub(crate) fn release(conn: &Conn) -> Result<usize, Refusal> {
    let mut freed = 0;
    for mut row in held::<Assignment>(conn, "assignment", "1")? {
        row.revision += 1;
        row.claimed_until = None;
        assignment::put(conn, &row, &encode(conn, &row)?)?;
        freed += 1;
    }
    let quiet = "coalesce(json_extract(doc, '$.at_target.in_flight'), '') != 'sent'";
    for mut row in held::<Rotation>(conn, "rotation", quiet)? {
        row.revision += 1;
        row.claimed_until = None;
        rotation::put(conn, &row, &encode(conn, &row)?)?;
        freed += 1;
    }
    for mut row in held::<Delivery>(conn, "delivery", "due_at IS NOT NULL")? {
        row.revision += 1;
        row.claimed_until = None;
        delivery::put(conn, &row, &encode(conn, &row)?)?;
        freed += 1;
    }
    Ok(freed)
}

/// Rows that do not decode stay held: a claim passes them over.
fn held<T: Document + DeserializeOwned>(
    conn: &Conn,
    table: &'static str,
    also: &str,
) -> Result<Vec<T>, Refusal> {
    let key = if table == "assignment" { "path" } else { "id" };
    let due = if table == "delivery" {
        "due_at"
    } else {
        "wake_at"
    };
    let sql = format!(
        "SELECT tenant, {key}, doc, revision, claimed_until, {due} FROM {table}
         WHERE claimed_until IS NOT NULL AND {also}"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = statement.query([])?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.extend(decode::<T>(conn, table, row, 0).ok());
    }
    Ok(rows)
}
