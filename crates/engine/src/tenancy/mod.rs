//! Partners and tenants: who is served, who may act where, and the operations on them.

mod acting;
mod partners;
mod telling;
mod tenants;

use std::sync::Arc;

use scaivault_core::audit::Action;
use scaivault_core::identity::Scope;
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::ports::{CommitError, KeyReads, Record, TenancyReads, Unit, UnitName};
use scaivault_core::seal::KeyPurpose;
use scaivault_core::tenancy::{
    DEFAULT_TENANT, Partner, Role, SPACE_PREFIX, Status, Tenant, default_partner, is_slug,
    partner_of_space, slug_of, space_of,
};
use scaivault_core::time::Timestamp;

pub use partners::{PartnerChange, PartnerDraft};
pub use tenants::{TenantChange, TenantDraft, TenantQuery};

use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::{Vault, default_tenant};

/// Tenants looked at in one go.
const PAGE: usize = 1_000;

impl Vault {
    /// Makes sure that the default partner and tenant are in the store, and that what belongs to
    /// the partner as such can be sealed. A store of a release that knew neither gets them here.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tenancy_begin(&self) -> Result<(), VaultError> {
        let (partner, now) = (default_partner(), self.now());
        let mut unit = Unit::new(UnitName::TenantWrite);
        if TenancyReads::partner_find(&*self.store, &partner)
            .await?
            .is_none()
        {
            unit = unit.put(Record::Partner(default_partner_row(now)));
        }
        if TenancyReads::tenant_find(&*self.store, &default_tenant())
            .await?
            .is_none()
        {
            unit = unit.put(Record::Tenant(default_tenant_row(now, 1)));
        }
        let space = space_of(&partner);
        self.key_ready(&space).await?;
        if !self.keyring.has_active_key(&space) {
            unit = unit.put(Record::Key(self.first_key(&space, now)?));
        }
        if unit.ops.is_empty() {
            return Ok(());
        }
        match self.commit(unit).await {
            // Another node was faster: then they are there.
            Ok(_) | Err(CommitError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
        }
        self.key_ready(&space).await
    }

    /// A tenant. The default one is there even before it is stored.
    pub(crate) async fn tenant_known(
        &self,
        id: &TenantId,
    ) -> Result<Option<Arc<Tenant>>, VaultError> {
        let settled = self.caches_settled();
        let ticket = match self.caches.tenants.get(id) {
            Ok(tenant) if settled => return Ok(Some(tenant)),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let stored = TenancyReads::tenant_find(&*self.store, id).await?;
        let built_in = || {
            let row = default_tenant_row(Timestamp::from_secs(0), 0);
            (id.as_str() == DEFAULT_TENANT).then_some(row)
        };
        let Some(tenant) = stored.or_else(built_in).map(Arc::new) else {
            return Ok(None);
        };
        if let Some(ticket) = ticket {
            self.caches
                .tenants
                .insert(ticket, id.clone(), tenant.clone(), 1);
        }
        Ok(Some(tenant))
    }

    /// The partner that rows of this owner belong to.
    pub(crate) async fn partner_of(&self, owner: &TenantId) -> Result<PartnerId, VaultError> {
        if let Some(partner) = partner_of_space(owner) {
            return Ok(partner);
        }
        let tenant = self.tenant_known(owner).await?;
        Ok(tenant.map_or_else(default_partner, |tenant| tenant.partner.clone()))
    }

    /// The tenants of a partner that are served.
    pub(crate) async fn tenants_served(
        &self,
        partner: &PartnerId,
    ) -> Result<Vec<Tenant>, VaultError> {
        let served = self.tenants_of(partner).await?;
        Ok(served
            .into_iter()
            .filter(|tenant| !tenant.is_suspended())
            .collect())
    }

    async fn tenants_of(&self, partner: &PartnerId) -> Result<Vec<Tenant>, VaultError> {
        let filter = scaivault_core::ports::TenantFilter {
            partner: Some(partner.clone()),
            status: None,
        };
        let mut all = Vec::new();
        loop {
            let (page, total) =
                TenancyReads::tenant_list(&*self.store, &filter, all.len(), PAGE).await?;
            let more = !page.is_empty();
            all.extend(page);
            if !more || u64::try_from(all.len()).is_ok_and(|have| have >= total) {
                return Ok(all);
            }
        }
    }

    /// That values of this owner can be sealed and opened here: a key made by another node is
    /// taken in.
    pub(crate) async fn key_ready(&self, owner: &TenantId) -> Result<(), VaultError> {
        match self.keyring.has_active_key(owner) {
            true => Ok(()),
            false => self.keys_take_in().await,
        }
    }

    /// Takes in what keys of tenants others have stored.
    pub(crate) async fn keys_take_in(&self) -> Result<(), VaultError> {
        for record in KeyReads::key_list(&*self.store).await? {
            let unknown = record
                .tenant
                .as_ref()
                .is_some_and(|tenant| !self.keyring.has_active_key(tenant));
            if record.purpose == KeyPurpose::Tenant && unknown {
                self.keyring
                    .add(&record)
                    .map_err(|error| VaultError::Internal(error.to_string()))?;
            }
        }
        Ok(())
    }

    fn first_key(
        &self,
        owner: &TenantId,
        now: Timestamp,
    ) -> Result<scaivault_core::seal::KeyRecord, VaultError> {
        self.keyring
            .first_key_of(owner, now, &*self.entropy)
            .map_err(|error| VaultError::Internal(error.to_string()))
    }
}

fn default_partner_row(now: Timestamp) -> Partner {
    Partner {
        id: default_partner(),
        name: "Default".into(),
        slug: "default".into(),
        region: None,
        status: Status::Active,
        created_at: now,
        updated_at: now,
        revision: 1,
    }
}

fn default_tenant_row(now: Timestamp, revision: u64) -> Tenant {
    Tenant {
        id: default_tenant(),
        partner: default_partner(),
        name: "Default".into(),
        slug: "default".into(),
        region: None,
        own_status: Status::Active,
        partner_status: Status::Active,
        created_at: now,
        updated_at: now,
        revision,
    }
}

/// The slug given, or one made of the name.
fn slug(given: Option<String>, name: &str) -> Result<String, VaultError> {
    let refused = |why: &str| VaultError::Validation(vec![("slug".into(), why.into())]);
    match given {
        Some(slug) if is_slug(&slug) => Ok(slug),
        Some(_) => Err(refused(
            "has 1 to 63 lower-case letters, digits and single hyphens between them",
        )),
        None => Some(slug_of(name))
            .filter(|slug| is_slug(slug))
            .ok_or_else(|| refused("cannot be made of this name: give one")),
    }
}

/// The longest body of an id that is given instead of minted: its space's name must be an id, too.
pub const ID_BODY_MAX: usize = 48;

fn check_id(text: &str, prefix: &str) -> Result<(), VaultError> {
    let body = text.strip_prefix(prefix).unwrap_or_default();
    if body.len() > ID_BODY_MAX || text.starts_with(SPACE_PREFIX) {
        let why = format!(
            "has at most {ID_BODY_MAX} characters behind its prefix, and no tenant's begins with \
             {SPACE_PREFIX}"
        );
        return Err(VaultError::Validation(vec![("id".into(), why)]));
    }
    Ok(())
}

impl Vault {
    /// Whether the caller operates the server as a whole: a super admin, or somebody whose token
    /// is the default tenant's, where operators have theirs.
    pub fn is_operator(&self, caller: &Caller) -> bool {
        is_super(caller) || *caller.principal.home() == default_tenant()
    }

    /// Decides a request about the whole server: the scope `admin`, in an operator's hands.
    pub(crate) async fn require_operator(
        &self,
        caller: &Caller,
        action: Action,
    ) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, action).await?;
        if self.is_operator(caller) {
            return Ok(());
        }
        let why = "this is about the whole server: ask its operator, or use a token of the default \
                   tenant or one with the role super_admin";
        self.refuse(caller, action, None, None, VaultError::Forbidden(why))
            .await
    }
}

fn is_super(caller: &Caller) -> bool {
    caller.principal.seat.roles.may_as(Role::SuperAdmin)
}
