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

/// Any number that others do not use.
const LOCK: i64 = 0x5ca1_7a01_7000_0002;

/// Whether an end of a chain says, under the key, that every document has a code. Once said, it holds
/// for good.
pub(crate) async fn are_said_to_be_all(conn: &Conn, mac: &dyn ChainMac) -> Read<bool> {
    let sql = "SELECT chain, first_seq, last_seq, head, mac FROM store_head";
    let rows = conn.query(sql, &[]).await;
    for row in &rows.map_err(|error| unreadable(&error))? {
        let chain: &str = get(row, 0)?;
        let (first, last) = (count(row, 1)?, count(row, 2)?);
        if let Ok(head) = Hash::try_from(get::<&[u8]>(row, 3)?)
            && head_code(mac, (chain, first, last, &head), get(row, 4)?) == Some(HeadCode::Coded)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A document without a code, as its table and key, if there is one.
pub(crate) async fn first_without(conn: &Conn) -> Result<Option<String>, Error> {
    let mut pages = Pages::default();
    while let Some((table, page)) = pages.next(conn).await? {
        let plain = page
            .iter()
            .find(|row| !has_code(row[table.at("doc")].text()));
        if let Some(row) = plain {
            let place = place_of(table, row).map_or_else(String::new, |at| at.to_string());
            return Ok(Some(format!("{} {place}", table.name)));
        }
    }
    Ok(None)
}

/// Gives every document its code; how many had none.
pub(crate) async fn run(conn: &Conn, mac: &dyn ChainMac) -> Result<u64, Error> {
    let key = RowKey::of(mac);
    let mut coded = 0;
    let mut pages = Pages::default();
    while let Some((table, page)) = pages.next(conn).await? {
        let (rows, documents) = without_codes(&key, table, page);
        if !rows.is_empty() {
            coded += rows.len() as u64;
            let done = put(conn, table, &rows, documents).await;
            let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
            conn.run(end).await?;
            done?;
        }
    }
    Ok(coded)
}

/// All rows with documents, table by table.
#[derive(Default)]
struct Pages {
    table: usize,
    after: Option<Row>,
}

impl Pages {
    async fn next(&mut self, conn: &Conn) -> Result<Option<(&'static Table, Vec<Row>)>, Error> {
        let Some(table) = TABLES
            .iter()
            .filter(|table| is_coded(table))
            .nth(self.table)
        else {
            return Ok(None);
        };
        let page = transfer::page(conn, table, self.after.as_deref(), None, table.page).await?;
        match page.last().filter(|_| page.len() == table.page) {
            Some(last) => self.after = Some(table.key_of(last).to_vec()),
            None => (self.table, self.after) = (self.table + 1, None),
        }
        Ok(Some((table, page)))
    }
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
