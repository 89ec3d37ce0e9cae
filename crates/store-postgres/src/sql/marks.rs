//! Marks of the store as a whole: what a restore left.

use async_trait::async_trait;
use scaivault_core::ports::{MarkReads, StoreMarks};
use scaivault_core::time::Timestamp;

use super::row::{Read, get};
use super::transfer::{RESTORED_AT, RESUMED_AT};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

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
