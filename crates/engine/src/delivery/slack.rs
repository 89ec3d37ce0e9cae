//! An event as Slack's incoming webhooks take it: a line of text for notifications, and blocks.
//! Pure: the same bytes at every attempt.

use scaivault_core::event::{Event, EventType};
use serde_json::{Value, json};

/// Blocks of a message.
const BLOCKS_MAX: usize = 50;
/// Characters of a text in a section.
const TEXT_MAX: usize = 3_000;
/// Characters of a header.
const HEADER_MAX: usize = 150;
/// Characters of one field of a section.
const FIELD_MAX: usize = 2_000;
/// Fields of a section.
const FIELDS_MAX: usize = 10;
/// Characters of one named secret in a summary, with what is said of it.
const LINE_MAX: usize = 600;

/// The body.
pub(super) fn body(event: &Event) -> Vec<u8> {
    let (title, mut blocks) = match event.event_type {
        EventType::CampaignCompleted => summary(&event.data),
        _ => (event.event_type.as_str().to_owned(), Vec::new()),
    };
    let mut text = title.clone();
    if let Some(path) = &event.path {
        text = format!("{title}: {path}");
    }
    let header = json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&title, HEADER_MAX) } });
    blocks.insert(0, header);
    if event.event_type != EventType::CampaignCompleted {
        let mut fields = Vec::new();
        if let Some(path) = &event.path {
            fields.push(field("path", path.as_str()));
        }
        fields.push(field("by", event.identity.as_str()));
        if let Some(data) = event.data.as_object() {
            let shown = data.iter().filter(|(_, value)| !value.is_null());
            fields.extend(shown.map(|(name, value)| field(name, &word(value))));
        }
        fields.truncate(FIELDS_MAX);
        blocks.push(json!({ "type": "section", "fields": fields }));
    }
    let footer = format!("{} · {}", event.at.to_rfc3339(), event.id);
    blocks.truncate(BLOCKS_MAX - 1);
    blocks.push(json!({
        "type": "context",
        "elements": [{ "type": "mrkdwn", "text": escaped(&footer, TEXT_MAX) }],
    }));
    json!({ "text": escaped(&text, TEXT_MAX), "blocks": blocks })
        .to_string()
        .into_bytes()
}

/// What a run came to: failed ones first.
fn summary(data: &Value) -> (String, Vec<Value>) {
    let number = |name: &str| data[name].as_u64().unwrap_or(0);
    let (rotated, failed, skipped) = (number("rotated"), number("failed"), number("skipped"));
    let sign = if failed > 0 { "Failed" } else { "Completed" };
    let title = format!("{sign}: {rotated} rotated, {failed} failed, {skipped} skipped");
    let about = match data["subject"].as_str() {
        Some(subject) => format!("{} {subject}", word(&data["cause"])),
        None => word(&data["cause"]),
    };
    let mut fields = vec![
        field("campaign", &word(&data["campaign_id"])),
        field("about", &about),
        field("took", &took(number("seconds"))),
        field("requested by", &word(&data["requested_by"])),
    ];
    for (name, key) in [("ended by", "ended_by"), ("note", "note")] {
        if let Some(text) = data[key].as_str() {
            fields.push(field(name, text));
        }
    }
    let mut blocks = vec![json!({ "type": "section", "fields": fields })];
    for (name, key, count) in [
        ("Failed", "failed_items", failed),
        ("Rotated", "rotated_items", rotated),
        ("Skipped", "skipped_items", skipped),
    ] {
        blocks.extend(section(name, &data[key], count));
    }
    (title, blocks)
}

/// One section that names secrets, as many as fit.
fn section(name: &str, items: &Value, count: u64) -> Option<Value> {
    let items = items.as_array().filter(|items| !items.is_empty())?;
    let mut text = format!("*{name} ({count})*");
    let mut named = 0;
    for item in items {
        let mut line = format!("• {}", word(&item["path"]));
        if let Some(reason) = item["reason"].as_str() {
            line.push_str(" – ");
            line.push_str(reason);
        } else if let Some(seconds) = item["seconds"].as_u64() {
            line.push_str(" – ");
            line.push_str(&took(seconds));
        }
        let line = escaped(&line, LINE_MAX);
        // Room for the line that counts the rest.
        if text.chars().count() + line.chars().count() + 40 > TEXT_MAX {
            break;
        }
        text.push('\n');
        text.push_str(&line);
        named += 1;
    }
    if count > named {
        text.push_str(&format!("\n… and {} more", count - named));
    }
    Some(json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } }))
}

fn field(name: &str, value: &str) -> Value {
    let text = format!(
        "*{}*\n{}",
        escaped(name, 100),
        escaped(value, FIELD_MAX - 200)
    );
    json!({ "type": "mrkdwn", "text": text })
}

fn word(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn took(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m {rest}s"),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// Slack reads `&`, `<` and `>` as markup: written out they are text, and nobody who names a
/// secret can put a link or a mention into the message. Cut to `most` characters, never inside
/// one that was written out.
fn escaped(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for char in text.chars() {
        let piece = match char {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            char => char.to_string(),
        };
        let chars = piece.chars().count();
        if length + chars > most - 1 {
            out.push('…');
            break;
        }
        length += chars;
        out.push_str(&piece);
    }
    out
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
#[path = "slack_tests.rs"]
mod tests;
