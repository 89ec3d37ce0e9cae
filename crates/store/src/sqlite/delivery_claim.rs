//! Claims on deliveries: fair among receivers, in order within each.
//!
//! A claim first moves what has become due from `delivery_waiting` to `delivery_ready`, each row
//! once per attempt, then steps from receiver to receiver through `delivery_ready`, looking at
//! one row of each. Its cost follows the number of receivers with work, not that of their rows.

use std::collections::HashSet;
use std::time::Duration;

use rusqlite::OptionalExtension;
use scaivault_core::delivery::Delivery;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{Read, decode};
use crate::refusal::Refusal;

/// Rows one claim makes ready at most. Those that wait longest come first, so none is forgotten.
const READY_MAX: i64 = 5_000;

/// Claims at most one delivery per receiver: the oldest event's among those due. A receiver that
/// has a delivery in someone's hands is passed over: a second one at the same time would break
/// its order. The walk begins behind receiver `from`, and returns the last receiver served, so
/// that no receiver is always last.
pub(crate) fn claim(
    conn: &Conn,
    now: Timestamp,
    hold: Duration,
    busy: &[String],
    rows: usize,
    from: &str,
) -> Result<(Vec<Delivery>, String), Refusal> {
    make_ready(conn, now)?;
    let busy: HashSet<&str> = busy.iter().map(String::as_str).collect();
    let until = now.plus(hold);
    let mut claimed = Vec::new();
    let mut at = from.to_owned();
    let mut wrapped = false;
    while claimed.len() < rows {
        let Some(receiver) = next_receiver(conn, &at)? else {
            if wrapped {
                break;
            }
            (wrapped, at) = (true, String::new());
            continue;
        };
        if wrapped && receiver.as_str() > from {
            break;
        }
        at = receiver;
        if !busy.contains(at.as_str()) && !is_held(conn, &at, now)? {
            claimed.extend(claim_oldest(conn, &at, now, until)?);
        }
    }
    let last = claimed
        .last()
        .map_or(from, |delivery: &Delivery| delivery.receiver.as_str());
    let last = last.to_owned();
    Ok((claimed, last))
}

fn make_ready(conn: &Conn, now: Timestamp) -> Result<(), Refusal> {
    let mut waiting = conn.prepare_cached(
        "SELECT free_at, row_id, receiver, event_position FROM delivery_waiting
         WHERE free_at <= ?1 ORDER BY free_at, row_id LIMIT ?2",
    )?;
    let due = waiting.query_map((now.as_micros(), READY_MAX), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let due: Vec<(i64, i64, String, i64)> = due.collect::<Result<_, _>>()?;
    for (free_at, row, receiver, position) in due {
        conn.prepare_cached("DELETE FROM delivery_waiting WHERE free_at = ?1 AND row_id = ?2")?
            .execute((free_at, row))?;
        conn.prepare_cached(
            "INSERT INTO delivery_ready (receiver, event_position, row_id, free_at)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((receiver, position, row, free_at))?;
    }
    Ok(())
}

fn next_receiver(conn: &Conn, after: &str) -> Result<Option<String>, Refusal> {
    let found = conn
        .prepare_cached(
            "SELECT receiver FROM delivery_ready WHERE receiver > ?1 ORDER BY receiver LIMIT 1",
        )?
        .query_row([after], |row| row.get(0))
        .optional()?;
    Ok(found)
}

fn is_held(conn: &Conn, receiver: &str, now: Timestamp) -> Result<bool, Refusal> {
    let held = conn
        .prepare_cached(
            "SELECT 1 FROM delivery INDEXED BY delivery_held
             WHERE receiver = ?1 AND claimed_until > ?2 AND due_at IS NOT NULL",
        )?
        .exists((receiver, now.as_micros()))?;
    Ok(held)
}

/// The receiver's oldest ready delivery. The time is checked again: a clock that was set back
/// makes what is ready early.
fn claim_oldest(
    conn: &Conn,
    receiver: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Delivery>, Refusal> {
    loop {
        let found: Option<(i64, i64, Read<Delivery>)> = conn
            .prepare_cached(
                "SELECT r.row_id, r.event_position,
                        d.tenant, d.id, d.doc, d.revision, d.claimed_until, d.due_at
                 FROM delivery_ready r JOIN delivery d ON d.row_id = r.row_id
                 WHERE r.receiver = ?1 AND r.free_at <= ?2
                   AND d.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
                 ORDER BY r.event_position LIMIT 1",
            )?
            .query_row((receiver, now.as_micros()), |row| {
                Ok((row.get(0)?, row.get(1)?, decode(conn, "delivery", row, 2)))
            })
            .optional()?;
        let Some((row, position, decoded)) = found else {
            return Ok(None);
        };
        if let Ok(mut delivery) = decoded {
            delivery.revision += 1;
            delivery.claimed_until = Some(until);
            super::delivery::put(conn, &delivery, &super::row::encode(conn, &delivery)?)?;
            return Ok(Some(delivery));
        }
        postpone(conn, receiver, position, row, until)?;
    }
}

/// Puts a delivery that does not decode off by the length of a claim, without holding its receiver
/// back: it is nobody's to do, but it must not stand before the others for ever.
fn postpone(
    conn: &Conn,
    receiver: &str,
    position: i64,
    row: i64,
    until: Timestamp,
) -> Result<(), Refusal> {
    tracing::error!(
        table = "delivery",
        row,
        "due work passed over: its row does not decode"
    );
    let until = until.as_micros();
    conn.prepare_cached("UPDATE delivery SET due_at = ?2, claimed_until = NULL WHERE row_id = ?1")?
        .execute((row, until))?;
    conn.prepare_cached(
        "DELETE FROM delivery_ready WHERE receiver = ?1 AND event_position = ?2 AND row_id = ?3",
    )?
    .execute((receiver, position, row))?;
    conn.prepare_cached(
        "INSERT INTO delivery_waiting (free_at, row_id, receiver, event_position)
         VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((until, row, receiver, position))?;
    Ok(())
}
