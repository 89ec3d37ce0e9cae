//! `scaivault config set`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use scaivault_client::{BuildError, Client};

use crate::config::{self, ConfigFile};

#[derive(Args)]
pub(crate) struct Set {
    /// Which setting; a token is set by `scaivault auth login`
    key: Key,
    /// Its value
    value: String,
}

#[derive(Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Key {
    BaseUrl,
    TenantId,
    PartnerId,
    CaFile,
    ClientCert,
    #[value(name = "client_key")]
    ClientKeyFile,
}

impl Set {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let path = config::path()?;
        let mut file = ConfigFile::load(&path)?;
        self.apply(&mut file)?;
        file.save(&path)
    }

    fn apply(self, file: &mut ConfigFile) -> Result<(), BuildError> {
        let value = Some(self.value).filter(|value| !value.is_empty());
        match self.key {
            Key::BaseUrl => {
                // Refused now rather than at the next command.
                if let Some(url) = &value {
                    Client::builder(url).build()?;
                }
                file.base_url = value;
            }
            Key::TenantId => file.tenant_id = value,
            Key::PartnerId => file.partner_id = value,
            // Kept whole, so that it is found from any directory.
            Key::CaFile => file.ca_file = value.map(whole),
            Key::ClientCert => file.client_cert = value.map(whole),
            Key::ClientKeyFile => file.client_key = value.map(whole),
        }
        Ok(())
    }
}

fn whole(path: String) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_forgets_and_refuses() {
        let mut file = ConfigFile::default();
        let mut set = |key, value: &str| {
            let result = Set {
                key,
                value: value.to_owned(),
            }
            .apply(&mut file);
            (result.is_ok(), file.clone())
        };
        let (ok, file) = set(Key::BaseUrl, "https://h");
        assert!(ok);
        assert_eq!(file.base_url.as_deref(), Some("https://h"));
        let (ok, file) = set(Key::BaseUrl, "nonsense");
        assert!(!ok);
        assert_eq!(file.base_url.as_deref(), Some("https://h"));
        let (_, file) = set(Key::BaseUrl, "");
        assert_eq!(file.base_url, None);
        let (_, file) = set(Key::CaFile, "ca.pem");
        assert!(file.ca_file.expect("path").is_absolute());
        let (_, file) = set(Key::ClientCert, "client.pem");
        assert!(file.client_cert.expect("path").is_absolute());
    }
}
