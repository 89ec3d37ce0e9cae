//! The flags for a policy's rules and calendar, shared by `create` and `update`.

use clap::Args;
use scaivault_api::rotation_rules::{
    Consumers, RotationCalendarBody, RotationRulesBody, RotationWindow,
};

use crate::exit::CliError;

#[derive(Args, Default)]
#[command(next_help_heading = "Credentials at targets")]
pub(crate) struct RulesArgs {
    /// Rotate where old and new cannot overlap, although consumers are cut off for a while
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    accept_gap: Option<bool>,
    /// A person approves before the old credential is revoked
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    approval: Option<bool>,
    /// Who has to have moved: live=24h, count=3 or listed=sa:a,sa:b
    #[arg(long, value_name = "WHICH", value_parser = consumers)]
    consumers: Option<Consumers>,
    /// An identity that reads but is no consumer; may be repeated
    #[arg(long, value_name = "IDENTITY")]
    ignore: Option<Vec<String>>,
    /// How long the target must show no use of the old credential [default: 1m]
    #[arg(long, value_name = "DURATION")]
    quiet_period: Option<String>,
    /// From the new value on; `grace_period`: as long as that [default]
    #[arg(long, value_name = "DURATION")]
    deadline: Option<String>,
    /// What the deadline does: hold [default], force or `roll_back`
    #[arg(long, value_name = "ACTION")]
    on_deadline: Option<String>,
    /// What a consumer's report of failure does: hold [default] or `roll_back`
    #[arg(long, value_name = "ACTION")]
    on_failure: Option<String>,
    /// Tell of consumers still moving after this long [default: 30m]
    #[arg(long, value_name = "DURATION")]
    propagation_bound: Option<String>,
    /// Between two looks at the target [default: 10s]
    #[arg(long, value_name = "DURATION")]
    poll: Option<String>,
    /// How often credentials are tried by a harmless login, or `off` [default: 1h]
    #[arg(long, value_name = "DURATION")]
    pub(crate) drift_check: Option<String>,
}

#[derive(Args, Default)]
#[command(next_help_heading = "Calendar")]
pub(crate) struct CalendarArgs {
    /// Five fields, such as '0 3 * * sun'; takes the place of the interval; empty: none
    #[arg(long, value_name = "PATTERN")]
    cron: Option<String>,
    /// When rotations may begin, such as 'sat,sun 22:00-04:00'; may be repeated
    #[arg(long = "window", value_name = "WINDOW", value_parser = window)]
    windows: Option<Vec<RotationWindow>>,
    /// Rotations may begin at any time
    #[arg(long, conflicts_with = "windows")]
    no_windows: bool,
    /// Whose wall clock counts, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
}

impl RulesArgs {
    pub(crate) fn body(self) -> Option<RotationRulesBody> {
        let body = RotationRulesBody {
            accept_gap: self.accept_gap,
            approval: self.approval,
            consumers: self.consumers,
            ignore: self.ignore,
            quiet_period: self.quiet_period,
            deadline: self.deadline,
            on_deadline: self.on_deadline,
            on_failure: self.on_failure,
            propagation_bound: self.propagation_bound,
            poll: self.poll,
        };
        (body != RotationRulesBody::default()).then_some(body)
    }
}

impl CalendarArgs {
    pub(crate) fn body(self) -> Option<RotationCalendarBody> {
        let body = RotationCalendarBody {
            windows: match self.no_windows {
                true => Some(Vec::new()),
                false => self.windows,
            },
            cron: self.cron,
            time_zone: self.time_zone,
        };
        (body != RotationCalendarBody::default()).then_some(body)
    }
}

fn consumers(text: &str) -> Result<Consumers, CliError> {
    let bad = || CliError::Input("is live=DURATION, count=NUMBER or listed=IDENTITIES".to_owned());
    let (kind, rest) = text.split_once('=').ok_or_else(bad)?;
    match kind {
        "live" => Ok(Consumers::Live(rest.to_owned())),
        "count" => rest.parse().map(Consumers::Count).map_err(|_| bad()),
        "listed" => Ok(Consumers::Listed(words(rest))),
        _ => Err(bad()),
    }
}

fn window(text: &str) -> Result<RotationWindow, CliError> {
    let bad = || {
        let form = "is days and times, such as 'sat,sun 22:00-04:00' or '22:00-04:00'";
        CliError::Input(form.to_owned())
    };
    let (days, times) = text.trim().rsplit_once(' ').unwrap_or(("", text.trim()));
    let (from, to) = times.split_once('-').ok_or_else(bad)?;
    Ok(RotationWindow {
        days: words(days),
        from: from.to_owned(),
        to: to.to_owned(),
    })
}

fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        rules: RulesArgs,
        #[command(flatten)]
        calendar: CalendarArgs,
    }

    fn line(words: &[&str]) -> Line {
        Line::try_parse_from([&["line"], words].concat()).expect("parsed")
    }

    #[test]
    fn nothing_given_is_nothing_sent() {
        let line = line(&[]);
        assert_eq!(line.rules.body(), None);
        assert_eq!(line.calendar.body(), None);
    }

    #[test]
    fn flags_become_fields() {
        let line = line(&[
            "--approval",
            "--accept-gap=false",
            "--consumers",
            "listed=sa:a, sa:b",
            "--on-deadline",
            "roll_back",
            "--window",
            "sat,sun 22:00-04:00",
            "--window",
            "12:00-13:00",
            "--time-zone",
            "Europe/Berlin",
        ]);
        assert_eq!(
            serde_json::to_value(line.rules.body()).expect("json"),
            json!({
                "approval": true, "accept_gap": false, "on_deadline": "roll_back",
                "consumers": {"listed": ["sa:a", "sa:b"]}
            })
        );
        assert_eq!(
            serde_json::to_value(line.calendar.body()).expect("json"),
            json!({"time_zone": "Europe/Berlin", "windows": [
                {"days": ["sat", "sun"], "from": "22:00", "to": "04:00"},
                {"days": [], "from": "12:00", "to": "13:00"}
            ]})
        );
    }

    #[test]
    fn each_kind_of_consumers_and_what_is_none() {
        assert_eq!(
            consumers("live=24h").expect("live"),
            Consumers::Live("24h".to_owned())
        );
        assert_eq!(consumers("count=3").expect("count"), Consumers::Count(3));
        for bad in ["", "live", "count=x", "count=-1", "some=1"] {
            assert!(consumers(bad).is_err(), "{bad}");
        }
        assert!(window("sat").is_err() && window("").is_err());
        let all = line(&["--no-windows"]).calendar.body().expect("given");
        assert_eq!(all.windows, Some(Vec::new()));
    }
}
