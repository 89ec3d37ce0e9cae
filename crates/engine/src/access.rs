//! Authentication of local tokens and the one decision point every operation asks.

use std::sync::Arc;

use scaivault_core::access::{Attempt, DenialReason, Grant, Grants, Permission, decide};
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::event::EventType;
use scaivault_core::identity::{Foreign, Identity, Principal, Scope, TokenHash};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{PolicyReads, TokenReads, Unit};
use scaivault_core::tenancy::{Role, Roles, Seat, space_of};
use scaivault_core::time::Timestamp;
use scaivault_crypto::token;

use crate::cache::{GrantKey, KnownToken};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::events::EventDraft;
use crate::tokens::Entered;
use crate::vault::Vault;

/// Why a token was not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AuthError {
    /// Not one of ours.
    #[error("the token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Its last use was taken.
    #[error("the token was made for a number of uses, and none is left: get another one")]
    UsedUp,
    /// It may not come from there.
    #[error("this token may not be used from this address")]
    Address,
    /// A client certificate that no rule gives an identity.
    #[error(
        "the client certificate is valid, but no rule gives it an identity: send a token, or ask the \
         operator of this server for a rule"
    )]
    Nobody,
    /// It may not act in the tenant named.
    #[error("the token may not act in that tenant")]
    OtherTenant,
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NoTenant,
    /// The tenant, or its partner, is suspended.
    #[error("the tenant is suspended: ask the operator of this server")]
    Suspended,
    /// It cannot be checked now, so it is refused.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
}

impl AuthError {
    /// The API's code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid => "token_invalid",
            Self::Expired => "token_expired",
            Self::Revoked => "token_revoked",
            Self::UsedUp => "token_expired",
            Self::Address => "ip_not_allowed",
            Self::Nobody => "authentication_required",
            Self::OtherTenant => "tenant_access_denied",
            Self::NoTenant => "tenant_not_found",
            Self::Suspended => "tenant_suspended",
            Self::Unavailable(_) => "service_unavailable",
        }
    }
}

/// Whether the caller may, by these grants of his.
pub(crate) fn decided(
    caller: &Caller,
    grants: &Grants,
    permission: Permission,
    path: &SecretPath,
    now: Timestamp,
) -> Result<Grant, DenialReason> {
    let attempt = Attempt {
        permission,
        path,
        source_ip: caller.source_ip,
        mfa_at: caller.principal.mfa_at,
        now,
    };
    decide(&caller.principal, grants, &attempt).map_err(|denial| denial.reason)
}

impl Vault {
    /// The principal a token speaks for: a local one, or one that a configured issuer signed. Uses
    /// and addresses are not looked at: requests come by [`Self::enter`].
    ///
    /// # Errors
    /// [`AuthError`]; when the store cannot be asked, the token is refused.
    pub async fn authenticate(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<Principal>, AuthError> {
        let entered = self.enter(token, now).await?;
        if let Some(bound) = &entered.bound {
            bound.has_uses()?;
        }
        Ok(entered.principal)
    }

    /// The same for a request, with what else is to be asked of its token.
    ///
    /// # Errors
    /// As [`Self::authenticate`].
    pub async fn enter(&self, token: &str, now: Timestamp) -> Result<Entered, AuthError> {
        if let Some(issuers) = self.issuers_of(token) {
            let principal = self.authenticate_foreign(&issuers, token, now).await?;
            return Ok(Entered {
                principal,
                bound: None,
            });
        }
        let hash = self.keyring.token_hash(token);
        let settled = self.caches_settled();
        let known = match self.caches.tokens.get(&hash) {
            Ok(known) if settled => known,
            Ok(_) => self.token_load(hash, None).await?,
            // Of a minted token's form, but not one that was ever minted: no need to ask the store.
            // Other forms are the store's to judge; a development server may be given any.
            Err(_) if is_mistyped(token) => return Err(AuthError::Invalid),
            Err(ticket) => self.token_load(hash, Some(ticket)).await?,
        };
        if known.token.revoked_at.is_some() {
            return Err(AuthError::Revoked);
        }
        if known.token.expires_at.is_some_and(|end| end <= now) {
            return Err(AuthError::Expired);
        }
        if !known.served {
            return Err(AuthError::Suspended);
        }
        if known.token.bounds.is_some() {
            return Box::pin(self.enter_bound(known, now)).await;
        }
        Ok(Entered {
            principal: self.principal_now(&known, now).await?,
            bound: None,
        })
    }

    /// A token by its hash, from memory where that may be relied upon.
    pub(crate) async fn token_known(&self, hash: TokenHash) -> Result<Arc<KnownToken>, AuthError> {
        match self.caches.tokens.get(&hash) {
            Ok(known) if self.caches_settled() => Ok(known),
            Ok(_) => self.token_load(hash, None).await,
            Err(ticket) => self.token_load(hash, Some(ticket)).await,
        }
    }

    async fn token_load(
        &self,
        hash: TokenHash,
        ticket: Option<crate::cache::Ticket>,
    ) -> Result<Arc<KnownToken>, AuthError> {
        let token = TokenReads::token_by_hash(&*self.store, &hash)
            .await
            .map_err(|error| AuthError::Unavailable(error.to_string()))?
            .ok_or(AuthError::Invalid)?;
        let (seat, served) = self
            .seat_in(&token.tenant)
            .await
            .map_err(|error| AuthError::Unavailable(error.to_string()))?;
        let roles = match token.is_root {
            true => Roles::from_iter([Role::SuperAdmin]),
            false => token.roles,
        };
        let principal = Arc::new(Principal {
            tenant: token.tenant.clone(),
            seat: Seat { roles, ..seat },
            identity: token.identity.clone(),
            scopes: token.scopes,
            groups: token.groups.clone(),
            token_id: Some(token.id.clone()),
            is_root: token.is_root,
            mfa_at: None,
            expires_at: token.expires_at,
            foreign: token.issuer.as_deref().map(vouched_by),
            limited_as: token.limited_as().cloned(),
        });
        let known = Arc::new(KnownToken {
            token,
            principal,
            served,
        });
        if let Some(ticket) = ticket {
            self.caches.tokens.insert(ticket, hash, known.clone(), 1);
        }
        Ok(known)
    }

    /// Decides one request for a path: scope, then policy. A refusal is on the audit trail
    /// before it is answered.
    pub(crate) async fn authorize(
        &self,
        caller: &Caller,
        scope: Scope,
        permission: Permission,
        path: &SecretPath,
        action: Action,
    ) -> Result<Grant, VaultError> {
        let now = self.now();
        let refused = if !may_touch(&caller.principal, permission) {
            VaultError::Forbidden(
                "only partner admins write what belongs to the partner: a token with the role \
                 partner_admin",
            )
        } else if caller.principal.scopes.contains(scope) {
            match self.decision(caller, permission, path, now).await? {
                Ok(grant) => return Ok(grant),
                Err(reason) => VaultError::Denied(reason),
            }
        } else {
            VaultError::Scope(scope)
        };
        self.refuse(caller, action, Some(permission), Some(path), refused)
            .await
    }

    /// Whether the caller may, without a trace: for choices inside an operation.
    pub(crate) async fn decision(
        &self,
        caller: &Caller,
        permission: Permission,
        path: &SecretPath,
        now: Timestamp,
    ) -> Result<Result<Grant, DenialReason>, VaultError> {
        let grants = self.grants_for(caller).await?;
        Ok(decided(caller, &grants, permission, path, now))
    }

    /// What the caller's decisions go by: for one that makes many at once, see [`decided`].
    pub(crate) async fn grants_for(&self, caller: &Caller) -> Result<Arc<Grants>, VaultError> {
        match caller.principal.is_root {
            true => Ok(Arc::default()),
            false => self.grants_of(&caller.principal).await,
        }
    }

    /// Decides a request that has no path: the scope alone.
    pub(crate) async fn require(
        &self,
        caller: &Caller,
        scope: Scope,
        action: Action,
    ) -> Result<(), VaultError> {
        if caller.principal.scopes.contains(scope) {
            return Ok(());
        }
        self.refuse(caller, action, None, None, VaultError::Scope(scope))
            .await
    }

    /// The same for an operation that only lists: its row is on the trail before the answer.
    pub(crate) async fn require_list(
        &self,
        caller: &Caller,
        scope: Scope,
    ) -> Result<(), VaultError> {
        self.require(caller, scope, Action::List).await?;
        let row = caller.row(Action::List, None, self.now(), AuditExtra::default());
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }

    /// Puts a failure on the trail before it is answered. What succeeded is there already.
    pub(crate) async fn on_trail<T>(
        &self,
        caller: &Caller,
        action: Action,
        path: &SecretPath,
        outcome: Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        if let Err(error) = &outcome {
            let now = self.now();
            let extra = AuditExtra::default();
            let row = caller.failed_row(action, Some(path), now, error.code(), extra);
            self.commit(Unit::audit_only(row)).await?;
        }
        outcome
    }

    pub(crate) async fn grants_of(&self, principal: &Principal) -> Result<Arc<Grants>, VaultError> {
        let mut identities: Vec<Identity> = Vec::with_capacity(1 + principal.groups.len());
        identities.push(principal.identity.clone());
        identities.extend(principal.groups.iter().cloned());
        let key = GrantKey {
            tenant: principal.acts_in().clone(),
            identities,
        };
        let settled = self.caches_settled();
        let ticket = match self.caches.grants.get(&key) {
            Ok(grants) if settled => return Ok(grants),
            Ok(_) => None,
            Err(ticket) => Some(ticket),
        };
        let mut entries = PolicyReads::grants(&*self.store, &key.tenant, &key.identities).await?;
        let space = space_of(&principal.seat.partner);
        entries.extend(PolicyReads::grants(&*self.store, &space, &key.identities).await?);
        let grants = Arc::new(Grants::new(entries));
        if let Some(ticket) = ticket {
            self.caches.grants.insert(ticket, key, grants.clone(), 1);
        }
        Ok(grants)
    }

    pub(crate) async fn refuse<T>(
        &self,
        caller: &Caller,
        action: Action,
        permission: Option<Permission>,
        path: Option<&SecretPath>,
        error: VaultError,
    ) -> Result<T, VaultError> {
        let unit = self
            .refusal(caller, action, permission, path, &error)
            .await?;
        self.commit(unit).await?;
        Err(error)
    }

    /// What puts a refusal on the trail, and tells whoever listens for it.
    pub(crate) async fn refusal(
        &self,
        caller: &Caller,
        action: Action,
        permission: Option<Permission>,
        path: Option<&SecretPath>,
        error: &VaultError,
    ) -> Result<Unit, VaultError> {
        let now = self.now();
        let extra = AuditExtra {
            permission: permission.map(|permission| permission.as_str().to_owned()),
            failed_condition: match error {
                VaultError::Denied(DenialReason::Failed(condition)) => {
                    Some(condition.as_str().to_owned())
                }
                _ => None,
            },
            ..AuditExtra::default()
        };
        let mut unit = Unit::audit_only(caller.failed_row(action, path, now, error.code(), extra));
        if let Some(path) = path
            && self
                .receivers_of(caller.principal.acts_in())
                .await?
                .want(EventType::PolicyViolation)
        {
            let mut data = serde_json::json!({ "error": error.code(), "action": action.as_str() });
            if let Some(permission) = permission {
                data["permission"] = permission.as_str().into();
            }
            let draft = EventDraft::new(EventType::PolicyViolation, data).on(path);
            unit = unit.emit(self.event(caller, draft, now));
        }
        Ok(unit)
    }
}

/// What belongs to the partner is read by its tenants and written by its admins.
fn may_touch(principal: &Principal, permission: Permission) -> bool {
    principal.seat.asking.is_none()
        || matches!(permission, Permission::Read | Permission::List)
        || principal.seat.roles.may_as(Role::PartnerAdmin)
}

fn vouched_by(issuer: &str) -> Arc<Foreign> {
    Arc::new(Foreign {
        issuer: issuer.into(),
        ..Foreign::default()
    })
}

fn is_mistyped(text: &str) -> bool {
    token::looks_like_token(text) && !token::is_well_formed(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_looks_minted_and_is_not_is_mistyped() {
        let minted = token::mint(&scaivault_crypto::SystemEntropy);
        assert!(!is_mistyped(minted.expose()));
        assert!(is_mistyped(&format!("skt_{}", "a".repeat(49))));
        for other in ["root", "skt_", "skt_chosen_by_somebody_0123456789"] {
            assert!(!is_mistyped(other), "{other}");
        }
    }
}
