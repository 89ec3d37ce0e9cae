//! How far the audit trail was handed over to a collector of logs, and which node hands it over.

use serde::{Deserialize, Serialize};

use crate::audit_export::ExportHead;
use crate::time::Timestamp;

/// One destination that the operator configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditForward {
    /// As the configuration calls it.
    pub name: String,
    /// Of each chain: the last row that was handed over, and the hash after it.
    pub heads: Vec<ExportHead>,
    /// The node that hands rows over.
    pub holder: Option<String>,
    /// Until when nobody else does.
    pub held_until: Option<Timestamp>,
    /// See the unit of work.
    pub revision: u64,
}

impl AuditForward {
    /// A destination of which nothing is known.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            heads: Vec::new(),
            holder: None,
            held_until: None,
            revision: 0,
        }
    }

    /// Whether this node may take it: nobody holds it, it does itself, or the holder's time is over.
    pub fn is_free_for(&self, node: &str, now: Timestamp) -> bool {
        self.holder.as_deref().is_none_or(|holder| holder == node)
            || self.held_until.is_none_or(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_node_at_a_time_until_its_time_is_over() {
        let at = Timestamp::from_micros;
        let mut forward = AuditForward::new("siem");
        assert!(forward.is_free_for("a", at(0)));
        forward.holder = Some("a".to_owned());
        forward.held_until = Some(at(10));
        assert!(forward.is_free_for("a", at(9)));
        assert!(!forward.is_free_for("b", at(9)));
        assert!(forward.is_free_for("b", at(10)));
    }
}
