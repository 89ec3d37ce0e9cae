//! Local tokens: mint, list, revoke, renew. Only a keyed hash is stored.

mod bounds;
mod children;
mod ends;
mod others;

pub(crate) use bounds::UseTurns;
pub use bounds::{Bound, Entered, TokenLimits};
pub use children::ChildDraft;
pub use others::TokenRef;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Identity, Principal, Scope, ScopeSet, Token, TokenBounds};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::ports::{CommitError, Record, TokenReads, Unit, UnitName};
use scaivault_core::tenancy::Roles;
use scaivault_core::time::{Span, Timestamp};
use scaivault_crypto::token::TokenText;

use crate::access::AuthError;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::{Vault, default_tenant};

/// The identity of root tokens.
const ROOT: &str = "user:root";

/// A token to mint.
#[derive(Debug, Clone)]
pub struct TokenDraft {
    /// Who it speaks for: a user or a service account.
    pub identity: Identity,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// What it may do to tenants and partners.
    pub roles: Roles,
    /// How long it lives.
    pub ttl: Span,
    /// Free text.
    pub description: Option<String>,
}

/// A new token: the text is shown once.
pub struct MintedToken {
    /// The stored record.
    pub token: Token,
    /// The token itself.
    pub text: TokenText,
}

/// What a token stands for.
#[derive(Debug, Clone)]
pub struct Introspected {
    /// Its record, for a local one.
    pub token_id: Option<TokenId>,
    /// Tenant it acts in.
    pub tenant: TenantId,
    /// Who it speaks for.
    pub identity: Identity,
    /// What it may ask for.
    pub scopes: ScopeSet,
    /// Its end, if any.
    pub expires_at: Option<Timestamp>,
    /// When it was made, if it says so.
    pub issued_at: Option<Timestamp>,
    /// Who vouched for the identity, if it was somebody outside.
    pub issuer: Option<String>,
    /// What bounds it beside its end.
    pub bounds: Option<Box<TokenBounds>>,
}

impl Introspected {
    fn of_local(token: Token) -> Self {
        Self {
            token_id: Some(token.id),
            tenant: token.tenant,
            identity: token.identity,
            scopes: token.scopes,
            expires_at: token.expires_at,
            issued_at: Some(token.created_at),
            issuer: token.issuer,
            bounds: token.bounds,
        }
    }

    fn of_foreign(principal: &Principal) -> Self {
        let foreign = principal.foreign.as_deref();
        Self {
            token_id: None,
            tenant: principal.tenant.clone(),
            identity: principal.identity.clone(),
            scopes: principal.scopes,
            expires_at: principal.expires_at,
            issued_at: foreign.and_then(|foreign| foreign.issued_at),
            issuer: foreign.map(|foreign| foreign.issuer.to_string()),
            bounds: None,
        }
    }
}

impl Vault {
    /// Mints a token. Nobody hands out scopes they do not have.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`; [`VaultError::Forbidden`] for scopes beyond the
    /// caller's own.
    pub async fn token_create(
        &self,
        caller: &Caller,
        draft: TokenDraft,
    ) -> Result<MintedToken, VaultError> {
        self.token_create_within(caller, draft, TokenLimits::default())
            .await
    }

    /// The same with bounds beside the end. A token made with a token is its child, and ends with it.
    ///
    /// # Errors
    /// As [`Self::token_create`]; [`VaultError::Forbidden`] for bounds wider than the caller's own.
    pub async fn token_create_within(
        &self,
        caller: &Caller,
        draft: TokenDraft,
        limits: TokenLimits,
    ) -> Result<MintedToken, VaultError> {
        self.require(caller, Scope::Admin, Action::TokenCreate)
            .await?;
        self.may_hand_out(caller, &draft.identity, draft.scopes)?;
        let own = caller.principal.seat.roles;
        if !draft.roles.iter().all(|role| own.may_as(role)) {
            return Err(VaultError::Forbidden(
                "a token cannot carry a role above those of the token creating it",
            ));
        }
        let now = self.now();
        let text = scaivault_crypto::token::mint(&*self.entropy);
        let (bounds, end_max) = self.bounds_of_new(caller, limits, now).await?;
        let end = now.plus(draft.ttl.duration());
        let expires_at = Some(end_max.map_or(end, |most| end.min(most)));
        let token = Token {
            id: TokenId::mint(now, &*self.entropy),
            hash: self.keyring.token_hash(text.expose()),
            tenant: caller.tenant().clone(),
            identity: draft.identity,
            scopes: draft.scopes,
            is_root: false,
            roles: draft.roles,
            description: draft.description,
            ttl_s: Some(draft.ttl.as_secs()),
            expires_at,
            created_at: now,
            created_by: caller.identity().clone(),
            revoked_at: None,
            issuer: None,
            groups: Vec::new(),
            bounds: bounds.into_record(),
            wake_at: expires_at,
            settled_at: None,
            revision: 1,
        };
        let extra = AuditExtra {
            token_id: Some(token.id.clone()),
            subject: Some(token.identity.as_str().to_owned()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::TokenWrite)
            .put(Record::Token(token.clone()))
            .audited(caller.row(Action::TokenCreate, None, now, extra));
        self.commit(unit).await?;
        Ok(MintedToken { token, text })
    }

    /// Whether the caller may give others the right to speak for this identity with these scopes.
    pub(crate) fn may_hand_out(
        &self,
        caller: &Caller,
        identity: &Identity,
        scopes: ScopeSet,
    ) -> Result<(), VaultError> {
        if identity.as_str() == ROOT {
            return Err(VaultError::Forbidden(
                "user:root is the root token's own name: no other token may carry it",
            ));
        }
        if !caller.principal.scopes.covers(scopes) {
            return Err(VaultError::Forbidden(
                "a token cannot carry scopes that the token creating it does not have",
            ));
        }
        // A token of the default tenant is an operator's (`is_operator`): who only acts there makes
        // none.
        if *caller.tenant() == default_tenant()
            && scopes.contains(Scope::Admin)
            && !self.is_operator(caller)
        {
            return Err(VaultError::Forbidden(
                "tokens of the default tenant with the scope admin operate the server: only its \
                 operators make them",
            ));
        }
        Ok(())
    }

    /// Makes `text` a root token (`user:root`), unless it is one already. For `init` and the
    /// development server only; no route reaches it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn token_root(&self, text: &str) -> Result<(), VaultError> {
        let hash = self.keyring.token_hash(text);
        if TokenReads::token_by_hash(&*self.store, &hash)
            .await?
            .is_some()
        {
            return Ok(());
        }
        let now = self.now();
        let caller = Caller::system(default_tenant(), "init", now);
        let identity =
            Identity::parse(ROOT).map_err(|error| VaultError::Internal(error.to_string()))?;
        let token = Token {
            id: TokenId::mint(now, &*self.entropy),
            hash,
            tenant: default_tenant(),
            identity,
            scopes: ScopeSet::all(),
            is_root: true,
            roles: Roles::NONE,
            description: Some("root token".to_owned()),
            ttl_s: None,
            expires_at: None,
            created_at: now,
            created_by: caller.identity().clone(),
            revoked_at: None,
            issuer: None,
            groups: Vec::new(),
            bounds: None,
            wake_at: None,
            settled_at: None,
            revision: 1,
        };
        let extra = AuditExtra {
            token_id: Some(token.id.clone()),
            subject: Some("user:root".to_owned()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::TokenWrite)
            .put(Record::Token(token))
            .audited(caller.row(Action::TokenCreate, None, now, extra));
        self.commit(unit).await?;
        Ok(())
    }

    /// Tokens of the tenant by id; ended and revoked ones included.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn token_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Token>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        Ok(TokenReads::token_list(&*self.store, caller.tenant(), after, limit).await?)
    }

    /// Revokes a token: from the answer on it is refused. Revoking again changes nothing.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such token.
    pub async fn token_revoke(&self, caller: &Caller, id: &TokenId) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::TokenRevoke)
            .await?;
        for _ in 0..RACES_MAX {
            let token = self.token_of(caller, id).await?;
            if token.revoked_at.is_some() {
                return Ok(());
            }
            let seat = &caller.principal.seat;
            let is_above = !token.roles.iter().all(|role| seat.roles.may_as(role));
            if is_above || (token.is_root && !self.is_operator(caller)) {
                return Err(VaultError::Forbidden(
                    "a token cannot be revoked by one whose roles are below its own",
                ));
            }
            if self.token_end(caller, token).await? {
                return Ok(());
            }
        }
        Err(VaultError::Unavailable(
            "the token changes too quickly: try again".into(),
        ))
    }

    /// Revokes a token, on the trail; `false` when it was written meanwhile.
    async fn token_end(&self, caller: &Caller, mut token: Token) -> Result<bool, VaultError> {
        let now = self.now();
        token.revoke(now);
        let extra = AuditExtra {
            token_id: Some(token.id.clone()),
            subject: Some(token.identity.as_str().to_owned()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::TokenWrite)
            .put(Record::Token(token))
            .audited(caller.row(Action::TokenRevoke, None, now, extra));
        match self.commit(unit).await {
            Ok(_) => {
                self.signals.token_ended();
                Ok(true)
            }
            Err(CommitError::Conflict(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Counts the caller's own token's lifetime again from now.
    ///
    /// # Errors
    /// [`VaultError::Forbidden`] when the caller came without a local token.
    pub async fn token_renew_self(&self, caller: &Caller) -> Result<Token, VaultError> {
        self.token_renew_self_for(caller, None).await
    }

    /// The same, for at most `most_s`.
    ///
    /// # Errors
    /// As [`Self::token_renew_self`].
    pub async fn token_renew_self_for(
        &self,
        caller: &Caller,
        most_s: Option<u64>,
    ) -> Result<Token, VaultError> {
        let id = caller
            .principal
            .token_id
            .clone()
            .ok_or(VaultError::Forbidden(
                "only a token issued here can be renewed",
            ))?;
        // It may act in another tenant than its own.
        let home = caller.principal.home().clone();
        self.token_renewed(caller, &home, &id, most_s).await
    }

    /// What a token stands for now; `None` for a text that is none, or one that ended, was revoked or
    /// belongs to another tenant: who asks cannot tell those apart.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn token_introspect(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<Option<Introspected>, VaultError> {
        self.require(caller, Scope::Admin, Action::TokenIntrospect)
            .await?;
        let now = self.now();
        let found = match self.issuers_of(text) {
            Some(issuers) => match self.authenticate_foreign(&issuers, text, now).await {
                Ok(principal) => Some(Introspected::of_foreign(&principal)),
                Err(AuthError::Unavailable(why)) => return Err(VaultError::Unavailable(why)),
                Err(_) => None,
            },
            None => {
                let hash = self.keyring.token_hash(text);
                let token = TokenReads::token_by_hash(&*self.store, &hash).await?;
                match token.filter(|token| token.ended_at(now).is_none()) {
                    Some(token) => match self.lineage_holds(&token, now).await {
                        Ok(()) => Some(Introspected::of_local(token)),
                        Err(AuthError::Unavailable(why)) => {
                            return Err(VaultError::Unavailable(why));
                        }
                        Err(_) => None,
                    },
                    None => None,
                }
            }
        };
        let found = found.filter(|found| found.tenant == *caller.tenant());
        let extra = AuditExtra {
            token_id: found.as_ref().and_then(|found| found.token_id.clone()),
            subject: found
                .as_ref()
                .filter(|found| found.token_id.is_none())
                .map(|found| found.identity.as_str().to_owned()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::TokenIntrospect, None, now, extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(found)
    }

    async fn token_of(&self, caller: &Caller, id: &TokenId) -> Result<Token, VaultError> {
        TokenReads::token_find(&*self.store, caller.tenant(), id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Token))
    }
}
