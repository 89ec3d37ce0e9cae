//! Telling of a value's end before it comes: at which thresholds, and what is to be told next.
//!
//! The plan is stored with the secret's head, so the commit that tells of a threshold is the one
//! that moves the plan on: each is told once for one end, by whichever node gets there first. A
//! plan speaks of one end; another end, or none, makes it void.

use serde::{Deserialize, Serialize};

use crate::time::{Span, Timestamp};

/// Thresholds when nobody says.
pub const NOTIFY_BEFORE_DEFAULT: [&str; 3] = ["30d", "7d", "1d"];
/// The most thresholds of one secret.
pub const NOTIFY_BEFORE_MAX: usize = 10;

const DAY_US: i64 = 86_400_000_000;

/// What a secret says about being told of its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Expiry {
    /// How long before; `None`: [`NOTIFY_BEFORE_DEFAULT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify_before: Option<Vec<Span>>,
    /// What is to be told next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// What is to be told of one end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The end it speaks of.
    pub end: Timestamp,
    /// `None`: all is told.
    pub next: Option<Notice>,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When.
    pub at: Timestamp,
    /// The threshold that is reached then; `None`: the end itself.
    pub threshold: Option<Span>,
}

impl Expiry {
    /// Whether nothing is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// The thresholds, longest first, each length once.
    pub fn thresholds(&self) -> Vec<Span> {
        let mut spans = self.notify_before.clone().unwrap_or_else(|| {
            NOTIFY_BEFORE_DEFAULT
                .iter()
                .filter_map(|text| Span::parse(text).ok())
                .collect()
        });
        spans.sort_by_key(|span| std::cmp::Reverse(span.duration()));
        spans.dedup_by_key(|span| span.duration());
        spans
    }

    /// The plan, if it speaks of this end.
    pub fn plan_for(&self, end: Timestamp) -> Option<&Plan> {
        self.plan.as_ref().filter(|plan| plan.end == end)
    }

    /// The end was given: of the thresholds that have passed already only the nearest is told.
    pub fn begin(&mut self, end: Option<Timestamp>, now: Timestamp) {
        self.plan = end.map(|end| {
            let spans = self.thresholds();
            let passed = spans.iter().rev().find(|span| at(end, span) <= now);
            let first = match passed {
                _ if end <= now => Notice::end(end),
                Some(nearest) => Notice::threshold(end, nearest),
                None => spans
                    .first()
                    .map_or(Notice::end(end), |longest| Notice::threshold(end, longest)),
            };
            Plan {
                end,
                next: Some(first),
            }
        });
    }

    /// The thresholds changed, the end did not: those that have passed are not told any more.
    pub fn change(
        &mut self,
        notify_before: Option<Vec<Span>>,
        end: Option<Timestamp>,
        now: Timestamp,
    ) {
        self.notify_before = notify_before;
        let all_told = |end| self.plan_for(end).is_some_and(|plan| plan.next.is_none());
        self.plan = end.map(|end| {
            let told = all_told(end);
            let ahead = self.ahead(end, now);
            Plan {
                end,
                next: (!told).then_some(ahead),
            }
        });
    }

    /// The secret is back after a deletion: what passed meanwhile is told as if it had been
    /// written now.
    pub fn resume(&mut self, end: Option<Timestamp>, now: Timestamp) {
        let waits = end
            .and_then(|end| self.plan_for(end))
            .is_some_and(|plan| plan.next.as_ref().is_none_or(|notice| notice.at > now));
        if !waits {
            self.begin(end, now);
        }
    }

    /// What is due now, and the plan once it is told. Past the end itself, thresholds that were
    /// missed are not told any more. `None`: nothing is due.
    pub fn due(&self, end: Timestamp, now: Timestamp) -> Option<(Notice, Self)> {
        let notice = self.plan_for(end)?.next.as_ref()?;
        if notice.at > now {
            return None;
        }
        let notice = match end <= now {
            true => Notice::end(end),
            false => notice.clone(),
        };
        let next = notice.threshold.as_ref().map(|told| {
            let shorter = self.thresholds();
            let shorter = shorter
                .iter()
                .find(|span| span.duration() < told.duration());
            shorter.map_or(Notice::end(end), |span| Notice::threshold(end, span))
        });
        let told = Self {
            plan: Some(Plan { end, next }),
            ..self.clone()
        };
        Some((notice, told))
    }

    /// When something is to be told of this end. One without a plan is looked at at once.
    pub fn wake_at(&self, end: Timestamp) -> Option<Timestamp> {
        match self.plan_for(end) {
            Some(plan) => plan.next.as_ref().map(|notice| notice.at),
            None => Some(Timestamp::from_micros(0)),
        }
    }

    /// An end that nobody made a plan for: one written by an earlier release. What it should have
    /// told is not told late.
    #[must_use]
    pub fn planned(&self, end: Timestamp, now: Timestamp) -> Self {
        let mut planned = self.clone();
        planned.begin(Some(end), now);
        if end <= now {
            planned.plan = Some(Plan { end, next: None });
        }
        planned
    }

    fn ahead(&self, end: Timestamp, now: Timestamp) -> Notice {
        let spans = self.thresholds();
        let ahead = spans.iter().find(|span| at(end, span) > now);
        ahead.map_or(Notice::end(end), |span| Notice::threshold(end, span))
    }
}

impl Notice {
    fn end(end: Timestamp) -> Self {
        Self {
            at: end,
            threshold: None,
        }
    }

    fn threshold(end: Timestamp, span: &Span) -> Self {
        Self {
            at: at(end, span),
            threshold: Some(span.clone()),
        }
    }
}

fn at(end: Timestamp, span: &Span) -> Timestamp {
    end.minus(span.duration())
}

/// Days until the end, begun ones counted whole.
pub fn days_remaining(end: Timestamp, now: Timestamp) -> i64 {
    let left = end.as_micros().saturating_sub(now.as_micros()).max(0);
    left / DAY_US + i64::from(left % DAY_US > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const T0: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_secs(T0 + n * DAY)
    }

    fn expiry(texts: &[&str]) -> Expiry {
        let spans = texts.iter().map(|text| Span::parse(text).unwrap());
        Expiry {
            notify_before: Some(spans.collect()),
            plan: None,
        }
    }

    /// Tells whatever is due at each of these times; answers (day, threshold).
    fn live(
        expiry: &mut Expiry,
        end: Timestamp,
        days: std::ops::RangeInclusive<i64>,
    ) -> Vec<(i64, String)> {
        let mut told = Vec::new();
        for n in days {
            while let Some((notice, next)) = expiry.due(end, day(n)) {
                let word = notice
                    .threshold
                    .map_or("end".into(), |span| span.as_str().to_owned());
                told.push((n, word));
                *expiry = next;
            }
        }
        told
    }

    fn words(told: &[(i64, String)]) -> Vec<(i64, &str)> {
        told.iter().map(|(n, word)| (*n, word.as_str())).collect()
    }

    #[test]
    fn each_threshold_is_told_when_it_is_reached_and_then_the_end() {
        let mut row = Expiry::default();
        let end = day(40);
        row.begin(Some(end), day(0));
        assert_eq!(row.wake_at(end), Some(day(10)));
        let told = live(&mut row, end, 0..=60);
        assert_eq!(
            words(&told),
            [(10, "30d"), (33, "7d"), (39, "1d"), (40, "end")]
        );
        assert_eq!(row.wake_at(end), None);
    }

    #[test]
    fn of_what_has_passed_when_it_is_written_only_the_nearest_is_told() {
        let mut row = expiry(&["1d", "30d", "168h", "7d"]);
        row.begin(Some(day(5)), day(0));
        let told = live(&mut row, day(5), 0..=9);
        assert_eq!(words(&told), [(0, "168h"), (4, "1d"), (5, "end")]);
        // An end in the past is told at once, and nothing else.
        row.begin(Some(day(5)), day(6));
        assert_eq!(words(&live(&mut row, day(5), 6..=9)), [(6, "end")]);
        // No thresholds: only the end.
        let mut row = expiry(&[]);
        row.begin(Some(day(5)), day(0));
        assert_eq!(words(&live(&mut row, day(5), 0..=9)), [(5, "end")]);
    }

    #[test]
    fn a_server_that_was_away_tells_each_late_but_not_past_the_end() {
        let mut row = Expiry::default();
        row.begin(Some(day(40)), day(0));
        let told = live(&mut row.clone(), day(40), 34..=34);
        assert_eq!(words(&told), [(34, "30d"), (34, "7d")]);
        let told = live(&mut row, day(40), 50..=50);
        assert_eq!(words(&told), [(50, "end")]);
    }

    #[test]
    fn other_thresholds_do_not_tell_again_and_another_end_does() {
        let mut row = expiry(&["7d"]);
        row.begin(Some(day(10)), day(0));
        assert_eq!(words(&live(&mut row, day(10), 0..=4)), [(3, "7d")]);
        row.change(expiry(&["8d", "2d"]).notify_before, Some(day(10)), day(4));
        row.change(expiry(&["7d", "2d"]).notify_before, Some(day(10)), day(4));
        assert_eq!(
            words(&live(&mut row, day(10), 4..=11)),
            [(8, "2d"), (10, "end")]
        );
        row.change(expiry(&["1d"]).notify_before, Some(day(10)), day(12));
        assert_eq!(live(&mut row, day(10), 12..=13), []);
        row.begin(Some(day(20)), day(12));
        assert_eq!(
            words(&live(&mut row, day(20), 12..=21)),
            [(19, "1d"), (20, "end")]
        );
        // A plan of another end is void.
        assert_eq!(row.due(day(99), day(100)), None);
        assert_eq!(row.wake_at(day(99)), Some(Timestamp::from_micros(0)));
    }

    #[test]
    fn what_passed_while_deleted_is_told_once_it_is_back() {
        let mut row = Expiry::default();
        row.begin(Some(day(40)), day(0));
        assert_eq!(words(&live(&mut row, day(40), 0..=12)), [(10, "30d")]);
        let mut back = row.clone();
        back.resume(Some(day(40)), day(20));
        assert_eq!(back, row, "nothing passed");
        row.resume(Some(day(40)), day(39));
        assert_eq!(
            words(&live(&mut row, day(40), 39..=45)),
            [(39, "1d"), (40, "end")]
        );
        row.resume(Some(day(40)), day(46));
        assert_eq!(live(&mut row, day(40), 46..=50), []);
        row.resume(None, day(46));
        assert_eq!(row.plan, None);
    }

    #[test]
    fn ends_of_an_earlier_release_are_planned_and_past_ones_are_let_rest() {
        let row = Expiry::default();
        let planned = row.planned(day(20), day(0));
        assert_eq!(
            planned.wake_at(day(20)),
            Some(day(-10)),
            "the nearest that has passed"
        );
        assert_eq!(row.planned(day(20), day(30)).wake_at(day(20)), None);
    }

    #[test]
    fn days_begun_count() {
        let end = day(7);
        assert_eq!(days_remaining(end, day(0)), 7);
        assert_eq!(
            days_remaining(end, day(0).plus(Duration::from_millis(1))),
            7
        );
        assert_eq!(days_remaining(end, end.minus(Duration::from_secs(5))), 1);
        assert_eq!(days_remaining(end, day(8)), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_told_twice_or_early_and_the_end_last(
            seconds in prop::collection::vec(1u64..200, 0..8),
            end in 0i64..300,
            looks in prop::collection::vec(0i64..40, 1..30),
        ) {
            let spans = seconds.iter().map(|n| Span::parse(&format!("{n}s")).unwrap()).collect();
            let mut row = Expiry { notify_before: Some(spans), plan: None };
            let (start, end) = (Timestamp::from_secs(T0), Timestamp::from_secs(T0 + end));
            row.begin(Some(end), start);
            let mut now = start;
            let mut told: Vec<Option<u64>> = Vec::new();
            for step in looks {
                now = now.plus(Duration::from_secs(step.unsigned_abs()));
                while let Some((notice, next)) = row.due(end, now) {
                    prop_assert!(notice.at <= now);
                    let length = notice.threshold.map(|span| span.as_secs());
                    prop_assert!(!told.contains(&length), "{length:?} twice");
                    prop_assert!(told.last().is_none_or(|last| last.is_some_and(|last| length.is_none_or(|now| now < last))));
                    prop_assert!(length.is_none() || now < end);
                    told.push(length);
                    row = next;
                }
                // Whatever has passed is told.
                prop_assert!(row.wake_at(end).is_none_or(|at| at > now));
                prop_assert_eq!(now >= end, told.last() == Some(&None));
            }
        }
    }
}
