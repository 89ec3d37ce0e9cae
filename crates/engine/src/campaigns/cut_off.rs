//! Who leaked and cannot come back.

use scaivault_core::campaign::{Campaign, Cause};
use scaivault_core::identity::{Identity, Token};
use scaivault_core::ports::TokenReads;
use scaivault_core::time::Timestamp;

use crate::error::VaultError;
use crate::vault::Vault;

/// Tokens read at a time.
const PAGE: usize = 500;

impl Vault {
    /// The identity that leaked, when it has no token left: it will never read the new version, so
    /// waiting for it would hold up what the campaign is for.
    pub(super) async fn cut_off(
        &self,
        campaign: &Campaign,
        now: Timestamp,
    ) -> Result<Option<Identity>, VaultError> {
        let Cause::Identity(who) = &campaign.cause else {
            return Ok(None);
        };
        let is_usable = |token: &Token| token.identity == *who && token.ended_at(now).is_none();
        let mut after: Option<String> = None;
        loop {
            let after_id = after.as_deref();
            let page =
                TokenReads::token_list(&*self.store, &campaign.tenant, after_id, PAGE).await?;
            if page.iter().any(is_usable) {
                return Ok(None);
            }
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.id.as_str().to_owned()),
                _ => return Ok(Some(who.clone())),
            }
        }
    }
}
