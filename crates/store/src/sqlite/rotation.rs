//! Rotations, and the claims on them.

use std::time::Duration;

use scaivault_core::ids::{RotationId, RotationPolicyId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{ReadError, RecordKind, RotationFigures, RotationFilter};
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::time::Timestamp;

use super::conn::Conn;
use super::next_work::{due, set_aside};
use super::row::{Read, delete_one, doc, docs, int, limit, number, uint, write};
use crate::refusal::Refusal;

const TABLE: &str = "rotation";

pub(crate) fn put(conn: &Conn, rotation: &Rotation, json: &str) -> Result<(), Refusal> {
    write(
        conn,
        rotation.revision,
        "INSERT INTO rotation (tenant, id, revision, path, policy_id, phase, wake_at,
                               claimed_until, target_id, turn_group, doc, overdue_at, is_delayed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        "UPDATE rotation SET revision = ?3, path = ?4, policy_id = ?5, phase = ?6, wake_at = ?7,
                             claimed_until = ?8, target_id = ?9, turn_group = ?10, doc = ?11,
                             overdue_at = ?12, is_delayed = ?13
         WHERE tenant = ?1 AND id = ?2 AND revision = ?3 - 1",
        (
            rotation.tenant.as_str(),
            rotation.id.as_str(),
            int(rotation.revision),
            rotation.path.as_str(),
            rotation.policy_id.as_str(),
            rotation.phase.as_str(),
            rotation.wake_at.map(Timestamp::as_micros),
            rotation.claimed_until.map(Timestamp::as_micros),
            rotation.target_id().map(TargetId::as_str),
            rotation.turn.as_ref().map(|turn| turn.group.as_str()),
            json,
            rotation.overdue_since().map(Timestamp::as_micros),
            rotation.is_delayed(),
        ),
    )?
    .or_conflict(RecordKind::Rotation)
}

pub(crate) fn delete(conn: &Conn, rotation: &Rotation) -> Result<(), Refusal> {
    delete_one(
        conn,
        RecordKind::Rotation,
        "DELETE FROM rotation WHERE tenant = ?1 AND id = ?2 AND revision = ?3",
        (
            rotation.tenant.as_str(),
            rotation.id.as_str(),
            int(rotation.revision),
        ),
    )
}

/// Claims free rows at no target that are due, longest overdue first.
pub(crate) fn claim(
    conn: &Conn,
    now: Timestamp,
    hold: Duration,
    rows: usize,
) -> Result<Vec<Rotation>, Refusal> {
    let sql = "SELECT rowid, tenant, id, doc, revision, claimed_until, wake_at
               FROM rotation INDEXED BY rotation_wake
               WHERE wake_at <= ?1 AND target_id IS NULL
                 AND (claimed_until IS NULL OR claimed_until <= ?1)
                 AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
               ORDER BY wake_at LIMIT ?2";
    let found = due(conn, TABLE, sql, (now.as_micros(), limit(rows)))?;
    hold_all(conn, found, now.plus(hold))
}

/// Claims one free row that is due per target that is neither busy nor held, the target that
/// waits longest first. Its cost follows the number of rows that are due at targets.
pub(crate) fn claim_at_targets(
    conn: &Conn,
    now: Timestamp,
    hold: Duration,
    busy: &[TargetId],
    rows: usize,
) -> Result<Vec<Rotation>, Refusal> {
    // A bare column beside min() is taken from the row that has the minimum.
    let sql = "SELECT row, tenant, id, doc, revision, claimed_until, wake_at FROM (
                   SELECT rowid AS row, tenant, id, doc, revision, claimed_until, wake_at,
                          min(wake_at) AS first, target_id
                   FROM rotation INDEXED BY rotation_wake_at_target
                   WHERE wake_at <= ?1 AND target_id IS NOT NULL
                     AND (claimed_until IS NULL OR claimed_until <= ?1)
                     AND tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
                   GROUP BY target_id)
               WHERE target_id NOT IN (SELECT value FROM json_each(?2))
                 AND target_id NOT IN (
                   SELECT target_id FROM rotation INDEXED BY rotation_held
                   WHERE claimed_until > ?1 AND wake_at IS NOT NULL AND target_id IS NOT NULL)
               ORDER BY first LIMIT ?3";
    let busy = super::row::json(&busy)?;
    let found = due(conn, TABLE, sql, (now.as_micros(), busy, limit(rows)))?;
    hold_all(conn, found, now.plus(hold))
}

/// Claims one row, if it is free and due.
pub(crate) fn claim_one(
    conn: &Conn,
    tenant: &TenantId,
    id: &RotationId,
    now: Timestamp,
    hold: Duration,
) -> Result<Option<Rotation>, Refusal> {
    let sql = "SELECT rowid, tenant, id, doc, revision, claimed_until, wake_at FROM rotation
               WHERE tenant = ?1 AND id = ?2 AND wake_at <= ?3
                 AND (claimed_until IS NULL OR claimed_until <= ?3)";
    let found = due(
        conn,
        TABLE,
        sql,
        (tenant.as_str(), id.as_str(), now.as_micros()),
    )?;
    Ok(hold_all(conn, found, now.plus(hold))?.pop())
}

fn hold_all(
    conn: &Conn,
    found: Vec<(i64, Option<Rotation>)>,
    until: Timestamp,
) -> Result<Vec<Rotation>, Refusal> {
    let mut claimed = Vec::with_capacity(found.len());
    for (row, rotation) in found {
        let Some(mut rotation) = rotation else {
            set_aside(conn, TABLE, row, until)?;
            continue;
        };
        rotation.revision += 1;
        rotation.claimed_until = Some(until);
        put(conn, &rotation, &super::row::encode(conn, &rotation)?)?;
        claimed.push(rotation);
    }
    Ok(claimed)
}

pub(crate) fn find(conn: &Conn, tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>> {
    let sql = "SELECT tenant, id, doc, revision, claimed_until, wake_at FROM rotation WHERE tenant = ?1 AND id = ?2";
    doc(conn, TABLE, sql, (tenant.as_str(), id.as_str()))
}

/// Figures of those that have not ended.
pub(crate) fn figures(conn: &Conn, now: Timestamp) -> Read<RotationFigures> {
    let count = |sql: &str, params: &[i64]| {
        let found = number(conn, sql, rusqlite::params_from_iter(params))?;
        Ok::<_, ReadError>(uint(found.unwrap_or(0)))
    };
    let mut figures = RotationFigures::default();
    for phase in Phase::ALL.into_iter().filter(|phase| !phase.is_final()) {
        // The word is a constant: only so does the planner see that the index holds it.
        let sql = format!(
            "SELECT count(*) FROM rotation INDEXED BY rotation_unended
             WHERE phase = '{}' AND phase NOT IN ('completed', 'rolled_back')",
            phase.as_str()
        );
        let found = count(&sql, &[])?;
        if found > 0 {
            figures.by_phase.insert(phase.as_str(), found);
        }
    }
    figures.overdue = count(
        "SELECT count(*) FROM rotation INDEXED BY rotation_overdue
         WHERE overdue_at IS NOT NULL AND overdue_at <= ?1",
        &[now.as_micros()],
    )?;
    figures.delayed = count(
        "SELECT count(*) FROM rotation INDEXED BY rotation_delayed WHERE is_delayed = 1",
        &[],
    )?;
    figures.drifting = super::assignment::drifting(conn)?;
    Ok(figures)
}

/// Newest first, below `after`. One statement per index it can walk.
pub(crate) fn list(
    conn: &Conn,
    tenant: &TenantId,
    filter: &RotationFilter,
    after: Option<&str>,
    rows: usize,
) -> Read<Vec<Rotation>> {
    let index = match (
        &filter.path,
        &filter.target_id,
        &filter.group,
        &filter.policy_id,
    ) {
        (Some(_), _, _, _) => "INDEXED BY rotation_path",
        (None, Some(_), _, _) => "INDEXED BY rotation_target",
        (None, None, Some(_), _) => "INDEXED BY rotation_group",
        (None, None, None, Some(_)) => "INDEXED BY rotation_policy_id",
        (None, None, None, None) => "",
    };
    let sql = format!(
        "SELECT tenant, id, doc, revision, claimed_until, wake_at FROM rotation {index}
         WHERE tenant = ?1 AND id < ?2 AND {} AND {} AND {} AND {}
           AND (?5 IS NULL OR phase IN (SELECT value FROM json_each(?5)))
         ORDER BY id DESC LIMIT ?6",
        if filter.path.is_some() {
            "path = ?3"
        } else {
            "?3 IS NULL"
        },
        if filter.policy_id.is_some() {
            "policy_id = ?4"
        } else {
            "?4 IS NULL"
        },
        if filter.target_id.is_some() {
            "target_id = ?7"
        } else {
            "?7 IS NULL"
        },
        if filter.group.is_some() {
            "turn_group = ?8"
        } else {
            "?8 IS NULL"
        },
    );
    let phases: Vec<&str> = filter.phases.iter().copied().map(Phase::as_str).collect();
    let phases = (!phases.is_empty())
        .then(|| super::row::json(&phases))
        .transpose();
    let phases = phases.unwrap_or_default();
    docs(
        conn,
        TABLE,
        &sql,
        (
            tenant.as_str(),
            after.unwrap_or(super::row::PATHS_END),
            filter.path.as_ref().map(SecretPath::as_str),
            filter.policy_id.as_ref().map(RotationPolicyId::as_str),
            phases,
            limit(rows),
            filter.target_id.as_ref().map(TargetId::as_str),
            filter.group.as_deref(),
        ),
    )
}
