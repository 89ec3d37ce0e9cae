//! The worker of debts: one step of one debt at a time, each with its row before and after.
//!
//! A look changes nothing and may be made at any time. Before the target is told to refuse a
//! credential, the secret's attachment is held as well, and no rotation of the secret may be
//! unfinished: what is retired must never be what a rotation is about to give out.

use std::collections::BTreeSet;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::debt::{Debt, DebtStep, Owed};
use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, Effect, Login, MarkReads, Op, Record, RotationFilter, RotationReads, RunReads,
    SecretReads, Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Phase};
use scaivault_core::secret::{Version, VersionState};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;

use super::adopt::names_of;
use super::reached::{About, Reached};
use super::worker::{HOLD, StepError, settle};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::events;
use crate::vault::Vault;

/// Whom the audit trail names.
const WORKER: &str = "debt-worker";
/// Debts looked at to find one for each target.
const DUE_LOOK: usize = 1_000;
/// Debts of one slice.
const SLICE_MAX: usize = 64;
/// Steps of one debt in a row: look, tell, look.
const STEPS_MAX: usize = 4;
/// Unfinished rotations of one secret, and attachments of one target, read at a time.
const ROWS_MAX: usize = 1_000;

/// A debt that is due. Whoever writes its row first has it in hand.
pub struct DueDebt(Debt);

impl DueDebt {
    /// Where it is.
    pub fn target_id(&self) -> &TargetId {
        &self.0.target_id
    }
}

impl Vault {
    /// Works on every debt that is due, one per target, one after the other. Answers how many
    /// were looked at; 0 means nothing is due.
    ///
    /// # Errors
    /// When the store cannot be read or written; the debts come up again by themselves.
    pub async fn debts_run_once(&self) -> Result<usize, VaultError> {
        let due = self.debts_due(&[], SLICE_MAX).await?;
        let number = due.len();
        for debt in due {
            self.debt_work(debt).await?;
        }
        Ok(number)
    }

    /// Debts that are due: at most one per target and none of those in `busy`, so that a target
    /// that hangs holds back nobody else.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn debts_due(
        &self,
        busy: &[TargetId],
        limit: usize,
    ) -> Result<Vec<DueDebt>, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(Vec::new());
        }
        let rows = RunReads::debt_due(&*self.store, self.now(), DUE_LOOK).await?;
        let mut taken: BTreeSet<TargetId> = busy.iter().cloned().collect();
        let firsts = rows
            .into_iter()
            .filter(|debt| taken.insert(debt.target_id.clone()));
        Ok(firsts.take(limit).map(DueDebt).collect())
    }

    /// Carries one debt on as far as it goes now.
    ///
    /// # Errors
    /// When the store cannot be read or written; the debt comes up again by itself.
    pub async fn debt_work(&self, due: DueDebt) -> Result<(), VaultError> {
        settle(self.debt_steps(due.0).await)
    }

    /// Whether a debt of the secret is being told to the target now.
    pub(super) async fn debt_in_hand(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<bool, VaultError> {
        let now = self.now();
        let rows = self.debts_of(tenant, path).await?;
        Ok(rows
            .iter()
            .any(|debt| debt.to_tell && debt.held_until.is_some_and(|until| until > now)))
    }

    async fn debt_steps(&self, mut debt: Debt) -> Result<(), StepError> {
        for _ in 0..STEPS_MAX {
            match self.debt_step(debt).await? {
                Some(next) if next.wake_at.is_some_and(|wake| wake <= self.now()) => debt = next,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    /// One step; answers the row that follows, `None` when the debt is settled.
    async fn debt_step(&self, debt: Debt) -> Result<Option<Debt>, StepError> {
        let now = self.now();
        let step = debt.step();
        let Some(reached) = self.reached(&debt.tenant, &debt.target_id).await? else {
            let trouble = Trouble::new(TroubleKind::Settings).code("target_gone");
            let next = debt.put_off(Some(trouble), self.jitter(), now);
            return self.debt_stepped(&debt, step, Some(next), None).await;
        };
        let is_exclusive = step == DebtStep::Retire;
        if is_exclusive && self.is_rotating(&debt).await? {
            let next = debt.put_off(debt.trouble.clone(), self.jitter(), now);
            return self.debt_stepped(&debt, step, Some(next), None).await;
        }
        if is_exclusive && self.is_taken(&debt).await? {
            let next = debt.account_taken(self.jitter(), now);
            return self.debt_stepped(&debt, step, next, None).await;
        }
        let assignment = match (is_exclusive, debt.owed.path()) {
            (true, Some(path)) => {
                AssignmentReads::assignment_find(&*self.store, &debt.tenant, path).await?
            }
            _ => None,
        };
        // Read before the claim: what a worker that wakes up late tells is fenced by whatever
        // came meanwhile.
        let told = self.to_tell(&debt).await?;
        let begun = self.clock.monotonic();
        let until = now.plus(HOLD);
        let held = debt.claimed(until);
        // A value leaves only after this row.
        let caller = Caller::system(debt.tenant.clone(), WORKER, now);
        let extra = debt_extra(&debt, &format!("{}_begin", step.as_str()));
        let row = caller.row(Action::RotationDebt, debt.owed.path(), now, extra);
        let mut unit = Unit::new(UnitName::DebtClaim)
            .put(Record::Debt(held.clone()))
            .audited(row);
        let assignment = assignment.map(|row| Assignment {
            claimed_until: Some(until),
            revision: row.revision + 1,
            ..row
        });
        if let Some(row) = &assignment {
            unit = unit.put(Record::Assignment(row.clone()));
        }
        self.commit(unit).await?;
        // Where nothing could be held, a rotation may have been opened meanwhile; from now on
        // none is.
        if is_exclusive && self.is_rotating(&held).await? {
            let next = held.put_off(held.trouble.clone(), self.jitter(), self.now());
            return self.debt_stepped(&held, step, Some(next), assignment).await;
        }
        let about = about(&held, &told, now);
        let reached = reached.with_manager_let_in(about).await;
        if self.took_since(now, begun) > HOLD / 2 {
            // Paused: the claim may be over before the target is told.
            return Err(StepError::LostRace);
        }
        let next = self.debt_done(&reached, &held, step, about, &told).await;
        self.debt_stepped(&held, step, next, assignment).await
    }

    /// Whether a rotation of the secret at a target has not ended.
    async fn is_rotating(&self, debt: &Debt) -> Result<bool, StepError> {
        let filter = RotationFilter {
            path: debt.owed.path().cloned(),
            phases: Phase::ALL
                .into_iter()
                .filter(|phase| !phase.is_final())
                .collect(),
            ..RotationFilter::default()
        };
        let tenant = &debt.tenant;
        let rows =
            RotationReads::rotation_list(&*self.store, tenant, &filter, None, ROWS_MAX).await?;
        Ok(rows.iter().any(|rotation| rotation.at_target.is_some()))
    }

    /// Whether another secret is attached to an account of the debt: what is done to the account
    /// is done to that one.
    async fn is_taken(&self, debt: &Debt) -> Result<bool, StepError> {
        let Owed::Credential { path, attached, .. } = &debt.owed else {
            return Ok(false);
        };
        let (tenant, target) = (&debt.tenant, &debt.target_id);
        let ours = names_of(&attached.account);
        let mut after: Option<String> = None;
        loop {
            let store = &*self.store;
            let (last, most) = (after.as_deref(), ROWS_MAX);
            let rows = AssignmentReads::assignment_at_target(store, tenant, target, last, most);
            let rows = rows.await?;
            let others = rows.iter().filter(|row| row.path != *path);
            let mut theirs = others.filter_map(|row| row.attached.as_ref());
            if theirs.any(|at| !ours.is_disjoint(&names_of(&at.account))) {
                return Ok(true);
            }
            match rows.last().filter(|_| rows.len() == most) {
                Some(last) => after = Some(last.path.as_str().to_owned()),
                None => return Ok(false),
            }
        }
    }

    /// What goes to the target. A change is told under a number above every earlier rotation of
    /// the secret, and not above any that comes.
    async fn to_tell(&self, debt: &Debt) -> Result<ToTell, StepError> {
        let Owed::Credential {
            path,
            version,
            rotation_id,
            ..
        } = &debt.owed
        else {
            return Ok(ToTell::default());
        };
        let tenant = &debt.tenant;
        let marks = MarkReads::marks(&*self.store).await?;
        let rotation = RotationReads::rotation_find(&*self.store, tenant, rotation_id).await?;
        let switched_at = rotation.as_ref().and_then(|row| {
            let at = row.at_target.as_ref()?;
            at.demoted_at.or(at.promoted_at)
        });
        Ok(ToTell {
            dead: self
                .stored_value(tenant, path, Some(*version), true)
                .await?,
            keep: self.stored_value(tenant, path, None, true).await?,
            // What was sent before a restore, by rotations that it forgot, is older, too.
            epoch: self.fence_above(tenant, path).await?.max(marks.fence()),
            switched_at,
        })
    }

    /// Looks or tells, and says which row follows.
    async fn debt_done(
        &self,
        reached: &Reached,
        debt: &Debt,
        step: DebtStep,
        about: About<'_>,
        told: &ToTell,
    ) -> Option<Debt> {
        let connector = &reached.connector;
        let call = reached.call(about);
        match step {
            DebtStep::Login | DebtStep::Retire => {
                let Some(dead) = &told.dead else {
                    let trouble = Trouble::new(TroubleKind::Credential).code("value_gone");
                    return Some(debt.put_off(Some(trouble), self.jitter(), self.now()));
                };
                if step == DebtStep::Login {
                    let login: Login = connector.login(&call, dead).await;
                    return debt.looked(&login, self.jitter(), self.now());
                }
                let effect = connector.retire(&call, dead, told.keep.as_ref()).await;
                debt.sent(&effect, self.jitter(), self.now())
            }
            DebtStep::Residue => {
                let residue = connector.residue(&call).await;
                debt.looked_for_residue(&residue, self.jitter(), self.now())
            }
            DebtStep::Clear => {
                let effect: Effect = connector.clear(&call).await;
                debt.sent(&effect, self.jitter(), self.now())
            }
            DebtStep::Remove => {
                let effect = connector.remove(&call).await;
                debt.sent(&effect, self.jitter(), self.now())
            }
        }
    }

    /// Commits what came of a step: the row that follows or its end, with its audit row.
    async fn debt_stepped(
        &self,
        debt: &Debt,
        step: DebtStep,
        next: Option<Debt>,
        held: Option<Assignment>,
    ) -> Result<Option<Debt>, StepError> {
        let now = self.now();
        let caller = Caller::system(debt.tenant.clone(), WORKER, now);
        let name = match next {
            Some(_) => UnitName::DebtStep,
            None => UnitName::DebtSettle,
        };
        let mut unit = Unit::new(name);
        let extra = debt_extra(debt, step.as_str());
        let trouble = next.as_ref().and_then(|next| next.trouble.as_ref());
        let row = match trouble {
            Some(trouble) => {
                let code = trouble.kind.as_str();
                caller.failed_row(Action::RotationDebt, debt.owed.path(), now, code, extra)
            }
            None => caller.row(Action::RotationDebt, debt.owed.path(), now, extra),
        };
        unit = unit.audited(row);
        let mut next = next;
        match &mut next {
            Some(next) => {
                if next.is_to_be_told(now) {
                    next.alerted = true;
                    unit = unit.emit(self.event(&caller, events::debt(next), now));
                }
                unit = unit.put(Record::Debt(next.clone()));
            }
            None => {
                unit = self.debt_closed(unit, debt).await?;
            }
        }
        if let Some(row) = held {
            unit = unit.put(Record::Assignment(Assignment {
                claimed_until: None,
                revision: row.revision + 1,
                ..row
            }));
        }
        self.commit(unit).await?;
        Ok(next)
    }

    /// The debt goes, and its version is closed.
    pub(super) async fn debt_closed(
        &self,
        mut unit: Unit,
        debt: &Debt,
    ) -> Result<Unit, VaultError> {
        unit = unit.op(Op::Delete(Record::Debt(debt.clone())));
        let Owed::Credential { path, version, .. } = &debt.owed else {
            return Ok(unit);
        };
        let rows = SecretReads::version_list(&*self.store, &debt.tenant, path).await?;
        let owed = rows
            .into_iter()
            .find(|row| row.version == *version && row.state == VersionState::Owed);
        Ok(match owed {
            Some(row) => unit.put(Record::Version(Version {
                state: VersionState::Closed,
                revision: row.revision + 1,
                ..row
            })),
            None => unit,
        })
    }
}

/// What goes to the target for an owed credential.
#[derive(Default)]
struct ToTell {
    dead: Option<Plaintext>,
    keep: Option<Plaintext>,
    epoch: u64,
    /// Since when readers get what is kept.
    switched_at: Option<Timestamp>,
}

fn about<'a>(debt: &'a Debt, told: &ToTell, now: Timestamp) -> About<'a> {
    match &debt.owed {
        Owed::Credential {
            attached,
            rotation_id,
            ..
        } => About {
            account: &attached.account,
            overlap: attached.overlap,
            tag: rotation_id.as_str(),
            epoch: told.epoch,
            promoted_for: told.switched_at.map(|since| now.since(since)),
        },
        Owed::Residue {
            rotation_id,
            attached,
            until,
            ..
        } => About {
            account: &attached.account,
            overlap: attached.overlap,
            tag: rotation_id.as_str(),
            epoch: *until,
            promoted_for: None,
        },
        Owed::Account {
            account,
            overlap,
            tag,
        } => About {
            account,
            overlap: *overlap,
            tag,
            epoch: u64::MAX,
            promoted_for: None,
        },
    }
}

/// What the audit trail says of a debt.
pub(super) fn debt_extra(debt: &Debt, step: &str) -> AuditExtra {
    AuditExtra {
        subject: Some(debt.id.as_str().to_owned()),
        phase: Some(step.to_owned()),
        rotation_id: debt.owed.rotation_id().cloned(),
        version: match &debt.owed {
            Owed::Credential { version, .. } => Some(*version),
            Owed::Residue { .. } | Owed::Account { .. } => None,
        },
        ..AuditExtra::default()
    }
}
