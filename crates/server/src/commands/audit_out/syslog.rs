//! How a row is written for somebody else: as RFC 5424, or as the line it is.

use std::borrow::Cow;

use anyhow::{Context, Result};
use scaivault_core::time::Timestamp;
use serde::Deserialize;

/// Facility 13: log audit.
const FACILITY: u8 = 13;
const INFORMATIONAL: u8 = 6;
const WARNING: u8 = 4;

/// The element of structured data where none is named: the number is the one for examples.
pub(crate) const STRUCTURED: &str = "scaivault@32473";

/// What a message looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// RFC 5424, with the line as its text.
    Syslog,
    /// The line.
    Json,
    /// The line as an event of Splunk's HTTP event collector.
    SplunkHec,
}

/// How a row is written.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) format: MessageFormat,
    /// What messages call this machine.
    pub(crate) host: String,
    /// The id of the element of structured data that repeats what filters ask for.
    pub(crate) structured: Option<String>,
}

impl Form {
    /// Lines as they are.
    #[cfg(test)]
    pub(crate) fn json() -> Self {
        Self {
            format: MessageFormat::Json,
            host: "-".to_owned(),
            structured: None,
        }
    }
}

/// What of a row stands in the head of a message.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    timestamp: i64,
    action: Cow<'a, str>,
    success: bool,
    tenant_id: Option<Cow<'a, str>>,
    identity_id: Option<Cow<'a, str>>,
    secret_path: Option<Cow<'a, str>>,
    source_ip: Option<Cow<'a, str>>,
    request_id: Option<Cow<'a, str>>,
}

/// One message, without framing.
pub(super) fn message(line: &[u8], form: &Form) -> Result<Vec<u8>> {
    if form.format == MessageFormat::Json {
        return Ok(line.to_vec());
    }
    let named: Named<'_> = serde_json::from_slice(line).context("a row does not decode")?;
    if form.format == MessageFormat::SplunkHec {
        let (whole, part) = (
            named.timestamp.div_euclid(1_000_000),
            named.timestamp.rem_euclid(1_000_000),
        );
        let head = format!(
            "{{\"time\":{whole}.{part:06},\"source\":\"scaivault\",\"sourcetype\":\"scaivault:audit\",\"event\":"
        );
        return Ok([head.as_bytes(), line, b"}"].concat());
    }
    let severity = if named.success {
        INFORMATIONAL
    } else {
        WARNING
    };
    let priority = FACILITY * 8 + severity;
    let at = Timestamp::from_micros(named.timestamp).to_rfc3339_micros();
    let data = match &form.structured {
        Some(id) => structured(id, &named),
        None => "-".to_owned(),
    };
    // Actions are words of the server's own list: no message id is too long or has a space.
    let head = format!(
        "<{priority}>1 {at} {} scaivault - {} {data} ",
        form.host, named.action
    );
    Ok([head.as_bytes(), line].concat())
}

/// An element of structured data (RFC 5424, 6.3) of what a collector filters by.
fn structured(id: &str, named: &Named<'_>) -> String {
    let result = if named.success { "ok" } else { "refused" };
    let fields = [
        ("id", named.id.as_deref()),
        ("action", Some(&*named.action)),
        ("result", Some(result)),
        ("tenant", named.tenant_id.as_deref()),
        ("identity", named.identity_id.as_deref()),
        ("path", named.secret_path.as_deref()),
        ("source", named.source_ip.as_deref()),
        ("request", named.request_id.as_deref()),
    ];
    let mut element = format!("[{id}");
    for (name, value) in fields {
        let Some(value) = value else { continue };
        element.push_str(&format!(" {name}=\""));
        for c in value.chars() {
            if matches!(c, '"' | '\\' | ']') {
                element.push('\\');
            }
            element.push(c);
        }
        element.push('"');
    }
    element.push(']');
    element
}

/// Whether it may name an element: `name@number`, printable, at most 32 characters.
pub(crate) fn is_element_id(text: &str) -> bool {
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'=' | b']' | b'"' | b'@');
    let number =
        |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    text.len() <= 32
        && text
            .split_once('@')
            .is_some_and(|(name, of)| !name.is_empty() && name.bytes().all(plain) && number(of))
}

/// The same in a stream of messages: counted (RFC 6587, 3.4.1), or ended by a line end.
pub(super) fn framed(message: &[u8], format: MessageFormat) -> Vec<u8> {
    match format {
        MessageFormat::Syslog => {
            let length = format!("{} ", message.len());
            [length.as_bytes(), message].concat()
        }
        MessageFormat::Json | MessageFormat::SplunkHec => [message, b"\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"id":"log_abcdef_000000000001","timestamp":1795232925400558,"tenant_id":"tnt_default","action":"read","success":false}"#;

    fn syslog(structured: Option<&str>) -> Form {
        Form {
            format: MessageFormat::Syslog,
            host: "vault-1".to_owned(),
            structured: structured.map(str::to_owned),
        }
    }

    #[test]
    fn what_filters_ask_for_stands_before_the_text() {
        let line = br#"{"id":"log_a_1","timestamp":5,"tenant_id":"t","action":"read","identity_id":"user:\"]x\\","success":true}"#;
        let text = message(line, &syslog(Some(STRUCTURED))).unwrap();
        let text = String::from_utf8(text).unwrap();
        let element = r#" - read [scaivault@32473 id="log_a_1" action="read" result="ok" tenant="t" identity="user:\"\]x\\"] {"#;
        assert!(text.contains(element), "{text}");
        let ids = [
            "scaivault@32473",
            "a@1.2",
            "audit",
            "@1",
            "a=b@1",
            "a@x",
            "a b@1",
        ];
        assert_eq!(
            ids.map(is_element_id),
            [true, true, false, false, false, false, false]
        );
    }

    #[test]
    fn events_of_splunk_have_their_time() {
        let form = Form {
            format: MessageFormat::SplunkHec,
            ..Form::json()
        };
        let text = message(LINE, &form).unwrap();
        let event: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(event["time"].as_f64(), Some(1_795_232_925.400_558));
        assert_eq!(event["event"]["action"], "read");
    }

    #[test]
    fn messages_are_of_the_standards_form() {
        let text = message(LINE, &syslog(None)).unwrap();
        let line = std::str::from_utf8(LINE).unwrap();
        let expect =
            format!("<108>1 2026-11-21T03:48:45.400558Z vault-1 scaivault - read - {line}");
        assert_eq!(String::from_utf8(text.clone()).unwrap(), expect);
        let counted = framed(&text, MessageFormat::Syslog);
        assert!(counted.starts_with(format!("{} <108>1", expect.len()).as_bytes()));
        let plain = message(LINE, &Form::json()).unwrap();
        assert_eq!(framed(&plain, MessageFormat::Json), [LINE, b"\n"].concat());
        assert!(message(b"{", &syslog(None)).is_err());
    }
}
