//! What can go wrong, by what a caller does about it.
//!
//! No variant holds the token, a request body or a response body: a decoding failure keeps the
//! place of the problem only, because a JSON parser's own message quotes what it found.

use std::time::Duration;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server refused: branch on [`ApiError::code`].
    #[error(transparent)]
    Api(Box<ApiError>),
    /// No answer came. A write may or may not have taken effect, unless the kind is
    /// [`TransportKind::Connect`].
    #[error(transparent)]
    Transport(TransportError),
    /// An answer came that is not this API's: a proxy in between, or another version.
    #[error(transparent)]
    Decode(DecodeError),
    /// Nothing was sent: the argument cannot be part of a request.
    #[error(transparent)]
    Input(InputError),
}

/// An error answer of the API.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ApiError {
    /// HTTP status.
    pub status: u16,
    /// The contract, such as `secret_not_found`.
    pub code: String,
    /// For people.
    pub message: String,
    /// By code; see the API reference.
    pub details: Option<serde_json::Value>,
    /// For the operator of the server.
    pub request_id: String,
    /// How long to wait before trying again, when the server said so.
    pub retry_after: Option<Duration>,
}

/// No answer.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct TransportError {
    /// Where it failed.
    pub kind: TransportKind,
    /// The chain below, without the URL.
    #[source]
    pub source: reqwest::Error,
}

/// Where a transport failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportKind {
    /// No connection, so nothing was sent: refused, unknown host, TLS not agreed.
    Connect,
    /// The time for the whole request was up.
    Timeout,
    /// The connection broke.
    Broken,
}

/// An answer that is not this API's.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the server answered {status} with {problem}")]
pub struct DecodeError {
    /// HTTP status.
    pub status: u16,
    /// From the `X-Request-ID` header, when it was there.
    pub request_id: Option<String>,
    /// What was found.
    pub problem: DecodeProblem,
}

/// What was found instead of the API's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeProblem {
    /// An error status without the API's error body.
    #[error("something that is not an error of this API")]
    NotAnApiError,
    /// Not the expected JSON.
    #[error("a body that is not the expected JSON (line {line}, column {column})")]
    Unexpected {
        /// From 1.
        line: usize,
        /// From 1; 0 at the end of a line.
        column: usize,
    },
    /// More than this client reads.
    #[error("a body of more than {} MiB", bytes_max / 1024 / 1024)]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
}

/// An argument that cannot be part of a request.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// An empty part, `.` or `..` would change which URL is asked.
    #[error("'{text}' cannot be part of a URL: empty parts, '.' and '..' are not allowed")]
    Segment {
        /// The path or id as given.
        text: String,
    },
    /// The value does not become JSON. Its text is not repeated here.
    #[error("the value is not a JSON object (line {line}, column {column})")]
    Value {
        /// From 1; 0 when it never was text.
        line: usize,
        /// From 1; 0 when it never was text.
        column: usize,
    },
}

impl ClientError {
    /// The HTTP status, when there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api(error) => Some(error.status),
            Self::Decode(error) => Some(error.status),
            Self::Transport(_) | Self::Input(_) => None,
        }
    }

    /// The API's code, when the server gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api(error) => Some(&error.code),
            Self::Decode(_) | Self::Transport(_) | Self::Input(_) => None,
        }
    }

    /// The server's name for the request, when there was an answer.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Api(error) => Some(&error.request_id),
            Self::Decode(error) => error.request_id.as_deref(),
            Self::Transport(_) | Self::Input(_) => None,
        }
    }

    /// Removes the URL, so that a prefix or a path in it does not travel with the error.
    pub(crate) fn transport(error: reqwest::Error) -> Self {
        let kind = if error.is_timeout() {
            TransportKind::Timeout
        } else if error.is_connect() || error.is_builder() {
            TransportKind::Connect
        } else {
            TransportKind::Broken
        };
        Self::Transport(TransportError {
            kind,
            source: error.without_url(),
        })
    }

    pub(crate) fn decode(status: u16, request_id: Option<String>, problem: DecodeProblem) -> Self {
        Self::Decode(DecodeError {
            status,
            request_id,
            problem,
        })
    }
}

impl std::fmt::Display for TransportKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection to the server",
            Self::Timeout => "the server did not answer in time",
            Self::Broken => "the connection to the server broke",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_code_and_message() {
        let error = ClientError::Api(Box::new(ApiError {
            status: 404,
            code: "secret_not_found".to_owned(),
            message: "no secret at a/b".to_owned(),
            details: None,
            request_id: "req_1".to_owned(),
            retry_after: None,
        }));
        assert_eq!(error.to_string(), "no secret at a/b (secret_not_found)");
        assert_eq!(error.status(), Some(404));
        assert_eq!(error.code(), Some("secret_not_found"));
        assert_eq!(error.request_id(), Some("req_1"));
    }

    #[test]
    fn problems_read_as_sentences() {
        let problem = DecodeProblem::TooLarge {
            bytes_max: 2 * 1024 * 1024,
        };
        let error = ClientError::decode(502, None, problem);
        assert_eq!(
            error.to_string(),
            "the server answered 502 with a body of more than 2 MiB"
        );
        assert_eq!(error.code(), None);
    }
}
