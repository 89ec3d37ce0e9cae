//! Which connectors there are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::ports::{Connector, Connectors, Descriptor, Reach};

use crate::bounded::Bounded;

/// How long one call of a connector may take before its outcome counts as unknown.
pub const CALL_MAX: Duration = Duration::from_secs(20);

/// Connectors by name, each call bounded in time.
pub struct Registry(BTreeMap<&'static str, Arc<dyn Connector>>);

impl Registry {
    /// Every connector that is built in, reaching targets through `reach`.
    pub fn built_in(reach: &Arc<dyn Reach>) -> Self {
        let all: Vec<Arc<dyn Connector>> = vec![
            // One line per connector.
            #[cfg(feature = "mysql")]
            Arc::new(crate::mysql::MySql::new(Arc::clone(reach))),
            #[cfg(feature = "http_key")]
            Arc::new(crate::http_key::HttpKey::new(Arc::clone(reach))),
            #[cfg(feature = "postgresql")]
            Arc::new(crate::postgresql::Postgresql::new(Arc::clone(reach))),
            #[cfg(feature = "redis")]
            Arc::new(crate::redis::Redis::new(Arc::clone(reach))),
            #[cfg(feature = "ssh")]
            Arc::new(crate::ssh::Ssh),
        ];
        let _ = reach;
        Self::of(all)
    }

    /// The given connectors.
    pub fn of(all: Vec<Arc<dyn Connector>>) -> Self {
        let bounded = all.into_iter().map(|connector| {
            let name = connector.descriptor().name;
            let bounded: Arc<dyn Connector> = Arc::new(Bounded::new(connector, CALL_MAX));
            (name, bounded)
        });
        Self(bounded.collect())
    }
}

impl Connectors for Registry {
    fn get(&self, name: &str) -> Option<Arc<dyn Connector>> {
        self.0.get(name).cloned()
    }

    fn list(&self) -> Vec<Descriptor> {
        self.0
            .values()
            .map(|connector| connector.descriptor())
            .collect()
    }
}
