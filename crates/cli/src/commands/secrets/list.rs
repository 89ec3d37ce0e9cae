//! `scaivault secrets list`

use clap::Args;
use scaivault_client::SecretQuery;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct List {
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Only secrets with this tag; may be repeated: with all of them
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only secrets of this type
    #[arg(long = "type", value_name = "TYPE")]
    secret_type: Option<String>,
    /// Only secrets with this text in path, description, tags or owner
    #[arg(long = "query", short = 'q', value_name = "TEXT")]
    text: Option<String>,
    /// One level: what lies deeper is shown as folders
    #[arg(long, value_name = "/", value_parser = ["/"], conflicts_with = "tree")]
    delimiter: Option<String>,
    /// All levels, as a tree
    #[arg(long)]
    tree: bool,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let query = SecretQuery {
            prefix: self.prefix,
            tags: self.tags,
            text: self.text,
            delimiter: self.delimiter,
            secret_type: self.secret_type,
            ..SecretQuery::default()
        };
        let call = session.client.secrets().list(&query);
        let render = if self.tree {
            super::tree::tree
        } else {
            super::table
        };
        session.output.list(call, self.limit, render).await
    }
}
