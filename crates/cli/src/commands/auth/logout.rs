//! `scaivault auth logout`

use clap::Args;

use crate::config::{self, ConfigFile};
use crate::output::note;

/// The token itself stays valid: `scaivault token revoke` ends it.
#[derive(Args)]
pub(crate) struct Logout {}

impl Logout {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let path = config::path()?;
        let mut file = ConfigFile::load(&path)?;
        if file.token.take().is_none() {
            note("there was no token to forget");
            return Ok(());
        }
        file.save(&path)?;
        note("forgotten here; the token itself is valid until it expires or is revoked");
        Ok(())
    }
}
