//! `scaivault audit logs`

use clap::Args;
use scaivault_api::audit::AuditLogs;
use scaivault_client::AuditQuery;

use crate::commands::Session;
use crate::since;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Logs {
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only of this identity, such as sa:NAME
    #[arg(long, value_name = "IDENTITY")]
    identity: Option<String>,
    /// Only these actions, such as read,write
    #[arg(long, value_name = "ACTIONS")]
    action: Option<String>,
    /// Not before: how long ago (24h, 7d), a day, or a moment
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl Logs {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let from = self
            .since
            .map(|since| since::moment(&since, since::now()))
            .transpose()?;
        let query = AuditQuery {
            from,
            action: self.action,
            identity_id: self.identity,
            path_prefix: self.path,
            ..AuditQuery::default()
        };
        let call = session.client.audit().logs(&query);
        session.output.list(call, Some(self.limit), render).await
    }
}

fn render(pages: &[AuditLogs]) -> String {
    let header = [
        "TIME", "ACTION", "IDENTITY", "PATH", "RESULT", "FROM", "REQUEST",
    ];
    let mut table = Table::new(&header);
    for row in pages.iter().flat_map(|page| &page.logs) {
        table.row([
            &row.timestamp,
            &row.action,
            &row.identity_id,
            or_dash(row.secret_path.as_deref()),
            if row.success { "ok" } else { "refused" },
            or_dash(row.source_ip.as_deref()),
            or_dash(row.request_id.as_deref()),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_for_each_row() {
        let page: AuditLogs = serde_json::from_value(serde_json::json!({
            "logs": [{
                "id": "log_1", "timestamp": "t", "action": "read",
                "identity_type": "service_account", "identity_id": "sa:x", "secret_path": "a/b",
                "source_ip": null, "user_agent": null, "success": false, "duration_ms": 1,
                "request_id": "req_1", "extra_data": {}
            }],
            "cursor": null, "has_more": false
        }))
        .expect("page");
        assert_eq!(
            render(&[page]),
            "TIME  ACTION  IDENTITY  PATH  RESULT   FROM  REQUEST\n\
             t     read    sa:x      a/b   refused  -     req_1\n"
        );
    }
}
