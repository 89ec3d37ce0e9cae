//! Routes: text from outside becomes part of a URL here and nowhere else.
//!
//! Each segment is percent-encoded on its own, so `?`, `#`, `%`, `\` or a space arrive at the
//! server as themselves and are judged there. Empty, `.` and `..` segments cannot be sent: URL
//! parsers fold dots even when they are encoded, and an empty path would name another endpoint.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{ClientError, InputError};

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A path below `/v1`, already encoded, such as `/secrets/a/b/versions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route(String);

impl Route {
    /// Starts with a literal of ours, which is taken as it is.
    pub(crate) fn new(literal: &'static str) -> Self {
        Self(literal.to_owned())
    }

    /// Adds a literal of ours.
    pub(crate) fn then(mut self, literal: &'static str) -> Self {
        self.0.push_str(literal);
        self
    }

    /// Adds one segment; a slash in it is encoded.
    pub(crate) fn id(mut self, id: &str) -> Result<Self, ClientError> {
        self.push(id, id)?;
        Ok(self)
    }

    /// Adds a secret path, a segment for each part between slashes.
    pub(crate) fn path(mut self, path: &str) -> Result<Self, ClientError> {
        for part in path.split('/') {
            self.push(part, path)?;
        }
        Ok(self)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn push(&mut self, segment: &str, whole: &str) -> Result<(), ClientError> {
        if matches!(segment, "" | "." | "..") {
            return Err(ClientError::Input(InputError::Segment {
                text: whole.to_owned(),
            }));
        }
        self.0.push('/');
        self.0.extend(utf8_percent_encode(segment, SEGMENT));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Option<String> {
        Route::new("/secrets").path(text).ok().map(|route| route.0)
    }

    #[test]
    fn segments_are_encoded_one_by_one() {
        let check = |text: &str, expect: &str| assert_eq!(path(text).as_deref(), Some(expect));
        check("a/b-c_d/e", "/secrets/a/b-c_d/e");
        check("a?version=1", "/secrets/a%3Fversion%3D1");
        check("a#b", "/secrets/a%23b");
        check("a%2e%2e", "/secrets/a%252e%252e");
        check("%2e%2e/x", "/secrets/%252e%252e/x");
        check("a\\..\\b", "/secrets/a%5C..%5Cb");
        check("A b", "/secrets/A%20b");
        check("ä\n", "/secrets/%C3%A4%0A");
    }

    #[test]
    fn what_would_ask_another_url_is_refused() {
        for text in ["", "/", "/a", "a/", "a//b", "..", "a/../b", "a/./b", "."] {
            assert_eq!(path(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_id_is_one_segment() {
        let id = |text| {
            Route::new("/x")
                .id(text)
                .ok()
                .map(|route| route.then("/y").0)
        };
        assert_eq!(id("a/b").as_deref(), Some("/x/a%2Fb/y"));
        assert_eq!(id(".."), None);
        assert_eq!(id(""), None);
    }
}
