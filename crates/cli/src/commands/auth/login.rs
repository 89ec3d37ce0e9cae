//! `scaivault auth login`

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use scaivault_api::machine::LoginBody;
use scaivault_client::ClientError;

use crate::args::Flags;
use crate::commands::{at_server, settings};
use crate::config::{self, ConfigFile};
use crate::connect;
use crate::exit::CliError;
use crate::input;
use crate::output::note;
use crate::report;
use crate::token::Token;

/// The server is asked whether it accepts the token. A --url given here is kept with it.
#[derive(Args)]
pub(crate) struct Login {
    /// The token; - to read it from stdin. Without one it is asked for
    //
    // It has the name of the option of every command on purpose: clap then takes either place.
    #[arg(long, value_name = "TOKEN", num_args = 0..=1, default_missing_value = "")]
    token: Option<Token>,
    /// Log in by this role id, and keep the token it gives
    #[arg(long, value_name = "ID", conflicts_with = "token")]
    role_id: Option<String>,
    /// Log in by the client certificate (--client-cert), and keep the token it gives
    #[arg(long, conflicts_with_all = ["token", "role_id"])]
    certificate: bool,
    /// A file with the secret id; - for stdin. Left out where the role asks for none
    #[arg(long, value_name = "FILE", requires = "role_id")]
    secret_id_file: Option<PathBuf>,
}

impl Login {
    pub(crate) async fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let settings = settings(flags)?;
        let token = match &self.role_id {
            Some(role_id) => {
                let body = LoginBody {
                    role_id: role_id.clone(),
                    secret_id: self.secret_id_file.as_deref().map(secret_id).transpose()?,
                };
                let client = connect::with_token(&settings, None)?;
                let login = client.machines().login(&body).await;
                let login = login.map_err(|error| at_server(error.into(), &client))?;
                Token::new(&login.token)
            }
            None if self.certificate => {
                if settings.client_cert.is_none() {
                    let message = "there is no client certificate: give --client-cert";
                    return Err(CliError::Input(message.to_owned()).into());
                }
                let client = connect::with_token(&settings, None)?;
                let login = client.tokens().certificate_login().await;
                let login = login.map_err(|error| at_server(error.into(), &client))?;
                Token::new(&login.token)
            }
            None => token(self.token)?,
        };
        let client = connect::with_token(&settings, Some(&token))?;
        let accepted = match client.tokens().whoami().await {
            Ok(me) => Some(me.identity_id),
            // No answer says nothing about the token.
            Err(error @ ClientError::Transport(_)) => {
                note(&report::text(&at_server(error.into(), &client)));
                None
            }
            Err(error) => return Err(error.into()),
        };
        let path = config::path()?;
        let mut file = ConfigFile::load(&path)?;
        file.token = Some(token);
        if let Some(url) = &flags.url {
            file.base_url = Some(url.clone());
        }
        file.save(&path)?;
        match accepted {
            Some(identity_id) => note(&format!("logged in as {identity_id}")),
            None => note(&format!("kept in {}, but not checked", path.display())),
        }
        Ok(())
    }
}

fn secret_id(file: &Path) -> Result<String, CliError> {
    let text = input::document(file)?;
    match text.trim() {
        "" => Err(CliError::Input("the secret id is empty".to_owned())),
        text => Ok(text.to_owned()),
    }
}

fn token(given: Option<Token>) -> Result<Token, CliError> {
    let text = match given {
        Some(token) if token.expose() == "-" => input::stdin_value("token")?,
        Some(token) if !token.expose().is_empty() => return Ok(token),
        _ if std::io::stdin().is_terminal() => input::stdin_value("token")?,
        _ => {
            let message = "there is no terminal to ask on: give --token - and the token on stdin";
            return Err(CliError::Input(message.to_owned()));
        }
    };
    match text.trim() {
        "" => Err(CliError::Input("the token is empty".to_owned())),
        text => Ok(Token::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};
    use crate::commands::auth::Auth;

    fn given(line: &str) -> Option<Token> {
        match Cli::try_parse_from(line.split_whitespace())
            .expect("parsed")
            .command
        {
            Command::Auth(Auth::Login(login)) => login.token,
            _ => panic!("not a login"),
        }
    }

    #[test]
    fn the_token_may_stand_in_either_place() {
        assert_eq!(
            given("scaivault auth login --token t"),
            Some(Token::new("t"))
        );
        assert_eq!(
            given("scaivault --token t auth login"),
            Some(Token::new("t"))
        );
        assert_eq!(
            given("scaivault auth login --token -"),
            Some(Token::new("-"))
        );
        assert_eq!(given("scaivault auth login --token"), Some(Token::new("")));
        assert_eq!(given("scaivault auth login"), None);
    }

    #[test]
    fn a_given_token_is_taken() {
        assert_eq!(token(Some(Token::new("t"))).ok(), Some(Token::new("t")));
    }
}
