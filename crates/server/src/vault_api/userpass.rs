//! `auth/userpass/…`: people with a name and a password. A user is a machine role that shows a
//! password in place of a secret id.

use std::sync::{Arc, LazyLock};

use axum::http::StatusCode;
use scaivault_api::ErrorCode;
use scaivault_core::acl::policy_of;
use scaivault_core::ids::TenantId;
use scaivault_core::machine::MachineRole;
use scaivault_core::time::Span;
use scaivault_crypto::{SystemEntropy, password};
use scaivault_engine::{Caller, LoginError, MintedToken, USER_PREFIX, UserLogin, default_tenant};
use serde_json::json;
use tokio::sync::Semaphore;

use super::approle::{Given, IGNORED, KNOWN, TOKEN_TTL_S, absent, listed, seconds};
use super::fields::{Fields, wrong};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::token::auth_of;
use crate::app::App;
use crate::metrics::{LoginMethod, LoginResult};
use crate::problem::Problem;
use crate::rate_limit::Category;
use crate::routes::{Attempt, ranges};

/// Passwords judged at once: each takes a core for a while, and other requests need theirs.
static TURNS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(2)));
/// Longer names are nobody's: a role's name has 128 bytes, with what stands before the user's.
const NAME_BYTES_MAX: usize = 128 - USER_PREFIX.len();
const OWN: [&str; 3] = ["password", "password_hash", "username"];
const LIST_STEP: usize = 500;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let name = parts
        .get(1)
        .map(|name| name.to_lowercase())
        .unwrap_or_default();
    if let ["login", _] = parts.as_slice() {
        return login(app, asked, &name).await;
    }
    let caller = asked.enter(app, Category::Auth).await?;
    match (parts.as_slice(), asked.verb) {
        (["users"], Verb::List) => users(app, &caller).await,
        (["users", _], Verb::Read) => show(app, &caller, &name).await,
        (["users", _] | ["users", _, "password" | "policies"], Verb::Write) => {
            write(app, &caller, asked, &name).await
        }
        (["users", _], Verb::Delete) => {
            let gone = app
                .vault
                .machine_role_delete(&caller, &role_of(&name))
                .await;
            match gone.map_err(Problem::from) {
                Err(problem) if problem.code != ErrorCode::RoleNotFound => Err(problem),
                _ => Ok(Reply::empty()),
            }
        }
        (["users"] | ["users", _] | ["users", _, "password" | "policies"], _) => Err(unsupported()),
        _ => Err(not_found()),
    }
}

fn role_of(name: &str) -> String {
    format!("{USER_PREFIX}{name}")
}

async fn login(app: &App, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    if asked.verb != Verb::Write {
        return Err(unsupported());
    }
    let logged = logged_in(app, asked, name).await;
    let result = match &logged {
        Ok(_) => LoginResult::Success,
        Err(problem) => LoginResult::of(problem.code),
    };
    app.metrics.logins.ended(LoginMethod::Password, result);
    let minted = logged.map_err(|problem| match problem.code {
        ErrorCode::LoginRefused => {
            Problem::new(ErrorCode::InvalidRequest, "invalid username or password")
        }
        _ => problem,
    })?;
    asked.logged_in(app, &minted).await?;
    let mut auth = auth_of(&minted.token, minted.text.expose(), app.vault.now());
    auth["metadata"] = json!({ "username": name });
    Ok(Reply::auth(&auth)?.status(StatusCode::OK))
}

async fn logged_in(app: &App, asked: &Asked, name: &str) -> Result<MintedToken, Problem> {
    let mut from = Attempt::begin(app, &asked.call)?;
    let given = asked.fields(app).await?.needed("password")?;
    let call = &asked.call;
    let login = UserLogin {
        tenant: tenant(asked)?,
        name: name.to_owned(),
        request_id: call.passage.request_id.clone(),
        source_ip: from.source_ip,
        user_agent: call.user_agent(),
        started_at: call.passage.started_at,
    };
    let of = format!("login of user {} of {}", short(name), login.tenant);
    from.stake(app, &of)?;
    let judge = |hash: Option<String>| async move {
        let Ok(turn) = TURNS.clone().acquire_owned().await else {
            return false;
        };
        // The turn is over when the work is, whoever still waits for it.
        let judged = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            password::matches(&given, hash.as_deref())
        });
        judged.await.unwrap_or(false)
    };
    let attempt = match name.len() <= NAME_BYTES_MAX {
        true => app.vault.user_login(&login, judge).await,
        false => Err(LoginError::Refused),
    };
    from.end(app, &of, attempt)
}

fn short(name: &str) -> String {
    name.chars().take(NAME_BYTES_MAX).collect()
}

/// Whose users are meant: the tenant that the request names, or the first one.
fn tenant(asked: &Asked) -> Result<TenantId, Problem> {
    let named = asked.call.headers.get("x-tenant-id");
    let before = asked.call.passage.prefix.get();
    let before = before.and_then(|prefix| prefix.tenant.clone());
    let named = match (before, named) {
        (Some(tenant), _) => tenant.into(),
        (None, Some(value)) => value.to_str().unwrap_or_default().to_owned(),
        (None, None) => return Ok(default_tenant()),
    };
    let refused = || Problem::new(ErrorCode::InvalidRequest, "invalid username or password");
    TenantId::parse(&named).map_err(|_| refused())
}

async fn users(app: &App, caller: &Caller) -> Result<Reply, Problem> {
    let (mut keys, mut after) = (Vec::new(), Some(USER_PREFIX.to_owned()));
    loop {
        let page = app
            .vault
            .machine_role_list(caller, after.as_deref(), LIST_STEP)
            .await?;
        let names = page
            .iter()
            .filter_map(|role| role.name.strip_prefix(USER_PREFIX));
        let found = names.map(str::to_owned).collect::<Vec<_>>();
        let is_last = page.len() < LIST_STEP || found.len() < page.len();
        after = page.last().map(|role| role.name.clone());
        keys.extend(found);
        if is_last {
            return listed(keys);
        }
    }
}

async fn show(app: &App, caller: &Caller, name: &str) -> Result<Reply, Problem> {
    let role = app
        .vault
        .machine_role_show(caller, &role_of(name))
        .await
        .map_err(absent)?;
    let secs = |span: &Option<Span>| span.as_ref().map_or(0, Span::as_secs);
    let policies: Vec<&str> = role.groups.iter().filter_map(policy_of).collect();
    Reply::data(&json!({
        "policies": policies,
        "token_bound_cidrs": ranges(&role.token_bound_cidrs),
        "token_explicit_max_ttl": 0,
        "token_max_ttl": secs(&role.token_max_ttl),
        "token_no_default_policy": false,
        "token_num_uses": role.token_num_uses.unwrap_or(0),
        "token_period": secs(&role.token_period),
        "token_policies": policies,
        "token_ttl": role.token_ttl.as_secs(),
        "token_type": "default",
    }))
}

async fn write(app: &App, caller: &Caller, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let fields = asked.fields(app).await?;
    let given = Given::of(&fields)?;
    let hash = hash(app, caller, &fields).await?;
    let told = fields.unknown(&[&KNOWN[..], &IGNORED[..], &OWN[..]].concat());
    let life = seconds(TOKEN_TTL_S);
    let change = move |role: &mut MachineRole| {
        // Before it is stored for the first time.
        if let (true, Some(life)) = (role.password.is_none(), &life) {
            role.token_ttl.clone_from(life);
        }
        given.apply(role);
        // Where the tokens may be used is where the logins come from.
        role.secret_id_bound_cidrs
            .clone_from(&role.token_bound_cidrs);
    };
    app.vault.user_put(caller, name, hash, &change).await?;
    Ok(Reply::empty().warn(told))
}

async fn hash(app: &App, caller: &Caller, fields: &Fields) -> Result<Option<String>, Problem> {
    if let Some(hash) = fields.text("password_hash")? {
        return match password::is_hash(&hash) {
            true => Ok(Some(hash)),
            false => Err(wrong(
                "password_hash",
                "is a bcrypt hash of a cost of 4 to 14",
            )),
        };
    }
    let Some(given) = fields.text("password")? else {
        return Ok(None);
    };
    // Whoever may not write users makes nobody count.
    if !caller
        .principal
        .scopes
        .contains(scaivault_core::identity::Scope::Admin)
    {
        app.vault.machine_role_show(caller, USER_PREFIX).await?;
    }
    let turn = TURNS.clone().acquire_owned().await;
    let made = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        password::hash(&given, &SystemEntropy)
    });
    let made = made.await;
    let made = made.ok().flatten();
    let why = "has 1 to 72 bytes: what is behind them, its hash would not see";
    made.map(Some).ok_or_else(|| wrong("password", why))
}
