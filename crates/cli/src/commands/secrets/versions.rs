//! `scaivault secrets versions`

use clap::Args;
use scaivault_api::secret::VersionList;

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Versions {
    /// Path of the secret
    path: String,
}

impl Versions {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secrets().versions(&self.path);
        session.output.answer(call, render).await
    }
}

fn render(list: &VersionList) -> String {
    let header = [
        "VERSION",
        "STATE",
        "CREATED",
        "BY",
        "READABLE UNTIL",
        "ROTATION",
    ];
    let mut table = Table::new(&header);
    for item in &list.versions {
        table.row([
            &item.version.to_string(),
            &item.state,
            &item.created_at,
            &item.created_by,
            or_dash(item.readable_until.as_deref()),
            or_dash(item.rotation_id.as_deref()),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_as_the_server_says() {
        let list: VersionList = serde_json::from_value(serde_json::json!({"versions": [
            {"version": 2, "is_current": true, "state": "current", "created_at": "t2",
             "created_by": "sa:x", "readable_until": null, "rotation_id": "rtn_1"},
            {"version": 1, "is_current": false, "state": "previous", "created_at": "t1",
             "created_by": "user:root", "readable_until": "t3", "rotation_id": null}
        ]}))
        .expect("list");
        assert_eq!(
            render(&list),
            "VERSION  STATE     CREATED  BY         READABLE UNTIL  ROTATION\n\
             2        current   t2       sa:x       -               rtn_1\n\
             1        previous  t1       user:root  t3              -\n"
        );
    }
}
