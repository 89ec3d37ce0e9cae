//! An audit row as JSON, written straight into the bytes that are stored. Every request is audited,
//! so this runs for each of them; it writes what the row's `Serialize` would, byte for byte.

use crate::audit::AuditRow;

impl AuditRow {
    /// Appends the row as one JSON object.
    ///
    /// # Errors
    /// When a part has no JSON form; none has not.
    pub fn write_json(&self, into: &mut Vec<u8>) -> serde_json::Result<()> {
        // Named one by one, so that a further field cannot be forgotten here.
        let Self {
            timestamp,
            tenant_id,
            action,
            identity_type,
            identity_id,
            secret_path,
            source_ip,
            user_agent,
            success,
            duration_ms,
            request_id,
            extra_data,
        } = self;
        into.extend_from_slice(b"{\"timestamp\":");
        serde_json::to_writer(&mut *into, &timestamp.as_micros())?;
        field(into, b",\"tenant_id\":", tenant_id.as_str())?;
        field(into, b",\"action\":", action.as_str())?;
        field(into, b",\"identity_type\":", identity_type)?;
        field(into, b",\"identity_id\":", identity_id)?;
        if let Some(path) = secret_path {
            field(into, b",\"secret_path\":", path.as_str())?;
        }
        if let Some(address) = source_ip {
            field(into, b",\"source_ip\":", address)?;
        }
        if let Some(agent) = user_agent {
            field(into, b",\"user_agent\":", agent)?;
        }
        into.extend_from_slice(match success {
            true => b",\"success\":true,\"duration_ms\":",
            false => b",\"success\":false,\"duration_ms\":",
        });
        serde_json::to_writer(&mut *into, duration_ms)?;
        if let Some(request) = request_id {
            field(into, b",\"request_id\":", request.as_str())?;
        }
        if !extra_data.is_empty() {
            into.extend_from_slice(b",\"extra_data\":");
            serde_json::to_writer(&mut *into, extra_data)?;
        }
        into.push(b'}');
        Ok(())
    }
}

fn field(into: &mut Vec<u8>, name: &[u8], text: &str) -> serde_json::Result<()> {
    into.extend_from_slice(name);
    if is_plain(text) {
        into.push(b'"');
        into.extend_from_slice(text.as_bytes());
        into.push(b'"');
        Ok(())
    } else {
        serde_json::to_writer(into, text)
    }
}

/// Whether the text stands in JSON as it is. Looks at every byte, without a branch for any.
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| {
        plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\')
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::{Action, AuditExtra};
    use crate::ids::{RequestId, TenantId};
    use crate::path::SecretPath;
    use crate::time::Timestamp;

    fn check(row: &AuditRow) {
        let mut written = b"before".to_vec();
        row.write_json(&mut written).unwrap();
        let expect = format!("before{}", serde_json::to_string(row).unwrap());
        assert_eq!(String::from_utf8(written).unwrap(), expect);
    }

    fn row(action: Action) -> AuditRow {
        AuditRow {
            timestamp: Timestamp::from_micros(-7),
            tenant_id: TenantId::parse("tnt_a").unwrap(),
            action,
            identity_type: "system".into(),
            identity_id: "system:x".into(),
            secret_path: None,
            source_ip: None,
            user_agent: None,
            success: false,
            duration_ms: u64::MAX,
            request_id: None,
            extra_data: AuditExtra::default(),
        }
    }

    #[test]
    fn every_action_is_the_word_serde_writes() {
        for action in Action::ALL {
            check(&row(*action));
        }
    }

    proptest! {
        #[test]
        fn it_is_what_serde_writes(
            agent in ".*",
            address in prop::option::of("[ -~]*"),
            version in prop::option::of(0u64..),
            reason in prop::option::of("\\PC*"),
            success: bool,
        ) {
            let mut row = row(Action::Read);
            row.secret_path = Some(SecretPath::parse("app/db").unwrap());
            row.user_agent = Some(agent);
            row.source_ip = address;
            row.success = success;
            row.request_id = Some(RequestId::parse("req_1").unwrap());
            row.extra_data.version = version;
            row.extra_data.reason = reason;
            check(&row);
        }
    }
}
