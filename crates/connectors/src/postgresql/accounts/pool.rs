//! The manager's sessions between two accounts: a login costs more than an account.
//!
//! A session is kept for a short while under everything that it was opened with, so that another
//! password of the manager, or another address, opens another one.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use scaivault_core::ports::{AccountCall, Reach};
use scaivault_core::target::{Trouble, TroubleKind};

use super::super::manager;
use super::super::session::Session;
use super::super::settings::Settings;

/// How long one waits to be used again.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How many wait for one manager.
const IDLE_SESSIONS_MAX: usize = 8;

type Key = [u8; 32];

#[derive(Default)]
pub(in super::super) struct Pool(Mutex<HashMap<Key, Vec<(Session, Instant)>>>);

/// A session in use. It ends when it is dropped; [`Pool::give_back`] keeps it.
pub(super) struct Pooled {
    session: Session,
    key: Key,
}

impl Deref for Pooled {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

fn key(call: &AccountCall<'_>) -> Result<Key, Trouble> {
    let manager = call.manager.ok_or(TroubleKind::ManagerMissing)?;
    let settings = serde_json::to_vec(call.settings).map_err(|_| TroubleKind::Settings)?;
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&u64::try_from(settings.len()).unwrap_or(0).to_be_bytes());
    hash.update(&settings);
    hash.update(manager.expose());
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    Ok(key)
}

impl Pool {
    /// One that waits, or a new one.
    pub(super) async fn take(
        &self,
        reach: &dyn Reach,
        call: &AccountCall<'_>,
    ) -> Result<Pooled, Trouble> {
        let key = key(call)?;
        if let Some(session) = self.waiting(&key) {
            return Ok(Pooled { session, key });
        }
        let settings = Settings::read(call.settings)?;
        let session = manager::open_of(reach, &settings, call.manager).await?;
        Ok(Pooled { session, key })
    }

    fn waiting(&self, key: &Key) -> Option<Session> {
        let now = Instant::now();
        let mut waiting = self.0.lock();
        waiting.retain(|_, sessions| {
            sessions.retain(|(session, since)| {
                now.duration_since(*since) < IDLE_MAX && !session.client.is_closed()
            });
            !sessions.is_empty()
        });
        waiting.get_mut(key)?.pop().map(|(session, _)| session)
    }

    /// Keeps a session that is in no transaction.
    pub(super) fn give_back(&self, pooled: Pooled) {
        if pooled.session.client.is_closed() {
            return;
        }
        let mut waiting = self.0.lock();
        let sessions = waiting.entry(pooled.key).or_default();
        if sessions.len() < IDLE_SESSIONS_MAX {
            sessions.push((pooled.session, Instant::now()));
        }
    }
}
