//! The audit trail: order, pages, filters, counts, and a chain that verifies.

use scaivault_core::audit::{Action, AuditFilter, AuditRow};
use scaivault_core::audit_anchor::{ExportedEnd, ExportedEnds};
use scaivault_core::ids::RequestId;
use scaivault_core::ports::{CommitError, ReadError, RecordKind, Unit, UnitName};

use super::Subject;
use super::samples::{at, audit, path, pruning, tenant};

/// Rows that differ in every field a filter can ask for; some in units of several rows.
fn rows() -> Vec<AuditRow> {
    (0..60usize)
        .map(|n| {
            let owner = tenant(["a", "b"][n % 2]);
            let who = ["user:x", "sa:y", "sa:\"z\\"][n % 3];
            let of = [Some("app/db"), None, Some("app/dz"), Some("web")][n % 4];
            let mut row = audit(&owner, i64::try_from(n).unwrap(), who, of);
            row.action = Action::ALL[n % 5];
            row.success = n % 7 != 0;
            row.source_ip = (n % 3 != 0).then(|| format!("192.0.2.{}", n % 4));
            row.request_id = (n % 6 == 0).then(|| RequestId::parse(&format!("req_{n}")).unwrap());
            row.extra_data.version = (n % 2 == 0).then_some(7);
            row
        })
        .collect()
}

async fn fill(store: &Subject) -> Vec<AuditRow> {
    let rows = rows();
    for chunk in rows.chunks(4) {
        let mut unit = Unit::new(UnitName::AuditOnly);
        unit.audit.extend_from_slice(chunk);
        store.commit(unit).await.unwrap();
    }
    rows
}

/// All pages of this size; checks places and ids on the way.
async fn collect(store: &Subject, filter: &AuditFilter, limit: usize) -> Vec<AuditRow> {
    let (mut all, mut below, mut last_seq) = (Vec::new(), None, u64::MAX);
    loop {
        let page = store.audit_query(filter, below, limit).await.unwrap();
        assert!(page.rows.len() <= limit);
        for stored in page.rows {
            assert!(stored.seq < last_seq, "newest first, each place once");
            assert!(stored.id.starts_with("log_"), "{}", stored.id);
            last_seq = stored.seq;
            all.push(stored.row);
        }
        match page.next {
            None => return all,
            Some(next) => {
                assert!(
                    below.is_none_or(|before| next < before),
                    "every page goes on"
                );
                below = Some(next);
            }
        }
    }
}

pub async fn rows_come_newest_first(store: Subject) {
    let none = store
        .audit_query(&AuditFilter::default(), None, 9)
        .await
        .unwrap();
    assert_eq!((none.rows, none.next), (Vec::new(), None));
    let mut expect = fill(&store).await;
    expect.reverse();
    let page = store
        .audit_query(&AuditFilter::default(), None, 1_000)
        .await
        .unwrap();
    assert_eq!(page.next, None);
    let seqs: Vec<u64> = page.rows.iter().map(|stored| stored.seq).collect();
    assert_eq!(seqs, (1..=60).rev().collect::<Vec<_>>());
    assert!(page.rows.is_sorted_by(|newer, older| newer.id > older.id));
    assert_eq!(
        page.rows
            .into_iter()
            .map(|stored| stored.row)
            .collect::<Vec<_>>(),
        expect
    );
}

pub async fn pages_join_without_gap_or_overlap(store: Subject) {
    let mut expect = fill(&store).await;
    expect.reverse();
    for limit in [1, 2, 3, 7, 59, 60, 61] {
        assert_eq!(
            collect(&store, &AuditFilter::default(), limit).await,
            expect,
            "{limit}"
        );
    }
    // A place below the first row is the end; one above the last row is the beginning.
    let page = store
        .audit_query(&AuditFilter::default(), Some(1), 9)
        .await
        .unwrap();
    assert_eq!((page.rows.len(), page.next), (0, None));
    let page = store
        .audit_query(&AuditFilter::default(), Some(1_000), 1)
        .await
        .unwrap();
    assert_eq!(page.rows[0].seq, 60);
}

pub async fn every_filter_narrows(store: Subject) {
    let rows = fill(&store).await;
    let some = |text: &str| Some(text.to_owned());
    let all = AuditFilter::default;
    let filters = [
        all(),
        AuditFilter {
            tenant: Some(tenant("a")),
            ..all()
        },
        AuditFilter {
            from: Some(at(20)),
            ..all()
        },
        AuditFilter {
            to: Some(at(20)),
            ..all()
        },
        AuditFilter {
            from: Some(at(10)),
            to: Some(at(13)),
            ..all()
        },
        AuditFilter {
            actions: vec![Action::ALL[1]],
            ..all()
        },
        AuditFilter {
            actions: vec![Action::ALL[0], Action::ALL[3]],
            ..all()
        },
        AuditFilter {
            identity_id: some("sa:y"),
            ..all()
        },
        AuditFilter {
            identity_id: some("sa:\"z\\"),
            ..all()
        },
        AuditFilter {
            identity_id: some("sa"),
            ..all()
        },
        AuditFilter {
            identity_type: some("user"),
            ..all()
        },
        AuditFilter {
            path: Some(path("app/db")),
            ..all()
        },
        AuditFilter {
            path: Some(path("app")),
            ..all()
        },
        AuditFilter {
            path_prefix: some("app/"),
            ..all()
        },
        AuditFilter {
            path_prefix: some("app/dz"),
            ..all()
        },
        AuditFilter {
            success: Some(false),
            ..all()
        },
        AuditFilter {
            success: Some(true),
            ..all()
        },
        AuditFilter {
            source_ip: some("192.0.2.1"),
            ..all()
        },
        AuditFilter {
            request_id: some("req_30"),
            ..all()
        },
        AuditFilter {
            tenant: Some(tenant("b")),
            path: Some(path("web")),
            identity_id: some("sa:y"),
            from: Some(at(5)),
            ..all()
        },
        AuditFilter {
            tenant: Some(tenant("c")),
            ..all()
        },
    ];
    for filter in filters {
        let expect: Vec<_> = rows
            .iter()
            .rev()
            .filter(|row| filter.wants(row))
            .cloned()
            .collect();
        for limit in [1, 5, 100] {
            assert_eq!(collect(&store, &filter, limit).await, expect, "{filter:?}");
        }
    }
}

/// The trails of one secret and of one identity, also where the chain is long enough for an
/// engine to have an index for them.
pub async fn secrets_and_identities_have_trails(store: Subject) {
    let a = tenant("a");
    let mut expect = Vec::new();
    for n in 0..30i64 {
        let mut unit = Unit::new(UnitName::AuditOnly);
        for k in 0..100 {
            let (who, of) = (
                format!("sa:c{}", (n + k) % 25),
                format!("app/s{}", (n * 7 + k) % 50),
            );
            unit.audit.push(audit(&a, n * 100 + k, &who, Some(&of)));
        }
        expect.extend(unit.audit.iter().cloned());
        store.commit(unit).await.unwrap();
    }
    expect.reverse();
    let of = |path_: Option<&str>, who: Option<&str>| AuditFilter {
        tenant: Some(tenant("a")),
        path: path_.map(path),
        identity_id: who.map(str::to_owned),
        ..AuditFilter::default()
    };
    for filter in [
        of(Some("app/s7"), None),
        of(None, Some("sa:c3")),
        of(Some("app/s7"), Some("sa:c3")),
        of(Some("app/none"), None),
        of(None, Some("sa:none")),
    ] {
        let want: Vec<_> = expect
            .iter()
            .filter(|row| filter.wants(row))
            .cloned()
            .collect();
        assert_eq!(collect(&store, &filter, 50).await, want);
        let foreign = AuditFilter {
            tenant: Some(tenant("b")),
            ..filter
        };
        assert_eq!(collect(&store, &foreign, 50).await, []);
    }
}

pub async fn rows_come_back_as_they_were(store: Subject) {
    let mut row = audit(&tenant("a"), 0, "user:x", Some("app/db"));
    row.user_agent = Some("line\nbreak\ttab \"quote\" \\ \u{1f511} {\"id\":\"log_x\"}".into());
    row.duration_ms = u64::from(u32::MAX);
    row.timestamp = at(-9_000_000_000);
    row.extra_data.error = Some("policy_denied".into());
    row.extra_data.permanent = Some(true);
    row.extra_data.response_code = Some(503);
    for action in Action::ALL {
        row.action = *action;
        store.commit(Unit::audit_only(row.clone())).await.unwrap();
        let page = store
            .audit_query(&AuditFilter::default(), None, 1)
            .await
            .unwrap();
        assert_eq!(page.rows[0].row, row);
    }
    assert_eq!(store.audit_verify().await.unwrap().first_bad, None);
}

pub async fn summaries_count(store: Subject) {
    let empty = store.audit_summary(&AuditFilter::default()).await.unwrap();
    assert_eq!(empty, scaivault_core::ports::AuditSummary::default());
    let rows = fill(&store).await;
    for filter in [
        AuditFilter::default(),
        AuditFilter {
            tenant: Some(tenant("a")),
            from: Some(at(9)),
            ..AuditFilter::default()
        },
        AuditFilter {
            path: Some(path("web")),
            tenant: Some(tenant("b")),
            ..AuditFilter::default()
        },
    ] {
        let found = store.audit_summary(&filter).await.unwrap();
        let wanted: Vec<_> = rows.iter().filter(|row| filter.wants(row)).collect();
        let count = |of: &dyn Fn(&AuditRow) -> bool| wanted.iter().filter(|row| of(row)).count();
        assert_eq!(found.total, wanted.len() as u64);
        assert_eq!(found.succeeded, count(&|row| row.success) as u64);
        assert_eq!(found.first_at, wanted.iter().map(|row| row.timestamp).min());
        assert_eq!(found.last_at, wanted.iter().map(|row| row.timestamp).max());
        for (action, n) in &found.by_action {
            assert_eq!(
                *n,
                count(&|row| row.action.as_str() == action.as_str()) as u64
            );
        }
        for (who, n) in &found.by_identity {
            assert_eq!(*n, count(&|row| row.identity_id == *who) as u64);
        }
        assert_eq!(found.by_action.values().sum::<u64>(), found.total);
        assert_eq!(found.by_identity.values().sum::<u64>(), found.total);
    }
}

pub async fn an_empty_chain_verifies(store: Subject) {
    let report = store.audit_verify().await.unwrap();
    assert_eq!((report.rows, report.first_bad), (0, None));
    assert!(!report.head.is_empty());
}

pub async fn the_chain_verifies_as_it_grows(store: Subject) {
    let mut heads = std::collections::HashSet::new();
    for n in 0..5 {
        fill(&store).await;
        let report = store.audit_verify().await.unwrap();
        assert_eq!((report.rows, report.first_bad), (60 * (n + 1), None));
        assert!(heads.insert(report.head), "every row moves the head");
    }
}

/// The chain's name, of the id of one of its rows.
fn chain_of(id: &str) -> String {
    let name = id.strip_prefix("log_").and_then(|id| id.split('_').next());
    name.expect("an id of a row").to_owned()
}

pub async fn old_rows_go_from_the_front(store: Subject) {
    // Segments of four rows each, and a last one.
    let mut expect = fill(&store).await;
    assert_eq!(store.audit_prunable(at(0), None).await.unwrap(), None);
    let found = store.audit_prunable(at(10), None).await.unwrap().unwrap();
    // Rows 8 and 9 share a segment with younger ones, or need not, in an engine without segments.
    assert!((8..=10).contains(&found.rows), "{}", found.rows);
    assert_eq!((found.after, found.anchor.last_seq), (0, found.rows));
    let gone = usize::try_from(found.rows).unwrap();
    store
        .commit(pruning(found.clone(), 100, |_| [7; 32]))
        .await
        .unwrap();
    expect.drain(..gone);
    expect.push(audit(&tenant("a"), 100, "user:x", None));
    expect.reverse();
    assert_eq!(collect(&store, &AuditFilter::default(), 7).await, expect);
    let of_path = AuditFilter {
        tenant: Some(tenant("a")),
        path: Some(path("app/db")),
        ..AuditFilter::default()
    };
    let wanted: Vec<_> = expect
        .iter()
        .filter(|row| of_path.wants(row))
        .cloned()
        .collect();
    assert_eq!(collect(&store, &of_path, 3).await, wanted);
    let summary = store.audit_summary(&AuditFilter::default()).await.unwrap();
    assert_eq!(summary.total, expect.len() as u64);
    // Who comes too late has lost, and changes nothing.
    let late = store.commit(pruning(found, 101, |_| [7; 32])).await;
    assert_eq!(late, Err(CommitError::Conflict(RecordKind::AuditAnchor)));
    assert_eq!(collect(&store, &AuditFilter::default(), 60).await, expect);
    // And so on to the end, but for what the chain ends with.
    let mut commits = 0;
    while let Some(found) = store.audit_prunable(at(90), None).await.unwrap() {
        store
            .commit(pruning(found, 102, |_| [7; 32]))
            .await
            .unwrap();
        commits += 1;
    }
    let left = collect(&store, &AuditFilter::default(), 60).await;
    assert_eq!(left.len(), 1 + commits);
    assert_eq!(store.audit_prunable(at(90), None).await.unwrap(), None);
    fill(&store).await;
    assert!(store.audit_prunable(at(200), None).await.unwrap().is_some());
}

fn exported(last_seq: u64, head: Option<[u8; 32]>) -> ExportedEnd {
    ExportedEnd { last_seq, head }
}

pub async fn only_exported_rows_go(store: Subject) {
    fill(&store).await;
    let page = store.audit_query(&AuditFilter::default(), None, 1).await;
    let chain = chain_of(&page.unwrap().rows[0].id);
    let may_go = async |ends: &[(&str, u64)]| {
        let ends = ends
            .iter()
            .map(|(chain, seq)| ((*chain).to_owned(), exported(*seq, None)))
            .collect();
        let found = store.audit_prunable(at(90), Some(&ends)).await.unwrap();
        found.map_or(0, |found| found.rows)
    };
    assert_eq!(may_go(&[]).await, 0);
    assert_eq!(may_go(&[("another", 60)]).await, 0);
    assert_eq!(may_go(&[(&chain, 8)]).await, 8);
    let some = may_go(&[(&chain, 11)]).await;
    assert!((8..=11).contains(&some), "whole segments: {some}");
    assert!((56..60).contains(&may_go(&[(&chain, 60)]).await));
    // A number alone is not enough: the chain must go through where the export ends.
    let here = store.audit_prunable(at(10), None).await.unwrap().unwrap();
    let mut head = here.anchor.head;
    let end = |head| ExportedEnds::from([(chain.clone(), exported(here.rows, Some(head)))]);
    let found = store.audit_prunable(at(90), Some(&end(head))).await;
    assert_eq!(found.unwrap().unwrap().rows, here.rows);
    head[31] ^= 1;
    let found = store.audit_prunable(at(90), Some(&end(head))).await;
    assert!(matches!(
        found,
        Err(ReadError::Undecodable { column: "head", .. })
    ));
}
