//! The keys of one issuer: held, looked at again in time, and looked for when a token names one that
//! is not held.
//!
//! Promises:
//! - however many tokens ask, one look is under way at a time and the next begins no sooner than a
//!   pause after it;
//! - no token is refused for an unknown key before a look that began after it arrived: it waits for
//!   the pause to end instead, so a valid one signed by a key published a moment ago is not refused;
//! - a key that a look does not find is gone with it; keys that cannot be looked at again are
//!   believed for a bounded time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use scaivault_core::issuer::{Issuer, KeysFrom};
use scaivault_core::ports::{Clock, Documents, FetchError};
use scaivault_crypto::jwt::{KeySet, KeySetError};
use serde::Deserialize;

/// Tokens of one issuer that wait for a look at its keys; one more is told to come again.
const WAITING_MAX: usize = 256;
/// After a look that failed.
const RETRY: Duration = Duration::from_secs(30);

/// Keys, and since when they are believed.
pub(super) struct Held {
    pub(super) set: KeySet,
    /// Another one after every change.
    pub(super) epoch: u64,
    /// When the look began that found them; `None` when they were given and do not age.
    seen_at: Option<Duration>,
}

#[derive(Clone)]
pub(super) struct Keys(Arc<Inner>);

struct Inner {
    name: String,
    url: String,
    from: KeysFrom,
    every: Duration,
    pause: Duration,
    age_max: Duration,
    documents: Arc<dyn Documents>,
    state: Mutex<State>,
    looking: Arc<tokio::sync::Mutex<()>>,
    waiting: AtomicUsize,
}

#[derive(Default)]
struct State {
    held: Option<Arc<Held>>,
    /// When the last look began, and whether it found a key set.
    last: Option<(Duration, bool)>,
}

/// What came of asking for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    /// The keys are those of a look that began since.
    Looked,
    /// There was one, and it found nothing.
    Failed,
    /// Too many wait already.
    Crowded,
}

/// Why a look found nothing.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("{what}: {error}")]
    Fetch {
        what: &'static str,
        error: FetchError,
    },
    #[error("its discovery document is not one, or another issuer's")]
    Discovery,
    #[error("its key set is none: {0}")]
    KeySet(#[from] KeySetError),
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(
        issuer: &Issuer,
        documents: &Arc<dyn Documents>,
    ) -> Result<Self, KeySetError> {
        let held = match &issuer.keys_from {
            KeysFrom::Given(bytes) => Some(Arc::new(Held {
                set: KeySet::parse(bytes)?,
                epoch: 1,
                seen_at: None,
            })),
            KeysFrom::Discovery | KeysFrom::Url(_) => None,
        };
        Ok(Self(Arc::new(Inner {
            name: issuer.name.clone(),
            url: issuer.url.clone(),
            from: issuer.keys_from.clone(),
            every: issuer.refresh_every,
            pause: issuer.refresh_pause,
            age_max: issuer.keys_max_age,
            documents: documents.clone(),
            state: Mutex::new(State { held, last: None }),
            looking: Arc::default(),
            waiting: AtomicUsize::new(0),
        })))
    }

    /// Takes over what was known of the same key set, so that nobody is refused for want of a look.
    /// How old it is stays known.
    pub(super) fn adopt(&self, earlier: &Self) {
        let same = self.0.url == earlier.0.url && self.0.from == earlier.0.from;
        if same && !matches!(self.0.from, KeysFrom::Given(_)) {
            let held = earlier.0.state.lock().held.clone();
            self.0.state.lock().held = held;
        }
    }

    /// The keys that are believed now.
    pub(super) fn believed(&self, now: Duration) -> Option<Arc<Held>> {
        let held = self.0.state.lock().held.clone()?;
        let young = |seen| now.saturating_sub(seen) < self.0.age_max;
        held.seen_at.is_none_or(young).then_some(held)
    }

    /// Waits for a look that begins no sooner than `arrived`, and looks if nobody else does.
    pub(super) async fn look_since(&self, arrived: Duration, clock: Arc<dyn Clock>) -> Refresh {
        if matches!(self.0.from, KeysFrom::Given(_)) {
            return Refresh::Looked;
        }
        let Some(_place) = Place::take(&self.0.waiting) else {
            return Refresh::Crowded;
        };
        let looking = self.0.looking.clone().lock_owned().await;
        let last = self.0.state.lock().last;
        if let Some((began, found)) = last {
            if began >= arrived {
                return outcome(found);
            }
            let passed = clock.monotonic().saturating_sub(began);
            tokio::time::sleep(self.0.pause.saturating_sub(passed)).await;
        }
        self.look(looking, clock).await
    }

    /// Looks if it is time to, and answers how long until it is.
    pub(super) async fn look_if_due(&self, clock: Arc<dyn Clock>) -> Duration {
        if matches!(self.0.from, KeysFrom::Given(_)) {
            return self.0.every;
        }
        let due_in = |last: Option<(Duration, bool)>| match last {
            None => Duration::ZERO,
            Some((began, found)) => {
                let rest = if found {
                    self.0.every
                } else {
                    self.0.every.min(RETRY)
                };
                rest.saturating_sub(clock.monotonic().saturating_sub(began))
            }
        };
        if due_in(self.0.state.lock().last).is_zero() {
            let looking = self.0.looking.clone().lock_owned().await;
            if due_in(self.0.state.lock().last).is_zero() {
                self.look(looking, clock.clone()).await;
            }
        }
        due_in(self.0.state.lock().last)
    }

    /// One look, which goes on when whoever asked for it is gone: it was begun, and others wait.
    async fn look(
        &self,
        looking: tokio::sync::OwnedMutexGuard<()>,
        clock: Arc<dyn Clock>,
    ) -> Refresh {
        let inner = self.0.clone();
        let look = tokio::spawn(async move {
            let began = clock.monotonic();
            let found = inner.fetch().await;
            let refresh = outcome(found.is_ok());
            inner.settle(began, found);
            drop(looking);
            refresh
        });
        look.await.unwrap_or(Refresh::Failed)
    }
}

fn outcome(found: bool) -> Refresh {
    if found {
        Refresh::Looked
    } else {
        Refresh::Failed
    }
}

impl Inner {
    async fn fetch(&self) -> Result<KeySet, LookError> {
        let fetched = async |what, url: &str| {
            let document = self.documents.fetch(&self.name, url).await;
            document.map_err(|error| LookError::Fetch { what, error })
        };
        let url = match &self.from {
            KeysFrom::Url(url) => url.clone(),
            KeysFrom::Discovery | KeysFrom::Given(_) => {
                let base = self.url.trim_end_matches('/');
                let at = format!("{base}/.well-known/openid-configuration");
                let document = fetched("its discovery document", &at).await?;
                let read: Result<Discovery, _> = serde_json::from_slice(&document);
                // One that speaks for another issuer would have that one's keys believed for ours.
                let own = read.ok().filter(|found| found.issuer == self.url);
                own.ok_or(LookError::Discovery)?.jwks_uri
            }
        };
        Ok(KeySet::parse(&fetched("its key set", &url).await?)?)
    }

    fn settle(&self, began: Duration, found: Result<KeySet, LookError>) {
        let mut state = self.state.lock();
        let failed_before = state.last.is_some_and(|(_, found)| !found);
        state.last = Some((began, found.is_ok()));
        let set = match found {
            Ok(set) => set,
            Err(error) => {
                drop(state);
                tracing::warn!(issuer = %self.name, %error, "the issuer's keys could not be looked at");
                return;
            }
        };
        let before = state.held.clone();
        let same = before.as_ref().is_some_and(|held| held.set == set);
        let epoch = before.map_or(0, |held| held.epoch) + u64::from(!same);
        let keys = set.len();
        state.held = Some(Arc::new(Held {
            set,
            epoch,
            seen_at: Some(began),
        }));
        drop(state);
        if keys == 0 {
            tracing::warn!(issuer = %self.name, "the issuer publishes no key that could be used");
        } else if !same || failed_before {
            tracing::info!(issuer = %self.name, keys, "the issuer's keys are known");
        }
    }
}

/// One of the places to wait at.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        // Counted first: given back by the drop of a place that was one too many.
        (waiting.fetch_add(1, Ordering::Relaxed) < WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
