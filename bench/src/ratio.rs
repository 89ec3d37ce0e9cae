//! Figures of several rounds: the middle one, and how far they lie apart.

use serde::{Deserialize, Deserializer, Serialize};

/// The median, and the least and the most.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Spread {
    #[serde(deserialize_with = "number")]
    pub(crate) median: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) min: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) max: f64,
}

/// JSON has no word for what is not a number: there it is `null`.
pub(crate) fn number<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

impl Spread {
    /// Of one value or more.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            _ if values.is_empty() => f64::NAN,
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        let (min, max) = (values.first(), values.last());
        Self {
            median,
            min: min.copied().unwrap_or(f64::NAN),
            max: max.copied().unwrap_or(f64::NAN),
        }
    }

    /// `0.52 (0.49–0.55)`
    pub(crate) fn show(&self, decimals: usize) -> String {
        let Self { median, min, max } = self;
        format!("{median:.decimals$} ({min:.decimals$}–{max:.decimals$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_of_nothing_survives_a_file() {
        for (spread, expect) in [(Spread::of([]), true), (Spread::of([2.0, 1.0]), false)] {
            let text = serde_json::to_string(&spread).unwrap();
            let back: Spread = serde_json::from_str(&text).unwrap();
            assert_eq!(back.median.is_nan(), expect, "{text}");
        }
    }
}
