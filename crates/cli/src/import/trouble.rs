//! Why a request came to nothing.

use crate::exit::CliError;

/// What went wrong with one request. Holds what servers say, and nothing that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The server said no.
    Refused {
        /// HTTP's.
        status: u16,
        /// Its own words.
        errors: Vec<String>,
    },
    /// No answer, or not all of it.
    Broken(String),
    /// An answer that this program does not understand.
    Unclear(String),
}

impl Trouble {
    /// Whether nothing is there.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether what was asked may have been done all the same.
    pub(crate) fn is_uncertain(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500,
            Self::Broken(_) => true,
            Self::Unclear(_) => false,
        }
    }

    /// Whether asking for something else will not go better.
    pub(crate) fn is_general(&self) -> bool {
        matches!(
            self,
            Self::Broken(_)
                | Self::Refused {
                    status: 401 | 429 | 503,
                    ..
                }
        )
    }

    /// Some words for a log.
    pub(crate) fn word(&self) -> String {
        match self {
            Self::Refused { status, .. } => status.to_string(),
            Self::Broken(_) => "no answer".to_owned(),
            Self::Unclear(_) => "an answer that is not understood".to_owned(),
        }
    }

    /// As it stands in the report.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Refused { status, errors } => {
                let words: Vec<&str> = errors.iter().map(|error| error.trim()).collect();
                match words.is_empty() {
                    true => format!("{status}"),
                    false => format!("{status}: {}", words.join("; ")),
                }
            }
            Self::Broken(text) => text.clone(),
            Self::Unclear(what) => {
                format!("{what} is not as HashiCorp Vault's API has it")
            }
        }
    }

    /// The end of this program, with its exit code.
    pub(crate) fn end(&self, what: &str) -> CliError {
        let status = match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        };
        CliError::Elsewhere {
            status,
            text: format!("{what}: {}", self.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, errors: &[&str]) -> Trouble {
        Trouble::Refused {
            status,
            errors: errors.iter().map(|&error| error.to_owned()).collect(),
        }
    }

    #[test]
    fn what_a_server_says_is_told() {
        assert_eq!(refused(404, &[]).text(), "404");
        let text = refused(400, &["1 error occurred:\n", "b"]).text();
        assert_eq!(text, "400: 1 error occurred:; b");
    }

    #[test]
    fn kinds() {
        assert!(refused(404, &[]).is_absent());
        assert!(!refused(403, &[]).is_absent());
        assert!(refused(500, &[]).is_uncertain());
        assert!(!refused(429, &[]).is_uncertain());
        assert!(Trouble::Broken("x".into()).is_uncertain());
    }
}
