//! A store's rows as `scaivault_store::transfer` moves them. The SQL follows from the tables named
//! there; a page is one statement.

use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::time::Timestamp;
use scaivault_store::audit::{genesis, row_keys};
use scaivault_store::transfer::{ChainEnd, Kind, Numbers, Row, StoredSegment, Table, Value};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

use crate::conn::Conn;

type Param = Box<dyn ToSql + Sync + Send>;

const FAN_OUT: &str = "fan_out";
const EVENT_POSITION: &str = "event_position";
pub(crate) const RESTORED_AT: &str = "restored_at";
pub(crate) const RESUMED_AT: &str = "resumed_at";
/// A copy into this store has begun and not ended.
pub(crate) const COPYING: &str = "copying";

async fn query(
    conn: &Conn,
    sql: &str,
    params: &[Param],
) -> Result<Vec<tokio_postgres::Row>, Error> {
    let params: Vec<&(dyn ToSql + Sync)> = params
        .iter()
        .map(|param| &**param as &(dyn ToSql + Sync))
        .collect();
    conn.query(sql, &params).await
}

fn param(kind: Kind, value: &Value) -> Param {
    match kind {
        Kind::Text => Box::new(text(value)),
        Kind::Int => Box::new(int(value)),
        Kind::Flag => Box::new(int(value).map(|flag| flag != 0)),
        Kind::Bytes => Box::new(bytes(value)),
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes.clone()),
        _ => None,
    }
}

/// One column of many rows.
fn column(kind: Kind, rows: &[Row], at: usize) -> Param {
    let values = rows.iter().map(|row| &row[at]);
    match kind {
        Kind::Text => Box::new(values.map(text).collect::<Vec<_>>()),
        Kind::Int => Box::new(values.map(int).collect::<Vec<_>>()),
        Kind::Flag => {
            let flags = values.map(|value| int(value).map(|flag| flag != 0));
            Box::new(flags.collect::<Vec<_>>())
        }
        Kind::Bytes => Box::new(values.map(bytes).collect::<Vec<_>>()),
    }
}

fn array(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text[]",
        Kind::Int => "bigint[]",
        Kind::Flag => "boolean[]",
        Kind::Bytes => "bytea[]",
    }
}

fn row_of(table: &Table, row: &tokio_postgres::Row) -> Result<Row, Error> {
    let mut values = Vec::with_capacity(table.columns.len());
    for (at, (_, kind)) in table.columns.iter().enumerate() {
        let value = match kind {
            Kind::Text => row.try_get::<_, Option<String>>(at)?.map(Value::Text),
            Kind::Int => row.try_get::<_, Option<i64>>(at)?.map(Value::Int),
            Kind::Flag => {
                let flag = row.try_get::<_, Option<bool>>(at)?;
                flag.map(|flag| Value::Int(i64::from(flag)))
            }
            Kind::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Value::Bytes),
        };
        values.push(value.unwrap_or(Value::Null));
    }
    Ok(values)
}

pub(crate) async fn page(
    conn: &Conn,
    table: &Table,
    after: Option<&[Value]>,
    until: Option<&[Value]>,
    limit: usize,
) -> Result<Vec<Row>, Error> {
    let keys = table.key_names();
    let names: Vec<_> = table.names().collect();
    let mut sql = format!("SELECT {} FROM {} WHERE true", names.join(", "), table.name);
    let mut params: Vec<Param> = Vec::new();
    for (side, key) in [(">", after), ("<=", until)] {
        let Some(key) = key else {
            continue;
        };
        let mut marks = Vec::new();
        for (value, (_, kind)) in key.iter().zip(table.columns) {
            params.push(param(*kind, value));
            marks.push(format!("${}", params.len()));
        }
        sql = format!("{sql} AND ({keys}) {side} ({})", marks.join(", "));
    }
    sql = format!("{sql} ORDER BY {keys} LIMIT {limit}");
    let rows = query(conn, &sql, &params).await?;
    rows.iter().map(|row| row_of(table, row)).collect()
}

/// Writes documents anew, each where it still says what it said.
pub(crate) async fn put_documents(
    conn: &Conn,
    table: &Table,
    rows: &[Row],
    documents: Vec<String>,
) -> Result<(), Error> {
    let mut params: Vec<Param> = vec![Box::new(documents)];
    let (mut arrays, mut names) = (vec!["$1::text[]".to_owned()], vec!["new_doc".to_owned()]);
    let mut equal = Vec::new();
    let doc = table.at("doc");
    for (at, (name, kind)) in table.columns.iter().enumerate() {
        if at < table.key || at == doc {
            params.push(column(*kind, rows, at));
            arrays.push(format!("${}::{}", params.len(), array(*kind)));
            names.push((*name).to_owned());
            equal.push(format!("t.{name} = r.{name}"));
        }
    }
    let sql = format!(
        "UPDATE {} t SET doc = r.new_doc FROM unnest({}) AS r ({}) WHERE {}",
        table.name,
        arrays.join(", "),
        names.join(", "),
        equal.join(" AND ")
    );
    query(conn, &sql, &params).await.map(drop)
}

pub(crate) async fn find(conn: &Conn, table: &Table, key: &[Value]) -> Result<Option<Row>, Error> {
    let names: Vec<_> = table.names().collect();
    let mut params: Vec<Param> = Vec::new();
    let mut equal = Vec::new();
    for (value, (name, kind)) in key.iter().zip(table.columns) {
        params.push(param(*kind, value));
        equal.push(format!("{name} = ${}", params.len()));
    }
    let (names, equal) = (names.join(", "), equal.join(" AND "));
    let sql = format!("SELECT {names} FROM {} WHERE {equal}", table.name);
    let rows = query(conn, &sql, &params).await?;
    rows.first().map(|row| row_of(table, row)).transpose()
}

pub(crate) async fn count(conn: &Conn, table: &Table) -> Result<i64, Error> {
    let sql = format!("SELECT count(*) FROM {}", table.name);
    let rows = conn.query(&sql, &[]).await?;
    rows.first().map_or(Ok(0), |row| row.try_get(0))
}

/// One of the store's own numbers; 0 when it was never set.
pub(crate) async fn number(conn: &Conn, name: &str) -> Result<i64, Error> {
    let sql = "SELECT value FROM meta WHERE name = $1";
    let rows = conn.query(sql, &[&name]).await?;
    rows.first().map_or(Ok(0), |row| row.try_get(0))
}

pub(crate) async fn set_number(conn: &Conn, name: &str, value: i64) -> Result<(), Error> {
    let sql = "INSERT INTO meta (name, value) VALUES ($1, $2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    conn.query(sql, &[&name, &value]).await.map(drop)
}

pub(crate) async fn clear_number(conn: &Conn, name: &str) -> Result<(), Error> {
    let sql = "DELETE FROM meta WHERE name = $1";
    conn.query(sql, &[&name]).await.map(drop)
}

pub(crate) async fn numbers(conn: &Conn) -> Result<Numbers, Error> {
    Ok(Numbers {
        fan_out: number(conn, FAN_OUT).await?,
        event_position: number(conn, EVENT_POSITION).await?,
        restored_at: number(conn, RESTORED_AT).await?,
        resumed_at: number(conn, RESUMED_AT).await?,
    })
}

pub(crate) async fn set_numbers(conn: &Conn, numbers: &Numbers) -> Result<(), Error> {
    set_number(conn, FAN_OUT, numbers.fan_out).await?;
    set_number(conn, EVENT_POSITION, numbers.event_position).await?;
    set_number(conn, RESTORED_AT, numbers.restored_at).await?;
    set_number(conn, RESUMED_AT, numbers.resumed_at).await
}

/// Removes rows and puts others. To be called inside a transaction.
pub(crate) async fn replace(
    conn: &Conn,
    table: &Table,
    gone: &[Row],
    rows: &[Row],
) -> Result<(), Error> {
    let key: Vec<usize> = (0..table.key).collect();
    remove(conn, table, &key, gone).await?;
    remove(conn, table, &key, rows).await?;
    if !table.unique.is_empty() {
        let unique: Vec<usize> = table.unique.iter().map(|name| table.at(name)).collect();
        remove(conn, table, &unique, rows).await?;
    }
    if rows.is_empty() {
        return Ok(());
    }
    let (mut names, mut arrays, mut params) = (Vec::new(), Vec::new(), Vec::new());
    for (at, (name, kind)) in table.columns.iter().enumerate() {
        names.push(*name);
        arrays.push(format!("${}::{}", at + 1, array(*kind)));
        params.push(column(*kind, rows, at));
    }
    let (names, arrays) = (names.join(", "), arrays.join(", "));
    let sql = format!(
        "INSERT INTO {} ({names}) SELECT * FROM unnest({arrays})",
        table.name
    );
    query(conn, &sql, &params).await.map(drop)
}

/// Removes the rows whose `columns` are those of any of `rows`.
async fn remove(conn: &Conn, table: &Table, columns: &[usize], rows: &[Row]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let (mut names, mut arrays, mut equal) = (Vec::new(), Vec::new(), Vec::new());
    let mut params = Vec::new();
    for at in columns {
        let (name, kind) = table.columns[*at];
        params.push(column(kind, rows, *at));
        names.push(name);
        arrays.push(format!("${}::{}", params.len(), array(kind)));
        let collation = if kind == Kind::Text {
            " COLLATE \"C\""
        } else {
            ""
        };
        equal.push(format!("t.{name} = k.{name}{collation}"));
    }
    let sql = format!(
        "DELETE FROM {} t USING unnest({}) AS k ({}) WHERE {}",
        table.name,
        arrays.join(", "),
        names.join(", "),
        equal.join(" AND ")
    );
    query(conn, &sql, &params).await.map(drop)
}

/// Ends of all chains that have rows, by name.
pub(crate) async fn chains(conn: &Conn) -> Result<Vec<ChainEnd>, Error> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac FROM store_head
               WHERE last_seq > 0 ORDER BY chain";
    let rows = conn.query(sql, &[]).await?;
    let ends = rows.iter().map(|row| {
        Ok(ChainEnd {
            chain: row.try_get(0)?,
            first_seq: row.try_get(1)?,
            last_seq: row.try_get(2)?,
            head: row.try_get(3)?,
            mac: row.try_get(4)?,
        })
    });
    ends.collect()
}

/// The number of the last transaction of each node.
pub(crate) async fn batches(conn: &Conn) -> Result<Vec<(String, i64)>, Error> {
    let sql = "SELECT chain, batch FROM store_head ORDER BY chain";
    let rows = conn.query(sql, &[]).await?;
    let batches = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    batches.collect()
}

/// What the sessions of a copy go by, so that they are not taken for those of a node.
pub(crate) const COPY_NAME: &str = "SET application_name = 'scaivault copy'";

/// Whether other sessions go by this one's name, as those of nodes do that were given the same
/// address. Nodes with another name in theirs are not seen.
pub(crate) async fn is_served(conn: &Conn) -> Result<bool, Error> {
    let sql = "SELECT EXISTS (
                   SELECT 1 FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND application_name = current_setting('application_name'))";
    let rows = conn.query(sql, &[]).await?;
    rows.first().map_or(Ok(false), |row| row.try_get(0))
}

pub(crate) async fn segments(
    conn: &Conn,
    chain: &str,
    after: i64,
    limit: usize,
) -> Result<Vec<StoredSegment>, Error> {
    let sql = "SELECT first_seq, place, rows, first_at, last_at, prev, head, mac, links, body
               FROM audit_segment WHERE chain = $1 AND first_seq > $2
               ORDER BY first_seq LIMIT $3";
    let limit = super::row::limit(limit);
    let rows = conn.query(sql, &[&chain, &after, &limit]).await?;
    let segments = rows.iter().map(|row| {
        Ok(StoredSegment {
            first_seq: row.try_get(0)?,
            place: row.try_get(1)?,
            rows: row.try_get(2)?,
            first_at: row.try_get(3)?,
            last_at: row.try_get(4)?,
            prev: row.try_get(5)?,
            head: row.try_get(6)?,
            mac: row.try_get(7)?,
            links: row.try_get(8)?,
            body: row.try_get(9)?,
        })
    });
    segments.collect()
}

/// Appends segments to a chain that is no node's, with their index. To be called inside a
/// transaction.
pub(crate) async fn append(
    conn: &Conn,
    chain: &str,
    segments: &[StoredSegment],
) -> Result<(), Error> {
    let Some(last) = segments.last() else {
        return Ok(());
    };
    let ints = |of: fn(&StoredSegment) -> i64| segments.iter().map(of).collect::<Vec<_>>();
    let blobs = |of: fn(&StoredSegment) -> &Vec<u8>| segments.iter().map(of).collect::<Vec<_>>();
    let sql = "INSERT INTO audit_segment (chain, first_seq, place, rows, first_at, last_at, prev,
                                          head, mac, links, body)
               SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
                                        $6::bigint[], $7::bytea[], $8::bytea[], $9::bytea[],
                                        $10::bytea[], $11::bytea[])";
    conn.query(
        sql,
        &[
            &chain,
            &ints(|segment| segment.first_seq),
            &ints(|segment| segment.place),
            &ints(|segment| segment.rows),
            &ints(|segment| segment.first_at),
            &ints(|segment| segment.last_at),
            &blobs(|segment| &segment.prev),
            &blobs(|segment| &segment.head),
            &blobs(|segment| &segment.mac),
            &blobs(|segment| &segment.links),
            &blobs(|segment| &segment.body),
        ],
    )
    .await?;
    index(conn, chain, segments, last.last_seq()).await?;
    // No node has this name: the chain ends here, whoever goes on with the store.
    let node = format!("copied:{chain}");
    let sql = "INSERT INTO store_head (chain, node, batch, first_seq, last_seq, head, mac)
               VALUES ($1, $2, 0, 0, 0, $3, $3) ON CONFLICT DO NOTHING";
    conn.query(sql, &[&chain, &node, &genesis(chain).as_slice()])
        .await?;
    let sql = "UPDATE store_head SET first_seq = $2, last_seq = $3, head = $4, mac = $5
               WHERE chain = $1";
    let (first, end) = (last.first_seq, last.last_seq());
    conn.query(sql, &[&chain, &first, &end, &last.head, &last.mac])
        .await?;
    let place = segments
        .iter()
        .map(|segment| segment.place + segment.rows - 1);
    let sql = "UPDATE meta SET value = greatest(value, $1) WHERE name = 'audit_place'";
    conn.query(sql, &[&place.max().unwrap_or(0)])
        .await
        .map(drop)
}

async fn index(
    conn: &Conn,
    chain: &str,
    segments: &[StoredSegment],
    upto: i64,
) -> Result<(), Error> {
    let mut keys = std::collections::BTreeSet::new();
    for segment in segments {
        let lines = segment.body.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            keys.extend(row_keys(line).map(|key| (key, segment.place)));
        }
    }
    let (keys, places): (Vec<i64>, Vec<i64>) = keys.into_iter().unzip();
    conn.query(super::audit_index::EXTEND, &[&keys, &places, &chain, &upto])
        .await
        .map(drop)
}

/// What remains of audit rows that were removed from the fronts of chains.
pub(crate) async fn anchors(conn: &Conn) -> Result<Vec<AuditAnchor>, Error> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac, removed_at, code FROM audit_anchor
               ORDER BY chain";
    let fixed = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap_or_default();
    let number = |at: i64| u64::try_from(at).unwrap_or(0);
    let rows = conn.query(sql, &[]).await?;
    let anchors = rows.iter().map(|row| {
        Ok(AuditAnchor {
            chain: row.try_get(0)?,
            first_seq: number(row.try_get(1)?),
            last_seq: number(row.try_get(2)?),
            head: fixed(row.try_get(3)?),
            mac: fixed(row.try_get(4)?),
            removed_at: Timestamp::from_micros(row.try_get(5)?),
            code: fixed(row.try_get(6)?),
        })
    });
    anchors.collect()
}

/// Puts an anchor in the place of the rows before it. To be called inside a transaction.
pub(crate) async fn put_anchor(conn: &Conn, anchor: &AuditAnchor) -> Result<(), Error> {
    let last = super::row::int(anchor.last_seq);
    let sql = "WITH gone AS (
                   DELETE FROM audit_segment WHERE chain = $1 AND first_seq <= $2 RETURNING place)
               DELETE FROM audit_key k USING gone WHERE k.place = gone.place";
    conn.query(sql, &[&anchor.chain, &last]).await?;
    let sql = "INSERT INTO audit_anchor (chain, first_seq, last_seq, head, mac, removed_at, code)
               VALUES ($1, $2, $3, $4, $5, $6, $7)
               ON CONFLICT (chain) DO UPDATE SET first_seq = excluded.first_seq,
                   last_seq = excluded.last_seq, head = excluded.head, mac = excluded.mac,
                   removed_at = excluded.removed_at, code = excluded.code";
    conn.query(
        sql,
        &[
            &anchor.chain,
            &super::row::int(anchor.first_seq),
            &last,
            &anchor.head.as_slice(),
            &anchor.mac.as_slice(),
            &anchor.removed_at.as_micros(),
            &anchor.code.as_slice(),
        ],
    )
    .await
    .map(drop)
}
