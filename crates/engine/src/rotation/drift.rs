//! Trying stored credentials by harmless logins while no rotation of them is open. A look is
//! claimed and done at its target's place, one per target; its outcome is dropped when the
//! attachment changed meanwhile, as it does when a rotation opens.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::ids::TargetId;
use scaivault_core::ports::{
    Call, Claims, Login, Record, RotationPolicyReads, SecretReads, TargetReads, Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Attached, Finding};
use scaivault_core::seal::Sealer;
use scaivault_core::secret::{SealedVersion, SecretHead};
use scaivault_core::target::TroubleKind;

use super::alerts;
use super::worker::{HOLD, StepError, WORKER, settle};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::secrets::data_place;
use crate::vault::Vault;

/// What a login is told in place of a rotation's id.
const TAG: &str = "drift-check";

/// An attachment whose credential is to be tried, held by this worker.
pub struct ClaimedProbe(Assignment);

impl ClaimedProbe {
    /// Where.
    pub fn target_id(&self) -> Option<&TargetId> {
        self.0.attached.as_ref().map(|at| &at.target_id)
    }
}

impl Vault {
    /// Claims looks that are due, at most one per target and none of those in `busy`.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn probes_claim(
        &self,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<ClaimedProbe>, VaultError> {
        let rows = Claims::probe_claim(&*self.store, self.now(), HOLD, busy, limit).await?;
        Ok(rows.into_iter().map(ClaimedProbe).collect())
    }

    /// Tries a credential and notes what came of it. What is found, or found no more, is told.
    ///
    /// # Errors
    /// When the store cannot be read or written; the claim comes free again by itself.
    pub async fn probe_work(&self, claimed: ClaimedProbe) -> Result<(), VaultError> {
        settle(self.probe(claimed.0).await)
    }

    async fn probe(&self, row: Assignment) -> Result<(), StepError> {
        let (tenant, path) = (&row.tenant, &row.path);
        let policy =
            RotationPolicyReads::rotation_policy_find(&*self.store, tenant, &row.policy_id).await?;
        let opened = SecretReads::secret_open(&*self.store, tenant, path, None).await?;
        let opened = opened.filter(|(head, _)| !head.is_deleted());
        let every = policy
            .as_ref()
            .and_then(|policy| policy.drift_check.clone());
        let (Some(policy), Some(every), Some((head, Some(value))), Some(at)) =
            (policy, every, opened, &row.attached)
        else {
            let next = row.not_probed(self.now());
            self.commit(Unit::new(UnitName::ScheduleProbe).put(Record::Assignment(next)))
                .await?;
            return Ok(());
        };
        let login = self.probe_login(&head, &value, at).await?;
        let now = self.now();
        let found = Finding::of(&login);
        let next = row.probed(found, head.current_version, every.duration(), now);
        let finding = |row: &Assignment| row.probe.drift.as_ref().map(|drift| drift.found);
        let (before, after) = (finding(&row), finding(&next));
        let mut unit = Unit::new(UnitName::ScheduleProbe).put(Record::Assignment(next.clone()));
        if before != after {
            let caller = Caller::system(row.tenant.clone(), WORKER, now);
            let extra = AuditExtra {
                version: Some(head.current_version),
                error: after.map(|found| found.as_str().to_owned()),
                rotation_policy_id: Some(policy.id.clone()),
                ..AuditExtra::default()
            };
            let event = alerts::drift(&head, &next, &policy, after);
            unit = unit
                .audited(caller.row(Action::RotationDrift, Some(path), now, extra))
                .emit(self.event(&caller, event, now));
        }
        self.commit(unit).await?;
        Ok(())
    }

    pub(super) async fn probe_login(
        &self,
        head: &SecretHead,
        value: &SealedVersion,
        at: &Attached,
    ) -> Result<Login, StepError> {
        let target = TargetReads::target_find(&*self.store, &head.tenant, &at.target_id).await?;
        let known = target.and_then(|target| {
            let connector = self.connectors.get(&target.connector)?;
            Some((target, connector))
        });
        let Some((target, connector)) = known else {
            return Ok(Login::Unknown(TroubleKind::Settings.into()));
        };
        let version = value.version.version;
        let place = data_place(head, version);
        // A value that does not open cannot be tried; rotating it says why.
        let Ok(value) = Sealer::open(self.sealer(), place, &value.sealed) else {
            return Ok(Login::Unknown(TroubleKind::Credential.into()));
        };
        // A value leaves only after its row.
        let now = self.now();
        let extra = AuditExtra {
            version: Some(version),
            target_id: Some(target.id.clone()),
            ..AuditExtra::default()
        };
        let caller = Caller::system(head.tenant.clone(), WORKER, now);
        let trail = caller.row(Action::Read, Some(&head.path), now, extra);
        self.commit(Unit::audit_only(trail)).await?;
        let call = Call {
            settings: &target.settings,
            account: &at.account,
            overlap: at.overlap,
            manager: None, // a login needs none
            tag: TAG,
            epoch: 0,
            promoted_for: None,
        };
        Ok(connector.login(&call, &value).await)
    }
}
