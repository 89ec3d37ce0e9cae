//! Client certificates as identities, by the operator's rules. That a certificate is a good one (its
//! chain, its times, that nobody revoked it) was judged where it was shown; here it is asked whom it
//! speaks for. What the rules made of it is kept until they change.

use std::net::IpAddr;
use std::sync::Arc;

use scaivault_core::identity::{Foreign, Identity, Principal, ScopeSet, TokenHash};
use scaivault_core::ids::{RequestId, TenantId};
use scaivault_core::issuer::{CERTIFICATES, Claims, ExchangeRule, Refused, exchange};
use scaivault_core::tenancy::Seat;
use scaivault_core::time::Timestamp;

use super::exchange::ExchangeOffer;
use super::{Issuers, weight};
use crate::access::AuthError;
use crate::caller::Caller;
use crate::vault::Vault;

/// A certificate that was shown and is a good one.
#[derive(Debug, Clone)]
pub struct CertificateShown {
    /// Its names.
    pub claims: Claims,
    /// SHA-256 of it, hex.
    pub fingerprint: Box<str>,
    /// Tells it, and by whom it is trusted, from every other.
    pub key: [u8; 32],
    /// Its end.
    pub expires_at: Timestamp,
}

impl Vault {
    /// The principal a client certificate speaks for.
    ///
    /// # Errors
    /// [`AuthError::Nobody`] when no rule fits it, or the one that fits finds no name in it.
    pub async fn enter_certificate(
        &self,
        shown: &CertificateShown,
    ) -> Result<Arc<Principal>, AuthError> {
        let issuers = self.issuers_now().ok_or(AuthError::Nobody)?;
        let key = TokenHash(shown.key);
        let principal = match issuers.certified.get(&key) {
            Ok(seen) => seen,
            Err(ticket) => {
                let mut principal = self.certified(&issuers, shown);
                if let Some(new) = &mut principal {
                    new.seat = self.seated_now(&new.tenant).await?.0;
                }
                let principal = principal.map(Arc::new);
                let weight = principal.as_deref().map_or(64, weight);
                let kept = principal.clone();
                issuers.certified.insert(ticket, key, kept, weight);
                principal
            }
        };
        let principal = principal.ok_or(AuthError::Nobody)?;
        let (seat, served) = self.seated_now(&principal.tenant).await?;
        match served {
            true if principal.seat == seat => Ok(principal),
            true => Ok(Arc::new(Principal {
                seat,
                ..(*principal).clone()
            })),
            false => Err(AuthError::Suspended),
        }
    }

    /// What a client certificate would be given in exchange: a token of ours, by the same rule.
    ///
    /// # Errors
    /// As [`Self::enter_certificate`].
    pub async fn certificate_offer(
        &self,
        shown: &CertificateShown,
        request_id: RequestId,
        source_ip: Option<IpAddr>,
        user_agent: Option<String>,
        started_at: Timestamp,
    ) -> Result<ExchangeOffer, AuthError> {
        let principal = self.enter_certificate(shown).await?;
        let issuers = self.issuers_now().ok_or(AuthError::Nobody)?;
        let found = rule_for(&issuers, shown).map_err(|_| AuthError::Nobody)?;
        let (rule, identity, subject) = found;
        // The rules may have been replaced between the two.
        if identity != principal.identity || rule.tenant != principal.tenant {
            return Err(AuthError::Nobody);
        }
        let principal = Arc::new(Principal {
            scopes: ScopeSet::EMPTY,
            groups: Vec::new(),
            ..(*principal).clone()
        });
        let caller = Caller {
            principal,
            request_id: Some(request_id),
            source_ip,
            user_agent,
            started_at,
        };
        Ok(ExchangeOffer::new(caller, rule, subject, shown.expires_at))
    }

    async fn seated_now(&self, tenant: &TenantId) -> Result<(Seat, bool), AuthError> {
        let seat = self.seat_in(tenant).await;
        seat.map_err(|error| AuthError::Unavailable(error.to_string()))
    }

    fn certified(&self, issuers: &Issuers, shown: &CertificateShown) -> Option<Principal> {
        let (rule, identity, _) = match rule_for(issuers, shown) {
            Ok(found) => found,
            Err(why) => {
                if let Some(unsaid) = issuers.grumble.speak(self.clock.monotonic()) {
                    let fingerprint = &*shown.fingerprint;
                    tracing::warn!(fingerprint, %why, unsaid, "a client certificate is nobody's");
                }
                return None;
            }
        };
        Some(Principal {
            tenant: rule.tenant.clone(),
            seat: Seat::default(),
            identity,
            scopes: rule.scopes,
            groups: rule.groups.clone(),
            token_id: None,
            is_root: false,
            mfa_at: None,
            expires_at: Some(shown.expires_at),
            foreign: Some(Arc::new(Foreign {
                issuer: CERTIFICATES.into(),
                certificate: Some(shown.fingerprint.clone()),
                ..Foreign::default()
            })),
            limited_as: None,
        })
    }
}

/// A rule, whom it makes of what was shown, and what that is called.
type Found<'a> = (&'a ExchangeRule, Identity, &'a str);

fn rule_for<'a>(issuers: &'a Issuers, shown: &'a CertificateShown) -> Result<Found<'a>, Refused> {
    let rules = &issuers.certificates;
    let found = exchange(rules, CERTIFICATES, &shown.claims, None)?;
    Ok((found.rule, found.identity, found.subject))
}
