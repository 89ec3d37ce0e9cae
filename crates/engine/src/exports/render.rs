//! Rows as whoever asked for an export gets them.

use scaivault_core::audit::StoredAuditRow;
use scaivault_core::audit_export::ExportFormat;
use scaivault_core::ids::RequestId;
use scaivault_core::path::SecretPath;
use serde_json::{Value, json};

/// The columns of CSV, which are the fields of JSON.
const COLUMNS: [&str; 13] = [
    "id",
    "timestamp",
    "tenant_id",
    "action",
    "identity_type",
    "identity_id",
    "secret_path",
    "source_ip",
    "user_agent",
    "success",
    "duration_ms",
    "request_id",
    "extra_data",
];

/// A part as it is made.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) bytes: Vec<u8>,
    pub(super) rows: u64,
}

/// What a part begins with.
pub(super) fn begin(part: &mut Rendered, format: ExportFormat) {
    if format == ExportFormat::Csv {
        part.bytes.extend_from_slice(COLUMNS.join(",").as_bytes());
        part.bytes.extend_from_slice(b"\r\n");
    }
}

/// One row more.
pub(super) fn row(part: &mut Rendered, format: ExportFormat, stored: &StoredAuditRow) {
    let fields = fields(stored);
    match format {
        ExportFormat::Jsonl => {
            let object: serde_json::Map<String, Value> = COLUMNS
                .iter()
                .map(|name| (*name).to_owned())
                .zip(fields)
                .collect();
            part.bytes
                .extend_from_slice(Value::Object(object).to_string().as_bytes());
            part.bytes.push(b'\n');
        }
        ExportFormat::Csv => {
            for (at, field) in fields.iter().enumerate() {
                if at > 0 {
                    part.bytes.push(b',');
                }
                part.bytes.extend_from_slice(cell(field).as_bytes());
            }
            part.bytes.extend_from_slice(b"\r\n");
        }
    }
    part.rows += 1;
}

fn fields(stored: &StoredAuditRow) -> [Value; 13] {
    let row = &stored.row;
    [
        json!(stored.id),
        json!(row.timestamp.to_rfc3339_micros()),
        json!(row.tenant_id),
        json!(row.action.as_str()),
        json!(row.identity_type),
        json!(row.identity_id),
        json!(row.secret_path.as_ref().map(SecretPath::as_str)),
        json!(row.source_ip),
        json!(row.user_agent),
        json!(row.success),
        json!(row.duration_ms),
        json!(row.request_id.as_ref().map(RequestId::as_str)),
        serde_json::to_value(&row.extra_data).unwrap_or_default(),
    ]
}

/// A field of CSV (RFC 4180). A text that a spreadsheet would take for a formula gets an apostrophe
/// before it: clients choose what they call themselves.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.is_empty() => return String::new(),
        other => other.to_string(),
    };
    let formula = value.is_string() && text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if formula { format!("'{text}") } else { text };
    match text.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_whole_and_no_formulas() {
        for (value, expect) in [
            (json!(null), ""),
            (json!("app/db"), "app/db"),
            (json!("a,b"), "\"a,b\""),
            (json!("say \"x\"\r\n"), "\"say \"\"x\"\"\r\n\""),
            (json!("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0"),
            (json!("@SUM(1,2)"), "\"'@SUM(1,2)\""),
            (json!(-5), "-5"),
            (json!(true), "true"),
            (json!({}), ""),
            (json!({"count": 2}), "\"{\"\"count\"\":2}\""),
        ] {
            assert_eq!(cell(&value), expect, "{value}");
        }
    }
}
