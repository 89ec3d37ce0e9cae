//! What of all connectors reads settings, for the targets of `crates/fuzz` and for nothing else. Each
//! connector's own readers and quoting are in its `probes`.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use scaivault_core::ports::{Connector, Connectors as _, FieldProblem, Reach};
use scaivault_core::target::{Trouble, TroubleKind};
use serde_json::{Map, Value};

/// How many authorities there are in a PEM text; `None` when not all of it is understood.
pub fn authorities(pem: &str) -> Option<usize> {
    crate::tls::authorities(pem).map(|store| store.len())
}

struct Nowhere;

#[async_trait]
impl Reach for Nowhere {
    async fn reach(&self, _: &str, _: u16) -> Result<Vec<SocketAddr>, Trouble> {
        Err(Trouble::new(TroubleKind::NotPermitted))
    }
}

/// Every connector, without a way to any target.
pub fn connectors() -> Vec<Arc<dyn Connector>> {
    let nowhere: Arc<dyn Reach> = Arc::new(Nowhere);
    let all = crate::Registry::built_in(&nowhere);
    let named = all.list().into_iter();
    named.filter_map(|one| all.get(one.name)).collect()
}

/// What a connector has to say of settings, and of an account with every overlap it can do.
pub fn problems(connector: &dyn Connector, fields: &Map<String, Value>) -> Vec<FieldProblem> {
    let mut found = connector.check_settings(fields);
    for overlap in connector.descriptor().overlaps {
        found.extend(connector.check_account(fields, *overlap));
    }
    found
}
