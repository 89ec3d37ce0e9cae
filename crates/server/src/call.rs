//! One request on its way in: who, from where, within which limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header, request::Parts};
use scaivault_api::ErrorCode;
use scaivault_core::access::Cidr;
use scaivault_core::ids::RequestId;
use scaivault_core::time::Timestamp;
use scaivault_crypto::jwt::looks_like_jwt;
use scaivault_engine::{Bound, Caller, Entered, clean_user_agent};

use crate::app::App;
use crate::cross_site::refuse_foreign_page;
use crate::listener::ClientCertificate;
use crate::metrics::AuthMethod;
use crate::prefix::Prefix;
use crate::problem::Problem;
use crate::rate_limit::{Category, Verdict};

/// Names the tenant a request acts in.
const TENANT_HEADER: &str = "x-tenant-id";
/// Longest token read. Ours are short; foreign ones carry lists of groups.
const TOKEN_BYTES_MAX: usize = 16 * 1_024;

/// Put into the request by the outermost layer; read by it again on the way out.
pub(crate) struct Passage {
    pub(crate) request_id: RequestId,
    pub(crate) started_at: Timestamp,
    pub(crate) peer: Option<SocketAddr>,
    /// What the client showed when it connected.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
    pub(crate) verdict: OnceLock<Verdict>,
    /// What stood before the path, if something did.
    pub(crate) prefix: OnceLock<Prefix>,
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
        self.enter_for(app, category, false).await
    }

    /// The same for a request that may be `unwrapping`: a token that an answer waits behind is for
    /// that alone.
    pub(crate) async fn enter_for(
        &self,
        app: &App,
        category: Category,
        unwrapping: bool,
    ) -> Result<Caller, Problem> {
        let (caller, bound) = self.authenticate(app).await?;
        let is_wrapping = bound.as_ref().is_some_and(Bound::is_wrapping);
        if let Some(bound) = bound {
            Box::pin(self.enter_bound(app, &caller, &bound, category)).await?;
        } else {
            self.spend(app, &caller, category, 1)?;
        }
        if is_wrapping && !unwrapping {
            let why = "a wrapping token is for sys/wrapping/unwrap, rewrap and lookup alone";
            return Err(Problem::new(ErrorCode::Forbidden, why));
        }
        self.placed(app, caller).await
    }

    /// A token with bounds: from where it may come, then its limit, then a use. A token that came
    /// from elsewhere was stolen or misplaced: it spends a limit of its own, so that whoever has it
    /// takes nothing from its owner.
    async fn enter_bound(
        &self,
        app: &App,
        caller: &Caller,
        bound: &Bound,
        category: Category,
    ) -> Result<(), Problem> {
        if let Err(elsewhere) = bound.comes_from(caller.source_ip) {
            let astray = format!("astray {}", caller.principal.payer());
            let home = caller.principal.home();
            self.take(app, (home.as_str(), &astray), Category::Auth, 1)?;
            app.vault.token_strayed(caller).await?;
            return Err(elsewhere.into());
        }
        self.spend(app, caller, category, 1)?;
        Ok(app.vault.token_use(bound).await?)
    }

    /// Authenticates again in the midst of a long request, at no cost.
    pub(crate) async fn enter_again(&self, app: &App) -> Result<Caller, Problem> {
        // What was begun with the last use goes on.
        let (caller, bound) = self.authenticate(app).await?;
        if let Some(bound) = bound {
            bound.comes_from(caller.source_ip)?;
        }
        self.placed(app, caller).await
    }

    /// The caller where the request puts it: in the tenant named before the path, or else by the
    /// header, or else its own.
    async fn placed(&self, app: &App, caller: Caller) -> Result<Caller, Problem> {
        let own = caller.tenant().as_str().as_bytes();
        let mut named = self.headers.get_all(TENANT_HEADER).iter();
        if self.passage.prefix.get().is_none() && named.all(|name| name.as_bytes() == own) {
            return Ok(caller);
        }
        Box::pin(self.chosen(app, caller)).await
    }

    async fn chosen(&self, app: &App, caller: Caller) -> Result<Caller, Problem> {
        let mut named = self.headers.get_all(TENANT_HEADER).iter();
        let header = named.next();
        if named.any(|other| Some(other) != header) {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "X-Tenant-ID is given several times, with different tenants: send one",
            ));
        }
        let header = header.map(|value| value.to_str().unwrap_or_default());
        let prefix = self.passage.prefix.get();
        let before_path = prefix.and_then(|prefix| prefix.tenant.as_deref());
        let mut principal = caller.principal.clone();
        // The last one decides; but none may be named that the caller may not act in.
        for name in [header, before_path].into_iter().flatten() {
            principal = app.vault.act_in(&caller, name).await?;
        }
        let placed = Caller {
            principal,
            ..caller
        };
        match prefix.is_some_and(|prefix| prefix.partner) {
            true => Ok(app.vault.for_partner(&placed).await?),
            false => Ok(placed),
        }
    }

    /// Takes `cost` from the caller's limit.
    pub(crate) fn spend(
        &self,
        app: &App,
        caller: &Caller,
        category: Category,
        cost: u32,
    ) -> Result<(), Problem> {
        let home = caller.principal.home().as_str();
        self.take(
            app,
            (home, caller.principal.payer().as_str()),
            category,
            cost,
        )
    }

    /// Takes `cost` from the limit of somebody in a tenant.
    pub(crate) fn take(
        &self,
        app: &App,
        (tenant, who): (&str, &str),
        category: Category,
        cost: u32,
    ) -> Result<(), Problem> {
        let verdict = app
            .limiter
            .take(tenant, who, category, app.vault.now(), cost);
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

    async fn authenticate(&self, app: &App) -> Result<(Caller, Option<Bound>), Problem> {
        let entered = match &self.passage.certificate {
            // Who sends a token asks as its bearer, whatever the connection shows.
            Some(certificate) if !self.headers.contains_key(header::AUTHORIZATION) => {
                self.by_certificate(app, certificate).await?
            }
            _ => self.by_token(app).await?,
        };
        let caller = Caller {
            principal: entered.principal,
            request_id: Some(self.passage.request_id.clone()),
            source_ip: self.source_ip(&app.settings.trusted_proxies),
            user_agent: self.user_agent(),
            started_at: self.passage.started_at,
        };
        Ok((caller, entered.bound))
    }

    async fn by_token(&self, app: &App) -> Result<Entered, Problem> {
        let token = self.bearer()?;
        let entered = app.vault.enter(token, app.vault.now()).await;
        let method = match &entered {
            Ok(entered) if entered.principal.token_id.is_some() => AuthMethod::Token,
            Err(_) if !looks_like_jwt(token) => AuthMethod::Token,
            _ => AuthMethod::Issuer,
        };
        app.metrics.authenticated(method, entered.is_ok());
        Ok(entered?)
    }

    async fn by_certificate(
        &self,
        app: &App,
        certificate: &ClientCertificate,
    ) -> Result<Entered, Problem> {
        refuse_foreign_page(&self.headers)?;
        // Again, as a request may be a long one.
        let shown = certificate.shown(app.vault.now())?;
        let principal = app.vault.enter_certificate(&shown).await;
        app.metrics
            .authenticated(AuthMethod::Certificate, principal.is_ok());
        Ok(Entered {
            principal: principal?,
            bound: None,
        })
    }

    /// What the client calls itself.
    pub(crate) fn user_agent(&self) -> Option<String> {
        let header = self.headers.get(header::USER_AGENT)?;
        header.to_str().ok().map(clean_user_agent)
    }

    pub(crate) fn bearer(&self) -> Result<&str, Problem> {
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
            certificate: None,
            verdict: OnceLock::new(),
            prefix: OnceLock::new(),
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
}
