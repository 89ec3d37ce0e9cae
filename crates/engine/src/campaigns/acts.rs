//! Pausing, resuming and ending a campaign.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::campaign::{Campaign, CampaignState, ItemState};
use scaivault_core::identity::Scope;
use scaivault_core::ids::CampaignId;
use scaivault_core::ports::{CommitError, Record, Unit, UnitName};

use super::audit_row;
use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::vault::Vault;

/// Reason of items that had not begun when the campaign was ended.
const ENDED: &str = "the campaign was ended before it began";
/// Reason of items that had.
const LEFT: &str = "the campaign was ended before its rotation had; the rotation goes on by itself";

/// What a person may do with a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CampaignAct {
    /// Nothing more is begun.
    Pause,
    /// It goes on.
    Resume,
    /// It ends here. Rotations under way go on by themselves.
    End,
}

impl Vault {
    /// Does it, audited in the caller's name. Doing it again changes nothing.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when the caller may not see the campaign; [`VaultError::Denied`]
    /// for a caller who neither began it, nor administers, nor may rotate all that is left;
    /// [`VaultError::CampaignOver`] when it has ended; [`VaultError::Restored`] for going on while
    /// the store is only reconciled.
    pub async fn campaign_act(
        &self,
        caller: &Caller,
        id: &CampaignId,
        act: CampaignAct,
    ) -> Result<Campaign, VaultError> {
        self.campaign_details(caller, id).await?;
        for _ in 0..RACES_MAX {
            let mut campaign = self.campaign_of(caller, id).await?;
            self.may_steer(caller, &campaign).await?;
            if act == CampaignAct::Resume && campaign.state == CampaignState::Paused {
                self.not_restored().await?;
            }
            let now = self.now();
            match (act, campaign.state) {
                (CampaignAct::Pause, CampaignState::Paused)
                | (CampaignAct::Resume, CampaignState::Running)
                | (CampaignAct::End, CampaignState::Finished) => return Ok(campaign),
                (_, CampaignState::Finished) => return Err(VaultError::CampaignOver),
                (CampaignAct::Pause, _) => campaign.state = CampaignState::Paused,
                (CampaignAct::Resume, _) => campaign.state = CampaignState::Running,
                (CampaignAct::End, _) => {
                    campaign.ended_by = Some(caller.identity().clone());
                    for item in &mut campaign.items {
                        match item.state {
                            ItemState::Waiting => item.end(ItemState::Skipped, Some(ENDED), now),
                            ItemState::Rotating => item.end(ItemState::Failed, Some(LEFT), now),
                            ItemState::Rotated | ItemState::Failed | ItemState::Skipped => {}
                        }
                    }
                    campaign.finish(now);
                }
            }
            if campaign.state != CampaignState::Finished {
                campaign.wake_at = Some(now);
                campaign.moved_at = now;
            }
            campaign.revision += 1;
            let unit = Unit::new(UnitName::CampaignAct)
                .put(Record::Campaign(campaign.clone()))
                .audited(audit_row(caller, Action::CampaignUpdate, &campaign, now));
            let unit = self.with_summary(unit, caller, &campaign, now);
            match self.commit(unit).await {
                Ok(_) => return Ok(campaign),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the campaign changes too quickly: try again".into(),
        ))
    }

    async fn may_steer(&self, caller: &Caller, campaign: &Campaign) -> Result<(), VaultError> {
        let scopes = caller.principal.scopes;
        if scopes.contains(Scope::Admin) {
            return Ok(());
        }
        self.require(caller, Scope::SecretsRotate, Action::CampaignUpdate)
            .await?;
        if campaign.requested_by == *caller.identity() {
            return Ok(());
        }
        for item in campaign.items.iter().filter(|item| !item.state.is_final()) {
            self.authorize(
                caller,
                Scope::SecretsRotate,
                Permission::Rotate,
                &item.path,
                Action::CampaignUpdate,
            )
            .await?;
        }
        Ok(())
    }
}
