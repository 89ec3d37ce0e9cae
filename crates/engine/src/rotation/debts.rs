//! Looking at debts, trying one again now, and writing one off.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::debt::Debt;
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DebtId, TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    CommitError, ReadError, Record, RotationFilter, RunReads, Unit, UnitName,
};
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::time::{SPAN_MAX, Timestamp};

use super::debt_work::debt_extra;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// A rotation that revokes or steps back for longer than this is shown beside the debts.
const STUCK_AFTER: Duration = Duration::from_secs(3_600);
/// Rotations looked at for that.
const STUCK_MAX: usize = 1_000;
/// Debts that figures are made of.
const FIGURES_MAX: usize = 10_000;
/// Debts read at a time.
const PAGE: usize = 500;
/// The longest reason of a write-off.
pub const REASON_MAX: usize = 200;

/// A rotation that should long have revoked what it gave up.
#[derive(Debug, Clone)]
pub struct Stuck {
    /// The rotation.
    pub rotation: Rotation,
    /// Since when it revokes or steps back.
    pub since: Timestamp,
}

/// All debts in two numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DebtFigures {
    /// How many there are.
    pub count: u64,
    /// The age of the oldest.
    pub oldest: Duration,
}

impl Vault {
    /// Debts by id, oldest first, and where to go on. Those of secrets the caller may neither
    /// administer nor rotate are left out, so a page may be short and still go on.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `secrets:rotate` nor `admin`.
    pub async fn debts_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Debt>, Option<DebtId>), VaultError> {
        self.require_rotation_view(caller).await?;
        let tenant = caller.tenant();
        let mut rows = RunReads::debt_list(&*self.store, tenant, after, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| last.id.clone());
        let mut seen = Vec::with_capacity(rows.len());
        for debt in rows {
            if self.may_see_debt(caller, &debt).await? {
                seen.push(debt);
            }
        }
        Ok((seen, next))
    }

    /// Rotations that have been revoking or stepping back for over an hour. They are not stored
    /// as debts: they are still on it themselves.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `secrets:rotate` nor `admin`.
    pub async fn debts_stuck(&self, caller: &Caller) -> Result<Vec<Stuck>, VaultError> {
        let filter = RotationFilter {
            phases: vec![Phase::Revoking, Phase::RollingBack, Phase::Parked],
            ..RotationFilter::default()
        };
        let (rows, _) = self.rotation_list(caller, &filter, None, STUCK_MAX).await?;
        let now = self.now();
        let stuck = rows.into_iter().filter_map(|rotation| {
            let since = revoking_since(&rotation)?;
            Some(Stuck { rotation, since })
        });
        let old = stuck.filter(|stuck| now.since(stuck.since) >= STUCK_AFTER);
        Ok(old.collect())
    }

    /// All debts of all tenants in two numbers, for the server's metrics.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn debt_figures(&self) -> Result<DebtFigures, VaultError> {
        let now = self.now();
        let all = now.plus(SPAN_MAX); // each is due some time
        let rows = RunReads::debt_due(&*self.store, all, FIGURES_MAX).await?;
        let oldest = rows.iter().map(|debt| now.since(debt.since)).max();
        Ok(DebtFigures {
            count: u64::try_from(rows.len()).unwrap_or(u64::MAX),
            oldest: oldest.unwrap_or_default(),
        })
    }

    /// Tries a debt again now.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Unavailable`] while a worker has it in hand.
    pub async fn debt_retry(&self, caller: &Caller, id: &DebtId) -> Result<Debt, VaultError> {
        for _ in 0..RACES_MAX {
            let debt = self.debt_to_change(caller, id).await?;
            let action = Action::RotationDebtRetry;
            match debt.owed.path() {
                Some(path) => {
                    let (scope, permission) = (Scope::SecretsRotate, Permission::Rotate);
                    self.authorize(caller, scope, permission, path, action)
                        .await?;
                }
                None => self.require(caller, Scope::Admin, action).await?,
            }
            self.not_restored().await?;
            let now = self.now();
            not_in_hand(&debt, now)?;
            let next = debt.retried(now);
            let row = caller.row(action, debt.owed.path(), now, debt_extra(&debt, "retry"));
            let unit = Unit::new(UnitName::DebtRetry)
                .put(Record::Debt(next.clone()))
                .audited(row);
            match self.commit(unit).await {
                Ok(_) => return Ok(next),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Writes a debt off: nothing is tried any more. For targets that are gone for good.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Validation`] without a reason;
    /// [`VaultError::Unavailable`] while a worker has it in hand.
    pub async fn debt_write_off(
        &self,
        caller: &Caller,
        id: &DebtId,
        reason: &str,
    ) -> Result<(), VaultError> {
        let action = Action::RotationDebtWriteOff;
        self.require(caller, Scope::Admin, action).await?;
        let reason = reason.trim();
        let plain = |c: char| !c.is_control();
        if reason.is_empty() || reason.chars().count() > REASON_MAX || !reason.chars().all(plain) {
            let why =
                format!("says why in 1 to {REASON_MAX} characters; it goes on the audit trail");
            return Err(VaultError::Validation(vec![("reason".to_owned(), why)]));
        }
        for _ in 0..RACES_MAX {
            let debt = self.debt_to_change(caller, id).await?;
            let now = self.now();
            not_in_hand(&debt, now)?;
            let extra = AuditExtra {
                reason: Some(reason.to_owned()),
                ..debt_extra(&debt, "write_off")
            };
            let unit = Unit::new(UnitName::DebtWriteOff).audited(caller.row(
                action,
                debt.owed.path(),
                now,
                extra,
            ));
            let unit = self.debt_closed(unit, &debt).await?;
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Every debt of a secret.
    pub(crate) async fn debts_of(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<Vec<Debt>, ReadError> {
        let mut all: Vec<Debt> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id.as_str().to_owned());
            let store = &*self.store;
            let rows = RunReads::debt_of_path(store, tenant, path, after.as_deref(), PAGE).await?;
            let more = rows.len() == PAGE;
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Every debt at a target.
    pub(super) async fn debts_at(
        &self,
        tenant: &TenantId,
        target: &TargetId,
    ) -> Result<Vec<Debt>, ReadError> {
        let mut all: Vec<Debt> = Vec::new();
        loop {
            let after = all.last().map(|last| last.id.as_str().to_owned());
            let (store, after) = (&*self.store, after.as_deref());
            let rows = RunReads::debt_at_target(store, tenant, target, after, PAGE).await?;
            let more = rows.len() == PAGE;
            all.extend(rows);
            if !more {
                return Ok(all);
            }
        }
    }

    async fn debt_to_change(&self, caller: &Caller, id: &DebtId) -> Result<Debt, VaultError> {
        self.require_rotation_view(caller).await?;
        let debt = RunReads::debt_find(&*self.store, caller.tenant(), id).await?;
        let debt = debt.ok_or(VaultError::NotFound(Missing::Debt))?;
        match self.may_see_debt(caller, &debt).await? {
            true => Ok(debt),
            false => Err(VaultError::NotFound(Missing::Debt)),
        }
    }

    async fn may_see_debt(&self, caller: &Caller, debt: &Debt) -> Result<bool, VaultError> {
        if caller.principal.scopes.contains(Scope::Admin) {
            return Ok(true);
        }
        let Some(path) = debt.owed.path() else {
            return Ok(false);
        };
        let now = self.now();
        let decided = self.decision(caller, Permission::Rotate, path, now).await?;
        Ok(decided.is_ok())
    }
}

/// Since when it revokes or steps back, if it does. A parked one goes on where it stopped, and
/// each attempt enters the phase anew, so its own time says nothing.
fn revoking_since(rotation: &Rotation) -> Option<Timestamp> {
    let at = rotation.at_target.as_ref()?;
    let phase = match rotation.phase {
        Phase::Parked => at.resume_phase?,
        phase => phase,
    };
    match phase {
        Phase::Revoking | Phase::RollingBack => at.giving_up_since,
        _ => None,
    }
}

fn not_in_hand(debt: &Debt, now: Timestamp) -> Result<(), VaultError> {
    match debt.held_until.is_some_and(|until| until > now) {
        true => Err(VaultError::Unavailable(
            "a step of this debt is under way: try again in a moment".into(),
        )),
        false => Ok(()),
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the debt changes too quickly: try again".into())
}
