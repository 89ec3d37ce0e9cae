//! `scaivault token create`

use clap::Args;
use scaivault_api::token::{NewToken, TokenBody};

use crate::commands::Session;
use crate::exit::CliError;
use crate::input;
use crate::output::note;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Create {
    /// Who it speaks for: sa:NAME or user:NAME
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
    /// What it may ask for, such as secrets:write; may be repeated or separated by commas
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        value_delimiter = ',',
        default_value = "secrets:read"
    )]
    scopes: Vec<String>,
    /// Role, such as partner_admin; may be repeated or separated by commas
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Lifetime [default: 90d]
    #[arg(long, value_name = "DURATION")]
    ttl: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Serves so many requests
    #[arg(long, value_name = "N")]
    uses: Option<u64>,
    /// Address or range it may be used from; may be repeated or separated by commas
    #[arg(long = "address", value_name = "CIDR", value_delimiter = ',')]
    addresses: Vec<String>,
    /// Lives on when the token that makes it ends
    #[arg(long)]
    no_parent: bool,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.tokens().create(&self.body()?);
        session.output.answer(call, render).await?;
        note("this is the only time the token is shown: keep it now");
        Ok(())
    }

    fn body(self) -> Result<TokenBody, CliError> {
        let (identity_type, identity_id) = input::identity(&self.identity)?;
        if identity_type == "group" {
            return Err(CliError::Input(
                "a token speaks for sa:NAME or user:NAME".to_owned(),
            ));
        }
        Ok(TokenBody {
            identity_type: identity_type.to_owned(),
            identity_id: identity_id.to_owned(),
            scopes: self.scopes,
            roles: self.roles,
            ttl: self.ttl,
            description: self.description,
            uses: self.uses,
            allowed_addresses: self.addresses,
            no_parent: self.no_parent,
        })
    }
}

fn render(token: &NewToken) -> String {
    let mut table = Table::fields();
    table.row(["token", &token.token]);
    table.row(["id", &token.id]);
    table.row(["identity", &token.identity_id]);
    table.row(["scopes", &token.scopes.join(",")]);
    if !token.roles.is_empty() {
        table.row(["roles", &token.roles.join(",")]);
    }
    table.row(["expires", or_dash(token.expires_at.as_deref())]);
    if let Some(parent) = &token.parent_id {
        table.row(["ends with", parent]);
    }
    if let Some(uses) = token.uses_left {
        table.row(["uses", &uses.to_string()]);
    }
    if !token.allowed_addresses.is_empty() {
        table.row(["addresses", &token.allowed_addresses.join(",")]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    fn body(arguments: &[&str]) -> Result<TokenBody, CliError> {
        Line::try_parse_from([&["create"], arguments].concat())
            .expect("parsed")
            .create
            .body()
    }

    #[test]
    fn bodies() {
        let token = body(&["--identity", "sa:x"]).expect("body");
        assert_eq!(
            (token.identity_type.as_str(), token.identity_id.as_str()),
            ("service_account", "sa:x")
        );
        assert_eq!(token.scopes, ["secrets:read"]);
        let token =
            body(&["--identity", "user:a", "--scope", "a,b", "--scope", "c"]).expect("body");
        assert_eq!(token.identity_type, "user");
        assert_eq!(token.scopes, ["a", "b", "c"]);
        assert!(token.uses.is_none() && !token.no_parent);
        let bound = ["--uses", "1", "--address", "10.0.0.0/8,::1", "--no-parent"];
        let token = body(&[&["--identity", "sa:x"], &bound[..]].concat()).expect("body");
        assert_eq!(token.uses, Some(1));
        assert_eq!(token.allowed_addresses, ["10.0.0.0/8", "::1"]);
        assert!(token.no_parent);
        assert!(body(&["--identity", "group:x"]).is_err());
        assert!(body(&["--identity", "x"]).is_err());
    }
}
