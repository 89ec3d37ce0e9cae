//! Statements in the forms that clients write them: a list, one text, a list in a text, or either of
//! these in Base64.

use base64::Engine as _;

use super::fields::{Fields, wrong};
use crate::problem::Problem;

/// The statements of a field; `None` when it is not there.
pub(super) fn statements(fields: &Fields, name: &str) -> Result<Option<Vec<String>>, Problem> {
    let Some(value) = fields.value(name)? else {
        return Ok(None);
    };
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Ok(text),
        _ => Err(wrong(name, "is a list of texts")),
    };
    let texts = match value {
        serde_json::Value::Array(list) => list.into_iter().map(text).collect::<Result<_, _>>()?,
        value => vec![text(value)?],
    };
    let each = texts.into_iter().flat_map(spelled_out);
    let said = each.filter(|text| !text.trim().is_empty());
    Ok(Some(said.collect()))
}

fn spelled_out(text: String) -> Vec<String> {
    let coded = base64::engine::general_purpose::STANDARD.decode(text.trim());
    let text = match coded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        // A word of a language may look like Base64; what comes of it does not look like one.
        Some(plain) if plain.contains(char::is_whitespace) || plain.starts_with('[') => plain,
        _ => text,
    };
    match serde_json::from_str::<Vec<String>>(text.trim()) {
        Ok(list) => list,
        Err(_) => vec![text],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Bytes;
    use serde_json::json;

    #[test]
    fn every_form_is_the_same_statements() {
        let read = |value: serde_json::Value| {
            let body = json!({ "s": value }).to_string();
            let fields = Fields::parse(&Bytes::from(body)).unwrap();
            statements(&fields, "s").map(Option::unwrap_or_default)
        };
        let two = ["CREATE ROLE a;", "GRANT b TO a"];
        let coded = base64::engine::general_purpose::STANDARD.encode("CREATE ROLE a; GRANT b TO a");
        assert_eq!(read(json!(two)).unwrap(), two);
        assert_eq!(read(json!(json!(two).to_string())).unwrap(), two);
        let one = ["CREATE ROLE a; GRANT b TO a"];
        assert_eq!(read(json!(one[0])).unwrap(), one);
        assert_eq!(read(json!(coded)).unwrap(), one);
        assert_eq!(read(json!("")).unwrap(), Vec::<String>::new());
        assert_eq!(read(json!(["+@all"])).unwrap(), ["+@all"]);
        assert_eq!(read(json!(null)).unwrap(), Vec::<String>::new());
        assert!(read(json!([1])).is_err() && read(json!({})).is_err());
    }
}
