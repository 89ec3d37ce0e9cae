//! `scaivault rotation debts`, `rotation debt retry`, `rotation debt write-off`.

use clap::{Args, Subcommand};
use scaivault_api::debt::{Debt as Item, DebtList};

use crate::commands::Session;
use crate::table::{Table, or_dash, plain};

#[derive(Args)]
pub(crate) struct Debts {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl Debts {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.debts().list();
        session.output.list(call, Some(self.limit), render).await
    }
}

#[derive(Subcommand)]
pub(crate) enum Debt {
    /// Try a debt again now
    Retry(Retry),
    /// Give a debt up: nothing is tried any more
    WriteOff(WriteOff),
}

#[derive(Args)]
pub(crate) struct Retry {
    /// The debt's id (dbt_…)
    id: String,
}

#[derive(Args)]
pub(crate) struct WriteOff {
    /// The debt's id (dbt_…)
    id: String,
    /// Why; it goes on the audit trail
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Debt {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let debts = session.client.debts();
        match self {
            Self::Retry(retry) => {
                let call = debts.retry(&retry.id);
                session.output.answer(call, |debt| table([debt])).await
            }
            Self::WriteOff(write_off) => {
                let call = debts.write_off(&write_off.id, &write_off.reason);
                let text = format!("{} is written off\n", plain(&write_off.id));
                session.output.answer(call, |_| text.clone()).await
            }
        }
    }
}

fn render(pages: &[DebtList]) -> String {
    table(pages.iter().flat_map(|page| &page.data))
}

pub(crate) fn table<'a>(debts: impl IntoIterator<Item = &'a Item>) -> String {
    let mut table = Table::new(&[
        "ID", "KIND", "TARGET", "SECRET", "AGE", "ATTEMPTS", "NEXT", "TROUBLE",
    ]);
    for debt in debts {
        table.row([
            debt.id.as_str(),
            debt.kind.as_str(),
            debt.target_name.as_str(),
            or_dash(debt.secret_path.as_deref()),
            &age(debt.age_seconds),
            &debt.attempts.to_string(),
            or_dash(debt.next_attempt_at.as_deref()),
            or_dash(debt.trouble.as_ref().map(|trouble| trouble.kind.as_str())),
        ]);
    }
    table.render()
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
