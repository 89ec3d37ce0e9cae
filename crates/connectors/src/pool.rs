//! A manager's sessions between two accounts: a login costs more than an account.
//!
//! A session is kept for a short while under everything that it was opened with, so that another
//! address opens another one. Another password of the manager ends those that were opened with the
//! one before: whoever changes it wants them gone.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use std::time::Duration;

use aws_lc_rs::digest;
use parking_lot::Mutex;
use scaivault_core::dynamic::Statement;
use scaivault_core::ports::AccountCall;
use scaivault_core::target::{Trouble, TroubleKind};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::value;

/// How long one waits to be used again.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How old one gets, however often it is used. While the manager's password is changed, a session
/// may be opened with the new one before its readers have it. It began before they did, so whoever
/// waits for the sessions of before to end waits for this one, too.
const AGE_MAX: Duration = Duration::from_secs(60);
/// From one look for those that waited so long to the next.
const REAPED_EVERY: Duration = Duration::from_secs(10);
/// How many wait for one manager.
const IDLE_SESSIONS_MAX: usize = 12;
/// One that waited for longer is asked before it is used: what is between may have forgotten it.
const TRUSTED: Duration = Duration::from_secs(2);

type Hash = [u8; 32];

/// Where a session was opened and as whom, and with which value of the manager.
#[derive(Clone, Copy)]
struct Key {
    place: Hash,
    manager: Hash,
}

/// What can be kept.
pub(crate) trait Keep: Send + 'static {
    /// Whether its other end is known to be gone.
    fn is_closed(&self) -> bool;
}

/// One that waits.
struct Idle<S> {
    session: S,
    opened: Instant,
    since: Instant,
}

/// Of one manager.
struct Waiting<S> {
    manager: Hash,
    sessions: Vec<Idle<S>>,
}

struct State<S> {
    waiting: HashMap<Hash, Waiting<S>>,
    /// Somebody comes to end those that waited too long.
    reaped: bool,
}

impl<S: Keep> State<S> {
    /// Takes out those that waited too long, to be dropped without the lock.
    fn overdue(&mut self) -> Vec<S> {
        let now = Instant::now();
        let mut overdue = Vec::new();
        for waiting in self.waiting.values_mut() {
            let (keep, end): (Vec<_>, Vec<_>) = std::mem::take(&mut waiting.sessions)
                .into_iter()
                .partition(|idle| {
                    now.duration_since(idle.since) < IDLE_MAX && !idle.session.is_closed()
                });
            waiting.sessions = keep;
            overdue.extend(end.into_iter().map(|idle| idle.session));
        }
        self.waiting
            .retain(|_, waiting| !waiting.sessions.is_empty());
        overdue
    }
}

/// Sessions that wait.
pub(crate) struct Pool<S>(Arc<Mutex<State<S>>>);

impl<S> Default for Pool<S> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            waiting: HashMap::new(),
            reaped: false,
        })))
    }
}

/// A session in use. It ends when it is dropped; [`Pool::give_back`] keeps it.
pub(crate) struct Pooled<S> {
    session: S,
    key: Key,
    opened: Instant,
    waited: Duration,
}

impl<S> Pooled<S> {
    /// Whether it waited so long that it is asked before it is used.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.waited > TRUSTED
    }
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
    let user = value::text(manager, "username").unwrap_or_default();
    Ok(Key {
        place: hash(&settings, user.as_bytes()),
        manager: hash(&settings, manager.expose()),
    })
}

fn hash(settings: &[u8], manager: &[u8]) -> Hash {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&u64::try_from(settings.len()).unwrap_or(0).to_be_bytes());
    hash.update(settings);
    hash.update(manager);
    let mut out = Hash::default();
    out.copy_from_slice(hash.finish().as_ref());
    out
}

impl<S: Keep> Pool<S> {
    /// One that waits. Those of another value of the manager end.
    pub(crate) fn waiting(&self, call: &AccountCall<'_>) -> Result<Option<Pooled<S>>, Trouble> {
        let key = key(call)?;
        let (found, _ended, _others) = {
            let mut state = self.0.lock();
            let ended = state.overdue();
            let waiting = state.waiting.get(&key.place);
            let others = match waiting.is_some_and(|waiting| waiting.manager != key.manager) {
                true => state.waiting.remove(&key.place),
                false => None,
            };
            let waiting = state.waiting.get_mut(&key.place);
            let found = waiting.and_then(|waiting| waiting.sessions.pop());
            (found, ended, others)
        };
        Ok(found.map(|idle| Pooled {
            session: idle.session,
            key,
            opened: idle.opened,
            waited: idle.since.elapsed(),
        }))
    }

    /// One that was opened for this call.
    pub(crate) fn opened(call: &AccountCall<'_>, session: S) -> Result<Pooled<S>, Trouble> {
        let key = key(call)?;
        Ok(Pooled {
            session,
            key,
            opened: Instant::now(),
            waited: Duration::ZERO,
        })
    }

    /// Keeps a session that is in the middle of nothing, unless it is old.
    pub(crate) fn give_back(&self, pooled: Pooled<S>) {
        let Pooled {
            session,
            key,
            opened,
            ..
        } = pooled;
        if session.is_closed() || opened.elapsed() >= AGE_MAX {
            return;
        }
        let mut state = self.0.lock();
        let waiting = state.waiting.entry(key.place).or_insert_with(|| Waiting {
            manager: key.manager,
            sessions: Vec::new(),
        });
        // Of a value that another one stands in place of by now: it ends.
        let kept = waiting.manager == key.manager && waiting.sessions.len() < IDLE_SESSIONS_MAX;
        if kept {
            waiting.sessions.push(Idle {
                session,
                opened,
                since: Instant::now(),
            });
        }
        if !state.reaped
            && let Ok(runtime) = Handle::try_current()
        {
            state.reaped = true;
            runtime.spawn(reap(Arc::downgrade(&self.0)));
        }
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        let state = self.0.lock();
        let waiting = state.waiting.values();
        waiting.map(|waiting| waiting.sessions.len()).sum()
    }
}

/// Ends those that waited too long, until none waits.
async fn reap<S: Keep>(pool: Weak<Mutex<State<S>>>) {
    loop {
        tokio::time::sleep(REAPED_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let _overdue = {
            let mut state = pool.lock();
            let overdue = state.overdue();
            state.reaped = !state.waiting.is_empty();
            if !state.reaped {
                return;
            }
            overdue
        };
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
    use serde_json::{Map, Value, json};

    use super::*;

    struct One(u32, bool);

    impl Keep for One {
        fn is_closed(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn a_session_is_for_those_it_was_opened_for_and_only_while_it_lives() {
        let (settings, other) = (settings("a"), settings("b"));
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
        assert!(pool.waiting(&call(&other, &manager)).unwrap().is_none());
        assert_eq!(pool.waiting(&own).unwrap().unwrap().0, 7);
        assert!(pool.waiting(&call(&settings, &second)).unwrap().is_none());
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

    fn settings(host: &str) -> Map<String, Value> {
        Map::from_iter([("host".to_owned(), host.into())])
    }

    fn manager(name: &str, password: &str) -> Plaintext {
        let value = json!({ "username": name, "password": password });
        Plaintext::new(value.to_string().into_bytes())
    }

    #[test]
    fn another_password_of_a_manager_ends_the_sessions_of_the_one_before() {
        let settings = settings("a");
        let (old, new, other) = (
            manager("root", "one"),
            manager("root", "two"),
            manager("other", "x"),
        );
        let call = |manager| AccountCall {
            settings: &settings,
            manager: Some(manager),
        };
        let pool = Pool::default();
        pool.give_back(Pool::opened(&call(&old), One(1, false)).unwrap());
        pool.give_back(Pool::opened(&call(&other), One(2, false)).unwrap());
        let in_use = Pool::opened(&call(&old), One(3, false)).unwrap();
        assert!(pool.waiting(&call(&new)).unwrap().is_none());
        assert_eq!(pool.count(), 1, "another manager's stay");
        pool.give_back(Pool::opened(&call(&new), One(4, false)).unwrap());
        pool.give_back(in_use);
        assert_eq!(pool.waiting(&call(&new)).unwrap().unwrap().0, 4);
        assert!(pool.waiting(&call(&new)).unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_always_used_ends_too() {
        let (settings, own) = (settings("a"), manager("root", "one"));
        let call = AccountCall {
            settings: &settings,
            manager: Some(&own),
        };
        let pool = Pool::default();
        pool.give_back(Pool::opened(&call, One(7, false)).unwrap());
        let begun = Instant::now();
        while let Some(used) = pool.waiting(&call).unwrap() {
            assert!(begun.elapsed() <= AGE_MAX, "it is as old as it gets");
            tokio::time::sleep(Duration::from_secs(1)).await;
            pool.give_back(used);
        }
        assert!(begun.elapsed() >= AGE_MAX, "it was kept until then");
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_that_nobody_uses_end_by_themselves() {
        let (settings, own) = (settings("a"), manager("root", "one"));
        let call = AccountCall {
            settings: &settings,
            manager: Some(&own),
        };
        let pool = Pool::default();
        for round in 0..2 {
            pool.give_back(Pool::opened(&call, One(7, false)).unwrap());
            tokio::time::sleep(TRUSTED * 2).await;
            let used = pool.waiting(&call).unwrap().unwrap();
            assert!(used.is_doubtful(), "it is asked first");
            pool.give_back(used);
            tokio::time::sleep(IDLE_MAX + 2 * REAPED_EVERY).await;
            assert_eq!(pool.count(), 0, "{round}");
        }
    }
}
