//! Answers that wait for whoever unwraps them, and what tokens keep for themselves.
//!
//! A wrapped answer is sealed in the cubbyhole of a token made for it, which has no other right. It is
//! opened once: the commit that tells of it removes it and ends the token, and of two that try at once
//! one finds it gone. What is kept ends with its token (`tokens/ends.rs`).

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::cubbyhole::{CubbyItem, WRAPPED, Wrapping};
use scaivault_core::identity::{Identity, ScopeSet, Token, TokenBounds};
use scaivault_core::ids::{TenantId, TokenId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{CommitError, MountReads, Op, Record, TokenReads, Unit, UnitName};
use scaivault_core::seal::{Place, Sealer};
use scaivault_core::tenancy::Roles;
use scaivault_core::time::Timestamp;

use crate::caller::Caller;
use crate::error::VaultError;
use crate::tokens::MintedToken;
use crate::vault::Vault;

/// The sealing place of what tokens keep.
const CUBBY_PLACE_KIND: &str = "cubby";
/// Whose wrapping tokens are: nobody binds anything to such names.
const WRAPPING_IDENTITY: &str = "sa:wrapped/";
/// Values that one token keeps at most.
const ITEMS_MAX: usize = 100;
/// The longest path of one.
const PATH_CHARS_MAX: usize = 512;

/// An answer that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which request it answers.
    pub wrapping: Wrapping,
    /// Since when.
    pub created_at: Timestamp,
}

fn no_such_wrapping() -> VaultError {
    VaultError::Validation(vec![(
        "token".into(),
        "wrapping token is not valid or does not exist".into(),
    )])
}

fn place_path(token: &TokenId, path: &str) -> String {
    format!("{token}/{path}")
}

fn of_token(token: &TokenId) -> AuditExtra {
    AuditExtra {
        token_id: Some(token.clone()),
        ..AuditExtra::default()
    }
}

impl Vault {
    /// Keeps an answer for whoever shows the token that this makes.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn wrap(
        &self,
        caller: &Caller,
        creation_path: &str,
        ttl: Duration,
        body: &Plaintext,
    ) -> Result<MintedToken, VaultError> {
        self.no_wrapping_token(caller).await?;
        self.wrap_room(caller).await?;
        let (unit, minted) = self.wrapped(caller, creation_path, ttl, body)?;
        self.wraps.made(&minted.token);
        if let Err(error) = self.commit(unit).await {
            self.wraps.gone(&minted.token);
            return Err(error.into());
        }
        Ok(minted)
    }

    fn wrapped(
        &self,
        caller: &Caller,
        creation_path: &str,
        ttl: Duration,
        body: &Plaintext,
    ) -> Result<(Unit, MintedToken), VaultError> {
        let now = self.now();
        let text = scaivault_crypto::token::mint(&*self.entropy);
        let id = TokenId::mint(now, &*self.entropy);
        let identity = Identity::parse(&format!("{WRAPPING_IDENTITY}{id}"))
            .map_err(|error| VaultError::Internal(error.to_string()))?;
        let end = now.plus(ttl);
        let tenant = caller.principal.acts_in().clone();
        let bounds = TokenBounds {
            max_expires_at: Some(end),
            wraps: true,
            limited_as: Some(caller.principal.payer().clone()),
            ..TokenBounds::default()
        };
        let token = Token {
            id: id.clone(),
            hash: self.keyring.token_hash(text.expose()),
            tenant: tenant.clone(),
            identity,
            scopes: ScopeSet::EMPTY,
            is_root: false,
            roles: Roles::NONE,
            description: None,
            ttl_s: Some(ttl.as_secs()),
            expires_at: Some(end),
            created_at: now,
            created_by: caller.identity().clone(),
            revoked_at: None,
            issuer: None,
            groups: Vec::new(),
            bounds: bounds.into_record(),
            wake_at: Some(end),
            settled_at: None,
            revision: 1,
        };
        let wrapping = Wrapping {
            creation_path: creation_path.to_owned(),
            ttl_s: ttl.as_secs(),
        };
        let item = CubbyItem {
            sealed: self.cubby_sealed(&tenant, &id, WRAPPED, body)?,
            tenant,
            token_id: id.clone(),
            path: WRAPPED.to_owned(),
            wrapping: Some(wrapping),
            created_at: now,
            revision: 1,
        };
        let unit = Unit::new(UnitName::Wrap)
            .put(Record::Token(token.clone()))
            .put(Record::Cubby(item))
            .audited(caller.row(Action::Wrap, None, now, of_token(&id)));
        Ok((unit, MintedToken { token, text }))
    }

    /// The answer that waits behind a wrapping token: this once.
    ///
    /// # Errors
    /// [`VaultError::Validation`] when nothing waits behind it in the caller's tenant, or somebody has
    /// had it: that is on the trail.
    pub async fn unwrap_once(&self, caller: &Caller, text: &str) -> Result<Plaintext, VaultError> {
        let (token, item) = self.waiting(caller, text).await?;
        let body = self.cubby_opened(&item)?;
        let unit = self.unwrapping(caller, token.clone(), item);
        self.opened_once(caller, unit).await?;
        self.wraps.gone(&token);
        Ok(body)
    }

    /// The same answer behind another token, for as long as it was to wait at first.
    ///
    /// # Errors
    /// As [`Self::unwrap_once`].
    pub async fn rewrap(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<(MintedToken, Wrapping), VaultError> {
        let (token, item) = self.waiting(caller, text).await?;
        let body = self.cubby_opened(&item)?;
        let wrapping = item.wrapping.clone().ok_or_else(no_such_wrapping)?;
        let ttl = Duration::from_secs(wrapping.ttl_s);
        let unit = self.unwrapping(caller, token.clone(), item);
        let (fresh, minted) = self.wrapped(caller, &wrapping.creation_path, ttl, &body)?;
        self.opened_once(caller, unit.and(fresh)).await?;
        self.wraps.gone(&token);
        self.wraps.made(&minted.token);
        Ok((minted, wrapping))
    }

    /// What waits behind a wrapping token; it goes on waiting.
    ///
    /// # Errors
    /// As [`Self::unwrap_once`].
    pub async fn wrapping_lookup(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<Waiting, VaultError> {
        let (_, item) = self.waiting(caller, text).await?;
        let wrapping = item.wrapping.clone().ok_or_else(no_such_wrapping)?;
        Ok(Waiting {
            wrapping,
            created_at: item.created_at,
        })
    }

    fn unwrapping(&self, caller: &Caller, mut token: Token, item: CubbyItem) -> Unit {
        let now = self.now();
        let row = caller.row(Action::Unwrap, None, now, of_token(&token.id));
        token.revoke(now);
        Unit::new(UnitName::Unwrap)
            .op(Op::Delete(Record::Cubby(item)))
            .put(Record::Token(token))
            .audited(row)
    }

    async fn opened_once(&self, caller: &Caller, unit: Unit) -> Result<(), VaultError> {
        match self.commit(unit).await {
            Ok(_) => {
                self.signals.token_ended();
                Ok(())
            }
            // Somebody else was faster.
            Err(CommitError::Conflict(_)) => self.unwrap_failed(caller).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn unwrap_failed<T>(&self, caller: &Caller) -> Result<T, VaultError> {
        let error = no_such_wrapping();
        let extra = AuditExtra::default();
        let row = caller.failed_row(Action::Unwrap, None, self.now(), error.code(), extra);
        self.commit(Unit::audit_only(row)).await?;
        Err(error)
    }

    /// A wrapping token of the caller's tenant that lives, with what waits behind it.
    async fn waiting(&self, caller: &Caller, text: &str) -> Result<(Token, CubbyItem), VaultError> {
        let hash = self.keyring.token_hash(text);
        let now = self.now();
        let token = TokenReads::token_by_hash(&*self.store, &hash).await?;
        let is_meant = |token: &Token| {
            token.is_wrapping()
                && token.tenant == *caller.principal.acts_in()
                && token.ended_at(now).is_none()
        };
        let Some(token) = token.filter(is_meant) else {
            return self.unwrap_failed(caller).await;
        };
        let store = &*self.store;
        let item = MountReads::cubby_find(store, &token.tenant, &token.id, WRAPPED).await?;
        match item {
            Some(item) => Ok((token, item)),
            None => self.unwrap_failed(caller).await,
        }
    }

    fn cubby_sealed(
        &self,
        tenant: &TenantId,
        token: &TokenId,
        path: &str,
        value: &Plaintext,
    ) -> Result<scaivault_core::seal::Sealed, VaultError> {
        let path = place_path(token, path);
        Ok(Sealer::seal(self.sealer(), place(tenant, &path), value)?)
    }

    fn cubby_opened(&self, item: &CubbyItem) -> Result<Plaintext, VaultError> {
        let path = place_path(&item.token_id, &item.path);
        let place = place(&item.tenant, &path);
        Ok(Sealer::open(self.sealer(), place, &item.sealed)?)
    }

    /// The caller's own local token, which keeps things for itself alone.
    async fn keeper(&self, caller: &Caller) -> Result<(TenantId, TokenId), VaultError> {
        self.no_wrapping_token(caller).await?;
        match &caller.principal.token_id {
            Some(id) => Ok((caller.principal.home().clone(), id.clone())),
            None => Err(VaultError::Forbidden(
                "only a token issued here keeps things for itself",
            )),
        }
    }

    /// A wrapping token opens what waits behind it, and nothing else.
    async fn no_wrapping_token(&self, caller: &Caller) -> Result<(), VaultError> {
        let own = self.token_own(caller).await?;
        match own.is_some_and(|token| token.is_wrapping()) {
            true => Err(VaultError::Forbidden(
                "a wrapping token is for sys/wrapping/unwrap, rewrap and lookup alone",
            )),
            false => Ok(()),
        }
    }

    /// Keeps a value for the caller's token.
    ///
    /// # Errors
    /// [`VaultError::Validation`] for a path that cannot be, or one value too many.
    pub async fn cubby_put(
        &self,
        caller: &Caller,
        path: &str,
        value: &Plaintext,
    ) -> Result<(), VaultError> {
        let (tenant, token) = self.keeper(caller).await?;
        let wrong = |why: String| Err(VaultError::Validation(vec![("path".into(), why)]));
        if path.is_empty() || path.ends_with('/') || path.len() > PATH_CHARS_MAX {
            return wrong(format!(
                "has 1 to {PATH_CHARS_MAX} characters, no slash behind"
            ));
        }
        let store = &*self.store;
        let kept = MountReads::cubby_list(store, &tenant, &token, ITEMS_MAX).await?;
        let old = kept.iter().find(|item| item.path == path);
        if old.is_none() && kept.len() >= ITEMS_MAX {
            return wrong(format!("is one too many: a token keeps {ITEMS_MAX} values"));
        }
        let now = self.now();
        let item = CubbyItem {
            sealed: self.cubby_sealed(&tenant, &token, path, value)?,
            tenant,
            token_id: token.clone(),
            path: path.to_owned(),
            wrapping: None,
            created_at: old.map_or(now, |item| item.created_at),
            revision: old.map_or(0, |item| item.revision) + 1,
        };
        let unit = Unit::new(UnitName::CubbyWrite)
            .put(Record::Cubby(item))
            .audited(caller.row(Action::Cubbyhole, None, now, of_token(&token)));
        self.commit(unit).await?;
        Ok(())
    }

    /// A value the caller's token keeps.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn cubby_get(
        &self,
        caller: &Caller,
        path: &str,
    ) -> Result<Option<Plaintext>, VaultError> {
        let (tenant, token) = self.keeper(caller).await?;
        let item = MountReads::cubby_find(&*self.store, &tenant, &token, path).await?;
        let value = item.map(|item| self.cubby_opened(&item)).transpose()?;
        self.cubby_told(caller, &token).await?;
        Ok(value)
    }

    /// The paths of what the caller's token keeps.
    ///
    /// # Errors
    /// As [`Self::cubby_get`].
    pub async fn cubby_paths(&self, caller: &Caller) -> Result<Vec<String>, VaultError> {
        let (tenant, token) = self.keeper(caller).await?;
        let store = &*self.store;
        let kept = MountReads::cubby_list(store, &tenant, &token, ITEMS_MAX).await?;
        self.cubby_told(caller, &token).await?;
        Ok(kept.into_iter().map(|item| item.path).collect())
    }

    /// Removes a value the caller's token keeps. One that is not there is gone.
    ///
    /// # Errors
    /// As [`Self::cubby_get`].
    pub async fn cubby_remove(&self, caller: &Caller, path: &str) -> Result<(), VaultError> {
        let (tenant, token) = self.keeper(caller).await?;
        let Some(item) = MountReads::cubby_find(&*self.store, &tenant, &token, path).await? else {
            return self.cubby_told(caller, &token).await;
        };
        let now = self.now();
        let unit = Unit::new(UnitName::CubbyWrite)
            .op(Op::Delete(Record::Cubby(item)))
            .audited(caller.row(Action::Cubbyhole, None, now, of_token(&token)));
        self.commit(unit).await?;
        Ok(())
    }

    async fn cubby_told(&self, caller: &Caller, token: &TokenId) -> Result<(), VaultError> {
        let row = caller.row(Action::Cubbyhole, None, self.now(), of_token(token));
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }
}

fn place<'a>(tenant: &'a TenantId, path: &'a str) -> Place<'a> {
    Place {
        tenant,
        kind: CUBBY_PLACE_KIND,
        path,
        version: 0,
        field: "data",
    }
}
