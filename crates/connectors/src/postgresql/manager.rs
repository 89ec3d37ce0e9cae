//! The manager: its sessions, and the change of its own password.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Effect, Reach};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_crypto::SystemEntropy;

use super::session::Session;
use super::settings::Settings;
use super::transaction::not_applied;
use super::verifier::verifier;
use super::{account, sql, trouble};
use crate::value::text;

/// Logs in as the manager.
pub(super) async fn open(
    reach: &dyn Reach,
    settings: &Settings<'_>,
    call: &Call<'_>,
) -> Result<Session, Trouble> {
    open_of(reach, settings, call.manager).await
}

/// Logs in as this manager.
pub(super) async fn open_of(
    reach: &dyn Reach,
    settings: &Settings<'_>,
    manager: Option<&Plaintext>,
) -> Result<Session, Trouble> {
    let manager = manager.ok_or(TroubleKind::ManagerMissing)?;
    open_as(reach, settings, manager).await
}

async fn open_as(
    reach: &dyn Reach,
    settings: &Settings<'_>,
    manager: &Plaintext,
) -> Result<Session, Trouble> {
    let user = text(manager, "username").ok_or(TroubleKind::ManagerMissing)?;
    let password = text(manager, "password").ok_or(TroubleKind::ManagerMissing)?;
    let session = Session::open(reach, settings, &settings.place, (&user, &password)).await?;
    Ok(session)
}

/// Changes the manager's password to that of `candidate`.
pub(super) async fn rotate(
    reach: &dyn Reach,
    call: &Call<'_>,
    candidate: &Plaintext,
) -> Result<(), Effect> {
    let settings = Settings::read(call.settings).map_err(not_applied)?;
    let missing = || not_applied(TroubleKind::ManagerMissing);
    let current = call.manager.ok_or_else(missing)?;
    if !account::same_role(current, candidate) {
        let remedy = "let the new value name the same role: a manager has one";
        let trouble = Trouble::new(TroubleKind::Settings).remedy(remedy);
        return Err(not_applied(trouble));
    }
    let new = verifier_of(candidate).map_err(not_applied)?;
    let old = verifier_of(current).map_err(not_applied)?;
    let session = match open_as(reach, &settings, current).await {
        Ok(session) => session,
        // Perhaps it was done before.
        Err(refused) if refused.kind == TroubleKind::ManagerRefused => {
            return match open_as(reach, &settings, candidate).await {
                Ok(_) => Ok(()),
                Err(_) => Err(not_applied(refused)),
            };
        }
        Err(trouble) => return Err(not_applied(trouble)),
    };
    set(&session, &new).await?;
    match open_as(reach, &settings, candidate).await {
        Ok(_) => Ok(()),
        Err(trouble) => match set(&session, &old).await {
            Ok(()) => Err(Effect::NotApplied(trouble)),
            Err(_) => Err(Effect::Unknown(trouble)),
        },
    }
}

fn verifier_of(value: &Plaintext) -> Result<String, Trouble> {
    let password = account::password(value)?;
    Ok(sql::text(&verifier(&password, &SystemEntropy)?))
}

async fn set(session: &Session, verifier: &str) -> Result<(), Effect> {
    let statement = format!(
        "ALTER ROLE {} PASSWORD {verifier}",
        sql::name(&session.user)
    );
    let done = session.client.batch_execute(&statement).await;
    done.map_err(|error| match trouble::code(&error) {
        // Refused by the server while the session goes on: nothing was changed.
        Some(_) if !session.client.is_closed() => not_applied(trouble::statement(&error)),
        _ => Effect::Unknown(trouble::statement(&error)),
    })
}
