//! Request rates per (tenant, identity, category): token buckets with continuous refill.
//!
//! Promises: in any window of time, whatever the number of threads, one identity gets at most
//! the category's limit plus what the window refilled; a decision is one hash, one short lock
//! and integer arithmetic; memory is bounded, whoever asks. Buckets that are full again say
//! nothing and are forgotten. Never keyed by address: behind one proxy all clients share it.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use parking_lot::Mutex;
use scaivault_core::time::Timestamp;

/// What a request is counted as. Names and default limits are the API document's (1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Category {
    Read,
    Write,
    Delete,
    List,
    BatchRead,
    BatchMetadata,
    Audit,
    AuditExport,
    Policy,
    PolicyTest,
    IdentityRead,
    Auth,
    Webhook,
    Subscription,
    Poll,
    Rotation,
    DynamicAdmin,
    DynamicGenerate,
    Lease,
}

impl Category {
    /// Every category, in the order of the discriminants.
    pub(crate) const ALL: [Self; 19] = [
        Self::Read,
        Self::Write,
        Self::Delete,
        Self::List,
        Self::BatchRead,
        Self::BatchMetadata,
        Self::Audit,
        Self::AuditExport,
        Self::Policy,
        Self::PolicyTest,
        Self::IdentityRead,
        Self::Auth,
        Self::Webhook,
        Self::Subscription,
        Self::Poll,
        Self::Rotation,
        Self::DynamicAdmin,
        Self::DynamicGenerate,
        Self::Lease,
    ];

    /// The word in configuration and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Delete => "delete",
            Self::List => "list",
            Self::BatchRead => "batch_read",
            Self::BatchMetadata => "batch_metadata",
            Self::Audit => "audit",
            Self::AuditExport => "audit_export",
            Self::Policy => "policy",
            Self::PolicyTest => "policy_test",
            Self::IdentityRead => "identity_read",
            Self::Auth => "auth",
            Self::Webhook => "webhook",
            Self::Subscription => "subscription",
            Self::Poll => "poll",
            Self::Rotation => "rotation",
            Self::DynamicAdmin => "dynamic_admin",
            Self::DynamicGenerate => "dynamic_generate",
            Self::Lease => "lease",
        }
    }

    /// Its place in [`Self::ALL`].
    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

/// Requests per minute by category; 0 is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits([u32; Category::ALL.len()]);

impl Limits {
    /// From a limit for each category.
    pub(crate) fn new(limit: impl Fn(Category) -> u32) -> Self {
        Self(Category::ALL.map(limit))
    }

    /// Of one category.
    pub(crate) fn of(&self, category: Category) -> u32 {
        self.0[category.index()]
    }
}

/// The answer to one request, and what its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Whether it may go on. A refused request costs nothing.
    pub allowed: bool,
    /// Requests per minute; 0 when there is no limit, and then the headers are left out.
    pub limit: u32,
    /// Whole requests left now.
    pub remaining: u32,
    /// When the bucket is full again if nothing more is asked, Unix seconds, rounded up.
    pub reset_at_unix_s: i64,
    /// When refused: whole seconds until the same request would pass. 0 when allowed.
    pub retry_after_s: u32,
}

const SHARDS: usize = 64;
/// Buckets of one shard before the full ones are looked for; doubles as long as most are in use.
const SWEEP_FIRST: usize = 256;
/// Buckets of one shard, ever: all shards together stay below some 64 MiB.
const SHARD_BUCKETS_MAX: usize = 16_384;

const MINUTE_US: u64 = 60_000_000;

/// All buckets. Share it; every method takes `&self`.
pub(crate) struct RateLimiter {
    limits: Limits,
    keys: [RandomState; 2],
    shards: [Mutex<Shard>; SHARDS],
}

impl std::fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimiter")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl RateLimiter {
    /// With every bucket full.
    pub(crate) fn new(limits: Limits) -> Self {
        let shard = || Shard {
            buckets: HashMap::default(),
            sweep_at: SWEEP_FIRST,
        };
        Self {
            limits,
            keys: [RandomState::new(), RandomState::new()],
            shards: std::array::from_fn(|_| Mutex::new(shard())),
        }
    }

    /// Takes `cost` from the bucket, or nothing when it holds less. A cost above the limit
    /// counts as the limit, so that such a request passes once the bucket is full.
    ///
    /// `now` may jitter between callers; it may also jump back, which refills nothing.
    pub(crate) fn take(
        &self,
        tenant: &str,
        identity: &str,
        category: Category,
        now: Timestamp,
        cost: u32,
    ) -> Verdict {
        let limit = self.limits.of(category);
        if limit == 0 {
            return Verdict {
                allowed: true,
                limit: 0,
                remaining: u32::MAX,
                reset_at_unix_s: now.as_secs(),
                retry_after_s: 0,
            };
        }
        let key = self.key(tenant, identity, category);
        let shard = usize::try_from(key % SHARDS as u128).unwrap_or(0);
        self.shards[shard]
            .lock()
            .take(key, limit, now.as_micros(), cost.min(limit))
    }

    /// Gives back what was taken for something that did not come about.
    pub(crate) fn give_back(
        &self,
        tenant: &str,
        identity: &str,
        category: Category,
        now: Timestamp,
        cost: u32,
    ) {
        let limit = self.limits.of(category);
        if limit == 0 {
            return;
        }
        let key = self.key(tenant, identity, category);
        let shard = usize::try_from(key % SHARDS as u128).unwrap_or(0);
        let mut shard = self.shards[shard].lock();
        // One that was forgotten is full.
        if let Some(bucket) = shard.buckets.get_mut(&key) {
            bucket.refill(now.as_micros());
            let more = u64::from(cost.min(limit)) * MINUTE_US;
            bucket.parts = (bucket.parts + more).min(capacity(bucket.limit));
        }
    }

    /// Requests per minute of a category; 0 is no limit.
    pub(crate) fn limit(&self, category: Category) -> u32 {
        self.limits.of(category)
    }

    /// 128 bits of two keyed hashes stand for the names: no allocation, no comparison, and a
    /// collision is out of reach for whoever does not know the keys.
    fn key(&self, tenant: &str, identity: &str, category: Category) -> u128 {
        let name = (tenant, identity, category.index());
        let [high, low] =
            [&self.keys[0], &self.keys[1]].map(|keys| u128::from(keys.hash_one(name)));
        (high << 64) | low
    }

    #[cfg(test)]
    fn buckets(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.lock().buckets.len())
            .sum()
    }
}

struct Shard {
    buckets: HashMap<u128, Bucket, BuildHasherDefault<Hashed>>,
    sweep_at: usize,
}

/// Held in parts of a request, [`MINUTE_US`] of them to one, so that every microsecond refills
/// exactly `limit` parts and nothing is lost to rounding.
struct Bucket {
    parts: u64,
    limit: u32,
    at_us: i64,
}

impl Shard {
    fn take(&mut self, key: u128, limit: u32, now_us: i64, cost: u32) -> Verdict {
        if self.buckets.len() >= self.sweep_at {
            self.sweep(now_us);
        }
        let full = capacity(limit);
        let bucket = self.buckets.entry(key).or_insert(Bucket {
            parts: full,
            limit,
            at_us: now_us,
        });
        bucket.refill(now_us);
        let price = u64::from(cost) * MINUTE_US;
        let allowed = bucket.parts >= price;
        if allowed {
            bucket.parts -= price;
        }
        let missing = if allowed { 0 } else { price - bucket.parts };
        let until_full_us = (full - bucket.parts).div_ceil(u64::from(limit));
        let reset_us = now_us.saturating_add_unsigned(until_full_us);
        let retry_us = missing.div_ceil(u64::from(limit));
        Verdict {
            allowed,
            limit,
            remaining: u32::try_from(bucket.parts / MINUTE_US).unwrap_or(limit),
            reset_at_unix_s: reset_us.saturating_add(999_999).div_euclid(1_000_000),
            retry_after_s: u32::try_from(retry_us.div_ceil(1_000_000)).unwrap_or(u32::MAX),
        }
    }

    /// Forgets full buckets. Should more than the maximum be in use, which takes a million
    /// identities within a minute, the fuller half is forgotten: memory is bounded first.
    fn sweep(&mut self, now_us: i64) {
        self.buckets.retain(|_, bucket| {
            bucket.refill(now_us);
            bucket.parts < capacity(bucket.limit)
        });
        if self.buckets.len() >= SHARD_BUCKETS_MAX {
            let mut waits: Vec<u64> = self.buckets.values().map(Bucket::until_full_us).collect();
            let middle = waits.len() / 2;
            let (_, median, _) = waits.select_nth_unstable(middle);
            let (median, mut keep) = (*median, SHARD_BUCKETS_MAX / 2);
            self.buckets.retain(|_, bucket| {
                let kept = keep > 0 && bucket.until_full_us() >= median;
                keep -= usize::from(kept);
                kept
            });
        }
        self.sweep_at = (self.buckets.len() * 2).clamp(SWEEP_FIRST, SHARD_BUCKETS_MAX);
    }
}

impl Bucket {
    fn refill(&mut self, now_us: i64) {
        let elapsed = now_us.saturating_sub(self.at_us);
        if let Ok(elapsed) = u64::try_from(elapsed) {
            let gained = elapsed.min(MINUTE_US) * u64::from(self.limit);
            self.parts = (self.parts + gained).min(capacity(self.limit));
            self.at_us = now_us;
        } else if elapsed.unsigned_abs() > MINUTE_US {
            // The clock was set back. Waiting for it to catch up could take a year.
            self.at_us = now_us;
        }
        // A little earlier is another thread's older reading: that time is refilled already.
    }

    fn until_full_us(&self) -> u64 {
        (capacity(self.limit) - self.parts) / u64::from(self.limit.max(1))
    }
}

fn capacity(limit: u32) -> u64 {
    u64::from(limit) * MINUTE_US
}

/// The keys are hashes already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, key: u128) {
        // The high half: the low bits of the low half already chose the shard.
        self.0 = (key >> 64) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use proptest::prelude::*;

    use super::*;

    const START: i64 = 1_800_000_000_000_000;

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (limiter, now) = (limiter(10), Timestamp::from_micros(START));
        let take = |cost| limiter.take("t", "a", Category::Read, now, cost).allowed;
        assert!(take(7) && !take(4));
        limiter.give_back("t", "a", Category::Read, now, 7);
        limiter.give_back("t", "a", Category::Read, now, 7);
        assert!(take(10) && !take(1));
        limiter.give_back("t", "nobody", Category::Read, now, 7);
        assert_eq!(limiter.buckets(), 1);
    }

    fn limiter(limit: u32) -> RateLimiter {
        RateLimiter::new(Limits::new(|category| {
            if category == Category::Read { limit } else { 0 }
        }))
    }

    fn at(offset_us: i64) -> Timestamp {
        Timestamp::from_micros(START + offset_us)
    }

    fn take(limiter: &RateLimiter, offset_us: i64, cost: u32) -> Verdict {
        limiter.take("tnt_a", "user:a", Category::Read, at(offset_us), cost)
    }

    #[test]
    fn a_bucket_empties_and_refills_continuously() {
        let limiter = limiter(60);
        for left in (0..60).rev() {
            let verdict = take(&limiter, 0, 1);
            assert!(verdict.allowed);
            assert_eq!((verdict.limit, verdict.remaining), (60, left));
        }
        let refused = take(&limiter, 0, 1);
        assert_eq!(
            (refused.allowed, refused.remaining, refused.retry_after_s),
            (false, 0, 1)
        );
        assert_eq!(refused.reset_at_unix_s, START / 1_000_000 + 60);
        assert!(!take(&limiter, 999_999, 1).allowed);
        assert!(
            take(&limiter, 1_000_000, 1).allowed,
            "one second refills one of sixty"
        );
        assert_eq!(take(&limiter, 1_000_000, 30).retry_after_s, 30);
        assert!(take(&limiter, 31_000_000, 30).allowed);
        assert_eq!(
            take(&limiter, 600_000_000, 0).remaining,
            60,
            "never more than the limit"
        );
    }

    #[test]
    fn costs_above_the_limit_pass_when_full_and_no_limit_counts_nothing() {
        let limiter = limiter(5);
        assert!(take(&limiter, 0, 100).allowed);
        assert!(!take(&limiter, 0, 100).allowed);
        assert_eq!(take(&limiter, 0, 100).retry_after_s, 60);
        for _ in 0..10_000 {
            let verdict = limiter.take("tnt_a", "user:a", Category::Write, at(0), 1_000);
            assert_eq!((verdict.allowed, verdict.limit), (true, 0));
        }
        assert_eq!(limiter.buckets(), 1);
    }

    #[test]
    fn tenants_identities_and_categories_do_not_share() {
        let limiter = RateLimiter::new(Limits::new(|_| 1));
        for (tenant, identity) in [
            ("tnt_a", "user:a"),
            ("tnt_b", "user:a"),
            ("tnt_a", "user:b"),
            ("tnt_au", "ser:a"),
        ] {
            for category in Category::ALL {
                assert!(limiter.take(tenant, identity, category, at(0), 1).allowed);
                assert!(!limiter.take(tenant, identity, category, at(0), 1).allowed);
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_neither_gives_nor_blocks() {
        let limiter = limiter(60);
        assert!(take(&limiter, 0, 60).allowed);
        let year = 365 * 86_400 * 1_000_000;
        assert!(
            !take(&limiter, -year, 1).allowed,
            "back a year: nothing gained"
        );
        assert!(
            take(&limiter, -year + 1_000_000, 1).allowed,
            "and it goes on from there"
        );
    }

    #[test]
    fn memory_is_bounded_and_full_buckets_are_forgotten() {
        let limiter = limiter(1_000);
        for n in 0..300_000 {
            limiter.take(
                "tnt_a",
                &format!("user:{n}"),
                Category::Read,
                at(n * 1_000),
                1,
            );
        }
        // Each is full again 60 ms later: some 60 are in use at any time.
        assert!(
            limiter.buckets() <= SHARDS * SWEEP_FIRST,
            "{}",
            limiter.buckets()
        );
        for n in 0..1_200_000 {
            limiter.take(
                "tnt_a",
                &format!("sa:{n}"),
                Category::Read,
                at(400_000_000),
                1_000,
            );
        }
        assert!(
            limiter.buckets() <= SHARDS * SHARD_BUCKETS_MAX,
            "{}",
            limiter.buckets()
        );
        assert!(
            !limiter
                .take("tnt_a", "sa:1199999", Category::Read, at(400_000_000), 1)
                .allowed
        );
    }

    #[test]
    fn threads_together_never_get_more_than_the_limit() {
        let limiter = limiter(1_000);
        let allowed = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (limiter, allowed) = (&limiter, &allowed);
                scope.spawn(move || {
                    for n in 0..2_000 {
                        // Readings of eight clocks, up to a millisecond apart, over 0.2 s.
                        let verdict = take(limiter, n * 100 + thread * 125, 1);
                        allowed.fetch_add(u32::from(verdict.allowed), Ordering::Relaxed);
                    }
                });
            }
        });
        let allowed = allowed.load(Ordering::Relaxed);
        assert!((1_000..=1_004).contains(&allowed), "{allowed}");
    }

    #[test]
    fn the_list_is_complete_and_in_order() {
        for (at, category) in Category::ALL.into_iter().enumerate() {
            assert_eq!(category.index(), at);
        }
    }

    proptest! {
        #[test]
        fn no_window_ever_gets_more_than_the_limit_and_its_refill(
            limit in 1u32..2_000,
            steps in prop::collection::vec((0i64..2_000_000, 0u32..50), 1..200),
        ) {
            let limiter = limiter(limit);
            let mut now = 0;
            let mut taken: Vec<(i64, u64)> = Vec::new();
            for (step, cost) in steps {
                now += step;
                let cost = cost.min(limit);
                if take(&limiter, now, cost).allowed {
                    taken.push((now, u64::from(cost)));
                }
            }
            for from in 0..taken.len() {
                let mut sum = 0;
                for (at, cost) in &taken[from..] {
                    sum += cost;
                    let window = u64::try_from(at - taken[from].0).unwrap();
                    let bound = u64::from(limit) * (MINUTE_US + window);
                    prop_assert!(sum * MINUTE_US <= bound, "{sum} in {window} µs of {limit}/min");
                }
            }
        }

        #[test]
        fn the_promised_wait_is_enough(limit in 1u32..5_000, spent in 0u32..5_000, cost in 1u32..5_000) {
            let limiter = limiter(limit);
            take(&limiter, 0, spent);
            let verdict = take(&limiter, 0, cost);
            let wait = i64::from(verdict.retry_after_s) * 1_000_000;
            prop_assert!(verdict.allowed || (wait > 0 && take(&limiter, wait, cost).allowed));
        }
    }
}
