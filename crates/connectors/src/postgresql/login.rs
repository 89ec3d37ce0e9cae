//! A login the way a consumer takes it.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Login, Reach, Refusal};
use scaivault_core::target::{Trouble, TroubleKind};
use tokio_postgres::SimpleQueryMessage;

use super::manager;
use super::session::{NoLogin, Session};
use super::settings::Settings;
use super::{account, trouble};
use crate::value::needed;

/// Logs in and asks who that made us.
pub(super) async fn login(reach: &dyn Reach, call: &Call<'_>, credential: &Plaintext) -> Login {
    match attempt(reach, call, credential).await {
        Ok(login) => login,
        Err(trouble) => Login::Unknown(trouble),
    }
}

async fn attempt(
    reach: &dyn Reach,
    call: &Call<'_>,
    credential: &Plaintext,
) -> Result<Login, Trouble> {
    let settings = Settings::read(call.settings)?;
    let is_manager = |manager| account::same_role(manager, credential);
    let place = match call.manager.is_some_and(is_manager) {
        // Not where consumers go: a pooler need not know the manager.
        true => settings.place.clone(),
        false => settings.login_place(credential)?,
    };
    let user = needed(credential, "username")?;
    let password = account::password(credential)?;
    match Session::open(reach, &settings, &place, (&user, &password)).await {
        Ok(session) => who(&session, &user).await,
        Err(NoLogin::Trouble(trouble)) => Err(trouble),
        Err(NoLogin::Refused(error, trouble)) => match refusal(&error) {
            Some(Refusal::Credential) if is_expired(reach, &settings, call, &user).await => {
                Ok(Login::Refused(Refusal::Expired))
            }
            Some(refusal) => Ok(Login::Refused(refusal)),
            None if trouble.kind == TroubleKind::ManagerRefused => {
                Err(Trouble::new(TroubleKind::Settings)
                    .code(trouble.code.unwrap_or_default())
                    .remedy("allow this account from this address in pg_hba.conf"))
            }
            None => Err(trouble),
        },
    }
}

/// Asked with the simple protocol: poolers of transactions know it.
async fn who(session: &Session, user: &str) -> Result<Login, Trouble> {
    let asked = session.client.simple_query("SELECT session_user").await;
    let rows = asked.map_err(|error| trouble::statement(&error))?;
    let answered = rows.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    match answered {
        Some(answered) if answered == user => Ok(Login::Accepted),
        Some(_) => Ok(Login::Refused(Refusal::AnotherAccount)),
        None => Err(TroubleKind::Protocol.into()),
    }
}

fn refusal(error: &tokio_postgres::Error) -> Option<Refusal> {
    let answer = error.as_db_error()?;
    match answer.code().code() {
        "28P01" => Some(Refusal::Credential),
        // The same code for a host that is not let in; the place in the server's source differs.
        "28000" if answer.routine() != Some("ClientAuthentication") => Some(Refusal::Locked),
        "08P01" if is_poolers_refusal(answer.message()) => Some(Refusal::Credential),
        _ => None,
    }
}

/// PgBouncer gives its refusals the code of a protocol error; only the text tells them apart.
fn is_poolers_refusal(message: &str) -> bool {
    message == "no such user" || message.contains("authentication failed")
}

/// An expired password is refused like a wrong one; only the role itself tells them apart.
async fn is_expired(
    reach: &dyn Reach,
    settings: &Settings<'_>,
    call: &Call<'_>,
    user: &str,
) -> bool {
    if call.manager.is_none() {
        return false;
    }
    let Ok(manager) = manager::open(reach, settings, call).await else {
        return false;
    };
    let asked = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1::text AND rolcanlogin \
                 AND rolvaliduntil <= pg_catalog.now()";
    let found = manager.client.query(asked, &[&user]).await;
    found.is_ok_and(|rows| !rows.is_empty())
}
