//! Query strings.

use percent_encoding::percent_decode_str;
use scaivault_api::ErrorCode;
use scaivault_core::time::Timestamp;

use crate::problem::Problem;

/// Rows of a page when the client does not say, and at most.
/// The longest name, address or id that is looked for.
pub(crate) const SHORT_CHARS_MAX: usize = 256;
pub(crate) const LIMIT_DEFAULT: usize = 100;
pub(crate) const LIMIT_MAX: usize = 1_000;

/// A parsed query string. Unknown names are ignored, doubled ones refused.
#[derive(Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(text: Option<&str>) -> Result<Self, Problem> {
        Self::parse_with(text, "")
    }

    /// The same, but this name may be given several times.
    pub(crate) fn parse_with(text: Option<&str>, repeated: &str) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text
            .unwrap_or("")
            .split('&')
            .filter(|part| !part.is_empty())
        {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            let may_be_again = !repeated.is_empty() && name == repeated;
            if !may_be_again && pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::new(
                    ErrorCode::InvalidRequest,
                    "a query parameter is given twice",
                ));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Every parameter, in the order given.
    pub(crate) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// A parameter; an empty one counts as absent.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A parameter that is compared with names or ids: none is longer.
    pub(crate) fn short(&self, name: &str) -> Result<Option<String>, Problem> {
        match self.text(name) {
            Some(text) if text.chars().count() > SHORT_CHARS_MAX => Err(bad(
                name,
                &format!("has at most {SHORT_CHARS_MAX} characters"),
            )),
            text => Ok(text.map(str::to_owned)),
        }
    }

    /// Every one of a parameter that may be given several times.
    pub(crate) fn texts(&self, name: &str) -> Vec<&str> {
        let given = self.0.iter().filter(|(have, _)| have == name);
        let values = given.map(|(_, value)| value.as_str());
        values.filter(|value| !value.is_empty()).collect()
    }

    /// A parameter, also an empty one: where that is no value.
    fn given(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.given(name) {
            None => Ok(None),
            Some("true" | "1") => Ok(Some(true)),
            Some("false" | "0") => Ok(Some(false)),
            Some(_) => Err(bad(name, "is true or false")),
        }
    }

    pub(crate) fn number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let why = || {
            bad(
                name,
                &format!(
                    "is a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
            )
        };
        match self.given(name) {
            None => Ok(None),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => {
                let number: u64 = text.parse().map_err(|_| why())?;
                if range.contains(&number) {
                    Ok(Some(number))
                } else {
                    Err(why())
                }
            }
            Some(_) => Err(why()),
        }
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        self.text(name)
            .map(|text| {
                Timestamp::parse_rfc3339(text)
                    .ok_or_else(|| bad(name, "is a time such as 2026-04-23T14:00:00Z"))
            })
            .transpose()
    }

    pub(crate) fn limit(&self) -> Result<usize, Problem> {
        let given = self.number("limit", 1..=LIMIT_MAX as u64)?;
        Ok(given
            .and_then(|limit| usize::try_from(limit).ok())
            .unwrap_or(LIMIT_DEFAULT))
    }
}

fn bad(name: &str, why: &str) -> Problem {
    Problem::new(
        ErrorCode::InvalidRequest,
        format!("query parameter '{name}' {why}"),
    )
}

/// Percent-decodes once; `+` is a space, as in forms.
fn decode(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(|text| text.into_owned())
        .map_err(|_| {
            Problem::new(
                ErrorCode::InvalidRequest,
                "the query string is not valid UTF-8",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_strictly() {
        let query = Query::parse(Some("limit=5&prefix=a%2Fb&flag=true&x=")).unwrap();
        assert_eq!(query.limit().unwrap(), 5);
        assert_eq!(query.text("prefix"), Some("a/b"));
        assert_eq!(query.flag("flag").unwrap(), Some(true));
        assert_eq!(query.text("x"), None);
        for bad in [
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=+5",
            "limit=x",
            "limit=1e3",
            "limit=",
        ] {
            assert!(Query::parse(Some(bad)).unwrap().limit().is_err(), "{bad}");
        }
        assert!(Query::parse(Some("a=1&a=2")).is_err());
        assert!(Query::parse_with(Some("a=1&a=2"), "b").is_err());
        let tags = Query::parse_with(Some("tag=a&tag=&x=1&tag=b"), "tag").unwrap();
        assert_eq!(tags.texts("tag"), ["a", "b"]);
        assert!(Query::parse(Some("=1&=2")).is_err());
        assert!(Query::parse(Some("a=%ff")).is_err());
        assert!(
            Query::parse(Some("flag=yes"))
                .unwrap()
                .flag("flag")
                .is_err()
        );
    }
}
