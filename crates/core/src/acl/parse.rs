//! Reads a policy text to its blocks.

use super::document::{Block, Capability, CapabilitySet, Document, Refusal};
use super::pattern::AclPattern;
use super::syntax::{Entry, Value, read};

/// The longest text.
pub const TEXT_BYTES_MAX: usize = 128 * 1024;
/// The most blocks of one text.
const BLOCKS_MAX: usize = 500;
/// The most things said of one text: who gets hundreds reads the first ones.
const REFUSALS_MAX: usize = 20;

/// Reads a policy in HCL or JSON.
///
/// # Errors
/// What of it is not taken; at least one.
pub fn parse(text: &str) -> Result<Document, Vec<Refusal>> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(vec![Refusal::at(1, "a policy has at most 128 KiB")]);
    }
    let entries = read(text).map_err(|refusal| vec![refusal])?;
    let mut blocks = Vec::new();
    let mut refusals = Vec::new();
    for entry in entries {
        match entry.key.as_str() {
            "path" => paths(entry, &mut blocks, &mut refusals),
            // Older texts say their own name; it is the URL's that counts.
            "name" if matches!(entry.value, Value::Text(_)) => {}
            _ => refusals.push(Refusal::at(
                entry.line,
                "a policy consists of path \"…\" { … } blocks alone",
            )),
        }
    }
    if blocks.len() > BLOCKS_MAX {
        refusals.push(Refusal::at(1, "a policy has at most 500 blocks"));
    }
    if blocks.is_empty() && refusals.is_empty() {
        let why = "a policy has at least one path \"…\" { capabilities = […] } block";
        refusals.push(Refusal::at(1, why));
    }
    refusals.truncate(REFUSALS_MAX);
    match refusals.is_empty() {
        true => Ok(Document { blocks }),
        false => Err(refusals),
    }
}

/// `path "a" {…}`, or `"path": {"a": {…}, "b": {…}}`, or a list of such.
fn paths(entry: Entry, blocks: &mut Vec<Block>, refusals: &mut Vec<Refusal>) {
    let line = entry.line;
    match (entry.label, entry.value) {
        (Some(path), Value::Object(body)) => blocks.extend(block(line, &path, body, refusals)),
        (None, Value::Object(body)) => {
            for inner in body {
                match inner.value {
                    Value::Object(body) if inner.label.is_none() => {
                        blocks.extend(block(inner.line, &inner.key, body, refusals));
                    }
                    _ => refusals.push(Refusal::at(inner.line, "a path is followed by { … }")),
                }
            }
        }
        (None, Value::List(all)) => {
            for value in all {
                let inner = Entry {
                    line,
                    key: String::new(),
                    label: None,
                    value,
                };
                match &inner.value {
                    Value::Object(_) => paths(inner, blocks, refusals),
                    _ => refusals.push(Refusal::at(line, "a path is followed by { … }")),
                }
            }
        }
        _ => refusals.push(Refusal::at(line, "path is followed by \"…\" { … }")),
    }
}

fn block(line: u32, path: &str, body: Vec<Entry>, refusals: &mut Vec<Refusal>) -> Option<Block> {
    let before = refusals.len();
    let refuse = |refusals: &mut Vec<Refusal>, line, reason: String| {
        refusals.push(Refusal {
            line,
            path: Some(path.to_owned()),
            reason,
        });
    };
    let pattern = AclPattern::parse(path, line);
    let mut capabilities = None;
    for entry in body {
        let found = match entry.key.as_str() {
            "capabilities" => words(&entry.value),
            "policy" => old(&entry.value),
            other => {
                if let Some(why) = restriction(other, &entry.value) {
                    refuse(refusals, entry.line, why);
                }
                continue;
            }
        };
        match found {
            Ok(found) => capabilities = Some(found.or(capabilities.unwrap_or_default())),
            Err(why) => refuse(refusals, entry.line, why),
        }
    }
    if capabilities.is_none() && refusals.len() == before {
        refuse(refusals, line, "capabilities = […] is missing".to_owned());
    }
    match pattern {
        Err(why) => {
            refusals.push(why);
            None
        }
        Ok(pattern) => (refusals.len() == before).then(|| Block {
            line,
            pattern,
            capabilities: capabilities.unwrap_or_default(),
        }),
    }
}

fn words(value: &Value) -> Result<CapabilitySet, String> {
    let Value::List(all) = value else {
        return Err("capabilities is a list: [\"read\", \"list\"]".to_owned());
    };
    let word = |value: &Value| match value {
        Value::Text(text) => Capability::parse(text),
        _ => None,
    };
    let found: Option<CapabilitySet> = all.iter().map(word).collect();
    found.ok_or_else(|| {
        "capabilities are create, read, update, patch, delete, list, sudo and deny".to_owned()
    })
}

/// `policy = "write"`, as it was written long ago.
fn old(value: &Value) -> Result<CapabilitySet, String> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    let words: &[Capability] = match value {
        Value::Text(text) => match text.as_str() {
            "deny" => &[Deny],
            "read" => &[Read, List],
            "write" => &[Create, Read, Update, Delete, List],
            "sudo" => &[Create, Read, Update, Delete, List, Sudo],
            _ => &[],
        },
        _ => &[],
    };
    match words.is_empty() {
        true => Err("policy is \"read\", \"write\", \"sudo\" or \"deny\"".to_owned()),
        false => Ok(CapabilitySet::of(words)),
    }
}

/// What a block restricts beside its capabilities. Ours cannot; what restricts nothing is passed over.
fn restriction(key: &str, value: &Value) -> Option<String> {
    let empty = match value {
        Value::Object(entries) => entries.is_empty(),
        Value::List(values) => values.is_empty(),
        Value::Text(text) => text == "0",
        Value::Word(word) => word == "0" || word == "null",
    };
    match key {
        "allowed_parameters" | "denied_parameters" | "required_parameters" => {
            let anything = |entry: &Entry| {
                entry.key == "*" && matches!(&entry.value, Value::List(all) if all.is_empty())
            };
            let any = key == "allowed_parameters"
                && matches!(value, Value::Object(all) if all.iter().any(anything) && all.len() == 1);
            (!empty && !any).then(|| {
                format!("{key}: rights here are to paths, not to fields of requests; leave it out")
            })
        }
        "min_wrapping_ttl" | "max_wrapping_ttl" => (!empty)
            .then(|| format!("{key}: no policy here asks for wrapped answers; leave it out")),
        "comment" if matches!(value, Value::Text(_)) => None,
        _ => Some(format!(
            "{}: a block has capabilities = […], and nothing else that is understood here",
            key.chars().take(64).collect::<String>()
        )),
    }
}
