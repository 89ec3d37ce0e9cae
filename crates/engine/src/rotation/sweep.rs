//! The sweep: what really lies at a target under our names, held against what is stored. What
//! belongs to nothing becomes a debt.

use std::time::Duration;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::debt::{Debt, Owed};
use scaivault_core::identity::Scope;
use scaivault_core::ids::{DebtId, RotationId, TargetId, TenantId};
use scaivault_core::ports::{
    AssignmentReads, CommitError, Record, Residue, RotationReads, SecretReads, TargetReads, Unit,
    UnitName,
};
use scaivault_core::rotation::Attached;
use scaivault_core::target::{Overlap, Target, Trouble, TroubleKind};
use serde_json::{Map, Value};

use super::reached::{About, Reached};
use super::worker::StepError;
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// A throw-away account that belongs to nothing here may be of another server's rehearsal that is
/// under way: no rehearsal takes this long.
const FOREIGN: Duration = Duration::from_secs(3_600);
/// Each target is swept so often, by whichever node.
const EVERY: Duration = Duration::from_secs(86_400);
/// Rows looked at.
const ROWS_MAX: usize = 1_000;
/// Whom the audit trail names.
const WORKER: &str = "debt-worker";

impl Vault {
    /// Sweeps one target by its id or name; answers the debts that came of it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Unavailable`] when the target could not be asked.
    pub async fn target_sweep(
        &self,
        caller: &Caller,
        id_or_name: &str,
    ) -> Result<Vec<Debt>, VaultError> {
        self.require(caller, Scope::Admin, Action::RotationSweep)
            .await?;
        let id = self.target_id_of(caller, id_or_name).await?;
        self.sweep(caller, &id).await
    }

    /// Sweeps every target that was not swept for a day. Answers how many debts came of it.
    ///
    /// # Errors
    /// When the store cannot be read or written. A target that cannot be asked is passed over.
    pub async fn sweeps_run_once(&self) -> Result<usize, VaultError> {
        let mut found = 0;
        if self.is_reconcile_only().await? {
            return Ok(0);
        }
        for tenant in SecretReads::secret_counts(&*self.store).await?.into_keys() {
            if !self.seat_in(&tenant).await?.1 {
                continue;
            }
            let caller = Caller::system(tenant.clone(), WORKER, self.now());
            let rows = TargetReads::target_list(&*self.store, &tenant, None, ROWS_MAX).await?;
            for target in rows {
                match self.sweep_if_due(&caller, &target).await {
                    Ok(debts) => found += debts.len(),
                    Err(error) => {
                        tracing::warn!(target = %target.name, %error, "not swept; tried again later");
                    }
                }
            }
        }
        Ok(found)
    }

    /// Of several nodes that find a target due, the one that writes its row first sweeps it.
    async fn sweep_if_due(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<Vec<Debt>, VaultError> {
        let now = self.now();
        if target.swept_at.is_some_and(|at| now.since(at) < EVERY) {
            return Ok(Vec::new());
        }
        let unit = Unit::new(UnitName::DebtSweep).put(Record::Target(Target {
            swept_at: Some(now),
            revision: target.revision + 1,
            ..target.clone()
        }));
        match self.commit(unit).await {
            Ok(_) => self.sweep(caller, &target.id).await,
            Err(CommitError::Conflict(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn sweep(&self, caller: &Caller, id: &TargetId) -> Result<Vec<Debt>, VaultError> {
        // What was made after the backup belongs to nothing that the store knows of.
        self.not_restored().await?;
        let tenant = caller.tenant();
        let reached = self.reached(tenant, id).await?;
        let reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
        let template = self.template_of(tenant, id).await?;
        // The manager's value leaves only after this row.
        let begin = AuditExtra {
            subject: Some(id.as_str().to_owned()),
            phase: Some("begin".to_owned()),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::RotationSweep, None, self.now(), begin);
        self.commit(Unit::new(UnitName::DebtSweep).audited(row))
            .await?;
        let empty = Map::new();
        let (account, overlap) = told(&template, &empty, &reached);
        let about = About {
            account,
            overlap,
            tag: "sweep",
            epoch: 0,
            promoted_for: None,
        };
        let reached = reached.with_manager_let_in(about).await;
        let known = self.debts_at(tenant, id).await?;
        let mut owed = self.left_accounts(&reached, &known, &template).await?;
        owed.extend(self.left_keys(tenant, &reached, &known, &template).await?);

        for _ in 0..RACES_MAX {
            match self.owe(caller, id, &owed).await {
                Err(StepError::LostRace) => {}
                Err(StepError::Vault(error)) => return Err(error),
                Ok(debts) => return Ok(debts),
            }
        }
        Err(VaultError::Unavailable(
            "the target changes too quickly: try again".into(),
        ))
    }

    /// Writes the debts down, but for those that another sweep or a rehearsal wrote down meanwhile:
    /// of two that write at the same time, one conflicts at the target's row.
    async fn owe(
        &self,
        caller: &Caller,
        id: &TargetId,
        owed: &[Owed],
    ) -> Result<Vec<Debt>, StepError> {
        let tenant = caller.tenant();
        let target = TargetReads::target_find(&*self.store, tenant, id).await?;
        let target = target.ok_or(VaultError::NotFound(Missing::Target))?;
        let known = self.debts_at(tenant, id).await?;
        let owed: Vec<_> = owed.iter().filter(|owed| !is_owed(owed, &known)).collect();
        let now = self.now();
        let extra = AuditExtra {
            subject: Some(id.as_str().to_owned()),
            phase: Some("end".to_owned()),
            count: Some(u64::try_from(owed.len()).unwrap_or(u64::MAX)),
            ..AuditExtra::default()
        };
        let row = caller.row(Action::RotationSweep, None, now, extra);
        let mut unit = Unit::new(UnitName::DebtSweep).audited(row);
        let mut debts = Vec::with_capacity(owed.len());
        for owed in owed {
            let wake_at = match owed {
                Owed::Account { .. } => now.plus(FOREIGN),
                _ => now,
            };
            let id = DebtId::mint(now, &*self.entropy);
            let at = (target.id.clone(), target.name.clone());
            let debt = Debt::new(id, tenant.clone(), at, owed.clone(), now, wake_at);
            unit = unit.put(Record::Debt(debt.clone()));
            debts.push(debt);
        }
        if !debts.is_empty() {
            unit = unit.put(Record::Target(Target {
                revision: target.revision + 1,
                ..target
            }));
        }
        self.commit(unit).await?;
        Ok(debts)
    }

    /// The settings of some attachment to the target: what a list is asked for with.
    async fn template_of(
        &self,
        tenant: &TenantId,
        id: &TargetId,
    ) -> Result<Option<Attached>, VaultError> {
        let rows = AssignmentReads::assignment_at_target(&*self.store, tenant, id, None, 1).await?;
        Ok(rows.into_iter().find_map(|row| row.attached))
    }

    /// Throw-away accounts that no debt knows.
    async fn left_accounts(
        &self,
        reached: &Reached,
        known: &[Debt],
        template: &Option<Attached>,
    ) -> Result<Vec<Owed>, VaultError> {
        let empty = Map::new();
        let (account, overlap) = told(template, &empty, reached);
        let about = About {
            account,
            overlap,
            tag: "sweep",
            epoch: 0,
            promoted_for: None,
        };
        let names = reached.connector.sweep(&reached.call(about)).await;
        let names = names.map_err(not_asked)?;
        let left = names.into_iter().filter(|name| !is_account(name, known));
        let owed = left.map(|name| {
            let (overlap, mut account) = reached.connector.swept_account(&name);
            if let (Some(template), Overlap::NKeys) = (template, overlap) {
                for (field, value) in &template.account {
                    account.entry(field.clone()).or_insert(value.clone());
                }
            }
            Owed::Account {
                account,
                overlap,
                tag: name,
            }
        });
        Ok(owed.collect())
    }

    /// Keys of rotations that have ended and whose keys should be gone, or be one.
    async fn left_keys(
        &self,
        tenant: &TenantId,
        reached: &Reached,
        known: &[Debt],
        template: &Option<Attached>,
    ) -> Result<Vec<Owed>, VaultError> {
        let empty = Map::new();
        let (account, overlap) = told(template, &empty, reached);
        let about = About {
            account,
            overlap,
            tag: "sweep",
            epoch: 0,
            promoted_for: None,
        };
        let tags = reached.connector.tags(&reached.call(about)).await;
        let mut left = Vec::new();
        for tag in tags.map_err(not_asked)? {
            let Ok(id) = RotationId::parse(&tag) else {
                continue;
            };
            if is_of_rotation(&id, known) {
                continue;
            }
            let rotation = RotationReads::rotation_find(&*self.store, tenant, &id).await?;
            // Of another server, or still at it: not ours to judge.
            let Some(rotation) = rotation.filter(|row| row.phase.is_final()) else {
                continue;
            };
            let Some(at) = &rotation.at_target else {
                continue;
            };
            let until = match rotation.phase == scaivault_core::rotation::Phase::RolledBack {
                true => rotation.epoch(),
                false => rotation.residue_epoch(),
            };
            let call = reached.call(About {
                account: &at.attached.account,
                overlap: at.attached.overlap,
                tag: tag.as_str(),
                epoch: until,
                promoted_for: None,
            });
            let kept = at.minted_epoch.is_none() && rotation.to_version.is_some();
            if !kept && matches!(reached.connector.residue(&call).await, Residue::Found(_)) {
                left.push(Owed::Residue {
                    path: rotation.path.clone(),
                    rotation_id: id,
                    attached: at.attached.clone(),
                    until,
                });
            }
        }
        Ok(left)
    }
}

fn told<'a>(
    template: &'a Option<Attached>,
    empty: &'a Map<String, Value>,
    reached: &Reached,
) -> (&'a Map<String, Value>, Overlap) {
    match template {
        Some(attached) => (&attached.account, attached.overlap),
        None => {
            let overlaps = reached.connector.descriptor().overlaps;
            (empty, overlaps.first().copied().unwrap_or(Overlap::None))
        }
    }
}

/// Whether a debt knows of it.
fn is_owed(owed: &Owed, known: &[Debt]) -> bool {
    match owed {
        Owed::Account { tag, .. } => is_account(tag, known),
        Owed::Residue { rotation_id, .. } => is_of_rotation(rotation_id, known),
        Owed::Credential { .. } => false,
    }
}

fn is_account(name: &str, known: &[Debt]) -> bool {
    known.iter().any(|debt| match &debt.owed {
        Owed::Account { account, .. } => holds(account, name),
        Owed::Credential { .. } | Owed::Residue { .. } => false,
    })
}

fn is_of_rotation(id: &RotationId, known: &[Debt]) -> bool {
    known.iter().any(|debt| debt.owed.rotation_id() == Some(id))
}

/// Whether the settings of an account name it.
fn holds(account: &Map<String, Value>, name: &str) -> bool {
    account.values().any(|value| match value {
        Value::String(text) => text == name,
        Value::Array(values) => values.iter().any(|value| value.as_str() == Some(name)),
        _ => false,
    })
}

fn not_asked(trouble: Trouble) -> VaultError {
    match trouble.kind {
        TroubleKind::Settings | TroubleKind::ManagerMissing | TroubleKind::Privilege => {
            VaultError::Validation(vec![("target".to_owned(), trouble.to_string())])
        }
        _ => VaultError::Unavailable(trouble.to_string()),
    }
}
