//! `scaivault secrets delete`

use clap::Args;
use scaivault_api::secret::DeletedSecret;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Delete {
    /// Path of the secret
    path: String,
    /// For good, all versions, at once
    #[arg(long)]
    hard: bool,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secrets().delete(&self.path, self.hard);
        session.output.answer(call, render).await
    }
}

fn render(deleted: &DeletedSecret) -> String {
    let path = plain(&deleted.path);
    match &deleted.recoverable_until {
        Some(until) => format!(
            "deleted {path}, can be brought back until {}\n",
            plain(until)
        ),
        None => format!("deleted {path} for good\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_whether_it_can_come_back() {
        let mut deleted = DeletedSecret {
            path: "a".to_owned(),
            permanent: false,
            recoverable_until: Some("2026-05-01T00:00:00Z".to_owned()),
        };
        assert_eq!(
            render(&deleted),
            "deleted a, can be brought back until 2026-05-01T00:00:00Z\n"
        );
        deleted.recoverable_until = None;
        assert_eq!(render(&deleted), "deleted a for good\n");
    }
}
