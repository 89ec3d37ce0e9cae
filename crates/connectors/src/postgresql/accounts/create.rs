//! Making an account, and telling the server its new end: one transaction in one message.

use std::time::Duration;

use scaivault_core::dynamic::{Placeholders, Role, Statement};
use scaivault_core::ports::{AccountCall, Effect, NewAccount};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use scaivault_crypto::SystemEntropy;
use zeroize::Zeroizing;

use super::super::session::Session;
use super::super::transaction::not_applied;
use super::super::verifier::verifier;
use super::super::{Postgresql, sql, trouble};
use super::{pool, statements, time};
use crate::begun::Begun;
use crate::pool::leaves_no_trace;

const BEGIN: &str = "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL statement_timeout = '15s';\n";
const COMMIT: &str = "COMMIT";
/// A division by nothing.
const NONE_THERE: &str = "22012";

/// What makes the account.
pub(super) fn text(new: &NewAccount<'_>) -> Result<Zeroizing<String>, Trouble> {
    let password = std::str::from_utf8(new.password.expose());
    let password = password.map_err(|_| TroubleKind::Credential)?;
    let values = Placeholders {
        name: new.name,
        password: &verifier(password, &SystemEntropy)?,
        expiration: &time(new.expires_at),
    };
    // As an identifier within a text: what has another name is not there.
    let made = format!(
        "SELECT 1 / (pg_catalog.to_regrole({}) IS NOT NULL)::pg_catalog.int4;",
        sql::text(&sql::name(new.name))
    );
    whole(&statements(&new.role.creation_statements)?, &values, &made)
}

/// What the statements came to, of which the last one says whether there is an account of the name
/// that the lease has. What has another name could never be removed.
pub(super) fn told(effect: Effect) -> Effect {
    match effect {
        Effect::NotApplied(trouble) if trouble.code.as_deref() == Some(NONE_THERE) => {
            Effect::NotApplied(Trouble::new(TroubleKind::Settings).code("not_made").remedy(
                "let the role's creation_statements make the very account {{name}}: \
                 CREATE ROLE \"{{name}}\", in double quotes and with nothing beside it",
            ))
        }
        effect => effect,
    }
}

/// What moves its end.
pub(super) fn renewal(
    name: &str,
    role: &Role,
    until: Timestamp,
) -> Result<Zeroizing<String>, Trouble> {
    let until = time(until);
    if role.renew_statements.is_empty() {
        let (name, until) = (sql::name(name), sql::text(&until));
        let text = format!("{BEGIN}ALTER ROLE {name} VALID UNTIL {until};\n{COMMIT}");
        return Ok(Zeroizing::new(text));
    }
    let values = Placeholders {
        name,
        password: "",
        expiration: &until,
    };
    transaction(&statements(&role.renew_statements)?, &values)
}

/// Statements as one transaction.
pub(super) fn transaction(
    statements: &[Statement],
    values: &Placeholders<'_>,
) -> Result<Zeroizing<String>, Trouble> {
    whole(statements, values, "")
}

/// The same, and a last statement of ours.
fn whole(
    statements: &[Statement],
    values: &Placeholders<'_>,
    last: &str,
) -> Result<Zeroizing<String>, Trouble> {
    let mut texts = Vec::with_capacity(statements.len());
    for statement in statements {
        let text = statement.render(values);
        texts.push(
            text.map_err(|error| Trouble::new(TroubleKind::Settings).remedy(error.to_string()))?,
        );
    }
    let length: usize = texts.iter().map(|text| text.len() + 2).sum();
    let mut whole = Zeroizing::new(String::with_capacity(
        BEGIN.len() + length + last.len() + COMMIT.len(),
    ));
    whole.push_str(BEGIN);
    for text in texts {
        whole.push_str(&text);
        // On a line of its own: a comment may end the statement.
        whole.push_str("\n;");
    }
    whole.push_str(last);
    whole.push_str(COMMIT);
    Ok(whole)
}

/// Times a transaction is sent that others get in the way of.
const ATTEMPTS: u32 = 12;
/// Before the second; longer before each later one.
const PAUSE: Duration = Duration::from_millis(5);

/// Another transaction granted something on the same object (PostgreSQL refuses the later one as
/// an internal error), or the two waited for each other. All of it was taken back.
fn is_overtaken(error: &tokio_postgres::Error) -> bool {
    match trouble::code(error) {
        Some("40001" | "40P01") => true,
        Some("XX000") => error
            .as_db_error()
            .is_some_and(|error| error.message().contains("concurrently")),
        _ => false,
    }
}

/// Sends a transaction, again where others got in its way. After an error none is open.
pub(super) async fn send(manager: &Session, text: &str) -> Result<(), tokio_postgres::Error> {
    let mut attempt = 1;
    loop {
        let Err(error) = manager.client.batch_execute(text).await else {
            return Ok(());
        };
        if manager.client.batch_execute("ROLLBACK").await.is_err()
            || !is_overtaken(&error)
            || attempt == ATTEMPTS
        {
            return Err(error);
        }
        tokio::time::sleep(PAUSE * attempt).await;
        attempt += 1;
    }
}

/// Runs it; `said` is what a role said of it.
pub(super) async fn run(
    at: &Postgresql,
    call: &AccountCall<'_>,
    text: &str,
    said: &[String],
) -> Effect {
    let begun = Begun::now();
    let manager = match pool::take(at, call).await {
        Ok(manager) => manager,
        Err(trouble) => return not_applied(trouble),
    };
    if let Err(trouble) = begun.in_time() {
        return not_applied(trouble);
    }
    match send(&manager, text).await {
        Ok(()) => {
            if statements(said).is_ok_and(|all| all.iter().all(leaves_no_trace)) {
                at.pool.give_back(manager);
            }
            Effect::applied()
        }
        Err(error) => failed(&error),
    }
}

/// What an error in the middle of a transaction means. The server takes back what it refuses; but
/// it may be told to stop right after the commit, and one that does not answer may have done it.
pub(super) fn failed(error: &tokio_postgres::Error) -> Effect {
    let what = trouble::statement(error);
    let settled = trouble::code(error)
        .is_some_and(|code| !code.starts_with("08") && !code.starts_with("57P") && code != "40003");
    match settled {
        true => Effect::NotApplied(what),
        false => Effect::Unknown(what),
    }
}
