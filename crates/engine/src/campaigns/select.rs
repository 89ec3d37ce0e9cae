//! Which secrets a campaign is about, and what is known of each.

use std::collections::BTreeMap;

use scaivault_core::campaign::{CAMPAIGN_ITEMS_MAX, Cause};
use scaivault_core::campaign_course::Known;
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, ConsumerReads, RotationPolicyReads, SecretReads};
use scaivault_core::rotation::{Assignment, RotationPolicy};
use scaivault_core::secret::SecretHead;

use super::create::{CampaignDraft, Selector};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::vault::Vault;

/// Paths of the ledger read at a time.
const PAGE: usize = 500;

/// A secret as a campaign finds it.
pub(super) struct Found {
    pub(super) head: Option<SecretHead>,
    pub(super) attached: Option<(Assignment, RotationPolicy)>,
    pub(super) known: Known,
}

impl Vault {
    /// The selected paths; for what an identity read with the versions it read. At most one more
    /// than a campaign may have.
    pub(super) async fn campaign_selected(
        &self,
        caller: &Caller,
        draft: &CampaignDraft,
        cause: &Cause,
    ) -> Result<BTreeMap<SecretPath, Vec<u64>>, VaultError> {
        let tenant = caller.tenant();
        let most = CAMPAIGN_ITEMS_MAX + 1;
        let assignments = match cause {
            Cause::Identity(who) => {
                let mut selected: BTreeMap<SecretPath, Vec<u64>> = BTreeMap::new();
                let mut after: Option<String> = None;
                while selected.len() < most {
                    let at = after.as_deref();
                    let lines =
                        ConsumerReads::consumer_reads(&*self.store, tenant, who, at, PAGE).await?;
                    let Some((last, _)) = lines.last() else {
                        break;
                    };
                    after = Some(last.as_str().to_owned());
                    for (path, line) in lines {
                        selected.entry(path).or_default().push(line.version);
                    }
                }
                return Ok(selected);
            }
            Cause::Paths => {
                let Selector::Paths(paths) = &draft.selector else {
                    return Ok(BTreeMap::new());
                };
                return Ok(paths
                    .iter()
                    .map(|path| (path.clone(), Vec::new()))
                    .collect());
            }
            Cause::Policy(id) => {
                self.rotation_policy_of(caller, id).await?;
                AssignmentReads::assignment_list(&*self.store, tenant, id, None, most).await?
            }
            Cause::Group(group) => {
                AssignmentReads::assignment_in_group(&*self.store, tenant, group, None, most)
                    .await?
            }
        };
        Ok(assignments
            .into_iter()
            .map(|assignment| (assignment.path, Vec::new()))
            .collect())
    }

    pub(super) async fn campaign_known(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<Found, VaultError> {
        let head = SecretReads::secret_find(&*self.store, tenant, path)
            .await?
            .filter(|head| !head.is_deleted());
        let Some(head) = head else {
            return Ok(Found {
                head: None,
                attached: None,
                known: Known::default(),
            });
        };
        let assignment = AssignmentReads::assignment_find(&*self.store, tenant, path).await?;
        let attached = match assignment {
            Some(assignment) => {
                let id = &assignment.policy_id;
                RotationPolicyReads::rotation_policy_find(&*self.store, tenant, id)
                    .await?
                    .map(|policy| (assignment, policy))
            }
            None => None,
        };
        let known = Known {
            current: Some(head.current_version),
            versions: SecretReads::version_list(&*self.store, tenant, path).await?,
            under_way: self.rotations_unended(&head).await?,
            has_policy: attached.is_some(),
        };
        Ok(Found {
            head: Some(head),
            attached,
            known,
        })
    }
}
