//! How many streams of events are open, and by whom. A stream lives long and costs a connection,
//! so that they are bounded: by identity and by tenant, so that nobody takes all, and in all.
//!
//! A tenant's bound is its share: as long as a quarter of the places is free anybody may have one;
//! after that only tenants that have fewer than an equal part of all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;

type Owner = (String, String);

/// The open streams of one node. Clones share the numbers.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    all: usize,
    by_owner: HashMap<Owner, usize>,
    by_tenant: HashMap<String, usize>,
}

impl Open {
    /// Whether this tenant has its share, now that places are few.
    fn has_its_share(&self, tenant: &str, most: usize) -> bool {
        let own = self.by_tenant.get(tenant).copied().unwrap_or(0);
        let tenants = self.by_tenant.len() + usize::from(own == 0);
        self.all >= most - most / 4 && own >= most.div_ceil(tenants)
    }
}

/// Why there is no room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// This identity has as many as it may.
    Owner,
    /// Its tenant has its share, and little is left.
    Tenant,
    /// The node has.
    Node,
}

impl Streams {
    /// A place for one stream of `identity`, given back when it is dropped.
    pub(crate) fn open(
        &self,
        (tenant, identity): (&str, &str),
        own_most: usize,
        most: usize,
        gauge: &Gauge,
    ) -> Result<Place, Full> {
        let owner = (tenant.to_owned(), identity.to_owned());
        let mut open = self.0.lock();
        let own = open.by_owner.get(&owner).copied().unwrap_or(0);
        if own >= own_most {
            return Err(Full::Owner);
        }
        if open.all >= most {
            return Err(Full::Node);
        }
        if open.has_its_share(tenant, most) {
            return Err(Full::Tenant);
        }
        open.all += 1;
        *open.by_tenant.entry(tenant.to_owned()).or_default() += 1;
        open.by_owner.insert(owner.clone(), own + 1);
        gauge.inc();
        Ok(Place {
            streams: self.clone(),
            owner,
            gauge: gauge.clone(),
        })
    }
}

/// One open stream.
pub(crate) struct Place {
    streams: Streams,
    owner: Owner,
    gauge: Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        open.all -= 1;
        give_back(&mut open.by_owner, &self.owner);
        give_back(&mut open.by_tenant, &self.owner.0);
        self.gauge.dec();
    }
}

fn give_back<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_by_owner_and_in_all_and_come_back() {
        let (streams, gauge) = (Streams::default(), Gauge::default());
        let open = |who: &str| streams.open(("tnt_a", who), 2, 3, &gauge);
        let first = open("sa:a").unwrap_or_else(|_| panic!("room"));
        let _second = open("sa:a").unwrap_or_else(|_| panic!("room"));
        assert_eq!(open("sa:a").err(), Some(Full::Owner));
        let _third = open("sa:b").unwrap_or_else(|_| panic!("room"));
        assert_eq!(open("sa:c").err(), Some(Full::Node));
        assert_eq!(gauge.get(), 3);
        drop(first);
        assert_eq!(gauge.get(), 2);
        assert!(open("sa:a").is_ok(), "the place came back");
        assert_eq!(streams.0.lock().by_owner.len(), 2);
    }

    #[test]
    fn when_places_are_few_a_tenant_has_no_more_than_its_share() {
        let (streams, gauge) = (Streams::default(), Gauge::default());
        let open = |tenant: &str, n: usize| {
            let who = format!("sa:{n}");
            streams.open((tenant, &who), 1, 8, &gauge)
        };
        let alone: Vec<_> = (0..8).map(|n| open("tnt_a", n)).collect();
        assert!(alone.iter().all(Result::is_ok), "one alone may have all");
        assert_eq!(open("tnt_b", 0).err(), Some(Full::Node));
        drop(alone);
        let _loud: Vec<_> = (0..5).map(|n| open("tnt_a", n)).collect();
        let other = open("tnt_b", 0);
        assert!(other.is_ok());
        assert_eq!(open("tnt_a", 5).err(), Some(Full::Tenant), "5 of 8, of two");
        let _second = open("tnt_b", 1);
        assert_eq!(gauge.get(), 7);
        drop(other);
        assert_eq!(open("tnt_a", 6).err(), Some(Full::Tenant));
        assert!(open("tnt_c", 0).is_ok());
    }
}
