//! `auth/token/…`: the tokens of our own API, under their names there. A record's id is its accessor.

use std::time::Duration;

use axum::http::StatusCode;
use scaivault_api::ErrorCode;
use scaivault_core::acl::policy_of;
use scaivault_core::identity::{Identity, Principal, Token};
use scaivault_core::ids::TokenId;
use scaivault_core::time::Timestamp;
use scaivault_engine::{Caller, TokenRef};
use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::reply::{Reply, nothing_there};
use super::request::{Asked, Verb, unsupported};
use super::token_create;
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;
use crate::routes::ranges;

/// What `meta` says of us: others do not note anything by these names.
pub(super) const OURS: [&str; 2] = ["identity", "role_name"];
/// Accessors of one list.
const ACCESSORS_MAX: usize = 10_000;
const ACCESSORS_STEP: usize = 1_000;
/// Records that one list reads at most: those of tokens that have ended are passed over.
const RECORDS_MAX: usize = 50_000;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    match (rest, asked.verb) {
        ("lookup-self", Verb::Read | Verb::Write) => lookup_self(app, asked).await,
        ("renew-self", Verb::Write) => renew_self(app, asked).await,
        ("revoke-self", Verb::Write) => revoke_self(app, asked).await,
        ("lookup" | "lookup-accessor", Verb::Read | Verb::Write) => lookup(app, asked, rest).await,
        ("renew" | "renew-accessor", Verb::Write) => renew(app, asked, rest).await,
        ("revoke" | "revoke-accessor", Verb::Write) => revoke(app, asked, rest).await,
        ("accessors" | "accessors/", Verb::List) => accessors(app, asked).await,
        ("revoke-orphan", Verb::Write) => {
            asked.enter(app, Category::Auth).await?;
            Err(Problem::new(
                ErrorCode::InvalidRequest,
                "what was made with a token always ends with it here: use auth/token/revoke, or make \
                 tokens that are to last with no_parent",
            ))
        }
        (
            "lookup-self" | "renew-self" | "revoke-self" | "lookup" | "lookup-accessor" | "renew"
            | "renew-accessor" | "revoke" | "revoke-accessor" | "accessors",
            _,
        ) => {
            asked.enter(app, Category::Auth).await?;
            Err(unsupported())
        }
        ("create" | "create-orphan", Verb::Write) => token_create::answer(app, asked, rest).await,
        _ if rest == "roles" || rest.starts_with("roles/") || rest.starts_with("create/") => {
            asked.enter(app, Category::Auth).await?;
            Err(Problem::new(
                ErrorCode::InvalidRequest,
                "there are no token roles: name policies and times in auth/token/create, or use an AppRole",
            ))
        }
        _ => nothing_there(app, asked).await,
    }
}

async fn lookup_self(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let now = app.vault.now();
    match app.vault.token_own(&caller).await? {
        Some(token) => Reply::data(&described(&token, asked.token()?, now)),
        None => Reply::data(&described_foreign(&caller.principal, asked.token()?, now)),
    }
}

async fn lookup(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let wanted = Wanted::of(asked, &fields, rest)?;
    let own = asked.token()?;
    if wanted.text.as_deref().is_some_and(|text| text == own) {
        let token = app.vault.token_own(&caller).await?;
        let token = token.ok_or_else(bad_token)?;
        return Reply::data(&described(&token, own, app.vault.now()));
    }
    let token = wanted.found(app, &caller).await?;
    let token = token.ok_or_else(|| wanted.missing())?;
    let text = wanted.text.as_deref().unwrap_or_default();
    Reply::data(&described(&token, text, app.vault.now()))
}

async fn renew_self(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let increment = increment(&fields)?;
    let token = app.vault.token_renew_self_for(&caller, increment).await?;
    renewed(app, &token, asked.token()?, increment)
}

async fn renew(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let wanted = Wanted::of(asked, &fields, rest)?;
    let increment = increment(&fields)?;
    let own = asked.token()?;
    if wanted.text.as_deref().is_some_and(|text| text == own) {
        let token = app.vault.token_renew_self_for(&caller, increment).await?;
        return renewed(app, &token, own, increment);
    }
    let found = wanted.found(app, &caller).await?;
    let found = found.ok_or_else(|| wanted.missing())?;
    let token = app.vault.token_renew(&caller, &found.id, increment).await?;
    let text = wanted.text.as_deref().unwrap_or_default();
    renewed(app, &token, text, increment)
}

async fn revoke_self(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    app.vault.token_revoke_self(&caller).await?;
    Ok(Reply::empty())
}

async fn revoke(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let fields = asked.fields(app).await?;
    let wanted = Wanted::of(asked, &fields, rest)?;
    // Giving one's own up needs no right.
    if wanted
        .text
        .as_deref()
        .is_some_and(|text| Ok(text) == asked.token().map_err(drop))
    {
        app.vault.token_revoke_self(&caller).await?;
        return Ok(Reply::empty());
    }
    match wanted.found(app, &caller).await? {
        Some(token) => app.vault.token_revoke(&caller, &token.id).await?,
        None if wanted.text.is_none() => {
            let told = "No token found with this accessor".to_owned();
            return Ok(Reply::empty().warn(vec![told]));
        }
        // It has ended: what was asked for is so.
        None => {}
    }
    Ok(Reply::empty())
}

async fn accessors(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    let caller = asked.enter(app, Category::Auth).await?;
    let now = app.vault.now();
    let mut keys: Vec<String> = Vec::new();
    let mut after: Option<String> = None;
    let mut read = 0;
    loop {
        let page = app
            .vault
            .token_list(&caller, after.as_deref(), ACCESSORS_STEP)
            .await?;
        after = page.last().map(|token| token.id.as_str().to_owned());
        let is_last = page.len() < ACCESSORS_STEP;
        let living = page.iter().filter(|token| token.ended_at(now).is_none());
        keys.extend(living.map(|token| token.id.as_str().to_owned()));
        if is_last {
            return Reply::data(&json!({ "keys": keys }));
        }
        read += page.len();
        if keys.len() >= ACCESSORS_MAX || read >= RECORDS_MAX {
            let more = format!(
                "there are more than these {}: see /v1/auth/tokens",
                keys.len()
            );
            return Ok(Reply::data(&json!({ "keys": keys }))?.warn(vec![more]));
        }
    }
}

/// Which token a request names.
struct Wanted {
    text: Option<String>,
    id: Option<TokenId>,
}

impl Wanted {
    fn of(asked: &Asked, fields: &Fields, rest: &str) -> Result<Self, Problem> {
        if rest.ends_with("-accessor") {
            let id = fields.needed("accessor")?;
            let id = TokenId::parse(&id).map_err(|_| bad_accessor())?;
            return Ok(Self {
                text: None,
                id: Some(id),
            });
        }
        // Read without a body, a lookup is of the own token.
        let text = match fields.text("token")?.filter(|text| !text.is_empty()) {
            Some(text) => text,
            None if asked.verb == Verb::Read => asked.token()?.to_owned(),
            None => fields.needed("token")?,
        };
        Ok(Self {
            text: Some(text),
            id: None,
        })
    }

    async fn found(&self, app: &App, caller: &Caller) -> Result<Option<Token>, Problem> {
        let which = match (&self.text, &self.id) {
            (Some(text), _) => TokenRef::Text(text),
            (None, Some(id)) => TokenRef::Id(id),
            (None, None) => return Ok(None),
        };
        Ok(app.vault.token_lookup(caller, which).await?)
    }

    /// There is none, told to whoever may know: as they tell it, an accessor that is none is bad input.
    fn missing(&self) -> Problem {
        match &self.id {
            Some(_) => Problem::new(ErrorCode::InvalidRequest, "invalid accessor"),
            None => bad_token(),
        }
    }
}

fn bad_token() -> Problem {
    Problem::new(ErrorCode::TokenInvalid, "bad token")
}

fn bad_accessor() -> Problem {
    Problem::new(ErrorCode::TokenInvalid, "invalid accessor")
}

fn increment(fields: &Fields) -> Result<Option<u64>, Problem> {
    Ok(fields.seconds("increment")?.filter(|seconds| *seconds > 0))
}

fn renewed(app: &App, token: &Token, text: &str, increment: Option<u64>) -> Result<Reply, Problem> {
    let now = app.vault.now();
    let left = seconds_left(token, now);
    let mut warnings = Vec::new();
    if token.expires_at.is_some() && increment.is_some_and(|asked| asked > left) {
        warnings.push(format!(
            "the token lives for {left} s from now: no renewal takes it further than the lifetime it \
             was made with"
        ));
    }
    Ok(Reply::auth(&auth_of(token, text, now))?
        .status(StatusCode::OK)
        .warn(warnings))
}

/// The `auth` of an answer that gives a token, or a longer life to one.
pub(super) fn auth_of(token: &Token, text: &str, now: Timestamp) -> Value {
    let policies = policies_of(token.is_root, &token.groups);
    json!({
        "client_token": text,
        "accessor": token.id.as_str(),
        "policies": policies,
        "token_policies": policies,
        "metadata": meta_of(token),
        "lease_duration": seconds_left(token, now),
        "renewable": is_renewable(token),
        "entity_id": "",
        "token_type": "service",
        "orphan": token.parent().is_none(),
        "mfa_requirement": null,
        "num_uses": uses_of(token),
    })
}

/// A second that has begun counts: the time since the record was made is not the client's loss.
fn seconds_left(token: &Token, now: Timestamp) -> u64 {
    let left = token
        .expires_at
        .map_or(Duration::ZERO, |end| end.since(now));
    left.as_secs() + u64::from(left.subsec_nanos() > 0)
}

/// The policies of this API that a token holds.
pub(super) fn policies_of(is_root: bool, groups: &[Identity]) -> Vec<String> {
    if is_root {
        return vec!["root".to_owned()];
    }
    let named = groups.iter().filter_map(policy_of);
    let mut names: Vec<String> = named.map(str::to_owned).collect();
    names.push("default".to_owned());
    names.sort();
    names.dedup();
    names
}

fn meta_of(token: &Token) -> Value {
    let bounds = token.bounds.as_deref();
    let noted = bounds.into_iter().flat_map(|bounds| &bounds.meta);
    let mut meta: Map<String, Value> = noted
        .filter(|(name, _)| !OURS.contains(&name.as_str()))
        .map(|(name, text)| (name.clone(), text.as_str().into()))
        .collect();
    meta.insert(OURS[0].to_owned(), token.identity.as_str().into());
    if let Some(role) = bounds.and_then(|bounds| bounds.machine_role.as_ref()) {
        meta.insert(OURS[1].to_owned(), role.as_str().into());
    }
    meta.into()
}

fn uses_of(token: &Token) -> u64 {
    let bounds = token.bounds.as_deref();
    bounds
        .and_then(|bounds| bounds.uses)
        .map_or(0, |uses| uses.left)
}

fn is_renewable(token: &Token) -> bool {
    let is_fixed = token
        .bounds
        .as_deref()
        .is_some_and(|bounds| bounds.is_fixed);
    token.ttl_s.is_some() && token.issuer.is_none() && !is_fixed
}

fn described(token: &Token, text: &str, now: Timestamp) -> Value {
    let bounds = token.bounds.as_deref();
    let issued = token.created_at;
    let explicit_max = bounds
        .and_then(|bounds| bounds.max_expires_at)
        .map_or(0, |most| most.since(issued).as_secs());
    let mut data = json!({
        "accessor": token.id.as_str(),
        "creation_time": issued.as_secs(),
        "creation_ttl": token.ttl_s.unwrap_or(0),
        "display_name": token.identity.as_str(),
        "entity_id": "",
        "expire_time": token.expires_at.map(Timestamp::to_rfc3339),
        "explicit_max_ttl": explicit_max,
        "id": text,
        "issue_time": issued.to_rfc3339(),
        "meta": meta_of(token),
        "num_uses": uses_of(token),
        "orphan": token.parent().is_none(),
        "path": "auth/token/create",
        "policies": policies_of(token.is_root, &token.groups),
        "renewable": is_renewable(token),
        "ttl": token.expires_at.map_or(0, |end| end.since(now).as_secs()),
        "type": "service",
    });
    if let Some(period) = bounds.and_then(|bounds| bounds.period_s) {
        data["period"] = period.into();
    }
    if let Some(bounds) = bounds.filter(|bounds| !bounds.allowed_addresses.is_empty()) {
        data["bound_cidrs"] = ranges(&bounds.allowed_addresses).into();
    }
    data
}

/// Of somebody who came with a token of an issuer outside.
fn described_foreign(principal: &Principal, text: &str, now: Timestamp) -> Value {
    let foreign = principal.foreign.as_deref();
    let issued = foreign.and_then(|foreign| foreign.issued_at);
    json!({
        "accessor": "",
        "creation_time": issued.map_or(0, Timestamp::as_secs),
        "creation_ttl": 0,
        "display_name": principal.identity.as_str(),
        "entity_id": "",
        "expire_time": principal.expires_at.map(Timestamp::to_rfc3339),
        "explicit_max_ttl": 0,
        "id": text,
        "issue_time": issued.map(Timestamp::to_rfc3339),
        "meta": { "identity": principal.identity.as_str() },
        "num_uses": 0,
        "orphan": true,
        "path": "auth/jwt/login",
        "policies": policies_of(principal.is_root, &principal.groups),
        "renewable": false,
        "ttl": principal.expires_at.map_or(0, |end| end.since(now).as_secs()),
        "type": "batch",
    })
}
