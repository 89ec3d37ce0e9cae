//! Tokens by their text or their record: looked up, renewed and revoked by administrators; and the
//! caller's own, given up.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Scope, Token};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::{CommitError, Record, TokenReads, Unit, UnitName};

use crate::access::AuthError;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Which token is meant.
#[derive(Clone, Copy)]
pub enum TokenRef<'a> {
    /// The token itself.
    Text(&'a str),
    /// Its record.
    Id(&'a TokenId),
}

impl Vault {
    /// The record of a token of the caller's tenant that has not ended; `None` for any other: who
    /// asks cannot tell those apart.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn token_lookup(
        &self,
        caller: &Caller,
        which: TokenRef<'_>,
    ) -> Result<Option<Token>, VaultError> {
        self.require(caller, Scope::Admin, Action::TokenIntrospect)
            .await?;
        let found = self.token_living(caller, which).await?;
        let extra = AuditExtra {
            token_id: found.as_ref().map(|token| token.id.clone()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::TokenIntrospect, None, self.now(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(found)
    }

    async fn token_living(
        &self,
        caller: &Caller,
        which: TokenRef<'_>,
    ) -> Result<Option<Token>, VaultError> {
        let now = self.now();
        let found = match which {
            TokenRef::Text(text) => {
                let hash = self.keyring.token_hash(text);
                TokenReads::token_by_hash(&*self.store, &hash).await?
            }
            TokenRef::Id(id) => TokenReads::token_find(&*self.store, caller.tenant(), id).await?,
        };
        let is_here =
            |token: &Token| token.tenant == *caller.tenant() && token.ended_at(now).is_none();
        let Some(token) = found.filter(is_here) else {
            return Ok(None);
        };
        match self.lineage_holds(&token, now).await {
            Ok(()) => Ok(Some(token)),
            Err(AuthError::Unavailable(why)) => Err(VaultError::Unavailable(why)),
            Err(_) => Ok(None),
        }
    }

    /// Revokes the token that the caller came with: from the answer on it is refused, and what was
    /// made with it ends.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] when the caller came without a local token.
    pub async fn token_revoke_self(&self, caller: &Caller) -> Result<(), VaultError> {
        let id = caller
            .principal
            .token_id
            .clone()
            .ok_or(VaultError::Forbidden(
                "only a token issued here can be revoked",
            ))?;
        // It may act in another tenant than its own.
        let home = caller.principal.home();
        for _ in 0..RACES_MAX {
            let token = TokenReads::token_find(&*self.store, home, &id)
                .await?
                .ok_or(VaultError::NotFound(Missing::Token))?;
            if token.revoked_at.is_some() {
                return Ok(());
            }
            if self.token_end(caller, token).await? {
                return Ok(());
            }
        }
        Err(VaultError::Unavailable(
            "the token changes too quickly: try again".into(),
        ))
    }

    /// Counts the lifetime of a token of the caller's tenant again from now, for at most `most_s`.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`; [`VaultError::NotFound`] when there is no such token;
    /// [`VaultError::Forbidden`] for one that is above the caller's, or cannot be renewed.
    pub async fn token_renew(
        &self,
        caller: &Caller,
        id: &TokenId,
        most_s: Option<u64>,
    ) -> Result<Token, VaultError> {
        self.require(caller, Scope::Admin, Action::TokenRenew)
            .await?;
        self.token_renewed(caller, caller.tenant(), id, most_s)
            .await
    }

    pub(super) async fn token_renewed(
        &self,
        caller: &Caller,
        tenant: &TenantId,
        id: &TokenId,
        most_s: Option<u64>,
    ) -> Result<Token, VaultError> {
        let is_own = caller.principal.token_id.as_ref() == Some(id);
        for _ in 0..RACES_MAX {
            let mut token = TokenReads::token_find(&*self.store, tenant, id)
                .await?
                .ok_or(VaultError::NotFound(Missing::Token))?;
            let seat = &caller.principal.seat;
            let is_above = !token.roles.iter().all(|role| seat.roles.may_as(role));
            if !is_own && (is_above || (token.is_root && !self.is_operator(caller))) {
                return Err(VaultError::Forbidden(
                    "a token cannot be renewed by one whose roles are below its own",
                ));
            }
            let Some(ttl_s) = token.ttl_s else {
                return Ok(token); // it never ends
            };
            if token.revoked_at.is_some() {
                return Err(VaultError::Forbidden("the token was revoked"));
            }
            if token.settled_at.is_some() {
                return Err(VaultError::Forbidden("the token has ended"));
            }
            if token.issuer.is_some() {
                return Err(VaultError::Forbidden(
                    "the token was given for a foreign one: exchange a fresh one instead",
                ));
            }
            let now = self.now();
            // Its bearer cannot ask for it any more; nobody else brings it back.
            if !is_own && token.ended_at(now).is_some() {
                return Err(VaultError::NotFound(Missing::Token));
            }
            let ttl_s = most_s.map_or(ttl_s, |most| most.min(ttl_s));
            token.revision += 1;
            token.expires_at = Some(self.renewed_end(&token, ttl_s, now).await?);
            token.wake_at = token.expires_at;
            let extra = AuditExtra {
                token_id: Some(token.id.clone()),
                ..AuditExtra::default()
            };
            let unit = Unit::new(UnitName::TokenWrite)
                .put(Record::Token(token.clone()))
                .audited(caller.row(Action::TokenRenew, None, now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(token),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the token changes too quickly: try again".into(),
        ))
    }
}
