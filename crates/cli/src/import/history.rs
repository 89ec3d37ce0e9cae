//! The versions and settings of a secret (`kv` version 2), and what has to be written so that both
//! servers number them alike.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

/// Versions kept where nobody says.
pub(crate) const MAX_VERSIONS_DEFAULT: u64 = 10;
/// The most our server keeps of one secret.
pub(crate) const MAX_VERSIONS_LIMIT: u64 = 1_000;
/// Numbers without a value that are made at most, one write each.
pub(crate) const PLACES_MAX: u64 = 10_000;

/// Metadata as it is answered.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) current_version: u64,
    #[serde(default)]
    pub(crate) versions: BTreeMap<u64, Row>,
    #[serde(default)]
    max_versions: u64,
    #[serde(default)]
    cas_required: bool,
    #[serde(default)]
    delete_version_after: Option<String>,
    #[serde(default)]
    custom_metadata: Option<BTreeMap<String, String>>,
}

/// One version.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Row {
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
}

/// Whether a version has a value that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has; until then, where there is an end.
    Live(Option<Timestamp>),
    /// It has, and it is not given.
    Deleted,
    Destroyed,
}

impl Row {
    pub(crate) fn state(&self, now: Timestamp) -> State {
        if self.destroyed {
            return State::Destroyed;
        }
        match self.deletion_time.parse::<Timestamp>() {
            Ok(end) if end <= now => State::Deleted,
            Ok(end) => State::Live(Some(end)),
            Err(_) => State::Live(None),
        }
    }
}

/// How a secret keeps its versions, and what is said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) max_versions: u64,
    pub(crate) cas_required: bool,
    pub(crate) delete_after_s: u64,
    pub(crate) custom: BTreeMap<String, String>,
}

impl Settings {
    /// Of a secret nobody said anything of.
    pub(crate) fn usual(max_versions: u64) -> Self {
        Self {
            max_versions,
            ..Self::default()
        }
    }
}

impl Metadata {
    /// `usual` holds where the secret itself says nothing.
    pub(crate) fn settings(&self, usual: u64) -> Settings {
        Settings {
            max_versions: match self.max_versions {
                0 => usual,
                own => own,
            },
            cas_required: self.cas_required,
            delete_after_s: self
                .delete_version_after
                .as_deref()
                .map_or(0, seconds_of_duration),
            custom: self.custom_metadata.clone().unwrap_or_default(),
        }
    }

    pub(crate) fn state(&self, version: u64, now: Timestamp) -> State {
        self.versions
            .get(&version)
            .map_or(State::Destroyed, |row| row.state(now))
    }
}

/// What the history of a secret is to be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is subtracted from a number of theirs for ours.
    pub(crate) offset: u64,
    /// Our last number.
    pub(crate) last: u64,
    /// Versions with a value, by our numbers, each with its end.
    pub(crate) live: BTreeMap<u64, Option<Timestamp>>,
    /// What is to be known.
    pub(crate) notes: Vec<String>,
}

/// Plans it. Every number without a value costs a write: where there are too many, what stands before
/// the first value is left out.
///
/// # Errors
/// A sentence, where that does not help.
pub(crate) fn plan(theirs: &Metadata, now: Timestamp) -> Result<Plan, String> {
    let current = theirs.current_version;
    let mut notes = Vec::new();
    let mut live = BTreeMap::new();
    let mut deleted = BTreeSet::new();
    for (&version, row) in &theirs.versions {
        match row.state(now) {
            State::Live(end) if version <= current => {
                live.insert(version, end);
            }
            State::Deleted => {
                deleted.insert(version);
            }
            _ => {}
        }
    }
    if !deleted.is_empty() {
        notes.push(format!(
            "{} {} deleted in the source, which does not give the value: destroyed here",
            numbered(&deleted),
            if deleted.len() == 1 { "is" } else { "are" },
        ));
    }
    // One place is for a number without a value, until it is destroyed.
    let has_places = current != live.len() as u64;
    let room = MAX_VERSIONS_LIMIT - u64::from(has_places);
    if live.len() as u64 > room {
        let mut left_out = BTreeSet::new();
        while live.len() as u64 > room {
            left_out.extend(live.pop_first().map(|(version, _)| version));
        }
        notes.push(format!(
            "{}: left out, {room} versions are the most here",
            numbered(&left_out)
        ));
    }
    let places = current - live.len() as u64;
    let before = match live.first_key_value() {
        Some((first, _)) => first - 1,
        None => current,
    };
    let offset = match places {
        0..=PLACES_MAX => 0,
        _ if places - before <= PLACES_MAX => before,
        _ => {
            return Err(format!(
                "{places} of its {current} versions have no value: more than the {PLACES_MAX} that are \
                 made here to keep the numbers"
            ));
        }
    };
    if offset > 0 {
        notes.push(format!(
            "the numbers of its versions are smaller by {offset} here: so many at its beginning have no \
             value"
        ));
    }
    Ok(Plan {
        offset,
        last: current - offset,
        live: live
            .into_iter()
            .map(|(version, end)| (version - offset, end))
            .collect(),
        notes,
    })
}

/// The settings it is to have here, and what is to be known of them.
pub(crate) fn wanted(theirs: &Settings, plan: &Plan) -> (Settings, Option<String>) {
    let needed = plan.live.len() as u64;
    let max_versions = theirs.max_versions.max(needed).min(MAX_VERSIONS_LIMIT);
    let note = (max_versions != theirs.max_versions).then(|| {
        format!(
            "max_versions is {} in the source and {max_versions} here: it has {needed} versions, and \
             {MAX_VERSIONS_LIMIT} are the most here",
            theirs.max_versions
        )
    });
    let wanted = Settings {
        max_versions,
        ..theirs.clone()
    };
    (wanted, note)
}

fn numbered(versions: &BTreeSet<u64>) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = versions.iter().take(SHOWN).map(u64::to_string).collect();
    let more = match versions.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let word = if versions.len() == 1 {
        "version"
    } else {
        "versions"
    };
    format!("{word} {}{more}", shown.join(", "))
}

/// `1h2m3s`, as their servers write it. What is negative says: never.
pub(crate) fn seconds_of_duration(text: &str) -> u64 {
    let mut total = 0.0;
    let mut number = String::new();
    let mut rest = text.chars().peekable();
    while let Some(one) = rest.next() {
        if one.is_ascii_digit() || one == '.' {
            number.push(one);
            continue;
        }
        let is_short = rest.peek() == Some(&'s') && matches!(one, 'm' | 'u' | 'µ' | 'n');
        let unit = match one {
            _ if is_short => {
                rest.next();
                0.0
            }
            'd' => 86_400.0,
            'h' => 3_600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return 0,
        };
        total += number.parse::<f64>().unwrap_or(0.0) * unit;
        number.clear();
    }
    // A bare number is seconds. It is never negative, and cut at what fits.
    (total + number.parse::<f64>().unwrap_or(0.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn metadata(current: u64, rows: &[(u64, &str)]) -> Metadata {
        let row = |word: &str| Row {
            deletion_time: match word {
                "deleted" => "1969-12-31T23:00:00.5Z".to_owned(),
                "ends" => "1970-01-01T01:00:00Z".to_owned(),
                _ => String::new(),
            },
            destroyed: word == "destroyed",
        };
        Metadata {
            current_version: current,
            versions: rows
                .iter()
                .map(|(number, word)| (*number, row(word)))
                .collect(),
            ..Metadata::default()
        }
    }

    #[test]
    fn numbers_come_out_the_same() {
        let theirs = metadata(
            6,
            &[(3, "live"), (4, "destroyed"), (5, "deleted"), (6, "ends")],
        );
        let plan = plan(&theirs, NOW).expect("planned");
        assert_eq!((plan.offset, plan.last), (0, 6));
        let end = "1970-01-01T01:00:00Z".parse().ok();
        assert_eq!(plan.live, BTreeMap::from([(3, None), (6, end)]));
        assert_eq!(plan.notes.len(), 1, "{:?}", plan.notes);
        assert!(plan.notes[0].starts_with("version 5 is deleted"));
        assert_eq!(theirs.state(1, NOW), State::Destroyed, "aged out");
    }

    #[test]
    fn too_many_numbers_before_the_first_value_are_left_out() {
        let theirs = metadata(PLACES_MAX + 5, &[(PLACES_MAX + 2, "live")]);
        let done = plan(&theirs, NOW).expect("planned");
        assert_eq!((done.offset, done.last), (PLACES_MAX + 1, 4));
        assert_eq!(done.live.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(done.notes.len(), 1);
        let between = metadata(PLACES_MAX * 3, &[(1, "live")]);
        assert!(plan(&between, NOW).is_err());
        let none = plan(&metadata(PLACES_MAX + 1, &[]), NOW).expect("planned");
        assert_eq!(none.last, 0);
    }

    #[test]
    fn more_than_are_kept_here() {
        let rows: Vec<(u64, &str)> = (1..=1_200).map(|number| (number, "live")).collect();
        let plan = plan(&metadata(1_200, &rows), NOW).expect("planned");
        assert_eq!(plan.last, 1_200);
        assert_eq!(plan.live.len(), 1_000);
        assert_eq!(
            plan.live.first_key_value().map(|(first, _)| *first),
            Some(201)
        );
        assert_eq!(plan.notes.len(), 1);
    }

    #[test]
    fn no_setting_makes_versions_age_out() {
        let rows: Vec<(u64, &str)> = (1..=20).map(|number| (number, "live")).collect();
        let theirs = metadata(20, &rows);
        let plan = plan(&theirs, NOW).expect("planned");
        let (settings, note) = wanted(&Settings::usual(5), &plan);
        assert_eq!(settings.max_versions, 20);
        assert!(note.is_some());
        let (settings, note) = wanted(&Settings::usual(30), &plan);
        assert_eq!((settings.max_versions, note), (30, None));
    }

    #[test]
    fn metadata_is_read() {
        let text = r#"{"current_version":2,"max_versions":0,"cas_required":true,
            "delete_version_after":"1h0m5s","custom_metadata":{"a":"b"},"oldest_version":1,
            "versions":{"2":{"created_time":"x","deletion_time":"","destroyed":false}}}"#;
        let read: Metadata = serde_json::from_str(text).expect("read");
        assert_eq!(read.state(2, NOW), State::Live(None));
        let settings = read.settings(7);
        assert_eq!(settings.max_versions, 7);
        assert_eq!(settings.delete_after_s, 3_605);
        assert_eq!(settings.custom.len(), 1);
    }

    #[test]
    fn durations() {
        for (text, expect) in [
            ("0s", 0),
            ("3h25m19s", 12_319),
            ("1.5s", 1),
            ("250ms", 0),
            ("2d", 172_800),
            ("90", 90),
            ("-1s", 0),
            ("", 0),
        ] {
            assert_eq!(seconds_of_duration(text), expect, "{text}");
        }
    }
}
