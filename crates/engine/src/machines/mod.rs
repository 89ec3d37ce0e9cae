//! Machines that log in by a role id and a secret id: the roles.
//!
//! Whoever makes or changes a role, or a secret id of one, hands out what the role gives; so all of
//! them ask what making a token asks.

mod login;
mod secret_ids;
mod users;

use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Identity, IdentityKind, Scope, ScopeSet};
use scaivault_core::ids::MachineRoleId;
use scaivault_core::machine::MachineRole;
use scaivault_core::ports::{CommitError, MachineReads, Op, Record, Unit, UnitName};
use scaivault_core::time::Span;

pub(crate) use login::LoginTrail;
pub use login::{LoginError, MachineLogin};
pub use secret_ids::{MintedSecretId, SecretIdDraft};
pub use users::{USER_PREFIX, UserLogin};

use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::vault::Vault;

/// The longest name or role id.
pub const NAME_CHARS_MAX: usize = 128;
/// The shortest role id that somebody chooses.
pub const ROLE_ID_CHARS_MIN: usize = 8;
/// The most groups of a role.
pub const GROUPS_MAX: usize = 64;
/// How long tokens live that a role says nothing about.
const TOKEN_TTL: &str = "1h";

/// What a new role needs.
#[derive(Debug, Clone)]
pub struct MachineRoleDraft {
    /// Its name, which does not change.
    pub name: String,
    /// What machines name; `None` is minted.
    pub role_id: Option<String>,
    /// Whom its tokens speak for.
    pub identity: Identity,
    /// What they may ask for.
    pub scopes: ScopeSet,
}

/// Sets the fields of a role that are given. What names it is kept whatever this does.
pub type MachineRoleChange<'a> = dyn Fn(&mut MachineRole) + Send + Sync + 'a;

impl Vault {
    /// Makes a role.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`; [`VaultError::Forbidden`] for rights beyond the
    /// caller's own; [`VaultError::Validation`]; [`VaultError::NameExists`].
    pub async fn machine_role_create(
        &self,
        caller: &Caller,
        draft: MachineRoleDraft,
        fill: &MachineRoleChange<'_>,
    ) -> Result<MachineRole, VaultError> {
        self.require(caller, Scope::Admin, Action::MachineRoleCreate)
            .await?;
        let now = self.now();
        let id = MachineRoleId::mint(now, &*self.entropy);
        let mut role = MachineRole {
            tenant: caller.tenant().clone(),
            name: draft.name,
            role_id: draft.role_id.unwrap_or_else(|| id.as_str().to_owned()),
            id,
            description: None,
            identity: draft.identity,
            scopes: draft.scopes,
            groups: Vec::new(),
            bind_secret_id: true,
            password: None,
            secret_id_ttl: None,
            secret_id_num_uses: None,
            secret_id_bound_cidrs: Vec::new(),
            token_ttl: Span::parse(TOKEN_TTL)
                .map_err(|error| VaultError::Internal(error.to_string()))?,
            token_max_ttl: None,
            token_period: None,
            token_num_uses: None,
            token_bound_cidrs: Vec::new(),
            is_active: true,
            created_at: now,
            created_by: caller.identity().clone(),
            updated_at: now,
            revision: 1,
        };
        let given = role.clone();
        fill(&mut role);
        keep_names(&mut role, &given);
        check(&role)?;
        if role.role_id != role.id.as_str() && role.role_id.starts_with(MachineRoleId::PREFIX) {
            return Err(role_id_taken());
        }
        self.may_hand_out(caller, &role.identity, role.scopes)?;
        self.may_hold(caller, &role.groups).await?;
        role.token_bound_cidrs = self
            .within_own_bounds(caller, &role.token_bound_cidrs)
            .await?;
        let unit = Unit::new(UnitName::MachineRoleWrite)
            .put(Record::MachineRole(role.clone()))
            .audited(caller.row(Action::MachineRoleCreate, None, now, about(&role)));
        match self.commit(unit).await {
            Ok(_) => Ok(role),
            Err(CommitError::Conflict(_)) => Err(VaultError::NameExists),
            Err(CommitError::Duplicate(..)) => Err(role_id_taken()),
            Err(error) => Err(error.into()),
        }
    }

    /// Roles of the tenant by name.
    ///
    /// # Errors
    /// [`VaultError::Scope`] without `admin`.
    pub async fn machine_role_list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<MachineRole>, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        Ok(MachineReads::machine_role_list(&*self.store, caller.tenant(), after, limit).await?)
    }

    /// One role.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn machine_role_show(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<MachineRole, VaultError> {
        self.require_list(caller, Scope::Admin).await?;
        self.machine_role_of(caller, name).await
    }

    /// Changes a role. Secret ids and tokens that are out stay as they are, but the addresses of logins
    /// are judged by the role as it is then.
    ///
    /// # Errors
    /// As [`Self::machine_role_create`]; [`VaultError::NotFound`].
    pub async fn machine_role_change(
        &self,
        caller: &Caller,
        name: &str,
        change: &MachineRoleChange<'_>,
    ) -> Result<MachineRole, VaultError> {
        self.require(caller, Scope::Admin, Action::MachineRoleUpdate)
            .await?;
        for _ in 0..RACES_MAX {
            let stored = self.machine_role_of(caller, name).await?;
            self.may_hand_out(caller, &stored.identity, stored.scopes)?;
            self.may_hold(caller, &stored.groups).await?;
            let mut role = stored.clone();
            change(&mut role);
            let role_id = std::mem::take(&mut role.role_id);
            keep_names(&mut role, &stored);
            role.role_id = role_id;
            check(&role)?;
            let chosen = role.role_id != stored.role_id && role.role_id != role.id.as_str();
            if chosen && role.role_id.starts_with(MachineRoleId::PREFIX) {
                return Err(role_id_taken());
            }
            self.may_hand_out(caller, &role.identity, role.scopes)?;
            self.may_hold(caller, &role.groups).await?;
            role.token_bound_cidrs = self
                .within_own_bounds(caller, &role.token_bound_cidrs)
                .await?;
            let now = self.now();
            role.revision += 1;
            role.updated_at = now;
            let unit = Unit::new(UnitName::MachineRoleWrite)
                .put(Record::MachineRole(role.clone()))
                .audited(caller.row(Action::MachineRoleUpdate, None, now, about(&role)));
            match self.commit(unit).await {
                Ok(_) => return Ok(role),
                Err(CommitError::Conflict(_)) => {}
                Err(CommitError::Duplicate(..)) => return Err(role_id_taken()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    /// Removes a role and its secret ids. Tokens that it gave live on until their own end.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub async fn machine_role_delete(&self, caller: &Caller, name: &str) -> Result<(), VaultError> {
        self.require(caller, Scope::Admin, Action::MachineRoleDelete)
            .await?;
        for _ in 0..RACES_MAX {
            let role = self.machine_role_of(caller, name).await?;
            let now = self.now();
            let row = caller.row(Action::MachineRoleDelete, None, now, about(&role));
            let unit = Unit::new(UnitName::MachineRoleDelete)
                .op(Op::Delete(Record::MachineRole(role)))
                .audited(row);
            match self.commit(unit).await {
                Ok(_) => return Ok(()),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(too_quick())
    }

    async fn machine_role_of(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<MachineRole, VaultError> {
        // What no role can be called is not asked for.
        if !is_plain(name) {
            return Err(VaultError::NotFound(Missing::MachineRole));
        }
        MachineReads::machine_role_named(&*self.store, caller.tenant(), name)
            .await?
            .ok_or(VaultError::NotFound(Missing::MachineRole))
    }
}

/// What of a role goes with an audit row.
fn about(role: &MachineRole) -> AuditExtra {
    AuditExtra {
        machine_role: Some(role.name.clone()),
        subject: Some(role.identity.as_str().to_owned()),
        ..AuditExtra::default()
    }
}

fn keep_names(role: &mut MachineRole, stored: &MachineRole) {
    role.id = stored.id.clone();
    role.tenant = stored.tenant.clone();
    role.name.clone_from(&stored.name);
    role.role_id.clone_from(&stored.role_id);
    role.created_at = stored.created_at;
    role.created_by = stored.created_by.clone();
    role.revision = stored.revision;
}

/// What names and role ids consist of.
pub(super) fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

fn check(role: &MachineRole) -> Result<(), VaultError> {
    let mut wrong = Vec::new();
    let mut refuse = |field: &str, why: &str| wrong.push((field.to_owned(), why.to_owned()));
    if !is_plain(&role.name) || !(1..=NAME_CHARS_MAX).contains(&role.name.len()) {
        refuse(
            "name",
            "has 1 to 128 letters, digits, dots, hyphens and underscores",
        );
    }
    if !is_plain(&role.role_id)
        || !(ROLE_ID_CHARS_MIN..=NAME_CHARS_MAX).contains(&role.role_id.len())
    {
        refuse(
            "role_id",
            "has 8 to 128 letters, digits, dots, hyphens and underscores",
        );
    }
    if !matches!(
        role.identity.kind(),
        IdentityKind::User | IdentityKind::ServiceAccount
    ) {
        refuse("identity_id", "is sa:… or user:…");
    }
    let is_group = |group: &Identity| group.kind() == IdentityKind::Group;
    if role.groups.len() > GROUPS_MAX || !role.groups.iter().all(is_group) {
        refuse("groups", "are at most 64 names of the form group:…");
    }
    if users::is_user(role) != role.password.is_some() {
        refuse(
            "name",
            "begins with userpass. for users alone, who have a password",
        );
    }
    if users::is_user(role) && !role.bind_secret_id {
        refuse("bind_secret_id", "is not for users: they show a password");
    }
    if !role.bind_secret_id && role.secret_id_bound_cidrs.is_empty() {
        refuse(
            "secret_id_bound_cidrs",
            "are needed where no secret id is: without either, the role id alone would let in",
        );
    }
    let everywhere = |range: &scaivault_core::access::Cidr| range.bits() == 0;
    if !role.bind_secret_id && role.secret_id_bound_cidrs.iter().any(everywhere) {
        refuse(
            "secret_id_bound_cidrs",
            "name networks where no secret id is needed: a range of all addresses is none",
        );
    }
    if let Some(most) = &role.token_max_ttl {
        if most.as_secs() < role.token_ttl.as_secs() {
            refuse("token_max_ttl", "is not below token_ttl");
        }
        let period = role.token_period.as_ref();
        if period.is_some_and(|period| most.as_secs() < period.as_secs()) {
            refuse("token_max_ttl", "is not below token_period");
        }
    }
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(VaultError::Validation(wrong)),
    }
}

fn role_id_taken() -> VaultError {
    let why = "is another role's: choose another, or leave it out to have one made";
    VaultError::Validation(vec![("role_id".into(), why.into())])
}

fn too_quick() -> VaultError {
    VaultError::Unavailable("the role changes too quickly: try again".into())
}
