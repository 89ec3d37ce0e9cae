//! Makes the server refuse a credential, then ends its sessions.

use std::time::{Duration, Instant};

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Effect};
use scaivault_core::target::{Trouble, TroubleKind};

use super::account::{self, Account};
use super::apply::{mark, not_the_manager};
use super::session::Session;
use super::sessions::{self, Which};
use super::transaction::{Transaction, not_applied};
use super::{check, sql};

/// How often sessions are told to end before it is left to a later call.
const ROUNDS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(50);

/// Retires `dead`.
pub(super) async fn retire(
    manager: Session,
    received: Instant,
    call: &Call<'_>,
    dead: &Plaintext,
    keep: Option<&Plaintext>,
) -> Result<(), Effect> {
    let account = Account::read(call).map_err(not_applied)?;
    let name = account.role_of(dead).map_err(not_applied)?;
    let shared = keep.is_some_and(|keep| account::same_role(dead, keep));
    let own = shared && manager.user == name;
    if !own {
        not_the_manager(&manager, name).map_err(not_applied)?;
    }
    let which = match (&account, shared) {
        (Account::Two { .. }, true) => {
            let remedy = "the account to retire is the one to keep";
            let trouble = Trouble::new(TroubleKind::Settings).remedy(remedy);
            return Err(not_applied(trouble));
        }
        (Account::Two { .. }, false) | (Account::One { .. }, false) => Some(Which::All),
        // Setting the new password has made the server refuse the old one; what is left are
        // sessions from before. Without a promotion nobody can tell them from others.
        (Account::One { .. }, true) if same_password(dead, keep) => None,
        (Account::One { .. }, true) => match call.promoted_for {
            Some(promoted) => {
                let border = sessions::before(&manager, promoted, received).await;
                Some(border.map_err(not_applied)?)
            }
            None => None,
        },
    };
    // The manager's own: its password is replaced already, and no role may mark itself.
    let there = own || {
        let done = refuse(&manager, call, &account, name, shared).await;
        check::advised(&manager, &account, done).await?
    };
    match which {
        Some(which) if there => end(&manager, name, which).await.map_err(Effect::Unknown),
        _ => Ok(()),
    }
}

fn same_password(dead: &Plaintext, keep: Option<&Plaintext>) -> bool {
    let of = |value| account::password(value).ok();
    of(dead) == keep.and_then(of)
}

/// Whether the role was there.
async fn refuse(
    manager: &Session,
    call: &Call<'_>,
    account: &Account,
    name: &str,
    shared: bool,
) -> Result<bool, Effect> {
    let transaction = Transaction::begin(manager, name).await?;
    let Some(role) = transaction.fenced(call, name).await? else {
        return Ok(false);
    };
    // Found out before anything is changed: a role that cannot log in, but whose sessions go on,
    // is neither retired nor not.
    let (open, _) = sessions::count(manager, name, Which::All)
        .await
        .map_err(not_applied)?;
    if open != 0 && !check::may_end_sessions(manager, name).await? {
        let remedy = format!("GRANT pg_signal_backend TO {};", sql::name(&manager.user));
        let trouble = Trouble::new(TroubleKind::Privilege).remedy(remedy);
        return Err(not_applied(trouble));
    }
    let quoted = sql::name(name);
    match account {
        _ if shared => {}
        Account::Two { .. } => {
            let statement = format!("ALTER ROLE {quoted} NOLOGIN PASSWORD NULL");
            transaction.run(&statement).await?;
        }
        Account::One { .. } => {
            let statement = format!("ALTER ROLE {quoted} PASSWORD NULL");
            transaction.run(&statement).await?;
        }
    }
    mark(&transaction, call, name, &role).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Ends sessions until none is left. A login that was let in just before may show up late, so
/// none must be seen twice.
pub(super) async fn end(session: &Session, name: &str, which: Which) -> Result<(), Trouble> {
    let mut clear = 0;
    for _ in 0..ROUNDS {
        match sessions::count(session, name, which).await? {
            (0, _) => clear += 1,
            _ => {
                clear = 0;
                sessions::terminate(session, name, which).await?;
            }
        }
        if clear == 2 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(TroubleKind::TimedOut.into())
}
