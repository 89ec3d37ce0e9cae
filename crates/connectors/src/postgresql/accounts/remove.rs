//! Removing accounts: shut out, end their sessions, drop. Each step is taken for all of them
//! together, and for each by itself where together it fails: one that is in the way of its own
//! removal is not in the way of the others'.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scaivault_core::dynamic::{Owned, Placeholders};
use scaivault_core::ports::{AccountCall, Effect, OldAccount};
use scaivault_core::target::{Trouble, TroubleKind};

use super::super::session::Session;
use super::super::settings::Settings;
use super::super::transaction::not_applied;
use super::super::{Postgresql, manager, sql, trouble};
use super::create::{failed, send, transaction};
use super::look::{self, There};
use super::{pool, statements};
use crate::pool::leaves_no_trace;

/// How often sessions are told to end before it is left to a later call.
const ROUNDS: u32 = 60;
const PAUSE: Duration = Duration::from_millis(50);

type Outcomes<'a> = BTreeMap<&'a str, Effect>;

/// Removes them.
pub(super) async fn remove(
    at: &Postgresql,
    call: &AccountCall<'_>,
    accounts: &[OldAccount<'_>],
) -> Vec<Effect> {
    let mut outcomes = Outcomes::new();
    let worked = work(at, call, accounts, &mut outcomes).await;
    let left = match worked {
        Ok(()) => Effect::applied(),
        Err(trouble) => not_applied(trouble),
    };
    accounts
        .iter()
        .map(|account| match (outcomes.remove(account.name), &left) {
            (Some(effect), _) => effect,
            (None, Effect::NotApplied(trouble)) => not_applied(trouble.clone()),
            // One that is named twice.
            (None, _) => Effect::applied(),
        })
        .collect()
}

/// Puts an outcome for each account; an error is that of those without one.
async fn work<'a>(
    at: &Postgresql,
    call: &AccountCall<'_>,
    accounts: &[OldAccount<'a>],
    outcomes: &mut Outcomes<'a>,
) -> Result<(), Trouble> {
    let manager = pool::take(at, call).await?;
    let is_super = look::is_superuser(&manager).await?;
    let names: Vec<&str> = accounts.iter().map(|account| account.name).collect();
    let there = look::there(&manager, &names).await?;
    let mut left: Vec<OldAccount<'a>> = Vec::new();
    for account in accounts {
        match there.iter().any(|one| one.name == account.name) {
            true => left.push(*account),
            false => drop(outcomes.insert(account.name, Effect::applied())),
        }
    }
    let own = |account: &OldAccount<'_>| !account.revocation.statements.is_empty();

    let oid = |name: &str| {
        let mut rows = there.iter();
        rows.find(|one| one.name == name).map(|one| one.oid)
    };
    let mut open: BTreeSet<&str> = BTreeSet::new();
    for (name, effect) in shut_out(&manager, &left, is_super).await {
        // What a role's own statements need the manager to be allowed is not ours to say.
        match left.iter().any(|one| one.name == name && own(one)) {
            true => drop(open.insert(name)),
            false => drop(outcomes.insert(name, effect)),
        }
    }
    left.retain(|account| !outcomes.contains_key(account.name));

    let oids: Vec<u32> = left.iter().filter_map(|one| oid(one.name)).collect();
    let held = end_sessions(&manager, &oids).await;
    let held_by = |name: &str| oid(name).and_then(|oid| held.get(&oid));
    let (by_role, mut by_us): (Vec<_>, Vec<_>) = left.into_iter().partition(own);
    for account in by_role {
        let effect = match held_by(account.name) {
            // Without its account nobody may end a session: first those, then it.
            Some(trouble) if !open.contains(account.name) => Effect::Unknown(trouble.clone()),
            _ => {
                let done = by_statements(&manager, &account).await;
                let oid: Vec<u32> = oid(account.name).into_iter().collect();
                let mut still = end_sessions(&manager, &oid).await.into_values();
                match (done, still.next()) {
                    (Effect::Applied(_), Some(trouble)) => Effect::Unknown(trouble),
                    (done, _) => done,
                }
            }
        };
        outcomes.insert(account.name, effect);
    }
    by_us.retain(|account| match held_by(account.name) {
        Some(trouble) => {
            outcomes.insert(account.name, Effect::Unknown(trouble.clone()));
            false
        }
        None => true,
    });
    drop_all(at, call, &manager, &by_us, outcomes).await?;
    let plain = |account: &OldAccount<'_>| {
        let said = statements(&account.revocation.statements);
        said.is_ok_and(|all| all.iter().all(leaves_no_trace))
    };
    if accounts.iter().all(plain) {
        at.pool.give_back(manager);
    }
    Ok(())
}

/// Lets none of them in any more; answers whom that could not be done to.
async fn shut_out<'a>(
    manager: &Session,
    accounts: &[OldAccount<'a>],
    is_super: bool,
) -> Vec<(&'a str, Effect)> {
    let one = |name: &str| {
        let name = sql::name(name);
        // Who is no superuser may end a session, and drop what is owned, as a member.
        let join = match is_super {
            true => String::new(),
            false => format!("GRANT {name} TO CURRENT_USER; "),
        };
        format!("{join}ALTER ROLE {name} NOLOGIN; ")
    };
    let all: String = accounts.iter().map(|account| one(account.name)).collect();
    if run(manager, &all).await.is_ok() {
        return Vec::new();
    }
    let mut refused = Vec::new();
    for account in accounts {
        if let Err(effect) = run(manager, &one(account.name)).await {
            refused.push((account.name, effect));
        }
    }
    refused
}

/// In one transaction, and out of it again when it failed.
async fn run(manager: &Session, statements: &str) -> Result<(), Effect> {
    let text = format!(
        "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '15s'; {statements} COMMIT"
    );
    send(manager, &text).await.map_err(|error| failed(&error))
}

/// Ends sessions of roles until none is left. A login that was let in just before may show up late,
/// so none must be seen twice. Answers those that have some still, and why.
async fn end_sessions(manager: &Session, roles: &[u32]) -> BTreeMap<u32, Trouble> {
    let mut clear: BTreeMap<u32, u32> = roles.iter().map(|role| (*role, 0)).collect();
    let mut failed = BTreeMap::new();
    for _ in 0..ROUNDS {
        let left: Vec<u32> = clear.keys().copied().collect();
        let mut open = BTreeSet::new();
        match told_to_end(manager, &left).await {
            Ok(told) => open.extend(told),
            // Whose the manager may not end is in nobody else's way.
            Err(_) => {
                for role in left {
                    match told_to_end(manager, &[role]).await {
                        Ok(told) => open.extend(told),
                        Err(trouble) => {
                            clear.remove(&role);
                            failed.insert(role, trouble);
                        }
                    }
                }
            }
        }
        clear.retain(|role, looks| {
            *looks = match open.contains(role) {
                true => 0,
                false => *looks + 1,
            };
            *looks < 2
        });
        if clear.is_empty() {
            return failed;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let left = clear.into_keys();
    failed.extend(left.map(|role| (role, TroubleKind::TimedOut.into())));
    failed
}

/// Tells sessions of these roles to end; answers whose there were.
async fn told_to_end(manager: &Session, roles: &[u32]) -> Result<Vec<u32>, Trouble> {
    if roles.is_empty() {
        return Ok(Vec::new());
    }
    let asked = format!(
        "SELECT usesysid, pg_catalog.pg_terminate_backend(pid) {}",
        look::SESSIONS
    );
    let rows = manager.client.query(&asked, &[&roles]).await;
    let rows = rows.map_err(|error| trouble::statement(&error))?;
    let of: Result<Vec<u32>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    of.map_err(|_| TroubleKind::Protocol.into())
}

/// The role's own way. It is believed when the account is gone or may log in no more.
async fn by_statements(manager: &Session, account: &OldAccount<'_>) -> Effect {
    let values = Placeholders {
        name: account.name,
        password: "",
        expiration: "",
    };
    let text = statements(&account.revocation.statements)
        .and_then(|statements| transaction(&statements, &values));
    let text = match text {
        Ok(text) => text,
        Err(trouble) => return not_applied(trouble),
    };
    if let Err(error) = manager.client.batch_execute(&text).await {
        let _ = manager.client.batch_execute("ROLLBACK").await;
        return failed(&error);
    }
    match look::there(manager, &[account.name]).await {
        Ok(there) if there.iter().any(|one| one.may_log_in) => not_applied(
            Trouble::new(TroubleKind::Settings)
                .code("still_accepted")
                .remedy("let the role's revocation_statements drop the account, or end its logins"),
        ),
        Ok(_) => Effect::applied(),
        Err(trouble) => Effect::Unknown(trouble),
    }
}

/// The connector's way.
async fn drop_all<'a>(
    at: &Postgresql,
    call: &AccountCall<'_>,
    manager: &Session,
    accounts: &[OldAccount<'a>],
    outcomes: &mut Outcomes<'a>,
) -> Result<(), Trouble> {
    let names: Vec<&str> = accounts.iter().map(|account| account.name).collect();
    // Again: what was made by a session that has just ended.
    let there = look::there(manager, &names).await?;
    let mut together = Vec::new();
    for account in accounts {
        let Some(found) = there.iter().find(|one| one.name == account.name) else {
            outcomes.insert(account.name, Effect::applied());
            continue;
        };
        if found.owns && account.revocation.owned == Owned::Keep {
            outcomes.insert(account.name, not_applied(owns(account.name)));
        } else if let Err(effect) = elsewhere(at, call, account, found).await {
            outcomes.insert(account.name, effect);
        } else {
            together.push(*account);
        }
    }
    let one = |account: &OldAccount<'_>| {
        let name = sql::name(account.name);
        format!("{} DROP ROLE {name};", disown(account))
    };
    let all: String = together.iter().map(one).collect();
    let done = run(manager, &all).await.is_ok();
    for account in together {
        let effect = match done {
            true => Effect::applied(),
            false => match run(manager, &one(&account)).await {
                Ok(()) => Effect::applied(),
                Err(effect) => effect,
            },
        };
        outcomes.insert(account.name, effect);
    }
    Ok(())
}

/// What takes away what it owns and what it may, in one database.
fn disown(account: &OldAccount<'_>) -> String {
    let name = sql::name(account.name);
    let reassign = match account.revocation.owned {
        Owned::Reassign => format!("REASSIGN OWNED BY {name} TO CURRENT_USER; "),
        Owned::Keep | Owned::Drop => String::new(),
    };
    format!("{reassign}DROP OWNED BY {name};")
}

fn owns(name: &str) -> Trouble {
    let name = sql::name(name);
    Trouble::new(TroubleKind::Settings)
        .code("owns_objects")
        .remedy(format!(
            "REASSIGN OWNED BY {name} TO another role, in each database where it owns something; \
             or let the role say owned: reassign or drop"
        ))
}

/// The same in other databases.
async fn elsewhere(
    at: &Postgresql,
    call: &AccountCall<'_>,
    account: &OldAccount<'_>,
    found: &There,
) -> Result<(), Effect> {
    for database in &found.elsewhere {
        let mut settings = Settings::read(call.settings).map_err(not_applied)?;
        settings.place.database.clone_from(database);
        let there = manager::open_of(&*at.reach, &settings, call.manager).await;
        run(&there.map_err(not_applied)?, &disown(account)).await?;
    }
    Ok(())
}
