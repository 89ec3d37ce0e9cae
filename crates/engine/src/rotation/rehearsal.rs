//! Rehearsals: a whole rotation of a throw-away account at a real target.
//!
//! What will be created is a debt before anything is: whatever a rehearsal that was cut short
//! leaves at the target is removed by the worker of debts. The credentials of a rehearsal live in
//! memory alone.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DebtId, RotationPolicyId, TargetId};
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, Call, Candidate, Effect, Login, NewField, Op, Record, Sessions, TargetReads,
    Unit, UnitName,
};
use scaivault_core::target::{Overlap, Target, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

use super::candidate::replaced;
use super::reached::{About, Reached};
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// All steps but the last are cut after this …
const ACTS_MAX: Duration = Duration::from_secs(40);
/// … and the removal after this: a rehearsal ends within a minute.
const REMOVAL_MAX: Duration = Duration::from_secs(15);
/// The worker of debts leaves what a rehearsal made alone for so long.
const GRACE: Duration = Duration::from_secs(180);
/// Looks at a target that has not settled.
const LOOKS_MAX: u32 = 12;
/// Between them.
const PAUSE: Duration = Duration::from_secs(1);
/// Its steps.
const STEPS: [&str; 6] = ["create", "verify", "switch", "drain", "revoke", "remove"];

/// One step of a rehearsal.
#[derive(Debug, Clone, PartialEq)]
pub struct RehearsalStep {
    /// `create`, `verify`, `switch`, `drain`, `revoke` or `remove`.
    pub name: &'static str,
    /// `None` for a step that was not reached.
    pub took: Option<Duration>,
    /// What went wrong.
    pub trouble: Option<Trouble>,
}

impl RehearsalStep {
    /// `ok`, `failed` or `skipped`.
    pub fn outcome(&self) -> &'static str {
        match (self.took, &self.trouble) {
            (None, _) => "skipped",
            (Some(_), None) => "ok",
            (Some(_), Some(_)) => "failed",
        }
    }
}

/// What a rehearsal came to.
#[derive(Debug, Clone)]
pub struct Rehearsal {
    /// Where.
    pub target: Target,
    /// The plan that was tried.
    pub overlap: Overlap,
    /// When it began.
    pub began_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Every step.
    pub steps: Vec<RehearsalStep>,
    /// What is still to be removed, where removing it failed.
    pub debt: Option<DebtId>,
}

impl Rehearsal {
    /// Whether every step did what a rotation needs.
    pub fn passed(&self) -> bool {
        self.steps.iter().all(|step| step.outcome() == "ok")
    }
}

impl Vault {
    /// Rehearses a rotation at a target, by its id or name. `account` may hold fields that real
    /// attachments there have and a throw-away one needs too.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the target; [`VaultError::Validation`] for a strategy that
    /// cannot be rehearsed there; [`VaultError::Unavailable`] while another rehearsal is under way
    /// there. What goes wrong at the target is in the report.
    pub async fn rehearse(
        &self,
        caller: &Caller,
        id_or_name: &str,
        overlap: Option<Overlap>,
        account: Map<String, Value>,
    ) -> Result<Rehearsal, VaultError> {
        self.require(caller, Scope::Admin, Action::RotationRehearse)
            .await?;
        let id = self.target_id_of(caller, id_or_name).await?;
        self.rehearse_at(caller, &id, overlap, account, None).await
    }

    /// Rehearses the rotation of an attached secret: its target and plan, not its account.
    ///
    /// # Errors
    /// As for [`Self::rehearse`]; [`VaultError::NotFound`] when the secret is not attached to
    /// this policy, [`VaultError::Validation`] when it is at no target.
    pub async fn rehearse_secret(
        &self,
        caller: &Caller,
        policy: &RotationPolicyId,
        path: &SecretPath,
    ) -> Result<Rehearsal, VaultError> {
        let action = Action::RotationRehearse;
        let (scope, permission) = (Scope::SecretsRotate, Permission::Rotate);
        self.authorize(caller, scope, permission, path, action)
            .await?;
        let found = AssignmentReads::assignment_find(&*self.store, caller.tenant(), path).await?;
        let assignment = found
            .filter(|assignment| assignment.policy_id == *policy)
            .ok_or(VaultError::NotFound(Missing::Assignment))?;
        let Some(attached) = assignment.attached else {
            let why = "is attached without a target: there is nothing to rehearse";
            return Err(invalid("secret_path", why));
        };
        let overlap = Some(attached.overlap);
        let account = attached.account;
        self.rehearse_at(caller, &attached.target_id, overlap, account, Some(path))
            .await
    }

    pub(super) async fn target_id_of(
        &self,
        caller: &Caller,
        id_or_name: &str,
    ) -> Result<TargetId, VaultError> {
        let tenant = caller.tenant();
        let found = match TargetId::parse(id_or_name) {
            Ok(id) => TargetReads::target_find(&*self.store, tenant, &id).await?,
            Err(_) => TargetReads::target_named(&*self.store, tenant, id_or_name).await?,
        };
        let found = found.ok_or(VaultError::NotFound(Missing::Target))?;
        Ok(found.id)
    }

    async fn rehearse_at(
        &self,
        caller: &Caller,
        id: &TargetId,
        overlap: Option<Overlap>,
        template: Map<String, Value>,
        path: Option<&SecretPath>,
    ) -> Result<Rehearsal, VaultError> {
        self.not_restored().await?;
        let reached = self.reached(caller.tenant(), id).await?;
        let reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
        let now = self.now();
        self.no_rehearsal_at(&reached.target, now).await?;
        let debt_id = DebtId::mint(now, &*self.entropy);
        let tag = debt_id.as_str().to_owned();
        let (overlap, account) = planned(&reached, overlap, &template, &tag)?;
        let owed = Owed::Account {
            account: account.clone(),
            overlap,
            tag: tag.clone(),
        };
        let target = (reached.target.id.clone(), reached.target.name.clone());
        let wake_at = now.plus(GRACE);
        let debt = Debt::new(debt_id, caller.tenant().clone(), target, owed, now, wake_at);
        let action = Action::RotationRehearse;
        let extra = |step: &str| AuditExtra {
            subject: Some(tag.clone()),
            phase: Some(step.to_owned()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::RehearsalBegin)
            .put(Record::Debt(debt.clone()))
            // Of two that begin at the same time, or a deletion, one conflicts.
            .put(Record::Target(Target {
                revision: reached.target.revision + 1,
                ..reached.target.clone()
            }))
            .audited(caller.row(action, path, now, extra("begin")));
        self.commit(unit).await?;
        let about = About {
            account: &account,
            overlap,
            tag: &tag,
            epoch: 0,
            promoted_for: None,
        };
        let reached = reached.with_manager_let_in(about).await;

        let mut stage = Stage {
            vault: self,
            reached: &reached,
            account: &account,
            overlap,
            tag: &tag,
            epoch: u64::try_from(now.as_micros()).unwrap_or(0),
            step_began: now,
            unsure: false,
            promoted_at: None,
            steps: Vec::with_capacity(STEPS.len()),
        };
        let removed = stage.play().await;
        let (steps, stage_unsure) = (stage.steps, stage.unsure);
        let ended = self.now();

        let failed = steps.iter().find_map(|step| step.trouble.as_ref());
        let row = match failed {
            Some(trouble) => {
                let code = trouble.kind.as_str();
                caller.failed_row(action, path, ended, code, extra("end"))
            }
            None => caller.row(action, path, ended, extra("end")),
        };
        let unit = Unit::new(UnitName::RehearsalEnd).audited(row);
        let is_over = removed && !stage_unsure;
        let unit = match removed {
            true if is_over => unit.op(Op::Delete(Record::Debt(debt.clone()))),
            // What nobody knows of may come late: it is removed once more, later.
            true => {
                let mut next = debt.put_off(None, self.jitter(), ended);
                next.wake_at = Some(ended.plus(GRACE));
                unit.put(Record::Debt(next))
            }
            false => {
                let trouble = steps.last().and_then(|step| step.trouble.clone());
                unit.put(Record::Debt(debt.put_off(trouble, self.jitter(), ended)))
            }
        };
        self.commit(unit).await?;
        Ok(Rehearsal {
            target: reached.target,
            overlap,
            began_at: now,
            took: ended.since(now),
            steps,
            debt: (!is_over).then_some(debt.id),
        })
    }
}

/// The plan and the throw-away account.
fn planned(
    reached: &Reached,
    overlap: Option<Overlap>,
    template: &Map<String, Value>,
    tag: &str,
) -> Result<(Overlap, Map<String, Value>), VaultError> {
    let connector = &reached.connector;
    let overlaps = match overlap {
        Some(overlap) => vec![overlap],
        None => connector.descriptor().overlaps.to_vec(),
    };
    for overlap in overlaps {
        let call = reached.call(About {
            account: template,
            overlap,
            tag,
            epoch: 0,
            promoted_for: None,
        });
        let Some(account) = connector.rehearsal_account(&call) else {
            continue;
        };
        let problems = connector.check_account(&account, overlap);
        if !problems.is_empty() {
            let named = |(field, why)| (format!("account.{field}"), why);
            return Err(VaultError::Validation(
                problems.into_iter().map(named).collect(),
            ));
        }
        return Ok((overlap, account));
    }
    let name = connector.descriptor().name;
    let why = format!("cannot be rehearsed by the connector {name}: name another strategy");
    Err(invalid("strategy", &why))
}

fn invalid(field: &str, why: &str) -> VaultError {
    VaultError::Validation(vec![(field.to_owned(), why.to_owned())])
}

/// A rehearsal under way.
struct Stage<'a> {
    vault: &'a Vault,
    reached: &'a Reached,
    account: &'a Map<String, Value>,
    overlap: Overlap,
    tag: &'a str,
    epoch: u64,
    step_began: Timestamp,
    /// A change was told whose outcome nobody knows.
    unsure: bool,
    promoted_at: Option<Timestamp>,
    steps: Vec<RehearsalStep>,
}

impl Stage<'_> {
    /// All steps in order; one that fails ends it, but for the removal. Answers whether the
    /// removal is proven.
    async fn play(&mut self) -> bool {
        let told = match tokio::time::timeout(ACTS_MAX, self.acts()).await {
            Ok(acted) => acted.ok(),
            Err(_) => {
                self.unsure = true;
                let cut: Result<(), ()> = self.report(Err(TroubleKind::TimedOut.into()));
                cut.ok();
                None
            }
        };
        while self.steps.len() + 1 < STEPS.len() {
            self.steps.push(RehearsalStep {
                name: STEPS[self.steps.len()],
                took: None,
                trouble: None,
            });
        }
        self.step_began = self.vault.now();
        let removal = self.remove(told.as_ref());
        let removed = match tokio::time::timeout(REMOVAL_MAX, removal).await {
            Ok(removed) => removed,
            Err(_) => Err(TroubleKind::TimedOut.into()),
        };
        self.report(removed).is_ok()
    }

    async fn acts(&mut self) -> Result<Plaintext, ()> {
        let made = self.create(None).await;
        let first = self.report(made)?;
        let verified = self.must_accept(&first).await;
        self.report(verified)?;
        let switched = self.switch(&first).await;
        let second = self.report(switched)?;
        self.promoted_at = Some(self.vault.now());
        let drained = self.drain(&first).await;
        self.report(drained)?;
        let revoked = self.revoke(&first, &second).await;
        self.report(revoked)?;
        Ok(second)
    }

    /// The step in hand is over; the next begins.
    fn report<T>(&mut self, outcome: Result<T, Trouble>) -> Result<T, ()> {
        let now = self.vault.now();
        let took = now.since(self.step_began);
        self.step_began = now;
        let (answer, trouble) = match outcome {
            Ok(answer) => (Ok(answer), None),
            Err(trouble) => (Err(()), Some(trouble)),
        };
        self.steps.push(RehearsalStep {
            name: STEPS[self.steps.len().min(STEPS.len() - 1)],
            took: Some(took),
            trouble,
        });
        answer
    }

    fn call(&self) -> Call<'_> {
        let since = self.promoted_at;
        self.reached.call(About {
            account: self.account,
            overlap: self.overlap,
            tag: self.tag,
            epoch: self.epoch,
            promoted_for: since.map(|since| self.vault.now().since(since)),
        })
    }

    /// Makes the next credential and has the target accept it beside `current`.
    async fn create(&mut self, current: Option<&Plaintext>) -> Result<Plaintext, Trouble> {
        self.epoch += 1;
        let connector = &self.reached.connector;
        let call = self.call();
        let planned = connector.candidate(&call, current, &*self.vault.entropy)?;
        let whole = |fields: &[NewField]| {
            replaced(current, fields).ok_or_else(|| Trouble::new(TroubleKind::Credential))
        };
        match planned {
            Candidate::Made(fields) => {
                let made = whole(&fields)?;
                let effect = connector.apply(&call, Some(&made), current).await;
                self.done(effect)?;
                Ok(made)
            }
            Candidate::Minted => {
                let effect = connector.apply(&call, None, current).await;
                whole(&self.done(effect)?)
            }
        }
    }

    /// The next credential beside the first: where the plan has an overlap, both log in.
    async fn switch(&mut self, first: &Plaintext) -> Result<Plaintext, Trouble> {
        let second = self.create(Some(first)).await?;
        self.must_accept(&second).await?;
        if self.overlap != Overlap::None {
            self.must_accept(first).await?;
        }
        Ok(second)
    }

    /// The target shows no use of the first.
    async fn drain(&self, first: &Plaintext) -> Result<(), Trouble> {
        let mut last = Trouble::new(TroubleKind::Protocol).code("sessions_stay");
        for _ in 0..LOOKS_MAX {
            match self.reached.connector.sessions(&self.call(), first).await {
                Sessions::Open(0) | Sessions::NotObservable => return Ok(()),
                Sessions::Open(_) => {}
                Sessions::Unknown(trouble) if trouble.kind.is_passing() => last = trouble,
                Sessions::Unknown(trouble) => return Err(trouble),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(last)
    }

    /// The first is refused, the second still accepted.
    async fn revoke(&mut self, first: &Plaintext, second: &Plaintext) -> Result<(), Trouble> {
        self.epoch += 1;
        let call = self.call();
        let retired = self.reached.connector.retire(&call, first, Some(second));
        let effect = retired.await;
        self.done(effect)?;
        self.must_refuse(first, "still_accepted").await?;
        self.must_accept(second).await
    }

    async fn remove(&mut self, last: Option<&Plaintext>) -> Result<(), Trouble> {
        self.epoch += 1;
        let effect = self.reached.connector.remove(&self.call()).await;
        self.done(effect)?;
        match last {
            Some(last) => self.must_refuse(last, "not_removed").await,
            None => Ok(()),
        }
    }

    async fn must_accept(&self, credential: &Plaintext) -> Result<(), Trouble> {
        match self.login(credential).await? {
            Login::Accepted => Ok(()),
            Login::Refused(refusal) => {
                Err(Trouble::new(TroubleKind::Protocol).code(format!("login_{}", refusal.as_str())))
            }
            Login::Unknown(trouble) => Err(trouble),
        }
    }

    async fn must_refuse(&self, credential: &Plaintext, code: &str) -> Result<(), Trouble> {
        match self.login(credential).await? {
            Login::Refused(_) => Ok(()),
            Login::Accepted => Err(Trouble::new(TroubleKind::Protocol).code(code)),
            Login::Unknown(trouble) => Err(trouble),
        }
    }

    /// A login; a target that has not settled is asked again.
    async fn login(&self, credential: &Plaintext) -> Result<Login, Trouble> {
        let mut last = TroubleKind::TimedOut.into();
        for _ in 0..LOOKS_MAX {
            match self.reached.connector.login(&self.call(), credential).await {
                Login::Unknown(trouble) if trouble.kind.is_passing() => {
                    last = trouble;
                    tokio::time::sleep(PAUSE).await;
                }
                login => return Ok(login),
            }
        }
        Err(last)
    }

    fn done(&mut self, effect: Effect) -> Result<Vec<NewField>, Trouble> {
        match effect {
            Effect::Applied(fields) => Ok(fields),
            Effect::NotApplied(trouble) => Err(trouble),
            Effect::Unknown(trouble) => {
                self.unsure = true;
                Err(trouble)
            }
        }
    }
}
