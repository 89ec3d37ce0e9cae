//! A look at a target: what its manager may do, what it lacks, which overlaps there are.

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::Scope;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{Call, Check, Connector, SecretReads, Unit};
use scaivault_core::seal::Sealer;
use scaivault_core::target::{Overlap, Target, Trouble, TroubleKind};
use scaivault_core::time::Timestamp;
use serde_json::{Map, Value};

use super::{extra_of, refuse_if_any, within};
use crate::caller::Caller;
use crate::error::VaultError;
use crate::secrets::data_place;
use crate::vault::Vault;

/// What a look is for. Nothing: the target in general.
#[derive(Debug, Default)]
pub struct TargetCheckQuery {
    /// An attachment's settings.
    pub account: Option<Map<String, Value>>,
    /// How its old and new credential are to be accepted side by side.
    pub overlap: Option<Overlap>,
}

/// What a look came to. That the target could not be looked at is an answer, too.
#[derive(Debug)]
pub struct TargetChecked {
    /// The target.
    pub target: Target,
    /// When.
    pub at: Timestamp,
    /// The overlap that was asked for.
    pub overlap: Option<Overlap>,
    /// What was found.
    pub outcome: Result<Check, Trouble>,
}

impl TargetChecked {
    /// Whether nothing stands in the way.
    pub fn is_ready(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|check| {
            check.missing.is_empty()
                && match self.overlap {
                    // Nothing has to be supported for it.
                    Some(Overlap::None) => true,
                    Some(overlap) => check.overlaps.contains(&overlap),
                    None => true,
                }
        })
    }
}

impl Vault {
    /// Logs in at a target as its manager and looks; nothing is changed there. That the manager
    /// secret is opened for it is on the audit trail before it is used, and the value goes nowhere
    /// but to the target.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Validation`] for an account or overlap that the
    /// connector does not take.
    pub async fn target_check(
        &self,
        caller: &Caller,
        id_or_name: &str,
        query: TargetCheckQuery,
    ) -> Result<TargetChecked, VaultError> {
        self.require(caller, Scope::Admin, Action::TargetCheck)
            .await?;
        let target = self.target_of(caller, id_or_name).await?;
        let connector = self.connector_of(&target.connector, "connector")?;
        let overlap = check_query(&*connector, &query)?;
        let account = query.account.unwrap_or_default();
        let outcome = match self.manager_value(caller, &target).await? {
            Ok(manager) => {
                let call = Call {
                    settings: &target.settings,
                    account: &account,
                    overlap,
                    manager: manager.as_ref(),
                    tag: target.id.as_str(),
                    epoch: 0,
                    promoted_for: None,
                };
                connector.check(&call).await
            }
            Err(trouble) => Err(trouble),
        };
        let now = self.now();
        let trouble = outcome.as_ref().err();
        let extra = AuditExtra {
            error: trouble.map(|trouble| trouble.kind.as_str().to_owned()),
            ..extra_of(&target)
        };
        let mut row = caller.row(Action::TargetCheck, None, now, extra);
        row.success = trouble.is_none();
        self.commit(Unit::audit_only(row)).await?;
        Ok(TargetChecked {
            target,
            at: now,
            overlap: query.overlap,
            outcome,
        })
    }

    /// Logs in at a target as its manager and looks, with the row that says so.
    pub(crate) async fn target_looked_at(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<Result<Check, Trouble>, VaultError> {
        let connector = self.connector_of(&target.connector, "connector")?;
        let manager = match self.manager_value(caller, target).await? {
            Ok(manager) => manager,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let overlaps = connector.descriptor().overlaps;
        let call = Call {
            settings: &target.settings,
            account: &Map::new(),
            overlap: overlaps.first().copied().unwrap_or(Overlap::None),
            manager: manager.as_ref(),
            tag: target.id.as_str(),
            epoch: 0,
            promoted_for: None,
        };
        Ok(connector.check(&call).await)
    }

    /// The manager secret's value, where there is one.
    async fn manager_value(
        &self,
        caller: &Caller,
        target: &Target,
    ) -> Result<Result<Option<Plaintext>, Trouble>, VaultError> {
        let Some(path) = &target.manager_path else {
            return Ok(Ok(None));
        };
        Ok(match self.value_for(caller, target, path).await? {
            Some(value) => Ok(Some(value)),
            None => Err(TroubleKind::ManagerMissing.into()),
        })
    }

    /// The current value of a secret, to be sent to a target: its row is on the trail before it is
    /// opened. The reader is the vault on its own behalf, not a consumer: the ledger has no line.
    pub(crate) async fn value_for(
        &self,
        caller: &Caller,
        target: &Target,
        path: &SecretPath,
    ) -> Result<Option<Plaintext>, VaultError> {
        let found = SecretReads::secret_open(&*self.store, &target.tenant, path, None).await?;
        let current = found
            .filter(|(head, _)| !head.is_deleted())
            .and_then(|(head, row)| Some((head, row?)));
        let Some((head, row)) = current else {
            return Ok(None);
        };
        let version = row.version.version;
        let extra = AuditExtra {
            version: Some(version),
            ..extra_of(target)
        };
        let trail = caller.row(Action::Read, Some(path), self.now(), extra);
        self.commit(Unit::audit_only(trail)).await?;
        let place = data_place(&head, version);
        Ok(Some(Sealer::open(self.sealer(), place, &row.sealed)?))
    }
}

/// The overlap to ask about. Without an account it plays no part.
fn check_query(connector: &dyn Connector, query: &TargetCheckQuery) -> Result<Overlap, VaultError> {
    let about = connector.descriptor();
    let offered = || {
        let words: Vec<_> = about.overlaps.iter().map(|one| one.as_str()).collect();
        format!("{} does: {}", about.name, words.join(", "))
    };
    let wrong =
        |field: &str, why: String| Err(VaultError::Validation(vec![(field.to_owned(), why)]));
    match (&query.account, query.overlap) {
        (_, Some(overlap)) if !about.overlaps.contains(&overlap) => wrong("overlap", offered()),
        (Some(account), Some(overlap)) => {
            refuse_if_any(within("account", connector.check_account(account, overlap)))?;
            Ok(overlap)
        }
        (Some(_), None) => wrong(
            "overlap",
            format!("is required with an account; {}", offered()),
        ),
        (None, Some(_)) => wrong(
            "account",
            "is required with an overlap: the settings of the attachment to look at".to_owned(),
        ),
        (None, None) => Ok(about.overlaps.first().copied().unwrap_or(Overlap::None)),
    }
}
