//! A store's rows as [`crate::transfer`] moves them. The SQL follows from the tables named there;
//! only what is stored differently is said here.

use rusqlite::types::{ToSqlOutput, Value as Stored, ValueRef};
use rusqlite::{Connection, OptionalExtension, ToSql, params_from_iter};

use super::delivery::find_queued;
use crate::refusal::Refusal;
use crate::transfer::{Numbers, Row, Table, Value};

/// Numbers of the outbox, and what a backup and a copy leave there.
const FAN_OUT: &str = super::meta::FAN_OUT;
pub(crate) const RESTORED_AT: &str = "restored_at";
pub(crate) const RESUMED_AT: &str = "resumed_at";
/// A copy into this store has begun and not ended.
pub(crate) const COPYING: &str = "copying";

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Stored::Null),
            Self::Int(number) => ToSqlOutput::Owned(Stored::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// Derived from the document here, a column elsewhere.
fn is_derived(table: &Table, column: &str) -> bool {
    (table.name, column) == ("target", "manager_path")
}

fn selected(table: &Table) -> String {
    let names = table.names().map(|name| match is_derived(table, name) {
        true => "json_extract(doc, '$.manager_path')",
        false => name,
    });
    names.collect::<Vec<_>>().join(", ")
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn row_of(table: &Table, row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let mut values = Vec::with_capacity(table.columns.len());
    for at in 0..table.columns.len() {
        values.push(match row.get_ref(at)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Int(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
            ValueRef::Real(_) => {
                let kind = rusqlite::types::Type::Real;
                let name = table.columns[at].0.to_owned();
                return Err(rusqlite::Error::InvalidColumnType(at, name, kind));
            }
        });
    }
    Ok(values)
}

pub(crate) fn page(
    conn: &Connection,
    table: &Table,
    after: Option<&[Value]>,
    until: Option<&[Value]>,
    limit: usize,
) -> rusqlite::Result<Vec<Row>> {
    let (keys, marks) = (table.key_names(), marks(table.key));
    let mut sql = format!("SELECT {} FROM {} WHERE 1", selected(table), table.name);
    for (side, key) in [(">", after), ("<=", until)] {
        if key.is_some() {
            sql = format!("{sql} AND ({keys}) {side} ({marks})");
        }
    }
    sql = format!("{sql} ORDER BY {keys} LIMIT {limit}");
    let params = after.into_iter().chain(until).flatten();
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(params_from_iter(params), |row| row_of(table, row))?;
    found.collect()
}

pub(crate) fn find(
    conn: &Connection,
    table: &Table,
    key: &[Value],
) -> rusqlite::Result<Option<Row>> {
    let sql = format!(
        "SELECT {} FROM {} WHERE ({}) = ({})",
        selected(table),
        table.name,
        table.key_names(),
        marks(table.key)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    statement
        .query_row(params_from_iter(key), |row| row_of(table, row))
        .optional()
}

pub(crate) fn count(conn: &Connection, table: &Table) -> rusqlite::Result<i64> {
    let sql = format!("SELECT count(*) FROM {}", table.name);
    conn.query_row(&sql, [], |row| row.get(0))
}

/// One of the store's own numbers; 0 when it was never set.
pub(crate) fn number(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    let found = conn.query_row(sql, [name], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0))
}

pub(crate) fn set_number(conn: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    conn.execute(
        "INSERT INTO meta (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )?;
    Ok(())
}

pub(crate) fn numbers(conn: &Connection) -> rusqlite::Result<Numbers> {
    let position = "SELECT seq FROM sqlite_sequence WHERE name = 'event'";
    let position = conn.query_row(position, [], |row| row.get(0)).optional()?;
    Ok(Numbers {
        fan_out: number(conn, FAN_OUT)?,
        event_position: position.unwrap_or(0),
        restored_at: number(conn, RESTORED_AT)?,
        resumed_at: number(conn, RESUMED_AT)?,
    })
}

pub(crate) fn set_numbers(conn: &Connection, numbers: &Numbers) -> rusqlite::Result<()> {
    set_number(conn, FAN_OUT, numbers.fan_out)?;
    set_number(conn, RESTORED_AT, numbers.restored_at)?;
    set_number(conn, RESUMED_AT, numbers.resumed_at)?;
    conn.execute("DELETE FROM sqlite_sequence WHERE name = 'event'", [])?;
    conn.execute(
        "INSERT INTO sqlite_sequence (name, seq) VALUES ('event', ?1)",
        [numbers.event_position],
    )?;
    Ok(())
}

/// Removes rows and puts others. To be called inside a transaction.
pub(crate) fn replace(
    conn: &Connection,
    table: &Table,
    gone: &[Row],
    rows: &[Row],
) -> Result<(), Refusal> {
    for key in gone {
        remove(conn, table, key)?;
    }
    for row in rows {
        remove(conn, table, table.key_of(row))?;
        if !table.unique.is_empty() {
            let sql = format!(
                "DELETE FROM {} WHERE ({}) = ({})",
                table.name,
                table.unique.join(", "),
                marks(table.unique.len())
            );
            let values = table.unique.iter().map(|column| &row[table.at(column)]);
            conn.prepare_cached(&sql)?
                .execute(params_from_iter(values))?;
        }
        insert(conn, table, row)?;
    }
    Ok(())
}

fn remove(conn: &Connection, table: &Table, key: &[Value]) -> Result<(), Refusal> {
    if table.name == "delivery"
        && let Some(queued) = find_queued(conn, key[0].text(), key[1].text())?
    {
        queued.leave(conn)?;
    }
    let sql = format!(
        "DELETE FROM {} WHERE ({}) = ({})",
        table.name,
        table.key_names(),
        marks(table.key)
    );
    conn.prepare_cached(&sql)?.execute(params_from_iter(key))?;
    Ok(())
}

fn insert(conn: &Connection, table: &Table, row: &Row) -> rusqlite::Result<()> {
    let own = |column: &&str| !is_derived(table, column);
    let names: Vec<_> = table.names().filter(own).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES ({})",
        table.name,
        names.join(", "),
        marks(names.len())
    );
    let values = names.iter().map(|column| &row[table.at(column)]);
    conn.prepare_cached(&sql)?
        .execute(params_from_iter(values))?;
    if table.name == "delivery" {
        conn.prepare_cached(
            "INSERT INTO delivery_waiting (free_at, row_id, receiver, event_position)
             SELECT max(due_at, coalesce(claimed_until, due_at)), row_id, receiver, event_position
             FROM delivery WHERE row_id = ?1 AND due_at IS NOT NULL",
        )?
        .execute([conn.last_insert_rowid()])?;
    }
    Ok(())
}
