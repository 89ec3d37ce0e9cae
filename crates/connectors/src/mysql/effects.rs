//! Effects: what changes the server. Each looks first and sends only what is lacking; calls about
//! the same accounts wait for each other by a lock of the server.

use aws_lc_rs::digest::{SHA256, digest};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Call;
use scaivault_core::target::{Overlap, Trouble, TroubleKind};
use zeroize::Zeroizing;

use super::grants::{self, Rights};
use super::kill;
use super::quote;
use super::rows::{self, Row};
use super::server::{Family, Server};
use super::session::Session;
use super::settings::Accounts;
use super::statements::Writer;
use super::{REHEARSAL, password_of, username_of};

/// How long one call waits for another about the same accounts.
const LOCK_MAX_S: u32 = 8;

/// Waits until no other call is about these accounts. The lock goes with the session.
pub(super) async fn lock(session: &mut Session, accounts: &Accounts) -> Result<(), Trouble> {
    let mut names = accounts.names.clone();
    names.sort();
    let id = hex::encode(&digest(&SHA256, names.join("\0").as_bytes()).as_ref()[..16]);
    let name = quote::text(&format!("scaivault_{id}"));
    let got: Option<i64> = session
        .one(&format!("SELECT GET_LOCK({name}, {LOCK_MAX_S})"))
        .await?;
    match got {
        Some(1) => Ok(()),
        _ => Err(TroubleKind::TimedOut.into()),
    }
}

/// Makes the server accept `candidate`.
pub(super) async fn apply(
    session: &mut Session,
    call: &Call<'_>,
    candidate: &Plaintext,
    current: Option<&Plaintext>,
) -> Result<(), Trouble> {
    let accounts = Accounts::read(call.account)?;
    let name = username_of(candidate)?;
    accounts.own(&name)?;
    let password = password_of(candidate)?;
    let old = current.map(password_of).transpose()?;
    let server = known(session).await?;
    lock(session, &accounts).await?;
    let mut own = rows::of(session, &server, &name).await?;
    fence(&own, call.epoch)?;
    let writer = Writer {
        server: &server,
        name: &name,
        epoch: call.epoch,
    };

    if call.overlap == Overlap::TwoUsers {
        let model = model(session, &server, &accounts, &name, current).await?;
        own = complete(session, &writer, &accounts, own, model).await?;
    } else if own.is_empty() {
        if current.is_some() {
            return Err(TroubleKind::NoAccount.into());
        }
        own = complete(session, &writer, &accounts, own, None).await?;
    }
    let created_now = call.overlap != Overlap::TwoUsers && session.doubt;
    // All is worked out before the first statement is sent.
    let mut all = Vec::new();
    for row in &own {
        all.extend(match call.overlap {
            Overlap::TwoUsers => writer.accept_alone(row, &password, true)?,
            Overlap::TwoPasswords if !created_now => {
                writer.accept_beside(row, &password, old.as_ref().map(|old| old.as_str()))?
            }
            _ => writer.accept_alone(row, &password, created_now)?,
        });
    }
    run(session, &all).await
}

/// Makes the server refuse `dead` and ends its sessions.
pub(super) async fn retire(
    session: &mut Session,
    call: &Call<'_>,
    dead: &Plaintext,
    keep: Option<&Plaintext>,
) -> Result<(), Trouble> {
    let accounts = Accounts::read(call.account)?;
    let name = username_of(dead)?;
    accounts.own(&name)?;
    let password = password_of(dead)?;
    let kept = keep.map(password_of).transpose()?;
    let kept_name = keep.map(username_of).transpose()?;
    let same_name = kept_name.as_ref().is_some_and(|kept| *kept == name);
    let whole_account = call.overlap == Overlap::TwoUsers;
    if same_name && (whole_account || kept.as_ref() == Some(&password)) {
        return Err(TroubleKind::Settings.into());
    }
    let server = known(session).await?;
    kill::may(session, &server).await?;
    lock(session, &accounts).await?;
    let own = rows::of(session, &server, &name).await?;
    fence(&own, call.epoch)?;
    let writer = Writer {
        server: &server,
        name: &name,
        epoch: call.epoch,
    };
    let mut all = Vec::new();
    let mut refused = false;
    for row in &own {
        if whole_account {
            let found = writer.refuse_account(row, &password)?;
            refused |= found.is_some();
            all.extend(found.unwrap_or_default());
        } else {
            let keep = kept.as_ref().filter(|_| same_name);
            all.extend(writer.refuse_password(row, &password, keep.map(|keep| keep.as_str()))?);
        }
    }
    run(session, &all).await?;
    match (whole_account, call.promoted_for) {
        // Without a refused row the account is somebody's by now, its sessions with it.
        (true, _) if refused || own.is_empty() => kill::all(session, &name).await,
        (false, Some(age)) => kill::older(session, &name, age).await,
        _ => Ok(()),
    }
}

/// Removes throw-away accounts.
pub(super) async fn remove(session: &mut Session, call: &Call<'_>) -> Result<(), Trouble> {
    let accounts = Accounts::read(call.account)?;
    if !accounts
        .names
        .iter()
        .all(|name| name.starts_with(REHEARSAL))
    {
        return Err(TroubleKind::Settings.into());
    }
    let server = known(session).await?;
    lock(session, &accounts).await?;
    for name in &accounts.names {
        for row in rows::of(session, &server, name).await? {
            let account = quote::account(name, &row.host);
            session
                .change(&format!("DROP USER IF EXISTS {account}"))
                .await?;
        }
        kill::all(session, name).await?;
    }
    Ok(())
}

/// The server, when it is one this connector knows.
pub(super) async fn known(session: &mut Session) -> Result<Server, Trouble> {
    let server = Server::ask(session).await?;
    match server.is_known() {
        true => Ok(server),
        false => Err(TroubleKind::Unsupported.into()),
    }
}

/// Nothing older than what was here.
pub(super) fn fence(rows: &[Row], epoch: u64) -> Result<(), Trouble> {
    match rows.iter().filter_map(|row| row.epoch).max() {
        Some(seen) if seen > epoch => Err(TroubleKind::Fenced.into()),
        _ => Ok(()),
    }
}

/// The account whose grants the other one gets, and its rows.
async fn model(
    session: &mut Session,
    server: &Server,
    accounts: &Accounts,
    name: &str,
    current: Option<&Plaintext>,
) -> Result<Option<(Zeroizing<String>, Vec<Row>)>, Trouble> {
    let other = match current {
        Some(current) => username_of(current)?,
        None => {
            let other = accounts.names.iter().find(|other| *other != name);
            Zeroizing::new(other.cloned().unwrap_or_default())
        }
    };
    accounts.own(&other)?;
    if *other == name {
        return Ok(None);
    }
    let rows = rows::of(session, server, &other).await?;
    if rows.is_empty() && current.is_some() {
        return Err(TroubleKind::NoAccount.into());
    }
    Ok((!rows.is_empty()).then_some((other, rows)))
}

/// Makes the rows that are lacking, locked, and gives the grants that are lacking. The rows as
/// they are then.
async fn complete(
    session: &mut Session,
    writer: &Writer<'_>,
    accounts: &Accounts,
    own: Vec<Row>,
    model: Option<(Zeroizing<String>, Vec<Row>)>,
) -> Result<Vec<Row>, Trouble> {
    let hosts: Vec<String> = match &model {
        Some((_, rows)) => rows.iter().map(|row| row.host.clone()).collect(),
        None if own.is_empty() => accounts.hosts.clone(),
        None => return Ok(own),
    };
    let (mut created, mut after) = (Vec::new(), Vec::new());
    let rights = Rights::ask(session).await?;
    let mut denied = Trouble::new(TroubleKind::Privilege);
    for host in &hosts {
        let to = quote::account(writer.name, host);
        let is_new = !own.iter().any(|row| row.host == *host);
        let mut tail = String::new();
        let mut plugin = writer.default_plugin().to_owned();
        let mut default_roles = None;
        if let Some((other, rows)) = &model {
            if is_new {
                (tail, default_roles) =
                    grants::options(session, writer.server, other, host).await?;
                let row = rows.iter().find(|row| row.host == *host);
                plugin = row.map_or(plugin, |row| writer.plugin(row).to_owned());
            }
            if accounts.role.is_none() {
                let wanted = grants::of(session, other, host).await?;
                let have = match is_new {
                    true => Vec::new(),
                    false => grants::of(session, writer.name, host).await?,
                };
                let lacking = grants::lacking(&wanted, &have);
                after.extend(grants::statements(&lacking, &to)?);
                for grant in lacking.iter().filter(|grant| !rights.may_give(grant)) {
                    let (name, host) = session.current_user().await?;
                    let manager = quote::account(&name, &host);
                    denied = denied.remedy(grant.remedy(&manager, (!is_new).then_some(&to)));
                }
            }
        }
        if is_new {
            created.push(writer.create(host, &plugin, &tail)?);
            after.extend(role_statements(writer.server, accounts, default_roles, &to));
        }
    }
    if !denied.remedy.is_empty() {
        return Err(denied);
    }
    let changed = !created.is_empty();
    // Unlocked only when all its grants are there.
    run(session, &created).await?;
    run(session, &after).await?;
    match changed {
        true => rows::of(session, writer.server, writer.name).await,
        false => Ok(own),
    }
}

fn role_statements(
    server: &Server,
    accounts: &Accounts,
    default_roles: Option<String>,
    to: &str,
) -> Vec<String> {
    let default = |role: &str| match server.family {
        Family::MySql => format!("ALTER USER {to} DEFAULT ROLE {role}"),
        Family::MariaDb => format!("SET DEFAULT ROLE {role} FOR {to}"),
    };
    match (&accounts.role, default_roles) {
        (Some(role), _) => {
            let role = quote::text(role);
            vec![format!("GRANT {role} TO {to}"), default(&role)]
        }
        (None, Some(roles)) => vec![default(&roles)],
        (None, None) => Vec::new(),
    }
}

pub(super) async fn run(session: &mut Session, statements: &[String]) -> Result<(), Trouble> {
    for sql in statements {
        session.change(sql).await?;
    }
    Ok(())
}
