//! A list from page to page, as one.

use std::collections::BTreeMap;

use scaivault_client::{Call, ClientError, Page};
use serde_json::value::RawValue;

/// The pages, and one JSON text of all of them.
pub(crate) struct Listing<P> {
    pub(crate) pages: Vec<P>,
    /// One page is the server's text as it came. Several are joined entry by entry, each as the
    /// server wrote it, with the last page's `cursor` and `has_more`.
    pub(crate) text: String,
}

/// What a list of secrets tells beside its entries, page by page.
const FOLDERS: &str = "prefixes";

type Fields = BTreeMap<String, Box<RawValue>>;

/// Asks for pages until the end, or until there are `limit` entries.
pub(crate) async fn collect<P: Page>(
    call: Call<P>,
    limit: Option<usize>,
) -> Result<Listing<P>, ClientError> {
    let mut walk = call.pages().up_to(limit);
    let mut pages = Vec::new();
    let mut answers = Vec::new();
    while let Some((page, json)) = walk.next().await? {
        pages.push(page);
        answers.push(json);
    }
    if let [only] = answers.as_slice() {
        return Ok(Listing {
            pages,
            text: only.text().to_owned(),
        });
    }
    let mut entries = Vec::new();
    let mut folders = Vec::new();
    let mut last = Fields::new();
    for answer in &answers {
        last = answer.parse_as()?;
        if let Some(array) = last.remove(P::ITEMS) {
            entries.extend(split(&array));
        }
        if let Some(array) = last.get(FOLDERS) {
            folders.extend(split(array));
        }
    }
    if let Some(joined) = last.get_mut(FOLDERS) {
        *joined = serde_json::value::to_raw_value(&folders).unwrap_or_default();
    }
    Ok(Listing {
        pages,
        text: join(P::ITEMS, &entries, &last),
    })
}

/// The entries of an array as they were written. Something else than an array has none; that it
/// is one was seen when the page was parsed.
fn split(array: &RawValue) -> Vec<Box<RawValue>> {
    serde_json::from_str(array.get()).unwrap_or_default()
}

fn join(items: &str, entries: &[Box<RawValue>], rest: &Fields) -> String {
    let entries: Vec<&str> = entries.iter().map(|entry| entry.get()).collect();
    let mut text = format!("{{\"{items}\":[{}]", entries.join(","));
    for (name, value) in rest {
        let name = serde_json::Value::from(name.as_str());
        text.push_str(&format!(",{name}:{}", value.get()));
    }
    text.push('}');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_joined_as_they_were_written() {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("json");
        let mut entries = split(&raw(r#"[{"b": 1.50, "a":1}, {"x":2}]"#));
        entries.extend(split(&raw("[ 3 ]")));
        let rest = Fields::from([
            ("has_more".to_owned(), raw("false")),
            ("cursor".to_owned(), raw("null")),
        ]);
        assert_eq!(
            join("secrets", &entries, &rest),
            r#"{"secrets":[{"b": 1.50, "a":1},{"x":2},3],"cursor":null,"has_more":false}"#
        );
        assert_eq!(join("logs", &[], &Fields::new()), r#"{"logs":[]}"#);
    }
}
