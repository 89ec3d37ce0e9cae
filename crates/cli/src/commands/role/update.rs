//! `scaivault role update`

use clap::Args;
use scaivault_api::machine::RolePatch;

use super::fields::Fields;
use crate::commands::Session;
use crate::exit::CliError;
use crate::input;

/// Limits that can be taken away.
const LIMITS: [&str; 8] = [
    "secret-id-ttl",
    "secret-id-num-uses",
    "secret-id-cidr",
    "token-max-ttl",
    "token-period",
    "token-num-uses",
    "token-cidr",
    "group",
];

/// Changes what is given.
#[derive(Args)]
pub(crate) struct Update {
    /// Its name
    name: String,
    /// Whom its tokens speak for
    #[arg(long, value_name = "IDENTITY")]
    identity: Option<String>,
    /// What they may ask for; replaces all
    #[arg(long = "scope", value_name = "SCOPE", value_delimiter = ',')]
    scopes: Vec<String>,
    /// Another role id: machines log in by this one from then on
    #[arg(long, value_name = "ID")]
    role_id: Option<String>,
    /// Whether machines log in by it
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    active: Option<bool>,
    /// Takes a limit away
    #[arg(long = "no", value_name = "LIMIT", value_delimiter = ',', value_parser = LIMITS)]
    without: Vec<String>,
    #[command(flatten)]
    fields: Fields,
}

impl Update {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let name = self.name.clone();
        let call = session.client.machines().update(&name, &self.patch()?);
        session.output.answer(call, super::details).await
    }

    fn patch(self) -> Result<RolePatch, CliError> {
        fn limit<T>(given: Option<T>, taken: bool) -> Option<Option<T>> {
            match taken {
                true => Some(None),
                false => given.map(Some),
            }
        }
        fn list(given: Vec<String>, taken: bool) -> Option<Vec<String>> {
            match taken {
                true => Some(Vec::new()),
                false => Some(given).filter(|given| !given.is_empty()),
            }
        }
        let identity = self.identity.as_deref().map(input::identity).transpose()?;
        let taken = |name: &str| self.without.iter().any(|without| without == name);
        let fields = self.fields;
        Ok(RolePatch {
            role_id: self.role_id,
            description: fields.description.map(Some),
            identity_type: identity.map(|(kind, _)| kind.to_owned()),
            identity_id: identity.map(|(_, id)| id.to_owned()),
            scopes: Some(self.scopes).filter(|scopes| !scopes.is_empty()),
            groups: list(fields.groups, taken("group")),
            bind_secret_id: fields.bind_secret_id,
            secret_id_ttl: limit(fields.secret_id_ttl, taken("secret-id-ttl")),
            secret_id_num_uses: limit(fields.secret_id_num_uses, taken("secret-id-num-uses")),
            secret_id_bound_cidrs: list(fields.secret_id_cidrs, taken("secret-id-cidr")),
            token_ttl: fields.token_ttl,
            token_max_ttl: limit(fields.token_max_ttl, taken("token-max-ttl")),
            token_period: limit(fields.token_period, taken("token-period")),
            token_num_uses: limit(fields.token_num_uses, taken("token-num-uses")),
            token_bound_cidrs: list(fields.token_cidrs, taken("token-cidr")),
            is_active: self.active,
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    fn patch(line: &str) -> RolePatch {
        let line = Line::try_parse_from(line.split_whitespace()).expect("parsed");
        line.update.patch().expect("a patch")
    }

    #[test]
    fn what_is_not_given_is_left_and_limits_can_be_taken_away() {
        let nothing = serde_json::to_string(&patch("update build")).expect("json");
        assert_eq!(nothing, "{}");
        let some =
            patch("update build --token-ttl 5m --no token-num-uses,secret-id-cidr --active=false");
        let some = serde_json::to_value(&some).expect("json");
        let expect = serde_json::json!({
            "token_ttl": "5m", "token_num_uses": null, "secret_id_bound_cidrs": [],
            "is_active": false,
        });
        assert_eq!(some, expect);
    }
}
