//! How a row is written for somebody else: as RFC 5424, or as the line it is.

use anyhow::{Context, Result};
use scaivault_core::time::Timestamp;
use serde::Deserialize;

/// Facility 13: log audit.
const FACILITY: u8 = 13;
const INFORMATIONAL: u8 = 6;
const WARNING: u8 = 4;

/// What a message looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageFormat {
    /// RFC 5424, with the line as its text.
    Syslog,
    /// The line.
    Json,
}

/// What of a row stands in the head of a message.
#[derive(Deserialize)]
struct Named {
    timestamp: i64,
    action: String,
    success: bool,
}

/// One message, without framing.
pub(super) fn message(line: &[u8], format: MessageFormat, host: &str) -> Result<Vec<u8>> {
    if format == MessageFormat::Json {
        return Ok(line.to_vec());
    }
    let named: Named = serde_json::from_slice(line).context("a row does not decode")?;
    let severity = if named.success {
        INFORMATIONAL
    } else {
        WARNING
    };
    let priority = FACILITY * 8 + severity;
    let at = Timestamp::from_micros(named.timestamp).to_rfc3339_micros();
    // Actions are words of the server's own list: no message id is too long or has a space.
    let head = format!("<{priority}>1 {at} {host} scaivault - {} - ", named.action);
    Ok([head.as_bytes(), line].concat())
}

/// The same in a stream of messages: counted (RFC 6587, 3.4.1), or ended by a line end.
pub(super) fn framed(message: &[u8], format: MessageFormat) -> Vec<u8> {
    match format {
        MessageFormat::Syslog => {
            let length = format!("{} ", message.len());
            [length.as_bytes(), message].concat()
        }
        MessageFormat::Json => [message, b"\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = br#"{"id":"log_abcdef_000000000001","timestamp":1795232925400558,"tenant_id":"tnt_default","action":"read","success":false}"#;

    #[test]
    fn messages_are_of_the_standards_form() {
        let text = message(LINE, MessageFormat::Syslog, "vault-1").unwrap();
        let line = std::str::from_utf8(LINE).unwrap();
        let expect =
            format!("<108>1 2026-11-21T03:48:45.400558Z vault-1 scaivault - read - {line}");
        assert_eq!(String::from_utf8(text.clone()).unwrap(), expect);
        let counted = framed(&text, MessageFormat::Syslog);
        assert!(counted.starts_with(format!("{} <108>1", expect.len()).as_bytes()));
        let plain = message(LINE, MessageFormat::Json, "-").unwrap();
        assert_eq!(framed(&plain, MessageFormat::Json), [LINE, b"\n"].concat());
        assert!(message(b"{", MessageFormat::Syslog, "-").is_err());
    }
}
