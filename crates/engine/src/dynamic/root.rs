//! The root credential of an engine, rotated by the orchestrator as any manager's: tried before it
//! is handed out, put back when it is not let in, and always one that works is known.

use scaivault_core::access::Permission;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::ids::RotationPolicyId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, CommitError, Record, RecordKind, RotationPolicyReads, Unit, UnitName,
};
use scaivault_core::rotation::{Calendar, OnDeadline, Rotation, RotationPolicy, Rules, Which};
use scaivault_core::target::Target;
use scaivault_core::time::Span;

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::rotation::{Attach, AttachTo};
use crate::vault::Vault;

/// The policy of root credentials that were given none.
const POLICY: &str = "engine-roots";
/// Policies of one tenant.
const POLICIES_MAX: usize = 10_000;

impl Vault {
    /// Rotates the root credential of an engine now. One that is under no rotation policy yet is
    /// attached first: to the given policy, or to [`POLICY`], which is made when it is not there.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for the engine or the policy; [`VaultError::Denied`] without *read*
    /// and *rotate* on the root credential; [`VaultError::Validation`] where there is none, or where
    /// it is rotated for another target; [`VaultError::EngineConfig`] where the connector cannot;
    /// as [`Vault::secret_rotate`] and [`Vault::assignment_attach`].
    pub async fn engine_rotate_root(
        &self,
        caller: &Caller,
        name: &str,
        policy: Option<&RotationPolicyId>,
    ) -> Result<Rotation, VaultError> {
        let action = Action::Rotate;
        self.require(caller, Scope::DynamicManage, action).await?;
        let engine = self.engine_of(caller, name).await?;
        let id = engine.target_id.as_ref();
        let id = id.ok_or(VaultError::NotFound(Missing::Target))?;
        let target = self.target_of(caller, id.as_str()).await?;
        let Some(path) = target.manager_path.clone() else {
            return Err(wrong("the engine has no root credential"));
        };
        for permission in [Permission::Rotate, Permission::Read] {
            self.authorize(caller, Scope::DynamicManage, permission, &path, action)
                .await?;
        }
        let connector = self.connector_of(&target.connector, "plugin")?;
        if !connector.descriptor().rotates_manager {
            return Err(VaultError::EngineConfig {
                trouble: "unsupported",
                advice: format!(
                    "the connector {} does not rotate its manager's credential: write a new one to \
                     the root secret",
                    target.connector
                ),
            });
        }
        let outcome = self.root_rotated(caller, &target, &path, policy).await;
        self.on_trail(caller, action, &path, outcome).await
    }

    async fn root_rotated(
        &self,
        caller: &Caller,
        target: &Target,
        path: &SecretPath,
        policy: Option<&RotationPolicyId>,
    ) -> Result<Rotation, VaultError> {
        let row = AssignmentReads::assignment_find(&*self.store, &target.tenant, path).await?;
        let attached = row.as_ref().and_then(|row| row.attached.as_ref());
        match attached {
            Some(at) if at.is_manager && at.target_id == target.id => {}
            Some(at) => {
                return Err(wrong(&format!(
                    "the root credential is rotated at the target {}: detach it there first",
                    at.target_name
                )));
            }
            None => {
                let held = row.map(|row| row.policy_id);
                let policy = match policy.cloned().or(held) {
                    Some(policy) => policy,
                    None => self.roots_policy(caller).await?,
                };
                let to = AttachTo {
                    target: target.id.as_str().to_owned(),
                    manager: true,
                    ..AttachTo::default()
                };
                let attach = Attach {
                    to: Some(to),
                    turn: None,
                };
                self.attach(caller, &policy, path, &attach).await?;
            }
        }
        self.rotate_now(caller, path, None).await
    }

    /// The policy for root credentials, made where there is none.
    async fn roots_policy(&self, caller: &Caller) -> Result<RotationPolicyId, VaultError> {
        let tenant = caller.tenant();
        for _ in 0..RACES_MAX {
            let store = &*self.store;
            let all =
                RotationPolicyReads::rotation_policy_list(store, tenant, false, None, POLICIES_MAX);
            if let Some(found) = all.await?.into_iter().find(|found| found.name == POLICY) {
                return Ok(found.id);
            }
            let now = self.now();
            let policy = RotationPolicy {
                id: RotationPolicyId::mint(now, &*self.entropy),
                tenant: tenant.clone(),
                name: POLICY.to_owned(),
                description: Some("Root credentials of engines".to_owned()),
                interval: span("30d"),
                grace_period: span("1h"),
                warn_before: Vec::new(),
                auto_generate: true,
                secret_policy_id: None,
                // Nobody needs it but the engine, which knows both while they change.
                rules: Rules {
                    consumers: Which::Live(span("1h")),
                    quiet_period: span("5s"),
                    deadline: Some(span("1h")),
                    on_deadline: OnDeadline::Force,
                    poll: span("2s"),
                    ..Rules::default()
                },
                calendar: Calendar::default(),
                drift_check: Some(span("24h")),
                webhook_ids: Vec::new(),
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
            let unit = Unit::new(UnitName::RotationPolicyWrite)
                .put(Record::RotationPolicy(policy.clone()))
                .audited(row);
            match self.commit(unit).await {
                Ok(_) => return Ok(policy.id),
                // Somebody else made it meanwhile.
                Err(
                    CommitError::Conflict(_)
                    | CommitError::Duplicate(RecordKind::RotationPolicy, _),
                ) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Unavailable(
            "rotation policies change too quickly: try again".into(),
        ))
    }
}

fn span(text: &str) -> Span {
    Span::parse(text).unwrap_or_else(|_| unreachable!("a valid constant"))
}

fn wrong(why: &str) -> VaultError {
    let field = "root_credentials_path".to_owned();
    VaultError::Validation(vec![(field, why.to_owned())])
}
