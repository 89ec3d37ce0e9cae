//! Handing the trail over: one node at a time, from the place that was kept.

use std::time::Duration;

use scaivault_core::audit_export::ExportHead;
use scaivault_core::ports::UnitName;
use scaivault_testkit::{Fault, When};

use crate::world::World;

fn at(seq: u64) -> Vec<ExportHead> {
    vec![ExportHead {
        chain: "abcdef".to_owned(),
        last_seq: seq,
        head: "00".repeat(32),
    }]
}

#[tokio::test]
async fn one_node_hands_over_and_the_next_goes_on_where_it_was() {
    let world = World::new().await;
    let vault = &world.vault;
    let rows = world.audit().await.len();
    let mut first = vault.forward_claim("siem", "a").await.unwrap().unwrap();
    assert!(first.heads.is_empty());
    assert!(vault.forward_keep(&mut first, at(7)).await.unwrap());
    assert!(vault.forward_claim("siem", "b").await.unwrap().is_none());
    // Another destination is another matter.
    assert!(vault.forward_claim("other", "b").await.unwrap().is_some());
    // A node that is started again does not wait for itself.
    let mut again = vault.forward_claim("siem", "a").await.unwrap().unwrap();
    assert_eq!(again.heads, at(7));
    assert!(!vault.forward_keep(&mut first, at(8)).await.unwrap());
    assert!(vault.forward_keep(&mut again, at(9)).await.unwrap());
    // One that went silent is not waited for for ever.
    world.jump(Duration::from_secs(21)).await;
    let other = vault.forward_claim("siem", "b").await.unwrap().unwrap();
    assert_eq!(other.heads, at(9));
    assert!(!vault.forward_keep(&mut again, at(10)).await.unwrap());
    // One that stops says so.
    let mut other = other;
    assert!(vault.forward_release(&mut other).await.unwrap());
    let last = vault.forward_claim("siem", "c").await.unwrap().unwrap();
    assert_eq!(last.heads, at(9));
    assert_eq!(
        world.audit().await.len(),
        rows,
        "it makes no rows to hand over"
    );
}

#[tokio::test]
async fn a_lost_commit_leaves_the_place_before_or_after() {
    for fault in [Fault::Unit, Fault::Answer] {
        let world = World::new().await;
        let vault = &world.vault;
        let mut held = vault.forward_claim("siem", "a").await.unwrap().unwrap();
        world.store.arm(UnitName::AuditForward, When::Nth(1), fault);
        let kept = vault.forward_keep(&mut held, at(5)).await;
        assert!(kept.is_err(), "{fault:?}: {kept:?}");
        let found = vault.forward_find("siem").await.unwrap().unwrap();
        let expect = match fault {
            Fault::Answer => at(5),
            _ => Vec::new(),
        };
        assert_eq!(found.heads, expect, "{fault:?}");
        // Whoever comes next goes on from what is stored.
        let next = vault.forward_claim("siem", "a").await.unwrap().unwrap();
        assert_eq!(next.heads, expect);
    }
}
