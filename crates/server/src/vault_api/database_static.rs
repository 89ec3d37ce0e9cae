//! `{mount}/static-roles/…`, `static-creds/…` and `rotate-role/…`: accounts that are there, whose
//! passwords the orchestrator changes. The credential of one is the secret at the place of its
//! `static-creds`.

use scaivault_api::ErrorCode;
use scaivault_core::access::Permission;
use scaivault_core::acl::unescape;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::is_usual_rotation;
use scaivault_engine::{StaticRole, StaticRoleWrite, StaticSchedule, VaultError};
use serde_json::{Map, Value, json};

use super::connections::{Credential, WAIT, found, over, rotate, rotated, span};
use super::database::{Reached, Site, manager, seen};
use super::database_roles::check_credential;
use super::fields::{Fields, wrong};
use super::kv2::{counted, raw};
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::statements::statements;
use crate::app::App;
use crate::problem::Problem;

/// The shortest time between two rotations there are.
const PERIOD_MIN_S: u64 = 5;
/// Fields that are heeded.
const KNOWN: [&str; 14] = [
    "name",
    "username",
    "db_name",
    "rotation_period",
    "rotation_schedule",
    "rotation_window",
    "rotation_statements",
    "credential_type",
    "credential_config",
    "password",
    "self_managed_password",
    "password_wo",
    "skip_import_rotation",
    "disable_automated_rotation",
];
/// What would be something else without it.
const REFUSED: [(&str, &str); 6] = [
    (
        "rotation_window",
        "is not known here: change the windows of its rotation policy",
    ),
    (
        "self_managed_password",
        "is not needed: the connection's account changes the password",
    ),
    (
        "password_wo",
        "is not needed: the password is changed when the role is made",
    ),
    (
        "password",
        "is not needed: it is changed when the role is made",
    ),
    (
        "skip_import_rotation",
        "is not done here: the password is changed when the role is made, for nobody else is to know \
         it",
    ),
    (
        "disable_automated_rotation",
        "is not known here: deactivate its rotation policy",
    ),
];

pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    reached: Reached<'_>,
) -> Result<Reply, Problem> {
    match (asked.verb, reached.2.is_empty()) {
        (Verb::List, true) => list(app, reached).await,
        (Verb::Read, false) => show(app, reached).await,
        (Verb::Write, false) => write(app, asked, reached).await,
        (Verb::Delete, false) => delete(app, reached).await,
        _ => Err(unsupported()),
    }
}

/// One of the static roles of a connection.
pub(super) async fn of_connection(
    app: &App,
    (caller, site, name): Reached<'_>,
) -> Result<Option<String>, Problem> {
    let Some(engine) = found(app, caller, &site.engine(name)?).await? else {
        return Ok(None);
    };
    let folder = site.folder("static-creds");
    let all = app.vault.static_roles_of(&engine, &folder).await?;
    Ok(all.first().map(|row| name_of(row.path.as_str())))
}

fn name_of(path: &str) -> String {
    unescape(path.rsplit('/').next().unwrap_or(path))
}

async fn list(app: &App, (caller, site, _): Reached<'_>) -> Result<Reply, Problem> {
    let folder = site.folder("static-creds");
    let mut names = Vec::new();
    for engine in app.vault.engines_beginning(caller, &site.begin()).await? {
        let all = app.vault.static_roles_of(&engine, &folder).await?;
        names.extend(all.iter().map(|row| name_of(row.path.as_str())));
    }
    seen(app, caller, &site.folder("static-roles"), names).await
}

/// When it rotates, as it was said.
fn schedule(role: &StaticRole) -> (&'static str, Value) {
    match &role.policy.calendar.cron {
        Some(pattern) => ("rotation_schedule", pattern.as_str().into()),
        None => (
            "rotation_period",
            role.policy.interval.duration().as_secs().into(),
        ),
    }
}

async fn show(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let place = site.place("static-roles", name)?;
    manager(app, caller, (Permission::Read, Action::List), &place).await?;
    let role = role(app, (caller, site, name)).await?;
    let engines = app.vault.engines_beginning(caller, &site.begin()).await?;
    let attached = role.assignment.attached.as_ref();
    let at = attached.map(|at| &at.target_id);
    let engine = engines
        .iter()
        .find(|engine| engine.target_id.as_ref() == at);
    let mut data = json!({
        "credential_type": "password",
        "db_name": engine.map(|engine| site.connection(engine)),
        "last_vault_rotation": role.assignment.last_rotated_at.map(|at| at.to_rfc3339()),
        "rotation_statements": [],
        "username": role.username,
    });
    let (field, value) = schedule(&role);
    data[field] = value;
    Reply::data(&data)
}

async fn role(app: &App, (caller, site, name): Reached<'_>) -> Result<StaticRole, Problem> {
    let path = site.place("static-creds", name)?;
    let found = app.vault.static_role_find(caller, &path).await?;
    found.ok_or_else(not_found)
}

async fn write(
    app: &App,
    asked: &Asked,
    (caller, site, name): Reached<'_>,
) -> Result<Reply, Problem> {
    let place = site.place("static-roles", name)?;
    let what = (Permission::Write, Action::RotationAssign);
    let raised = manager(app, caller, what, &place).await?;
    let fields = asked.fields(app).await?;
    check_credential(&fields)?;
    for (field, why) in REFUSED {
        if !matches!(
            fields.text(field)?.as_deref(),
            None | Some("" | "0" | "false")
        ) {
            return Err(wrong(field, why));
        }
    }
    let texts = statements(&fields, "rotation_statements")?.unwrap_or_default();
    if !texts.iter().all(|text| is_usual_rotation(text)) {
        return Err(wrong(
            "rotation_statements",
            "are not run here: the password is changed by the connector, tried, and put back when \
             it is not let in. Leave them out",
        ));
    }
    let engine = match fields.text("db_name")?.filter(|text| !text.is_empty()) {
        None => None,
        Some(connection) => {
            let engine = found(app, caller, &site.engine(&connection)?).await?;
            let config = format!("{}config/{connection}", site.mount.path);
            let none = || {
                wrong(
                    "db_name",
                    &format!("is no connection: write {config} first"),
                )
            };
            Some(engine.ok_or_else(none)?)
        }
    };
    if let Some(connection) = engine
        .as_ref()
        .and_then(|engine| engine.connection.as_ref())
        && !connection.allows(name)
    {
        let why = format!("{name:?} is not an allowed role: see allowed_roles of its connection");
        return Err(wrong("name", &why));
    }
    let write = StaticRoleWrite {
        place,
        path: site.place("static-creds", name)?,
        policy: policy(site, name),
        engine,
        username: fields.text("username")?.filter(|text| !text.is_empty()),
        schedule: scheduled(&fields)?,
    };
    let slot = app.target_slots.acquire().await;
    let rotation = app.vault.static_role_write(caller, &write).await?;
    drop(slot);
    let reply = match rotation {
        None => Reply::empty(),
        Some(rotation) => match rotated(app, &raised, rotation).await {
            Ok(reply) => reply,
            Err(problem) => {
                // A role without a password is none. What cannot be forgotten yet goes on, and says
                // why when the role is written again.
                let forgotten = app
                    .vault
                    .static_role_delete(&raised, &write.place, &write.path);
                if let Err(error) = forgotten.await {
                    tracing::warn!(%error, "a static role without a password stays");
                }
                return Err(problem);
            }
        },
    };
    Ok(reply.warn(fields.unknown(&KNOWN)))
}

/// What the rotation policy of a static role is called.
fn policy(site: &Site<'_>, name: &str) -> String {
    format!("static {}{name}", site.mount.path)
}

fn scheduled(fields: &Fields) -> Result<Option<StaticSchedule>, Problem> {
    let period = fields
        .seconds("rotation_period")?
        .filter(|period| *period > 0);
    let cron = fields.text("rotation_schedule")?;
    match (period, cron.filter(|text| !text.is_empty())) {
        (Some(_), Some(_)) => Err(wrong(
            "rotation_schedule",
            "is given in place of rotation_period",
        )),
        (Some(period), None) if period < PERIOD_MIN_S => {
            Err(wrong("rotation_period", "is 5 seconds at least"))
        }
        (Some(period), None) => Ok(Some(StaticSchedule::Every(span(period)?))),
        (None, Some(pattern)) => Ok(Some(StaticSchedule::Cron(pattern))),
        (None, None) => Ok(None),
    }
}

async fn delete(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let place = site.place("static-roles", name)?;
    let path = site.place("static-creds", name)?;
    let what = (Permission::Delete, Action::RotationUnassign);
    let raised = manager(app, caller, what, &place).await?;
    let end = tokio::time::Instant::now() + WAIT;
    loop {
        match app.vault.static_role_delete(&raised, &place, &path).await {
            Ok(()) => return Ok(Reply::empty()),
            // Its old password is about to be refused.
            Err(VaultError::RotationUnfinished(id)) => {
                let rotation = app.vault.rotation_details(&raised, &id).await?;
                over(app, &raised, rotation, end).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

pub(super) async fn read(app: &App, (caller, site, name): Reached<'_>) -> Result<Reply, Problem> {
    let path = site.place("static-creds", name)?;
    let what = (Permission::Read, Action::Read);
    let raised = manager(app, caller, what, &path).await?;
    let unknown = || wrong("role", &format!("is unknown: {name:?}"));
    let role = app.vault.static_role_find(caller, &path).await?;
    let role = role.ok_or_else(unknown)?;
    let secret = match app.vault.secret_read(&raised, &path, None).await {
        Ok(secret) => secret,
        Err(VaultError::NotFound(_)) => {
            return Err(Problem::new(
                ErrorCode::InvalidRequest,
                "its first password is not made yet: write the static role once more, which says why",
            ));
        }
        Err(error) => return Err(error.into()),
    };
    counted(app, caller, &secret);
    let value: Map<String, Value> = serde_json::from_str(raw(&secret)?.get())
        .map_err(|_| Problem::new(ErrorCode::InternalError, "the credential cannot be read"))?;
    let rotated = role.assignment.last_rotated_at;
    let next = role.assignment.next_rotation_at;
    let mut data = json!({
        "last_vault_rotation": rotated.unwrap_or(role.assignment.assigned_at).to_rfc3339(),
        "password": value.get("password"),
        "ttl": next.since(app.vault.now()).as_secs(),
        "username": role.username,
    });
    let (field, value) = schedule(&role);
    data[field] = value;
    Reply::data(&data)
}

pub(super) async fn rotate_role(
    app: &App,
    (caller, site, name): Reached<'_>,
) -> Result<Reply, Problem> {
    let (place, path) = (
        site.place("rotate-role", name)?,
        site.place("static-creds", name)?,
    );
    let what = (Permission::Write, Action::Rotate);
    let raised = manager(app, caller, what, &place).await?;
    role(app, (caller, site, name)).await?;
    rotate(app, &raised, Credential::Secret(&path)).await
}
