//! `scaivault store reconcile` and `store resume`

use clap::Args;
use scaivault_api::reconcile::{Reconciliation, ResumeBody};

use crate::commands::Session;
use crate::table::{Table, plain};

/// A restored server tries every attached credential by a login, and changes nothing. Here is what it
/// found. Write the value that works, or make it work at the target, then `store resume`.
#[derive(Args)]
pub(crate) struct Reconcile {}

impl Reconcile {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.debts().reconciliation();
        session.output.answer(call, render).await
    }
}

/// Rotations, campaigns and debts go on.
#[derive(Args)]
pub(crate) struct Resume {
    /// Do not wait until the server has looked at all targets
    #[arg(long)]
    without_look: bool,
}

impl Resume {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = ResumeBody {
            without_look: self.without_look,
        };
        let call = session.client.debts().resume_store(&body);
        session.output.answer(call, render).await
    }
}

fn render(known: &Reconciliation) -> String {
    let Some(restored_at) = &known.restored_at else {
        return match &known.resumed_at {
            Some(at) => format!("rotations go on: the store was resumed at {}\n", plain(at)),
            None => "rotations go on: the store was not restored from a backup\n".to_owned(),
        };
    };
    let mut text = format!(
        "restored at {}: nothing is changed at targets until 'scaivault store resume'\n",
        plain(restored_at)
    );
    let Some(looked_at) = &known.looked_at else {
        text.push_str("the targets are being looked at: ask again in a moment\n");
        return text;
    };
    text.push_str(&format!("targets looked at until {}\n", plain(looked_at)));
    let mut table = Table::new(&[
        "SECRET", "TARGET", "VERSION", "FOUND", "ACCEPTED", "ROTATION",
    ]);
    for row in &known.attachments {
        let accepted: Vec<_> = row.accepted_versions.iter().map(u64::to_string).collect();
        let accepted = match accepted.is_empty() {
            true => "-".to_owned(),
            false => accepted.join(","),
        };
        table.row([
            row.secret_path.as_str(),
            row.target_name.as_str(),
            &row.version.to_string(),
            row.found.as_str(),
            &accepted,
            row.rotation_id.as_deref().unwrap_or("-"),
        ]);
    }
    text.push_str(&table.render());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_is_told_first() {
        let mut known = Reconciliation {
            reconcile_only: false,
            restored_at: None,
            resumed_at: None,
            looked_at: None,
            attachments: Vec::new(),
        };
        assert!(render(&known).starts_with("rotations go on"));
        known.restored_at = Some("2027-01-01T00:00:00Z".to_owned());
        let text = render(&known);
        assert!(text.contains("nothing is changed at targets"));
        assert!(text.ends_with("ask again in a moment\n"));
    }
}
