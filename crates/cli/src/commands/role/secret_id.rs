//! `scaivault role secret-id …`

use clap::{Args, Subcommand};
use scaivault_api::machine::{NewSecretId, SecretIdBody, SecretIdList};

use crate::commands::Session;
use crate::exit::CliError;
use crate::output::note;
use crate::table::{Table, or_dash, plain};

#[derive(Subcommand)]
pub(crate) enum SecretIds {
    /// Make a secret id; it is shown once
    Create(Create),
    /// List the secret ids of a role, without the secret ids themselves
    List(List),
    /// End a secret id
    Revoke(Revoke),
}

impl SecretIds {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Revoke(command) => command.run(session).await,
        }
    }
}

#[derive(Args)]
pub(crate) struct Create {
    /// The role's name
    role: String,
    /// How long it lives; not above the role's
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// Logins it serves; not above the role's
    #[arg(long, value_name = "N")]
    num_uses: Option<u64>,
    /// Address or range it is used from; may be repeated or separated by commas
    #[arg(long = "cidr", value_name = "CIDR", value_delimiter = ',')]
    cidrs: Vec<String>,
    /// Address or range its tokens are used from; may be repeated or separated by commas
    #[arg(long = "token-cidr", value_name = "CIDR", value_delimiter = ',')]
    token_cidrs: Vec<String>,
    /// Something to know it by; may be repeated
    #[arg(long = "metadata", value_name = "K=V")]
    metadata: Vec<String>,
}

impl Create {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let role = self.role.clone();
        let call = session.client.machines();
        let call = call.create_secret_id(&role, &self.body()?);
        session.output.answer(call, render).await?;
        note("this is the only time the secret id is shown: keep it now");
        Ok(())
    }

    fn body(self) -> Result<SecretIdBody, CliError> {
        let pair = |text: String| match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
            _ => Err(CliError::Input("--metadata takes NAME=VALUE".to_owned())),
        };
        Ok(SecretIdBody {
            metadata: self
                .metadata
                .into_iter()
                .map(pair)
                .collect::<Result<_, _>>()?,
            ttl: self.ttl,
            num_uses: self.num_uses,
            bound_cidrs: self.cidrs,
            token_bound_cidrs: self.token_cidrs,
        })
    }
}

fn render(made: &NewSecretId) -> String {
    let mut table = Table::fields();
    table.row(["secret id", &made.secret_id]);
    table.row(["role id", &made.role_id]);
    table.row(["accessor", &made.accessor]);
    table.row(["logins", &logins(made.num_uses)]);
    table.row(["expires", or_dash(made.expires_at.as_deref())]);
    table.render()
}

fn logins(uses: Option<u64>) -> String {
    uses.map_or_else(|| "any".to_owned(), |uses| uses.to_string())
}

#[derive(Args)]
pub(crate) struct List {
    /// The role's name
    role: String,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.machines().secret_ids(&self.role);
        session.output.list(call, self.limit, render_list).await
    }
}

fn render_list(pages: &[SecretIdList]) -> String {
    let mut table = Table::new(&["ACCESSOR", "LOGINS LEFT", "CREATED", "EXPIRES", "METADATA"]);
    for row in pages.iter().flat_map(|page| &page.secret_ids) {
        let metadata = row
            .metadata
            .iter()
            .map(|(name, text)| format!("{name}={text}"));
        let metadata = metadata.collect::<Vec<_>>().join(" ");
        table.row([
            row.accessor.as_str(),
            &logins(row.uses_left),
            &row.created_at,
            or_dash(row.expires_at.as_deref()),
            or_dash(Some(&metadata)),
        ]);
    }
    table.render()
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// The role's name
    role: String,
    /// The secret id's accessor (sia_…), as `role secret-id list` shows it
    accessor: String,
}

impl Revoke {
    async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        // A secret id in place of its accessor would end up in the server's access log.
        if self.accessor.starts_with("sks_") {
            let message = "that is a secret id, not its accessor (sia_…): see `scaivault role \
                           secret-id list`";
            return Err(CliError::Input(message.to_owned()).into());
        }
        let call = session.client.machines();
        let call = call.revoke_secret_id(&self.role, &self.accessor);
        let done = |_: &scaivault_client::Done| format!("revoked {}\n", plain(&self.accessor));
        session.output.answer(call, done).await
    }
}
