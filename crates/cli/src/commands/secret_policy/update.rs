//! `scaivault secret-policy update`

use clap::Args;
use scaivault_api::secret_policy::SecretPolicyPatch;

use super::fields::Given;
use crate::commands::Session;
use crate::exit::CliError;

/// Only what is given changes; fields replace all there are.
#[derive(Args)]
pub(crate) struct Update {
    /// The recipe's name or id
    policy: String,
    #[command(flatten)]
    given: Given,
    /// A new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A hint: password, api_key, oauth_client, ssh_key or custom
    #[arg(long = "type", value_name = "TYPE")]
    policy_type: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Whether values are made by it
    #[arg(long, value_name = "BOOL")]
    active: Option<bool>,
}

impl Update {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policy = self.policy.clone();
        let patch = self.patch()?;
        let call = session.client.secret_policies().update(&policy, &patch);
        session.output.answer(call, super::details).await
    }

    fn patch(self) -> Result<SecretPolicyPatch, CliError> {
        let mut patch = match self.given.recipe()? {
            Some(body) => SecretPolicyPatch {
                name: Some(body.name),
                description: body.description.map(Some),
                policy_type: body.policy_type,
                fields: Some(body.fields),
                is_active: body.is_active,
            },
            None => {
                let fields = self.given.fields()?;
                SecretPolicyPatch {
                    fields: (!fields.is_empty()).then_some(fields),
                    ..SecretPolicyPatch::default()
                }
            }
        };
        patch.name = self.name.or(patch.name);
        patch.description = self.description.map(Some).or(patch.description);
        patch.policy_type = self.policy_type.or(patch.policy_type);
        patch.is_active = self.active.or(patch.is_active);
        let SecretPolicyPatch {
            name: None,
            description: None,
            policy_type: None,
            fields: None,
            is_active: None,
        } = patch
        else {
            return Ok(patch);
        };
        Err(CliError::Input(
            "nothing to change: give --field, --file, --name, --type, --description or --active"
                .to_owned(),
        ))
    }
}
