//! A manager's sessions between two accounts: a login costs more than an account.
//!
//! A session is kept for a short while under everything that it was opened with, so that another
//! password of the manager, or another address, opens another one.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use parking_lot::Mutex;
use scaivault_core::dynamic::Statement;
use scaivault_core::ports::AccountCall;
use scaivault_core::target::{Trouble, TroubleKind};

/// How long one waits to be used again.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How many wait for one manager.
const IDLE_SESSIONS_MAX: usize = 8;

type Key = [u8; 32];

/// What can be kept.
pub(crate) trait Keep: Send {
    /// Whether its other end is known to be gone.
    fn is_closed(&self) -> bool;
}

/// Sessions that wait.
pub(crate) struct Pool<S>(Arc<Mutex<Waiting<S>>>);

struct Waiting<S> {
    by_key: HashMap<Key, Vec<(S, Instant)>>,
    /// Somebody comes by to close what has waited too long.
    watched: bool,
}

impl<S> Default for Pool<S> {
    fn default() -> Self {
        let waiting = Waiting {
            by_key: HashMap::new(),
            watched: false,
        };
        Self(Arc::new(Mutex::new(waiting)))
    }
}

impl<S: Keep> Waiting<S> {
    fn close_old(&mut self) {
        let now = Instant::now();
        self.by_key.retain(|_, sessions| {
            sessions.retain(|(session, since)| {
                now.duration_since(*since) < IDLE_MAX && !session.is_closed()
            });
            !sessions.is_empty()
        });
    }
}

/// Closes what nobody asks for, until nothing waits: a session of an earlier password counts as a
/// use of that password for as long as it is open.
async fn watch<S: Keep>(waiting: Weak<Mutex<Waiting<S>>>) {
    loop {
        tokio::time::sleep(IDLE_MAX / 6).await;
        let Some(waiting) = waiting.upgrade() else {
            return;
        };
        let mut waiting = waiting.lock();
        waiting.close_old();
        if waiting.by_key.is_empty() {
            waiting.watched = false;
            return;
        }
    }
}

/// A session in use. It ends when it is dropped; [`Pool::give_back`] keeps it.
pub(crate) struct Pooled<S> {
    session: S,
    key: Key,
}

impl<S> Deref for Pooled<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.session
    }
}

impl<S> DerefMut for Pooled<S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.session
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

impl<S: Keep + 'static> Pool<S> {
    /// One that waits.
    pub(crate) fn waiting(&self, call: &AccountCall<'_>) -> Result<Option<Pooled<S>>, Trouble> {
        let key = key(call)?;
        let mut waiting = self.0.lock();
        waiting.close_old();
        let found = waiting.by_key.get_mut(&key).and_then(Vec::pop);
        Ok(found.map(|(session, _)| Pooled { session, key }))
    }

    /// One that was opened for this call.
    pub(crate) fn opened(call: &AccountCall<'_>, session: S) -> Result<Pooled<S>, Trouble> {
        let key = key(call)?;
        Ok(Pooled { session, key })
    }

    /// Keeps a session that is in the middle of nothing.
    pub(crate) fn give_back(&self, pooled: Pooled<S>) {
        if pooled.session.is_closed() {
            return;
        }
        let mut waiting = self.0.lock();
        let sessions = waiting.by_key.entry(pooled.key).or_default();
        if sessions.len() < IDLE_SESSIONS_MAX {
            sessions.push((pooled.session, Instant::now()));
        }
        if !waiting.watched
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            waiting.watched = true;
            runtime.spawn(watch(Arc::downgrade(&self.0)));
        }
    }
}

/// Whether a session that ran a role's statement is as it was before. Others may have changed
/// whose rights or which schema its next statement has.
pub(crate) fn leaves_no_trace(statement: &Statement) -> bool {
    const PLAIN: [&str; 7] = [
        "create", "alter", "drop", "grant", "revoke", "comment", "reassign",
    ];
    let first = statement.text().split_whitespace().next().unwrap_or("");
    PLAIN.contains(&first.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use scaivault_core::plaintext::Plaintext;
    use serde_json::json;

    use super::*;

    struct One(u32, bool);

    impl Keep for One {
        fn is_closed(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn a_session_is_for_those_it_was_opened_for_and_only_while_it_lives() {
        let settings = json!({"host": "a"}).as_object().unwrap().clone();
        let other = json!({"host": "b"}).as_object().unwrap().clone();
        let (manager, second) = (
            Plaintext::new(b"one".to_vec()),
            Plaintext::new(b"two".to_vec()),
        );
        let call = |settings, manager| AccountCall {
            settings,
            manager: Some(manager),
        };
        let own = call(&settings, &manager);
        let pool = Pool::default();
        assert!(pool.waiting(&own).unwrap().is_none());
        pool.give_back(Pool::opened(&own, One(7, false)).unwrap());
        for (settings, manager) in [(&other, &manager), (&settings, &second)] {
            assert!(pool.waiting(&call(settings, manager)).unwrap().is_none());
        }
        assert_eq!(pool.waiting(&own).unwrap().unwrap().0, 7);
        assert!(pool.waiting(&own).unwrap().is_none(), "it is in use");
        pool.give_back(Pool::opened(&own, One(8, true)).unwrap());
        assert!(pool.waiting(&own).unwrap().is_none(), "it is closed");
        for _ in 0..2 * IDLE_SESSIONS_MAX {
            pool.give_back(Pool::opened(&own, One(9, false)).unwrap());
        }
        let kept = (0..).take_while(|_| pool.waiting(&own).unwrap().is_some());
        assert_eq!(kept.count(), IDLE_SESSIONS_MAX);
        let nobody = AccountCall {
            manager: None,
            ..own
        };
        assert!(pool.waiting(&nobody).is_err());
    }
}
