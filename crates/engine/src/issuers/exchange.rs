//! A foreign workload's token for one of ours (RFC 8693), by the operator's rules.
//!
//! Two steps, so that the caller's limit stands between them: what would be given to whom, then
//! giving it. What is given is an ordinary local token, hashed in the store, revoked like any other;
//! it is not renewed, because its bearer can show a fresh foreign one or has no right to it any more.

use std::net::IpAddr;
use std::sync::Arc;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Foreign, Identity, Principal, ScopeSet, Token};
use scaivault_core::ids::{RequestId, TokenId};
use scaivault_core::issuer::{ExchangeRule, Refused, exchange};
use scaivault_core::ports::{Record, Unit, UnitName};
use scaivault_core::tenancy::{Roles, Seat};
use scaivault_core::time::Timestamp;

use super::Why;
use crate::access::AuthError;
use crate::caller::Caller;
use crate::error::VaultError;
use crate::tokens::MintedToken;
use crate::vault::{Vault, default_tenant};

/// Our own name for what makes these tokens.
const EXCHANGER: &str = "token-exchange";
/// How much of a foreign subject is kept in the trail.
const SUBJECT_CHARS_MAX: usize = 256;

/// What is asked for.
pub struct ExchangeRequest {
    /// The foreign token.
    pub subject_token: String,
    /// No more than these; `None` is all that the rule gives.
    pub scopes: Option<ScopeSet>,
    /// Only by the rule of this name.
    pub rule: Option<String>,
    /// The request.
    pub request_id: RequestId,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
    /// When it arrived.
    pub started_at: Timestamp,
}

/// What would be given.
pub struct ExchangeOffer {
    caller: Caller,
    rule: ExchangeRule,
    scopes: ScopeSet,
    subject: String,
    /// When what was shown for it ends: it does not outlive that.
    ends_at: Option<Timestamp>,
}

impl ExchangeOffer {
    pub(super) fn new(
        caller: Caller,
        rule: &ExchangeRule,
        subject: &str,
        ends_at: Timestamp,
    ) -> Self {
        Self {
            caller,
            rule: rule.clone(),
            scopes: rule.scopes,
            subject: kept(subject),
            ends_at: Some(ends_at),
        }
    }

    /// Whom the token would speak for.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// A good token without a rule: whoever has an account at an issuer can show one. So this, too, has a
/// limit before it is on the trail, one for all of them together.
#[derive(Debug)]
pub struct ExchangeRefused {
    caller: Caller,
    subject: Option<String>,
}

impl ExchangeRefused {
    /// Whose limit it is taken from: our own exchanger's.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// Why nothing is given.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The foreign token was not accepted.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// It is a good one, but no rule gives it anything. That goes to the trail by
    /// [`Vault::exchange_refused`].
    #[error("no rule of exchange fits this token")]
    NoRule(Box<ExchangeRefused>),
    /// More scopes than the rule gives.
    #[error("the rule does not give all of these scopes")]
    Scope,
    /// Something of ours failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl Vault {
    /// What a foreign token would be given. One that cannot be verified is nobody's, and only in the
    /// log.
    ///
    /// # Errors
    /// [`ExchangeError`].
    pub async fn exchange_offer(
        &self,
        request: ExchangeRequest,
    ) -> Result<ExchangeOffer, ExchangeError> {
        let Some(issuers) = self.issuers_now() else {
            return Err(AuthError::Invalid.into());
        };
        let issuers = &*issuers;
        let now = self.now();
        let hash = self.keyring.token_hash(&request.subject_token);
        let verified = self
            .verify_foreign(issuers, &request.subject_token, hash)
            .await;
        let (at, _, claims) = verified.map_err(|(at, why)| self.grumbled(issuers, at, why))?;
        let issuer = &issuers.known[at].issuer;
        let caller = |tenant, identity| Caller {
            principal: Arc::new(Principal {
                tenant,
                seat: Seat::of(issuer.partner.clone()),
                identity,
                scopes: ScopeSet::EMPTY,
                groups: Vec::new(),
                token_id: None,
                is_root: false,
                mfa_at: None,
                expires_at: None,
                foreign: Some(Arc::new(Foreign {
                    issuer: issuer.url.as_str().into(),
                    ..Foreign::default()
                })),
                limited_as: None,
            }),
            request_id: Some(request.request_id.clone()),
            source_ip: request.source_ip,
            user_agent: request.user_agent.clone(),
            started_at: request.started_at,
        };
        let found = issuer.admits(&claims, now).and_then(|_| {
            exchange(
                &issuers.rules,
                &issuer.name,
                &claims,
                request.rule.as_deref(),
            )
        });
        let given = match found {
            Ok(given) => given,
            Err(why) => {
                let error = self.grumbled(issuers, Some(at), Why::Refused(why));
                if !matches!(
                    why,
                    Refused::NoRule | Refused::Identity | Refused::NoIdentity
                ) {
                    return Err(error.into());
                }
                let tenant = issuer
                    .tenants
                    .first()
                    .cloned()
                    .unwrap_or_else(default_tenant);
                return Err(ExchangeError::NoRule(Box::new(ExchangeRefused {
                    caller: caller(tenant, Identity::system(EXCHANGER)),
                    subject: claims.get("sub").and_then(|sub| sub.as_str()).map(kept),
                })));
            }
        };
        let tenant = &given.rule.tenant;
        let (seat, served) = self.seat_in(tenant).await?;
        if !served {
            return Err(AuthError::Suspended.into());
        }
        let speaks = match seat.partner == issuer.partner {
            true => issuer.agrees(&claims, tenant),
            false => Err(Refused::Partner),
        };
        speaks.map_err(|why| self.grumbled(issuers, Some(at), Why::Refused(why)))?;
        let scopes = request.scopes.unwrap_or(given.rule.scopes);
        if !given.rule.scopes.covers(scopes) {
            return Err(ExchangeError::Scope);
        }
        Ok(ExchangeOffer {
            caller: caller(given.rule.tenant.clone(), given.identity),
            rule: given.rule.clone(),
            scopes,
            subject: kept(given.subject),
            ends_at: None,
        })
    }

    /// Puts on the trail that a good token got nothing.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn exchange_refused(&self, refused: ExchangeRefused) -> Result<(), VaultError> {
        let extra = AuditExtra {
            subject: refused.subject,
            ..AuditExtra::default()
        };
        let (action, now) = (Action::TokenExchange, self.now());
        let row = refused
            .caller
            .failed_row(action, None, now, "access_denied", extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }

    /// Gives it.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn exchange_take(&self, offer: ExchangeOffer) -> Result<MintedToken, VaultError> {
        let now = self.now();
        let text = scaivault_crypto::token::mint(&*self.entropy);
        let ExchangeOffer {
            caller,
            rule,
            scopes,
            subject,
            ends_at,
        } = offer;
        let ends = now.plus(rule.ttl.duration());
        let ends = ends_at.map_or(ends, |most| ends.min(most));
        let foreign = caller.principal.foreign.as_ref();
        let token = Token {
            id: TokenId::mint(now, &*self.entropy),
            hash: self.keyring.token_hash(text.expose()),
            tenant: rule.tenant,
            identity: caller.identity().clone(),
            scopes,
            roles: Roles::NONE,
            is_root: false,
            description: Some(format!("exchanged by the rule {}", rule.name)),
            ttl_s: Some(ends.since(now).as_secs()),
            expires_at: Some(ends),
            created_at: now,
            created_by: Identity::system(EXCHANGER),
            revoked_at: None,
            issuer: foreign.map(|foreign| foreign.issuer.to_string()),
            groups: rule.groups,
            bounds: None,
            wake_at: Some(ends),
            settled_at: None,
            revision: 1,
        };
        let extra = AuditExtra {
            token_id: Some(token.id.clone()),
            subject: Some(subject),
            ..AuditExtra::default()
        };
        let unit = Unit::new(UnitName::TokenWrite)
            .put(Record::Token(token.clone()))
            .audited(caller.row(Action::TokenExchange, None, now, extra));
        self.commit(unit).await?;
        Ok(MintedToken { token, text })
    }
}

/// What of a foreign subject goes to the trail: printable, bounded.
fn kept(subject: &str) -> String {
    subject
        .chars()
        .filter(char::is_ascii_graphic)
        .take(SUBJECT_CHARS_MAX)
        .collect()
}
