//! What every subject does alike: numbers, documents, and asking.

use scaivault_core::ports::ReadError;
use scaivault_core::time::Timestamp;
use scaivault_store::rows::{Claimed, Document, Place, Rows};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use crate::conn::Params;
use crate::refusal::unreadable;
use crate::store::PostgresStore;

pub(crate) type Read<T> = Result<T, ReadError>;

/// Above every character of a path or an id: the end of a range of them.
pub(crate) const PATHS_END: &str = "~";

/// Rows of a queue asked for at once, where the first of them are passed over.
const PAGE_MAX: usize = 1_000;

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

/// Decodes the document of a row selected as `tenant, key, doc, …` from column `first` on, once its
/// code was found to fit. Of a record that is claimed the columns `revision, claimed_until, due`
/// follow, and are put over the document: a claim writes them alone.
pub(crate) fn decode<T: Document + DeserializeOwned>(
    rows: &Rows,
    table: &'static str,
    row: &Row,
    first: usize,
) -> Read<T> {
    let text = |at| row.try_get::<_, &str>(first + at);
    let (Ok(space), Ok(key), Ok(doc)) = (text(0), text(1), text(2)) else {
        return Err(undecodable(table, "doc", row, first));
    };
    let mut made: T = rows.decode(&Place::new(table, space, key), doc)?;
    if T::CLAIMED {
        made.claimed(Claimed {
            revision: count(row, first + 3)?,
            until: time(row, first + 4)?,
            wake_at: time(row, first + 5)?,
        });
    }
    Ok(made)
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

impl PostgresStore {
    /// Every row of a query.
    pub(crate) async fn rows(&self, sql: &str, params: Params<'_>) -> Read<Vec<Row>> {
        self.pool.query(sql, params).await
    }

    /// Every document of a query that selects `tenant, key, doc`.
    pub(crate) async fn docs<T: Document + DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Read<Vec<T>> {
        let rows = self.rows(sql, params).await?;
        let decoded = rows
            .iter()
            .map(|row| decode(&self.shared.rows, table, row, 0));
        decoded.collect()
    }

    /// The first documents of a queue, as many as are asked for: of a query that selects `tenant, key,
    /// doc`, whose last two parameters, which are given here, are a limit and how many rows are left
    /// out before. One whose row is refused is passed over, and takes nobody's place: it must not
    /// stand before the work of all others.
    pub(crate) async fn readable_docs<T: Document + DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
        most: usize,
    ) -> Read<Vec<T>> {
        let (mut out, mut skip, mut page) = (Vec::new(), 0, most);
        while page > 0 && out.len() < most {
            let (least, behind) = (limit(page), limit(skip));
            let mut asked = params.to_vec();
            asked.extend([&least as &(dyn ToSql + Sync), &behind]);
            let rows = self.rows(sql, &asked).await?;
            for row in &rows {
                match decode::<T>(&self.shared.rows, table, row, 0) {
                    // Of those due at one time another may be the first, asked again.
                    Ok(made) if out.iter().any(|other: &T| other.place() == made.place()) => {}
                    Ok(made) => out.push(made),
                    // What was changed is in the log once, by its key.
                    Err(ReadError::Altered { .. }) => {}
                    Err(error @ ReadError::Undecodable { .. }) => {
                        tracing::error!(%error, "due work passed over");
                    }
                    Err(error) => return Err(error),
                }
            }
            if rows.len() < page {
                break;
            }
            // The more of them there are, the fewer questions.
            (skip, page) = (skip + page, (2 * page).min(PAGE_MAX.max(most)));
        }
        out.truncate(most);
        Ok(out)
    }

    /// The one document of such a query, if there is one.
    pub(crate) async fn doc<T: Document + DeserializeOwned>(
        &self,
        table: &'static str,
        sql: &str,
        params: Params<'_>,
    ) -> Read<Option<T>> {
        Ok(self.docs(table, sql, params).await?.pop())
    }
}
