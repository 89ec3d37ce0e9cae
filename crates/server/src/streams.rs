//! How many streams of events are open, and by whom. A stream lives long and costs a connection,
//! so that both are bounded: by identity, so that nobody takes all, and in all.

use std::collections::HashMap;
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
}

/// Why there is no room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// This identity has as many as it may.
    Owner,
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
        open.all += 1;
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
        if let Some(own) = open.by_owner.get_mut(&self.owner) {
            *own -= 1;
            if *own == 0 {
                open.by_owner.remove(&self.owner);
            }
        }
        self.gauge.dec();
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
}
