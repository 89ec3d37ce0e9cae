//! `scaivault secret-policy preview`

use clap::Args;
use scaivault_api::secret_policy::SecretPolicyPreview;
use serde_json::Value;

use super::fields::Given;
use crate::commands::Session;
use crate::table::Table;

#[derive(Args)]
pub(crate) struct Preview {
    /// The recipe's name or id; without one give --field or --file
    #[arg(required_unless_present_any = ["fields", "file"])]
    #[arg(conflicts_with_all = ["fields", "file"])]
    policy: Option<String>,
    #[command(flatten)]
    given: Given,
}

impl Preview {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policies = session.client.secret_policies();
        let call = match (self.given.sample()?, &self.policy) {
            (Some(body), _) => policies.preview_of(&body),
            (None, policy) => policies.preview(policy.as_deref().unwrap_or_default()),
        };
        session.output.answer(call, render).await
    }
}

fn render(preview: &SecretPolicyPreview) -> String {
    let mut table = Table::fields();
    for (field, bits) in &preview.entropy_bits {
        table.row([field.as_str(), &format!("{bits} bits")]);
    }
    let mut text = format!("{}\n\n{}\n", preview.notice, table.render());
    for (key, value) in &preview.data {
        let value = value
            .as_str()
            .map_or_else(|| Value::to_string(value), str::to_owned);
        match value.contains('\n') {
            true => text.push_str(&format!("{key}:\n{}\n", value.trim_end())),
            false => text.push_str(&format!("{key}: {value}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_says_that_it_is_one() {
        let preview: SecretPolicyPreview = serde_json::from_value(serde_json::json!({
            "secret_policy_id": null, "notice": "a sample", "entropy_bits": {"k": 8.0},
            "data": {"k": "ab", "k_public": "line\nline\n"}
        }))
        .expect("a preview");
        assert_eq!(
            render(&preview),
            "a sample\n\nk  8 bits\n\nk: ab\nk_public:\nline\nline\n"
        );
    }
}
