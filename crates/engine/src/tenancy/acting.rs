//! Acting in a tenant: one's own, another of the partner, or on what belongs to the partner.

use std::sync::Arc;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Principal;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::Unit;
use scaivault_core::tenancy::{Role, Seat, partner_of_space, space_of};

use crate::access::AuthError;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

impl Vault {
    /// The caller in the tenant it names. Its own needs nothing; another one needs the role of a
    /// partner admin and must be of its partner, or any partner's for a super admin. Whoever has
    /// no such role gets the same refusal for every other tenant, whether it exists or not.
    ///
    /// # Errors
    /// [`AuthError`]. The refusal is on the trail of the caller's own tenant before it is answered.
    pub async fn act_in(&self, caller: &Caller, named: &str) -> Result<Arc<Principal>, AuthError> {
        let principal = &caller.principal;
        if named == principal.tenant.as_str() {
            return Ok(principal.clone());
        }
        let acting = self.acting(principal, named).await;
        if let Err(error @ (AuthError::OtherTenant | AuthError::NoTenant | AuthError::Suspended)) =
            &acting
        {
            let (now, extra) = (self.now(), AuditExtra::default());
            let row = caller.failed_row(Action::TenantSelect, None, now, error.code(), extra);
            self.commit(Unit::audit_only(row))
                .await
                .map_err(|error| AuthError::Unavailable(error.to_string()))?;
        }
        acting
    }

    async fn acting(
        &self,
        principal: &Arc<Principal>,
        named: &str,
    ) -> Result<Arc<Principal>, AuthError> {
        let roles = principal.seat.roles;
        if !roles.may_as(Role::PartnerAdmin) {
            return Err(AuthError::OtherTenant);
        }
        let id = TenantId::parse(named).map_err(|_| AuthError::NoTenant)?;
        let found = match partner_of_space(&id) {
            Some(_) => None,
            None => self.tenant_known(&id).await.map_err(unavailable)?,
        };
        let tenant = found.ok_or(AuthError::NoTenant)?;
        if tenant.partner != principal.seat.partner && !roles.may_as(Role::SuperAdmin) {
            return Err(AuthError::OtherTenant);
        }
        if tenant.is_suspended() {
            return Err(AuthError::Suspended);
        }
        self.key_ready(&id).await.map_err(unavailable)?;
        Ok(Arc::new(Principal {
            tenant: id,
            seat: Seat {
                partner: tenant.partner.clone(),
                roles,
                home: Some(principal.home().clone()),
                asking: None,
            },
            ..Principal::clone(principal)
        }))
    }

    /// The caller, asking for what belongs to its partner: rows of the partner, policies and trail
    /// of the tenant it acts in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn for_partner(&self, caller: &Caller) -> Result<Caller, VaultError> {
        let principal = &caller.principal;
        let space = space_of(&principal.seat.partner);
        self.key_ready(&space).await?;
        Ok(Caller {
            principal: Arc::new(Principal {
                tenant: space,
                seat: Seat {
                    asking: Some(principal.acts_in().clone()),
                    ..principal.seat.clone()
                },
                ..Principal::clone(principal)
            }),
            ..caller.clone()
        })
    }

    /// Where a principal of this tenant stands, and whether it is served.
    pub(crate) async fn seat_in(&self, tenant: &TenantId) -> Result<(Seat, bool), VaultError> {
        // Of a tenant that is gone: nobody is served there.
        let Some(known) = self.tenant_known(tenant).await? else {
            return Ok((Seat::default(), false));
        };
        self.key_ready(tenant).await?;
        Ok((Seat::of(known.partner.clone()), !known.is_suspended()))
    }
}

fn unavailable(error: VaultError) -> AuthError {
    AuthError::Unavailable(error.to_string())
}
