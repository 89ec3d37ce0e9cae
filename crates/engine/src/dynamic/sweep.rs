//! The sweep: accounts at a target that this store made and has no lease for.
//!
//! Names at the target are read first, leases after: a lease is stored before its account is made,
//! so one that is being made now is found with its lease.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::dynamic::{Engine, Lease, made_at, tail_of};
use scaivault_core::identity::Scope;
use scaivault_core::ids::LeaseId;
use scaivault_core::ports::{
    CommitError, DynamicReads, MarkReads, Record, SecretReads, Unit, UnitName,
};
use scaivault_core::target::TroubleKind;
use scaivault_core::time::Timestamp;

use super::engines::engine_extra;
use super::generate::makes_accounts;
use super::{failed, manager_row};
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::rotation::Reached;
use crate::vault::Vault;

/// Whom the audit trail names.
const WORKER: &str = "lease-worker";
/// From one sweep of an engine to the next.
const EVERY: Duration = Duration::from_secs(86_400);
/// How long one is somebody's, and after one that went wrong until the next: longer than its calls
/// at a target may take.
const HOLD: Duration = Duration::from_secs(900);
/// Engines swept at a time.
const AT_A_TIME: usize = 8;
/// Names asked about at a time.
const PAGE: usize = 500;
/// Engines of one tenant.
const ENGINES_MAX: usize = 10_000;

impl Vault {
    /// Compares what is at an engine's target with its leases. Answers leases for what had none;
    /// they end when no lease of the engine could live any longer.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::EngineFailed`] when the target could not be asked.
    pub async fn engine_sweep(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Vec<Lease>, VaultError> {
        self.require(caller, Scope::DynamicManage, Action::DynamicSweep)
            .await?;
        if self.is_reconcile_only().await? {
            return Err(VaultError::Restored);
        }
        let engine = self.engine_of(caller, name).await?;
        self.swept(caller, &engine).await
    }

    /// Sweeps every engine that was not swept for a day, nor since the store was resumed after a
    /// restore. Answers how many leases came of it.
    ///
    /// # Errors
    /// When the store cannot be read or written. A target that cannot be asked is passed over.
    pub async fn engines_sweep_once(&self) -> Result<usize, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(0);
        }
        let resumed_at = MarkReads::marks(&*self.store).await?.resumed_at;
        let mut due = Vec::new();
        for tenant in SecretReads::secret_counts(&*self.store).await?.into_keys() {
            let rows = DynamicReads::engine_list(&*self.store, &tenant, None, ENGINES_MAX).await?;
            let now = self.now();
            due.extend(
                rows.into_iter()
                    .filter(|engine| is_due(engine, resumed_at, now)),
            );
        }
        let mut found = 0;
        for some in due.chunks(AT_A_TIME) {
            let swept = some.iter().map(async |engine| {
                let caller = Caller::system(engine.tenant.clone(), WORKER, self.now());
                self.swept(&caller, engine).await
            });
            for (engine, swept) in some.iter().zip(join_all(swept).await) {
                match swept {
                    Ok(leases) => found += leases.len(),
                    Err(error) => {
                        tracing::warn!(engine = %engine.name, %error, "not swept; tried again later");
                    }
                }
            }
        }
        Ok(found)
    }

    async fn swept(&self, caller: &Caller, engine: &Engine) -> Result<Vec<Lease>, VaultError> {
        let now = self.now();
        let begun = Engine {
            sweep_held_until: Some(now.plus(HOLD)),
            revision: engine.revision + 1,
            ..engine.clone()
        };
        let reached = self.engine_reached(engine).await?;
        let mut reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
        let mut unit = Unit::new(UnitName::LeaseFound).put(Record::Engine(begun.clone()));
        if let Some(row) = manager_row(caller, &reached, now, (None, None)) {
            unit = unit.audited(row);
        }
        match self.commit(unit).await {
            Ok(_) => {}
            // Another node sweeps it.
            Err(CommitError::Conflict(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let names = self.names_at(&mut reached).await?;
        let mut found = self.without_lease(engine, names).await?;
        if !found.is_empty() {
            // An account whose lease ended between the two looks is gone.
            let still: BTreeSet<String> = self.names_at(&mut reached).await?.into_iter().collect();
            found.retain(|lease| still.contains(&lease.account));
        }
        self.adopt(caller, begun, &found).await?;
        Ok(found)
    }

    async fn names_at(&self, reached: &mut Reached) -> Result<Vec<String>, VaultError> {
        let connector = reached.connector.clone();
        let accounts = makes_accounts(&*connector)?;
        loop {
            match accounts.names(&reached.account_call()).await {
                Err(trouble) if trouble.kind == TroubleKind::ManagerRefused => {
                    if !self.another_manager(reached).await? {
                        return Err(failed(&trouble));
                    }
                }
                names => return names.map_err(|trouble| failed(&trouble)),
            }
        }
    }

    /// Leases for accounts that this store made and has none for.
    async fn without_lease(
        &self,
        engine: &Engine,
        names: Vec<String>,
    ) -> Result<Vec<Lease>, VaultError> {
        let check = self.tail_check(engine);
        let ours: Vec<String> = names
            .into_iter()
            .filter(|name| tail_of(name, &check).is_some())
            .collect();
        let (now, mut found) = (self.now(), Vec::new());
        for page in ours.chunks(PAGE) {
            let (store, tenant) = (&*self.store, &engine.tenant);
            let known = DynamicReads::lease_of_accounts(store, tenant, &engine.id, page).await?;
            let known: BTreeSet<&str> = known.iter().map(|row| row.account.as_str()).collect();
            for name in page.iter().filter(|name| !known.contains(name.as_str())) {
                let made = tail_of(name, &check).and_then(made_at).unwrap_or(now);
                found.push(Lease::found(
                    LeaseId::mint(now, &*self.entropy),
                    (tenant.clone(), engine.id.clone()),
                    name.clone(),
                    scaivault_core::identity::Identity::system(WORKER),
                    (made, engine.max_ttl.duration()),
                    now,
                ));
            }
        }
        Ok(found)
    }

    /// Stores them, and that the engine was swept. Each commit writes the engine: a sweep beside
    /// this one conflicts, and so does whoever deletes the engine.
    async fn adopt(
        &self,
        caller: &Caller,
        mut engine: Engine,
        found: &[Lease],
    ) -> Result<(), VaultError> {
        let now = self.now();
        let mut pages = found.chunks(PAGE).peekable();
        loop {
            let page = pages.next().unwrap_or_default();
            engine.revision += 1;
            if pages.peek().is_none() {
                (engine.swept_at, engine.sweep_held_until) = (Some(now), None);
            }
            let mut unit = Unit::new(UnitName::LeaseFound).put(Record::Engine(engine.clone()));
            if !page.is_empty() {
                let extra = AuditExtra {
                    count: u64::try_from(page.len()).ok(),
                    ..engine_extra(&engine)
                };
                unit = unit.audited(caller.row(Action::DynamicSweep, None, now, extra));
            }
            let put = |unit: Unit, lease: &Lease| unit.put(Record::Lease(lease.clone()));
            self.commit(page.iter().fold(unit, put)).await?;
            if engine.sweep_held_until.is_none() {
                return Ok(());
            }
        }
    }
}

/// Whether it was not swept for a day, or not since a restore, and nobody does it now.
fn is_due(engine: &Engine, resumed_at: Option<Timestamp>, now: Timestamp) -> bool {
    let is_held = engine.sweep_held_until.is_some_and(|until| now < until);
    let is_done = engine.swept_at.is_some_and(|at| {
        now < at.plus(EVERY) && resumed_at.is_none_or(|resumed_at| resumed_at <= at)
    });
    !is_held && !is_done
}
