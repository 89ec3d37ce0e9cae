//! Rotations, and what claims them.

use async_trait::async_trait;
use scaivault_core::ids::{RotationId, RotationPolicyId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    CommitError, RecordKind, RotationFigures, RotationFilter, RotationReads,
};
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::time::Timestamp;
use scaivault_store::rows::Rows;
use tokio_postgres::types::ToSql;

use super::plan::{encode, write};
use super::row::{PATHS_END, Read, count, get, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;

pub(crate) const TABLE: &str = "rotation";

pub(crate) fn put(rows: &Rows, rotation: &Rotation) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Rotation),
        write(
            rotation.revision,
            "INSERT INTO rotation (tenant, id, revision, path, policy_id, phase, wake_at,
                                   claimed_until, target_id, turn_group, doc, overdue_at,
                                   is_delayed)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            "UPDATE rotation SET revision = $3, path = $4, policy_id = $5, phase = $6,
                                 wake_at = $7, claimed_until = $8, target_id = $9,
                                 turn_group = $10, doc = $11, overdue_at = $12, is_delayed = $13
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        rotation.tenant.as_str().to_owned(),
        rotation.id.as_str().to_owned(),
        int(rotation.revision),
        rotation.path.as_str().to_owned(),
        rotation.policy_id.as_str().to_owned(),
        rotation.phase.as_str(),
        rotation.wake_at.map(Timestamp::as_micros),
        rotation.claimed_until.map(Timestamp::as_micros),
        rotation.target_id().map(|id| id.as_str().to_owned()),
        rotation.turn.as_ref().map(|turn| turn.group.clone()),
        encode(rows, rotation)?,
        rotation.overdue_since().map(Timestamp::as_micros),
        rotation.is_delayed(),
    ))
}

pub(crate) fn delete(rotation: &Rotation) -> Step {
    step!(
        Expect::One(RecordKind::Rotation),
        "DELETE FROM rotation WHERE tenant = $1 AND id = $2 AND revision = $3",
        rotation.tenant.as_str().to_owned(),
        rotation.id.as_str().to_owned(),
        int(rotation.revision),
    )
}

/// Claims free rows at no target that are due, longest overdue first.
pub(crate) const CLAIM: &str = "
    WITH due AS MATERIALIZED (
        SELECT tenant, id FROM rotation
        WHERE wake_at <= $1 AND target_id IS NULL
          AND (claimed_until IS NULL OR claimed_until <= $1)
          AND rotation.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
        ORDER BY wake_at LIMIT $3 FOR UPDATE SKIP LOCKED),
    claimed AS (
        UPDATE rotation r SET revision = r.revision + 1, claimed_until = $2
        FROM due WHERE r.tenant = due.tenant AND r.id = due.id
        RETURNING r.tenant, r.id, r.doc, r.revision, r.claimed_until, r.wake_at)
    SELECT * FROM claimed ORDER BY wake_at";

/// Claims one free row that is due per target that is neither busy nor held, the target that
/// waits longest first. Its cost follows the number of rows that are due at targets.
pub(crate) const CLAIM_AT_TARGETS: &str = "
    WITH first AS MATERIALIZED (
        SELECT DISTINCT ON (target_id) tenant, id FROM rotation
        WHERE wake_at <= $1 AND target_id IS NOT NULL
          AND (claimed_until IS NULL OR claimed_until <= $1)
          AND rotation.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
          AND target_id <> ALL($4::text[])
          AND target_id NOT IN (
            SELECT target_id FROM rotation
            WHERE claimed_until > $1 AND wake_at IS NOT NULL AND target_id IS NOT NULL)
        ORDER BY target_id, wake_at),
    due AS MATERIALIZED (
        SELECT r.tenant, r.id FROM rotation r
        JOIN first ON r.tenant = first.tenant AND r.id = first.id
        WHERE r.wake_at <= $1 AND (r.claimed_until IS NULL OR r.claimed_until <= $1)
        ORDER BY r.wake_at LIMIT $3 FOR UPDATE OF r SKIP LOCKED),
    claimed AS (
        UPDATE rotation r SET revision = r.revision + 1, claimed_until = $2
        FROM due WHERE r.tenant = due.tenant AND r.id = due.id
        RETURNING r.tenant, r.id, r.doc, r.revision, r.claimed_until, r.wake_at)
    SELECT * FROM claimed ORDER BY wake_at";

/// Claims one row, if it is free and due.
pub(crate) const CLAIM_ONE: &str = "
    UPDATE rotation SET revision = revision + 1, claimed_until = $2
    WHERE tenant = $3 AND id = $4 AND wake_at <= $1
      AND (claimed_until IS NULL OR claimed_until <= $1)
    RETURNING tenant, id, doc, revision, claimed_until, wake_at";

#[async_trait]
impl RotationReads for PostgresStore {
    async fn rotation_find(&self, tenant: &TenantId, id: &RotationId) -> Read<Option<Rotation>> {
        let sql = "SELECT tenant, id, doc, revision, claimed_until, wake_at FROM rotation
                   WHERE tenant = $1 AND id = $2";
        self.doc(TABLE, sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    /// Newest first, below `after`. One statement per set of filters: each has its index.
    async fn rotation_list(
        &self,
        tenant: &TenantId,
        filter: &RotationFilter,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Rotation>> {
        let (tenant, after) = (tenant.as_str(), after.unwrap_or(PATHS_END));
        let rows = limit(rows);
        let path = filter.path.as_ref().map(SecretPath::as_str);
        let policy = filter.policy_id.as_ref().map(RotationPolicyId::as_str);
        let target = filter.target_id.as_ref().map(TargetId::as_str);
        let group = filter.group.as_deref();
        let mut sql = "SELECT tenant, id, doc, revision, claimed_until, wake_at FROM rotation
                       WHERE tenant = $1 AND id < $2"
            .to_owned();
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&tenant, &after, &rows];
        for (column, value) in [
            ("path", &path),
            ("policy_id", &policy),
            ("target_id", &target),
            ("turn_group", &group),
        ] {
            if value.is_some() {
                params.push(value);
                sql = format!("{sql} AND {column} = ${}", params.len());
            }
        }
        let phases: Vec<&str> = filter.phases.iter().copied().map(Phase::as_str).collect();
        if !phases.is_empty() {
            params.push(&phases);
            sql = format!("{sql} AND phase = ANY(${}::text[])", params.len());
        }
        let sql = format!("{sql} ORDER BY id DESC LIMIT $3");
        self.docs(TABLE, &sql, &params).await
    }

    async fn rotation_figures(&self, now: Timestamp) -> Read<RotationFigures> {
        let sql = "SELECT phase, count(*) FROM rotation
                   WHERE phase NOT IN ('completed', 'rolled_back') GROUP BY phase
                   UNION ALL SELECT '+overdue', count(*) FROM rotation
                   WHERE overdue_at IS NOT NULL AND overdue_at <= $1
                   UNION ALL SELECT '+delayed', count(*) FROM rotation WHERE is_delayed
                   UNION ALL SELECT '+drifting', count(*) FROM assignment
                   WHERE drift IS NOT NULL";
        let mut figures = RotationFigures::default();
        for row in self.rows(sql, &[&now.as_micros()]).await? {
            let found = count(&row, 1)?;
            match get::<&str>(&row, 0)? {
                "+overdue" => figures.overdue = found,
                "+delayed" => figures.delayed = found,
                "+drifting" => figures.drifting = found,
                name => {
                    let phase = Phase::ALL.into_iter().find(|phase| phase.as_str() == name);
                    figures
                        .by_phase
                        .extend(phase.map(|phase| (phase.as_str(), found)));
                }
            }
        }
        Ok(figures)
    }
}
