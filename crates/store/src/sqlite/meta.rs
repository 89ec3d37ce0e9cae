//! The store's own numbers.

use rusqlite::Connection;

use super::row::{Read, int, number, uint, unreadable};
use super::transfer::{RESTORED_AT, RESUMED_AT, number as stored, set_number};
use crate::refusal::Refusal;
use scaivault_core::ports::StoreMarks;
use scaivault_core::time::Timestamp;

/// The mark in the outbox: events up to it were fanned out.
pub(crate) const FAN_OUT: &str = "fan_out";
/// The audit index covers the segments up to this row.
pub(crate) const AUDIT_INDEXED: &str = "audit_indexed";

pub(crate) fn read(conn: &Connection, name: &str) -> Read<u64> {
    let value = number(conn, "SELECT value FROM meta WHERE name = ?1", [name])?;
    Ok(uint(value.unwrap_or(0)))
}

pub(crate) fn write(conn: &Connection, name: &str, value: u64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE meta SET value = ?2 WHERE name = ?1")?
        .execute((name, int(value)))?;
    Ok(())
}

/// Moves a number from one value to another; `false` when it was not there.
pub(crate) fn advance(conn: &Connection, name: &str, from: u64, to: u64) -> Result<bool, Refusal> {
    let changed = conn
        .prepare_cached("UPDATE meta SET value = ?3 WHERE name = ?1 AND value = ?2")?
        .execute((name, int(from), int(to)))?;
    Ok(changed == 1)
}

/// What a restore left. 0 stands for none.
pub(crate) fn marks(conn: &Connection) -> Read<StoreMarks> {
    let time = |name| {
        let at = stored(conn, name).map_err(unreadable)?;
        Ok((at != 0).then(|| Timestamp::from_micros(at)))
    };
    Ok(StoreMarks {
        restored_at: time(RESTORED_AT)?,
        resumed_at: time(RESUMED_AT)?,
    })
}

pub(crate) fn put_marks(conn: &Connection, marks: &StoreMarks) -> rusqlite::Result<()> {
    for (name, at) in [
        (RESTORED_AT, marks.restored_at),
        (RESUMED_AT, marks.resumed_at),
    ] {
        set_number(conn, name, at.map_or(0, Timestamp::as_micros))?;
    }
    Ok(())
}
