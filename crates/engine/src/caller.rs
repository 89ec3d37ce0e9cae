//! Who calls, from where, in which request; and the audit rows that follow from it.

use std::net::IpAddr;
use std::sync::Arc;

use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::identity::{Identity, Principal, ScopeSet};
use scaivault_core::ids::{RequestId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::tenancy::Seat;
use scaivault_core::time::Timestamp;

/// Longest user agent kept.
const USER_AGENT_CHARS_MAX: usize = 200;

/// The circumstances of one operation.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Who.
    pub principal: Arc<Principal>,
    /// The request; `None` for our own workers.
    pub request_id: Option<RequestId>,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
    /// When the request arrived.
    pub started_at: Timestamp,
}

impl Caller {
    /// One of our own workers, acting on what is stored for `tenant`.
    pub fn system(tenant: TenantId, worker: &'static str, now: Timestamp) -> Self {
        Self {
            principal: Arc::new(Principal {
                tenant,
                seat: Seat::default(),
                identity: Identity::system(worker),
                scopes: ScopeSet::all(),
                groups: Vec::new(),
                token_id: None,
                is_root: true,
                mfa_at: None,
                expires_at: None,
                foreign: None,
                limited_as: None,
            }),
            request_id: None,
            source_ip: None,
            user_agent: None,
            started_at: now,
        }
    }

    /// The same caller, for what follows from an operation that was decided already: its steps ask
    /// nobody again, and stand on the trail under its name.
    pub(crate) fn raised(&self) -> Self {
        Self {
            principal: Arc::new(Principal {
                scopes: ScopeSet::all(),
                is_root: true,
                ..(*self.principal).clone()
            }),
            ..self.clone()
        }
    }

    /// The tenant the operation acts in.
    pub fn tenant(&self) -> &TenantId {
        &self.principal.tenant
    }

    /// Who.
    pub fn identity(&self) -> &Identity {
        &self.principal.identity
    }

    /// Its name in the ledger of the secrets it reads: its own in its own tenant. Elsewhere (acting
    /// in another tenant, reading what is the partner's) its tenant stands behind it, so that no
    /// consumer is taken for another of the same name that has moved on.
    pub(crate) fn consumer(&self) -> Identity {
        let (identity, seat) = (self.identity(), &self.principal.seat);
        match seat.home.as_ref().or(seat.asking.as_ref()) {
            Some(home) => identity.of_tenant(home),
            None => identity.clone(),
        }
    }

    /// An audit row of this caller.
    pub(crate) fn row(
        &self,
        action: Action,
        path: Option<&SecretPath>,
        now: Timestamp,
        mut extra: AuditExtra,
    ) -> AuditRow {
        let (identity, seat) = (self.identity(), &self.principal.seat);
        extra.home_tenant_id.clone_from(&seat.home);
        if seat.asking.is_some() {
            extra.partner_id = Some(seat.partner.clone());
        }
        if let Some(foreign) = &self.principal.foreign {
            extra.issuer = Some(foreign.issuer.to_string());
            extra.certificate_fingerprint = foreign.certificate.as_deref().map(str::to_owned);
        }
        AuditRow {
            timestamp: now,
            tenant_id: self.principal.acts_in().clone(),
            action,
            identity_type: identity.kind().as_str().into(),
            identity_id: identity.as_str().to_owned(),
            secret_path: path.cloned(),
            source_ip: self.source_ip.map(address_text),
            user_agent: self.user_agent.clone(),
            success: true,
            duration_ms: u64::try_from(now.since(self.started_at).as_millis()).unwrap_or(0),
            request_id: self.request_id.clone(),
            extra_data: extra,
        }
    }

    /// The row of an operation that was refused or failed.
    pub(crate) fn failed_row(
        &self,
        action: Action,
        path: Option<&SecretPath>,
        now: Timestamp,
        code: &str,
        mut extra: AuditExtra,
    ) -> AuditRow {
        extra.error = Some(code.to_owned());
        AuditRow {
            success: false,
            ..self.row(action, path, now, extra)
        }
    }
}

/// As it is written; IPv4 without the formatter, as every request has one.
fn address_text(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (at, octet) in address.octets().into_iter().enumerate() {
        if at > 0 {
            text.push('.');
        }
        for (place, least) in [(100, 100), (10, 10), (1, 0)] {
            if octet >= least {
                text.push(char::from(b'0' + octet / place % 10));
            }
        }
    }
    text
}

/// What of a client's own name is kept: printable ASCII, bounded.
pub fn clean_user_agent(text: &str) -> String {
    text.chars()
        .filter(|c| matches!(c, ' '..='~'))
        .take(USER_AGENT_CHARS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_are_written_as_the_formatter_does() {
        for octet in 0..=255 {
            let address = IpAddr::from(Ipv4Addr::new(octet, 255 - octet, 10, octet / 3));
            assert_eq!(address_text(address), address.to_string());
        }
        let address = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert_eq!(address_text(address), "::1");
    }
}
