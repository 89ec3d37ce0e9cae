//! Leases put into a store that no server has open, as they stand after their accounts were made.

use std::time::Duration;

use anyhow::Result;
use scaivault_core::dynamic::{Lease, Revocation, RoleTerms};
use scaivault_core::identity::Identity;
use scaivault_core::ids::{EngineId, LeaseId};
use scaivault_core::ports::{Clock, Record, Store, Unit, UnitName};
use scaivault_core::time::Timestamp;
use scaivault_crypto::SystemEntropy;
use scaivault_engine::default_tenant;
use scaivault_server::SystemClock;

use super::world::file_of;
use crate::peer::Product;
use crate::peer::direct::Opened;

/// In one commit.
const TOGETHER: usize = 500;

/// The name of the account of one of them.
pub(super) fn account(number: usize) -> String {
    format!("filled_reader_{number:06}")
}

/// Stores that many leases of an engine, all of which end at this time.
pub(super) async fn leases(
    product: &Product,
    engine_id: &str,
    count: usize,
    expires_at: Timestamp,
) -> Result<()> {
    let Opened { store, .. } = Opened::open(file_of(product)?, product.key_file()).await?;
    let now = SystemClock.now();
    let engine_id = EngineId::parse(engine_id)?;
    let ttl = expires_at.since(now);
    let terms = RoleTerms {
        default_ttl: ttl,
        max_ttl: ttl.max(Duration::from_secs(86_400)),
    };
    let one = |number: usize| {
        let lease = Lease::intended(
            LeaseId::mint(now, &SystemEntropy),
            default_tenant(),
            engine_id.clone(),
            ("reader".to_owned(), Revocation::default()),
            account(number),
            (Identity::parse("sa:bench")?, None),
            (Some(ttl), terms),
            now,
        );
        // One row, as if it had been written twice.
        anyhow::Ok(Lease {
            revision: 1,
            ..lease.confirmed(None)
        })
    };
    let mut number = 0;
    while number < count {
        let mut unit = Unit::new(UnitName::LeaseMade);
        for _ in 0..TOGETHER.min(count - number) {
            unit = unit.put(Record::Lease(one(number)?));
            number += 1;
        }
        Store::commit(&*store, unit).await?;
    }
    Ok(())
}
