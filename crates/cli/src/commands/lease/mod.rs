//! `scaivault lease …`

mod act;
mod list;

use clap::Subcommand;
use scaivault_api::dynamic::Lease;

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Leases {
    /// List leases, newest first
    List(list::List),
    /// Show a lease
    Show(act::Show),
    /// Move a lease's end
    Renew(act::Renew),
    /// End leases; their accounts are removed
    Revoke(act::Revoke),
}

impl Leases {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Renew(command) => command.run(session).await,
            Self::Revoke(command) => command.run(session).await,
        }
    }
}

/// A line for each lease.
pub(super) fn table<'a>(leases: impl IntoIterator<Item = &'a Lease>) -> String {
    let mut table = Table::new(&[
        "ID", "ROLE", "ACCOUNT", "HOLDER", "STATUS", "EXPIRES", "TROUBLE",
    ]);
    for lease in leases {
        table.row([
            lease.id.as_str(),
            or_dash(Some(&lease.role)),
            &lease.account,
            &lease.identity_id,
            &lease.status,
            &lease.expires_at,
            or_dash(lease.trouble.as_ref().map(|trouble| trouble.kind.as_str())),
        ]);
    }
    table.render()
}

/// A lease in full.
fn details(lease: &Lease) -> String {
    let mut table = Table::fields();
    table.row(["id", &lease.id]);
    table.row(["engine", &lease.engine_id]);
    table.row(["role", or_dash(Some(&lease.role))]);
    table.row(["account", &lease.account]);
    table.row(["holder", &lease.identity_id]);
    table.row(["token", or_dash(lease.token_id.as_deref())]);
    let status = match &lease.cause {
        Some(cause) => format!("{} ({cause})", lease.status),
        None => lease.status.clone(),
    };
    table.row(["status", &status]);
    table.row(["issued", &lease.issued_at]);
    table.row(["expires", &lease.expires_at]);
    table.row(["  at most", &lease.max_expires_at]);
    table.row(["renewed", or_dash(lease.renewed_at.as_deref())]);
    table.row(["revoked", or_dash(lease.revoked_at.as_deref())]);
    if let Some(since) = &lease.failing_since {
        let failing = format!("{} attempts since {since}", lease.attempts);
        table.row(["failing", &failing]);
    }
    if let Some(trouble) = &lease.trouble {
        table.row(["trouble", &trouble.kind]);
        table.row(["advice", &trouble.advice]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_removed_is_told() {
        let lease: Lease = serde_json::from_value(serde_json::json!({
            "id": "lse_1", "engine_id": "eng_1", "role": "reader", "account": "v_reader_x",
            "identity_id": "sa:shop", "token_id": null, "status": "revoking", "cause": "expired",
            "issued_at": "t0", "expires_at": "t1", "max_expires_at": "t2", "renewed_at": null,
            "revoked_at": null, "attempts": 3, "failing_since": "t3",
            "trouble": {"kind": "unreachable", "code": null, "advice": "start it", "remedy": []}
        }))
        .expect("a lease");
        let text = details(&lease);
        assert!(text.contains("status     revoking (expired)\n"), "{text}");
        assert!(text.contains("failing    3 attempts since t3\n"), "{text}");
        assert!(text.contains("advice     start it\n"), "{text}");
        let text = table([&lease]);
        assert!(text.contains("revoking  t1       unreachable\n"), "{text}");
    }
}
