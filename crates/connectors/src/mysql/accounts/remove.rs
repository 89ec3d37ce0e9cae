//! Removing accounts: lock, end their sessions, drop. Each step is taken for all of them together,
//! and for each by itself where together it fails: one that is in the way of its own removal is
//! not in the way of the others'.

use std::collections::BTreeMap;

use scaivault_core::dynamic::Placeholders;
use scaivault_core::ports::{AccountCall, Effect, OldAccount};
use scaivault_core::target::{Trouble, TroubleKind};

use super::super::{MySql, cured, kill, quote};
use super::super::{rows, session::Session};
use super::create::{give_back, rendered, run};
use super::pool::{Pooled, Ready, Words};
use super::{look, pool};

type Outcomes<'a> = BTreeMap<&'a str, Effect>;

/// Removes them.
pub(super) async fn remove(
    at: &MySql,
    call: &AccountCall<'_>,
    accounts: &[OldAccount<'_>],
) -> Vec<Effect> {
    let mut outcomes = Outcomes::new();
    let left = match pool::take(at, call).await {
        Err(trouble) => Effect::NotApplied(trouble),
        Ok(mut manager) => match work(&mut manager, accounts, &mut outcomes).await {
            Ok(()) => {
                let said: Vec<_> = accounts
                    .iter()
                    .map(|account| &account.revocation.statements)
                    .collect();
                give_back(at, manager, &said);
                Effect::applied()
            }
            Err(trouble) => failed(&mut manager, trouble).await,
        },
    };
    accounts
        .iter()
        .map(|account| match (outcomes.remove(account.name), &left) {
            (Some(effect), _) => effect,
            (None, Effect::NotApplied(trouble)) => Effect::NotApplied(trouble.clone()),
            (None, Effect::Unknown(trouble)) => Effect::Unknown(trouble.clone()),
            // One that is named twice.
            (None, Effect::Applied(_)) => Effect::applied(),
        })
        .collect()
}

async fn failed(manager: &mut Pooled, trouble: Trouble) -> Effect {
    let trouble = cured(&mut manager.session, trouble).await;
    manager.session.outcome(Err(trouble))
}

/// Puts an outcome for each account; an error is that of those without one.
async fn work<'a>(
    manager: &mut Ready,
    accounts: &[OldAccount<'a>],
    outcomes: &mut Outcomes<'a>,
) -> Result<(), Trouble> {
    let Ready {
        session, server, ..
    } = &mut *manager;
    // Without that right nobody's sessions would be seen.
    kill::may(session, server).await?;
    let names: Vec<&str> = accounts.iter().map(|account| account.name).collect();
    let there = look::rows(manager, &names).await?;
    let by_role = |account: &&OldAccount<'_>| !account.revocation.statements.is_empty();

    let locked = each(manager, &there, "ALTER USER", " ACCOUNT LOCK").await;
    for account in accounts {
        // What a role's own statements need the manager to be allowed is not ours to say.
        if let Some(effect) = locked.get(account.name)
            && !by_role(&account)
        {
            outcomes.insert(account.name, again(effect));
        }
    }
    // Those without a row too: an account may be gone and its sessions not.
    for (name, trouble) in kill::all_of(&mut manager.session, &names).await? {
        // An account goes after its sessions.
        if let Some(account) = accounts.iter().find(|account| account.name == name)
            && !by_role(&account)
        {
            outcomes.insert(account.name, Effect::Unknown(trouble));
        }
    }
    let mut said = BTreeMap::new();
    for account in accounts.iter().filter(by_role) {
        said.insert(account.name, by_statements(manager, account).await);
    }
    let ours: Vec<(String, String)> = there
        .into_iter()
        .filter(|(name, _)| {
            !outcomes.contains_key(name.as_str()) && !said.contains_key(name.as_str())
        })
        .collect();
    let kept = each(manager, &ours, "DROP USER IF EXISTS", "").await;
    // A login that was let in just before shows up late.
    let left = kill::all_of(&mut manager.session, &names).await;
    for account in accounts {
        let done = said.remove(account.name);
        let done =
            done.unwrap_or_else(|| kept.get(account.name).map_or_else(Effect::applied, again));
        let held = match &left {
            Ok(left) => left.get(account.name),
            Err(trouble) => Some(trouble),
        };
        let effect = match (done, held) {
            (Effect::Applied(_), Some(trouble)) => Effect::Unknown(trouble.clone()),
            (done, _) => done,
        };
        outcomes.entry(account.name).or_insert(effect);
    }
    Ok(())
}

/// The same once more, of one that was not applied.
fn again(effect: &Effect) -> Effect {
    match effect {
        Effect::Applied(_) => Effect::applied(),
        Effect::NotApplied(trouble) => Effect::NotApplied(trouble.clone()),
        Effect::Unknown(trouble) => Effect::Unknown(trouble.clone()),
    }
}

/// Runs a statement about all rows at once, or about each where that fails; answers what came of
/// those that it failed for.
async fn each(
    manager: &mut Ready,
    rows: &[(String, String)],
    head: &str,
    tail: &str,
) -> BTreeMap<String, Effect> {
    let mut failed = BTreeMap::new();
    let accounts: Vec<String> = rows
        .iter()
        .map(|(name, host)| quote::account(name, host))
        .collect();
    let all = format!("{head} {}{tail}", accounts.join(", "));
    if rows.is_empty() || change(manager, &all).await.is_ok() {
        return failed;
    }
    for ((name, _), account) in rows.iter().zip(accounts) {
        let one = format!("{head} {account}{tail}");
        if let Err(trouble) = change(manager, &one).await {
            failed.insert(name.clone(), Effect::Unknown(trouble));
        }
    }
    failed
}

async fn change(manager: &mut Ready, sql: &str) -> Result<(), Trouble> {
    manager.reads(Words::Ours).await?;
    manager.session.change(sql).await
}

/// The role's own way. It is believed when no row of the account lets anybody in any more.
async fn by_statements(manager: &mut Ready, account: &OldAccount<'_>) -> Effect {
    let values = Placeholders {
        name: account.name,
        password: "",
        expiration: "",
    };
    let texts = match rendered(&account.revocation.statements, &values) {
        Ok(texts) => texts,
        Err(trouble) => return Effect::NotApplied(trouble),
    };
    if let Err(failed) = run(manager, &texts).await {
        let gone = look::rows(manager, &[account.name]).await;
        // Made once more after an answer that was lost: there is nothing left to name.
        if gone.is_ok_and(|rows| rows.is_empty()) {
            return Effect::applied();
        }
        return match failed.done {
            0 => manager.session.outcome(Err(failed.trouble)),
            _ => Effect::Unknown(failed.trouble),
        };
    }
    let looked = match manager.reads(Words::Ours).await {
        Ok(()) => lets_in(&mut manager.session, &manager.server, account.name).await,
        Err(trouble) => Err(trouble),
    };
    match looked {
        Ok(false) => Effect::applied(),
        Ok(true) => Effect::NotApplied(
            Trouble::new(TroubleKind::Settings)
                .code("still_accepted")
                .remedy("let the role's revocation_statements drop the account on every host, or lock it"),
        ),
        Err(trouble) => Effect::Unknown(trouble),
    }
}

async fn lets_in(
    session: &mut Session,
    server: &super::super::server::Server,
    name: &str,
) -> Result<bool, Trouble> {
    let rows = rows::of(session, server, name).await?;
    Ok(rows.iter().any(|row| !row.locked))
}
