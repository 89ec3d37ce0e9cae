//! The way to targets: core's [`Reach`] over the operating system's resolver. A name is looked up
//! once per connection, every address is judged, and connectors get addresses, never the name: one
//! that changes its answer between look-up and use gains nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::ports::Reach;
use scaivault_core::target::{Trouble, TroubleKind};

use super::resolve::{ADDRESSES_MAX, Lookup, SystemLookup};
use super::target_policy::TargetPolicy;

/// A look-up. Shorter than a connector's call, so that one that hangs is known to have changed
/// nothing.
const LOOKUP_MAX: Duration = Duration::from_secs(5);

/// The way, behind the policy.
pub(crate) struct GuardedReach {
    policy: TargetPolicy,
    lookup: Arc<dyn Lookup>,
}

impl GuardedReach {
    /// With the operating system's resolver.
    pub(crate) fn new(policy: TargetPolicy) -> Self {
        Self::with_lookup(policy, Arc::new(SystemLookup::default()))
    }

    /// With another resolver, whose answers are judged just the same.
    pub(super) fn with_lookup(policy: TargetPolicy, lookup: Arc<dyn Lookup>) -> Self {
        Self { policy, lookup }
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Trouble> {
        let literal = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        if let Ok(address) = literal.parse() {
            return Ok(vec![address]);
        }
        let unreachable = || Trouble::new(TroubleKind::Unreachable);
        let looking = tokio::time::timeout(LOOKUP_MAX, self.lookup.addresses(host));
        let found = looking.await.map_err(|_| unreachable())?;
        let found = found.map_err(|_| unreachable())?;
        match found.is_empty() {
            true => Err(unreachable()),
            false => Ok(found),
        }
    }
}

#[async_trait]
impl Reach for GuardedReach {
    async fn reach(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Trouble> {
        let found = self.addresses(host).await?;
        let open = found
            .iter()
            .filter(|address| self.policy.permits(**address));
        // Canonical, so that what was judged as IPv4 is dialled so.
        let pinned: Vec<_> = open
            .map(|address| SocketAddr::new(address.to_canonical(), port))
            .take(ADDRESSES_MAX)
            .collect();
        match pinned.is_empty() {
            true => Err(TroubleKind::NotPermitted.into()),
            false => Ok(pinned),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Answers with each list once, with the last one for ever after; never with none.
    struct Scripted(Vec<Vec<IpAddr>>, AtomicUsize);

    #[async_trait]
    impl Lookup for Scripted {
        async fn addresses(&self, _host: &str) -> std::io::Result<Vec<IpAddr>> {
            let asked = self.1.fetch_add(1, Ordering::Relaxed);
            match self.0.get(asked.min(self.0.len().saturating_sub(1))) {
                Some(list) => Ok(list.clone()),
                None => std::future::pending().await,
            }
        }
    }

    fn way(policy: TargetPolicy, answers: &[&[&str]]) -> (GuardedReach, Arc<Scripted>) {
        let list = |texts: &&[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().map(list).collect();
        let lookup = Arc::new(Scripted(answers, AtomicUsize::new(0)));
        (GuardedReach::with_lookup(policy, lookup.clone()), lookup)
    }

    async fn kind(way: &GuardedReach, host: &str) -> TroubleKind {
        way.reach(host, 5432).await.unwrap_err().kind
    }

    #[tokio::test]
    async fn only_what_may_be_reached_is_answered_and_it_is_pinned() {
        let answer = [
            "127.0.0.1",
            "10.0.0.7",
            "::ffff:10.0.0.8",
            "169.254.169.254",
        ];
        let (way, lookup) = way(TargetPolicy::default(), &[&answer, &["127.0.0.1"]]);
        let pinned = way.reach("db.example", 5432).await.unwrap();
        let expect = ["10.0.0.7:5432", "10.0.0.8:5432"];
        assert_eq!(pinned, expect.map(|text| text.parse().unwrap()));
        assert_eq!(lookup.1.load(Ordering::Relaxed), 1, "asked once");
        // Nothing is remembered: the next connection is judged by the next answer.
        assert_eq!(kind(&way, "db.example").await, TroubleKind::NotPermitted);
    }

    #[tokio::test]
    async fn addresses_are_judged_without_being_looked_up() {
        let (closed, lookup) = way(TargetPolicy::default(), &[&["10.0.0.1"]]);
        for host in [
            "127.0.0.1",
            "::1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
        ] {
            assert_eq!(
                kind(&closed, host).await,
                TroubleKind::NotPermitted,
                "{host}"
            );
        }
        let (open, _) = way(TargetPolicy::default().with_loopback(), &[]);
        let pinned = open.reach("[::1]", 1).await.unwrap();
        assert_eq!(pinned, ["[::1]:1".parse().unwrap()]);
        assert_eq!(lookup.1.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn other_notations_are_names_whose_answer_is_judged() {
        let way = GuardedReach::new(TargetPolicy::default());
        for host in ["2130706433", "0x7f.1", "127.1", "localhost"] {
            let kind = kind(&way, host).await;
            let refused = [TroubleKind::NotPermitted, TroubleKind::Unreachable];
            assert!(refused.contains(&kind), "{host}: {kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_without_an_answer_is_unreachable() {
        let (nothing, _) = way(TargetPolicy::default(), &[&[]]);
        assert_eq!(kind(&nothing, "db").await, TroubleKind::Unreachable);
        let (silent, _) = way(TargetPolicy::default(), &[]);
        assert_eq!(kind(&silent, "db").await, TroubleKind::Unreachable);
        let system = GuardedReach::new(TargetPolicy::default());
        for host in ["", "a\0b", "no.such.host.invalid"] {
            assert_eq!(
                kind(&system, host).await,
                TroubleKind::Unreachable,
                "{host:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_long_answer_is_cut() {
        let many: Vec<String> = (1..100).map(|n| format!("10.0.0.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (way, _) = way(TargetPolicy::default(), &[&many]);
        assert_eq!(way.reach("db", 1).await.unwrap().len(), ADDRESSES_MAX);
    }
}
