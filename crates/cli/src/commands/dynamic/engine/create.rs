//! `scaivault dynamic engine create`

use clap::Args;
use scaivault_api::dynamic::{EngineBody, EngineConfig};

use crate::commands::Session;
use crate::commands::target::settings::Given;

#[derive(Args)]
pub(crate) struct Create {
    /// Its name, which stands in URLs and policies
    name: String,
    /// What speaks to its target: postgresql, mysql, redis, ssh, http_key
    #[arg(long, value_name = "PLUGIN")]
    plugin: String,
    /// database, ssh or custom [default: by the plugin]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Where it is: postgresql://{{username}}:{{password}}@db.example.com:5432/orders
    #[arg(long, value_name = "URL", conflicts_with = "target")]
    connection_url: Option<String>,
    /// Path of the secret with the credential that makes the others
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    root: Option<String>,
    /// A target that is there, in place of URL and root
    #[arg(long, value_name = "TARGET", conflicts_with_all = ["settings", "settings_file"])]
    target: Option<String>,
    #[command(flatten)]
    settings: Given,
    /// How long leases live that do not ask [default: 1h]
    #[arg(long, value_name = "DURATION")]
    default_ttl: Option<String>,
    /// How long they may live, renewals included [default: 24h]
    #[arg(long, value_name = "DURATION")]
    max_ttl: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Store it without a look at the target
    #[arg(long)]
    no_verify: bool,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let kind = self.kind.unwrap_or_else(|| kind(&self.plugin).to_owned());
        let body = EngineBody {
            name: self.name,
            kind,
            description: self.description,
            config: EngineConfig {
                plugin: self.plugin,
                connection_url: self.connection_url,
                root_credentials_path: self.root,
                target: self.target,
                settings: self.settings.read()?,
                verify_connection: self.no_verify.then_some(false),
            },
            default_ttl: self.default_ttl,
            max_ttl: self.max_ttl,
        };
        let call = session.client.dynamic().create_engine(&body);
        session.output.answer(call, super::details).await
    }
}

/// The type that a plugin is of.
fn kind(plugin: &str) -> &'static str {
    match plugin {
        "ssh" => "ssh",
        "http_key" => "custom",
        _ => "database",
    }
}
