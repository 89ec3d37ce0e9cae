//! The rules and the calendar of a rotation policy, from the wire and back.

use scaivault_api::rotation_rules as wire;
use scaivault_core::identity::Identity;
use scaivault_core::rotation::{
    Calendar, CalendarChange, OnDeadline, OnFailure, Rules, RulesChange, WINDOWS_MAX, Weekday,
    Which, Window,
};
use scaivault_core::time::Span;

use crate::fields;
use crate::problem::Problem;

/// `deadline`: as long as the policy's grace period.
const GRACE_PERIOD: &str = "grace_period";
/// `drift_check`: never.
const OFF: &str = "off";
/// Seconds between two logins that only look.
const DRIFT_CHECK_S: std::ops::RangeInclusive<u64> = 60..=30 * 86_400;

pub(super) fn rules(body: wire::RotationRulesBody) -> Result<RulesChange, Problem> {
    let span = |text: Option<String>, field: &str| {
        let field = format!("rules.{field}");
        text.map(|text| fields::span(&text, &field)).transpose()
    };
    let deadline = match body.deadline.as_deref() {
        Some(GRACE_PERIOD) => Some(None),
        Some(text) => Some(Some(fields::span(text, "rules.deadline")?)),
        None => None,
    };
    Ok(RulesChange {
        accept_gap: body.accept_gap,
        approval: body.approval,
        consumers: body.consumers.map(consumers).transpose()?,
        ignore: body
            .ignore
            .map(|names| identities(&names, "rules.ignore"))
            .transpose()?,
        quiet_period: span(body.quiet_period, "quiet_period")?,
        deadline,
        on_deadline: body
            .on_deadline
            .map(|word| {
                OnDeadline::parse(&word).ok_or_else(|| {
                    Problem::field("rules.on_deadline", "is hold, force or roll_back")
                })
            })
            .transpose()?,
        on_failure: body
            .on_failure
            .map(|word| {
                OnFailure::parse(&word)
                    .ok_or_else(|| Problem::field("rules.on_failure", "is hold or roll_back"))
            })
            .transpose()?,
        propagation_bound: span(body.propagation_bound, "propagation_bound")?,
        poll: span(body.poll, "poll")?,
    })
}

fn consumers(wire: wire::Consumers) -> Result<Which, Problem> {
    Ok(match wire {
        wire::Consumers::Live(text) => Which::Live(fields::span(&text, "rules.consumers.live")?),
        wire::Consumers::Listed(names) => {
            Which::Listed(identities(&names, "rules.consumers.listed")?)
        }
        wire::Consumers::Count(count) => Which::Count(count),
    })
}

fn identities(names: &[String], field: &str) -> Result<Vec<Identity>, Problem> {
    let read = |(at, name): (usize, &String)| {
        Identity::parse(name)
            .map_err(|error| Problem::field(&format!("{field}[{at}]"), error.to_string()))
    };
    let mut all: Vec<Identity> = Vec::with_capacity(names.len().min(1_000));
    for identity in names.iter().enumerate().map(read) {
        let identity = identity?;
        // One that is named twice is one consumer.
        if !all.contains(&identity) {
            all.push(identity);
        }
    }
    Ok(all)
}

pub(super) fn calendar(body: wire::RotationCalendarBody) -> Result<CalendarChange, Problem> {
    let windows = match body.windows {
        Some(windows) if windows.len() > WINDOWS_MAX => {
            let why = format!("are at most {WINDOWS_MAX}");
            return Err(Problem::field("calendar.windows", why));
        }
        Some(windows) => {
            let read = windows.into_iter().enumerate();
            let read = read.map(|(at, one)| window(one, at));
            Some(read.collect::<Result<_, _>>()?)
        }
        None => None,
    };
    Ok(CalendarChange {
        windows,
        cron: body
            .cron
            .map(|text| Some(text).filter(|text| !text.trim().is_empty())),
        time_zone: body.time_zone,
    })
}

fn window(wire: wire::RotationWindow, at: usize) -> Result<Window, Problem> {
    let mut days = Vec::new();
    for word in &wire.days {
        let day = Weekday::parse(word).ok_or_else(|| {
            let field = format!("calendar.windows[{at}].days");
            Problem::field(&field, "has the days mon, tue, wed, thu, fri, sat, sun")
        })?;
        if !days.contains(&day) {
            days.push(day);
        }
    }
    Ok(Window {
        days,
        from: wire.from,
        to: wire.to,
    })
}

pub(super) fn drift_check(text: &str) -> Result<Option<Span>, Problem> {
    if text == OFF {
        return Ok(None);
    }
    let span = fields::span(text, "drift_check")?;
    if DRIFT_CHECK_S.contains(&span.as_secs()) {
        Ok(Some(span))
    } else {
        Err(Problem::field("drift_check", "is 1m to 30d, or off"))
    }
}

pub(super) fn rules_view(rules: &Rules) -> wire::RotationRules {
    let names = |all: &[Identity]| all.iter().map(|one| one.as_str().to_owned()).collect();
    wire::RotationRules {
        accept_gap: rules.accept_gap,
        approval: rules.approval,
        consumers: match &rules.consumers {
            Which::Live(window) => wire::Consumers::Live(window.as_str().to_owned()),
            Which::Listed(listed) => wire::Consumers::Listed(names(listed)),
            Which::Count(count) => wire::Consumers::Count(*count),
        },
        ignore: names(&rules.ignore),
        quiet_period: rules.quiet_period.as_str().to_owned(),
        deadline: rules
            .deadline
            .as_ref()
            .map_or(GRACE_PERIOD, Span::as_str)
            .to_owned(),
        on_deadline: rules.on_deadline.as_str().to_owned(),
        on_failure: rules.on_failure.as_str().to_owned(),
        propagation_bound: rules.propagation_bound.as_str().to_owned(),
        poll: rules.poll.as_str().to_owned(),
    }
}

pub(super) fn calendar_view(calendar: &Calendar) -> wire::RotationCalendar {
    let window = |window: &Window| wire::RotationWindow {
        days: window
            .days
            .iter()
            .map(|day| day.as_str().to_owned())
            .collect(),
        from: window.from.clone(),
        to: window.to.clone(),
    };
    wire::RotationCalendar {
        windows: calendar.windows.iter().map(window).collect(),
        cron: calendar.cron.clone(),
        time_zone: calendar.time_zone.clone(),
    }
}

pub(super) fn drift_check_view(span: Option<&Span>) -> String {
    span.map_or(OFF, Span::as_str).to_owned()
}
