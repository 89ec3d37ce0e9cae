//! Marks of the store as a whole: what a restore left.

use async_trait::async_trait;
use scaivault_core::ports::{MarkReads, ReadError, StoreMarks};
use scaivault_core::time::Timestamp;
use tokio_postgres::Error;

use super::row::{Read, get};
use super::transfer::{RESTORED_AT, RESUMED_AT};
use crate::conn::Conn;
use crate::refusal::text;
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

/// What operators are told when the store is found to be of the past.
pub(crate) const WENT_BACK: &str = "the store went back in time: what it acknowledged last is gone. \
    Nothing is changed at a target until 'scaivault store resume' says that reality was looked at";

/// Marks the store as restored, by its own clock. `$1` is whether an earlier mark is kept.
const RESTORED: &str = "INSERT INTO meta (name, value)
    VALUES ('restored_at', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE meta.value = 0 OR NOT $1";

/// A node found the store to be of the past.
pub(crate) async fn went_back(conn: &Conn) -> Read<()> {
    let marked = conn.query(RESTORED, &[&true]).await;
    marked.map(drop).map_err(|error| {
        let why = text(&error);
        ReadError::Unavailable(format!(
            "the store went back in time, and that cannot be marked: {why}"
        ))
    })
}

/// An operator says that the store was restored.
pub(crate) async fn restored(conn: &Conn) -> Result<(), Error> {
    conn.query(RESTORED, &[&false]).await.map(drop)
}

/// 0 stands for none.
pub(crate) fn put(marks: &StoreMarks) -> [Step; 2] {
    let set = |name: &'static str, at: Option<Timestamp>| {
        step!(
            Expect::Any,
            "INSERT INTO meta (name, value) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name.to_owned(),
            at.map_or(0, Timestamp::as_micros),
        )
    };
    [
        set(RESTORED_AT, marks.restored_at),
        set(RESUMED_AT, marks.resumed_at),
    ]
}

#[async_trait]
impl MarkReads for PostgresStore {
    async fn marks(&self) -> Read<StoreMarks> {
        let sql = "SELECT name, value FROM meta WHERE name IN ($1, $2)";
        let mut marks = StoreMarks::default();
        for row in self.rows(sql, &[&RESTORED_AT, &RESUMED_AT]).await? {
            let at: i64 = get(&row, 1)?;
            let at = (at != 0).then(|| Timestamp::from_micros(at));
            match get::<&str>(&row, 0)? {
                RESTORED_AT => marks.restored_at = at,
                _ => marks.resumed_at = at,
            }
        }
        Ok(marks)
    }
}
