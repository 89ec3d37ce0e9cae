//! The sweep: accounts at a target that this store made and has no lease for.
//!
//! Names at the target are read first, leases after: a lease is stored before its account is made,
//! so one that is being made now is found with its lease.

use std::collections::BTreeSet;
use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::dynamic::{Engine, Lease, made_at, tail_of};
use scaivault_core::identity::Scope;
use scaivault_core::ids::LeaseId;
use scaivault_core::ports::{CommitError, DynamicReads, Record, SecretReads, Unit, UnitName};
use scaivault_core::target::TroubleKind;

use super::engines::engine_extra;
use super::failed;
use super::generate::makes_accounts;
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// Whom the audit trail names.
const WORKER: &str = "lease-worker";
/// From one sweep of an engine to the next.
const EVERY: Duration = Duration::from_secs(86_400);
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

    /// Sweeps every engine that was not swept for a day. Answers how many leases came of it.
    ///
    /// # Errors
    /// When the store cannot be read or written. A target that cannot be asked is passed over.
    pub async fn engines_sweep_once(&self) -> Result<usize, VaultError> {
        if self.is_reconcile_only().await? {
            return Ok(0);
        }
        let mut found = 0;
        for tenant in SecretReads::secret_counts(&*self.store).await?.into_keys() {
            if !self.seat_in(&tenant).await?.1 {
                continue;
            }
            let caller = Caller::system(tenant.clone(), WORKER, self.now());
            let rows = DynamicReads::engine_list(&*self.store, &tenant, None, ENGINES_MAX).await?;
            for engine in rows {
                let due = engine.swept_at.map(|at| at.plus(EVERY));
                if due.is_some_and(|due| self.now() < due) {
                    continue;
                }
                match self.swept(&caller, &engine).await {
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
            swept_at: Some(now),
            revision: engine.revision + 1,
            ..engine.clone()
        };
        let reached = self.engine_reached(engine).await?;
        let mut reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
        let mut unit = Unit::new(UnitName::LeaseFound).put(Record::Engine(begun));
        if let Some(manager) = &reached.target.manager_path {
            let extra = AuditExtra {
                target_id: engine.target_id.clone(),
                ..AuditExtra::default()
            };
            unit = unit.audited(caller.row(Action::Read, Some(manager), now, extra));
        }
        match self.commit(unit).await {
            Ok(_) => {}
            // Another node sweeps it.
            Err(CommitError::Conflict(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let connector = reached.connector.clone();
        let accounts = makes_accounts(&*connector)?;
        let names = loop {
            match accounts.names(&reached.account_call()).await {
                Err(trouble) if trouble.kind == TroubleKind::ManagerRefused => {
                    if !self.another_manager(&mut reached).await? {
                        return Err(failed(&trouble));
                    }
                }
                names => break names.map_err(|trouble| failed(&trouble))?,
            }
        };
        let found = self.without_lease(engine, names).await?;
        self.adopt(caller, engine, &found).await?;
        Ok(found)
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

    async fn adopt(
        &self,
        caller: &Caller,
        engine: &Engine,
        found: &[Lease],
    ) -> Result<(), VaultError> {
        let now = self.now();
        for page in found.chunks(PAGE) {
            let extra = AuditExtra {
                count: u64::try_from(page.len()).ok(),
                ..engine_extra(engine)
            };
            let unit = Unit::new(UnitName::LeaseFound).audited(caller.row(
                Action::DynamicSweep,
                None,
                now,
                extra,
            ));
            let unit = page
                .iter()
                .fold(unit, |unit, lease| unit.put(Record::Lease(lease.clone())));
            self.commit(unit).await?;
        }
        Ok(())
    }
}
