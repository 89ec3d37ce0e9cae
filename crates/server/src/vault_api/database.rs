//! `{mount}/…` of a mount of databases: which engine a connection is, where policies decide about it, and
//! who answers. Connections are in [`super::connections`], roles and what they make in
//! [`super::database_roles`].

use scaivault_api::ErrorCode;
use scaivault_core::access::Permission;
use scaivault_core::acl::{escape, mount_word, unescape};
use scaivault_core::audit::Action;
use scaivault_core::dynamic::Engine;
use scaivault_core::mount::Mount;
use scaivault_core::path::SecretPath;
use scaivault_engine::Caller;
use serde_json::json;

use super::fields::wrong;
use super::reply::{Reply, not_found};
use super::request::{Asked, Verb, unsupported};
use super::{connections, database_roles, database_static};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// Names of engines end there.
const NAME_CHARS_MAX: usize = 64;

/// A mount of databases.
pub(super) struct Site<'a> {
    pub(super) mount: &'a Mount,
    /// The mount among our paths.
    word: String,
}

impl<'a> Site<'a> {
    pub(super) fn of(mount: &'a Mount) -> Self {
        Self {
            mount,
            word: mount_word(&mount.path),
        }
    }

    /// What the names of its engines begin with.
    pub(super) fn begin(&self) -> String {
        format!("{}-", self.word)
    }

    /// The engine that stands for a connection.
    pub(super) fn engine(&self, connection: &str) -> Result<String, Problem> {
        let name = format!("{}{}", self.begin(), escape(connection, false));
        match !connection.is_empty() && !connection.contains('/') && name.len() <= NAME_CHARS_MAX {
            true => Ok(name),
            false => Err(Problem::new(
                ErrorCode::InvalidRequest,
                format!(
                    "a connection has a name without '/', such that '{}' and the name (each \
                     character but a-z 0-9 - _ counts four times) have at most {NAME_CHARS_MAX} \
                     characters",
                    self.begin()
                ),
            )),
        }
    }

    /// The connection that an engine stands for.
    pub(super) fn connection(&self, engine: &Engine) -> String {
        let name = engine.name.strip_prefix(&self.begin());
        unescape(name.unwrap_or(&engine.name))
    }

    /// A role's name among ours.
    pub(super) fn role(&self, name: &str) -> Result<String, Problem> {
        let role = escape(name, true);
        match !name.is_empty() && !name.contains('/') && role.len() <= NAME_CHARS_MAX {
            true => Ok(role),
            false => Err(wrong(
                "name",
                "has no '/', and at most 64 characters (each but a-z 0-9 - _ counts four times)",
            )),
        }
    }

    /// Where policies decide about something of this name.
    pub(super) fn place(&self, section: &str, name: &str) -> Result<SecretPath, Problem> {
        let path = format!("{}/{}", self.folder(section), escape(name, true));
        SecretPath::parse(&path).map_err(|_| wrong("name", "is not one that is possible here"))
    }

    /// The folder of such places.
    pub(super) fn folder(&self, section: &str) -> String {
        format!("dynamic/{}/{section}", self.word)
    }
}

/// Decides, before a body is read.
pub(super) async fn manager(
    app: &App,
    caller: &Caller,
    (permission, action): (Permission, Action),
    place: &SecretPath,
) -> Result<Caller, Problem> {
    let decided = app.vault.dynamic_manager(caller, permission, place, action);
    Ok(decided.await?)
}

/// The answer to a list: what the caller may see of these names.
pub(super) async fn seen(
    app: &App,
    caller: &Caller,
    folder: &str,
    names: Vec<String>,
) -> Result<Reply, Problem> {
    let mut keys = app.vault.dynamic_seen(caller, folder, names).await?;
    keys.sort();
    keys.dedup();
    match keys.is_empty() {
        true => Err(not_found()),
        false => Reply::data(&json!({ "keys": keys })),
    }
}

pub(super) async fn answer(
    app: &App,
    asked: &Asked,
    mount: &Mount,
    rest: &str,
) -> Result<Reply, Problem> {
    let site = Site::of(mount);
    let (section, name) = rest.split_once('/').unwrap_or((rest, ""));
    let name = name.trim_end_matches('/');
    let caller = asked.enter(app, asked.category()).await?;
    let category = match section {
        "creds" | "static-creds" => Category::DynamicGenerate,
        _ => Category::DynamicAdmin,
    };
    // What it costs is known only here.
    asked.call.spend(app, &caller, category, 1)?;
    let reached = (&caller, &site, name);
    match (section, asked.verb, name.is_empty()) {
        ("config", _, _) => connections::answer(app, asked, reached).await,
        ("reset", Verb::Write, false) => connections::reset(app, reached).await,
        ("rotate-root", Verb::Write, false) => connections::rotate_root(app, reached).await,
        ("roles", _, _) => database_roles::answer(app, asked, reached).await,
        ("creds", Verb::Read, false) => database_roles::generate(app, reached).await,
        ("static-roles", _, _) => database_static::answer(app, asked, reached).await,
        ("static-creds", Verb::Read, false) => database_static::read(app, reached).await,
        ("rotate-role", Verb::Write, false) => database_static::rotate_role(app, reached).await,
        ("reset" | "rotate-root" | "creds" | "static-creds" | "rotate-role", _, false) => {
            Err(unsupported())
        }
        _ => super::reply::nothing_there(app, asked).await,
    }
}

/// Who asks, at which mount, for what.
pub(super) type Reached<'a> = (&'a Caller, &'a Site<'a>, &'a str);
