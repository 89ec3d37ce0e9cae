//! Static roles of HashiCorp Vault's API: an account that is there and keeps its name, and whose
//! password changes. It is a secret that is attached to the connection's target under a rotation policy
//! of its own, and the orchestrator does the rest; the first value is made by a rotation.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::Engine;
use scaivault_core::ids::TargetId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, Missing, RotationPolicyReads, RotationReads, SecretReads,
};
use scaivault_core::rotation::{
    Assignment, Calendar, OnDeadline, Rotation, RotationPolicy, Rules, Which,
};
use scaivault_core::time::Span;
use serde_json::{Map, Value};

use crate::caller::Caller;
use crate::error::{Missing as Absent, VaultError};
use crate::rotation::{Act, Attach, AttachTo, RotationPolicyChange, RotationPolicyDraft};
use crate::targets::TargetCheckQuery;
use crate::vault::Vault;

/// Policies of one tenant.
const POLICIES_MAX: usize = 10_000;
/// Where a cron pattern says when, the interval says nothing.
const INTERVAL_WITH_CRON: &str = "365d";

/// When a password changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StaticSchedule {
    /// So long after the last time.
    Every(Span),
    /// By a cron pattern, in UTC.
    Cron(String),
}

/// A static role to make or change. Absent parts stay.
pub struct StaticRoleWrite {
    /// By which policies decide who may.
    pub place: SecretPath,
    /// The secret with its credential.
    pub path: SecretPath,
    /// What its rotation policy is called.
    pub policy: String,
    /// Its connection.
    pub engine: Option<Engine>,
    /// The account.
    pub username: Option<String>,
    /// When its password changes.
    pub schedule: Option<StaticSchedule>,
}

/// A static role as it is.
#[derive(Debug, Clone)]
pub struct StaticRole {
    /// The account.
    pub username: String,
    /// Its attachment: when it rotates, and where.
    pub assignment: Assignment,
    /// By which rules.
    pub policy: RotationPolicy,
}

impl Vault {
    /// The static role whose credential this is: what paths mean, as with engines.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn static_role_find(
        &self,
        caller: &Caller,
        path: &SecretPath,
    ) -> Result<Option<StaticRole>, VaultError> {
        let (store, tenant) = (&*self.store, caller.tenant());
        let row = AssignmentReads::assignment_find(store, tenant, path).await?;
        let Some(assignment) = row else {
            return Ok(None);
        };
        let id = &assignment.policy_id;
        let policy = RotationPolicyReads::rotation_policy_find(store, tenant, id).await?;
        let attached = assignment.attached.as_ref();
        let name = attached.and_then(|at| at.account.get("account"));
        let username = name.and_then(Value::as_str).map(str::to_owned);
        Ok(username.zip(policy).map(|(username, policy)| StaticRole {
            username,
            assignment,
            policy,
        }))
    }

    /// The static roles at the target of an engine whose secrets lie in a folder.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn static_roles_of(
        &self,
        engine: &Engine,
        folder: &str,
    ) -> Result<Vec<Assignment>, VaultError> {
        let Some(target) = &engine.target_id else {
            return Ok(Vec::new());
        };
        let (store, tenant) = (&*self.store, &engine.tenant);
        let rows = AssignmentReads::assignment_at_target(store, tenant, target, None, POLICIES_MAX);
        let mut rows = rows.await?;
        rows.retain(|row| {
            let below = row.path.as_str().strip_prefix(folder);
            below.is_some_and(|rest| rest.starts_with('/'))
        });
        Ok(rows)
    }

    /// Makes or changes a static role. Answers the rotation that makes its first password.
    ///
    /// # Errors
    /// [`VaultError::Denied`]; [`VaultError::Validation`]; as [`Vault::assignment_attach`].
    pub async fn static_role_write(
        &self,
        caller: &Caller,
        write: &StaticRoleWrite,
    ) -> Result<Option<Rotation>, VaultError> {
        let action = Action::RotationAssign;
        let raised = self
            .dynamic_manager(caller, Permission::Write, &write.place, action)
            .await?;
        if let Some(role) = self.static_role_find(caller, &write.path).await? {
            return self.static_role_change(&raised, role, write).await;
        }
        let (Some(engine), Some(username)) = (&write.engine, &write.username) else {
            let field = if write.engine.is_none() {
                "db_name"
            } else {
                "username"
            };
            return Err(wrong(field, "is needed"));
        };
        let Some(schedule) = &write.schedule else {
            return Err(wrong(
                "rotation_period",
                "is needed, or rotation_schedule: how often the password changes",
            ));
        };
        let target = engine.target_id.as_ref();
        let target = target.ok_or(VaultError::NotFound(Absent::Target))?;
        let account = Map::from_iter([("account".to_owned(), Value::from(username.as_str()))]);
        self.static_account(&raised, target, &account).await?;
        let policy = self.static_policy(&raised, &write.policy, schedule).await?;
        let attach = Attach {
            to: Some(AttachTo {
                target: target.as_str().to_owned(),
                account: Some(account),
                create: true,
                ..AttachTo::default()
            }),
            turn: None,
        };
        let made = self
            .assignment_attach(&raised, &policy.id, &write.path, &attach)
            .await;
        match made {
            Ok(made) => self.rotation_under_way(&made.assignment).await,
            Err(error) => {
                // It has no other secret.
                self.rotation_policy_delete(&raised, &policy.id).await?;
                Err(error)
            }
        }
    }

    /// The account is there, where it has to be, and the connection's account may change it: what the
    /// target lacks with it and not without it.
    async fn static_account(
        &self,
        caller: &Caller,
        target: &TargetId,
        account: &Map<String, Value>,
    ) -> Result<(), VaultError> {
        let row = self.target_of(caller, target.as_str()).await?;
        let connector = self.connector_of(&row.connector, "db_name")?;
        let overlaps = connector.descriptor().overlaps.iter().copied();
        let mut fits = overlaps.filter(|one| connector.check_account(account, *one).is_empty());
        let query = TargetCheckQuery {
            account: Some(account.clone()),
            overlap: fits.next(),
        };
        let looked = async |query| -> Result<Vec<Missing>, VaultError> {
            let checked = self.target_check(caller, target.as_str(), query).await?;
            let found = checked
                .outcome
                .map_err(|trouble| VaultError::EngineConfig {
                    trouble: trouble.kind.as_str(),
                    advice: trouble.kind.advice().to_owned(),
                })?;
            Ok(found.missing)
        };
        let with = looked(query).await?;
        if with.is_empty() {
            return Ok(());
        }
        let without = looked(TargetCheckQuery::default()).await?;
        let of_it = |lack: &&Missing| !without.iter().any(|one| one.statement == lack.statement);
        let lacks: Vec<&str> = with
            .iter()
            .filter(of_it)
            .map(|lack| lack.statement.as_str())
            .collect();
        match lacks.is_empty() {
            true => Ok(()),
            false => {
                let why = format!(
                    "cannot be rotated yet: run there, as somebody who may: {}",
                    lacks.join(" ")
                );
                Err(wrong("username", &why))
            }
        }
    }

    async fn static_role_change(
        &self,
        caller: &Caller,
        role: StaticRole,
        write: &StaticRoleWrite,
    ) -> Result<Option<Rotation>, VaultError> {
        let stays = "stays what it is: delete the static role, and make it anew";
        let attached = role.assignment.attached.as_ref();
        let at = attached.map(|at| &at.target_id);
        if let Some(engine) = &write.engine
            && engine.target_id.as_ref() != at
        {
            return Err(wrong("db_name", stays));
        }
        if write
            .username
            .as_ref()
            .is_some_and(|name| *name != role.username)
        {
            return Err(wrong("username", stays));
        }
        if let Some(schedule) = &write.schedule {
            self.scheduled(caller, &role.policy, schedule).await?;
        }
        // A creation that was broken off, or did not succeed, goes on.
        let (store, tenant) = (&*self.store, caller.tenant());
        let head = SecretReads::secret_find(store, tenant, &write.path).await?;
        match head.is_some_and(|head| head.current_version > 0) {
            true => Ok(None),
            false => match self.rotation_under_way(&role.assignment).await? {
                Some(rotation) if !rotation.phase.is_final() => Ok(Some(rotation)),
                _ => self.secret_rotate(caller, &write.path).await.map(Some),
            },
        }
    }

    async fn rotation_under_way(&self, row: &Assignment) -> Result<Option<Rotation>, VaultError> {
        match &row.open_rotation {
            Some(id) => Ok(RotationReads::rotation_find(&*self.store, &row.tenant, id).await?),
            None => Ok(None),
        }
    }

    async fn scheduled(
        &self,
        caller: &Caller,
        policy: &RotationPolicy,
        schedule: &StaticSchedule,
    ) -> Result<(), VaultError> {
        let (interval, calendar) = said(schedule);
        if policy.interval == interval && policy.calendar == calendar {
            return Ok(());
        }
        let change = RotationPolicyChange {
            interval: Some(interval),
            calendar: Some(scaivault_core::rotation::CalendarChange {
                cron: Some(calendar.cron),
                ..scaivault_core::rotation::CalendarChange::default()
            }),
            ..RotationPolicyChange::default()
        };
        self.rotation_policy_change(caller, &policy.id, change)
            .await
            .map(drop)
    }

    /// The policy of one static role, made where there is none: one that a crash left behind is used.
    async fn static_policy(
        &self,
        caller: &Caller,
        name: &str,
        schedule: &StaticSchedule,
    ) -> Result<RotationPolicy, VaultError> {
        let (store, tenant) = (&*self.store, caller.tenant());
        let all =
            RotationPolicyReads::rotation_policy_list(store, tenant, false, None, POLICIES_MAX);
        if let Some(found) = all.await?.into_iter().find(|found| found.name == name) {
            self.scheduled(caller, &found, schedule).await?;
            return Ok(found);
        }
        let (interval, calendar) = said(schedule);
        let draft = RotationPolicyDraft {
            name: name.to_owned(),
            description: Some("Of one static role".to_owned()),
            interval,
            grace_period: span("1h"),
            warn_before: Vec::new(),
            auto_generate: true,
            secret_policy_id: None,
            // The account keeps its name. Where it takes two passwords, the old one is good until
            // those who read it lately have the new one; where it takes one, there is a gap.
            rules: Rules {
                accept_gap: true,
                consumers: Which::Live(span("1h")),
                quiet_period: span("5s"),
                deadline: Some(span("10m")),
                on_deadline: OnDeadline::Force,
                poll: span("2s"),
                ..Rules::default()
            },
            calendar,
            drift_check: Some(span("24h")),
            webhook_ids: Vec::new(),
        };
        self.rotation_policy_create(caller, draft).await
    }

    /// Forgets a static role: the account keeps the password it has, which nobody reads here any more.
    ///
    /// # Errors
    /// [`VaultError::Denied`]; [`VaultError::RotationUnfinished`] while it is rotated.
    pub async fn static_role_delete(
        &self,
        caller: &Caller,
        place: &SecretPath,
        path: &SecretPath,
    ) -> Result<(), VaultError> {
        let action = Action::RotationUnassign;
        let raised = self
            .dynamic_manager(caller, Permission::Delete, place, action)
            .await?;
        if let Some(role) = self.static_role_find(caller, path).await? {
            let policy = &role.policy.id;
            // One that came to nothing so far leaves nothing.
            if let Some(open) = self.rotation_under_way(&role.assignment).await?
                && Act::Abandon.is_legal(&open)
            {
                self.rotation_act(&raised, &open.id, Act::Abandon).await?;
            }
            self.assignment_delete(&raised, policy, path).await?;
            let (store, tenant) = (&*self.store, caller.tenant());
            let left = AssignmentReads::assignment_list(store, tenant, policy, None, 1).await?;
            if left.is_empty() {
                self.rotation_policy_delete(&raised, policy).await?;
            }
        }
        match self.secret_delete(&raised, path, true).await {
            Ok(_) | Err(VaultError::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn said(schedule: &StaticSchedule) -> (Span, Calendar) {
    match schedule {
        StaticSchedule::Every(interval) => (interval.clone(), Calendar::default()),
        StaticSchedule::Cron(pattern) => {
            let calendar = Calendar {
                cron: Some(pattern.clone()),
                ..Calendar::default()
            };
            (span(INTERVAL_WITH_CRON), calendar)
        }
    }
}

fn span(text: &str) -> Span {
    Span::parse(text).unwrap_or_else(|_| unreachable!("a valid constant"))
}

fn wrong(field: &str, why: &str) -> VaultError {
    VaultError::Validation(vec![(field.to_owned(), why.to_owned())])
}
