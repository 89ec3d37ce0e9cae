//! Other nodes of the same store: what they change, and since when we have not heard.
//!
//! Each node follows the store's [`ChangeFeed`]. A look that succeeds tells everything that was
//! durable when it began, so from that moment on cached rows are as good as the store's; and they
//! are used for [`TRUST`] after it, no longer. A node that cannot look (cut off, paused, its
//! database overloaded) reads every row it decides by from the store, and where the store does not
//! answer, neither does the node. So a change holds on every node [`TRUST`] after it was answered,
//! whatever happens to notifications.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use scaivault_core::ports::{ChangeFeed, Clock};

use crate::error::VaultError;
use crate::vault::Vault;

/// How long what a look told is relied upon, counted from its beginning.
const TRUST: Duration = Duration::from_millis(700);

/// The longest from one look to the next. Shorter than [`TRUST`] by enough for two slow ones.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is known of the neighbours.
pub(crate) struct Neighbours {
    feed: Option<Arc<dyn ChangeFeed>>,
    /// When the last look that succeeded began, in µs: by the clock that cannot be set, …
    looked_at: AtomicU64,
    /// … and by the other, which goes on while a machine sleeps. 0 before the first.
    looked_at_wall: AtomicI64,
}

impl Neighbours {
    pub(crate) fn new(feed: Option<Arc<dyn ChangeFeed>>) -> Self {
        Self {
            feed,
            looked_at: AtomicU64::new(0),
            looked_at_wall: AtomicI64::new(0),
        }
    }

    /// Whether there can be any.
    pub(crate) fn exist(&self) -> bool {
        self.feed.is_some()
    }

    /// Whether what is cached holds as far as their changes go.
    pub(crate) fn are_known(&self, clock: &dyn Clock) -> bool {
        if self.feed.is_none() {
            return true;
        }
        let trust = u64::try_from(TRUST.as_micros()).unwrap_or(0);
        let (now, wall) = (micros(clock.monotonic()), clock.witness().as_micros());
        let known = self.looked_at_wall.load(Ordering::Acquire);
        let since = now.checked_sub(self.looked_at.load(Ordering::Acquire));
        let since_wall = u64::try_from(wall.saturating_sub(known));
        known != 0
            && since.is_some_and(|since| since < trust)
            && since_wall.is_ok_and(|since| since < trust)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Vault {
    /// Whether other nodes may work on the same store.
    pub fn has_neighbours(&self) -> bool {
        self.neighbours.exist()
    }

    /// Looks once at what other nodes changed, forgets what that makes stale and wakes who waits
    /// for it.
    ///
    /// # Errors
    /// The store could not be asked: caches are passed by soon, until a look succeeds.
    pub async fn neighbours_look(&self) -> Result<(), VaultError> {
        let Some(feed) = &self.neighbours.feed else {
            return Ok(());
        };
        let (began, wall) = (micros(self.clock.monotonic()), self.clock.witness());
        let changes = feed.look().await?;
        if changes.keys || changes.everything {
            self.keys_take_in().await?;
        }
        self.caches.forget(&changes);
        // In this order: a reader that sees the later time has the caches without these rows.
        self.neighbours.looked_at.store(began, Ordering::Release);
        self.neighbours
            .looked_at_wall
            .store(wall.as_micros().max(1), Ordering::Release);
        self.signals.changed_elsewhere(&changes);
        Ok(())
    }

    /// Completes when another node may have changed something, or never.
    pub async fn neighbours_news(&self) {
        match &self.neighbours.feed {
            Some(feed) => feed.news().await,
            None => std::future::pending().await,
        }
    }
}
