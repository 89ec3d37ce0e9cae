//! Assignments: schedules of secrets, and the claims on them.

use std::time::Duration;

use scaivault_core::ids::{RotationPolicyId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{ReadError, RecordKind};
use scaivault_core::rotation::Assignment;
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::next_work::due as due_rows;
use super::row::{Read, delete_one, doc, docs, int, limit, number, rows, uint, unreadable, write};
use crate::refusal::Refusal;

const TABLE: &str = "assignment";

pub(crate) fn put(conn: &Conn, assignment: &Assignment, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        assignment.revision,
        "INSERT INTO assignment (tenant, path, revision, policy_id, next_rotation_at, wake_at,
                                 claimed_until, target_id, turn_group, doc, probe_at, drift)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        "UPDATE assignment SET revision = ?3, policy_id = ?4, next_rotation_at = ?5, wake_at = ?6,
                               claimed_until = ?7, target_id = ?8, turn_group = ?9, doc = ?10,
                               probe_at = ?11, drift = ?12
         WHERE tenant = ?1 AND path = ?2 AND revision = ?3 - 1",
        (
            assignment.tenant.as_str(),
            assignment.path.as_str(),
            int(assignment.revision),
            assignment.policy_id.as_str(),
            assignment.next_rotation_at.as_micros(),
            assignment.wake_at.map(Timestamp::as_micros),
            assignment.claimed_until.map(Timestamp::as_micros),
            assignment.attached.as_ref().map(|at| at.target_id.as_str()),
            assignment.turn.as_ref().map(|turn| turn.group.as_str()),
            json,
            assignment.probe_due().map(Timestamp::as_micros),
            assignment
                .probe
                .drift
                .as_ref()
                .map(|drift| drift.found.as_str()),
        ),
    )?
    .or_conflict(RecordKind::Assignment)
}

pub(crate) fn delete(conn: &Conn, assignment: &Assignment) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Assignment,
        "DELETE FROM assignment WHERE tenant = ?1 AND path = ?2 AND revision = ?3",
        (
            assignment.tenant.as_str(),
            assignment.path.as_str(),
            int(assignment.revision),
        ),
    )
}

/// Wakes all of a policy. It counts as a write: a worker that looked at the row before, under the
/// policy as it was, finds another number and looks again. What it held is free at once.
pub(crate) fn wake(
    conn: &Conn,
    tenant: &TenantId,
    policy: &RotationPolicyId,
    at: Timestamp,
) -> Result<(), Refusal> {
    conn.prepare_cached(
        "UPDATE assignment SET revision = revision + 1, wake_at = ?3, claimed_until = NULL
         WHERE tenant = ?1 AND policy_id = ?2",
    )?
    .execute((tenant.as_str(), policy.as_str(), at.as_micros()))?;
    Ok(())
}

/// Claims free rows that are due, longest overdue first.
pub(crate) fn claim(
    conn: &Conn,
    now: Timestamp,
    hold: Duration,
    rows: usize,
) -> Result<Vec<Assignment>, Refusal> {
    let sql = "SELECT rowid, tenant, path, doc, revision, claimed_until, wake_at
               FROM assignment INDEXED BY assignment_wake
               WHERE wake_at <= ?1 AND (claimed_until IS NULL OR claimed_until <= ?1)
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
               ORDER BY wake_at LIMIT ?2";
    let found = due_rows(conn, TABLE, sql, (now.as_micros(), limit(rows)))?;
    hold_all(conn, found, now.plus(hold))
}

/// Claims one free row whose look is due per target that is neither busy nor held, the target
/// that waits longest first.
pub(crate) fn claim_probes(
    conn: &Conn,
    now: Timestamp,
    hold: Duration,
    busy: &[TargetId],
    rows: usize,
) -> Result<Vec<Assignment>, Refusal> {
    // A bare column beside min() is taken from the row that has the minimum.
    let sql = "SELECT row, tenant, path, doc, revision, claimed_until, wake_at FROM (
                   SELECT rowid AS row, tenant, path, doc, revision, claimed_until, wake_at,
                          min(probe_at) AS first, target_id
                   FROM assignment INDEXED BY assignment_probe
                   WHERE probe_at <= ?1 AND (claimed_until IS NULL OR claimed_until <= ?1)
                     AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
                   GROUP BY target_id)
               WHERE target_id NOT IN (SELECT value FROM json_each(?2))
                 AND target_id NOT IN (
                   SELECT target_id FROM assignment INDEXED BY assignment_probe_held
                   WHERE claimed_until > ?1 AND probe_at IS NOT NULL)
               ORDER BY first LIMIT ?3";
    let busy = super::row::json(&busy)?;
    let found = due_rows(conn, TABLE, sql, (now.as_micros(), busy, limit(rows)))?;
    hold_all(conn, found, now.plus(hold))
}

fn hold_all(
    conn: &Conn,
    found: Vec<(i64, Option<Assignment>)>,
    until: Timestamp,
) -> Result<Vec<Assignment>, Refusal> {
    let mut claimed = Vec::with_capacity(found.len());
    for (row, assignment) in found {
        let Some(mut assignment) = assignment else {
            super::next_work::set_aside(conn, TABLE, row, until)?;
            continue;
        };
        assignment.revision += 1;
        assignment.claimed_until = Some(until);
        put(conn, &assignment, &super::row::encode(conn, &assignment)?)?;
        claimed.push(assignment);
    }
    Ok(claimed)
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, path: &SecretPath) -> Read<Option<Assignment>> {
    let sql = "SELECT tenant, path, doc, revision, claimed_until, wake_at FROM assignment WHERE tenant = ?1 AND path = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), path.as_str()))
}

/// The policy of a secret, without the rest of its attachment.
pub(crate) fn policy_of(
    conn: &Conn,
    tenant: &TenantId,
    path: &SecretPath,
) -> Read<Option<RotationPolicyId>> {
    let sql = "SELECT policy_id FROM assignment WHERE tenant = ?1 AND path = ?2";
    let params = (tenant.as_str(), path.as_str());
    let found = rows(conn, sql, params, |row| {
        let text: String = row.get(0).map_err(unreadable)?;
        RotationPolicyId::parse(&text).map_err(|_| ReadError::Undecodable {
            table: TABLE,
            column: "policy_id",
            row: path.as_str().to_owned(),
        })
    });
    Ok(found?.pop())
}

/// Those of several paths.
pub(crate) fn of(conn: &Conn, tenant: &TenantId, paths: &[SecretPath]) -> Read<Vec<Assignment>> {
    let mut found = Vec::new();
    for path in paths {
        found.extend(find(conn, tenant, path)?);
    }
    Ok(found)
}

pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    policy: &RotationPolicyId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Assignment>> {
    let sql = "SELECT tenant, path, doc, revision, claimed_until, wake_at FROM assignment
               WHERE tenant = ?1 AND policy_id = ?2 AND path > ?3 ORDER BY path LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), policy.as_str(), after, limit(rows)),
    )
}

pub(crate) fn count(conn: &Conn, tenant: &TenantId, policy: &RotationPolicyId) -> Read<u64> {
    let sql = "SELECT count(*) FROM assignment WHERE tenant = ?1 AND policy_id = ?2";
    Ok(uint(
        number(conn, sql, (tenant.as_str(), policy.as_str()))?.unwrap_or(0),
    ))
}

/// How many have a credential that was found not to work.
pub(crate) fn drifting(conn: &Conn) -> Read<u64> {
    let sql = "SELECT count(*) FROM assignment INDEXED BY assignment_drift WHERE drift IS NOT NULL";
    Ok(uint(number(conn, sql, [])?.unwrap_or(0)))
}

pub(crate) fn due(
    conn: &Conn,
    tenant: &TenantId,
    until: Timestamp,
    policy: Option<&RotationPolicyId>,
    rows: usize,
) -> Read<Vec<Assignment>> {
    let sql = "SELECT tenant, path, doc, revision, claimed_until, wake_at FROM assignment INDEXED BY assignment_due
               WHERE tenant = ?1 AND next_rotation_at < ?2 AND (?3 IS NULL OR policy_id = ?3)
               ORDER BY next_rotation_at LIMIT ?4";
    let policy = policy.map(RotationPolicyId::as_str);
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), until.as_micros(), policy, limit(rows)),
    )
}

pub(crate) fn at_target(
    conn: &Conn,
    tenant: &TenantId,
    target: &TargetId,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Assignment>> {
    let sql = "SELECT tenant, path, doc, revision, claimed_until, wake_at FROM assignment INDEXED BY assignment_target
               WHERE tenant = ?1 AND target_id = ?2 AND path > ?3 ORDER BY path LIMIT ?4";
    let after = after.unwrap_or_default();
    let params = (tenant.as_str(), target.as_str(), after, limit(rows));
    docs(conn, TABLE, sql, params)
}

pub(crate) fn in_group(
    conn: &Conn,
    tenant: &TenantId,
    group: &str,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Assignment>> {
    let sql = "SELECT tenant, path, doc, revision, claimed_until, wake_at FROM assignment INDEXED BY assignment_group
               WHERE tenant = ?1 AND turn_group = ?2 AND path > ?3 ORDER BY path LIMIT ?4";
    let after = after.unwrap_or_default();
    docs(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), group, after, limit(rows)),
    )
}
