//! Bodies in and out. What is refused is named by field and rule; nothing the client sent is
//! repeated except field names that look like field names.

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use scaivault_api::ErrorCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::app::App;
use crate::problem::Problem;
use crate::readable::Readable;
use crate::strict::Strict;

/// Nesting allowed in a body.
const DEPTH_MAX: usize = 64;
/// Most members of lists and objects, outside of a secret's value: in memory each is some fifty times
/// what it may be as text.
const MEMBERS_MAX: usize = 20_000;

/// Reads a JSON body of a bounded size and depth.
pub(crate) async fn read<T: DeserializeOwned>(app: &App, body: Body) -> Result<T, Problem> {
    parse(&read_bytes(app, body).await?)
}

/// The same, where no body at all means the default.
pub(crate) async fn read_or_default<T: DeserializeOwned + Default>(
    app: &App,
    body: Body,
) -> Result<T, Problem> {
    let bytes = read_bytes(app, body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        Ok(T::default())
    } else {
        parse(&bytes)
    }
}

pub(crate) async fn read_bytes(app: &App, body: Body) -> Result<Bytes, Problem> {
    let limit = app.settings.max_body_bytes;
    let too_large = || {
        let text = format!("the body is larger than {limit} bytes");
        Problem::new(ErrorCode::PayloadTooLarge, text).with(json!({ "max_bytes": limit }))
    };
    // A length announced beyond the limit is refused unread.
    if usize::try_from(body.size_hint().lower()).map_or(true, |length| length > limit) {
        return Err(too_large());
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_large()),
        Err(_) => Err(Problem::new(
            ErrorCode::InvalidRequest,
            "the body could not be read",
        )),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let extent = extent(bytes);
    if extent.members > MEMBERS_MAX {
        let text = format!("the body has more than {MEMBERS_MAX} members outside of 'data'");
        return Err(Problem::new(ErrorCode::InvalidRequest, text));
    }
    if extent.depth > DEPTH_MAX {
        let text = format!("the body is nested deeper than {DEPTH_MAX} levels");
        return Err(Problem::new(ErrorCode::InvalidRequest, text));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let parsed = serde_path_to_error::deserialize(Strict(&mut deserializer)).map_err(|error| {
        let field = error.path().to_string();
        refusal(&field, error.inner())
    })?;
    deserializer
        .end()
        .map_err(|_| malformed("after the JSON value", 0, 0))?;
    // What is kept as it was written is not looked into above.
    serde_json::from_slice::<Readable>(bytes).map_err(|error| unreadable(&error))?;
    Ok(parsed)
}

fn malformed(what: &str, line: usize, column: usize) -> Problem {
    let place = if line > 0 {
        format!(" (line {line}, column {column})")
    } else {
        String::new()
    };
    Problem::new(
        ErrorCode::InvalidRequest,
        format!("the body is not valid JSON: {what}{place}"),
    )
}

fn unreadable(error: &serde_json::Error) -> Problem {
    let (line, column) = (error.line(), error.column());
    let text = format!(
        "most readers could not read the body at line {line}, column {column}: it has half a character \
         (a \\u escape of a surrogate that stands alone), or a number too large for a double"
    );
    Problem::new(ErrorCode::InvalidRequest, text)
}

/// Serde's own texts quote the input; these do not.
fn refusal(field: &str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => {
            malformed("syntax error", error.line(), error.column())
        }
        Category::Data => {
            let text = error.to_string();
            let named = |prefix: &str| {
                text.strip_prefix(prefix)
                    .and_then(|rest| rest.split('`').next())
                    .filter(|name| is_field_name(name))
                    .map(str::to_owned)
            };
            if let Some(name) = named("missing field `") {
                return Problem::field(&below(field, &name), "is required");
            }
            let shape = |field: String, why: &str| {
                Problem::new(ErrorCode::InvalidRequest, format!("field '{field}': {why}"))
                    .with(json!({ "fields": { field: why } }))
            };
            if text.starts_with("unknown field") {
                let allowed = text
                    .split_once("expected ")
                    .map(|(_, list)| list.split(" at line").next().unwrap_or(list))
                    .map(|list| list.replace('`', ""))
                    .unwrap_or_default();
                // The path ends in the unknown name itself; it is repeated only if it looks
                // like a field name.
                let name = named("unknown field `").unwrap_or_else(|| "?".to_owned());
                return shape(name, &format!("is not known here; allowed: {allowed}"));
            }
            let field = if field == "." {
                "body".to_owned()
            } else {
                field.to_owned()
            };
            let field = if field
                .split(['.', '[', ']'])
                .all(|p| p.is_empty() || is_field_name(p))
            {
                field
            } else {
                "body".to_owned()
            };
            if let Some(name) = named("duplicate field `") {
                return shape(name, "is given twice");
            }
            shape(field, "has the wrong type or form")
        }
    }
}

fn below(parent: &str, name: &str) -> String {
    let parent = parent.trim_end_matches('.');
    let plain = parent
        .split(['.', '[', ']'])
        .all(|p| p.is_empty() || is_field_name(p));
    if parent.is_empty() || !plain || parent.rsplit('.').next() == Some(name) {
        name.to_owned()
    } else {
        format!("{parent}.{name}")
    }
}

pub(crate) fn is_field_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'_' | b'0'..=b'9'))
        && text.bytes().filter(u8::is_ascii_digit).count() <= 3
}

/// What is known of a body before anything of it is built: strings skipped, nothing checked.
#[derive(Debug, Default, PartialEq, Eq)]
struct Extent {
    /// The deepest nesting.
    depth: usize,
    /// Members of lists and objects, without those of a field `data` at the top: a secret's value is
    /// kept as its text, whatever is in it.
    members: usize,
}

fn extent(bytes: &[u8]) -> Extent {
    let mut extent = Extent::default();
    let (mut now, mut in_string, mut escaped) = (0usize, false, false);
    // The last string at the top, and whether what comes is the value of the field `data`.
    let (mut begun, mut last, mut in_data) = (0, &bytes[..0], false);
    for (at, byte) in bytes.iter().enumerate() {
        match (in_string, *byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => {
                in_string = false;
                last = &bytes[begun..at];
            }
            (false, b'"') => {
                in_string = true;
                begun = at + 1;
            }
            (false, b':') if now == 1 => in_data = last == b"data",
            (false, b'{' | b'[') => {
                now += 1;
                extent.depth = extent.depth.max(now);
                extent.members += usize::from(!in_data);
            }
            (false, b'}' | b']') => now = now.saturating_sub(1),
            (false, b',') => {
                in_data &= now > 1;
                extent.members += usize::from(!in_data);
            }
            _ => {}
        }
    }
    extent
}

/// A JSON answer.
pub(crate) fn json_response<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_bytes(status, bytes),
        Err(_) => {
            Problem::new(ErrorCode::InternalError, "the answer does not serialise").into_response()
        }
    }
}

/// A JSON answer that is already bytes.
pub(crate) fn json_bytes(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 204.
pub(crate) fn no_content() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

#[cfg(test)]
mod tests {
    use scaivault_api::policy::PolicyBody;
    use scaivault_api::secret::PutSecret;

    use super::*;

    fn refused<T: DeserializeOwned>(text: &str) -> Problem {
        match parse::<T>(text.as_bytes()) {
            Ok(_) => panic!("{text} was accepted"),
            Err(problem) => problem,
        }
    }

    fn check<T: DeserializeOwned>(text: &str, code: ErrorCode, field: Option<&str>) {
        let problem = refused::<T>(text);
        assert_eq!(problem.code, code, "{text}: {problem:?}");
        if let Some(field) = field {
            let details = problem.details.unwrap();
            assert!(details["fields"].get(field).is_some(), "{text}: {details}");
        }
    }

    #[test]
    fn refusals_name_field_and_rule() {
        check::<PolicyBody>("", ErrorCode::InvalidRequest, None);
        check::<PolicyBody>("{", ErrorCode::InvalidRequest, None);
        check::<PolicyBody>("[1]", ErrorCode::InvalidRequest, None);
        check::<PolicyBody>(r#"["n",null,[]]"#, ErrorCode::InvalidRequest, None);
        check::<PutSecret>(
            r#"{"data":{},"options":[null]}"#,
            ErrorCode::InvalidRequest,
            Some("options"),
        );
        check::<PolicyBody>("{} x", ErrorCode::ValidationError, Some("name"));
        check::<PolicyBody>(r#"{"rules":[]}"#, ErrorCode::ValidationError, Some("name"));
        check::<PolicyBody>(
            r#"{"name":"n","rules":[{"permissions":[]}]}"#,
            ErrorCode::ValidationError,
            Some("rules[0].path_pattern"),
        );
        check::<PolicyBody>(
            r#"{"name":"n","rules":[],"rulez":1}"#,
            ErrorCode::InvalidRequest,
            Some("rulez"),
        );
        check::<PolicyBody>(
            r#"{"name":5,"rules":[]}"#,
            ErrorCode::InvalidRequest,
            Some("name"),
        );
        check::<PutSecret>(
            r#"{"data":{},"data":{}}"#,
            ErrorCode::InvalidRequest,
            Some("data"),
        );
    }

    #[test]
    fn bodies_of_many_members_are_refused_unless_they_are_a_value() {
        let check = |text: &str, depth: usize, members: usize| {
            assert_eq!(extent(text.as_bytes()), Extent { depth, members }, "{text}");
        };
        check(r#"{"a":[1,2],"b":{}}"#, 2, 5);
        check(r#"{"data":[[1,2],{"a":1}],"b":[3]}"#, 3, 3);
        check(r#"{"b":{"data":[1,2]},"data":"x"}"#, 3, 5);
        check(r#"{"x":"\"[,","d\u0061ta":[1]}"#, 2, 3);
        check(r#"[{"data":[1]}]"#, 3, 3);
        let many = "[],".repeat(MEMBERS_MAX);
        let body = format!(r#"{{"data":{{"k":1}},"metadata":{{"custom":{{"k":[{many}[]]}}}}}}"#);
        check_code::<PutSecret>(&body);
        let value = format!(r#"{{"data":{{"k":[{many}[]]}}}}"#);
        assert!(parse::<PutSecret>(value.as_bytes()).is_ok());
    }

    fn check_code<T: DeserializeOwned>(text: &str) {
        let problem = parse::<T>(text.as_bytes()).err().unwrap();
        assert_eq!(problem.code, ErrorCode::InvalidRequest);
        assert!(problem.message.contains("members"), "{problem:?}");
    }

    #[test]
    fn nothing_sent_is_repeated() {
        let canary = "hunter2-CANARY-4711";
        for text in [
            format!(r#"{{"name":{{"x":"{canary}"}},"rules":[]}}"#),
            format!(r#"{{"name":"n","rules":"{canary}"}}"#),
            format!(r#"{{"{canary}":1}}"#),
            format!(r#"{{"name":"n","rules":[{{"{canary}":1}}]}}"#),
            format!(r#""{canary}""#),
            canary.to_owned(),
        ] {
            let problem = refused::<PolicyBody>(&text);
            let all = format!("{problem:?}");
            assert!(!all.contains("hunter2") && !all.contains("4711"), "{all}");
        }
    }

    #[test]
    fn depth_is_bounded_and_strings_do_not_count() {
        assert_eq!(extent(br#"{"a":[{"b":"[[[[\"[["}]}"#).depth, 3);
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        check::<PolicyBody>(&deep, ErrorCode::InvalidRequest, None);
        let text = format!(r#"{{"data":{deep}}}"#);
        check::<PutSecret>(&text, ErrorCode::InvalidRequest, None);
    }
}
