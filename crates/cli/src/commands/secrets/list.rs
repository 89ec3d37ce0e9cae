//! `scaivault secrets list`

use clap::Args;
use scaivault_client::SecretQuery;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct List {
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Only secrets with this tag
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Only secrets of this type
    #[arg(long = "type", value_name = "TYPE")]
    secret_type: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let query = SecretQuery {
            prefix: self.prefix,
            tag: self.tag,
            secret_type: self.secret_type,
            ..SecretQuery::default()
        };
        let call = session.client.secrets().list(&query);
        session.output.list(call, self.limit, super::table).await
    }
}
