//! Secret ids: made for a role, shown once, within what the role allows.

use std::collections::BTreeMap;

use scaivault_core::access::Cidr;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Scope, Uses};
use scaivault_core::ids::SecretIdAccessor;
use scaivault_core::machine::{MachineRole, SecretId};
use scaivault_core::ports::{CommitError, MachineReads, Op, Record, Unit, UnitName};
use scaivault_core::time::Span;
use scaivault_crypto::token::TokenText;

use super::{about, too_quick};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// Ended ones removed in one run of housekeeping.
const PRUNE_MAX: usize = 1_000;

/// What a new secret id is to be.
#[derive(Debug, Clone, Default)]
pub struct SecretIdDraft {
    /// What its maker notes about it.
    pub metadata: BTreeMap<String, String>,
    /// How long it lives; `None` is as long as the role says.
    pub ttl: Option<Span>,
    /// Logins it serves; `None` is as many as the role says.
    pub num_uses: Option<u64>,
    /// Where it may be used; empty is where the role says.
    pub bound_cidrs: Vec<Cidr>,
    /// Where its tokens may be used; empty is where the role says.
    pub token_bound_cidrs: Vec<Cidr>,
}

/// A new secret id: the text is shown once.
pub struct MintedSecretId {
    /// The stored record.
    pub record: SecretId,
    /// What machines name beside it.
    pub role_id: String,
    /// The secret id itself.
    pub text: TokenText,
}

impl Vault {
    /// Makes a secret id of a role.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`; [`VaultError::Forbidden`] for a role with rights beyond
    /// the caller's own; [`VaultError::Validation`] for more than the role allows.
    pub async fn secret_id_create(
        &self,
        caller: &Caller,
        role: &str,
        draft: SecretIdDraft,
    ) -> Result<MintedSecretId, VaultError> {
        self.require(caller, Scope::Admin, Action::SecretIdCreate)
            .await?;
        let role = self.machine_role_of(caller, role).await?;
        self.may_hand_out(caller, &role.identity, role.scopes)?;
        self.may_hold(caller, &role.groups).await?;
        within(&role, &draft)?;
        let wanted = match draft.token_bound_cidrs.is_empty() {
            true => &role.token_bound_cidrs,
            false => &draft.token_bound_cidrs,
        };
        let held = self.within_own_bounds(caller, wanted).await?;
        let narrowed = held != *wanted;
        let now = self.now();
        let text = scaivault_crypto::token::mint_secret_id(&*self.entropy);
        let ttl = draft.ttl.as_ref().or(role.secret_id_ttl.as_ref());
        let record = SecretId {
            id: SecretIdAccessor::mint(now, &*self.entropy),
            hash: self.keyring.token_hash(text.expose()),
            tenant: role.tenant.clone(),
            role: role.name.clone(),
            role_uid: role.id.clone(),
            metadata: draft.metadata,
            uses: draft.num_uses.or(role.secret_id_num_uses).map(Uses::of),
            bound_cidrs: draft.bound_cidrs,
            token_bound_cidrs: match narrowed {
                true => held,
                false => draft.token_bound_cidrs,
            },
            created_at: now,
            created_by: caller.identity().clone(),
            expires_at: ttl.map(|ttl| now.plus(ttl.duration())),
            last_used_at: None,
            revision: 1,
        };
        let unit = Unit::new(UnitName::SecretIdWrite)
            .put(Record::SecretId(record.clone()))
            .audited(caller.row(Action::SecretIdCreate, None, now, of(&role, &record)));
        self.commit(unit).await?;
        Ok(MintedSecretId {
            record,
            role_id: role.role_id,
            text,
        })
    }

    /// Secret ids of a role by their records' ids, those that ended a while ago left out.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is no such role.
    pub async fn secret_id_list(
        &self,
        caller: &Caller,
        role: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<SecretId>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        let role = self.machine_role_of(caller, role).await?;
        let (tenant, name) = (&role.tenant, &role.name);
        Ok(MachineReads::secret_id_list(&*self.store, tenant, name, after, limit).await?)
    }

    /// One secret id's record.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn secret_id_show(
        &self,
        caller: &Caller,
        role: &str,
        id: &SecretIdAccessor,
    ) -> Result<SecretId, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        let role = self.machine_role_of(caller, role).await?;
        self.secret_id_of(&role, id).await
    }

    /// The record of a secret id somebody has, when it is one of this role.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn secret_id_lookup(
        &self,
        caller: &Caller,
        role: &str,
        text: &str,
    ) -> Result<SecretId, VaultError> {
        self.require(caller, Scope::Admin, Action::SecretIdLookup)
            .await?;
        let role = self.machine_role_of(caller, role).await?;
        let hash = self.keyring.token_hash(text);
        let found = MachineReads::secret_id_by_hash(&*self.store, &hash).await?;
        let found = found.filter(|row| row.tenant == role.tenant && row.role_uid == role.id);
        let extra = match &found {
            Some(row) => of(&role, row),
            None => about(&role),
        };
        let (action, now) = (Action::SecretIdLookup, self.now());
        let row = match found {
            Some(_) => caller.row(action, None, now, extra),
            None => caller.failed_row(action, None, now, "secret_id_not_found", extra),
        };
        self.commit(Unit::audit_only(row)).await?;
        found.ok_or(VaultError::NotFound(Missing::SecretId))
    }

    /// Ends a secret id: from the answer on nobody logs in by it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn secret_id_revoke(
        &self,
        caller: &Caller,
        role: &str,
        id: &SecretIdAccessor,
    ) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::SecretIdRevoke)
            .await?;
        for _ in 0..RACES_MAX {
            let role = self.machine_role_of(caller, role).await?;
            let row = self.secret_id_of(&role, id).await?;
            let audit = caller.row(Action::SecretIdRevoke, None, self.now(), of(&role, &row));
            let unit = Unit::new(UnitName::SecretIdWrite)
                .op(Op::Delete(Record::SecretId(row)))
                .audited(audit);
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Removes the records of secret ids that have ended.
    pub(crate) async fn secret_ids_prune(&self) -> Result<(), VaultError> {
        let ended = MachineReads::secret_id_ended(&*self.store, self.now(), PRUNE_MAX).await?;
        if ended.is_empty() {
            return Ok(());
        }
        let unit = ended
            .into_iter()
            .fold(Unit::new(UnitName::Housekeeping), |unit, row| {
                unit.op(Op::Delete(Record::SecretId(row)))
            });
        match self.commit(unit).await {
            // Somebody revoked one, or another node was faster: the next run sees.
            Ok(_) | Err(CommitError::Conflict(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    async fn secret_id_of(
        &self,
        role: &MachineRole,
        id: &SecretIdAccessor,
    ) -> Result<SecretId, VaultError> {
        MachineReads::secret_id_find(&*self.store, &role.tenant, id)
            .await?
            .filter(|row| row.role_uid == role.id)
            .ok_or(VaultError::NotFound(Missing::SecretId))
    }
}

/// What of a secret id goes with an audit row.
pub(super) fn of(role: &MachineRole, row: &SecretId) -> AuditExtra {
    AuditExtra {
        secret_id_accessor: Some(row.id.clone()),
        ..about(role)
    }
}

fn within(role: &MachineRole, draft: &SecretIdDraft) -> Result<(), VaultError> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, why: &str| wrong.push((field.to_owned(), why.to_owned()));
    if role.password.is_some() {
        refuse(
            "role",
            "is a user's, who shows a password: there are no secret ids",
        );
    }
    if !role.bind_secret_id {
        let why = "asks for no secret id (bind_secret_id is false): there is none to make";
        refuse("role", why);
    }
    if let (Some(asked), Some(most)) = (&draft.ttl, &role.secret_id_ttl)
        && asked.as_secs() > most.as_secs()
    {
        refuse("ttl", "is not above the role's secret_id_ttl");
    }
    if let (Some(asked), Some(most)) = (draft.num_uses, role.secret_id_num_uses)
        && asked > most
    {
        refuse("num_uses", "is not above the role's secret_id_num_uses");
    }
    let inside = |given: &[Cidr], wide: &[Cidr]| {
        wide.is_empty() || given.iter().all(|one| wide.iter().any(|w| w.covers(one)))
    };
    if !inside(&draft.bound_cidrs, &role.secret_id_bound_cidrs) {
        refuse("bound_cidrs", "are within the role's secret_id_bound_cidrs");
    }
    if !inside(&draft.token_bound_cidrs, &role.token_bound_cidrs) {
        refuse(
            "token_bound_cidrs",
            "are within the role's token_bound_cidrs",
        );
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(VaultError::Validation(wrong)),
    }
}
