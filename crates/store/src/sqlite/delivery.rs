//! Deliveries, and their places in the two queues a claim draws from.

use rusqlite::{Connection, OptionalExtension};
use scaivault_core::delivery::{Delivery, DeliveryState};
use scaivault_core::event::Event;
use scaivault_core::ids::{DeliveryId, SubscriptionId, TenantId};
use scaivault_core::ports::{DeliveryStats, RecordKind};
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{
    PATHS_END, Read, decode, delete_one, doc, docs, int, limit, number, rows, uint, unreadable,
    write,
};
use crate::refusal::Refusal;

const TABLE: &str = "delivery";

/// When it may be claimed: a pending delivery with a next attempt, behind its claim.
fn free_at(delivery: &Delivery) -> Option<i64> {
    let due = due_at(delivery)?;
    Some(
        delivery
            .claimed_until
            .map_or(due, |until| due.max(until.as_micros())),
    )
}

fn due_at(delivery: &Delivery) -> Option<i64> {
    let pending = delivery.state == DeliveryState::Pending;
    delivery
        .next_attempt_at
        .filter(|_| pending)
        .map(Timestamp::as_micros)
}

pub(crate) fn put(conn: &Conn, delivery: &Delivery, json: &str) -> Result<(), Refusal> {
    let (tenant, id) = (delivery.tenant.as_str(), delivery.id.as_str());
    let queued = match delivery.revision {
        1 => None,
        _ => find_queued(conn, tenant, id)?,
    };
    write(
        conn,
        delivery.revision,
        "INSERT INTO delivery (tenant, id, revision, receiver, event_position, state, due_at,
                               claimed_until, created_at, duration_ms, doc, lane)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        "UPDATE delivery SET revision = ?3, receiver = ?4, event_position = ?5, state = ?6,
                             due_at = ?7, claimed_until = ?8, created_at = ?9, duration_ms = ?10,
                             doc = ?11, lane = ?12
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            tenant,
            id,
            int(delivery.revision),
            delivery.receiver.as_str(),
            int(delivery.event_position),
            delivery.state.as_str(),
            due_at(delivery),
            delivery.claimed_until.map(Timestamp::as_micros),
            delivery.created_at.as_micros(),
            delivery.duration_ms.map(int),
            json,
            delivery.lane.as_deref(),
        ),
    )?
    .or_conflict(RecordKind::Delivery)?;
    let row = match queued {
        Some(queued) => {
            queued.leave(conn)?;
            queued.row
        }
        None => conn.last_insert_rowid(),
    };
    if let Some(free_at) = free_at(delivery) {
        conn.prepare_cached(
            "INSERT INTO delivery_waiting (free_at, row_id, receiver, event_position)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute((
            free_at,
            row,
            delivery.receiver.as_str(),
            int(delivery.event_position),
        ))?;
    }
    Ok(())
}

pub(crate) fn delete(conn: &Conn, delivery: &Delivery) -> Result<(), Refusal> {
    let (tenant, id) = (delivery.tenant.as_str(), delivery.id.as_str());
    let queued = find_queued(conn, tenant, id)?;
    delete_one(
        conn,
        RecordKind::Delivery,
        "DELETE FROM delivery WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (tenant, id, int(delivery.revision)),
    )?;
    queued.map_or(Ok(()), |queued| queued.leave(conn))
}

/// A row's places in the queues, as they are stored.
pub(crate) struct Queued {
    row: i64,
    receiver: String,
    position: i64,
    free_at: Option<i64>,
}

pub(crate) fn find_queued(
    conn: &Connection,
    tenant: &str,
    id: &str,
) -> rusqlite::Result<Option<Queued>> {
    conn.prepare_cached(
        "SELECT row_id, receiver, event_position, max(due_at, coalesce(claimed_until, due_at))
         FROM delivery WHERE tenant = ?1 AND id = ?2",
    )?
    .query_row((tenant, id), |row| {
        Ok(Queued {
            row: row.get(0)?,
            receiver: row.get(1)?,
            position: row.get(2)?,
            free_at: row.get(3)?,
        })
    })
    .optional()
}

impl Queued {
    pub(crate) fn leave(&self, conn: &Connection) -> Result<(), Refusal> {
        let Some(free_at) = self.free_at else {
            return Ok(());
        };
        let waited = conn
            .prepare_cached("DELETE FROM delivery_waiting WHERE free_at = ?1 AND row_id = ?2")?
            .execute((free_at, self.row))?;
        if waited == 0 {
            conn.prepare_cached(
                "DELETE FROM delivery_ready
                 WHERE receiver = ?1 AND event_position = ?2 AND row_id = ?3",
            )?
            .execute((&self.receiver, self.position, self.row))?;
        }
        Ok(())
    }
}

/// Drops what a polling receiver has not acknowledged beyond its newest `keep`, and counts it.
pub(crate) fn trim(conn: &Conn, receiver: &str, keep: u32) -> Result<(), Refusal> {
    let dropped = conn
        .prepare_cached(
            "DELETE FROM delivery WHERE row_id IN (
                 SELECT row_id FROM delivery INDEXED BY delivery_pending
                 WHERE receiver = ?1 AND state = 'pending' AND due_at IS NULL
                 ORDER BY event_position DESC LIMIT -1 OFFSET ?2)",
        )?
        .execute((receiver, keep))?;
    if dropped > 0 {
        conn.prepare_cached(
            "INSERT INTO receiver_dropped (receiver, dropped) VALUES (?1, ?2)
             ON CONFLICT (receiver) DO UPDATE SET dropped = dropped + excluded.dropped",
        )?
        .execute((receiver, limit(dropped)))?;
    }
    Ok(())
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &DeliveryId) -> Read<Option<Delivery>> {
    let sql = "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

/// Newest first, below `after`.
pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    receiver: &str,
    state: Option<DeliveryState>,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Delivery>> {
    let sql = "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery INDEXED BY delivery_list
               WHERE tenant = ?1 AND receiver = ?2 AND id < ?3 AND (?4 IS NULL OR state = ?4)
               ORDER BY id DESC LIMIT ?5";
    let state = state.map(DeliveryState::as_str);
    let after = after.unwrap_or(PATHS_END);
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), receiver, after, state, limit(rows)),
    )
}

/// Oldest first, behind `after`. The text of the state is no parameter where the index of the dead
/// is to be used.
pub(crate) fn ended(
    conn: &Conn,
    (tenant, receiver): (&TenantId, &str),
    state: Option<DeliveryState>,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Delivery>> {
    let (index, states) = match state {
        Some(DeliveryState::Failed) => ("delivery_dead", "state = 'failed'"),
        Some(DeliveryState::Success) => ("delivery_list", "state = 'success'"),
        Some(DeliveryState::Pending) => return Ok(Vec::new()),
        None => ("delivery_list", "state <> 'pending'"),
    };
    let sql = format!(
        "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery INDEXED BY {index}
         WHERE tenant = ?1 AND receiver = ?2 AND id > ?3 AND {states}
           AND created_at >= ?4 AND created_at < ?5
         ORDER BY id LIMIT ?6"
    );
    let from = from.map_or(i64::MIN, Timestamp::as_micros);
    let to = to.map_or(i64::MAX, Timestamp::as_micros);
    let after = after.unwrap_or("");
    docs(
        conn,
        TABLE,
        &sql,
        (tenant.as_str(), receiver, after, from, to, limit(rows)),
    )
}

pub(crate) fn behind(
    conn: &Conn,
    tenant: &TenantId,
    receiver: &str,
    lane: &str,
    after: u64,
) -> Read<Option<Delivery>> {
    let sql = "SELECT tenant, id, doc, revision, claimed_until, due_at FROM delivery INDEXED BY delivery_lane
               WHERE receiver = ?2 AND lane = ?3 AND event_position > ?4
                 AND state = 'pending' AND tenant = ?1
               ORDER BY event_position";
    let key = (tenant.as_str(), receiver, lane, int(after));
    let mut statement = conn.prepare_cached(sql).map_err(unreadable)?;
    let mut found = statement.query(key).map_err(unreadable)?;
    while let Some(row) = found.next().map_err(unreadable)? {
        if let Ok(delivery) = decode(conn, TABLE, row, 0) {
            return Ok(Some(delivery));
        }
    }
    Ok(None)
}

/// To be called inside one read transaction.
pub(crate) fn stats(
    conn: &Conn,
    tenant: &TenantId,
    receiver: &str,
    since: Timestamp,
) -> Read<DeliveryStats> {
    let sql = "SELECT count(*), count(*) FILTER (WHERE state = 'success'), avg(duration_ms)
               FROM delivery INDEXED BY delivery_stats
               WHERE tenant = ?1 AND receiver = ?2 AND created_at >= ?3";
    let key = (tenant.as_str(), receiver, since.as_micros());
    let found = rows(conn, sql, key, |row| {
        let number = |at| row.get(at).map(uint).map_err(unreadable);
        let latency: Option<f64> = row.get(2).map_err(unreadable)?;
        Ok(DeliveryStats {
            total: number(0)?,
            succeeded: number(1)?,
            latency_ms: latency.unwrap_or(0.0),
            dropped: 0,
        })
    })?;
    let dropped = "SELECT d.dropped FROM receiver_dropped d
                   JOIN subscription s ON s.id = d.receiver WHERE s.tenant = ?1 AND d.receiver = ?2";
    let dropped = number(conn, dropped, (tenant.as_str(), receiver))?.map_or(0, uint);
    Ok(DeliveryStats {
        dropped,
        ..found.into_iter().next().unwrap_or_default()
    })
}

/// Oldest event first.
pub(crate) fn unacked(
    conn: &Conn,
    tenant: &TenantId,
    receiver: &SubscriptionId,
    after: u64,
    count: usize,
) -> Read<Vec<(Delivery, Event)>> {
    let sql = "SELECT d.tenant, d.id, d.doc, d.revision, d.claimed_until, d.due_at,
                      e.tenant, e.id, e.doc
               FROM delivery d INDEXED BY delivery_pending
               CROSS JOIN event e ON e.position = d.event_position
               WHERE d.receiver = ?2 AND d.state = 'pending' AND d.event_position > ?3
                 AND d.tenant = ?1 AND e.tenant = ?1
               ORDER BY d.event_position LIMIT ?4";
    let key = (tenant.as_str(), receiver.as_str(), int(after), limit(count));
    rows(conn, sql, key, |row| {
        Ok((decode(conn, TABLE, row, 0)?, decode(conn, "event", row, 6)?))
    })
}
