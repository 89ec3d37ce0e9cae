//! What closes an export: which parts there are, of which rows, and who says so.

use scaivault_core::audit::Action;
use scaivault_core::audit_export::AuditExport;
use scaivault_core::time::Timestamp;
use scaivault_crypto::detached::SigningKey;
use serde_json::json;

/// The one form there is.
const FORMAT: &str = "scaivault audit selection 1";

/// The files in the order they are put.
pub(super) fn files(export: &AuditExport, key: &SigningKey) -> [(&'static str, Vec<u8>); 3] {
    let actions: Vec<&str> = export.actions.iter().copied().map(Action::as_str).collect();
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339_micros);
    let manifest = json!({
        "format": FORMAT,
        "id": export.id,
        "tenant_id": (!export.all_tenants).then_some(&export.tenant),
        "requested_by": export.requested_by,
        "created_at": export.created_at.to_rfc3339_micros(),
        "completed_at": time(export.ended_at),
        "filter": { "from": time(export.from), "to": time(export.to), "actions": actions },
        "row_format": export.format.as_str(),
        "rows": export.rows(),
        "chains": export.heads,
        "files": export.parts,
    });
    let mut bytes = format!("{manifest:#}").into_bytes();
    bytes.push(b'\n');
    [
        ("signing-key.pem", key.public_pem().into_bytes()),
        ("manifest.sig", key.sign(&bytes)),
        ("manifest.json", bytes),
    ]
}
