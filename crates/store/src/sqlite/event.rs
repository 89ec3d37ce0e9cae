//! The outbox: events, their places, and how far they were fanned out.

use rusqlite::Row;
use scaivault_core::event::{Event, StoredEvent};
use scaivault_core::ids::{EventId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::RecordKind;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::meta;
use super::row::{Read, decode, int, limit, rows, uint, unreadable};
use crate::refusal::Refusal;

const TABLE: &str = "event";
/// Events one [`prune`] removes at most.
const PRUNE_MAX: usize = 5_000;
/// Events one [`prune`] looks at, at most.
const PRUNE_LOOKS: i64 = 20_000;

/// Puts an event into the outbox, next in its path's sequence.
pub(crate) fn emit(conn: &Conn, event: &Event, json: &str) -> Result<(), Refusal> {
    let sequence: i64 = match &event.path {
        None => 0,
        Some(path) => next_in_sequence(conn, &event.tenant, path)?,
    };
    conn.prepare_cached(
        "INSERT INTO event (tenant, id, sequence, at, doc) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        event.tenant.as_str(),
        event.id.as_str(),
        sequence,
        event.at.as_micros(),
        json,
    ))
    .map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Refusal::Failed("an event of this id is in the outbox already".to_owned())
        }
        _ => Refusal::Engine(error),
    })?;
    Ok(())
}

fn next_in_sequence(conn: &Conn, tenant: &TenantId, path: &SecretPath) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        "INSERT INTO event_sequence (tenant, path, last) VALUES (?1, ?2, 1)
         ON CONFLICT (tenant, path) DO UPDATE SET last = last + 1 RETURNING last",
    )?
    .query_row((tenant.as_str(), path.as_str()), |row| row.get(0))
}

/// Moves the mark; a conflict when it is not at `from`. There is no kind for the mark: what races
/// for it is the making of deliveries.
pub(crate) fn fan_out_advance(conn: &Conn, from: u64, to: u64) -> Result<(), Refusal> {
    match meta::advance(conn, meta::FAN_OUT, from, to)? {
        true => Ok(()),
        false => Err(Refusal::Conflict(RecordKind::Delivery)),
    }
}

/// Where the next [`prune`] goes on: behind the last event it looked at. Held in memory: after a
/// restart it begins at the oldest again.
pub(crate) type PruneMark = (i64, i64);

/// Before the oldest event.
pub(crate) const PRUNE_START: PruneMark = (i64::MIN, i64::MIN);

/// Removes fanned-out events older than `before` that no delivery waits for, with their deliveries:
/// some at a time, oldest first. Returns where to go on; events that must stay (a polling receiver
/// that never comes) are so passed over, and looked at again only in the next round. What is kept
/// for a subscription that is gone is waited for by nobody: it was put on its way by somebody who did
/// not know yet.
pub(crate) fn prune(conn: &Conn, before: Timestamp, mark: PruneMark) -> Result<PruneMark, Refusal> {
    let fanned_out = meta::read(conn, meta::FAN_OUT)?;
    let mut statement = conn.prepare_cached(
        "SELECT at, position,
                EXISTS (SELECT 1 FROM delivery d
                        WHERE d.event_position = event.position AND d.state = 'pending'
                          AND (d.due_at IS NOT NULL
                               OR EXISTS (SELECT 1 FROM subscription s
                                          WHERE s.tenant = d.tenant AND s.id = d.receiver)))
         FROM event INDEXED BY event_at
         WHERE (at, position) > (?1, ?2) AND at < ?3 AND position <= ?4
         ORDER BY at, position LIMIT ?5",
    )?;
    let mut found = statement.query((
        mark.0,
        mark.1,
        before.as_micros(),
        int(fanned_out),
        PRUNE_LOOKS,
    ))?;
    let mut gone = Vec::new();
    let mut looks = 0;
    let mut next = mark;
    while gone.len() < PRUNE_MAX
        && let Some(row) = found.next()?
    {
        looks += 1;
        next = (row.get(0)?, row.get(1)?);
        if !row.get::<_, bool>(2)? {
            gone.push(next.1);
        }
    }
    drop(found);
    // Deliveries of tests: they have no event that takes them along.
    conn.prepare_cached(
        "DELETE FROM delivery WHERE row_id IN (
             SELECT row_id FROM delivery INDEXED BY delivery_event
             WHERE event_position = 0 AND state <> 'pending' AND created_at < ?1 LIMIT ?2)",
    )?
    .execute((before.as_micros(), limit(PRUNE_MAX)))?;
    for position in &gone {
        conn.prepare_cached("DELETE FROM delivery WHERE event_position = ?1")?
            .execute([position])?;
        conn.prepare_cached("DELETE FROM event WHERE position = ?1")?
            .execute([position])?;
    }
    let more = gone.len() == PRUNE_MAX || looks == PRUNE_LOOKS;
    Ok(if more { next } else { PRUNE_START })
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &EventId) -> Read<Option<StoredEvent>> {
    let sql = "SELECT position, sequence, tenant, id, doc FROM event
               WHERE tenant = ?1 AND id = ?2";
    Ok(rows(conn, sql, (tenant.as_str(), id.as_str()), |row| {
        stored(conn, row)
    })?
    .pop())
}

/// To be called inside one read transaction.
pub(crate) fn fan_out_pending(conn: &Conn, count: usize) -> Read<(u64, Vec<StoredEvent>)> {
    let mark = meta::read(conn, meta::FAN_OUT)?;
    let sql = "SELECT position, sequence, tenant, id, doc FROM event
               WHERE position > ?1 ORDER BY position LIMIT ?2";
    Ok((
        mark,
        rows(conn, sql, (int(mark), limit(count)), |row| {
            stored(conn, row)
        })?,
    ))
}

fn stored(conn: &Conn, row: &Row<'_>) -> Read<StoredEvent> {
    let number = |at| row.get(at).map(uint).map_err(unreadable);
    Ok(StoredEvent {
        position: number(0)?,
        sequence: number(1)?,
        event: decode(conn, TABLE, row, 2)?,
    })
}
