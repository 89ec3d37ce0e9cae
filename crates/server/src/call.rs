//! One request on its way in: who, from where, within which limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use scaivault_api::ErrorCode;
use scaivault_core::access::Cidr;
use scaivault_core::ids::RequestId;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Caller, clean_user_agent};

use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::{Category, Verdict};

/// Longest token read. Ours are short; foreign ones carry lists of groups.
const TOKEN_BYTES_MAX: usize = 16 * 1_024;

/// Put into the request by the outermost layer; read by it again on the way out.
pub(crate) struct Passage {
    pub(crate) request_id: RequestId,
    pub(crate) started_at: Timestamp,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) verdict: OnceLock<Verdict>,
}

/// The parts of a request that say who asks. Handlers take it before the body, so that a caller
/// over its limit costs no body.
pub(crate) struct Call {
    pub(crate) passage: Arc<Passage>,
    pub(crate) headers: HeaderMap,
}

impl<S: Send + Sync> FromRequestParts<S> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let passage = parts
            .extensions
            .get::<Arc<Passage>>()
            .cloned()
            .ok_or_else(|| Problem::new(ErrorCode::InternalError, "no passage"))?;
        Ok(Self {
            passage,
            headers: std::mem::take(&mut parts.headers),
        })
    }
}

impl Call {
    /// Authenticates the caller and takes one from its limit.
    pub(crate) async fn enter(&self, app: &App, category: Category) -> Result<Caller, Problem> {
        let caller = self.authenticate(app).await?;
        self.spend(app, &caller, category, 1)?;
        Ok(caller)
    }

    /// Authenticates again in the midst of a long request, at no cost.
    pub(crate) async fn enter_again(&self, app: &App) -> Result<Caller, Problem> {
        self.authenticate(app).await
    }

    /// Takes `cost` from the caller's limit.
    pub(crate) fn spend(
        &self,
        app: &App,
        caller: &Caller,
        category: Category,
        cost: u32,
    ) -> Result<(), Problem> {
        let verdict = app.limiter.take(
            caller.tenant().as_str(),
            caller.identity().as_str(),
            category,
            app.vault.now(),
            cost,
        );
        let allowed = verdict.allowed;
        let retry_after_s = u64::from(verdict.retry_after_s);
        let _ = self.passage.verdict.set(verdict);
        if allowed {
            return Ok(());
        }
        app.metrics.rate_limit_hit(category);
        let text = format!(
            "too many requests of the category '{}': try again after Retry-After seconds",
            category.as_str()
        );
        let mut problem = Problem::new(ErrorCode::RateLimited, text);
        problem.retry_after_s = Some(retry_after_s.max(1));
        Err(problem)
    }

    async fn authenticate(&self, app: &App) -> Result<Caller, Problem> {
        let token = self.bearer()?;
        let principal = app.vault.authenticate(token, app.vault.now()).await?;
        self.check_tenant(principal.tenant.as_str())?;
        Ok(Caller {
            principal,
            request_id: Some(self.passage.request_id.clone()),
            source_ip: self.source_ip(&app.settings.trusted_proxies),
            user_agent: self.user_agent(),
            started_at: self.passage.started_at,
        })
    }

    /// What the client calls itself.
    pub(crate) fn user_agent(&self) -> Option<String> {
        let header = self.headers.get(header::USER_AGENT)?;
        header.to_str().ok().map(clean_user_agent)
    }

    fn bearer(&self) -> Result<&str, Problem> {
        let missing = || {
            Problem::new(
                ErrorCode::AuthenticationRequired,
                "send a token: 'Authorization: Bearer skt_…'",
            )
        };
        let mut values = self.headers.get_all(header::AUTHORIZATION).iter();
        let value = values.next().ok_or_else(missing)?;
        if values.next().is_some() {
            return Err(missing());
        }
        let text = value.to_str().map_err(|_| missing())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(missing)?;
        let token = token.trim_matches(' ');
        if !scheme.eq_ignore_ascii_case("bearer")
            || token.is_empty()
            || token.len() > TOKEN_BYTES_MAX
        {
            return Err(missing());
        }
        Ok(token)
    }

    /// A tenant header must name the token's own tenant, once.
    fn check_tenant(&self, own: &str) -> Result<(), Problem> {
        for value in self.headers.get_all("x-tenant-id") {
            if value.as_bytes() != own.as_bytes() {
                return Err(Problem::new(
                    ErrorCode::TenantAccessDenied,
                    "the token does not act in the tenant named by X-Tenant-ID",
                ));
            }
        }
        Ok(())
    }

    /// The peer, or behind trusted proxies the nearest address they vouch for.
    pub(crate) fn source_ip(&self, trusted: &[Cidr]) -> Option<IpAddr> {
        let mut address = self.passage.peer?.ip().to_canonical();
        if trusted.is_empty() {
            return Some(address);
        }
        let is_trusted = |address: IpAddr| trusted.iter().any(|range| range.contains(address));
        let forwarded: Vec<&str> = self
            .headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .collect();
        for hop in forwarded.iter().rev() {
            if !is_trusted(address) {
                break;
            }
            match hop.trim().parse::<IpAddr>() {
                Ok(next) => address = next.to_canonical(),
                Err(_) => break,
            }
        }
        Some(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(headers: &[(&'static str, &'static str)], peer: &str) -> Call {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let passage = Passage {
            request_id: RequestId::parse("req_1").unwrap(),
            started_at: Timestamp::from_secs(0),
            peer: Some(peer.parse().unwrap()),
            verdict: OnceLock::new(),
        };
        Call {
            passage: Arc::new(passage),
            headers: map,
        }
    }

    #[test]
    fn forwarded_addresses_count_only_behind_trusted_proxies() {
        let trusted = [Cidr::parse("10.0.0.0/8").unwrap()];
        let check = |peer: &str, forwarded: &'static str, expect: &str| {
            let call = call(&[("x-forwarded-for", forwarded)], peer);
            assert_eq!(call.source_ip(&trusted).unwrap().to_string(), expect);
        };
        check("203.0.113.9:1", "1.2.3.4", "203.0.113.9");
        check("10.0.0.1:1", "1.2.3.4", "1.2.3.4");
        check("10.0.0.1:1", "6.6.6.6, 1.2.3.4, 10.2.2.2", "1.2.3.4");
        check("10.0.0.1:1", "garbage", "10.0.0.1");
    }

    #[test]
    fn one_well_formed_bearer_token() {
        let ok =
            |headers: &[(&'static str, &'static str)]| call(headers, "1.1.1.1:1").bearer().is_ok();
        assert!(ok(&[("authorization", "Bearer skt_x")]));
        assert!(ok(&[("authorization", "bearer skt_x")]));
        assert!(!ok(&[]));
        assert!(!ok(&[("authorization", "skt_x")]));
        assert!(!ok(&[("authorization", "Basic skt_x")]));
        assert!(!ok(&[("authorization", "Bearer ")]));
        assert!(!ok(&[
            ("authorization", "Bearer a"),
            ("authorization", "Bearer b")
        ]));
    }

    #[test]
    fn a_tenant_header_must_agree() {
        let check = |headers: &[(&'static str, &'static str)]| {
            call(headers, "1.1.1.1:1").check_tenant("tnt_a").is_ok()
        };
        assert!(check(&[]));
        assert!(check(&[("x-tenant-id", "tnt_a")]));
        assert!(!check(&[("x-tenant-id", "tnt_b")]));
        assert!(!check(&[
            ("x-tenant-id", "tnt_a"),
            ("x-tenant-id", "tnt_b")
        ]));
    }
}
