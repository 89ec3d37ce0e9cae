//! `{mount}/roles/…` and `{mount}/creds/…`: what credentials may do, and one of them.
//!
//! A role is of its mount there and of its engine here: it is the role of this name of whichever
//! engine of the mount has it. Written for another connection it moves; what its leases need to end is
//! theirs.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Engine, Role};
use scaivault_core::time::Span;
use scaivault_engine::{Caller, CredentialRequest, Generated, RoleDraft, RoleWrite, VaultError};
use serde_json::{Map, Value, json};

use super::connections::span;
use super::database::{Reached, Site, manager, seen};
use super::fields::{Fields, wrong};
use super::leases::lease_id;
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::statements::statements;
use crate::app::App;
use crate::problem::Problem;

/// Fields of a role that are heeded.
const KNOWN: [&str; 10] = [
    "db_name",
    "creation_statements",
    "revocation_statements",
    "rollback_statements",
    "renew_statements",
    "default_ttl",
    "max_ttl",
    "credential_type",
    "credential_config",
    "name",
];

pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    reached: Reached<'_>,
) -> Result<Reply, Problem> {
    match (asked.verb, reached.2.is_empty()) {
        (Verb::List, true) => list(app, reached).await,
        (Verb::Read, false) => read(app, reached).await,
        (Verb::Write, false) => write(app, asked, reached).await,
        (Verb::Delete, false) => delete(app, reached).await,
        _ => Err(unsupported()),
    }
}

async fn list(app: &App, (caller, site, _): Reached<'_>) -> Result<Reply, Problem> {
    let engines = app.vault.engines_beginning(caller, &site.begin()).await?;
    let mut names = Vec::new();
    for engine in &engines {
        let roles = app.vault.roles_of_engine(engine).await?;
        names.extend(
            roles
                .iter()
                .map(|role| scaivault_core::acl::unescape(&role.name)),
        );
    }
    seen(app, caller, &site.folder("roles"), names).await
}

/// The engines of the mount that have the role: one, or none, or two while it moves.
async fn found(
    app: &App,
    caller: &Caller,
    site: &Site<'_>,
    role: &str,
) -> Result<Vec<(Engine, Role)>, Problem> {
    let engines = app.vault.engines_beginning(caller, &site.begin()).await?;
    Ok(app.vault.engines_with_role(engines, role).await?)
}

async fn read(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let place = site.place("roles", name)?;
    manager(app, caller, (Permission::Read, Action::List), &place).await?;
    let role = site.role(name)?;
    let found = found(app, caller, site, &role).await?;
    let (engine, role) = found.into_iter().next().ok_or_else(not_found)?;
    let seconds = |span: Option<&Span>| span.map_or(0, |span| span.duration().as_secs());
    Reply::data(&json!({
        "creation_statements": role.creation_statements,
        "credential_config": {},
        "credential_type": "password",
        "db_name": site.connection(&engine),
        "default_ttl": seconds(role.default_ttl.as_ref()),
        "max_ttl": seconds(role.max_ttl.as_ref()),
        "renew_statements": role.renew_statements,
        "revocation_statements": role.revocation.statements,
        "rollback_statements": role.rollback_statements,
    }))
}

async fn write(
    app: &App,
    asked: &Asked,
    (caller, site, name): Reached<'_>,
) -> Result<Reply, Problem> {
    let place = site.place("roles", name)?;
    let what = (Permission::Write, Action::DynamicRoleWrite);
    let raised = manager(app, caller, what, &place).await?;
    let fields = asked.fields(app).await?;
    check_credential(&fields)?;
    let role = site.role(name)?;
    let engines = app.vault.engines_beginning(caller, &site.begin()).await?;
    let stored = app.vault.engines_with_role(engines.clone(), &role).await?;
    let engine = match fields.text("db_name")?.filter(|name| !name.is_empty()) {
        Some(connection) => {
            let engine = site.engine(&connection)?;
            let found = engines.into_iter().find(|found| found.name == engine);
            found.ok_or_else(|| {
                let config = format!("{}config/{connection}", site.mount.path);
                wrong(
                    "db_name",
                    &format!("is no connection: write {config} first"),
                )
            })?
        }
        None => match stored.first() {
            Some((engine, _)) => engine.clone(),
            None => return Err(wrong("db_name", "is needed: the name of a connection")),
        },
    };
    let before = stored.first().map(|(_, role)| role);
    let (draft, mut warnings) = draft(&fields, &engine, before)?;
    let at = (engine.name.as_str(), role.as_str());
    app.vault
        .role_write(&raised, at, RoleWrite::Put, draft)
        .await?;
    for (other, _) in stored.iter().filter(|(other, _)| other.id != engine.id) {
        forget(app, &raised, other, &role).await?;
    }
    if let Some(connection) = &engine.connection
        && !connection.allows(name)
    {
        warnings.push(format!(
            "{name:?} is not among allowed_roles of the connection: it makes no credentials until \
             it is"
        ));
    }
    warnings.extend(fields.unknown(&KNOWN));
    Ok(Reply::empty().warn(warnings))
}

/// Only passwords are made, in the one way there is.
pub(super) fn check_credential(fields: &Fields) -> Result<(), Problem> {
    let kind = fields.text("credential_type")?;
    if !matches!(kind.as_deref(), None | Some("" | "password")) {
        return Err(wrong(
            "credential_type",
            "is password: keys and certificates of accounts are not made here",
        ));
    }
    match fields.value("credential_config")? {
        None => Ok(()),
        Some(Value::Object(map)) if map.is_empty() => Ok(()),
        Some(Value::String(text)) if text.is_empty() => Ok(()),
        Some(_) => Err(wrong(
            "credential_config",
            "is not known here: passwords are made of 256 random bits",
        )),
    }
}

/// A role as it is to be. Written for another connection it has what it had at the one before.
fn draft(
    fields: &Fields,
    engine: &Engine,
    before: Option<&Role>,
) -> Result<(RoleDraft, Vec<String>), Problem> {
    let mut warnings = Vec::new();
    let is_here = before.is_some_and(|role| role.engine_id == engine.id);
    let elsewhere = before.filter(|_| !is_here);
    let texts = |name: &str, old: fn(&Role) -> &Vec<String>| -> Result<_, Problem> {
        let given = match engine.plugin.as_str() {
            "redis" => rules(fields, name)?,
            _ => statements(fields, name)?,
        };
        Ok(given.or_else(|| elsewhere.map(|role| old(role).clone())))
    };
    let ttl = |name: &str, usual: &Span, old: Option<Span>| -> Result<_, Problem> {
        match fields.seconds(name)? {
            None => Ok(old),
            // As the connection has it.
            Some(0) if is_here => Ok(Some(usual.clone())),
            Some(0) => Ok(None),
            Some(seconds) => span(seconds).map(Some),
        }
    };
    let mut rollback = texts("rollback_statements", |role| &role.rollback_statements)?;
    if engine.plugin == "postgresql" && rollback.as_ref().is_some_and(|texts| !texts.is_empty()) {
        warnings.push(
            "rollback_statements are not kept: a creation that fails is taken back as a whole"
                .to_owned(),
        );
        rollback = None;
    }
    let draft = RoleDraft {
        creation_statements: texts("creation_statements", |role| &role.creation_statements)?,
        rollback_statements: rollback,
        renew_statements: texts("renew_statements", |role| &role.renew_statements)?,
        revocation_statements: texts("revocation_statements", |role| &role.revocation.statements)?,
        owned: elsewhere.map(|role| role.revocation.owned),
        username_template: elsewhere.and_then(|role| role.username_template.clone()),
        settings: elsewhere.map(|role| role.settings.clone()),
        default_ttl: ttl(
            "default_ttl",
            &engine.default_ttl,
            elsewhere.and_then(|role| role.default_ttl.clone()),
        )?,
        max_ttl: ttl(
            "max_ttl",
            &engine.max_ttl,
            elsewhere.and_then(|role| role.max_ttl.clone()),
        )?,
    };
    Ok((draft, warnings))
}

/// Rules of Redis, where a list is one thing: a rule with spaces stays one rule.
fn rules(fields: &Fields, name: &str) -> Result<Option<Vec<String>>, Problem> {
    let texts = statements(fields, name)?;
    let list = |texts: Vec<String>| match texts.iter().any(|text| text.starts_with('(')) {
        true => vec![json!(texts).to_string()],
        false => texts,
    };
    Ok(texts.map(list))
}

async fn delete(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let place = site.place("roles", name)?;
    let what = (Permission::Delete, Action::DynamicRoleDelete);
    let raised = manager(app, caller, what, &place).await?;
    let role = site.role(name)?;
    for (engine, _) in found(app, caller, site, &role).await? {
        forget(app, &raised, &engine, &role).await?;
    }
    Ok(Reply::empty())
}

async fn forget(app: &App, caller: &Caller, engine: &Engine, role: &str) -> Result<(), Problem> {
    match app.vault.role_delete(caller, &engine.name, role).await {
        Ok(()) | Err(VaultError::NotFound(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn generate(
    app: &App,
    (caller, site, name): Reached<'_>,
) -> Result<Reply, Problem> {
    let role = site.role(name)?;
    let found = found(app, caller, site, &role).await?;
    // Whether there is such a role is told to those who may have its credentials.
    let engine = match found.into_iter().next() {
        Some((engine, _)) => engine.name,
        None => format!("{}any", site.begin()),
    };
    let request = CredentialRequest::default();
    let made = app
        .vault
        .credential_generate(caller, &engine, &role, &request);
    match made.await {
        Ok(made) => credential(app, site, name, &made),
        Err(VaultError::NotFound(_)) => Err(wrong("role", &format!("is unknown: {name:?}"))),
        Err(error) => Err(error.into()),
    }
}

fn credential(app: &App, site: &Site<'_>, name: &str, made: &Generated) -> Result<Reply, Problem> {
    let field = |field: &scaivault_core::ports::NewField| {
        let text = String::from_utf8_lossy(field.value.expose()).into_owned();
        (field.name.clone(), Value::from(text))
    };
    let data: Map<String, Value> = made.fields.iter().map(field).collect();
    let id = lease_id(site.mount, name, &made.lease);
    Ok(Reply::data(&data)?.leased(id, &made.lease, app.vault.now()))
}
