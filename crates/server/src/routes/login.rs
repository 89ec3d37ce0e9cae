//! `POST /v1/auth/login`: a role id and a secret id for a token. Open without one.
//!
//! Limits of the category `auth` bound guessing: every attempt takes one from what its address has, a
//! failed one three more and one from what its role id has. Where the role has none left, failed
//! attempts are told to wait; who shows what is right is let in all the same, so that nobody closes
//! a role for others.
//!
//! A password is easier to guess than a secret id: there the price of a failure is taken before anything
//! is judged, and given back to who was right, so that nobody evades it by leaving; and each address has
//! but a few guesses a minute of one user, which are asked for before the next one is judged.

use std::net::{IpAddr, Ipv6Addr};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use scaivault_api::ErrorCode;
use scaivault_api::machine as wire;
use scaivault_core::identity::Scope;
use scaivault_core::time::Timestamp;
use scaivault_engine::{LoginError, MachineLogin, MintedToken};

use super::tokens::ranges;
use crate::app::{App, Shared};
use crate::body::{json_response, read};
use crate::call::Call;
use crate::metrics::{LoginMethod, LoginResult};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// The tenant that stands for none in the limiter's keys.
const NOWHERE: &str = "";
/// What a failure costs an address beside the attempt.
const FAILURE: u32 = 3;
/// Guesses of one user's password that an address has at once, and again each minute.
const GUESSES: u32 = 10;
/// Longer ones than these are nobody's.
const ROLE_ID_BYTES_MAX: usize = 128;
const SECRET_ID_BYTES_MAX: usize = 256;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/v1/auth/login", post(login))
}

async fn login(State(app): State<Shared>, call: Call, body: Body) -> Result<Response, Problem> {
    let minted = logged_in(&app, &call, read::<wire::LoginBody>(&app, body)).await?;
    let token = &minted.token;
    let bounds = token.bounds.as_deref().cloned().unwrap_or_default();
    let ends_at = token.expires_at.unwrap_or(token.created_at);
    let words = token.scopes.iter().map(Scope::as_str);
    let view = wire::Login {
        token: minted.text.expose().to_owned(),
        token_id: token.id.as_str().to_owned(),
        role: bounds.machine_role.unwrap_or_default(),
        identity_id: token.identity.as_str().to_owned(),
        scopes: words.map(str::to_owned).collect(),
        expires_in: ends_at.since(token.created_at).as_secs(),
        expires_at: token.expires_at.map(Timestamp::to_rfc3339),
        uses_left: bounds.uses.map(|uses| uses.left),
        allowed_addresses: ranges(&bounds.allowed_addresses),
    };
    Ok(json_response(StatusCode::OK, &view))
}

/// Lets a machine in that shows what the body says, within the limits; the body is read behind the
/// first of them.
pub(crate) async fn logged_in(
    app: &App,
    call: &Call,
    body: impl Future<Output = Result<wire::LoginBody, Problem>>,
) -> Result<MintedToken, Problem> {
    let done = attempted(app, call, body).await;
    let result = match &done {
        Ok(_) => LoginResult::Success,
        Err(problem) => LoginResult::of(problem.code),
    };
    app.metrics.logins.ended(LoginMethod::Machine, result);
    done
}

async fn attempted(
    app: &App,
    call: &Call,
    body: impl Future<Output = Result<wire::LoginBody, Problem>>,
) -> Result<MintedToken, Problem> {
    let mut from = Attempt::begin(app, call)?;
    let body = body.await?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_sane = body.role_id.len() <= ROLE_ID_BYTES_MAX
        && body.role_id.bytes().all(plain)
        && body
            .secret_id
            .as_ref()
            .is_none_or(|text| text.len() <= SECRET_ID_BYTES_MAX);
    let of = match is_sane {
        true => format!("login of {}", body.role_id),
        false => "login of nobody".to_owned(),
    };
    let attempt = match is_sane {
        true => {
            app.vault
                .machine_login(&MachineLogin {
                    role_id: body.role_id,
                    secret_id: body.secret_id,
                    request_id: call.passage.request_id.clone(),
                    source_ip: from.source_ip,
                    user_agent: call.user_agent(),
                    started_at: call.passage.started_at,
                })
                .await
        }
        false => Err(LoginError::Refused),
    };
    from.end(app, &of, attempt)
}

/// One attempt to log in, and what it costs.
pub(crate) struct Attempt {
    pub(crate) source_ip: Option<IpAddr>,
    from: String,
    /// What a guess has paid already: to the address, and to the address and the user.
    staked: Option<(u32, String, u32)>,
}

impl Attempt {
    /// Takes one from what the address has.
    pub(crate) fn begin(app: &App, call: &Call) -> Result<Self, Problem> {
        let source_ip = call.source_ip(&app.settings.trusted_proxies);
        let address = source_ip.map_or_else(String::new, household);
        let from = format!("login from {address}");
        limited(app, (NOWHERE, &from), 1)?;
        Ok(Self {
            source_ip,
            from,
            staked: None,
        })
    }

    /// Takes the price of a wrong guess before it is judged.
    ///
    /// # Errors
    /// When the address has no guess left of whom it is `of`.
    pub(crate) fn stake(&mut self, app: &App, of: &str) -> Result<(), Problem> {
        let both = format!("{of} {}", self.from);
        let guess = app.limiter.limit(Category::Auth).div_ceil(GUESSES);
        limited(app, (NOWHERE, &both), guess)?;
        self.staked = Some((self.fine(app), both, guess));
        Ok(())
    }

    /// Takes what a failure costs the address, were it less than all of it.
    fn fine(&self, app: &App) -> u32 {
        let now = app.vault.now();
        let taken = (1..=FAILURE).rev().find(|cost| {
            let verdict = app
                .limiter
                .take(NOWHERE, &self.from, Category::Auth, now, *cost);
            verdict.allowed
        });
        taken.unwrap_or(0)
    }

    /// What became of it; a failure costs the address more, and whom it was `of`.
    pub(crate) fn end(
        &mut self,
        app: &App,
        of: &str,
        attempt: Result<MintedToken, LoginError>,
    ) -> Result<MintedToken, Problem> {
        match attempt {
            Ok(minted) => {
                let now = app.vault.now();
                if let Some((fine, both, guess)) = self.staked.take() {
                    for (who, cost) in [(&self.from, fine), (&both, guess)] {
                        app.limiter
                            .give_back(NOWHERE, who, Category::Auth, now, cost);
                    }
                }
                Ok(minted)
            }
            Err(LoginError::Refused) => {
                // This attempt was made, and has its price.
                if self.staked.take().is_none() {
                    self.fine(app);
                }
                limited(app, (NOWHERE, of), 1)?;
                let text = LoginError::Refused.to_string();
                Err(Problem::new(ErrorCode::LoginRefused, text))
            }
            Err(LoginError::Vault(error)) => Err(Problem::for_strangers(error)),
        }
    }
}

/// An address as limits count it: of IPv6 the network, since one household has all of it.
fn household(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).to_string(),
    }
}

/// Takes `cost`.
fn limited(app: &App, (tenant, who): (&str, &str), cost: u32) -> Result<(), Problem> {
    let now = app.vault.now();
    let verdict = app.limiter.take(tenant, who, Category::Auth, now, cost);
    if verdict.allowed {
        return Ok(());
    }
    app.metrics.rate_limit_hit(Category::Auth);
    let text = "too many logins from here, or too many that failed for this role: try again after \
                Retry-After seconds";
    let mut problem = Problem::new(ErrorCode::RateLimited, text);
    let one_more = u64::from(60_u32.div_ceil(verdict.limit.max(1)));
    problem.retry_after_s = Some(u64::from(verdict.retry_after_s).max(one_more));
    Err(problem)
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/v1/auth/login",
            "logIn",
            "Machine login",
            "A role id and a secret id for a token",
        )
        .open()
        .takes::<wire::LoginBody>()
        .answers::<wire::Login>(200)
        .fails(&["login_refused", "rate_limited", "invalid_request"]),
    ]
}
