//! Tokens that hold policies by their names, made by a token that holds these policies itself.
//!
//! Such a token has the rights of its policies and no others: its identity is its own, and nothing is
//! ever bound to it. It needs no scope to be made, because it can do nothing that its maker cannot.

use std::collections::BTreeMap;
use std::time::Duration;

use scaivault_core::access::{Cidr, Permission};
use scaivault_core::acl::HOLDER;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Identity, Scope, ScopeSet, Token};
use scaivault_core::ids::TokenId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{Record, Unit, UnitName};
use scaivault_core::tenancy::Roles;

use super::{MintedToken, TokenLimits};
use crate::acl::groups;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// What stands for making such tokens in policies: write is needed here.
const PLACE: &str = "auth/token/create";
/// How long a token lives that says nothing, and that renewals may make one live.
const TTL: Duration = Duration::from_secs(768 * 3_600);
/// What of a name for people is kept.
const NAME_CHARS_MAX: usize = 64;

/// A token to make.
#[derive(Debug, Clone, Default)]
pub struct ChildDraft {
    /// The policies it holds; none are those of its maker.
    pub policies: Vec<String>,
    /// How long it lives; `None` is as long as may be.
    pub ttl: Option<Duration>,
    /// How long renewals may make it live.
    pub max_ttl: Option<Duration>,
    /// Each renewal is for so long, without a last end.
    pub period: Option<Duration>,
    /// Requests it serves.
    pub uses: Option<u64>,
    /// It does not end with its maker.
    pub no_parent: bool,
    /// Nobody renews it.
    pub is_fixed: bool,
    /// For people.
    pub display_name: Option<String>,
    /// What its maker notes about it.
    pub meta: BTreeMap<String, String>,
    /// Where it may be used.
    pub allowed_addresses: Vec<Cidr>,
}

impl Vault {
    /// Makes a token that holds policies, and answers the names among them that no policy has.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *write* on `auth/token/create`, or the scope `admin`;
    /// [`VaultError::Forbidden`] for policies that the caller neither holds nor administers, or bounds
    /// wider than its own.
    pub async fn token_child(
        &self,
        caller: &Caller,
        draft: ChildDraft,
    ) -> Result<(MintedToken, Vec<String>), VaultError> {
        let action = Action::TokenCreate;
        let is_admin = caller.principal.scopes.contains(Scope::Admin);
        if !is_admin {
            let place = SecretPath::parse(PLACE)?;
            let write = Permission::Write;
            if let Err(reason) = self.decision(caller, write, &place, self.now()).await? {
                let error = VaultError::Denied(reason);
                return self
                    .refuse(caller, action, Some(write), Some(&place), error)
                    .await;
            }
        }
        let names = match draft.policies.is_empty() {
            true => self.policies_held(caller),
            false => draft.policies.clone(),
        };
        let wrong =
            |field: &str, why: &str| VaultError::Validation(vec![(field.into(), why.into())]);
        let held = groups(&names).ok_or_else(|| wrong("policies", NO_POLICY))?;
        let missing = match self.holds(caller, &held, &draft, is_admin).await {
            Ok(missing) => missing,
            Err(error) => return self.refuse(caller, action, None, None, error).await,
        };
        let now = self.now();
        let limits = TokenLimits {
            uses: draft.uses,
            allowed_addresses: draft.allowed_addresses,
            no_parent: draft.no_parent,
        };
        let is_child = !draft.no_parent && !caller.principal.is_root;
        let (mut bounds, parent_ends) = self.bounds_of_new(caller, limits, now).await?;
        // Of somebody whom others vouch for, there is no record to end with.
        let vouched = is_child && caller.principal.token_id.is_none();
        let own_end = caller.principal.expires_at.filter(|_| vouched);
        let parent_ends = parent_ends.or(own_end);
        let asked = draft.period.or(draft.ttl);
        let most = draft.max_ttl.unwrap_or(TTL.max(asked.unwrap_or_default()));
        bounds.period_s = draft.period.map(|period| period.as_secs());
        bounds.is_fixed = draft.is_fixed;
        bounds.meta = draft.meta;
        if draft.period.is_none() || draft.max_ttl.is_some() {
            bounds.max_expires_at = Some(now.plus(most));
        }
        if let Some(end) = own_end {
            bounds.max_expires_at = Some(bounds.max_expires_at.map_or(end, |most| most.min(end)));
        }
        // Whoever may make tokens of any name has no more by this one.
        bounds.limited_as = (!is_admin).then(|| caller.principal.payer().clone());
        let ttl = asked.unwrap_or(TTL).min(most);
        let end = now.plus(ttl);
        let expires_at = Some(parent_ends.map_or(end, |most| end.min(most)));
        let text = scaivault_crypto::token::mint(&*self.entropy);
        let id = TokenId::mint(now, &*self.entropy);
        let token = Token {
            hash: self.keyring.token_hash(text.expose()),
            tenant: caller.tenant().clone(),
            identity: holder(draft.display_name.as_deref(), &id)?,
            scopes: ScopeSet::EMPTY,
            is_root: false,
            roles: Roles::NONE,
            description: None,
            ttl_s: Some(ttl.as_secs()),
            expires_at,
            created_at: now,
            created_by: caller.identity().clone(),
            revoked_at: None,
            issuer: None,
            groups: held,
            bounds: bounds.into_record(),
            wake_at: expires_at,
            settled_at: None,
            revision: 1,
            id,
        };
        let extra = AuditExtra {
            token_id: Some(token.id.clone()),
            subject: Some(token.identity.as_str().to_owned()),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::TokenWrite)
            .put(Record::Token(token.clone()))
            .audited(caller.row(action, None, now, extra));
        self.commit(unit).await?;
        Ok((MintedToken { token, text }, missing))
    }

    /// Whether the caller may make what holds these.
    async fn holds(
        &self,
        caller: &Caller,
        groups: &[Identity],
        draft: &ChildDraft,
        is_admin: bool,
    ) -> Result<Vec<String>, VaultError> {
        if is_admin {
            return self.may_hold(caller, groups).await;
        }
        if caller.principal.token_id.is_none() {
            return Err(VaultError::Forbidden(
                "a token is made with a token of this server: log in first, and use the token of that",
            ));
        }
        let own = &caller.principal.groups;
        if !groups.iter().all(|group| own.contains(group)) {
            return Err(VaultError::Forbidden(
                "a token gives only policies that it holds itself",
            ));
        }
        if draft.no_parent || draft.period.is_some() {
            return Err(VaultError::Forbidden(
                "tokens without a parent, and periodic ones, are made by tokens with the scope admin",
            ));
        }
        Ok(Vec::new())
    }
}

const NO_POLICY: &str = "are names of policies, without root: root tokens are made by no request";

/// Nobody else is called so, and nothing is bound to it.
fn holder(display: Option<&str>, id: &TokenId) -> Result<Identity, VaultError> {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let shown: String = display
        .unwrap_or("token")
        .chars()
        .filter(plain)
        .take(NAME_CHARS_MAX)
        .collect();
    let name = format!("{HOLDER}{shown}/{id}");
    Identity::parse(&name).map_err(|error| VaultError::Internal(error.to_string()))
}
