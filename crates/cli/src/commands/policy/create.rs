//! `scaivault policy create`

use std::path::{Path, PathBuf};

use clap::Args;
use scaivault_api::policy::PolicyBody;

use crate::commands::Session;
use crate::exit::CliError;
use crate::input;

#[derive(Args)]
pub(crate) struct Create {
    /// The policy as JSON: {"name": …, "rules": [{"path_pattern": …, "permissions": […]}]};
    /// - for stdin
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = parse(&input::document(&self.file)?, &self.file)?;
        let call = session.client.policies().create(&body);
        session.output.answer(call, super::details).await
    }
}

/// A policy holds no secret: the parser's own message, which quotes it, is the most helpful.
fn parse(text: &str, file: &Path) -> Result<PolicyBody, CliError> {
    serde_json::from_str(text)
        .map_err(|error| CliError::Input(format!("{} is no policy: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_named() {
        let file = Path::new("p.json");
        let good = r#"{"name":"n","rules":[{"path_pattern":"a","permissions":["read"]}]}"#;
        assert_eq!(parse(good, file).expect("policy").rules.len(), 1);
        let error = parse(r#"{"name":"n","rule":[]}"#, file)
            .expect_err("refused")
            .to_string();
        assert!(
            error.starts_with("p.json is no policy: unknown field `rule`"),
            "{error}"
        );
    }
}
