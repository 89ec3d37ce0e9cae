//! Rotation policies.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{RotationPolicyId, SecretPolicyId, WebhookId};
use scaivault_core::ports::{
    AssignmentReads, CommitError, Op, ReceiverReads, Record, RotationPolicyReads, Unit, UnitName,
};
use scaivault_core::rotation::{
    Calendar, CalendarChange, Reason, RotationPolicy, Rules, RulesChange,
};
use scaivault_core::time::Span;

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// A policy to create.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in the stored policy")]
pub struct RotationPolicyDraft {
    pub name: String,
    pub description: Option<String>,
    pub interval: Span,
    pub grace_period: Span,
    pub warn_before: Vec<Span>,
    pub auto_generate: bool,
    pub secret_policy_id: Option<SecretPolicyId>,
    pub rules: Rules,
    pub calendar: Calendar,
    pub drift_check: Option<Span>,
    pub webhook_ids: Vec<WebhookId>,
}

/// A change. Absent parts stay.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the stored policy")]
pub struct RotationPolicyChange {
    pub name: Option<String>,
    pub description: Option<String>,
    pub interval: Option<Span>,
    pub grace_period: Option<Span>,
    pub warn_before: Option<Vec<Span>>,
    pub auto_generate: Option<bool>,
    /// `Some(None)`: none.
    pub secret_policy_id: Option<Option<SecretPolicyId>>,
    pub rules: Option<RulesChange>,
    pub calendar: Option<CalendarChange>,
    /// `Some(None)`: never.
    pub drift_check: Option<Option<Span>>,
    pub webhook_ids: Option<Vec<WebhookId>>,
    pub is_active: Option<bool>,
}

/// What names the recipe of a policy.
const RECIPE: &str = "secret_policy_id";

/// Attachments detached in one commit when a policy is deleted.
const DETACH_STEP: usize = 500;

impl Vault {
    /// Creates a rotation policy.
    ///
    /// # Errors
    /// [`VaultError::NameExists`]; [`VaultError::Validation`] for unknown webhooks.
    pub async fn rotation_policy_create(
        &self,
        caller: &Caller,
        draft: RotationPolicyDraft,
    ) -> Result<RotationPolicy, VaultError> {
        self.require(caller, Scope::Admin, Action::RotationPolicyCreate)
            .await?;
        self.check_webhooks(caller, &draft.webhook_ids).await?;
        let now = self.now();
        let policy = RotationPolicy {
            id: RotationPolicyId::mint(now, &*self.entropy),
            tenant: caller.tenant().clone(),
            name: draft.name,
            description: draft.description,
            interval: draft.interval,
            grace_period: draft.grace_period,
            warn_before: draft.warn_before,
            auto_generate: draft.auto_generate,
            secret_policy_id: draft.secret_policy_id,
            rules: checked_rules(draft.rules)?,
            calendar: checked(draft.calendar)?,
            drift_check: draft.drift_check,
            webhook_ids: draft.webhook_ids,
            is_active: true,
            created_at: now,
            updated_at: now,
            revision: 1,
        };
        let extra = AuditExtra {
            rotation_policy_id: Some(policy.id.clone()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::RotationPolicyCreate, None, now, extra);
        for _ in 0..RACES_MAX {
            let mut unit = Unit::new(UnitName::RotationPolicyWrite)
                .put(Record::RotationPolicy(policy.clone()))
                .audited(row.clone());
            if let Some(id) = &policy.secret_policy_id {
                unit = unit.put(self.recipe_to_refer_to(&policy.tenant, id, RECIPE).await?);
            }
            match self.commit(unit).await {
                Ok(_) => return Ok(policy),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Changes a policy. The schedules of its secrets are counted again from their last
    /// rotation.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::NameExists`], [`VaultError::Validation`].
    pub async fn rotation_policy_change(
        &self,
        caller: &Caller,
        id: &RotationPolicyId,
        change: RotationPolicyChange,
    ) -> Result<RotationPolicy, VaultError> {
        self.require(caller, Scope::Admin, Action::RotationPolicyUpdate)
            .await?;
        if let Some(webhook_ids) = &change.webhook_ids {
            self.check_webhooks(caller, webhook_ids).await?;
        }
        for _ in 0..RACES_MAX {
            let mut policy = self.rotation_policy_of(caller, id).await?;
            let now = self.now();
            let change = change.clone();
            // Without a pattern the interval counts again: it has to be meant.
            let had_pattern = policy.calendar.cron.is_some();
            if let Some(change) = change.calendar {
                policy.calendar = checked(change.apply(policy.calendar))?;
            }
            let loses_pattern = policy.calendar.cron.is_none();
            if had_pattern && loses_pattern && change.interval.is_none() {
                let why = "is needed when the cron pattern goes".to_owned();
                return Err(VaultError::Validation(vec![("interval".to_owned(), why)]));
            }
            let accepted_gap = policy.rules.accept_gap;
            policy.revision += 1;
            policy.updated_at = now;
            policy.name = change.name.unwrap_or(policy.name);
            policy.description = change.description.or(policy.description);
            policy.interval = change.interval.unwrap_or(policy.interval);
            policy.grace_period = change.grace_period.unwrap_or(policy.grace_period);
            policy.warn_before = change.warn_before.unwrap_or(policy.warn_before);
            policy.auto_generate = change.auto_generate.unwrap_or(policy.auto_generate);
            if let Some(change) = change.rules {
                policy.rules = checked_rules(change.apply(policy.rules))?;
            }
            policy.drift_check = change.drift_check.unwrap_or(policy.drift_check);
            if accepted_gap && !policy.rules.accept_gap {
                self.no_gap_under(caller.tenant(), id).await?;
            }
            policy.webhook_ids = change.webhook_ids.unwrap_or(policy.webhook_ids);
            policy.is_active = change.is_active.unwrap_or(policy.is_active);
            let extra = AuditExtra {
                rotation_policy_id: Some(policy.id.clone()),
                ..AuditExtra::default()
            };
            let mut unit = Unit::new(UnitName::RotationPolicyWrite);
            if let Some(recipe) = change.secret_policy_id {
                if let Some(id) = recipe
                    .as_ref()
                    .filter(|_| policy.secret_policy_id != recipe)
                {
                    unit = unit.put(self.recipe_to_refer_to(&policy.tenant, id, RECIPE).await?);
                }
                policy.secret_policy_id = recipe;
            }
            let unit = unit
                .put(Record::RotationPolicy(policy.clone()))
                .op(Op::AssignmentsWake {
                    tenant: policy.tenant.clone(),
                    policy_id: policy.id.clone(),
                    at: now,
                })
                .audited(caller.row(Action::RotationPolicyUpdate, None, now, extra));
            match self.commit(unit).await {
                Ok(_) => return Ok(policy),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Deletes a policy. Its secrets are detached; rotations that wait for a value end.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::RotationUnfinished`] while one of its secrets is
    /// rotated at a target.
    pub async fn rotation_policy_delete(
        &self,
        caller: &Caller,
        id: &RotationPolicyId,
    ) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::RotationPolicyDelete)
            .await?;
        self.no_rotation_of_policy(caller.tenant(), id).await?;
        for _ in 0..RACES_MAX {
            let policy = self.rotation_policy_of(caller, id).await?;
            let now = self.now();
            let attached = AssignmentReads::assignment_list(
                &*self.store,
                caller.tenant(),
                id,
                None,
                DETACH_STEP,
            )
            .await?;
            let more = attached.len() == DETACH_STEP;
            let mut unit = Unit::new(UnitName::RotationPolicyDelete);
            for assignment in attached {
                let open = self.open_rotation_of(&assignment).await?;
                unit = self
                    .rotations_ended(caller, unit, open, Reason::Detached, now)
                    .await?
                    .op(Op::Delete(Record::Assignment(assignment)));
            }
            if !more {
                let extra = AuditExtra {
                    rotation_policy_id: Some(policy.id.clone()),
                    ..AuditExtra::default()
                };
                unit = unit
                    .op(Op::Delete(Record::RotationPolicy(policy)))
                    .audited(caller.row(Action::RotationPolicyDelete, None, now, extra));
            }
            match self.commit(unit).await {
                Ok(_) if !more => return Ok(()),
                Ok(_) | Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "not every secret is detached yet: delete again".into(),
        ))
    }

    /// One policy and how many secrets it has.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn rotation_policy_details(
        &self,
        caller: &Caller,
        id: &RotationPolicyId,
    ) -> Result<(RotationPolicy, u64), VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        let policy = self.rotation_policy_of(caller, id).await?;
        let count = AssignmentReads::assignment_count(&*self.store, caller.tenant(), id).await?;
        Ok((policy, count))
    }

    /// Policies by id, each with its number of secrets.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn rotation_policy_list(
        &self,
        caller: &Caller,
        active_only: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(RotationPolicy, u64)>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        let tenant = caller.tenant();
        let policies = RotationPolicyReads::rotation_policy_list(
            &*self.store,
            tenant,
            active_only,
            after,
            limit,
        )
        .await?;
        let mut listed = Vec::with_capacity(policies.len());
        for policy in policies {
            let count = AssignmentReads::assignment_count(&*self.store, tenant, &policy.id).await?;
            listed.push((policy, count));
        }
        Ok(listed)
    }

    pub(crate) async fn rotation_policy_of(
        &self,
        caller: &Caller,
        id: &RotationPolicyId,
    ) -> Result<RotationPolicy, VaultError> {
        RotationPolicyReads::rotation_policy_find(&*self.store, caller.tenant(), id)
            .await?
            .ok_or(VaultError::NotFound(Missing::RotationPolicy))
    }

    async fn check_webhooks(&self, caller: &Caller, ids: &[WebhookId]) -> Result<(), VaultError> {
        for id in ids {
            if ReceiverReads::webhook_find(&*self.store, caller.tenant(), id)
                .await?
                .is_none()
            {
                let field = (
                    "webhook_ids".to_owned(),
                    format!("there is no webhook {id}"),
                );
                return Err(VaultError::Validation(vec![field]));
            }
        }
        Ok(())
    }
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the policy changes too quickly: try again".into())
}

fn checked(calendar: Calendar) -> Result<Calendar, VaultError> {
    let checked = calendar.validate();
    checked.map_err(|problems| within("calendar", problems))
}

fn checked_rules(rules: Rules) -> Result<Rules, VaultError> {
    let checked = rules.validate();
    checked.map_err(|problems| within("rules", problems))
}

fn within(object: &str, problems: Vec<(String, String)>) -> VaultError {
    let named = |(field, why)| (format!("{object}.{field}"), why);
    VaultError::Validation(problems.into_iter().map(named).collect())
}
