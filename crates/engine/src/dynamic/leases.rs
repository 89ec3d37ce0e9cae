//! Leases of those who hold them: seen, renewed, given back.

use std::time::Duration;

use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Cause, Engine, Lease, LeaseState};
use scaivault_core::identity::Scope;
use scaivault_core::ids::LeaseId;
use scaivault_core::ports::{
    CommitError, DynamicReads, Effect, LeaseFilter, Op, Record, Unit, UnitName,
};
use scaivault_core::time::Span;

use super::generate::{is_cut, is_manager_refused, makes_accounts};
use super::{extra_of, failed, manager_row, path_of};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Leases put to their end in one commit.
const ENDING_MAX: usize = 200;
/// Rows removed in one commit.
const PRUNED_MAX: usize = 250;

impl Vault {
    /// One lease, to its holder or to whoever may see all.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], also for one of somebody else.
    pub async fn lease_show(&self, caller: &Caller, id: &LeaseId) -> Result<Lease, VaultError> {
        self.lease_of(caller, id, Scope::DynamicRead).await
    }

    /// Leases, newest first: all of them with the scope `dynamic:read`, else the caller's own.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither that scope nor `dynamic:generate`.
    pub async fn lease_list(
        &self,
        caller: &Caller,
        filter: &LeaseFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Lease>, VaultError> {
        let mut filter = filter.clone();
        if !caller.principal.scopes.contains(Scope::DynamicRead) {
            self.require(caller, Scope::DynamicGenerate, Action::List)
                .await?;
            filter.holder = Some(caller.identity().clone());
        }
        let tenant = caller.tenant();
        Ok(DynamicReads::lease_list(&*self.store, tenant, &filter, after, limit).await?)
    }

    /// Moves a lease's end: `increment` from now, no further than it may go. The target is told
    /// first, so that an account never ends before its lease.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::LeaseEnded`]; [`VaultError::EngineFailed`] when the
    /// target could not be told: the lease ends as it did before; [`VaultError::Restored`].
    pub async fn lease_renew(
        &self,
        caller: &Caller,
        id: &LeaseId,
        increment: Option<&Span>,
    ) -> Result<Lease, VaultError> {
        self.not_restored().await?;
        for _ in 0..RACES_MAX {
            let lease = self.lease_of(caller, id, Scope::DynamicManage).await?;
            let engine = self.engine_of_lease(&lease).await?;
            let role = self.role_of(&engine, &lease.role).await?;
            let increment = increment.map_or(role.terms(&engine).default_ttl, Span::duration);
            let until = lease.renewable_until(increment, self.now());
            let until = until.ok_or(VaultError::LeaseEnded)?;
            let reached = self.engine_reached(&engine).await?;
            let mut reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
            let _slot = self.account_slots.take(&reached.target.id).await?;
            if let Some(row) = manager_row(caller, &reached, self.now(), (Some(&lease), None)) {
                self.commit(Unit::audit_only(row)).await?;
            }
            let connector = reached.connector.clone();
            let accounts = makes_accounts(&*connector)?;
            let told = loop {
                let call = reached.account_call();
                let told = accounts.renew(&call, (&lease.account, &role), until).await;
                let may_be_rotated = is_manager_refused(&told) || is_cut(&told);
                if !may_be_rotated || !self.another_manager(&mut reached).await? {
                    break told;
                }
            };
            if let Effect::NotApplied(trouble) | Effect::Unknown(trouble) = told {
                return Err(failed(&trouble));
            }
            let now = self.now();
            let next = lease.renewed(until, now);
            let extra = extra_of(&engine, &next);
            let path = path_of(&engine, &lease.role);
            let unit = Unit::new(UnitName::LeaseRenew)
                .put(Record::Lease(next.clone()))
                .audited(caller.row(Action::DynamicRenew, path.as_ref(), now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(next),
                // It is ending, or somebody else renewed it.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Ends a lease. That it ends is durable when this returns; its account is removed by the
    /// worker, at once and as often as it takes.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn lease_revoke(&self, caller: &Caller, id: &LeaseId) -> Result<Lease, VaultError> {
        for _ in 0..RACES_MAX {
            let lease = self.lease_of(caller, id, Scope::DynamicManage).await?;
            let Some(next) = lease.ending(Cause::Asked, self.now()) else {
                return Ok(lease);
            };
            let engine = self.engine_of_lease(&lease).await?;
            match self.leases_end(caller, &engine, vec![next.clone()]).await {
                Ok(()) => return Ok(next),
                Err(VaultError::Unavailable(_)) if self.raced(&next).await? => {}
                Err(error) => return Err(error),
            }
        }
        Err(too_quick())
    }

    /// Ends all leases of an engine, or of one of its roles; answers how many. Goes on where it was
    /// when it is asked again.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the engine; [`VaultError::Scope`] without `dynamic:manage`.
    pub async fn leases_revoke_all(
        &self,
        caller: &Caller,
        engine: &str,
        role: Option<&str>,
    ) -> Result<usize, VaultError> {
        self.require(caller, Scope::DynamicManage, Action::DynamicRevoke)
            .await?;
        let engine = self.engine_of(caller, engine).await?;
        let filter = LeaseFilter {
            engine_id: Some(engine.id.clone()),
            role: role.map(ToOwned::to_owned),
            states: vec![LeaseState::Creating, LeaseState::Active],
            ..LeaseFilter::default()
        };
        let mut ended = 0;
        let mut after: Option<String> = None;
        loop {
            let (store, tenant) = (&*self.store, &engine.tenant);
            let page =
                DynamicReads::lease_list(store, tenant, &filter, after.as_deref(), ENDING_MAX);
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(ended);
            };
            after = Some(last.id.as_str().to_owned());
            ended += self.end_page(caller, &engine, page).await?;
        }
    }

    async fn end_page(
        &self,
        caller: &Caller,
        engine: &Engine,
        page: Vec<Lease>,
    ) -> Result<usize, VaultError> {
        let now = self.now();
        let ending = |lease: &Lease| lease.ending(Cause::Asked, now);
        let next: Vec<Lease> = page.iter().filter_map(ending).collect();
        let number = next.len();
        match self.leases_end(caller, engine, next).await {
            Ok(()) => return Ok(number),
            Err(VaultError::Unavailable(_)) => {}
            Err(error) => return Err(error),
        }
        // One of them changed meanwhile: each by itself, as it is now.
        let mut ended = 0;
        for lease in page {
            let id = lease.id;
            let found = DynamicReads::lease_find(&*self.store, &engine.tenant, &id).await?;
            if let Some(next) = found.and_then(|lease| lease.ending(Cause::Asked, self.now())) {
                self.leases_end(caller, engine, vec![next]).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    /// Commits the end of these leases, with a row for each.
    async fn leases_end(
        &self,
        caller: &Caller,
        engine: &Engine,
        leases: Vec<Lease>,
    ) -> Result<(), VaultError> {
        if leases.is_empty() {
            return Ok(());
        }
        let now = self.now();
        let mut unit = Unit::new(UnitName::LeaseEnd);
        for lease in leases {
            let extra = extra_of(engine, &lease);
            let path = path_of(engine, &lease.role);
            unit = unit
                .audited(caller.row(Action::DynamicRevoke, path.as_ref(), now, extra))
                .put(Record::Lease(lease));
        }
        match self.commit(unit).await {
            Ok(_) => {
                self.signals.leases_end();
                Ok(())
            }
            Err(CommitError::Conflict(_)) => Err(too_quick()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether somebody else wrote the row that this one was to follow.
    async fn raced(&self, next: &Lease) -> Result<bool, VaultError> {
        let found = DynamicReads::lease_find(&*self.store, &next.tenant, &next.id).await?;
        Ok(found.is_some_and(|stored| stored.revision + 1 != next.revision))
    }

    /// The holder's own, or anybody's with this scope.
    async fn lease_of(
        &self,
        caller: &Caller,
        id: &LeaseId,
        of_others: Scope,
    ) -> Result<Lease, VaultError> {
        let scopes = &caller.principal.scopes;
        let (own, any) = (
            scopes.contains(Scope::DynamicGenerate),
            scopes.contains(of_others),
        );
        if !own && !any {
            self.require(caller, of_others, Action::DynamicRevoke)
                .await?;
        }
        DynamicReads::lease_find(&*self.store, caller.tenant(), id)
            .await?
            .filter(|lease| any || lease.holder == *caller.identity())
            .ok_or(VaultError::NotFound(Missing::Lease))
    }

    pub(super) async fn engine_of_lease(&self, lease: &Lease) -> Result<Engine, VaultError> {
        DynamicReads::engine_find(&*self.store, &lease.tenant, &lease.engine_id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Engine))
    }

    /// Removes some rows of leases that ended so long ago, in one commit: few enough that nobody
    /// waits for it. Answers how many there were; 0 means that there is no more to do.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn leases_prune(&self, keep: Duration) -> Result<usize, VaultError> {
        let (before, limit) = (self.now().minus(keep), PRUNED_MAX);
        let ended = DynamicReads::lease_prunable(&*self.store, before, limit).await?;
        if ended > 0 {
            let unit = Unit::new(UnitName::Housekeeping).op(Op::LeasesPrune { before, limit });
            self.commit(unit).await?;
        }
        Ok(ended)
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the lease changes too quickly: try again".into())
}
