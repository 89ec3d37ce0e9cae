//! People who log in by a name and a password. A user is a role whose logins show a password in place
//! of a secret id: what it gives, to whom, for how long and from where is said by the role.

use std::net::IpAddr;

use scaivault_core::identity::{Identity, ScopeSet};
use scaivault_core::ids::{RequestId, TenantId};
use scaivault_core::machine::MachineRole;
use scaivault_core::ports::{CommitError, MachineReads};
use scaivault_core::time::Timestamp;

use super::login::{LoginError, caller};
use super::{MachineLogin, MachineRoleChange, MachineRoleDraft, is_plain};
use crate::caller::Caller;
use crate::error::{Missing, RACES_MAX, VaultError};
use crate::tokens::MintedToken;
use crate::vault::Vault;

/// What the role of a user is called: this, and his name.
pub const USER_PREFIX: &str = "userpass.";

/// Somebody who wants in.
pub struct UserLogin {
    /// In which tenant.
    pub tenant: TenantId,
    /// His name.
    pub name: String,
    /// The request.
    pub request_id: RequestId,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
    /// When it arrived.
    pub started_at: Timestamp,
}

impl Vault {
    /// Makes a user, with the hash of his password, or changes one. A new one needs a password.
    ///
    /// # Errors
    /// As for roles.
    pub async fn user_put(
        &self,
        caller: &Caller,
        name: &str,
        password: Option<String>,
        change: &MachineRoleChange<'_>,
    ) -> Result<MachineRole, VaultError> {
        let role = format!("{USER_PREFIX}{name}");
        let with = |role: &mut MachineRole| {
            change(role);
            if let Some(password) = &password {
                role.password = Some(password.clone());
            }
        };
        match self.machine_role_change(caller, &role, &with).await {
            Err(VaultError::NotFound(Missing::MachineRole)) => {}
            outcome => return outcome,
        }
        let wrong =
            |field: &str, why: &str| VaultError::Validation(vec![(field.into(), why.into())]);
        if password.is_none() {
            return Err(wrong("password", "is needed for a new user"));
        }
        let identity = Identity::parse(&format!("user:userpass/{name}"));
        let draft = MachineRoleDraft {
            name: role,
            role_id: None,
            identity: identity.map_err(|error| wrong("username", &error.to_string()))?,
            scopes: ScopeSet::EMPTY,
        };
        self.machine_role_create(caller, draft, &with).await
    }

    /// Lets somebody in whose password `judge` finds right, or does not. It is asked for every name, also
    /// for those that nobody has.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn user_login<F: Future<Output = bool>>(
        &self,
        login: &UserLogin,
        judge: impl FnOnce(Option<String>) -> F,
    ) -> Result<MintedToken, LoginError> {
        let name = format!("{USER_PREFIX}{}", login.name);
        let known = self.user_named(&login.tenant, &name).await?;
        let password = known.as_ref().and_then(|role| role.password.clone());
        let is_right = judge(password.clone()).await;
        let shown = MachineLogin {
            role_id: String::new(),
            secret_id: None,
            request_id: login.request_id.clone(),
            source_ip: login.source_ip,
            user_agent: login.user_agent.clone(),
            started_at: login.started_at,
        };
        for _ in 0..RACES_MAX {
            let now = self.now();
            // As he is now: judging took its time.
            let Some(role) = self.user_named(&login.tenant, &name).await? else {
                self.login_nobody(&shown, (&login.tenant, &login.name), now)
                    .await?;
                return Err(LoginError::Refused);
            };
            let (seat, served) = self.seat_in(&role.tenant).await?;
            if !served {
                return Err(LoginError::Refused);
            }
            let caller = caller(&shown, &role, seat);
            let same = password.is_some() && role.password == password;
            if let Err(why) = role.admits_user(is_right && same, login.source_ip) {
                self.login_refused(&caller, &role, None, why, now).await?;
                return Err(LoginError::Refused);
            }
            let addresses = role.token_bound_cidrs.clone();
            let (unit, minted) = self.login_unit(&caller, (&role, addresses), None, now);
            match self.commit(unit).await {
                Ok(_) => return Ok(minted),
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let why = "the user changes too quickly: try again";
        Err(VaultError::Unavailable(why.into()).into())
    }

    async fn user_named(
        &self,
        tenant: &TenantId,
        name: &str,
    ) -> Result<Option<MachineRole>, VaultError> {
        match is_plain(name) {
            true => Ok(MachineReads::machine_role_named(&*self.store, tenant, name).await?),
            false => Ok(None),
        }
    }
}

/// For the words of a refusal.
pub(super) fn is_user(role: &MachineRole) -> bool {
    role.name.starts_with(USER_PREFIX)
}
