//! `sys/leases/…`, and the older `sys/renew`, `sys/revoke`, `sys/revoke-prefix`, `sys/revoke-force`. A
//! lease is called `{mount}/creds/{role}/{our id}` there.
//!
//! One's own lease is one's own. About those of others policies decide at the place of its name below
//! `dynamic/leases/…`, which stand for `sys/leases/lookup/…` and `sys/leases/revoke-prefix/…`.

use std::time::Duration;

use scaivault_api::ErrorCode;
use scaivault_core::access::Permission;
use scaivault_core::acl::{escape, unescape};
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{Engine, Lease, LeaseState};
use scaivault_core::ids::LeaseId;
use scaivault_core::mount::{Mount, MountKind, Mounts};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::LeaseFilter;
use scaivault_engine::{Caller, VaultError};
use serde_json::json;

use super::connections::span;
use super::database::{Site, manager, seen};
use super::fields::wrong;
use super::reply::{Reply, nothing_there, seconds_left};
use super::request::{Asked, Verb, unsupported};
use crate::app::App;
use crate::problem::Problem;
use crate::rate_limit::Category;

/// How long a request waits for accounts to be gone, where it asks for that.
const WAIT: Duration = Duration::from_secs(30);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// Leases counted at most.
const COUNT_MAX: usize = 10_000;

/// What a lease is called there.
pub(super) fn lease_id(mount: &Mount, role: &str, lease: &Lease) -> String {
    format!("{}creds/{role}/{}", mount.path, lease.id)
}

/// `rest` is what stands behind `sys/leases/`, or behind `sys/` for the older ones.
pub(super) async fn answer(app: &App, asked: &Asked, rest: &str) -> Result<Reply, Problem> {
    let (what, named) = rest.split_once('/').unwrap_or((rest, ""));
    let named = named.trim_end_matches('/');
    let caller = asked.enter(app, Category::Lease).await?;
    match (what, asked.verb) {
        ("lookup", Verb::Write) if named.is_empty() => lookup(app, asked, &caller).await,
        ("lookup", Verb::List) => list(app, &caller, named).await,
        ("renew", Verb::Write) => renew(app, asked, &caller, named).await,
        ("revoke", Verb::Write) => revoke(app, asked, &caller, named).await,
        ("revoke-prefix", Verb::Write) => all_below(app, asked, &caller, named, false).await,
        ("revoke-force", Verb::Write) => all_below(app, asked, &caller, named, true).await,
        ("count", Verb::Read) => count(app, asked, &caller).await,
        ("tidy", Verb::Write) => Ok(Reply::empty().warn(vec![
            "there is nothing to tidy: leases and what they stand for are compared all the time"
                .to_owned(),
        ])),
        (
            "lookup" | "renew" | "revoke" | "revoke-prefix" | "revoke-force" | "count" | "tidy",
            _,
        ) => Err(unsupported()),
        _ => nothing_there(app, asked).await,
    }
}

fn invalid() -> Problem {
    Problem::new(ErrorCode::InvalidRequest, "invalid lease")
}

/// A lease, and who the caller is for what is done with it.
struct Found {
    lease: Lease,
    caller: Caller,
}

/// The lease that is called so: the caller's own, or one that a policy lets it have to do with.
async fn found(
    app: &App,
    caller: &Caller,
    name: &str,
    what: (Permission, Action, &str),
) -> Result<Found, Problem> {
    let mounts = app.vault.mounts(caller).await?;
    let Some((mount, rest)) = mounts.of(name).filter(|(mount, _)| is_database(mount)) else {
        return Err(invalid());
    };
    let rest = rest.strip_prefix("creds/");
    let Some((role, id)) = rest.and_then(|rest| rest.rsplit_once('/')) else {
        return Err(invalid());
    };
    let id = LeaseId::parse(id).map_err(|_| invalid())?;
    let (permission, action, section) = what;
    let own = app.vault.lease_show(caller, &id).await;
    let (lease, caller) = match own {
        Ok(lease) => (lease, caller.clone()),
        Err(VaultError::NotFound(_) | VaultError::Scope(_)) => {
            let place = place(section, name)?;
            let decided = manager(app, caller, (permission, action), &place).await;
            let caller = match (decided, own) {
                (Ok(caller), _) => caller,
                // Who has leases learns nothing of those of others.
                (Err(_), Err(VaultError::NotFound(_))) => return Err(invalid()),
                (Err(denied), _) => return Err(denied),
            };
            match app.vault.lease_show(&caller, &id).await {
                Ok(lease) => (lease, caller),
                Err(VaultError::NotFound(_)) => return Err(invalid()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    // It is what it is called.
    let engines = app
        .vault
        .engines_beginning(&caller, &Site::of(mount).begin())
        .await?;
    let is_here = engines.iter().any(|engine| engine.id == lease.engine_id);
    match is_here && lease.role == escape(role, true) {
        true => Ok(Found { lease, caller }),
        false => Err(invalid()),
    }
}

fn is_database(mount: &Mount) -> bool {
    mount.kind == MountKind::Database
}

/// Where policies decide about leases of this name, and of those below it.
fn place(section: &str, name: &str) -> Result<SecretPath, Problem> {
    let text = match name.is_empty() {
        true => format!("dynamic/leases/{section}"),
        false => format!(
            "{}/{}",
            folder(section, parent(name)),
            escape(last(name), true)
        ),
    };
    SecretPath::parse(&text).map_err(|_| invalid())
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn folder(section: &str, name: &str) -> String {
    let mut path = format!("dynamic/leases/{section}");
    for segment in name.split('/').filter(|segment| !segment.is_empty()) {
        path.push('/');
        path.push_str(&escape(segment, false));
    }
    path
}

async fn named(
    asked: &Asked,
    app: &App,
    named: &str,
) -> Result<(super::fields::Fields, String), Problem> {
    let fields = asked.fields(app).await?;
    let name = match named.is_empty() {
        true => fields.needed("lease_id")?,
        false => named.to_owned(),
    };
    Ok((fields, name.trim_matches('/').to_owned()))
}

async fn lookup(app: &App, asked: &Asked, caller: &Caller) -> Result<Reply, Problem> {
    let (_, name) = named(asked, app, "").await?;
    let what = (Permission::List, Action::List, "lookup");
    let found = found(app, caller, &name, what).await?;
    let lease = found.lease;
    if lease.state != LeaseState::Active {
        return Err(invalid());
    }
    let now = app.vault.now();
    Reply::data(&json!({
        "expire_time": lease.expires_at.to_rfc3339(),
        "id": name,
        "issue_time": lease.issued_at.to_rfc3339(),
        "last_renewal": lease.renewed_at.map(|at| at.to_rfc3339()),
        "renewable": lease.expires_at < lease.expires_at_latest,
        "ttl": seconds_left(&lease, now),
    }))
}

async fn renew(app: &App, asked: &Asked, caller: &Caller, path: &str) -> Result<Reply, Problem> {
    let (fields, name) = named(asked, app, path).await?;
    let increment = match fields.seconds("increment")? {
        None | Some(0) => None,
        Some(seconds) => Some(span(seconds)?),
    };
    let what = (Permission::Write, Action::DynamicRenew, "renew");
    let found = found(app, caller, &name, what).await?;
    let renewed = app
        .vault
        .lease_renew(&found.caller, &found.lease.id, increment.as_ref());
    match renewed.await {
        Ok(lease) => Ok(Reply::data(&())?.leased(name, &lease, app.vault.now())),
        Err(VaultError::NotFound(_)) => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "the lease cannot be renewed: its role or its connection is gone",
        )),
        Err(error) => Err(error.into()),
    }
}

async fn revoke(app: &App, asked: &Asked, caller: &Caller, path: &str) -> Result<Reply, Problem> {
    let (fields, name) = named(asked, app, path).await?;
    let sync = fields.flag("sync")?.unwrap_or(false);
    let what = (Permission::Write, Action::DynamicRevoke, "revoke-prefix");
    let found = found(app, caller, &name, what).await?;
    let lease = app
        .vault
        .lease_revoke(&found.caller, &found.lease.id)
        .await?;
    match sync {
        true => ended(app, &found.caller, vec![lease.id]).await,
        false => Ok(Reply::empty()),
    }
}

/// Waits until these have ended.
async fn ended(app: &App, caller: &Caller, mut left: Vec<LeaseId>) -> Result<Reply, Problem> {
    let end = tokio::time::Instant::now() + WAIT;
    while let Some(id) = left.last() {
        let gone = match app.vault.lease_show(caller, id).await {
            Ok(lease) => lease.state == LeaseState::Revoked,
            Err(VaultError::NotFound(_)) => true,
            Err(error) => return Err(error.into()),
        };
        if gone {
            left.pop();
        } else if tokio::time::Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        } else {
            return Err(Problem::new(
                ErrorCode::ServiceUnavailable,
                format!(
                    "the leases end, but {} of their accounts could not be removed yet: that is \
                     tried for ever, see /v1/dynamic/leases?failing=true",
                    left.len()
                ),
            ));
        }
    }
    Ok(Reply::empty())
}

/// What a prefix of lease ids stands for at one mount: a role, all of them, or one lease.
enum Reach<'a> {
    All,
    Role(&'a str),
    One,
}

fn reach<'a>(mount: &Mount, prefix: &'a str) -> Option<Reach<'a>> {
    let slashed = mount.path.as_str();
    if prefix.is_empty() || slashed.starts_with(&format!("{prefix}/")) {
        return Some(Reach::All);
    }
    let mut segments = prefix.strip_prefix(slashed)?.split('/');
    match (
        segments.next(),
        segments.next(),
        segments.next(),
        segments.next(),
    ) {
        (Some("creds"), None, _, _) => Some(Reach::All),
        (Some("creds"), Some(role), None, _) => Some(Reach::Role(role)),
        (Some("creds"), Some(_), Some(_), None) => Some(Reach::One),
        _ => None,
    }
}

async fn all_below(
    app: &App,
    asked: &Asked,
    caller: &Caller,
    prefix: &str,
    force: bool,
) -> Result<Reply, Problem> {
    if prefix.is_empty() {
        return Err(wrong("prefix", "is needed"));
    }
    let what = match force {
        true => "revoke-force",
        false => "revoke-prefix",
    };
    let what = (Permission::Write, Action::DynamicRevoke, what);
    let raised = manager(app, caller, (what.0, what.1), &place(what.2, prefix)?).await?;
    let fields = asked.fields(app).await?;
    let sync = fields.flag("sync")?.unwrap_or(false);
    let mounts = app.vault.mounts(caller).await?;
    let mut left = Vec::new();
    for mount in mounts.iter().filter(|mount| is_database(mount)) {
        let role = match reach(mount, prefix) {
            None => continue,
            Some(Reach::One) => {
                let found = found(app, &raised, prefix, what).await?;
                app.vault.lease_revoke(&raised, &found.lease.id).await?;
                left.push(found.lease.id);
                continue;
            }
            Some(Reach::All) => None,
            Some(Reach::Role(role)) => Some(escape(role, true)),
        };
        let site = Site::of(mount);
        for engine in app.vault.engines_beginning(&raised, &site.begin()).await? {
            if sync {
                left.extend(ids(app, &engine, role.as_deref()).await?);
            }
            app.vault
                .leases_revoke_all(&raised, &engine.name, role.as_deref())
                .await?;
        }
    }
    let reply = match sync {
        true => ended(app, &raised, left).await?,
        false => Reply::empty(),
    };
    let kept = "an account that cannot be removed is not forgotten here: it is tried for ever, and \
                shown until it is gone";
    Ok(match force {
        true => reply.warn(vec![kept.to_owned()]),
        false => reply,
    })
}

async fn ids(app: &App, engine: &Engine, role: Option<&str>) -> Result<Vec<LeaseId>, Problem> {
    let leases = app.vault.leases_of_engine(engine, role).await?;
    Ok(leases.into_iter().map(|lease| lease.id).collect())
}

/// `LIST sys/leases/lookup/{prefix}`: the names one level below.
async fn list(app: &App, caller: &Caller, prefix: &str) -> Result<Reply, Problem> {
    let mounts = app.vault.mounts(caller).await?;
    let names = match (prefix, mounts.of(&format!("{prefix}/"))) {
        ("", _) => above(&mounts, ""),
        (_, Some((mount, rest))) if is_database(mount) => {
            let engines = app
                .vault
                .engines_beginning(caller, &Site::of(mount).begin())
                .await?;
            below(app, &engines, rest.trim_end_matches('/')).await?
        }
        _ => above(&mounts, &format!("{prefix}/")),
    };
    seen(app, caller, &folder("lookup", prefix), names).await
}

/// The next segments of mounts below a path.
fn above(mounts: &Mounts, prefix: &str) -> Vec<String> {
    let all = mounts.iter().filter(|mount| is_database(mount));
    let rest = all.filter_map(|mount| mount.path.strip_prefix(prefix));
    rest.filter_map(|rest| rest.split_once('/'))
        .map(|(next, _)| format!("{next}/"))
        .collect()
}

async fn below(app: &App, engines: &[Engine], rest: &str) -> Result<Vec<String>, Problem> {
    let role = match rest {
        "" => return Ok(vec!["creds/".to_owned()]),
        "creds" => None,
        rest => match rest.strip_prefix("creds/") {
            Some(role) if !role.contains('/') => Some(role),
            _ => return Ok(Vec::new()),
        },
    };
    let ours = role.map(|role| escape(role, true));
    let mut names = Vec::new();
    for engine in engines {
        for lease in app.vault.leases_of_engine(engine, ours.as_deref()).await? {
            names.push(match role {
                None => format!("{}/", unescape(&lease.role)),
                Some(_) => lease.id.to_string(),
            });
        }
    }
    // What was found at a target without a lease is of no role.
    names.retain(|name| name != "/");
    Ok(names)
}

/// `sys/leases/count`: those whose accounts could not be removed, as theirs are that cannot be revoked.
async fn count(app: &App, asked: &Asked, caller: &Caller) -> Result<Reply, Problem> {
    if asked.query.text("type") != Some("irrevocable") {
        return Err(wrong("type", "is irrevocable: others are not counted"));
    }
    // Who may not see all is refused, rather than told of its own alone.
    app.vault.engine_list(caller, None, 1).await?;
    let filter = LeaseFilter {
        failing: true,
        ..LeaseFilter::default()
    };
    let leases = app
        .vault
        .lease_list(caller, &filter, None, COUNT_MAX)
        .await?;
    let mounts = app.vault.mounts(caller).await?;
    let mut counts = serde_json::Map::new();
    for mount in mounts.iter().filter(|mount| is_database(mount)) {
        let site = Site::of(mount);
        let engines = app.vault.engines_beginning(caller, &site.begin()).await?;
        let of = |lease: &&Lease| engines.iter().any(|engine| engine.id == lease.engine_id);
        let number = leases.iter().filter(of).count();
        if number > 0 {
            counts.insert(mount.accessor.clone(), number.into());
        }
    }
    Reply::data(&json!({ "lease_count": leases.len(), "counts": counts }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaivault_core::ids::TenantId;

    #[test]
    fn what_a_prefix_reaches() {
        let mount = Mount {
            path: "team/db/".to_owned(),
            kind: MountKind::Database,
            ..Mount::default_of(&TenantId::parse("tnt_a").unwrap())
        };
        let told = |prefix: &str| match reach(&mount, prefix) {
            None => "nothing".to_owned(),
            Some(Reach::All) => "all".to_owned(),
            Some(Reach::Role(role)) => role.to_owned(),
            Some(Reach::One) => "one".to_owned(),
        };
        for (prefix, expect) in [
            ("team", "all"),
            ("team/db", "all"),
            ("team/db/creds", "all"),
            ("team/db/creds/r", "r"),
            ("team/db/creds/r/lse_1", "one"),
            ("team/db/creds/r/lse_1/x", "nothing"),
            ("team/d", "nothing"),
            ("tea", "nothing"),
            ("team/db/roles", "nothing"),
            ("team/dbs", "nothing"),
        ] {
            assert_eq!(told(prefix), expect, "{prefix}");
        }
    }
}
