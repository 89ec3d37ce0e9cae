//! A change of a policy's rules or calendar, part by part, and the bounds of what they may say.

use super::calendar::{Calendar, Window};
use super::rules::{OnDeadline, OnFailure, Rules, Which};
use crate::identity::Identity;
use crate::time::Span;

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;
/// The most identities of one list.
pub const IDENTITIES_MAX: usize = 1_000;
/// The most consumers that can be waited for by number.
pub const COUNT_MAX: u32 = 100_000;

/// A change of the rules. Absent parts stay.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the rules")]
pub struct RulesChange {
    pub accept_gap: Option<bool>,
    pub approval: Option<bool>,
    pub consumers: Option<Which>,
    pub ignore: Option<Vec<Identity>>,
    pub quiet_period: Option<Span>,
    /// `Some(None)`: the policy's grace period again.
    pub deadline: Option<Option<Span>>,
    pub on_deadline: Option<OnDeadline>,
    pub on_failure: Option<OnFailure>,
    pub propagation_bound: Option<Span>,
    pub poll: Option<Span>,
}

impl RulesChange {
    /// The rules after it.
    #[must_use]
    pub fn apply(self, rules: Rules) -> Rules {
        Rules {
            accept_gap: self.accept_gap.unwrap_or(rules.accept_gap),
            approval: self.approval.unwrap_or(rules.approval),
            consumers: self.consumers.unwrap_or(rules.consumers),
            ignore: self.ignore.unwrap_or(rules.ignore),
            quiet_period: self.quiet_period.unwrap_or(rules.quiet_period),
            deadline: self.deadline.unwrap_or(rules.deadline),
            on_deadline: self.on_deadline.unwrap_or(rules.on_deadline),
            on_failure: self.on_failure.unwrap_or(rules.on_failure),
            propagation_bound: self.propagation_bound.unwrap_or(rules.propagation_bound),
            poll: self.poll.unwrap_or(rules.poll),
        }
    }
}

/// A change of the calendar. Absent parts stay.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the calendar")]
pub struct CalendarChange {
    pub windows: Option<Vec<Window>>,
    /// `Some(None)`: the interval counts again.
    pub cron: Option<Option<String>>,
    pub time_zone: Option<String>,
}

impl CalendarChange {
    /// The calendar after it.
    #[must_use]
    pub fn apply(self, calendar: Calendar) -> Calendar {
        Calendar {
            windows: self.windows.unwrap_or(calendar.windows),
            cron: self.cron.unwrap_or(calendar.cron),
            time_zone: self.time_zone.unwrap_or(calendar.time_zone),
        }
    }
}

impl Rules {
    /// Checks every field.
    ///
    /// # Errors
    /// Each field that is out of bounds and what its bounds are.
    pub fn validate(self) -> Result<Self, Vec<(String, String)>> {
        let mut problems = Vec::new();
        let mut bad = |field: &str, why: &str| problems.push((field.to_owned(), why.to_owned()));
        if self.poll.as_secs() > HOUR {
            bad("poll", "is 1s to 1h");
        }
        if self.quiet_period.as_secs() > 7 * DAY {
            bad("quiet_period", "is 1s to 7d");
        }
        if self.propagation_bound.as_secs() < MINUTE || self.propagation_bound.as_secs() > 30 * DAY
        {
            bad("propagation_bound", "is 1m to 30d");
        }
        if let Some(deadline) = &self.deadline {
            if deadline.as_secs() > 365 * DAY {
                bad("deadline", "is at most 365d");
            }
            // Else no drain could ever end before it.
            if deadline.as_secs() <= self.quiet_period.as_secs() {
                bad("deadline", "is longer than quiet_period");
            }
        }
        if self.ignore.len() > IDENTITIES_MAX {
            bad("ignore", "has at most 1000 identities");
        }
        match &self.consumers {
            Which::Live(window) if window.as_secs() > 365 * DAY => {
                bad("consumers.live", "is at most 365d");
            }
            Which::Live(_) => {}
            Which::Listed(listed) => {
                if listed.is_empty() || listed.len() > IDENTITIES_MAX {
                    bad("consumers.listed", "has 1 to 1000 identities");
                }
                if listed.iter().any(|one| self.ignore.contains(one)) {
                    bad("consumers.listed", "has nobody who is in ignore");
                }
            }
            Which::Count(count) if *count == 0 || *count > COUNT_MAX => {
                bad("consumers.count", "is 1 to 100000");
            }
            Which::Count(_) => {}
        }
        if problems.is_empty() {
            Ok(self)
        } else {
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str) -> Span {
        Span::parse(text).unwrap()
    }

    fn problems(change: RulesChange) -> Vec<String> {
        let checked = change.apply(Rules::default()).validate();
        let found = checked.err().unwrap_or_default().into_iter();
        found.map(|(field, _)| field).collect()
    }

    #[test]
    fn the_defaults_are_valid_and_stay_where_nothing_is_given() {
        assert_eq!(
            RulesChange::default().apply(Rules::default()),
            Rules::default()
        );
        assert!(problems(RulesChange::default()).is_empty());
    }

    #[test]
    fn each_bound_is_named() {
        let identity = Identity::parse("sa:a").unwrap();
        let all = RulesChange {
            consumers: Some(Which::Listed(vec![identity.clone()])),
            ignore: Some(vec![identity]),
            quiet_period: Some(span("8d")),
            deadline: Some(Some(span("1h"))),
            propagation_bound: Some(span("31d")),
            poll: Some(span("61m")),
            ..RulesChange::default()
        };
        let expect = ["poll", "quiet_period", "propagation_bound", "deadline"];
        assert_eq!(problems(all), [&expect[..], &["consumers.listed"]].concat());
        for (which, field) in [
            (Which::Listed(Vec::new()), "consumers.listed"),
            (Which::Count(0), "consumers.count"),
            (Which::Live(span("366d")), "consumers.live"),
        ] {
            let change = RulesChange {
                consumers: Some(which),
                ..RulesChange::default()
            };
            assert_eq!(problems(change), [field]);
        }
    }

    #[test]
    fn a_part_is_changed_alone_and_taken_back() {
        let given = RulesChange {
            deadline: Some(Some(span("2h"))),
            approval: Some(true),
            ..RulesChange::default()
        };
        let rules = given.apply(Rules::default());
        assert!(rules.approval && rules.deadline.is_some());
        let back = RulesChange {
            deadline: Some(None),
            ..RulesChange::default()
        };
        let rules = back.apply(rules);
        assert!(rules.approval && rules.deadline.is_none());
    }
}
