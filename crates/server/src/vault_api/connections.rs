//! `{mount}/config/…`, `reset/…` and `rotate-root/…`: connections, which are engines with the credential
//! that makes the others.

use std::time::Duration;

use axum::http::StatusCode;
use scaivault_api::ErrorCode;
use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Connection, Engine};
use scaivault_core::path::SecretPath;
use scaivault_core::rotation::{Phase, Rotation};
use scaivault_core::time::Span;
use scaivault_engine::{Caller, ConnectionWrite};
use serde_json::{Value, json};

use super::connection_fields::{Given, plugin_name};
use super::database::{Reached, Site, manager, seen};
use super::fields::wrong;
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;

/// How long leases live where nobody says: 32 days, as theirs.
const LEASE_S: u64 = 32 * 86_400;
/// How long a request waits for a rotation to have happened.
pub(super) const WAIT: Duration = Duration::from_secs(60);

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
    let names = engines.iter().map(|engine| site.connection(engine));
    seen(app, caller, &site.folder("config"), names.collect()).await
}

/// The engine of a connection.
pub(super) async fn found(
    app: &App,
    caller: &Caller,
    name: &str,
) -> Result<Option<Engine>, Problem> {
    let engines = app.vault.engines_beginning(caller, name).await?;
    Ok(engines.into_iter().find(|engine| engine.name == name))
}

async fn read(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let place = site.place("config", name)?;
    manager(app, caller, (Permission::Read, Action::List), &place).await?;
    let engine = found(app, caller, &site.engine(name)?).await?;
    let engine = engine.ok_or_else(not_found)?;
    let connection = engine.connection.clone().unwrap_or_else(|| Connection {
        // Whoever made it by our own API bounds it by policies alone.
        allowed_roles: vec!["*".to_owned()],
        ..Connection::default()
    });
    let mut details = connection.shown;
    let take = |details: &mut serde_json::Map<String, Value>, field: &str, usual: Value| {
        details.remove(field).unwrap_or(usual)
    };
    let plugin = plugin_name(&engine.plugin).into();
    let plugin = take(&mut details, "plugin_name", plugin);
    let version = take(&mut details, "plugin_version", "".into());
    let statements = take(&mut details, "root_rotation_statements", json!([]));
    if let Some(template) = connection.username_template {
        details.insert("username_template".to_owned(), template.into());
    }
    Reply::data(&json!({
        "allowed_roles": connection.allowed_roles,
        "connection_details": details,
        "password_policy": "",
        "plugin_name": plugin,
        "plugin_version": version,
        "root_credentials_rotate_statements": statements,
    }))
}

/// Where the credential of a connection is kept.
fn root(site: &Site<'_>, name: &str) -> Result<SecretPath, Problem> {
    site.place("root", name)
}

async fn write(
    app: &App,
    asked: &Asked,
    (caller, site, name): Reached<'_>,
) -> Result<Reply, Problem> {
    let place = site.place("config", name)?;
    let engine = site.engine(name)?;
    let action = Action::DynamicEngineCreate;
    manager(app, caller, (Permission::Write, action), &place).await?;
    let fields = asked.fields(app).await?;
    let stored = found(app, caller, &engine).await?;
    let given = Given::of(&fields, stored.as_ref())?;
    let write = ConnectionWrite {
        engine,
        place,
        root: root(site, name)?,
        plugin: given.plugin,
        settings: given.settings,
        username: given.username,
        password: given.password,
        connection: given.connection,
        ttls: ttls(site, stored.as_ref())?,
        verify: given.verify,
    };
    let _slot = app.target_slots.acquire().await;
    app.vault.connection_write(caller, &write).await?;
    Ok(Reply::empty().warn(given.warnings))
}

/// How long leases live: as the mount says, else as they did, else as theirs.
fn ttls(site: &Site<'_>, stored: Option<&Engine>) -> Result<(Span, Span), Problem> {
    let chosen = |seconds: u64, stored: Option<&Span>| match (seconds, stored) {
        (0, Some(stored)) => Ok(stored.clone()),
        (0, None) => span(LEASE_S),
        (seconds, _) => span(seconds),
    };
    let mount = site.mount;
    let most = chosen(mount.max_lease_s, stored.map(|engine| &engine.max_ttl))?;
    let usual = chosen(
        mount.default_lease_s,
        stored.map(|engine| &engine.default_ttl),
    )?;
    match usual.duration() > most.duration() {
        true => Ok((most.clone(), most)),
        false => Ok((usual, most)),
    }
}

/// So many seconds.
pub(super) fn span(seconds: u64) -> Result<Span, Problem> {
    Span::parse(&format!("{seconds}s")).map_err(|error| {
        let text = format!("{seconds} seconds: {error}");
        Problem::new(ErrorCode::InvalidDuration, text)
    })
}

async fn delete(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let (place, engine) = (site.place("config", name)?, site.engine(name)?);
    let action = Action::DynamicEngineDelete;
    manager(app, caller, (Permission::Delete, action), &place).await?;
    if let Some(role) = super::database_static::of_connection(app, (caller, site, name)).await? {
        return Err(wrong(
            "name",
            &format!("has static roles, {role:?} among them: delete them first"),
        ));
    }
    let root = root(site, name)?;
    app.vault
        .connection_delete(caller, &engine, &place, &root)
        .await?;
    Ok(Reply::empty())
}

/// `reset/{name}`: there is nothing that is kept open for long; the target is looked at once more.
pub(super) async fn reset(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let (place, engine) = (site.place("reset", name)?, site.engine(name)?);
    let _slot = app.target_slots.acquire().await;
    app.vault.connection_check(caller, &engine, &place).await?;
    Ok(Reply::empty())
}

pub(super) async fn rotate_root(
    app: &App,
    (caller, site, name): Reached<'_>,
) -> Result<Reply, Problem> {
    let (place, engine) = (site.place("rotate-root", name)?, site.engine(name)?);
    let what = (Permission::Write, Action::Rotate);
    let raised = manager(app, caller, what, &place).await?;
    rotate(app, &raised, Credential::Root(&engine)).await
}

/// What is rotated.
#[derive(Clone, Copy)]
pub(super) enum Credential<'a> {
    /// The root credential of an engine.
    Root(&'a str),
    /// A secret.
    Secret(&'a SecretPath),
}

/// Rotates, behind a rotation that is under way: asked for one more, ours would answer with that.
pub(super) async fn rotate(
    app: &App,
    caller: &Caller,
    of: Credential<'_>,
) -> Result<Reply, Problem> {
    let asked_at = app.vault.now();
    let end = tokio::time::Instant::now() + WAIT;
    loop {
        let slot = app.target_slots.acquire().await;
        let shown = match of {
            Credential::Root(engine) => app.vault.engine_rotate_root(caller, engine, None).await?,
            Credential::Secret(path) => app.vault.secret_rotate(caller, path).await?,
        };
        drop(slot);
        if shown.opened_at >= asked_at || shown.phase == Phase::Parked {
            return rotated(app, caller, shown).await;
        }
        over(app, caller, shown, end).await?;
    }
}

/// Waits until a rotation has ended.
pub(super) async fn over(
    app: &App,
    caller: &Caller,
    mut shown: Rotation,
    end: tokio::time::Instant,
) -> Result<(), Problem> {
    while !shown.phase.is_final() {
        if tokio::time::Instant::now() >= end {
            let text = format!(
                "the rotation {} of before has not ended: its old credential is still accepted. \
                 Follow it at /v1/rotations/{}, and try again",
                shown.id, shown.id
            );
            return Err(Problem::new(ErrorCode::InvalidRequest, text));
        }
        let give_up = tokio::time::sleep_until(end);
        app.vault
            .rotation_changed(&shown, shown.revision, give_up)
            .await?;
        shown = app.vault.rotation_details(caller, &shown.id).await?;
    }
    Ok(())
}

/// Waits until a rotation's new credential is the one that is used, which is when it has happened for
/// a client of this API. That the old one is gone takes as long as its rules say.
pub(super) async fn rotated(
    app: &App,
    caller: &Caller,
    rotation: Rotation,
) -> Result<Reply, Problem> {
    let mut shown = rotation;
    let end = tokio::time::Instant::now() + WAIT;
    loop {
        let of = format!("rotation {} of {}", shown.id, shown.path);
        match shown.phase {
            Phase::Propagating | Phase::Draining | Phase::Revoking | Phase::Completed => {
                return Ok(Reply::empty());
            }
            Phase::RollingBack | Phase::RolledBack | Phase::Parked => {
                let why = shown.trouble.as_ref().map(|trouble| trouble.kind.advice());
                let text = format!(
                    "the credential is as it was: the {of} did not succeed: {}",
                    why.unwrap_or("see /v1/rotations for the reason")
                );
                return Err(Problem::new(ErrorCode::InvalidRequest, text));
            }
            Phase::Generating | Phase::Applying | Phase::Verifying => {}
        }
        if tokio::time::Instant::now() >= end {
            let text = format!("the {of} goes on: follow it at /v1/rotations/{}", shown.id);
            return Ok(Reply::empty().status(StatusCode::ACCEPTED).warn(vec![text]));
        }
        let give_up = tokio::time::sleep_until(end);
        app.vault
            .rotation_changed(&shown, shown.revision, give_up)
            .await?;
        shown = app.vault.rotation_details(caller, &shown.id).await?;
    }
}
