//! Open sessions of an account: counted, told apart by age, ended.

use std::collections::BTreeMap;
use std::time::Duration;

use scaivault_core::target::{Trouble, TroubleKind};

use super::grants::Rights;
use super::quote;
use super::server::Server;
use super::session::Session;

/// How often ended sessions are looked for until they are gone, and how long in between: a server
/// ends a session some time after it was told to.
const ROUNDS: usize = 60;
const PAUSE: Duration = Duration::from_millis(50);

/// One session.
pub(super) struct Open {
    id: u64,
    /// Since its last statement began or ended: it is at least that old.
    idle_s: i64,
}

/// Whether other accounts' sessions can be seen and ended: without that, none would be found.
pub(super) async fn may(session: &mut Session, server: &Server) -> Result<(), Trouble> {
    let rights = Rights::ask(session).await?;
    let ends = rights.has(server.kill_right(), "*.*") || rights.has("SUPER", "*.*");
    match rights.has("PROCESS", "*.*") && ends {
        true => Ok(()),
        false => Err(TroubleKind::Privilege.into()),
    }
}

/// The open sessions of an account.
pub(super) async fn of(session: &mut Session, name: &str) -> Result<Vec<Open>, Trouble> {
    let sql = format!(
        "SELECT ID, USER, TIME FROM information_schema.PROCESSLIST \
         WHERE USER = {} AND ID <> CONNECTION_ID()",
        quote::text(name)
    );
    let rows: Vec<(u64, String, Option<i64>)> = session.rows(&sql).await?;
    let own = rows.into_iter().filter(|(_, user, _)| user == name);
    Ok(own
        .map(|(id, _, idle)| Open {
            id,
            idle_s: idle.unwrap_or(0),
        })
        .collect())
}

/// Those that surely began more than `age` ago. The server does not tell when a session began;
/// but one that has been idle that long is older, and ids only grow.
pub(super) fn surely_older(open: &[Open], age: Duration) -> Vec<u64> {
    let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
    let idle = open.iter().filter(|one| one.idle_s > age);
    let last = idle.map(|one| one.id).max().unwrap_or(0);
    let ids = open.iter().map(|one| one.id);
    ids.filter(|id| *id <= last).collect()
}

/// Ends every session of an account.
pub(super) async fn all(session: &mut Session, name: &str) -> Result<(), Trouble> {
    end(session, name, |open| {
        open.iter().map(|one| one.id).collect()
    })
    .await
}

/// Ends the sessions that are surely older.
pub(super) async fn older(session: &mut Session, name: &str, age: Duration) -> Result<(), Trouble> {
    let open = of(session, name).await?;
    let old = surely_older(&open, age);
    end(session, name, |open| {
        let ids = open.iter().map(|one| one.id);
        ids.filter(|id| old.contains(id)).collect()
    })
    .await
}

/// Ends every session of these accounts. Answers those that have some still, and why.
pub(super) async fn all_of(
    session: &mut Session,
    names: &[&str],
) -> Result<BTreeMap<String, Trouble>, Trouble> {
    let mut left = BTreeMap::new();
    if names.is_empty() {
        return Ok(left);
    }
    let literals: Vec<_> = names.iter().map(|name| quote::text(name)).collect();
    let sql = format!(
        "SELECT ID, USER FROM information_schema.PROCESSLIST \
         WHERE USER IN ({}) AND ID <> CONNECTION_ID()",
        literals.join(", ")
    );
    for _ in 0..ROUNDS {
        let mut open: Vec<(u64, String)> = session.rows(&sql).await?;
        open.retain(|(_, user)| names.contains(&user.as_str()));
        left.clear();
        let mut told = false;
        for (id, user) in open {
            match kill(session, id).await {
                Ok(()) => {
                    told = true;
                    left.entry(user)
                        .or_insert_with(|| TroubleKind::TimedOut.into());
                }
                Err(trouble) => drop(left.insert(user, trouble)),
            }
        }
        if !told {
            return Ok(left);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(left)
}

async fn kill(session: &mut Session, id: u64) -> Result<(), Trouble> {
    match session.change(&format!("KILL CONNECTION {id}")).await {
        // No such session any more.
        Err(trouble) if trouble.code.as_deref() == Some("1094") => Ok(()),
        other => other,
    }
}

async fn end(
    session: &mut Session,
    name: &str,
    choose: impl Fn(&[Open]) -> Vec<u64>,
) -> Result<(), Trouble> {
    for _ in 0..ROUNDS {
        let chosen = choose(&of(session, name).await?);
        if chosen.is_empty() {
            return Ok(());
        }
        for id in chosen {
            kill(session, id).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(TroubleKind::TimedOut.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_below_an_idle_one_are_older() {
        let open = |id, idle_s| Open { id, idle_s };
        let all = [open(7, 0), open(9, 61), open(12, 60), open(15, 3)];
        assert_eq!(surely_older(&all, Duration::from_secs(60)), [7, 9]);
        assert!(surely_older(&all, Duration::from_secs(90)).is_empty());
    }
}
