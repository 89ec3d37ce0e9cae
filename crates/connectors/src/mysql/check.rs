//! What the manager may do, what it lacks, and what should be known of the server.

use scaivault_core::ports::{Call, Check, Missing};
use scaivault_core::target::{Overlap, Trouble};

use super::grants::{self, Rights};
use super::quote;
use super::rows;
use super::server::{Family, Server};
use super::session::Session;
use super::settings::{Accounts, Place, is_loopback};

/// Looks.
pub(super) async fn check(session: &mut Session, call: &Call<'_>) -> Result<Check, Trouble> {
    let server = Server::ask(session).await?;
    let (name, host) = session.current_user().await?;
    let rights = Rights::ask(session).await?;
    let manager = quote::account(&name, &host);
    let mut missing = lacking(&rights, &server, &manager);
    let mut warnings = warnings(session).await?;
    warnings.extend(on_plain_wire(call));
    if !server.is_known() {
        warnings.push("this version is not supported".into());
    } else if rights.has("SELECT", "`mysql`.*") {
        warnings.extend(hidden_accounts(session, &server, &name).await?);
        if let (Ok(accounts), Overlap::TwoUsers) = (Accounts::read(call.account), call.overlap) {
            let (more, notes) = pair(session, &server, &rights, &accounts, &manager).await?;
            missing.extend(more);
            warnings.extend(notes);
        }
    }
    let needed = needed(&server);
    let may = needed
        .iter()
        .filter(|(_, right, object)| rights.has(right, object));
    let mut may: Vec<String> = may.map(|(what, _, _)| (*what).to_owned()).collect();
    may.insert(0, "log in".to_owned());
    Ok(Check {
        server: server.label(),
        manager,
        may,
        missing,
        overlaps: server.overlaps(),
        warnings,
    })
}

fn needed(server: &Server) -> [(&'static str, &'static str, &'static str); 4] {
    [
        ("change accounts", "CREATE USER", "*.*"),
        ("read how accounts are stored", "SELECT", "`mysql`.*"),
        ("see sessions of other accounts", "PROCESS", "*.*"),
        ("end sessions of other accounts", server.kill_right(), "*.*"),
    ]
}

/// The statements that the manager's account lacks.
pub(super) fn lacking(rights: &Rights, server: &Server, manager: &str) -> Vec<Missing> {
    let lacks = needed(server).into_iter().filter(|(_, right, object)| {
        let by_super = *right == server.kill_right() && rights.has("SUPER", "*.*");
        !rights.has(right, object) && !by_super
    });
    lacks
        .map(|(what, right, object)| Missing {
            what: what.to_owned(),
            statement: format!("GRANT {right} ON {object} TO {manager}"),
        })
        .collect()
}

/// `trouble` with the statements that cure it, as far as they can be found out.
pub(super) async fn with_remedy(session: &mut Session, mut trouble: Trouble) -> Trouble {
    let found = async {
        let server = Server::ask(session).await?;
        let (name, host) = session.current_user().await?;
        let rights = Rights::ask(session).await?;
        Ok::<_, Trouble>(lacking(&rights, &server, &quote::account(&name, &host)))
    };
    for missing in found.await.unwrap_or_default() {
        trouble = trouble.remedy(missing.statement);
    }
    trouble
}

/// What the manager needs to make the two accounts alike, and what differs.
async fn pair(
    session: &mut Session,
    server: &Server,
    rights: &Rights,
    accounts: &Accounts,
    manager: &str,
) -> Result<(Vec<Missing>, Vec<String>), Trouble> {
    let (mut missing, mut notes) = (Vec::new(), Vec::new());
    for (from, to) in [(0, 1), (1, 0)] {
        let (Some(from), Some(to)) = (accounts.names.get(from), accounts.names.get(to)) else {
            continue;
        };
        let there = rows::of(session, server, to).await?;
        for row in rows::of(session, server, from).await? {
            if accounts.role.is_some() {
                continue;
            }
            let wanted = grants::of(session, from, &row.host).await?;
            let is_there = there.iter().any(|other| other.host == row.host);
            let have = match is_there {
                true => grants::of(session, to, &row.host).await?,
                false => Vec::new(),
            };
            let lacking = grants::lacking(&wanted, &have);
            let account = quote::account(to, &row.host);
            if !lacking.is_empty() {
                notes.push(format!(
                    "{account} lacks grants of the other account: it is given them"
                ));
            }
            for grant in lacking.into_iter().filter(|grant| !rights.may_give(grant)) {
                missing.push(Missing {
                    what: "give one account what the other has".to_owned(),
                    statement: grant.remedy(manager, is_there.then_some(account.as_str())),
                });
            }
        }
    }
    Ok((missing, notes))
}

async fn warnings(session: &mut Session) -> Result<Vec<String>, Trouble> {
    let mut found = Vec::new();
    if session.one::<i64>("SELECT @@global.read_only").await? != 0 {
        found
            .push("the server is read-only: a replica? accounts are changed at the primary".into());
    }
    // Newer servers have no such variable.
    let old: Vec<(String, String)> = session.rows("SHOW VARIABLES LIKE 'old_passwords'").await?;
    if old
        .iter()
        .any(|(_, value)| !matches!(value.as_str(), "OFF" | "0"))
    {
        found.push("old_passwords is on: accounts may have passwords of the oldest kind".into());
    }
    Ok(found)
}

/// Rows that may answer in place of the one that is meant.
async fn hidden_accounts(
    session: &mut Session,
    server: &Server,
    manager: &str,
) -> Result<Vec<String>, Trouble> {
    let mut found = Vec::new();
    if !rows::of(session, server, "").await?.is_empty() {
        found.push(
            "there are anonymous accounts, which may answer in place of others: drop ''@…".into(),
        );
    }
    if rows::of(session, server, manager).await?.len() > 1 {
        let text = "the manager's name has several rows: only the one that answers is rotated";
        found.push(text.into());
    }
    let ssl: Vec<(String, String)> = session
        .rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        .await?;
    let plain = ssl.iter().all(|(_, cipher)| cipher.is_empty());
    if server.family == Family::MySql && plain {
        found.push("without TLS some passwords are sent under a key that the server names".into());
    }
    Ok(found)
}

fn on_plain_wire(call: &Call<'_>) -> Option<String> {
    let place = Place::of_manager(call.settings).ok()?;
    let plain = !place.tls && !is_loopback(&place.host);
    plain.then(|| "tls is off on the way to another machine".to_owned())
}
