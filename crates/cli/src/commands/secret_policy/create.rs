//! `scaivault secret-policy create`

use clap::Args;
use scaivault_api::secret_policy::SecretPolicyBody;

use super::fields::Given;
use crate::commands::Session;
use crate::exit::CliError;

#[derive(Args)]
pub(crate) struct Create {
    /// Name, unique in the tenant; needed unless the file has one
    #[arg(required_unless_present = "file")]
    name: Option<String>,
    #[command(flatten)]
    given: Given,
    /// A hint: password, api_key, oauth_client, ssh_key or custom [default: custom]
    #[arg(long = "type", value_name = "TYPE")]
    policy_type: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secret_policies().create(&self.body()?);
        session.output.answer(call, super::details).await
    }

    fn body(self) -> Result<SecretPolicyBody, CliError> {
        let mut body = match self.given.recipe()? {
            Some(body) => body,
            None => SecretPolicyBody {
                name: String::new(),
                description: None,
                policy_type: None,
                fields: self.given.fields()?,
                is_active: None,
            },
        };
        body.name = self.name.unwrap_or(body.name);
        body.description = self.description.or(body.description);
        body.policy_type = self.policy_type.or(body.policy_type);
        match body.fields.is_empty() {
            true => Err(CliError::Input(
                "a recipe has at least one field: give --field or --file".to_owned(),
            )),
            false => Ok(body),
        }
    }
}
