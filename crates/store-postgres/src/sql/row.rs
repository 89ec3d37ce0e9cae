//! What every subject does alike: numbers, documents, and asking.

use scaivault_core::delivery::Delivery;
use scaivault_core::ports::ReadError;
use scaivault_core::rotation::{Assignment, Rotation};
use scaivault_core::time::Timestamp;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::conn::Params;
use crate::refusal::unreadable;
use crate::store::PostgresStore;

pub(crate) type Read<T> = Result<T, ReadError>;

/// Above every character of a path or an id: the end of a range of them.
pub(crate) const PATHS_END: &str = "~";

/// As PostgreSQL stores it. Numbers here count things and never come near the limit.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As it was stored.
pub(crate) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A limit of a query.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A column.
pub(crate) fn get<'a, T: FromSql<'a>>(row: &'a Row, at: usize) -> Read<T> {
    row.try_get(at).map_err(|error| unreadable(&error))
}

/// A number that counts.
pub(crate) fn count(row: &Row, at: usize) -> Read<u64> {
    Ok(uint(get::<Option<i64>>(row, at)?.unwrap_or(0)))
}

/// A time that may be missing.
pub(crate) fn time(row: &Row, at: usize) -> Read<Option<Timestamp>> {
    Ok(get::<Option<i64>>(row, at)?.map(Timestamp::from_micros))
}

/// Decodes the document of a row selected as `tenant, key, doc, …` from column `first` on.
pub(crate) fn decode<T: DeserializeOwned>(table: &'static str, row: &Row, first: usize) -> Read<T> {
    let text: Option<&str> = row.try_get(first + 2).ok();
    text.and_then(|text| serde_json::from_str(text).ok())
        .ok_or_else(|| undecodable(table, "doc", row, first))
}

/// Names the row whose key is in the columns from `first` on.
pub(crate) fn undecodable(
    table: &'static str,
    column: &'static str,
    row: &Row,
    first: usize,
) -> ReadError {
    let key = |at: usize| match row.try_get::<_, &str>(at) {
        Ok(text) => text.to_owned(),
        Err(_) => match row.try_get::<_, i64>(at) {
            Ok(number) => number.to_string(),
            Err(_) => "?".to_owned(),
        },
    };
    ReadError::Undecodable {
        table,
        column,
        row: format!("{}/{}", key(first), key(first + 1)),
    }
}

/// Rows that a claim changes: what the columns say is put over the document.
pub(crate) trait Held: DeserializeOwned {
    /// The columns from `first` on, behind `tenant, key, doc`.
    fn hold(&mut self, row: &Row, first: usize) -> Read<()>;
}

impl Held for Assignment {
    fn hold(&mut self, row: &Row, first: usize) -> Read<()> {
        self.revision = count(row, first)?;
        self.claimed_until = time(row, first + 1)?;
        self.wake_at = time(row, first + 2)?;
        Ok(())
    }
}

impl Held for Rotation {
    fn hold(&mut self, row: &Row, first: usize) -> Read<()> {
        self.revision = count(row, first)?;
        self.claimed_until = time(row, first + 1)?;
        Ok(())
    }
}

impl Held for Delivery {
    fn hold(&mut self, row: &Row, first: usize) -> Read<()> {
        self.revision = count(row, first)?;
        self.claimed_until = time(row, first + 1)?;
        Ok(())
    }
}

/// Decodes columns selected as `tenant, key, doc, revision, claimed_until, …`, from this one on.
pub(crate) fn held<T: Held>(table: &'static str, row: &Row, from: usize) -> Read<T> {
    let mut made: T = decode(table, row, from)?;
    made.hold(row, from + 3)?;
    Ok(made)
}

impl PostgresStore {
    /// Every row of a query.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Read<Vec<Row>> {
        self.pool.query(sql, params).await
    }

    /// Every document of a query that selects `tenant, key, doc`.
    pub(crate) async fn docs<T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Read<Vec<T>> {
        let rows = self.rows(sql, params).await?;
        rows.iter().map(|row| decode(table, row, 0)).collect()
    }

    /// The one document of such a query, if there is one.
    pub(crate) async fn doc<T: DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Read<Option<T>> {
        Ok(self.docs(table, sql, params).await?.pop())
    }

    /// As [`PostgresStore::docs`], with the columns that a claim changes behind.
    pub(crate) async fn held<T: Held>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Read<Vec<T>> {
        let rows = self.rows(sql, params).await?;
        rows.iter().map(|row| held(table, row, 0)).collect()
    }

    /// The one row of such a query, if there is one.
    pub(crate) async fn held_one<T: Held>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Read<Option<T>> {
        Ok(self.held(table, sql, params).await?.pop())
    }
}
