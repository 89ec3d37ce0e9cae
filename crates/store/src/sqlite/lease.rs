//! Leases of credentials that were made on request. Those that have not ended have a time to be
//! looked at; every index but the key's and the role's holds these alone.

use scaivault_core::dynamic::{Lease, LeaseState};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{EngineId, LeaseId, TenantId, TokenId};
use scaivault_core::ports::{LeaseFigures, LeaseFilter, LeaseToken, RecordKind};
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::row::{
    PATHS_END, Read, delete_one, doc, docs, int, limit, number, readable_docs, rows, uint,
    undecodable, unreadable, write,
};
use super::token;
use crate::refusal::Refusal;

const TABLE: &str = "lease";

pub(crate) fn put(conn: &Conn, row: &Lease, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        row.revision,
        "INSERT INTO lease (tenant, id, revision, engine_id, role, account, holder, token_id,
                            state, wake_at, failing_since, revoked_at, doc)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        "UPDATE lease SET revision = ?3, engine_id = ?4, role = ?5, account = ?6, holder = ?7,
                          token_id = ?8, state = ?9, wake_at = ?10, failing_since = ?11,
                          revoked_at = ?12, doc = ?13
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            row.tenant.as_str(),
            row.id.as_str(),
            int(row.revision),
            row.engine_id.as_str(),
            &row.role,
            &row.account,
            row.holder.as_str(),
            row.token_id.as_ref().map(TokenId::as_str),
            row.state.as_str(),
            row.wake_at.map(Timestamp::as_micros),
            row.failing_since.map(Timestamp::as_micros),
            row.revoked_at.map(Timestamp::as_micros),
            json,
        ),
    )?
    .or_conflict(RecordKind::Lease)
}

pub(crate) fn delete(conn: &Conn, row: &Lease) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Lease,
        "DELETE FROM lease WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (row.tenant.as_str(), row.id.as_str(), int(row.revision)),
    )
}

/// Those that ended longest ago first.
pub(crate) fn prune(conn: &Conn, before: Timestamp, most: usize) -> Result<(), Refusal> {
    conn.prepare_cached(
        "DELETE FROM lease WHERE (tenant, id) IN (
             SELECT tenant, id FROM lease INDEXED BY lease_ended
             WHERE revoked_at < ?1 ORDER BY revoked_at, tenant, id LIMIT ?2)",
    )?
    .execute((before.as_micros(), limit(most)))?;
    Ok(())
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &LeaseId) -> Read<Option<Lease>> {
    let sql = "SELECT tenant, id, doc FROM lease WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

/// Newest first.
pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    filter: &LeaseFilter,
    after: Option<&str>,
    most: usize,
) -> Read<Vec<Lease>> {
    let given = |is: bool, narrows: &'static str, absent: &'static str| match is {
        true => narrows,
        false => absent,
    };
    let engine = filter.engine_id.is_some();
    // Each is in the order of the list and holds hardly more than what is asked for.
    let index = match (engine, filter.role.is_some(), filter.is_of_unended()) {
        _ if filter.failing => "INDEXED BY lease_troubled",
        (true, _, true) => "INDEXED BY lease_of_engine",
        (false, _, true) => "INDEXED BY lease_unended",
        _ if filter.holder.is_some() => "INDEXED BY lease_holder",
        (true, true, false) => "INDEXED BY lease_role",
        (true, false, false) => "INDEXED BY lease_engine",
        (false, _, false) => "",
    };
    let sql = format!(
        "SELECT tenant, id, doc FROM lease {index}
         WHERE tenant = ?1 AND id < ?2 AND {} AND {} AND {}
           AND (?5 IS NULL OR state IN (SELECT value FROM json_each(?5))) AND {} AND {}
         ORDER BY id DESC LIMIT ?8",
        given(engine, "engine_id = ?3", "?3 IS NULL"),
        given(filter.role.is_some(), "role = ?4", "?4 IS NULL"),
        given(filter.is_of_unended(), "wake_at IS NOT NULL", "TRUE"),
        given(filter.failing, "?6 AND failing_since IS NOT NULL", "NOT ?6"),
        given(filter.holder.is_some(), "holder = ?7", "?7 IS NULL"),
    );
    let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
    let states = (!states.is_empty()).then(|| serde_json::Value::from(states).to_string());
    docs(
        conn,
        TABLE,
        &sql,
        (
            tenant.as_str(),
            after.unwrap_or(PATHS_END),
            filter.engine_id.as_ref().map(EngineId::as_str),
            filter.role.as_deref(),
            states,
            filter.failing,
            filter.holder.as_ref().map(Identity::as_str),
            limit(most),
        ),
    )
}

pub(crate) fn of_accounts(
    conn: &Conn,
    tenant: &TenantId,
    engine: &EngineId,
    accounts: &[String],
) -> Read<Vec<Lease>> {
    let sql = "SELECT tenant, id, doc FROM lease INDEXED BY lease_account
               WHERE tenant = ?1 AND engine_id = ?2 AND wake_at IS NOT NULL
                 AND account IN (SELECT value FROM json_each(?3))";
    let accounts = serde_json::Value::from(accounts).to_string();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), engine.as_str(), accounts),
    )
}

/// From engine to engine by the index, so that one with many that are due costs the others nothing.
/// To be called inside one read transaction.
pub(crate) fn due(
    conn: &Conn,
    now: Timestamp,
    busy: &[EngineId],
    of_each: usize,
    most: usize,
) -> Read<Vec<Lease>> {
    let next = "SELECT engine_id FROM lease INDEXED BY lease_due
                WHERE wake_at IS NOT NULL AND engine_id > ?1 ORDER BY engine_id LIMIT 1";
    let of_engine = "SELECT tenant, id, doc FROM lease INDEXED BY lease_due
                     WHERE engine_id = ?1 AND wake_at <= ?2
                     ORDER BY wake_at, tenant, id";
    let mut found: Vec<Lease> = Vec::new();
    let mut after = String::new();
    loop {
        let engine = rows(conn, next, [&after], |row| {
            row.get::<_, String>(0).map_err(unreadable)
        })?;
        let Some(engine) = engine.into_iter().next() else {
            break;
        };
        after = engine;
        if busy.iter().any(|id| id.as_str() == after) {
            continue;
        }
        let params = (&after, now.as_micros());
        found.extend(readable_docs::<Lease>(
            conn, TABLE, of_engine, params, of_each,
        )?);
    }
    found.sort_by(|a, b| (a.wake_at, &a.tenant, &a.id).cmp(&(b.wake_at, &b.tenant, &b.id)));
    found.truncate(most);
    Ok(found)
}

pub(crate) fn count(conn: &Conn, tenant: &TenantId, engine: &EngineId) -> Read<u64> {
    let sql = "SELECT count(*) FROM lease INDEXED BY lease_of_engine
               WHERE tenant = ?1 AND engine_id = ?2 AND wake_at IS NOT NULL";
    let counted = number(conn, sql, (tenant.as_str(), engine.as_str()))?;
    Ok(uint(counted.unwrap_or(0)))
}

pub(crate) fn prunable(conn: &Conn, before: Timestamp, most: usize) -> Read<usize> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM lease INDEXED BY lease_ended
               WHERE revoked_at < ?1 LIMIT ?2)";
    let counted = number(conn, sql, (before.as_micros(), limit(most)))?;
    Ok(usize::try_from(counted.unwrap_or(0)).unwrap_or(0))
}

/// Tokens that hold leases, from one to the next by the index, however many leases each has. To be
/// called inside one read transaction.
pub(crate) fn tokens(
    conn: &Conn,
    after: Option<(&str, &str)>,
    most: usize,
) -> Read<Vec<LeaseToken>> {
    let next = "SELECT tenant, token_id FROM lease INDEXED BY lease_token
                WHERE wake_at IS NOT NULL AND token_id IS NOT NULL
                  AND (tenant, token_id) > (?1, ?2)
                ORDER BY tenant, token_id LIMIT 1";
    let (tenant, id) = after.unwrap_or_default();
    let mut behind = (tenant.to_owned(), id.to_owned());
    let mut found = Vec::new();
    while found.len() < most {
        let held = rows(conn, next, (&behind.0, &behind.1), |row| {
            let text = |at| row.get::<_, String>(at).map_err(unreadable);
            let tenant = TenantId::parse(&text(0)?);
            let id = TokenId::parse(&text(1)?);
            let ids = tenant.ok().zip(id.ok());
            ids.ok_or_else(|| undecodable(TABLE, "token_id", row, 0))
        })?;
        let Some((tenant, id)) = held.into_iter().next() else {
            break;
        };
        behind = (tenant.as_str().to_owned(), id.as_str().to_owned());
        let token = token::find(conn, &tenant, &id)?;
        found.push(LeaseToken { tenant, id, token });
    }
    Ok(found)
}

pub(crate) fn of_token(
    conn: &Conn,
    tenant: &TenantId,
    token: &TokenId,
    after: Option<&str>,
    most: usize,
) -> Read<Vec<Lease>> {
    let sql = "SELECT tenant, id, doc FROM lease INDEXED BY lease_token
               WHERE tenant = ?1 AND token_id = ?2 AND wake_at IS NOT NULL AND id > ?3
               ORDER BY id LIMIT ?4";
    let params = (
        tenant.as_str(),
        token.as_str(),
        after.unwrap_or_default(),
        limit(most),
    );
    docs(conn, TABLE, sql, params)
}

/// To be called inside one read transaction.
pub(crate) fn figures(conn: &Conn) -> Read<LeaseFigures> {
    let sql = "SELECT state, count(*) FROM lease WHERE wake_at IS NOT NULL GROUP BY state";
    let counted = rows(conn, sql, [], |row| {
        let state: String = row.get(0).map_err(unreadable)?;
        let count: i64 = row.get(1).map_err(unreadable)?;
        Ok((state, uint(count)))
    })?;
    let by_state = counted
        .into_iter()
        .filter_map(|(state, count)| Some((LeaseState::parse(&state)?, count)))
        .collect();
    let failing = "SELECT count(*) FROM lease INDEXED BY lease_failing
                   WHERE failing_since IS NOT NULL";
    let since = "SELECT min(failing_since) FROM lease INDEXED BY lease_failing
                 WHERE failing_since IS NOT NULL";
    Ok(LeaseFigures {
        by_state,
        failing: uint(number(conn, failing, [])?.unwrap_or(0)),
        failing_since: number(conn, since, [])?.map(Timestamp::from_micros),
    })
}
