//! The server's configuration: one struct and one file per section.
//!
//! Three layers, the later wins: the default file built in (`config.default.toml`, which is also
//! the documentation and what `--print-config` prints), a file of the operator's, and the
//! environment. The default file is the schema: a section or field it does not have is refused.
//!
//! Nothing here holds a secret: keys and passphrases are named by file and read elsewhere. An
//! error names source, section and field and says what is expected, never what was there, as a
//! misplaced value may well be a password.
//!
//! To add a field: a line with its comment in the default file, a member in the section's struct,
//! a line in its `read`. The tests compare the two.

mod audit;
mod audit_forward;
mod audit_s3;
mod certificate_rules;
mod environment;
mod identity;
mod issuers;
mod layers;
mod log;
mod memory;
mod metrics;
mod rate_limits;
mod seal;
mod server;
mod store;
mod subscriptions;
mod targets;
#[cfg(test)]
mod tests;
mod webhooks;

use std::path::Path;

pub(crate) use audit::{AuditSection, ExportPlace};
pub(crate) use audit_forward::ForwardSection;
pub(crate) use audit_s3::S3Section;
pub(crate) use environment::Environment;
pub(crate) use identity::IdentitySection;
pub(crate) use issuers::Outside;
pub(crate) use layers::ConfigError;
pub(crate) use log::LogSection;
pub(crate) use metrics::MetricsSection;
pub(crate) use seal::{KmsProvider, SealSection};
pub(crate) use server::ServerSection;
pub(crate) use store::StoreSection;
pub(crate) use subscriptions::SubscriptionsSection;
pub(crate) use targets::TargetsSection;
pub(crate) use webhooks::WebhooksSection;

use crate::rate_limit::Limits;
use layers::Layers;

/// The commented default file. What `scaivault server --print-config` prints.
pub(crate) const DEFAULT_FILE: &str = include_str!("config.default.toml");

/// Everything configurable, read and checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `[server]`
    pub server: ServerSection,
    /// `[store]`
    pub store: StoreSection,
    /// `[seal]`
    pub seal: SealSection,
    /// `[log]`
    pub log: LogSection,
    /// `[webhooks]`
    pub webhooks: WebhooksSection,
    /// `[identity]`
    pub identity: IdentitySection,
    /// `[audit]`
    pub audit: AuditSection,
    /// `[subscriptions]`
    pub subscriptions: SubscriptionsSection,
    /// `[targets]`
    pub targets: TargetsSection,
    /// `[rate_limits]`
    pub rate_limits: Limits,
    /// `[metrics]`
    pub metrics: MetricsSection,
}

impl Config {
    /// Defaults, then the file if there is one, then the environment.
    ///
    /// # Errors
    /// The first [`ConfigError`] found.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        match file {
            None => Self::from_text(None, environment),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError::unreadable(path, error))?;
                Self::from_text(Some((path, &text)), environment)
            }
        }
    }

    /// The same with the file's text at hand; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub(crate) fn from_text(
        file: Option<(&Path, &str)>,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults(DEFAULT_FILE)?;
        if let Some((path, text)) = file {
            layers.add_file(path, text)?;
        }
        layers.add_environment(environment)?;
        Self::read(&layers)
    }

    fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            server: ServerSection::read(&layers.section("server"))?,
            store: StoreSection::read(&layers.section("store"))?,
            seal: SealSection::read(&layers.section("seal"))?,
            log: LogSection::read(&layers.section("log"))?,
            webhooks: WebhooksSection::read(&layers.section("webhooks"))?,
            identity: IdentitySection::read(&layers.section("identity"))?,
            audit: AuditSection::read(&layers.section("audit"))?,
            subscriptions: SubscriptionsSection::read(&layers.section("subscriptions"))?,
            targets: TargetsSection::read(&layers.section("targets"))?,
            rate_limits: rate_limits::read(&layers.section("rate_limits"))?,
            metrics: MetricsSection::read(&layers.section("metrics"))?,
        })
    }
}
