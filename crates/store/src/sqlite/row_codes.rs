//! Giving documents of an earlier release their codes: some at a time, in the order of their keys,
//! each time in one transaction. A row that has a code already is left alone, so the pass may be cut
//! short anywhere and begun again.

use rusqlite::{Connection, params_from_iter};

use super::conn::Conn;
use super::row::{Read, unreadable};
use super::{audit_past, head, transfer};
use crate::audit::{HeadCode, head_code};
use crate::chain_mac::ChainMac;
use crate::refusal::Refusal;
use crate::rows::{RowKey, has_code, is_coded, place_of};
use crate::transfer::{Row, TABLES, Table, Value};

/// Whether an end of a chain says, under the key, that every document has a code. Once said, it holds
/// for good. To be called inside one read transaction.
pub(crate) fn are_said_to_be_all(conn: &Connection, mac: &dyn ChainMac) -> Read<bool> {
    let heads = head::read(conn)?
        .into_iter()
        .chain(audit_past::heads(conn)?);
    Ok(heads.into_iter().any(|head| {
        let over = (
            head.chain.as_str(),
            head.first_seq,
            head.last_seq,
            &head.head,
        );
        head_code(mac, over, &head.mac) == Some(HeadCode::Coded)
    }))
}

/// A document without a code, as its table and key, if there is one. To be called inside one read
/// transaction.
pub(crate) fn first_without(conn: &Connection) -> Read<Option<String>> {
    for table in TABLES.iter().filter(|table| is_coded(table)) {
        let mut after: Option<Row> = None;
        loop {
            let rows = transfer::page(conn, table, after.as_deref(), None, table.page);
            let rows = rows.map_err(unreadable)?;
            let plain = rows
                .iter()
                .find(|row| !has_code(row[table.at("doc")].text()));
            if let Some(row) = plain {
                let place = place_of(table, row).map_or_else(String::new, |at| at.to_string());
                return Ok(Some(format!("{} {place}", table.name)));
            }
            match rows.last().filter(|_| rows.len() == table.page) {
                Some(last) => after = Some(table.key_of(last).to_vec()),
                None => break,
            }
        }
    }
    Ok(None)
}

/// A part of the pass.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Documents that were given a code.
    pub(crate) coded: u64,
    /// Behind which key the next part begins; none at the end of the table.
    pub(crate) next: Option<Row>,
}

pub(crate) fn part(
    conn: &Conn,
    key: &RowKey,
    table: &'static Table,
    after: Option<&[Value]>,
) -> Result<Part, Refusal> {
    let rows = transfer::page(conn, table, after, None, table.page)?;
    let mut part = Part::default();
    let at = table.at("doc");
    let sql = format!(
        "UPDATE {} SET doc = ? WHERE ({}) = ({})",
        table.name,
        table.key_names(),
        vec!["?"; table.key].join(", ")
    );
    for row in &rows {
        let text = row[at].text();
        let Some(place) = place_of(table, row).filter(|_| !has_code(text)) else {
            continue;
        };
        // What is no document stays as it is, and is refused when it is read.
        if let Some(text) = key.sealed(&place, text.to_owned()) {
            let text = [Value::Text(text)];
            let params = text.iter().chain(table.key_of(row));
            conn.prepare_cached(&sql)?
                .execute(params_from_iter(params))?;
            part.coded += 1;
        }
    }
    if rows.len() == table.page {
        part.next = rows.last().map(|row| table.key_of(row).to_vec());
    }
    Ok(part)
}
