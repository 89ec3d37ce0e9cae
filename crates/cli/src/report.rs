//! Errors as people read them: what happened, and what to try.

use std::fmt::Write;

use scaivault_client::{ApiError, ClientError, TransportError, TransportKind};
use serde_json::Value;

use crate::table::plain;

const SET_TOKEN: &str = "set a token: run `scaivault auth login`, or put it in SCAIVAULT_TOKEN; \
                         a development server prints its root token when it starts";

/// Several lines, without the last line end.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut text = format!("error: {}", plain(&chain(error)));
    if let Some(error) = error.downcast_ref::<ClientError>() {
        if let ClientError::Api(api) = error {
            details(&mut text, api);
        }
        if let Some(request_id) = error.request_id() {
            let _ = write!(text, "\n  request: {}", plain(request_id));
        }
        if let Some(hint) = hint(error) {
            let _ = write!(text, "\nhint: {hint}");
        }
    }
    text
}

/// For a transport only what we say ourselves and the innermost cause: what lies between are the
/// layers of the HTTP client.
fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    if let Some(ours) = error.chain().position(|cause| cause.is::<ClientError>())
        && ours + 2 < parts.len()
    {
        parts.drain(ours + 1..parts.len() - 1);
    }
    parts.join(": ")
}

fn details(text: &mut String, api: &ApiError) {
    let Some(Value::Object(details)) = &api.details else {
        return;
    };
    for (name, value) in details {
        match (name.as_str(), value) {
            ("fields", Value::Object(fields)) => {
                for (field, problem) in fields {
                    let _ = write!(text, "\n  {}: {}", plain(field), plain(&word(problem)));
                }
            }
            // The message names it already.
            ("path", _) => {}
            (name, value) => {
                let _ = write!(text, "\n  {}: {}", plain(name), plain(&word(value)));
            }
        }
    }
}

fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn hint(error: &ClientError) -> Option<String> {
    match error {
        ClientError::Api(api) => api_hint(api),
        ClientError::Transport(transport) => Some(transport_hint(transport).to_owned()),
        ClientError::Decode(_) => Some(
            "is this URL a ScaiVault server, without a proxy that answers for it? \
             `scaivault config show` tells which URL is used"
                .to_owned(),
        ),
        _ => None,
    }
}

fn api_hint(api: &ApiError) -> Option<String> {
    let hint = match api.code.as_str() {
        "rate_limited" | "service_unavailable" => {
            let wait = api.retry_after.map_or(1, |wait| wait.as_secs().max(1));
            return Some(format!("try again in {wait} s"));
        }
        "authentication_required" => SET_TOKEN,
        "token_expired" | "token_revoked" | "token_invalid" => {
            "get a new token (`scaivault token create` with another one), then `scaivault auth login`"
        }
        "insufficient_scope" => {
            "the token lacks a scope; `scaivault auth whoami` shows those it has"
        }
        "access_denied" => {
            "no policy allows this; bind one that does: `scaivault policy list`, \
             `scaivault policy bind ID --identity WHO`"
        }
        "secret_not_found" => {
            "`scaivault secrets list` shows what there is; a deleted one comes back with \
             `scaivault secrets undelete PATH`"
        }
        "version_not_found" | "secret_expired" => {
            "`scaivault secrets versions PATH` shows what can still be read"
        }
        "version_conflict" => "someone else wrote in between: read it again, then retry",
        "secret_exists" => {
            "it was deleted and is still kept: bring it back with `scaivault secrets undelete PATH`, \
             or remove it with `scaivault secrets delete PATH --hard`"
        }
        "policy_in_use" => "`--force` drops its bindings, too",
        "target_not_found" => "`scaivault target list` shows what there is",
        "engine_not_found" => "`scaivault dynamic engine list` shows what there is",
        "engine_in_use" => {
            "its leases have to end first: `scaivault dynamic engine revoke-all NAME`, then again \
             in a moment"
        }
        "lease_not_found" => "`scaivault lease list` shows those that you may see",
        "lease_ended" => "get a new credential: `scaivault dynamic creds ENGINE/ROLE`",
        "invalid_duration" => "durations look like 30s, 15m, 24h, 90d, 2w or 1h30m",
        "internal_error" => "the server's log tells more, under the request id",
        _ if api.status == 401 => SET_TOKEN,
        _ => return None,
    };
    Some(hint.to_owned())
}

fn transport_hint(error: &TransportError) -> &'static str {
    match error.kind {
        TransportKind::Connect if is_certificate(error) => {
            "the server's certificate is not trusted here; name its authority with --ca-file FILE \
             or SCAIVAULT_CA_FILE"
        }
        TransportKind::Timeout => {
            "the server may be overloaded or the network may drop packets; a write may or may not \
             have been done: look before you repeat it"
        }
        TransportKind::Broken => "a write may or may not have been done: look before you repeat it",
        _ => {
            "is the server running? start one with `scaivault dev`, or name another with --url or \
             SCAIVAULT_URL"
        }
    }
}

/// The TLS library's error is below several layers that do not name its type.
fn is_certificate(error: &TransportError) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains("certificate") {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use anyhow::Context;
    use scaivault_client::Client;

    use super::*;

    fn api(status: u16, code: &str, details: Option<Value>) -> anyhow::Error {
        anyhow::Error::new(ClientError::Api(Box::new(ApiError {
            status,
            code: code.to_owned(),
            message: "it went wrong".to_owned(),
            details,
            request_id: "req_1".to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        })))
    }

    #[test]
    fn an_error_of_the_api() {
        let text = text(&api(401, "authentication_required", None));
        assert!(
            text.starts_with(
                "error: it went wrong (authentication_required)\n  request: req_1\nhint: set a token"
            ),
            "{text}"
        );
    }

    #[test]
    fn fields_of_a_validation_error() {
        let details = serde_json::json!({"fields": {"name": "is empty", "n": ["a"]}, "path": "x"});
        assert_eq!(
            text(&api(422, "validation_error", Some(details))),
            "error: it went wrong (validation_error)\n  n: [\"a\"]\n  name: is empty\n  \
             request: req_1"
        );
    }

    #[test]
    fn a_wait_is_told() {
        assert!(text(&api(429, "rate_limited", None)).ends_with("hint: try again in 7 s"));
    }

    #[test]
    fn what_the_server_says_cannot_steer_the_terminal() {
        let error = anyhow::anyhow!("a\x1b[2Jb");
        assert_eq!(text(&error), "error: a\\u{1b}[2Jb");
    }

    #[test]
    fn no_server() {
        let runtime = tokio::runtime::Runtime::new().expect("runtime");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("address"));
        drop(listener);
        let client = Client::builder(&url).build().expect("client");
        let error = runtime
            .block_on(async {
                client
                    .tokens()
                    .whoami()
                    .await
                    .context("cannot reach the server")
            })
            .expect_err("nobody there");
        let text = text(&error);
        assert!(
            text.starts_with(
                "error: cannot reach the server: no connection to the server: Connection refused"
            ),
            "{text}"
        );
        assert!(text.contains("scaivault dev"), "{text}");
    }
}
