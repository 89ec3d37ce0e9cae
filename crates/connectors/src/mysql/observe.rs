//! Observations: logins the way a consumer makes them, and open sessions.

use std::sync::Arc;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Login, Reach, Refusal, Sessions};
use scaivault_core::target::{Overlap, Trouble, TroubleKind};

use super::effects;
use super::kill;
use super::session::{Session, Shut};
use super::settings::{Accounts, Place};
use super::{password_of, username_of};
use crate::value;

/// Logs in and asks which account answered.
pub(super) async fn login(
    reach: &Arc<dyn Reach>,
    call: &Call<'_>,
    credential: &Plaintext,
) -> Login {
    let read = || {
        let name = username_of(credential)?;
        let manager = call.manager.and_then(|manager| username_of(manager).ok());
        let place = match manager {
            // Not where consumers go: a proxy need not know the manager.
            Some(manager) if manager == name => Place::of_manager(call.settings)?,
            _ => Place::of_consumer(call.settings, credential)?,
        };
        Ok::<_, Trouble>((place, name, password_of(credential)?))
    };
    let (place, name, password) = match read() {
        Ok(read) => read,
        Err(trouble) => return Login::Unknown(trouble),
    };
    let database = value::text(credential, "database");
    let database = database.as_ref().map(|name| name.as_str());
    let mut session = match Session::open(reach, &place, &name, &password, database).await {
        Ok(session) => session,
        Err(Shut::Refused(refusal, _)) => return Login::Refused(refusal),
        Err(Shut::Trouble(trouble)) => return Login::Unknown(trouble),
    };
    let answered = session.current_user().await;
    session.close().await;
    match answered {
        Ok((answered, _)) if answered == *name => Login::Accepted,
        Ok(_) => Login::Refused(Refusal::AnotherAccount),
        // Let in only to change its password.
        Err(trouble) if trouble.code.as_deref() == Some("1820") => Login::Refused(Refusal::Expired),
        Err(trouble) => Login::Unknown(trouble),
    }
}

/// The open sessions of a credential.
pub(super) async fn sessions(
    session: &mut Session,
    call: &Call<'_>,
    credential: &Plaintext,
) -> Result<Sessions, Trouble> {
    let name = username_of(credential)?;
    Accounts::read(call.account)?.own(&name)?;
    let server = effects::known(session).await?;
    kill::may(session, &server).await?;
    let open = kill::of(session, &name).await?;
    let count = |len: usize| Sessions::Open(u64::try_from(len).unwrap_or(u64::MAX));
    if call.overlap == Overlap::TwoUsers || open.is_empty() {
        return Ok(count(open.len()));
    }
    // One account, two passwords: the server does not tell who came with which.
    let older = call.promoted_for.map(|age| kill::surely_older(&open, age));
    Ok(match older {
        Some(older) if !older.is_empty() => count(older.len()),
        _ => Sessions::NotObservable,
    })
}

/// Names of throw-away accounts.
pub(super) async fn sweep(session: &mut Session, prefix: &str) -> Result<Vec<String>, Trouble> {
    let prefix_literal = super::quote::text(prefix);
    let sql = format!(
        "SELECT DISTINCT CAST(User AS CHAR) FROM mysql.user \
         WHERE LEFT(User, {}) = {prefix_literal} ORDER BY 1",
        prefix.chars().count()
    );
    let names: Vec<String> = session.rows(&sql).await?;
    let own = names.into_iter().filter(|name| name.starts_with(prefix));
    let names: Vec<String> = own.collect();
    match names.iter().all(|name| !name.chars().any(char::is_control)) {
        true => Ok(names),
        false => Err(TroubleKind::Protocol.into()),
    }
}
