//! The index finds what a walk over all rows finds, however far it reaches; and a call that looks
//! at little at a time finds the same as one that looks at everything.

use std::path::PathBuf;

use proptest::prelude::*;
use scaivault_core::audit::{AuditFilter, AuditRow};
use scaivault_testkit::store_conformance::samples::{at, audit, path, tenant};

use super::*;
use crate::audit::{AuditLines, SegmentBuilder};
use crate::sqlite::connect::Durability;
use crate::sqlite::{audit_index, audit_segment, connect, migrate};

const CHAIN: &str = "abcdef";

/// A chain of segments of these sizes, and its rows, newest first.
fn chain(conn: &Connection, sizes: &[usize]) -> Vec<AuditRow> {
    migrate::migrate(conn, &PathBuf::new()).unwrap();
    let mut head = head::create(conn, CHAIN).unwrap();
    let mut all = Vec::new();
    for size in sizes {
        let row = |n: usize| {
            let secs = i64::try_from(n).unwrap();
            let owner = tenant(["a", "b"][n % 2]);
            let who = format!("sa:c{}", n % 7);
            let of = format!("app/s{}", n * n % 11);
            audit(
                &owner,
                secs,
                &who,
                (!n.is_multiple_of(5)).then_some(of.as_str()),
            )
        };
        let rows: Vec<AuditRow> = (all.len()..all.len() + size).map(row).collect();
        let mut segment = SegmentBuilder::default();
        segment.begin(head.last_seq, head.head);
        segment.push(CHAIN, &AuditLines::encode(&rows).unwrap());
        audit_segment::insert(conn, CHAIN, &segment, &[0; 32]).unwrap();
        (head.first_seq, head.last_seq) = (segment.first_seq, segment.last_seq());
        head.head = segment.head;
        head::write(conn, &head).unwrap();
        all.extend(rows);
    }
    all.reverse();
    all
}

fn filters() -> Vec<AuditFilter> {
    let of = |owner: &str, of: Option<&str>, who: Option<&str>| AuditFilter {
        tenant: Some(tenant(owner)),
        path: of.map(path),
        identity_id: who.map(str::to_owned),
        ..AuditFilter::default()
    };
    let timed = AuditFilter {
        from: Some(at(10)),
        to: Some(at(40)),
        ..of("a", Some("app/s4"), None)
    };
    vec![
        of("a", Some("app/s4"), None),
        of("b", Some("app/s3"), Some("sa:c2")),
        of("b", None, Some("sa:c3")),
        of("a", Some("app/none"), None),
        of("a", None, None),
        timed,
        AuditFilter {
            path: Some(path("app/s9")),
            ..AuditFilter::default()
        },
    ]
}

/// Collects everything, looking at `looks` rows at a time.
fn all(conn: &Connection, filter: &AuditFilter, looks: u64) -> Vec<AuditRow> {
    let (mut rows, mut below) = (Vec::new(), None);
    loop {
        let mut take = |stored: StoredAuditRow| {
            rows.push(stored.row);
            true
        };
        let next = scan(conn, filter, below, looks, &mut take).unwrap();
        assert!(
            next.is_none() || next < below || below.is_none(),
            "it goes on"
        );
        match next {
            None => return rows,
            next => below = next,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn index_and_walk_agree(
        sizes in prop::collection::vec(1usize..12, 0..25),
        reach in prop::collection::vec(1u64..60, 0..5),
        looks in 1u64..40,
        limit in 1usize..6,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("store.db");
        crate::files::make_private(&file).unwrap();
        let (conn, _) = connect::writer(&file, Durability::None, None).unwrap();
        let rows = chain(&conn, &sizes);
        for step in 0..=reach.len() {
            for filter in filters() {
                let expect: Vec<_> = rows.iter().filter(|row| filter.wants(row)).cloned().collect();
                prop_assert_eq!(&all(&conn, &filter, u64::MAX), &expect);
                prop_assert_eq!(&all(&conn, &filter, looks), &expect);
                prop_assert_eq!(summary(&conn, &filter).unwrap().total, expect.len() as u64);
                let (mut paged, mut below) = (Vec::new(), None);
                loop {
                    let page = query(&conn, &filter, below, limit).unwrap();
                    paged.extend(page.rows.into_iter().map(|stored| stored.row));
                    below = page.next;
                    if below.is_none() {
                        break;
                    }
                }
                prop_assert_eq!(&paged, &expect);
            }
            if let Some(rows_max) = reach.get(step) {
                let before = meta::read(&conn, meta::AUDIT_INDEXED).unwrap();
                let upto = audit_index::extend(&conn, CHAIN, *rows_max).unwrap();
                let last = rows.len() as u64;
                prop_assert!(upto == last || upto >= before + rows_max);
            }
        }
    }
}

#[test]
fn a_trail_is_found_without_a_look_at_other_segments() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.db");
    crate::files::make_private(&file).unwrap();
    let (conn, _) = connect::writer(&file, Durability::None, None).unwrap();
    chain(&conn, &[1; 300]);
    let looked = |looks| {
        let mut found = 0;
        let mut take = |_| {
            found += 1;
            true
        };
        (
            scan(&conn, &filters()[0], None, looks, &mut take).unwrap(),
            found,
        )
    };
    let (rest, _) = looked(200);
    assert!(
        rest.is_some(),
        "without the index, 200 looks are not enough"
    );
    audit_index::extend(&conn, CHAIN, 10_000).unwrap();
    let (rest, found) = looked(200);
    assert!(
        rest.is_none() && found > 10,
        "with it, they are: {found} found"
    );
}
