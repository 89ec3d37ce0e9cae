//! Sifts lines by a filter. Most lines are refused by a plain text search, before any decoding:
//! what a filter asks for exactly must stand in the line word for word.

use memchr::memmem::Finder;
use scaivault_core::audit::{AuditFilter, AuditRow};
use serde::Serialize;

/// A filter made ready.
pub struct Sieve<'a> {
    filter: &'a AuditFilter,
    needles: Vec<Finder<'static>>,
}

/// A line that is not an audit row.
#[derive(Debug)]
pub struct Undecodable;

impl<'a> Sieve<'a> {
    /// Makes a filter ready.
    pub fn new(filter: &'a AuditFilter) -> Self {
        let mut needles = Vec::new();
        let mut need = |field: &str, value: Option<String>| {
            if let Some(value) = value {
                let text = format!("\"{field}\":{value}");
                needles.push(Finder::new(text.as_bytes()).into_owned());
            }
        };
        need("secret_path", filter.path.as_ref().and_then(json));
        need("identity_id", filter.identity_id.as_ref().and_then(json));
        need("request_id", filter.request_id.as_ref().and_then(json));
        need("tenant_id", filter.tenant.as_ref().and_then(json));
        need("success", filter.success.as_ref().and_then(json));
        if let [action] = filter.actions.as_slice() {
            need("action", json(action));
        }
        Self { filter, needles }
    }

    /// Whether rows of these times can be asked for.
    pub fn times(&self, first_at: i64, last_at: i64) -> bool {
        self.filter
            .from
            .is_none_or(|from| last_at >= from.as_micros())
            && self.filter.to.is_none_or(|to| first_at < to.as_micros())
    }

    /// The row, if it is asked for.
    ///
    /// # Errors
    /// When the line is no audit row.
    pub fn row(&self, line: &[u8]) -> Result<Option<AuditRow>, Undecodable> {
        if self
            .needles
            .iter()
            .any(|needle| needle.find(line).is_none())
        {
            return Ok(None);
        }
        let row: AuditRow = serde_json::from_slice(line).map_err(|_| Undecodable)?;
        Ok(self.filter.wants(&row).then_some(row))
    }
}

fn json<T: Serialize>(value: &T) -> Option<String> {
    serde_json::to_string(value).ok()
}
