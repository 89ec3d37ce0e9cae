use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::time::Span;

const T0: Timestamp = Timestamp::from_secs(1_800_000_000);

fn at(secs: u64) -> Timestamp {
    T0.plus(Duration::from_secs(secs))
}

fn who(name: &str) -> Identity {
    Identity::parse(name).unwrap()
}

fn read(name: &str, version: u64, last: u64) -> Consumer {
    Consumer {
        consumer: who(name),
        version,
        first_read_at: T0,
        last_read_at: at(last),
        applied_at: None,
        failed_at: None,
        detail: None,
    }
}

fn wanted(version: u64) -> Wanted {
    Wanted {
        version,
        read_since: None,
        heed_since: None,
    }
}

fn live(text: &str) -> Rules {
    Rules {
        consumers: Which::Live(Span::parse(text).unwrap()),
        ..Rules::default()
    }
}

#[test]
fn a_live_consumer_behind_holds_the_gate_until_it_reads_or_falls_silent() {
    let ledger = [read("sa:a", 2, 100), read("sa:b", 1, 100)];
    let seen = standing(&ledger, wanted(2), &live("1h"), at(200));
    assert_eq!(seen.behind, [who("sa:b")]);
    assert!(!seen.is_clear());
    // The widest resolution longer than the window, and it is no longer live.
    let ends = 100 + 3_600 + SETTLED_RESOLUTION.as_secs();
    assert!(!standing(&ledger, wanted(2), &live("1h"), at(ends)).is_clear());
    assert!(standing(&ledger, wanted(2), &live("1h"), at(ends + 1)).is_clear());
}

#[test]
fn who_went_back_to_the_old_version_is_behind_again() {
    let ledger = [read("sa:a", 2, 100), read("sa:a", 1, 105)];
    assert!(standing(&ledger, wanted(2), &live("1h"), at(200)).is_clear());
    let ledger = [read("sa:a", 2, 100), read("sa:a", 1, 150)];
    assert!(!standing(&ledger, wanted(2), &live("1h"), at(200)).is_clear());
}

#[test]
fn who_acknowledges_once_must_acknowledge_each_time() {
    let mut old = read("sa:a", 1, 50);
    old.applied_at = Some(at(50));
    let mut new = read("sa:a", 2, 100);
    let seen = standing(&[old.clone(), new.clone()], wanted(2), &live("1h"), at(200));
    assert_eq!(seen.unapplied, [who("sa:a")]);
    new.applied_at = Some(at(110));
    assert!(standing(&[old, new], wanted(2), &live("1h"), at(200)).is_clear());
}

#[test]
fn a_failure_counts_until_it_is_dealt_with_or_cured() {
    let mut row = read("sa:a", 2, 100);
    row.failed_at = Some(at(110));
    let rows = |row: &Consumer| [row.clone()];
    let seen = standing(&rows(&row), wanted(2), &live("1h"), at(200));
    assert_eq!(seen.failed, [who("sa:a")]);
    let later = Wanted {
        heed_since: Some(at(120)),
        ..wanted(2)
    };
    assert!(
        standing(&rows(&row), later, &live("1h"), at(200))
            .failed
            .is_empty()
    );
    row.applied_at = Some(at(115));
    assert!(
        standing(&rows(&row), wanted(2), &live("1h"), at(200))
            .failed
            .is_empty()
    );
}

#[test]
fn listed_and_counted_consumers_are_waited_for_though_they_never_read() {
    let mut rules = live("1h");
    rules.consumers = Which::Listed(vec![who("sa:a"), who("sa:b")]);
    let ledger = [read("sa:a", 2, 100), read("sa:c", 1, 100)];
    let seen = standing(&ledger, wanted(2), &rules, at(200));
    assert_eq!(seen.behind, [who("sa:b")]);
    rules.consumers = Which::Count(2);
    assert_eq!(standing(&ledger, wanted(2), &rules, at(200)).missing, 1);
    rules.consumers = Which::Count(1);
    assert!(standing(&ledger, wanted(2), &rules, at(200)).is_clear());
}

#[test]
fn nobody_at_all_is_not_clear_but_is_nobody() {
    let seen = standing(&[], wanted(2), &live("1h"), at(200));
    assert!(!seen.is_clear() && seen.has_moved() && !seen.anyone);
    let mut rules = live("1h");
    rules.ignore = vec![who("user:alice")];
    let seen = standing(&[read("user:alice", 1, 190)], wanted(2), &rules, at(200));
    assert!(!seen.anyone);
}

proptest! {
    /// Whatever the ledger, a live consumer whose last read was of another version is behind.
    #[test]
    fn no_live_consumer_on_an_old_version_is_overlooked(
        rows in proptest::collection::vec((0u8..4, 1u64..4, 0u64..5_000), 0..20),
        now in 0u64..10_000,
    ) {
        let mut ledger: BTreeMap<(u8, u64), u64> = BTreeMap::new();
        for (who, version, last) in rows {
            let kept = ledger.entry((who, version)).or_default();
            *kept = (*kept).max(last.min(now));
        }
        let list: Vec<Consumer> = ledger
            .iter()
            .map(|((who, version), last)| read(&format!("sa:c{who}"), *version, *last))
            .collect();
        let seen = standing(&list, wanted(3), &live("1000s"), at(now));
        for name in 0u8..4 {
            let of = |version: u64| ledger.get(&(name, version)).copied();
            let newest = (1..4).filter_map(of).max();
            let Some(newest) = newest else { continue };
            let is_live = newest + 1_000 >= now;
            let moved = of(3).is_some_and(|last| last >= newest);
            if is_live && !moved && newest > of(3).unwrap_or(0) + LEDGER_RESOLUTION.as_secs() {
                prop_assert!(!seen.is_clear());
                let expected = who(&format!("sa:c{name}"));
                prop_assert!(seen.behind.contains(&expected));
            }
        }
    }
}

/// A ledger as a store keeps it: the first read at once, others by their resolution.
#[derive(Default)]
struct Kept {
    lines: BTreeMap<(u8, u64), (u64, u64)>,
}

impl Kept {
    fn read(&mut self, who: u8, version: u64, at: u64, settled: bool) {
        let resolution = match settled {
            true => SETTLED_RESOLUTION,
            false => LEDGER_RESOLUTION,
        };
        let line = self.lines.entry((who, version)).or_insert((at, at));
        if at - line.1 >= resolution.as_secs() {
            line.1 = at;
        }
    }

    fn list(&self) -> Vec<Consumer> {
        let one = |((who, version), (_, last)): (&(u8, u64), &(u64, u64))| {
            read(&format!("sa:c{who}"), *version, *last)
        };
        self.lines.iter().map(one).collect()
    }
}

proptest! {
    /// However coarse the ledger is about settled versions: when it says that all have moved, all
    /// have, as their true reads tell.
    #[test]
    fn a_coarse_ledger_never_opens_the_gate_early(
        mut reads in proptest::collection::vec((0u64..4_000, 0u8..3, proptest::bool::weighted(0.15)), 1..80),
        promoted_at in 1u64..3_000,
        window in 60u64..2_000,
        wait in 0u64..400,
    ) {
        const RESOLUTION: u64 = LEDGER_RESOLUTION.as_secs();
        reads.sort_unstable();
        let mut kept = Kept::default();
        // Last true read, of the old and of the new version.
        let mut truth: BTreeMap<u8, [Option<u64>; 2]> = BTreeMap::new();
        let rules = live(&format!("{window}s"));
        for (at_read, name, pinned) in reads {
            // Before every read, and some time after the one before: is the gate open?
            let current = 1 + u64::from(at_read >= promoted_at);
            let changed = if current == 2 { promoted_at } else { 0 };
            let version = if pinned { 1 } else { current };
            let settled = version == current && at_read - changed >= SETTLED_RESOLUTION.as_secs();
            kept.read(name, version, at_read, settled);
            truth.entry(name).or_default()[usize::from(version == 2)] = Some(at_read);
            let now = at_read + wait;
            if !standing(&kept.list(), wanted(2), &rules, at(now)).is_clear() {
                continue;
            }
            for (name, [old, new]) in &truth {
                let last = old.max(new).unwrap_or(0);
                let moved = new.is_some_and(|new| old.is_none_or(|old| old <= new + 2 * RESOLUTION));
                prop_assert!(last + window < now || moved, "c{name}: {old:?} {new:?} at {now}");
            }
        }
    }
}
