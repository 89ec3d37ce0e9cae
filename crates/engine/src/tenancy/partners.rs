//! Operations on partners: for super admins, but for the look at one's own.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::PartnerId;
use scaivault_core::ports::{CommitError, Record, TenancyReads, Unit, UnitName};
use scaivault_core::tenancy::{DEFAULT_PARTNER, Partner, Status, Tenant, space_of};

use super::{check_id, default_partner_row, is_super, slug};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// A partner to make.
#[derive(Debug, Clone)]
pub struct PartnerDraft {
    /// Its id, where an identity provider gave it one; minted otherwise.
    pub id: Option<PartnerId>,
    /// For people.
    pub name: String,
    /// Made of the name when absent.
    pub slug: Option<String>,
    /// Where it is at home.
    pub region: Option<String>,
}

/// A change. Absent parts stay.
#[derive(Debug, Clone, Default)]
pub struct PartnerChange {
    /// For people.
    pub name: Option<String>,
    /// `Some(None)` takes it away.
    pub region: Option<Option<String>>,
    /// Whether it, and with it every tenant of it, is served.
    pub status: Option<Status>,
}

impl Vault {
    /// Makes a partner, with the key of what belongs to it as such.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] for all but super admins; [`VaultError::NameExists`] when id or
    /// slug is taken.
    pub async fn partner_create(
        &self,
        caller: &Caller,
        draft: PartnerDraft,
    ) -> Result<Partner, VaultError> {
        let action = Action::PartnerCreate;
        self.require(caller, Scope::IdentityAdmin, action).await?;
        self.require_super(caller, action).await?;
        let now = self.now();
        let id = match draft.id {
            Some(id) => id,
            None => PartnerId::mint(now, &*self.entropy),
        };
        check_id(id.as_str(), PartnerId::PREFIX)?;
        let partner = Partner {
            slug: slug(draft.slug, &draft.name)?,
            id,
            name: draft.name,
            region: draft.region,
            status: Status::Active,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let key = self.first_key(&space_of(&partner.id), now)?;
        let extra = AuditExtra {
            partner_id: Some(partner.id.clone()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::PartnerWrite)
            .put(Record::Partner(partner.clone()))
            .put(Record::Key(key.clone()))
            .audited(caller.row(action, None, now, extra));
        match self.commit(unit).await {
            Ok(_) => {}
            Err(CommitError::Conflict(_)) => return Err(VaultError::NameExists),
            Err(error) => return Err(error.into()),
        }
        self.key_ready(&space_of(&partner.id)).await?;
        Ok(partner)
    }

    /// Partners by id, and how many there are: all for a super admin, one's own otherwise.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `identity:read`.
    pub async fn partner_list(
        &self,
        caller: &Caller,
        status: Option<Status>,
        skip: usize,
        limit: usize,
    ) -> Result<(Vec<Partner>, u64), VaultError> {
        self.require_list(caller, Scope::IdentityRead).await?;
        if is_super(caller) {
            return Ok(TenancyReads::partner_list(&*self.store, status, skip, limit).await?);
        }
        let own = self.partner_stored(&caller.principal.seat.partner).await?;
        let own: Vec<_> = own
            .into_iter()
            .filter(|own| status.is_none_or(|status| own.status == status))
            .collect();
        let total = u64::try_from(own.len()).unwrap_or(0);
        Ok((own.into_iter().skip(skip).take(limit).collect(), total))
    }

    /// One partner.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], for those of others, too.
    pub async fn partner_details(
        &self,
        caller: &Caller,
        id: &PartnerId,
    ) -> Result<Partner, VaultError> {
        self.require_list(caller, Scope::IdentityRead).await?;
        let visible = is_super(caller) || caller.principal.seat.partner == *id;
        let found = match visible {
            true => self.partner_stored(id).await?,
            false => None,
        };
        found.ok_or(VaultError::NotFound(Missing::Partner))
    }

    /// Changes a partner. Suspending it suspends all its tenants with it, in the same commit.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] for all but super admins; [`VaultError::NotFound`].
    pub async fn partner_change(
        &self,
        caller: &Caller,
        id: &PartnerId,
        change: &PartnerChange,
    ) -> Result<Partner, VaultError> {
        let action = Action::PartnerUpdate;
        self.require(caller, Scope::IdentityAdmin, action).await?;
        self.require_super(caller, action).await?;
        if id.as_str() == DEFAULT_PARTNER && change.status == Some(Status::Suspended) {
            return Err(VaultError::Forbidden(
                "the default partner owns the root token and cannot be suspended",
            ));
        }
        for _ in 0..RACES_MAX {
            let stored = self.partner_stored(id).await?;
            let mut partner = stored.ok_or(VaultError::NotFound(Missing::Partner))?;
            let now = self.now();
            partner.revision += 1;
            partner.updated_at = now;
            let change = change.clone();
            partner.name = change.name.unwrap_or(partner.name);
            partner.region = change.region.unwrap_or(partner.region);
            partner.status = change.status.unwrap_or(partner.status);
            let extra = AuditExtra {
                partner_id: Some(id.clone()),
                status: change.status.map(|status| status.as_str().to_owned()),
                ..AuditExtra::default()
            };
            let mut unit = Unit::new(UnitName::PartnerWrite).put(Record::Partner(partner.clone()));
            // A tenant made meanwhile changes the partner's number: then this loses the race.
            for tenant in self.tenants_of(id).await? {
                if tenant.partner_status != partner.status {
                    unit = unit.put(Record::Tenant(Tenant {
                        partner_status: partner.status,
                        updated_at: now,
                        revision: tenant.revision + 1,
                        ..tenant
                    }));
                }
            }
            let unit = unit.audited(caller.row(action, None, now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(partner),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the partner changes too quickly: try again".into(),
        ))
    }

    /// The default partner is there even before it is stored.
    pub(super) async fn partner_stored(
        &self,
        id: &PartnerId,
    ) -> Result<Option<Partner>, VaultError> {
        let stored = TenancyReads::partner_find(&*self.store, id).await?;
        let built_in = || {
            let row = Partner {
                revision: 0,
                ..default_partner_row(self.now())
            };
            (id.as_str() == DEFAULT_PARTNER).then_some(row)
        };
        Ok(stored.or_else(built_in))
    }

    pub(super) async fn require_super(
        &self,
        caller: &Caller,
        action: Action,
    ) -> Result<(), VaultError> {
        if is_super(caller) {
            return Ok(());
        }
        let why =
            "only a super admin may do this: the root token, or one with the role super_admin";
        self.refuse(caller, action, None, None, VaultError::Forbidden(why))
            .await
    }
}
