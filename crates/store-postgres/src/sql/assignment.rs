//! Assignments: schedules of secrets, and what claims them.

use async_trait::async_trait;
use scaivault_core::ids::{RotationPolicyId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, CommitError, RecordKind};
use scaivault_core::rotation::Assignment;
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{Read, count, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

pub(crate) const TABLE: &str = "assignment";

pub(crate) fn put(rows: &Rows, assignment: &Assignment) -> Result<Step, CommitError> {
    let drift = assignment.probe.drift.as_ref();
    Ok(step!(
        Expect::One(RecordKind::Assignment),
        write(
            assignment.revision,
            "INSERT INTO assignment (tenant, path, revision, policy_id, next_rotation_at, wake_at,
                                     claimed_until, target_id, turn_group, doc, probe_at, drift)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            "UPDATE assignment SET revision = $3, policy_id = $4, next_rotation_at = $5,
                                   wake_at = $6, claimed_until = $7, target_id = $8,
                                   turn_group = $9, doc = $10, probe_at = $11, drift = $12
             WHERE tenant = $1 AND path = $2 AND revision = $3::bigint - 1",
        ),
        assignment.tenant.as_str().to_owned(),
        assignment.path.as_str().to_owned(),
        int(assignment.revision),
        assignment.policy_id.as_str().to_owned(),
        assignment.next_rotation_at.as_micros(),
        assignment.wake_at.map(Timestamp::as_micros),
        assignment.claimed_until.map(Timestamp::as_micros),
        assignment
            .attached
            .as_ref()
            .map(|at| at.target_id.as_str().to_owned()),
        assignment.turn.as_ref().map(|turn| turn.group.clone()),
        encode(rows, assignment)?,
        assignment.probe_due().map(Timestamp::as_micros),
        drift.map(|drift| drift.found.as_str().to_owned()),
    ))
}

pub(crate) fn delete(assignment: &Assignment) -> Step {
    step!(
        Expect::One(RecordKind::Assignment),
        "DELETE FROM assignment WHERE tenant = $1 AND path = $2 AND revision = $3",
        assignment.tenant.as_str().to_owned(),
        assignment.path.as_str().to_owned(),
        int(assignment.revision),
    )
}

/// Wakes all of a policy. It counts as a write: a worker that looked at the row before, under the
/// policy as it was, finds another number and looks again. What it held is free at once.
pub(crate) fn wake(tenant: &TenantId, policy: &RotationPolicyId, at: Timestamp) -> Step {
    step!(
        Expect::Any,
        "UPDATE assignment SET revision = revision + 1, wake_at = $3, claimed_until = NULL
         WHERE tenant = $1 AND policy_id = $2",
        tenant.as_str().to_owned(),
        policy.as_str().to_owned(),
        at.as_micros(),
    )
}

/// Claims free rows that are due, longest overdue first.
pub(crate) const CLAIM: &str = "
    WITH due AS MATERIALIZED (
        SELECT tenant, path FROM assignment
        WHERE wake_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
          AND assignment.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
        ORDER BY wake_at LIMIT $3 FOR UPDATE SKIP LOCKED),
    claimed AS (
        UPDATE assignment a SET revision = a.revision + 1, claimed_until = $2
        FROM due WHERE a.tenant = due.tenant AND a.path = due.path
        RETURNING a.tenant, a.path, a.doc, a.revision, a.claimed_until, a.wake_at)
    SELECT * FROM claimed ORDER BY wake_at";

/// Claims one free row whose look is due per target that is neither busy nor held, the target
/// that waits longest first.
pub(crate) const CLAIM_PROBES: &str = "
    WITH first AS MATERIALIZED (
        SELECT DISTINCT ON (target_id) tenant, path FROM assignment
        WHERE probe_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $1)
          AND assignment.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
          AND target_id <> ALL($4::text[])
          AND target_id NOT IN (
            SELECT target_id FROM assignment
            WHERE claimed_until > $1 AND probe_at IS NOT NULL AND target_id IS NOT NULL)
        ORDER BY target_id, probe_at),
    due AS MATERIALIZED (
        SELECT a.tenant, a.path FROM assignment a
        JOIN first ON a.tenant = first.tenant AND a.path = first.path
        WHERE a.probe_at <= $1 AND (a.claimed_until IS NULL OR a.claimed_until <= $1)
        ORDER BY a.probe_at LIMIT $3 FOR UPDATE OF a SKIP LOCKED),
    claimed AS (
        UPDATE assignment a SET revision = a.revision + 1, claimed_until = $2
        FROM due WHERE a.tenant = due.tenant AND a.path = due.path
        RETURNING a.tenant, a.path, a.doc, a.revision, a.claimed_until, a.wake_at, a.probe_at)
    SELECT * FROM claimed ORDER BY probe_at";

/// The columns of a row.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT tenant, path, doc, revision, claimed_until, wake_at FROM assignment ",
            $rest
        )
    };
}

#[async_trait]
impl AssignmentReads for PostgresStore {
    async fn assignment_find(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Read<Option<Assignment>> {
        let sql = select!("WHERE tenant = $1 AND path = $2");
        self.doc(TABLE, sql, &[&tenant.as_str(), &path.as_str()])
            .await
    }

    async fn assignment_of(
        &self,
        tenant: &TenantId,
        paths: &[SecretPath],
    ) -> Read<Vec<Assignment>> {
        let paths: Vec<&str> = paths.iter().map(SecretPath::as_str).collect();
        let sql = select!("WHERE tenant = $1 AND path = ANY($2)");
        self.docs(TABLE, sql, &[&tenant.as_str(), &paths]).await
    }

    async fn assignment_list(
        &self,
        tenant: &TenantId,
        policy: &RotationPolicyId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Assignment>> {
        let sql = select!(
            "WHERE tenant = $1 AND policy_id = $2 AND path > $3
             ORDER BY path LIMIT $4"
        );
        let (tenant, policy) = (tenant.as_str(), policy.as_str());
        let after = after.unwrap_or_default();
        self.docs(TABLE, sql, &[&tenant, &policy, &after, &limit(rows)])
            .await
    }

    async fn assignment_count(&self, tenant: &TenantId, policy: &RotationPolicyId) -> Read<u64> {
        let sql = "SELECT count(*) FROM assignment WHERE tenant = $1 AND policy_id = $2";
        let rows = self
            .rows(sql, &[&tenant.as_str(), &policy.as_str()])
            .await?;
        rows.first().map_or(Ok(0), |row| count(row, 0))
    }

    async fn assignment_due(
        &self,
        tenant: &TenantId,
        until: Timestamp,
        policy: Option<&RotationPolicyId>,
        rows: usize,
    ) -> Read<Vec<Assignment>> {
        let sql = select!(
            "WHERE tenant = $1 AND next_rotation_at < $2
               AND ($3::text IS NULL OR policy_id = $3)
             ORDER BY next_rotation_at LIMIT $4"
        );
        let policy = policy.map(RotationPolicyId::as_str);
        let (tenant, until) = (tenant.as_str(), until.as_micros());
        self.docs(TABLE, sql, &[&tenant, &until, &policy, &limit(rows)])
            .await
    }

    async fn assignment_at_target(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Assignment>> {
        let sql = select!(
            "WHERE tenant = $1 AND target_id = $2 AND path > $3
             ORDER BY path LIMIT $4"
        );
        let (tenant, target) = (tenant.as_str(), target.as_str());
        let after = after.unwrap_or_default();
        self.docs(TABLE, sql, &[&tenant, &target, &after, &limit(rows)])
            .await
    }

    async fn assignment_in_group(
        &self,
        tenant: &TenantId,
        group: &str,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Assignment>> {
        let sql = select!(
            "WHERE tenant = $1 AND turn_group = $2 AND path > $3
             ORDER BY path LIMIT $4"
        );
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs(TABLE, sql, &[&tenant, &group, &after, &limit(rows)])
            .await
    }
}
