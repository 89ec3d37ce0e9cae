//! `scaivault audit exports …`: exports of the trail that the server writes where its operator said.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use scaivault_api::audit::{AuditExport, AuditExportBody, AuditExportList};

use crate::commands::Session;
use crate::exit::CliError;
use crate::since;
use crate::table::{Table, or_dash, plain};

/// Between two looks at one that is waited for.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Subcommand)]
pub(crate) enum Exports {
    /// Ask the server to write the rows there are now
    Create(Create),
    /// List exports, newest first
    List(List),
    /// Show one: how far it is, its files, the heads of the chains
    Show(One),
    /// Wait until one has ended; exits with 1 when it was not completed
    Wait(Wait),
    /// End one that runs, and remove its files; remove the files of one that has ended
    Cancel(One),
}

#[derive(Args)]
pub(crate) struct Create {
    /// Not before: how long ago (24h, 7d), a day, or a moment
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Before: how long ago, a day, or a moment
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only these actions, such as read,write
    #[arg(long, value_name = "ACTIONS", value_delimiter = ',')]
    action: Vec<String>,
    /// How rows are written
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
    /// Rows of all tenants: for operators with the scope admin
    #[arg(long)]
    all_tenants: bool,
    /// Wait until it has ended; exits with 1 when it was not completed
    #[arg(long)]
    wait: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

#[derive(Args)]
pub(crate) struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Args)]
pub(crate) struct One {
    /// exp_…
    id: String,
}

#[derive(Args)]
pub(crate) struct Wait {
    /// exp_…
    id: String,
    /// Give up after so many seconds: it goes on at the server
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
}

impl Exports {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => {
                let call = session.client.audit().exports();
                session.output.list(call, Some(command.limit), table).await
            }
            Self::Show(one) => {
                let call = session.client.audit().export(&one.id);
                session.output.answer(call, shown).await
            }
            Self::Wait(command) => command.run(session).await,
            Self::Cancel(one) => {
                let call = session.client.audit().export_cancel(&one.id);
                session.output.answer(call, shown).await
            }
        }
    }
}

impl Create {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let moment = |text: Option<String>| {
            let moment = text.map(|text| since::moment(&text, since::now()));
            moment.transpose()
        };
        let body = AuditExportBody {
            from: moment(self.from)?,
            to: moment(self.to)?,
            actions: (!self.action.is_empty()).then_some(self.action),
            format: Some(match self.format {
                Format::Jsonl => "jsonl".to_owned(),
                Format::Csv => "csv".to_owned(),
            }),
            destination: None,
            all_tenants: self.all_tenants.then_some(true),
        };
        let call = session.client.audit().export_create(&body);
        if !self.wait {
            return session.output.answer(call, shown).await;
        }
        let begun: AuditExport = call.json().await?.parse()?;
        let id = begun.id;
        crate::output::note(&format!("the export {} runs", plain(&id)));
        Wait { id, timeout: None }.run(session).await
    }
}

impl Wait {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let wait = until_ended(session, &self.id);
        match self.timeout {
            None => wait.await,
            Some(seconds) => {
                let wait = tokio::time::timeout(Duration::from_secs(seconds), wait);
                wait.await.unwrap_or_else(|_| {
                    Err(CliError::NotExported {
                        status: "running".to_owned(),
                        why: "it goes on at the server".to_owned(),
                    }
                    .into())
                })
            }
        }
    }
}

async fn until_ended(session: &mut Session, id: &str) -> anyhow::Result<()> {
    let mut told = String::new();
    loop {
        let json = session.client.audit().export(id).json().await?;
        let export: AuditExport = json.parse()?;
        match export.status.as_str() {
            "running" => {
                let progress = progress(&export);
                if progress != told {
                    crate::output::note(&progress);
                    told = progress;
                }
                tokio::time::sleep(EVERY).await;
            }
            status => {
                session.output.show(&json, shown)?;
                return match status {
                    "completed" => Ok(()),
                    _ => Err(CliError::NotExported {
                        status: plain(status).to_string(),
                        why: plain(export.error.as_deref().unwrap_or("somebody ended it"))
                            .to_string(),
                    }
                    .into()),
                };
            }
        }
    }
}

fn progress(export: &AuditExport) -> String {
    let trouble = match &export.error {
        Some(why) => format!("; {}: it is tried again", plain(why)),
        None => String::new(),
    };
    format!("{} %, {} rows{trouble}", export.progress, export.rows)
}

fn table(pages: &[AuditExportList]) -> String {
    let mut table = Table::new(&[
        "ID", "STATUS", "PROGRESS", "ROWS", "FORMAT", "TO", "ASKED", "BY",
    ]);
    for export in pages.iter().flat_map(|page| &page.exports) {
        table.row([
            export.id.as_str(),
            &export.status,
            &format!("{} %", export.progress),
            &export.rows.to_string(),
            &export.format,
            &export.destination,
            &export.created_at,
            &export.requested_by,
        ]);
    }
    table.render()
}

fn shown(export: &AuditExport) -> String {
    let AuditExport { id, status, .. } = export;
    let mut text = format!(
        "{}  {}, {}, to {} as {}\nasked for {} by {}, ended {}\n",
        plain(id),
        plain(status),
        progress(export),
        plain(&export.destination),
        plain(&export.format),
        plain(&export.created_at),
        plain(&export.requested_by),
        plain(or_dash(export.ended_at.as_deref())),
    );
    let mut files = Table::new(&["FILE", "ROWS", "BYTES", "SHA-256"]);
    for file in &export.files {
        files.row([
            file.name.as_str(),
            &file.rows.to_string(),
            &file.bytes.to_string(),
            &file.sha256,
        ]);
    }
    if !export.files.is_empty() {
        text += &files.render();
    }
    for head in &export.chains {
        text += &format!(
            "chain {}: up to row {}, head {}\n",
            plain(&head.chain),
            head.last_seq,
            plain(&head.head)
        );
    }
    text
}
