//! Turns of groups, runs of many rotations, and what is still to be removed at targets.

use async_trait::async_trait;
use scaivault_core::campaign::Campaign;
use scaivault_core::debt::Debt;
use scaivault_core::ids::{CampaignId, DebtId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, RecordKind, RunReads};
use scaivault_core::rotation::GroupTurn;
use scaivault_core::time::Timestamp;

use super::plan::{encode, write};
use super::row::{PATHS_END, Read, int, limit};
use crate::step::{Expect, Step, step};
use crate::store::PostgresStore;
use scaivault_store::rows::Rows;

pub(crate) fn put_turn(rows: &Rows, turn: &GroupTurn) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::GroupTurn),
        write(
            turn.revision,
            "INSERT INTO group_turn (tenant, name, revision, doc) VALUES ($1, $2, $3, $4)",
            "UPDATE group_turn SET revision = $3, doc = $4
             WHERE tenant = $1 AND name = $2 AND revision = $3::bigint - 1",
        ),
        turn.tenant.as_str().to_owned(),
        turn.group.clone(),
        int(turn.revision),
        encode(rows, turn)?,
    ))
}

pub(crate) fn delete_turn(turn: &GroupTurn) -> Step {
    step!(
        Expect::One(RecordKind::GroupTurn),
        "DELETE FROM group_turn WHERE tenant = $1 AND name = $2 AND revision = $3",
        turn.tenant.as_str().to_owned(),
        turn.group.clone(),
        int(turn.revision),
    )
}

pub(crate) fn put_campaign(rows: &Rows, row: &Campaign) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Campaign),
        write(
            row.revision,
            "INSERT INTO campaign (tenant, id, revision, wake_at, doc)
             VALUES ($1, $2, $3, $4, $5)",
            "UPDATE campaign SET revision = $3, wake_at = $4, doc = $5
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.wake_at.map(Timestamp::as_micros),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_campaign(row: &Campaign) -> Step {
    step!(
        Expect::One(RecordKind::Campaign),
        "DELETE FROM campaign WHERE tenant = $1 AND id = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

pub(crate) fn put_debt(rows: &Rows, row: &Debt) -> Result<Step, CommitError> {
    Ok(step!(
        Expect::One(RecordKind::Debt),
        write(
            row.revision,
            "INSERT INTO debt (tenant, id, revision, wake_at, path, target_id, doc)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            "UPDATE debt SET revision = $3, wake_at = $4, path = $5, target_id = $6, doc = $7
             WHERE tenant = $1 AND id = $2 AND revision = $3::bigint - 1",
        ),
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
        row.wake_at.map(Timestamp::as_micros),
        row.owed.path().map(|path| path.as_str().to_owned()),
        row.target_id.as_str().to_owned(),
        encode(rows, row)?,
    ))
}

pub(crate) fn delete_debt(row: &Debt) -> Step {
    step!(
        Expect::One(RecordKind::Debt),
        "DELETE FROM debt WHERE tenant = $1 AND id = $2 AND revision = $3",
        row.tenant.as_str().to_owned(),
        row.id.as_str().to_owned(),
        int(row.revision),
    )
}

#[async_trait]
impl RunReads for PostgresStore {
    async fn group_turn(&self, tenant: &TenantId, group: &str) -> Read<Option<GroupTurn>> {
        let sql = "SELECT tenant, name, doc FROM group_turn WHERE tenant = $1 AND name = $2";
        self.doc("group_turn", sql, &[&tenant.as_str(), &group])
            .await
    }

    async fn campaign_find(&self, tenant: &TenantId, id: &CampaignId) -> Read<Option<Campaign>> {
        let sql = "SELECT tenant, id, doc FROM campaign WHERE tenant = $1 AND id = $2";
        self.doc("campaign", sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn campaign_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Campaign>> {
        let sql = "SELECT tenant, id, doc FROM campaign
                   WHERE tenant = $1 AND id < $2 ORDER BY id DESC LIMIT $3";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or(PATHS_END));
        self.docs("campaign", sql, &[&tenant, &after, &limit(rows)])
            .await
    }

    async fn campaign_due(&self, now: Timestamp, rows: usize) -> Read<Vec<Campaign>> {
        let sql = "SELECT tenant, id, doc FROM campaign
                   WHERE wake_at <= $1
                     AND campaign.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
                   ORDER BY wake_at LIMIT $2 OFFSET $3";
        self.readable_docs("campaign", sql, &[&now.as_micros()], rows)
            .await
    }

    async fn debt_find(&self, tenant: &TenantId, id: &DebtId) -> Read<Option<Debt>> {
        let sql = "SELECT tenant, id, doc FROM debt WHERE tenant = $1 AND id = $2";
        self.doc("debt", sql, &[&tenant.as_str(), &id.as_str()])
            .await
    }

    async fn debt_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Debt>> {
        let sql = "SELECT tenant, id, doc FROM debt
                   WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3";
        let (tenant, after) = (tenant.as_str(), after.unwrap_or_default());
        self.docs("debt", sql, &[&tenant, &after, &limit(rows)])
            .await
    }

    async fn debt_of_path(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Debt>> {
        let sql = "SELECT tenant, id, doc FROM debt
                   WHERE tenant = $1 AND path = $2 AND id > $3 ORDER BY id LIMIT $4";
        let (tenant, path) = (tenant.as_str(), path.as_str());
        let after = after.unwrap_or_default();
        self.docs("debt", sql, &[&tenant, &path, &after, &limit(rows)])
            .await
    }

    async fn debt_at_target(
        &self,
        tenant: &TenantId,
        target: &TargetId,
        after: Option<&str>,
        rows: usize,
    ) -> Read<Vec<Debt>> {
        let sql = "SELECT tenant, id, doc FROM debt
                   WHERE tenant = $1 AND target_id = $2 AND id > $3 ORDER BY id LIMIT $4";
        let (tenant, target) = (tenant.as_str(), target.as_str());
        let after = after.unwrap_or_default();
        self.docs("debt", sql, &[&tenant, &target, &after, &limit(rows)])
            .await
    }

    async fn debt_due(&self, now: Timestamp, rows: usize) -> Read<Vec<Debt>> {
        let sql = "SELECT tenant, id, doc FROM debt
                   WHERE wake_at <= $1
                     AND debt.tenant NOT IN (SELECT id FROM tenant WHERE is_suspended)
                   ORDER BY wake_at LIMIT $2 OFFSET $3";
        self.readable_docs("debt", sql, &[&now.as_micros()], rows)
            .await
    }
}
