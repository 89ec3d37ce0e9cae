//! Making an account, statement by statement, and taking it back when one fails.

use scaivault_core::dynamic::{Dialect, Placeholders, Role, Statement, split};
use scaivault_core::ports::{AccountCall, Effect, NewAccount};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use zeroize::Zeroizing;

use super::super::server::Server;
use super::super::{MySql, cured, quote};
use super::pool::{Ready, Words};
use super::{identified, look, pool, statements, time};
use crate::begun::Begun;
use crate::pool::leaves_no_trace;

/// A statement that did not do.
pub(super) struct Failed {
    /// How many were done before it.
    pub(super) done: usize,
    /// The server said no: this one did nothing.
    refused: bool,
    pub(super) trouble: Trouble,
}

/// Makes it.
pub(super) async fn create(at: &MySql, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect {
    let begun = Begun::now();
    let mut manager = match pool::take(at, call).await {
        Ok(manager) => manager,
        Err(trouble) => return Effect::NotApplied(trouble),
    };
    if let Err(trouble) = begun.in_time() {
        return Effect::NotApplied(trouble);
    }
    let texts = texts(&manager.server, new);
    let (making, undoing) = match texts {
        Ok(texts) => texts,
        Err(trouble) => return Effect::NotApplied(trouble),
    };
    let effect = match run(&mut manager, &making).await {
        Ok(()) => is_made(&mut manager, new.name, &undoing).await,
        Err(failed) if !failed.refused => return Effect::Unknown(failed.trouble),
        Err(failed) => taken_back(&mut manager, new.name, &undoing, failed).await,
    };
    let made = [&new.role.creation_statements, &new.role.rollback_statements];
    give_back(at, manager, &made);
    effect
}

/// Tells the server the new end in the role's words.
pub(super) async fn renew(
    at: &MySql,
    call: &AccountCall<'_>,
    (name, role): (&str, &Role),
    until: Timestamp,
) -> Effect {
    let values = Placeholders {
        name,
        password: "",
        expiration: &time(until),
    };
    let texts = match rendered(&role.renew_statements, &values) {
        Ok(texts) => texts,
        Err(trouble) => return Effect::NotApplied(trouble),
    };
    let mut manager = match pool::take(at, call).await {
        Ok(manager) => manager,
        Err(trouble) => return Effect::NotApplied(trouble),
    };
    match run(&mut manager, &texts).await {
        Ok(()) => {
            give_back(at, manager, &[&role.renew_statements]);
            Effect::applied()
        }
        Err(failed) if failed.refused && failed.done == 0 => {
            Effect::NotApplied(cured(&mut manager.session, failed.trouble).await)
        }
        Err(failed) => Effect::Unknown(failed.trouble),
    }
}

/// Keeps a session for others, unless a role's statements may have changed it.
pub(super) fn give_back(at: &MySql, manager: pool::Pooled, said: &[&Vec<String>]) {
    let plain = |texts: &&Vec<String>| {
        split(texts, Dialect::Mysql).is_ok_and(|all| all.iter().all(leaves_no_trace))
    };
    if said.iter().all(plain) {
        at.pool.give_back(manager);
    }
}

type Texts = Vec<Zeroizing<String>>;

/// What makes the account, and what the role says to take it back.
fn texts(server: &Server, new: &NewAccount<'_>) -> Result<(Texts, Texts), Trouble> {
    let password = std::str::from_utf8(new.password.expose());
    let password = password.map_err(|_| TroubleKind::Credential)?;
    let values = Placeholders {
        name: new.name,
        password: "",
        expiration: &time(new.expires_at),
    };
    let mut making = Vec::new();
    for statement in statements(&new.role.creation_statements)? {
        let text = identified::stored(&statement, server.family, password)?;
        for one in statements(&[text.to_string()])? {
            making.push(render(&one, &values)?);
        }
    }
    let undoing = rendered(&new.role.rollback_statements, &values)?;
    Ok((making, undoing))
}

fn render(statement: &Statement, values: &Placeholders<'_>) -> Result<Zeroizing<String>, Trouble> {
    let text = statement.render(values);
    text.map_err(|error| Trouble::new(TroubleKind::Settings).remedy(error.to_string()))
}

/// A role's statements, none of which holds a password.
pub(super) fn rendered(texts: &[String], values: &Placeholders<'_>) -> Result<Texts, Trouble> {
    let statements = statements(texts)?;
    statements.iter().map(|one| render(one, values)).collect()
}

/// Runs a role's statements until one fails.
pub(super) async fn run(manager: &mut Ready, texts: &Texts) -> Result<(), Failed> {
    let set = manager.reads(Words::Role).await;
    set.map_err(|trouble| Failed {
        done: 0,
        refused: true,
        trouble,
    })?;
    for (done, text) in texts.iter().enumerate() {
        manager.session.doubt = false;
        if let Err(trouble) = manager.session.change(text).await {
            let refused = !manager.session.doubt;
            manager.session.doubt |= done > 0;
            return Err(Failed {
                done,
                refused,
                trouble,
            });
        }
    }
    Ok(())
}

/// Whether there is an account of the name that the lease has: what has another name could never be
/// removed. It is taken back as the role says.
async fn is_made(manager: &mut Ready, name: &str, undoing: &Texts) -> Effect {
    match look::rows(manager, &[name]).await {
        Ok(rows) if rows.is_empty() => {}
        Ok(_) => return Effect::applied(),
        Err(trouble) => return Effect::Unknown(trouble),
    }
    let undone = run(manager, undoing).await;
    let trouble = Trouble::new(TroubleKind::Settings).code("not_made").remedy(
        "let the role's creation_statements make the very account {{name}}: \
         CREATE USER '{{name}}'@'%', with nothing beside the name, and drop what they made",
    );
    match undone {
        Ok(()) => Effect::NotApplied(trouble),
        Err(_) => Effect::Unknown(trouble),
    }
}

/// Takes back what was made before a statement was refused. Whether nothing is left is looked at,
/// never assumed.
async fn taken_back(manager: &mut Ready, name: &str, undoing: &Texts, failed: Failed) -> Effect {
    let trouble = cured(&mut manager.session, failed.trouble).await;
    let first = failed.done == 0;
    if first && trouble.kind == TroubleKind::Privilege {
        // Rights are looked at before anything is done.
        return Effect::NotApplied(trouble);
    }
    let undone = match first {
        true => true,
        false => match undoing.is_empty() {
            true => drop_all(manager, name).await.is_ok(),
            false => run(manager, undoing).await.is_ok(),
        },
    };
    match look::rows(manager, &[name]).await {
        Ok(rows) if rows.is_empty() && undone => Effect::NotApplied(trouble),
        _ => Effect::Unknown(trouble),
    }
}

async fn drop_all(manager: &mut Ready, name: &str) -> Result<(), Trouble> {
    for (name, host) in look::rows(manager, &[name]).await? {
        let account = quote::account(&name, &host);
        let drop = format!("DROP USER IF EXISTS {account}");
        manager.session.change(&drop).await?;
    }
    Ok(())
}
