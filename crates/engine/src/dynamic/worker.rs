//! The worker of leases: what is over, was asked to end, or was left behind is removed, many at a
//! time, engine by engine. What cannot be removed comes again, for ever, and is told of.

use std::time::Duration;

use futures_util::future::join_all;
use indexmap::IndexMap;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::dynamic::{Cause, Engine, Lease, LeaseStep, RevocationOutcome};
use scaivault_core::ids::{EngineId, TenantId};
use scaivault_core::ports::{
    CommitError, DynamicReads, Effect, OldAccount, Record, Unit, UnitName,
};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;

use super::generate::{is_manager_refused, makes_accounts};
use super::holds::{OF_EACH, TOGETHER, WRITTEN, is_of_target};
use super::token_ends::TokenLives;
use super::{extra_of, manager_row, path_of};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::events;
use crate::rotation::Reached;
use crate::tally::Tally;
use crate::vault::Vault;

/// Whom the audit trail names.
const WORKER: &str = "lease-worker";
/// How long they are held: longer than a call at a target may take.
const HOLD: Duration = Duration::from_secs(60);

/// Leases of one engine that are due.
pub struct DueLeases {
    tenant: TenantId,
    engine_id: EngineId,
    leases: Vec<Lease>,
}

impl DueLeases {
    /// Whose.
    pub fn engine_id(&self) -> &EngineId {
        &self.engine_id
    }
}

impl Vault {
    /// Works on all leases that are due, engine by engine. Answers how many; 0 means nothing is due.
    ///
    /// # Errors
    /// When the store cannot be read or written; they come up again by themselves.
    pub async fn leases_run_once(&self) -> Result<usize, VaultError> {
        let mut done = 0;
        for due in self.leases_due(&[], usize::MAX).await? {
            done += due.leases.len();
            self.leases_work(due).await?;
        }
        Ok(done)
    }

    /// Leases that are due, of the engine with the longest overdue first, none of engines in `busy`:
    /// one that hangs holds back nobody else. Engines in trouble are left alone for a while, and
    /// come last then.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn leases_due(
        &self,
        busy: &[EngineId],
        engines: usize,
    ) -> Result<Vec<DueLeases>, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(Vec::new());
        }
        let troubled = self.engine_holds.troubled(None);
        let mut due = self.due_but([busy, &troubled].concat(), engines).await?;
        if !troubled.is_empty() && due.len() < engines {
            let alone = self.engine_holds.troubled(Some(self.now()));
            let others = due.iter().map(|due| due.engine_id.clone()).collect();
            let but = [busy.to_vec(), alone, others].concat();
            due.extend(self.due_but(but, engines - due.len()).await?);
        }
        for of_engine in &mut due {
            let most = self.engine_holds.batch(&of_engine.engine_id);
            of_engine.leases.truncate(most);
        }
        Ok(due)
    }

    /// Whether any engine is in trouble: what is due then may be left alone for a while.
    pub fn leases_are_held(&self) -> bool {
        !self.engine_holds.troubled(Some(self.now())).is_empty()
    }

    /// Engines whose target was found in trouble by this node, and was not well since.
    pub fn engines_in_trouble(&self) -> usize {
        self.engine_holds.troubled(None).len()
    }

    async fn due_but(
        &self,
        but: Vec<EngineId>,
        engines: usize,
    ) -> Result<Vec<DueLeases>, VaultError> {
        let limit = OF_EACH.saturating_mul(engines.min(64));
        let rows = DynamicReads::lease_due(&*self.store, self.now(), &but, OF_EACH, limit).await?;
        let mut by_engine: IndexMap<EngineId, DueLeases> = IndexMap::new();
        for lease in rows {
            let due = by_engine
                .entry(lease.engine_id.clone())
                .or_insert_with(|| DueLeases {
                    tenant: lease.tenant.clone(),
                    engine_id: lease.engine_id.clone(),
                    leases: Vec::new(),
                });
            due.leases.push(lease);
        }
        Ok(by_engine.into_values().take(engines).collect())
    }

    /// Looks after these leases.
    ///
    /// # Errors
    /// When the store cannot be read or written; they come up again by themselves.
    pub async fn leases_work(&self, due: DueLeases) -> Result<(), VaultError> {
        let id = &due.engine_id;
        let worked = self.leases_in_parts(&due).await;
        match &worked {
            Ok(Some(false)) => self.engine_holds.worked(id),
            Ok(Some(true)) | Err(_) => {
                self.engine_holds.failed(id, self.jitter(), self.now());
            }
            Ok(None) => {}
        }
        worked.map(drop)
    }

    /// A part alone first, then the others beside each other: a target in trouble is asked once, and
    /// one that is well is not waited for in turn. Whether it was in trouble; `None` when it was not
    /// needed.
    async fn leases_in_parts(&self, due: &DueLeases) -> Result<Option<bool>, VaultError> {
        let mut parts = due.leases.chunks(TOGETHER);
        let first = parts.next().unwrap_or_default();
        let first = self.leases_worked(due, first).await?;
        if first == Some(true) {
            return Ok(first);
        }
        let others = join_all(parts.map(|part| self.leases_worked(due, part))).await;
        let mut worked = first;
        for other in others {
            // One that worked says more than one that did not.
            worked = match (worked, other?) {
                (Some(one), Some(other)) => Some(one && other),
                (one, other) => one.or(other),
            };
        }
        Ok(worked)
    }

    async fn leases_worked(
        &self,
        of: &DueLeases,
        leases: &[Lease],
    ) -> Result<Option<bool>, VaultError> {
        let found = DynamicReads::engine_find(&*self.store, &of.tenant, &of.engine_id).await?;
        let (now, mut over) = (self.now(), Vec::new());
        for lease in leases {
            match lease.step(now) {
                LeaseStep::Remove(cause) => over.push(lease.taken(cause, now.plus(HOLD))),
                LeaseStep::Look => match self.token_behind(lease).await? {
                    TokenLives::Until(ends_at) => {
                        self.lease_put(UnitName::LeaseLook, lease.looked_at(ends_at))
                            .await?;
                    }
                    TokenLives::No => over.push(lease.taken(Cause::Token, now.plus(HOLD))),
                },
                LeaseStep::Wait(_) | LeaseStep::Ended => {}
            }
        }
        if over.is_empty() {
            return Ok(None);
        }
        let over = match found.as_ref().filter(|engine| self.signs(engine)) {
            Some(engine) => self.kept_refused(engine, over, now).await?,
            None => over,
        };
        if over.is_empty() {
            return Ok(None);
        }
        let place = self.place_of(found.as_ref()).await?;
        let over = self.take(place.as_ref().ok(), over).await?;
        if over.is_empty() {
            return Ok(None);
        }
        let effects = match place {
            Ok(reached) => self.remove_all(reached, &over).await?,
            Err(trouble) => {
                let each = over.iter();
                each.map(|_| Effect::NotApplied(trouble.clone())).collect()
            }
        };
        self.note_all(found.as_ref(), &over, &effects).await?;
        Ok(Some(is_of_target(&effects)))
    }

    /// Where an engine's accounts are, or why nothing can be done there: what will not pass by
    /// itself belongs to the leases, where somebody sees it.
    async fn place_of(
        &self,
        engine: Option<&Engine>,
    ) -> Result<Result<Reached, Trouble>, VaultError> {
        let none = |code: &str| Ok(Err(Trouble::new(TroubleKind::Settings).code(code)));
        let Some(engine) = engine else {
            return none("engine_gone");
        };
        match self.engine_reached(engine).await {
            Ok(Some(reached)) if reached.connector.accounts().is_some() => Ok(Ok(reached)),
            Ok(Some(_)) => none("no_accounts"),
            Ok(None) => none("target_gone"),
            Err(VaultError::Internal(error)) => {
                tracing::error!(engine = %engine.name, %error, "the manager's value cannot be opened");
                let trouble = Trouble::new(TroubleKind::ManagerMissing);
                Ok(Err(trouble.code("manager_unreadable")))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether what an engine makes ends by itself alone.
    fn signs(&self, engine: &Engine) -> bool {
        let connector = self.connectors.get(&engine.plugin);
        connector.is_some_and(|connector| {
            let accounts = connector.accounts();
            accounts.is_some_and(|accounts| accounts.ends_by_itself())
        })
    }

    /// What ends by itself alone stays on the list of what is refused until then. Answers the rest.
    async fn kept_refused(
        &self,
        engine: &Engine,
        leases: Vec<Lease>,
        now: Timestamp,
    ) -> Result<Vec<Lease>, VaultError> {
        let (over, refused): (Vec<_>, Vec<_>) = leases
            .into_iter()
            .partition(|lease| lease.expires_at <= now);
        for lease in refused {
            let caller = Caller::system(lease.tenant.clone(), WORKER, now);
            let kept = Lease {
                wake_at: Some(lease.expires_at),
                ..lease
            };
            let path = path_of(engine, &kept.role);
            let extra = extra_of(engine, &kept);
            let unit = Unit::new(UnitName::LeaseTake)
                .audited(caller.row(Action::DynamicRevoke, path.as_ref(), now, extra))
                .put(Record::Lease(kept));
            match self.commit(unit).await {
                Ok(_) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(over)
    }

    /// Takes leases in hand, with the row that says that the manager's credential is used. What
    /// somebody else changed is left to him.
    async fn take(
        &self,
        reached: Option<&Reached>,
        leases: Vec<Lease>,
    ) -> Result<Vec<Lease>, VaultError> {
        let mut taken = Vec::with_capacity(leases.len());
        for part in leases.chunks(WRITTEN) {
            self.take_part(reached, part, &mut taken).await?;
        }
        Ok(taken)
    }

    async fn take_part(
        &self,
        reached: Option<&Reached>,
        leases: &[Lease],
        taken: &mut Vec<Lease>,
    ) -> Result<(), VaultError> {
        let Some(first) = leases.first() else {
            return Ok(());
        };
        let caller = Caller::system(first.tenant.clone(), WORKER, self.now());
        let row = reached.and_then(|reached| {
            manager_row(&caller, reached, self.now(), (None, Some(leases.len())))
        });
        let reads = Unit::new(UnitName::LeaseTake);
        let reads = match row {
            Some(row) => reads.audited(row),
            None => reads,
        };
        let all = leases.iter().fold(reads.clone(), |unit, lease| {
            unit.put(Record::Lease(lease.clone()))
        });
        match self.commit(all).await {
            Ok(_) => {
                taken.extend_from_slice(leases);
                return Ok(());
            }
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        for lease in leases {
            let one = reads.clone().put(Record::Lease(lease.clone()));
            match self.commit(one).await {
                Ok(_) => taken.push(lease.clone()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// An outcome for each.
    async fn remove_all(
        &self,
        mut reached: Reached,
        leases: &[Lease],
    ) -> Result<Vec<Effect>, VaultError> {
        let connector = reached.connector.clone();
        let accounts = makes_accounts(&*connector)?;
        let old: Vec<_> = leases
            .iter()
            .map(|lease| OldAccount {
                name: &lease.account,
                revocation: &lease.revocation,
            })
            .collect();
        loop {
            let effects = accounts.remove(&reached.account_call(), &old).await;
            let refused = effects.iter().all(is_manager_refused);
            if !refused || !self.another_manager(&mut reached).await? {
                return Ok(effects);
            }
        }
    }

    /// Writes down what came of it.
    async fn note_all(
        &self,
        engine: Option<&Engine>,
        leases: &[Lease],
        effects: &[Effect],
    ) -> Result<(), VaultError> {
        let now = self.now();
        let mut units = Vec::with_capacity(leases.len());
        for (lease, effect) in leases.iter().zip(effects) {
            let outcome = lease.removed(effect, self.jitter(), now);
            Tally::add(match effect {
                Effect::Applied(_) => &self.tally.accounts_removed,
                Effect::NotApplied(_) | Effect::Unknown(_) => &self.tally.accounts_not_removed,
            });
            units.push(self.noted(engine, lease, &outcome, now));
        }
        for part in units.chunks(WRITTEN) {
            self.note_part(part).await?;
        }
        Ok(())
    }

    async fn note_part(&self, units: &[Unit]) -> Result<(), VaultError> {
        let all = units
            .iter()
            .cloned()
            .fold(Unit::new(UnitName::LeaseRemoved), Unit::and);
        match self.commit(all).await {
            Ok(_) => return Ok(()),
            Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        // One was held too long and is somebody else's by now: his word counts.
        for unit in units {
            match self.commit(unit.clone()).await {
                Ok(_) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn noted(
        &self,
        engine: Option<&Engine>,
        before: &Lease,
        outcome: &RevocationOutcome,
        now: Timestamp,
    ) -> Unit {
        let mut lease = outcome.lease().clone();
        let caller = Caller::system(lease.tenant.clone(), WORKER, now);
        let tells = lease.is_to_be_told(now);
        lease.alerted |= tells;
        let mut extra = match engine {
            Some(engine) => extra_of(engine, &lease),
            None => AuditExtra {
                subject: Some(lease.id.as_str().to_owned()),
                ..AuditExtra::default()
            },
        };
        let path = engine.and_then(|engine| path_of(engine, &lease.role));
        let action = Action::DynamicRevoke;
        let mut unit = Unit::new(UnitName::LeaseRemoved);
        unit = match &lease.trouble {
            // What goes on for ever is on the trail when it changes, and ever more rarely.
            Some(trouble) if is_news(before, &lease) => {
                extra.count = Some(lease.attempts.into());
                let code = trouble.kind.as_str();
                unit.audited(caller.failed_row(action, path.as_ref(), now, code, extra))
            }
            Some(_) => unit,
            None => unit.audited(caller.row(action, path.as_ref(), now, extra)),
        };
        if tells {
            unit = unit.emit(self.event(&caller, events::lease_owed(engine, &lease), now));
        }
        unit.put(Record::Lease(lease))
    }

    pub(super) async fn lease_put(&self, name: UnitName, lease: Lease) -> Result<(), VaultError> {
        match self.commit(Unit::new(name).put(Record::Lease(lease))).await {
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether a failure is another one than before, or the first, second, fourth, eighth… of its kind.
fn is_news(before: &Lease, after: &Lease) -> bool {
    let kind = |lease: &Lease| lease.trouble.as_ref().map(|trouble| trouble.kind);
    kind(before) != kind(after) || after.attempts.is_power_of_two()
}
