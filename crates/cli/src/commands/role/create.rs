//! `scaivault role create`

use clap::Args;
use scaivault_api::machine::RoleBody;

use super::fields::Fields;
use crate::commands::Session;
use crate::exit::CliError;
use crate::input;

#[derive(Args)]
pub(crate) struct Create {
    /// Its name
    name: String,
    /// Whom its tokens speak for: sa:NAME or user:NAME
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
    /// What they may ask for; may be repeated or separated by commas
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        value_delimiter = ',',
        default_value = "secrets:read"
    )]
    scopes: Vec<String>,
    /// What machines name when they log in [default: one is made]
    #[arg(long, value_name = "ID")]
    role_id: Option<String>,
    #[command(flatten)]
    fields: Fields,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.machines().create(&self.body()?);
        session.output.answer(call, super::details).await
    }

    fn body(self) -> Result<RoleBody, CliError> {
        let (identity_type, identity_id) = input::identity(&self.identity)?;
        let fields = self.fields;
        Ok(RoleBody {
            name: self.name,
            role_id: self.role_id,
            description: fields.description,
            identity_type: identity_type.to_owned(),
            identity_id: identity_id.to_owned(),
            scopes: self.scopes,
            groups: fields.groups,
            bind_secret_id: fields.bind_secret_id,
            secret_id_ttl: fields.secret_id_ttl,
            secret_id_num_uses: fields.secret_id_num_uses,
            secret_id_bound_cidrs: fields.secret_id_cidrs,
            token_ttl: fields.token_ttl,
            token_max_ttl: fields.token_max_ttl,
            token_period: fields.token_period,
            token_num_uses: fields.token_num_uses,
            token_bound_cidrs: fields.token_cidrs,
            is_active: None,
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
        create: Create,
    }

    #[test]
    fn bodies() {
        let line = "create build --identity sa:build --scope a,b --bind-secret-id=false \
                    --secret-id-cidr 10.0.0.0/8 --token-num-uses 3";
        let line = Line::try_parse_from(line.split_whitespace()).expect("parsed");
        let body = line.create.body().expect("a body");
        assert_eq!(
            (body.name.as_str(), body.identity_id.as_str()),
            ("build", "sa:build")
        );
        assert_eq!(body.scopes, ["a", "b"]);
        assert_eq!(body.bind_secret_id, Some(false));
        assert_eq!(body.secret_id_bound_cidrs, ["10.0.0.0/8"]);
        assert_eq!(
            (body.token_num_uses, body.secret_id_num_uses),
            (Some(3), None)
        );
    }
}
