//! A bearer token as it passes through this program.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Shown by [`Token::masked`] only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// For the `Authorization` header and for comparisons.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Enough to tell two tokens apart: the last four characters, and of a short one none.
    pub(crate) fn masked(&self) -> String {
        let chars: Vec<char> = self.0.chars().collect();
        let prefix = if self.0.starts_with("skt_") {
            "skt_"
        } else {
            ""
        };
        match chars.len() {
            20.. => format!(
                "{prefix}…{}",
                chars[chars.len() - 4..].iter().collect::<String>()
            ),
            _ => format!("{prefix}…"),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl FromStr for Token {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        let check = |text: &str, expect: &str| assert_eq!(Token::new(text).masked(), expect);
        check("skt_0123456789abcdefWXYZ", "skt_…WXYZ");
        check("skt_short", "skt_…");
        check("eyJhbGciOiJIUzI1NiJ9.e30.abcd", "…abcd");
        check("root", "…");
        check("ääääääääääääääääääääö", "…äääö");
        assert_eq!(format!("{:?}", Token::new("hidden")), "Token(…)");
    }
}
