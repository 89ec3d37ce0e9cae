//! The manager's own password: changed by its open session, which stays until a new login has
//! worked and puts the old one back when it did not.

use std::sync::Arc;

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Effect, Reach};
use scaivault_core::target::{Trouble, TroubleKind};

use super::effects;
use super::rows;
use super::session::{Session, Shut};
use super::settings::{Accounts, Place};
use super::statements::Writer;
use super::{manager_refused, open_manager, password_of, username_of};

/// Changes it.
pub(super) async fn apply(
    reach: &Arc<dyn Reach>,
    call: &Call<'_>,
    candidate: &Plaintext,
) -> Effect {
    // Made already? The old password would be refused then.
    if let Ok(session) = log_in(reach, call, candidate).await {
        session.close().await;
        return Effect::applied();
    }
    let mut session = match open_manager(reach, call).await {
        Ok(session) => session,
        Err(trouble) => return Effect::NotApplied(trouble),
    };
    let done = change(&mut session, reach, call, candidate).await;
    let effect = session.outcome(done);
    session.close().await;
    effect
}

async fn change(
    session: &mut Session,
    reach: &Arc<dyn Reach>,
    call: &Call<'_>,
    candidate: &Plaintext,
) -> Result<(), Trouble> {
    let (name, host) = session.current_user().await?;
    if *username_of(candidate)? != name {
        return Err(TroubleKind::Credential.into());
    }
    let password = password_of(candidate)?;
    let server = effects::known(session).await?;
    let alone = Accounts {
        names: vec![name.clone()],
        hosts: Vec::new(),
        role: None,
    };
    effects::lock(session, &alone).await?;
    let rows = rows::of(session, &server, &name).await?;
    effects::fence(&rows, call.epoch)?;
    let row = rows.iter().find(|row| row.host == host);
    let row = row.ok_or(TroubleKind::NoAccount)?;
    let writer = Writer {
        server: &server,
        name: &name,
        epoch: call.epoch,
    };
    effects::run(session, &writer.accept_alone(row, &password, false)?).await?;
    match log_in(reach, call, candidate).await {
        Ok(new) => {
            new.close().await;
            Ok(())
        }
        Err(shut) => {
            session.change(&writer.restore(row)).await?;
            session.doubt = false;
            Err(match shut {
                Shut::Refused(_, code) => manager_refused(code),
                Shut::Trouble(trouble) => trouble,
            })
        }
    }
}

async fn log_in(
    reach: &Arc<dyn Reach>,
    call: &Call<'_>,
    credential: &Plaintext,
) -> Result<Session, Shut> {
    let read = || {
        let place = Place::of_manager(call.settings)?;
        Ok::<_, Trouble>((place, username_of(credential)?, password_of(credential)?))
    };
    let (place, name, password) = read().map_err(Shut::Trouble)?;
    Session::open(reach, &place, &name, &password, None).await
}
