//! Beginning a campaign: what is in it, and the commit that makes it.

use std::collections::{BTreeMap, BTreeSet};

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::campaign::{
    CAMPAIGN_ITEMS_MAX, Campaign, CampaignItem, CampaignState, Cause, ItemState, Mode,
};
use scaivault_core::campaign_course::{Course, course};
use scaivault_core::event::EventType;
use scaivault_core::identity::{Identity, Scope, Token};
use scaivault_core::ids::{CampaignId, RotationPolicyId, TokenId, WebhookId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{CommitError, ReceiverReads, Record, TokenReads, Unit, UnitName};
use scaivault_core::time::Timestamp;

use super::audit_row;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Reason of items that the requester left out.
const EXCLUDED: &str = "left out by the requester";
/// Reason of items that the requester may not rotate.
const FORBIDDEN: &str = "the requester may not rotate this secret: start a campaign for it as an \
                         identity with the permission rotate";

/// What a campaign is to rotate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// Everything this identity read.
    Identity(Identity),
    /// Everything the identity of this token read. The token is revoked unless it is kept.
    Token {
        /// Its id.
        id: TokenId,
        /// Not revoked.
        keep: bool,
    },
    /// Every secret of a rotation policy.
    Policy(RotationPolicyId),
    /// Every secret of a group.
    Group(String),
    /// These.
    Paths(Vec<SecretPath>),
}

/// A campaign to begin.
#[derive(Debug, Clone)]
pub struct CampaignDraft {
    /// What.
    pub selector: Selector,
    /// What comes first.
    pub mode: Mode,
    /// … for these paths.
    pub modes: BTreeMap<SecretPath, Mode>,
    /// Paths left out.
    pub exclude: BTreeSet<SecretPath>,
    /// Why.
    pub note: Option<String>,
    /// Webhooks that get the summary whatever their own filters say.
    pub webhook_ids: Vec<WebhookId>,
    /// Only the plan: nothing is stored, rotated or revoked.
    pub dry_run: bool,
}

fn invalid(field: &str, why: impl Into<String>) -> VaultError {
    VaultError::Validation(vec![(field.to_owned(), why.into())])
}

impl Vault {
    /// Begins a campaign, or answers its plan.
    ///
    /// # Errors
    /// [`VaultError::Scope`] and [`VaultError::Denied`] without the right to rotate; for what an
    /// identity read, secrets the caller may not rotate are in the campaign as failed instead.
    /// [`VaultError::Validation`] when nothing, or too much, is selected.
    pub async fn campaign_create(
        &self,
        caller: &Caller,
        draft: CampaignDraft,
    ) -> Result<Campaign, VaultError> {
        self.require(caller, Scope::SecretsRotate, Action::CampaignCreate)
            .await?;
        if !draft.dry_run {
            self.not_restored().await?;
        }
        if matches!(draft.selector, Selector::Token { .. }) {
            self.require(caller, Scope::Admin, Action::CampaignCreate)
                .await?;
        }
        self.check_summary_webhooks(caller, &draft.webhook_ids)
            .await?;
        for _ in 0..RACES_MAX {
            let token = match &draft.selector {
                Selector::Token { id, .. } => Some(self.token_to_leave(caller, id).await?),
                _ => None,
            };
            let (campaign, denied) = self.campaign_plan(caller, &draft, token.as_ref()).await?;
            let now = campaign.opened_at;
            let row = audit_row(caller, Action::CampaignCreate, &campaign, now);
            if draft.dry_run {
                let mut row = row;
                row.action = Action::List;
                self.commit(Unit::audit_only(row)).await?;
                return Ok(campaign);
            }
            let mut unit = Unit::new(UnitName::CampaignWrite)
                .put(Record::Campaign(campaign.clone()))
                .audited(row);
            unit.audit.extend(denied);
            if let Some(token) = token.filter(|_| campaign.token_revoked) {
                unit = revoking(unit, caller, token, now);
            }
            let unit = self.with_summary(unit, caller, &campaign, now);
            match self.commit(unit).await {
                Ok(_) => return Ok(campaign),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "the token changes too quickly: try again".into(),
        ))
    }

    async fn token_to_leave(&self, caller: &Caller, id: &TokenId) -> Result<Token, VaultError> {
        TokenReads::token_find(&*self.store, caller.tenant(), id)
            .await?
            .ok_or(VaultError::NotFound(Missing::Token))
    }

    async fn check_summary_webhooks(
        &self,
        caller: &Caller,
        ids: &[WebhookId],
    ) -> Result<(), VaultError> {
        for id in ids {
            let webhook = ReceiverReads::webhook_find(&*self.store, caller.tenant(), id)
                .await?
                .ok_or_else(|| invalid("webhook_ids", format!("there is no webhook {id}")))?;
            if !webhook.events.contains(&EventType::CampaignCompleted) {
                let why = format!("{id} does not have campaign.completed among its events: add it");
                return Err(invalid("webhook_ids", why));
            }
        }
        Ok(())
    }

    /// The whole plan, and the audit rows of what the caller may not rotate.
    async fn campaign_plan(
        &self,
        caller: &Caller,
        draft: &CampaignDraft,
        token: Option<&Token>,
    ) -> Result<(Campaign, Vec<AuditRow>), VaultError> {
        let now = self.now();
        let cause = match (&draft.selector, token) {
            (Selector::Token { .. }, Some(token)) => Cause::Identity(token.identity.clone()),
            (Selector::Token { .. }, None) => return Err(VaultError::NotFound(Missing::Token)),
            (Selector::Identity(who), _) => Cause::Identity(who.clone()),
            (Selector::Policy(id), _) => Cause::Policy(id.clone()),
            (Selector::Group(name), _) => Cause::Group(name.clone()),
            (Selector::Paths(_), _) => Cause::Paths,
        };
        let selected = self.campaign_selected(caller, draft, &cause).await?;
        check_selection(draft, &cause, selected.keys())?;
        let leak = matches!(cause, Cause::Identity(_));
        let mut denied = Vec::new();
        let mut allowed = BTreeSet::new();
        for path in selected.keys() {
            if draft.exclude.contains(path) {
                continue;
            }
            if !leak {
                self.authorize(
                    caller,
                    Scope::SecretsRotate,
                    Permission::Rotate,
                    path,
                    Action::CampaignCreate,
                )
                .await?;
            } else if let Err(reason) = self.decision(caller, Permission::Rotate, path, now).await?
            {
                let code = VaultError::Denied(reason).code();
                let extra = AuditExtra {
                    permission: Some(Permission::Rotate.as_str().to_owned()),
                    ..AuditExtra::default()
                };
                denied.push(caller.failed_row(
                    Action::CampaignCreate,
                    Some(path),
                    now,
                    code,
                    extra,
                ));
                continue;
            }
            allowed.insert(path.clone());
        }
        let mut items = Vec::with_capacity(selected.len());
        for (path, versions) in selected {
            let mode = draft.modes.get(&path).copied().unwrap_or(draft.mode);
            let mut item = waiting(path, mode, versions);
            if draft.exclude.contains(&item.path) {
                item.end(ItemState::Skipped, Some(EXCLUDED), now);
            } else if !allowed.contains(&item.path) {
                item.end(ItemState::Failed, Some(FORBIDDEN), now);
            } else {
                self.plan_item(caller, &mut item, leak, now).await?;
                if matches!(cause, Cause::Paths) && item.versions.is_empty() {
                    return Err(VaultError::NotFound(Missing::Secret));
                }
            }
            items.push(item);
        }
        let mut campaign = Campaign {
            id: CampaignId::mint(now, &*self.entropy),
            tenant: caller.tenant().clone(),
            cause,
            token_id: token.map(|token| token.id.clone()),
            token_revoked: matches!(draft.selector, Selector::Token { keep: false, .. }),
            note: draft.note.clone(),
            requested_by: caller.identity().clone(),
            state: CampaignState::Running,
            items,
            webhook_ids: draft.webhook_ids.clone(),
            opened_at: now,
            moved_at: now,
            finished_at: None,
            ended_by: None,
            wake_at: Some(now),
            revision: 1,
        };
        campaign.put_in_order();
        campaign.finish(now);
        Ok((campaign, denied))
    }

    async fn plan_item(
        &self,
        caller: &Caller,
        item: &mut CampaignItem,
        leak: bool,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let found = self.campaign_known(caller.tenant(), &item.path).await?;
        if !leak {
            item.versions = found.known.current.into_iter().collect();
        }
        let attached = found.attached.as_ref();
        item.turn = attached.and_then(|(assignment, _)| assignment.turn.clone());
        if let Course::End(state, reason) = course(item, &found.known, now) {
            item.end(state, reason, now);
        }
        Ok(())
    }
}

fn waiting(path: SecretPath, mode: Mode, versions: Vec<u64>) -> CampaignItem {
    CampaignItem {
        path,
        mode,
        versions,
        turn: None,
        state: ItemState::Waiting,
        rotation_id: None,
        began_at: None,
        ended_at: None,
        reason: None,
    }
}

/// A path that is named and not selected is a mistake that would go unseen.
fn check_selection<'a>(
    draft: &CampaignDraft,
    cause: &Cause,
    selected: impl Iterator<Item = &'a SecretPath>,
) -> Result<(), VaultError> {
    let selected: BTreeSet<&SecretPath> = selected.collect();
    if selected.len() > CAMPAIGN_ITEMS_MAX {
        let why = format!("selects more than {CAMPAIGN_ITEMS_MAX} secrets: name paths in turn");
        return Err(invalid("selector", why));
    }
    if selected.is_empty() {
        let why = match cause {
            Cause::Identity(_) => return Ok(()), // it read nothing: that is the report
            Cause::Policy(_) => "no secret is attached to this rotation policy",
            Cause::Group(_) => "no attached secret is in this group",
            Cause::Paths => "names no path",
        };
        return Err(invalid(cause.as_str(), why));
    }
    let named = draft.exclude.iter().map(|path| ("exclude", path));
    let named = named.chain(draft.modes.keys().map(|path| ("modes", path)));
    for (field, path) in named {
        if !selected.contains(path) {
            return Err(invalid(field, format!("{path} is not selected")));
        }
    }
    Ok(())
}

fn revoking(unit: Unit, caller: &Caller, mut token: Token, now: Timestamp) -> Unit {
    if token.revoked_at.is_some() {
        return unit;
    }
    token.revoke(now);
    let extra = AuditExtra {
        token_id: Some(token.id.clone()),
        subject: Some(token.identity.as_str().to_owned()),
        ..AuditExtra::default()
    };
    unit.put(Record::Token(token))
        .audited(caller.row(Action::TokenRevoke, None, now, extra))
}
