//! `scaivault dynamic …`

mod creds;
mod engine;
mod role;
mod run;
mod variables;

use std::str::FromStr;

use clap::{Args, Subcommand};
use scaivault_api::dynamic::{Credential, CredentialBody};
use scaivault_client::Call;

use super::Session;
use super::target::settings;
use crate::exit::CliError;

#[derive(Subcommand)]
pub(crate) enum Dynamic {
    /// Where credentials are made
    #[command(subcommand)]
    Engine(engine::Engines),
    /// What credentials may do
    #[command(subcommand)]
    Role(role::Roles),
    /// Make a credential
    Creds(creds::Creds),
    /// Run a program with a credential of its own, which ends with it
    Run(run::Run),
}

impl Dynamic {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Engine(command) => command.run(session).await,
            Self::Role(command) => command.run(session).await,
            Self::Creds(command) => command.run(session).await,
            Self::Run(command) => command.run(session).await,
        }
    }
}

/// A role, as it is named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    engine: String,
    role: String,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((engine, role)) if !engine.is_empty() && !role.is_empty() => Ok(Self {
                engine: engine.to_owned(),
                role: role.to_owned(),
            }),
            _ => Err("a role is named with its engine: ENGINE/ROLE".to_owned()),
        }
    }
}

/// Which credential.
#[derive(Args)]
struct Wanted {
    /// The engine and the role
    #[arg(value_name = "ENGINE/ROLE")]
    role: Named,
    /// How long it is to live [default: as the role says]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// What else the connector takes: public_key=@FILE; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
}

impl Wanted {
    fn body(&self) -> Result<CredentialBody, CliError> {
        Ok(CredentialBody {
            ttl: self.ttl.clone(),
            params: settings::pairs(&self.params)?,
        })
    }

    fn call(&self, session: &Session, body: &CredentialBody) -> Call<Credential> {
        let dynamic = session.client.dynamic();
        dynamic.generate(&self.role.engine, &self.role.role, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_with_its_engine() {
        let named: Named = "orders/reader".parse().expect("a role");
        assert_eq!((&*named.engine, &*named.role), ("orders", "reader"));
        for bad in ["orders", "/reader", "orders/", ""] {
            assert!(bad.parse::<Named>().is_err(), "{bad}");
        }
    }
}
