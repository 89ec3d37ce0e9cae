//! `auth/approle/…`: machine roles and their secret ids, under their names there.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use scaivault_api::ErrorCode;
use scaivault_api::machine as wire;
use scaivault_core::acl::{group_of, is_policy_group, policy_of};
use scaivault_core::identity::{Identity, ScopeSet};
use scaivault_core::ids::SecretIdAccessor;
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::time::{Span, Timestamp};
use scaivault_engine::{Caller, MachineRoleDraft, SecretIdDraft, USER_PREFIX};
use serde_json::{Value, json};

use super::fields::{Fields, wrong};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::token::auth_of;
use super::token_create::{cidrs, names};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;
use crate::routes::{logged_in, ranges};

pub(super) const KNOWN: [&str; 17] = [
    "bind_secret_id",
    "secret_id_bound_cidrs",
    "secret_id_num_uses",
    "secret_id_ttl",
    "token_ttl",
    "token_max_ttl",
    // Their names of before.
    "ttl",
    "max_ttl",
    "token_policies",
    "policies",
    "token_bound_cidrs",
    "token_num_uses",
    "token_period",
    "period",
    "token_type",
    "role_id",
    "role_name",
];
/// As they write a time that is none.
const NO_TIME: &str = "0001-01-01T00:00:00Z";
/// Roles or secret ids of one list.
const LIST_STEP: usize = 500;
const LIST_MAX: usize = 10_000;
/// How long tokens live of a role that says nothing.
pub(super) const TOKEN_TTL_S: u64 = 768 * 3_600;

pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    if rest == "login" {
        return login(app, asked).await;
    }
    let caller = asked.enter(app, Category::Auth).await?;
    let parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let named = parts
        .get(1)
        .map(|name| name.to_lowercase())
        .unwrap_or_default();
    let name = named.as_str();
    if name.starts_with(USER_PREFIX) {
        return Err(wrong("role_name", "is a user's: see auth/userpass"));
    }
    match (parts.as_slice(), asked.verb) {
        (["role"], Verb::List) => roles(app, &caller).await,
        (["role", _], Verb::Read) => show(app, &caller, name).await,
        (["role", _], Verb::Write) => write(app, &caller, asked, name).await,
        (["role", _], Verb::Delete) => remove(app, &caller, name).await,
        (["role", _, "role-id"], Verb::Read) => {
            let role = app.vault.machine_role_show(&caller, name).await;
            Reply::data(&json!({ "role_id": role.map_err(absent)?.role_id }))
        }
        (["role", _, "role-id"], Verb::Write) => {
            let role_id = asked.fields(app).await?.needed("role_id")?;
            let change = move |role: &mut MachineRole| role.role_id.clone_from(&role_id);
            app.vault
                .machine_role_change(&caller, name, &change)
                .await
                .map_err(absent)?;
            Ok(Reply::empty())
        }
        (["role", _, "secret-id"], Verb::Write) => make(app, &caller, asked, name).await,
        (["role", _, "secret-id"], Verb::List) => accessors(app, &caller, name).await,
        (["role", _, "custom-secret-id"], Verb::Write) => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "secret ids are made here, of 256 random bits: use secret-id, and deliver what it answers",
        )),
        (["role", _, "secret-id" | "secret-id-accessor", act], Verb::Write | Verb::Delete) => {
            one(app, &caller, asked, name, act).await
        }
        (["tidy", "secret-id"], Verb::Write) => {
            let told = "secret ids that ended are removed by themselves".to_owned();
            Ok(Reply::empty().warn(vec![told]))
        }
        (["role"] | ["role", _] | ["role", _, "role-id" | "secret-id"], _) => Err(unsupported()),
        (["role", _, _], _) => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "fields of a role are read and written with the role itself: auth/approle/role/{name}",
        )),
        _ => Err(not_found()),
    }
}

async fn login(app: &App, asked: &Asked) -> Result<Reply, Problem> {
    if asked.verb != Verb::Write {
        return Err(unsupported());
    }
    let body = async {
        let fields = asked.fields(app).await?;
        Ok(wire::LoginBody {
            role_id: fields.needed("role_id")?,
            secret_id: fields.text("secret_id")?.filter(|text| !text.is_empty()),
        })
    };
    let minted = logged_in(app, &asked.call, body).await;
    let minted = minted.map_err(|problem| match problem.code {
        ErrorCode::LoginRefused => {
            Problem::new(ErrorCode::InvalidRequest, "invalid role or secret ID")
        }
        _ => problem,
    })?;
    asked.logged_in(app, &minted).await?;
    let auth = auth_of(&minted.token, minted.text.expose(), app.vault.now());
    Ok(Reply::auth(&auth)?.status(StatusCode::OK))
}

async fn roles(app: &App, caller: &Caller) -> Result<Reply, Problem> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let after = keys.last().cloned();
        let page = app
            .vault
            .machine_role_list(caller, after.as_deref(), LIST_STEP)
            .await?;
        let is_last = page.len() < LIST_STEP || keys.len() >= LIST_MAX;
        keys.extend(page.into_iter().map(|role| role.name));
        if is_last {
            keys.retain(|name| !name.starts_with(USER_PREFIX));
            return listed(keys);
        }
    }
}

pub(super) fn listed(keys: Vec<String>) -> Result<Reply, Problem> {
    match keys.is_empty() {
        true => Err(not_found()),
        false => Reply::data(&json!({ "keys": keys })),
    }
}

async fn show(app: &App, caller: &Caller, name: &str) -> Result<Reply, Problem> {
    let role = app
        .vault
        .machine_role_show(caller, name)
        .await
        .map_err(absent)?;
    let secs = |span: &Option<Span>| span.as_ref().map_or(0, Span::as_secs);
    let policies: Vec<&str> = role.groups.iter().filter_map(policy_of).collect();
    let view = json!({
        "bind_secret_id": role.bind_secret_id,
        "local_secret_ids": false,
        "policies": policies,
        "secret_id_bound_cidrs": ranges(&role.secret_id_bound_cidrs),
        "secret_id_num_uses": role.secret_id_num_uses.unwrap_or(0),
        "secret_id_ttl": secs(&role.secret_id_ttl),
        "token_bound_cidrs": ranges(&role.token_bound_cidrs),
        "token_explicit_max_ttl": 0,
        "token_max_ttl": secs(&role.token_max_ttl),
        "token_no_default_policy": false,
        "token_num_uses": role.token_num_uses.unwrap_or(0),
        "token_period": secs(&role.token_period),
        "token_policies": policies,
        "token_ttl": role.token_ttl.as_secs(),
        "token_type": "default",
    });
    let mut told = Vec::new();
    if role.scopes != ScopeSet::EMPTY || role.groups.iter().any(|one| policy_of(one).is_none()) {
        told.push("this role gives scopes or groups of the native API besides".to_owned());
    }
    Ok(Reply::data(&view)?.warn(told))
}

/// What a request says of a role; what is `None` stays as it is.
pub(super) struct Given {
    bind_secret_id: Option<bool>,
    secret_id_bound_cidrs: Option<Vec<scaivault_core::access::Cidr>>,
    secret_id_num_uses: Option<u64>,
    secret_id_ttl: Option<Option<Span>>,
    token_ttl: Option<Option<Span>>,
    token_max_ttl: Option<Option<Span>>,
    token_period: Option<Option<Span>>,
    token_num_uses: Option<u64>,
    token_bound_cidrs: Option<Vec<scaivault_core::access::Cidr>>,
    policies: Option<Vec<Identity>>,
}

impl Given {
    pub(super) fn of(fields: &Fields) -> Result<Self, Problem> {
        for (name, why) in [
            (
                "local_secret_ids",
                "cannot be had: every node shares the store",
            ),
            (
                "token_no_default_policy",
                "cannot be had: what default gives, every token has",
            ),
        ] {
            if fields.flag(name)? == Some(true) {
                return Err(wrong(name, why));
            }
        }
        if fields
            .seconds("token_explicit_max_ttl")?
            .is_some_and(|most| most > 0)
        {
            return Err(wrong(
                "token_explicit_max_ttl",
                "is token_max_ttl here, which is the last end",
            ));
        }
        match fields.text("token_type")?.as_deref() {
            None | Some("" | "default" | "service") => {}
            Some(_) => return Err(wrong("token_type", "is service: there are no batch tokens")),
        }
        let policies = match fields.texts("token_policies")? {
            Some(policies) => Some(policies),
            None => fields.texts("policies")?,
        };
        let policies = match policies {
            None => None,
            Some(given) => {
                let groups: Option<Vec<Identity>> =
                    names(given).iter().map(|name| group_of(name)).collect();
                let why = "are names of policies, without root";
                Some(groups.ok_or_else(|| wrong("token_policies", why))?)
            }
        };
        Ok(Self {
            bind_secret_id: fields.flag("bind_secret_id")?,
            secret_id_bound_cidrs: cidrs(fields, "secret_id_bound_cidrs")?,
            secret_id_num_uses: fields.number("secret_id_num_uses")?,
            secret_id_ttl: span(fields, "secret_id_ttl")?,
            token_ttl: span(fields, "token_ttl")?.or(span(fields, "ttl")?),
            token_max_ttl: span(fields, "token_max_ttl")?.or(span(fields, "max_ttl")?),
            token_period: match span(fields, "token_period")? {
                None => span(fields, "period")?,
                given => given,
            },
            token_num_uses: fields.number("token_num_uses")?,
            token_bound_cidrs: cidrs(fields, "token_bound_cidrs")?,
            policies,
        })
    }

    pub(super) fn apply(&self, role: &mut MachineRole) {
        fn set<T: Clone>(field: &mut T, given: Option<&T>) {
            if let Some(given) = given {
                field.clone_from(given);
            }
        }
        let uses = |given: Option<u64>| given.map(|uses| Some(uses).filter(|uses| *uses > 0));
        set(&mut role.bind_secret_id, self.bind_secret_id.as_ref());
        set(
            &mut role.secret_id_bound_cidrs,
            self.secret_id_bound_cidrs.as_ref(),
        );
        set(
            &mut role.secret_id_num_uses,
            uses(self.secret_id_num_uses).as_ref(),
        );
        set(&mut role.secret_id_ttl, self.secret_id_ttl.as_ref());
        set(&mut role.token_max_ttl, self.token_max_ttl.as_ref());
        if let Some(given) = &self.token_ttl {
            let most = role.token_max_ttl.clone().or_else(|| seconds(TOKEN_TTL_S));
            set(&mut role.token_ttl, given.clone().or(most).as_ref());
        } else if let Some(most) = role.token_max_ttl.clone()
            && most.as_secs() < role.token_ttl.as_secs()
        {
            role.token_ttl = most;
        }
        set(&mut role.token_period, self.token_period.as_ref());
        set(&mut role.token_num_uses, uses(self.token_num_uses).as_ref());
        set(&mut role.token_bound_cidrs, self.token_bound_cidrs.as_ref());
        if let Some(policies) = &self.policies {
            role.groups.retain(|group| !is_policy_group(group));
            role.groups.extend(policies.iter().cloned());
            role.groups.sort();
            role.groups.dedup();
        }
    }
}

async fn write(app: &App, caller: &Caller, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let fields = asked.fields(app).await?;
    let given = Given::of(&fields)?;
    let role_id = fields.text("role_id")?.filter(|text| !text.is_empty());
    let told = fields.unknown(&[&KNOWN[..], &IGNORED[..]].concat());
    let there = app.vault.machine_role_show(caller, name).await;
    match there.map_err(Problem::from) {
        Ok(_) => {
            let change = move |role: &mut MachineRole| {
                given.apply(role);
                if let Some(role_id) = &role_id {
                    role.role_id.clone_from(role_id);
                }
            };
            app.vault.machine_role_change(caller, name, &change).await?;
        }
        Err(problem) if problem.code == ErrorCode::RoleNotFound => {
            let identity = Identity::parse(&format!("sa:approle/{name}"));
            let draft = MachineRoleDraft {
                name: name.to_owned(),
                role_id,
                identity: identity.map_err(|error| wrong("role_name", &error.to_string()))?,
                scopes: ScopeSet::EMPTY,
            };
            let life = seconds(TOKEN_TTL_S);
            let fill = move |role: &mut MachineRole| {
                if let Some(life) = &life {
                    role.token_ttl.clone_from(life);
                }
                given.apply(role);
            };
            app.vault.machine_role_create(caller, draft, &fill).await?;
        }
        Err(problem) => return Err(problem),
    }
    Ok(Reply::empty().warn(told))
}

/// Looked at, and without effect when they say what is so anyway.
pub(super) const IGNORED: [&str; 3] = [
    "local_secret_ids",
    "token_no_default_policy",
    "token_explicit_max_ttl",
];

async fn remove(app: &App, caller: &Caller, name: &str) -> Result<Reply, Problem> {
    match app
        .vault
        .machine_role_delete(caller, name)
        .await
        .map_err(Problem::from)
    {
        Err(problem) if problem.code != ErrorCode::RoleNotFound => Err(problem),
        _ => Ok(Reply::empty()),
    }
}

async fn make(app: &App, caller: &Caller, asked: &Asked, name: &str) -> Result<Reply, Problem> {
    let fields = asked.fields(app).await?;
    let draft = SecretIdDraft {
        metadata: noted(&fields)?,
        ttl: span(&fields, "ttl")?.flatten(),
        num_uses: fields.number("num_uses")?.filter(|uses| *uses > 0),
        bound_cidrs: cidrs(&fields, "cidr_list")?.unwrap_or_default(),
        token_bound_cidrs: cidrs(&fields, "token_bound_cidrs")?.unwrap_or_default(),
    };
    let minted = app
        .vault
        .secret_id_create(caller, name, draft)
        .await
        .map_err(absent)?;
    let record = &minted.record;
    let ttl = record
        .expires_at
        .map_or(0, |end| end.since(record.created_at).as_secs());
    Reply::data(&json!({
        "secret_id": minted.text.expose(),
        "secret_id_accessor": record.id.as_str(),
        "secret_id_num_uses": record.uses.map_or(0, |uses| uses.given),
        "secret_id_ttl": ttl,
    }))
}

/// `metadata` is an object, or a text that holds one.
fn noted(fields: &Fields) -> Result<BTreeMap<String, String>, Problem> {
    let text = match fields.value("metadata")? {
        None => return Ok(BTreeMap::new()),
        Some(Value::String(text)) if text.is_empty() => return Ok(BTreeMap::new()),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    let all: Result<BTreeMap<String, String>, _> = serde_json::from_str(&text);
    let fits = |(name, text): (&String, &String)| {
        (1..=512).contains(&name.chars().count()) && text.chars().count() <= 512
    };
    let sane = all
        .ok()
        .filter(|all| all.len() <= 50 && all.iter().all(fits));
    sane.ok_or_else(|| {
        wrong(
            "metadata",
            "is JSON with at most 50 texts of at most 512 characters",
        )
    })
}

async fn accessors(app: &App, caller: &Caller, name: &str) -> Result<Reply, Problem> {
    let mut keys: Vec<String> = Vec::new();
    loop {
        let after = keys.last().cloned();
        let page = app
            .vault
            .secret_id_list(caller, name, after.as_deref(), LIST_STEP)
            .await;
        let page = page.map_err(absent)?;
        let is_last = page.len() < LIST_STEP || keys.len() >= LIST_MAX;
        keys.extend(page.iter().map(|row| row.id.as_str().to_owned()));
        if is_last {
            return listed(keys);
        }
    }
}

/// One secret id, by itself or by its accessor: `lookup` or `destroy`.
async fn one(
    app: &App,
    caller: &Caller,
    asked: &Asked,
    name: &str,
    act: &str,
) -> Result<Reply, Problem> {
    let fields = asked.fields(app).await?;
    let row = match fields.text("secret_id_accessor")? {
        Some(accessor) => {
            let missing = || Problem::new(ErrorCode::NotFound, "");
            let id = SecretIdAccessor::parse(&accessor).map_err(|_| missing())?;
            app.vault.secret_id_show(caller, name, &id).await
        }
        None => {
            let text = fields.needed("secret_id")?;
            app.vault.secret_id_lookup(caller, name, &text).await
        }
    };
    let row = match row.map_err(Problem::from) {
        // There is none: nothing is to be shown, or to be ended.
        Err(problem) if problem.code == ErrorCode::SecretIdNotFound => {
            return match fields.text("secret_id_accessor")? {
                Some(_) => Err(not_found()),
                None => Ok(Reply::empty()),
            };
        }
        row => row.map_err(gone)?,
    };
    match act {
        "lookup" => Reply::data(&described(&row)),
        "destroy" => {
            app.vault.secret_id_revoke(caller, name, &row.id).await?;
            Ok(Reply::empty())
        }
        _ => Err(not_found()),
    }
}

fn described(row: &SecretId) -> Value {
    let ttl = row
        .expires_at
        .map_or(0, |end| end.since(row.created_at).as_secs());
    json!({
        "cidr_list": ranges(&row.bound_cidrs),
        "creation_time": row.created_at.to_rfc3339(),
        // Clients read a text in any case.
        "expiration_time": row
            .expires_at
            .map_or_else(|| NO_TIME.to_owned(), Timestamp::to_rfc3339),
        "last_updated_time": row.last_used_at.unwrap_or(row.created_at).to_rfc3339(),
        "metadata": row.metadata,
        "secret_id_accessor": row.id.as_str(),
        "secret_id_num_uses": row.uses.map_or(0, |uses| uses.left),
        "secret_id_ttl": ttl,
        "token_bound_cidrs": ranges(&row.token_bound_cidrs),
    })
}

/// A time in seconds; 0 is none.
fn span(fields: &Fields, name: &str) -> Result<Option<Option<Span>>, Problem> {
    match fields.seconds(name)? {
        None => Ok(None),
        Some(0) => Ok(Some(None)),
        Some(given) => match seconds(given) {
            Some(span) => Ok(Some(Some(span))),
            None => Err(wrong(name, "is too long")),
        },
    }
}

pub(super) fn seconds(seconds: u64) -> Option<Span> {
    Span::parse(&format!("{seconds}s")).ok()
}

pub(super) fn absent(error: impl Into<Problem>) -> Problem {
    gone(error.into())
}

fn gone(problem: Problem) -> Problem {
    match problem.code {
        ErrorCode::RoleNotFound | ErrorCode::SecretIdNotFound => not_found(),
        _ => problem,
    }
}
