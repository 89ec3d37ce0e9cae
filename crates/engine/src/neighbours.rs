//! Other nodes of the same store: what they change, and since when we have not heard.
//!
//! Each node follows the store's [`ChangeFeed`]. A look that succeeds tells everything that was
//! durable when it began, so from that moment on cached rows are as good as the store's; and they
//! are used for [`TRUST`] after it, no longer. A node that cannot look (cut off, paused, its
//! database overloaded) reads every row it decides by from the store, and where the store does not
//! answer, neither does the node. So a change holds on every node [`TRUST`] after it was answered,
//! whatever happens to notifications.
//!
//! A look also tells the store's time. All nodes write times that others act upon (when work is
//! due, until when it is held, when a credential was last used), so a node whose clock differs by
//! more than [`SKEW_MAX`] stands back: it commits nothing and claims nothing, and thereby answers
//! no value, until its clock is right. Between two looks the clock that cannot be set tells a jump.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use scaivault_core::ports::{ChangeFeed, Clock};
use scaivault_core::time::Timestamp;

use crate::error::VaultError;
use crate::vault::Vault;

/// How long what a look told is relied upon, counted from its beginning.
const TRUST: Duration = Duration::from_millis(700);

/// The longest from one look to the next. Shorter than [`TRUST`] by enough for two slow ones.
pub const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The most a node's clock may differ from the store's: much less than work is held for.
const SKEW_MAX: Duration = Duration::from_secs(10);

/// What is known of the neighbours.
pub(crate) struct Neighbours {
    feed: Option<Arc<dyn ChangeFeed>>,
    /// When the last look that succeeded began, in µs: by the clock that cannot be set, …
    looked_at: AtomicU64,
    /// … and by the other, which goes on while a machine sleeps. 0 before the first.
    looked_at_wall: AtomicI64,
    /// How far this node's clock was ahead of the store's then, in µs.
    ahead: AtomicI64,
}

impl Neighbours {
    pub(crate) fn new(feed: Option<Arc<dyn ChangeFeed>>) -> Self {
        Self {
            feed,
            looked_at: AtomicU64::new(0),
            looked_at_wall: AtomicI64::new(0),
            ahead: AtomicI64::new(0),
        }
    }

    /// Whether there can be any.
    pub(crate) fn exist(&self) -> bool {
        self.feed.is_some()
    }

    /// Whether a look is needed before the clock can be judged.
    fn are_unheard_of(&self) -> bool {
        self.feed.is_some() && self.looked_at_wall.load(Ordering::Acquire) == 0
    }

    /// Why this node must stand back.
    fn clock_trouble(&self, clock: &dyn Clock) -> Option<String> {
        self.feed.as_ref()?;
        let looked_at_wall = self.looked_at_wall.load(Ordering::Acquire);
        if looked_at_wall == 0 {
            return Some("this node's clock has not been compared with the store's yet".to_owned());
        }
        let (now, wall) = (micros(clock.monotonic()), clock.now().as_micros());
        let passed = now.saturating_sub(self.looked_at.load(Ordering::Acquire));
        let passed_wall = wall.saturating_sub(looked_at_wall);
        let jumped = passed_wall.saturating_sub(i64::try_from(passed).unwrap_or(i64::MAX));
        let ahead = jumped.saturating_add(self.ahead.load(Ordering::Acquire));
        let by = Duration::from_micros(ahead.unsigned_abs());
        (by > SKEW_MAX).then(|| {
            let where_ = if ahead > 0 { "ahead of" } else { "behind" };
            let seconds = by.as_secs();
            format!("this node's clock is {seconds} s {where_} the database's: set it right")
        })
    }

    /// Whether what is cached holds as far as their changes go.
    pub(crate) fn are_known(&self, clock: &dyn Clock) -> bool {
        if self.feed.is_none() {
            return true;
        }
        let trust = u64::try_from(TRUST.as_micros()).unwrap_or(0);
        let (now, wall) = (micros(clock.monotonic()), clock.now().as_micros());
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
        let (began, wall) = (micros(self.clock.monotonic()), self.clock.now());
        let changes = feed.look().await?;
        let ahead = feed.store_time().map_or(0, |time| {
            // Somewhere between beginning and end; in doubt the clock is right.
            let end = self.clock.now().as_micros();
            let (begin, time) = (wall.as_micros(), time.as_micros());
            time.clamp(begin.min(end), begin.max(end)) - time
        });
        // First, so that no jump is seen without it.
        self.neighbours.ahead.store(ahead, Ordering::Release);
        self.caches.forget(&changes);
        // In this order: a reader that sees the later time has the caches without these rows.
        self.neighbours.looked_at.store(began, Ordering::Release);
        self.neighbours
            .looked_at_wall
            .store(wall.as_micros().max(1), Ordering::Release);
        self.signals.changed_elsewhere(&changes);
        Ok(())
    }

    /// Why this node stands back: its clock is not to be trusted. It is compared first where that
    /// was not done yet.
    ///
    /// # Errors
    /// In words.
    pub(crate) async fn clock_is_right(&self) -> Result<(), String> {
        if self.neighbours.are_unheard_of() {
            // Where it fails, the clock stays unknown.
            let _ = self.neighbours_look().await;
        }
        self.clock_trouble().map_or(Ok(()), Err)
    }

    /// Now, for whoever takes work on until some time later.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`] while the clock is not to be trusted.
    pub(crate) async fn now_for_claims(&self) -> Result<Timestamp, VaultError> {
        // Taken before it is judged.
        let now = self.now();
        let right = self.clock_is_right().await;
        right.map_err(VaultError::Unavailable)?;
        Ok(now)
    }

    /// Why this node stands back, in words for operators.
    pub fn clock_trouble(&self) -> Option<String> {
        self.neighbours.clock_trouble(&*self.clock)
    }

    /// Completes when another node may have changed something, or never.
    pub async fn neighbours_news(&self) {
        match &self.neighbours.feed {
            Some(feed) => feed.news().await,
            None => std::future::pending().await,
        }
    }
}
