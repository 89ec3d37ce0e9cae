//! `scaivault dynamic creds`

use clap::{Args, ValueEnum};
use scaivault_api::dynamic::Credential;
use scaivault_client::Json;

use super::variables::{self, Variables};
use super::{Session, Wanted};
use crate::commands::secrets::values;
use crate::exit::CliError;
use crate::output::note;
use crate::table::{Table, plain};

#[derive(Args)]
pub(crate) struct Creds {
    #[command(flatten)]
    wanted: Wanted,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    #[command(flatten)]
    variables: Variables,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// Lines of NAME=value
    Env,
    /// Lines for a shell to read: eval "$(…)"
    Shell,
    /// The server's JSON
    Json,
}

impl Creds {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        self.variables.check()?;
        let body = self.wanted.body()?;
        let made = self.wanted.call(session, &body).json().await?;
        let Err(error) = self.print(session, &made) else {
            return Ok(());
        };
        // Nobody got it, so nobody is to have it.
        if let Ok(made) = made.parse() {
            let revoked = session.client.dynamic().revoke(&made.lease_id).await;
            if revoked.is_err() {
                note(&format!(
                    "the lease {} was not given back: it ends at {}",
                    plain(&made.lease_id),
                    plain(&made.expires_at)
                ));
            }
        }
        Err(error)
    }

    fn print(&self, session: &mut Session, json: &Json<Credential>) -> anyhow::Result<()> {
        if session.output.is_json() || self.format == Format::Json {
            return session.output.line(json.text());
        }
        let made = json.parse()?;
        let text = match self.format {
            Format::Env => variables::file(&self.variables.of(&made)?)?,
            Format::Shell => variables::shell(&self.variables.of(&made)?),
            Format::Table | Format::Json => table(&made)?,
        };
        session.output.text(&text)
    }
}

fn table(made: &Credential) -> Result<String, CliError> {
    let mut head = Table::fields();
    head.row(["lease", &made.lease_id]);
    head.row(["role", &format!("{}/{}", made.engine, made.role)]);
    let expires = format!("{} (in {} s)", made.expires_at, made.ttl);
    head.row(["expires", &expires]);
    let renewable = match made.renewable {
        true => &made.max_expires_at,
        false => "-",
    };
    head.row(["renewable until", renewable]);
    let data = serde_json::value::to_raw_value(&made.data)
        .map_err(|_| CliError::Input("the credential cannot be shown".to_owned()))?;
    Ok(format!("{}\n{}", head.render(), values(&data)))
}
