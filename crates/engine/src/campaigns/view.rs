//! Looking at campaigns.

use std::collections::HashMap;

use scaivault_core::access::Permission;
use scaivault_core::campaign::{Campaign, ItemState};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{CampaignId, RotationId};
use scaivault_core::ports::{RotationReads, RunReads};
use scaivault_core::rotation::Rotation;

use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::vault::Vault;

/// A campaign as its caller may see it.
#[derive(Debug, Clone)]
pub struct CampaignView {
    /// The campaign, with the items the caller may see.
    pub campaign: Campaign,
    /// The rotations of its items that have not ended.
    pub rotations: HashMap<RotationId, Rotation>,
    /// How many items there are by state, hidden ones included.
    pub counts: [(ItemState, usize); 5],
    /// Items of secrets the caller may not rotate.
    pub hidden: usize,
}

impl Vault {
    /// One campaign. Without `admin`, items of secrets one may not rotate are counted and not
    /// shown.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such campaign, or none of it may be seen.
    pub async fn campaign_details(
        &self,
        caller: &Caller,
        id: &CampaignId,
    ) -> Result<CampaignView, VaultError> {
        self.require_rotation_view(caller).await?;
        let campaign = self.campaign_of(caller, id).await?;
        let own = campaign.requested_by == *caller.identity();
        let view = self.campaign_seen(caller, campaign).await?;
        let admin = caller.principal.scopes.contains(Scope::Admin);
        if !own && !admin && view.campaign.items.is_empty() {
            return Err(VaultError::NotFound(Missing::Campaign));
        }
        Ok(view)
    }

    /// A campaign that the caller has just made, changed or planned, as they may see it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn campaign_seen(
        &self,
        caller: &Caller,
        mut campaign: Campaign,
    ) -> Result<CampaignView, VaultError> {
        let counts = [
            ItemState::Waiting,
            ItemState::Rotating,
            ItemState::Rotated,
            ItemState::Failed,
            ItemState::Skipped,
        ]
        .map(|state| (state, campaign.count(state)));
        let total = campaign.items.len();
        if !caller.principal.scopes.contains(Scope::Admin) {
            let now = self.now();
            let mut seen = Vec::with_capacity(total);
            for item in std::mem::take(&mut campaign.items) {
                let path = &item.path;
                if self
                    .decision(caller, Permission::Rotate, path, now)
                    .await?
                    .is_ok()
                {
                    seen.push(item);
                }
            }
            campaign.items = seen;
        }
        let hidden = total - campaign.items.len();
        let mut rotations = HashMap::new();
        let under_way = campaign.items.iter().filter(|item| !item.state.is_final());
        for id in under_way.filter_map(|item| item.rotation_id.as_ref()) {
            let found = RotationReads::rotation_find(&*self.store, &campaign.tenant, id).await?;
            rotations.extend(found.map(|rotation| (id.clone(), rotation)));
        }
        Ok(CampaignView {
            campaign,
            rotations,
            counts,
            hidden,
        })
    }

    /// A page of campaigns, newest first, and the id to go on below. Without `admin` only one's
    /// own, so a page may be short and still go on.
    ///
    /// # Errors
    /// [`VaultError::Scope`] with neither `secrets:rotate` nor `admin`.
    pub async fn campaign_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Campaign>, Option<CampaignId>), VaultError> {
        self.require_rotation_view(caller).await?;
        let tenant = caller.tenant();
        let mut rows = RunReads::campaign_list(&*self.store, tenant, after, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| last.id.clone());
        if !caller.principal.scopes.contains(Scope::Admin) {
            rows.retain(|campaign| campaign.requested_by == *caller.identity());
        }
        Ok((rows, next))
    }

    pub(super) async fn campaign_of(
        &self,
        caller: &Caller,
        id: &CampaignId,
    ) -> Result<Campaign, VaultError> {
        RunReads::campaign_find(&*self.store, caller.tenant(), id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Campaign))
    }
}
