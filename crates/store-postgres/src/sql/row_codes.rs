//! Giving documents of an earlier release their codes: some at a time, in the order of their keys. A
//! row that has a code already is left alone, so the pass may be cut short anywhere and begun again.
//! Nodes that start together may all do it.

use scaivault_store::ChainMac;
use scaivault_store::audit::{Hash, HeadCode, head_code};
use scaivault_store::rows::{RowKey, has_code, is_coded, place_of};
use scaivault_store::transfer::{Row, TABLES, Table, Value};
use tokio_postgres::Error;

use super::row::{Read, count, get};
use super::transfer;
use crate::conn::Conn;
use crate::refusal::unreadable;
use crate::store::AuditStartError;

/// Any number that others do not use.
const LOCK: i64 = 0x5ca1_7a01_7000_0002;

/// What the chains' ends say of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// Every document has a code. Once said under the key, it holds for good.
    pub(crate) coded: bool,
    /// There is a trail.
    pub(crate) trail: bool,
}

pub(crate) async fn said(conn: &Conn, mac: &dyn ChainMac) -> Read<Said> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac FROM store_head";
    let rows = conn.query(sql, &[]).await;
    let mut said = Said::default();
    for row in &rows.map_err(|error| unreadable(&error))? {
        let chain: &str = get(row, 0)?;
        let (first, last) = (count(row, 1)?, count(row, 2)?);
        said.trail |= last > 0;
        if let Ok(head) = Hash::try_from(get::<&[u8]>(row, 3)?) {
            let made = head_code(mac, (chain, first, last, &head), get(row, 4)?);
            said.coded |= made == Some(HeadCode::Coded);
        }
    }
    Ok(said)
}

/// Makes sure that every document has its code.
pub(crate) async fn run(conn: &Conn, mac: &dyn ChainMac) -> Result<(), AuditStartError> {
    let failed = |error: Error| AuditStartError::Unavailable(crate::refusal::text(&error));
    let asked =
        |error: scaivault_core::ports::ReadError| AuditStartError::Unavailable(error.to_string());
    let said = said(conn, mac).await.map_err(asked)?;
    if said.coded {
        return Ok(());
    }
    let key = RowKey::of(mac);
    let mut coded = 0;
    for table in TABLES.iter().filter(|table| is_coded(table)) {
        let mut after: Option<Row> = None;
        loop {
            let page = transfer::page(conn, table, after.as_deref(), None, table.page);
            let page = page.await.map_err(failed)?;
            after = match page.len() < table.page {
                true => None,
                false => page.last().map(|row| table.key_of(row).to_vec()),
            };
            let (rows, documents) = without_codes(&key, table, page);
            if !rows.is_empty() {
                // A store that never had a row in its trail has no such rows: it was taken away.
                if !said.trail {
                    return Err(AuditStartError::End);
                }
                coded += rows.len();
                let done = put(conn, table, &rows, documents).await;
                let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
                conn.run(end).await.map_err(failed)?;
                done.map_err(failed)?;
            }
            if after.is_none() {
                break;
            }
        }
    }
    if coded > 0 {
        tracing::info!(coded, "the store's rows were given their codes");
    }
    Ok(())
}

/// In a transaction that is begun here. Nodes that do the same make the same codes, one after the
/// other.
async fn put(
    conn: &Conn,
    table: &'static Table,
    rows: &[Row],
    documents: Vec<String>,
) -> Result<(), Error> {
    conn.run("BEGIN").await?;
    conn.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    transfer::put_documents(conn, table, rows, documents).await
}

/// Rows whose documents have no code, and their documents with one. What is no document stays as it
/// is, and is refused when it is read.
fn without_codes(key: &RowKey, table: &'static Table, page: Vec<Row>) -> (Vec<Row>, Vec<String>) {
    let at = table.at("doc");
    let coded = |row: Row| {
        let text = match &row[at] {
            Value::Text(text) if !has_code(text) => text.clone(),
            _ => return None,
        };
        let text = key.sealed(&place_of(table, &row)?, text)?;
        Some((row, text))
    };
    page.into_iter().filter_map(coded).unzip()
}
