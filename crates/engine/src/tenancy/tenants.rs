//! Operations on tenants: for super admins, and for partner admins on those of their partner.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::ports::{
    CommitError, Record, RecordKind, TenancyReads, TenantFilter, Unit, UnitName,
};
use scaivault_core::tenancy::{DEFAULT_TENANT, Partner, Role, Status, Tenant};

use super::{check_id, is_super, slug};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// A tenant to make.
#[derive(Debug, Clone)]
pub struct TenantDraft {
    /// Its id, where an identity provider gave it one; minted otherwise.
    pub id: Option<TenantId>,
    /// Its partner; the caller's own when absent.
    pub partner: Option<PartnerId>,
    /// For people.
    pub name: String,
    /// Made of the name when absent.
    pub slug: Option<String>,
    /// Where it is at home.
    pub region: Option<String>,
}

/// A change. Absent parts stay.
#[derive(Debug, Clone, Default)]
pub struct TenantChange {
    /// For people.
    pub name: Option<String>,
    /// `Some(None)` takes it away.
    pub region: Option<Option<String>>,
    /// Whether it is served.
    pub status: Option<Status>,
}

/// Which tenants to list.
#[derive(Debug, Clone, Default)]
pub struct TenantQuery {
    /// Of this partner.
    pub partner: Option<PartnerId>,
    /// Of this status.
    pub status: Option<Status>,
}

impl Vault {
    /// Makes a tenant, with a key of its own.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] without the role; [`VaultError::NotFound`] for the partner;
    /// [`VaultError::NameExists`] when id or slug is taken.
    pub async fn tenant_create(
        &self,
        caller: &Caller,
        draft: TenantDraft,
    ) -> Result<Tenant, VaultError> {
        let action = Action::TenantCreate;
        self.require(caller, Scope::IdentityAdmin, action).await?;
        let own = caller.principal.seat.partner.clone();
        let of = draft.partner.unwrap_or_else(|| own.clone());
        self.require_over(caller, &of, action).await?;
        let now = self.now();
        let id = match draft.id {
            Some(id) => id,
            None => TenantId::mint(now, &*self.entropy),
        };
        check_id(id.as_str(), TenantId::PREFIX)?;
        let slug = slug(draft.slug, &draft.name)?;
        let key = self.first_key(&id, now)?;
        for _ in 0..RACES_MAX {
            let partner = self.partner_stored(&of).await?;
            let partner = partner.ok_or(VaultError::NotFound(Missing::Partner))?;
            if partner.status == Status::Suspended {
                return Err(VaultError::Forbidden(
                    "the partner is suspended: activate it before giving it a tenant",
                ));
            }
            let tenant = Tenant {
                id: id.clone(),
                partner: of.clone(),
                name: draft.name.clone(),
                slug: slug.clone(),
                region: draft.region.clone(),
                own_status: Status::Active,
                partner_status: partner.status,
                created_at: now,
                updated_at: now,
                revision: 1,
            };
            let extra = AuditExtra {
                partner_id: Some(of.clone()),
                changed_tenant_id: Some(id.clone()),
                ..AuditExtra::default()
            };
            let unit = Unit::new(UnitName::TenantWrite)
                .put(Record::Tenant(tenant.clone()))
                .put(Record::Key(key.clone()))
                // Its number guards against a suspension meanwhile.
                .put(Record::Partner(Partner {
                    revision: partner.revision + 1,
                    ..partner
                }))
                .audited(caller.row(action, None, now, extra));
            match self.commit(unit).await {
                Ok(_) => {
                    self.key_ready(&id).await?;
                    return Ok(tenant);
                }
                Err(CommitError::Conflict(RecordKind::Tenant | RecordKind::Key)) => {
                    return Err(VaultError::NameExists);
                }
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the partner changes too quickly: try again".into(),
        ))
    }

    /// Tenants by id, and how many there are: all for a super admin, those of its partner for a
    /// partner admin, one's own otherwise.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `identity:read`.
    pub async fn tenant_list(
        &self,
        caller: &Caller,
        query: TenantQuery,
        skip: usize,
        limit: usize,
    ) -> Result<(Vec<Tenant>, u64), VaultError> {
        self.require_list(caller, Scope::IdentityRead).await?;
        let seat = &caller.principal.seat;
        let mut filter = TenantFilter {
            partner: query.partner,
            status: query.status,
        };
        if !is_super(caller) {
            let own = &seat.partner;
            if filter.partner.as_ref().is_some_and(|asked| asked != own) {
                return Ok((Vec::new(), 0));
            }
            filter.partner = Some(own.clone());
        }
        if seat.roles.may_as(Role::PartnerAdmin) {
            return Ok(TenancyReads::tenant_list(&*self.store, &filter, skip, limit).await?);
        }
        let own = self.tenant_known(caller.tenant()).await?;
        let own: Vec<Tenant> = own
            .iter()
            .filter(|own| filter.status.is_none_or(|status| own.status() == status))
            .map(|own| Tenant::clone(own))
            .collect();
        let total = u64::try_from(own.len()).unwrap_or(0);
        Ok((own.into_iter().skip(skip).take(limit).collect(), total))
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], for those the caller has no business with, too.
    pub async fn tenant_details(
        &self,
        caller: &Caller,
        id: &TenantId,
    ) -> Result<Tenant, VaultError> {
        self.require_list(caller, Scope::IdentityRead).await?;
        self.tenant_visible(caller, id).await
    }

    /// Changes a tenant. From the answer on a suspended one is refused and left alone: what its
    /// workers hold in hand ends with the step they are at.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] without the role; [`VaultError::NotFound`].
    pub async fn tenant_change(
        &self,
        caller: &Caller,
        id: &TenantId,
        change: &TenantChange,
    ) -> Result<Tenant, VaultError> {
        let action = Action::TenantUpdate;
        self.require(caller, Scope::IdentityAdmin, action).await?;
        for _ in 0..RACES_MAX {
            let mut tenant = self.tenant_visible(caller, id).await?;
            self.require_over(caller, &tenant.partner.clone(), action)
                .await?;
            if id.as_str() == DEFAULT_TENANT && change.status == Some(Status::Suspended) {
                return Err(VaultError::Forbidden(
                    "the default tenant owns the root token and cannot be suspended",
                ));
            }
            let now = self.now();
            tenant.revision += 1;
            tenant.updated_at = now;
            let change = change.clone();
            tenant.name = change.name.unwrap_or(tenant.name);
            tenant.region = change.region.unwrap_or(tenant.region);
            tenant.own_status = change.status.unwrap_or(tenant.own_status);
            let extra = AuditExtra {
                partner_id: Some(tenant.partner.clone()),
                changed_tenant_id: Some(id.clone()),
                status: change.status.map(|status| status.as_str().to_owned()),
                ..AuditExtra::default()
            };
            let unit = Unit::new(UnitName::TenantWrite)
                .put(Record::Tenant(tenant.clone()))
                .audited(caller.row(action, None, now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(tenant),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the tenant changes too quickly: try again".into(),
        ))
    }

    async fn tenant_visible(&self, caller: &Caller, id: &TenantId) -> Result<Tenant, VaultError> {
        let seat = &caller.principal.seat;
        let found = match TenancyReads::tenant_find(&*self.store, id).await? {
            Some(tenant) => Some(tenant),
            None => self
                .tenant_known(id)
                .await?
                .map(|known| Tenant::clone(&known)),
        };
        found
            .filter(|tenant| {
                is_super(caller)
                    || tenant.id == *caller.principal.acts_in()
                    || (seat.roles.may_as(Role::PartnerAdmin) && tenant.partner == seat.partner)
            })
            .ok_or(VaultError::NotFound(Missing::Tenant))
    }

    /// A super admin, or an admin of this partner.
    async fn require_over(
        &self,
        caller: &Caller,
        partner: &PartnerId,
        action: Action,
    ) -> Result<(), VaultError> {
        let seat = &caller.principal.seat;
        let own = seat.roles.may_as(Role::PartnerAdmin) && seat.partner == *partner;
        if own || is_super(caller) {
            return Ok(());
        }
        let why = "only an admin of the partner may do this: a token with the role partner_admin";
        self.refuse(caller, action, None, None, VaultError::Forbidden(why))
            .await
    }
}
