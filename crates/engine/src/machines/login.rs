//! A machine logs in: a role id and a secret id for a token.
//!
//! One commit takes a use of the secret id, makes the token and writes the audit row; the secret id's
//! revision decides between logins that race for the last use, on whatever node. Who is refused gets one
//! answer whatever the reason. The reason is on the trail, at most so many rows of a role in so many
//! seconds; a role id that nobody has is only in the log, as there is no tenant to tell it to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::access::Cidr;
use scaivault_core::audit::{Action, AuditExtra};
use scaivault_core::identity::{Identity, Principal, ScopeSet, Token, TokenBounds, Uses};
use scaivault_core::ids::{RequestId, TenantId, TokenId};
use scaivault_core::machine::{LoginRefusal, MachineRole, SecretId};
use scaivault_core::ports::{CommitError, MachineReads, Op, Record, Unit, UnitName};
use scaivault_core::tenancy::{Roles, Seat};
use scaivault_core::time::Timestamp;

use super::about;
use super::secret_ids::of;
use crate::caller::Caller;
use crate::error::{RACES_MAX, VaultError};
use crate::issuers::grumble::Grumble;
use crate::tokens::MintedToken;
use crate::vault::Vault;

/// How exactly the last login by a secret id is known, where its uses are not counted.
const NOTED: Duration = Duration::from_secs(60);
/// Our own name for what makes these tokens.
const KEEPER: &str = "machine-login";

/// Somebody who wants in.
pub struct MachineLogin {
    /// Which role.
    pub role_id: String,
    /// What it shows.
    pub secret_id: Option<String>,
    /// The request.
    pub request_id: RequestId,
    /// From where.
    pub source_ip: Option<IpAddr>,
    /// With what.
    pub user_agent: Option<String>,
    /// When it arrived.
    pub started_at: Timestamp,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Whatever it was: nobody outside is told.
    #[error("nobody is let in by this role id and secret id from here")]
    Refused,
    /// Something of ours failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

impl From<CommitError> for LoginError {
    fn from(error: CommitError) -> Self {
        Self::Vault(error.into())
    }
}

/// Bounds what refused logins write.
pub(crate) struct LoginTrail {
    rows: [Grumble; 64],
    strangers: Grumble,
}

impl Default for LoginTrail {
    fn default() -> Self {
        Self {
            rows: std::array::from_fn(|_| Grumble::default()),
            strangers: Grumble::default(),
        }
    }
}

impl LoginTrail {
    fn of(&self, role: &MachineRole) -> &Grumble {
        self.of_name(role.id.as_str())
    }

    fn of_name(&self, name: &str) -> &Grumble {
        let sum = name.bytes().map(usize::from).sum::<usize>();
        &self.rows[sum % self.rows.len()]
    }
}

impl Vault {
    /// Lets a machine in, or does not.
    ///
    /// # Errors
    /// [`LoginError`].
    pub async fn machine_login(&self, login: &MachineLogin) -> Result<MintedToken, LoginError> {
        let hash = login.secret_id.as_deref();
        let hash = hash.map(|text| self.keyring.token_hash(text));
        // Spares requests of one node the race that the secret id's revision decides.
        let _turn = match &hash {
            Some(hash) => Some(self.use_turns.of(hash).lock().await),
            None => None,
        };
        for _ in 0..RACES_MAX {
            let now = self.now();
            let role = MachineReads::machine_role_by_role_id(&*self.store, &login.role_id)
                .await
                .map_err(VaultError::from)?;
            let found = match &hash {
                None => None,
                Some(hash) => MachineReads::secret_id_by_hash(&*self.store, hash)
                    .await
                    .map_err(VaultError::from)?,
            };
            let Some(role) = role else {
                self.login_unknown();
                return Err(LoginError::Refused);
            };
            let (seat, served) = self.seat_in(&role.tenant).await?;
            let caller = caller(login, &role, seat);
            if !served {
                return Err(LoginError::Refused);
            }
            let admitted = role.admits(hash.as_ref(), found.as_ref(), login.source_ip, now);
            if let Err(why) = admitted {
                self.login_refused(&caller, &role, found.as_ref(), why, now)
                    .await?;
                return Err(LoginError::Refused);
            }
            let used = found.filter(|_| role.bind_secret_id);
            let own = used.as_ref().map(|row| row.token_bound_cidrs.as_slice());
            let Some(addresses) = in_both(&role.token_bound_cidrs, own.unwrap_or_default()) else {
                // The role was narrowed since, and nothing of the secret id's is left.
                let why = LoginRefusal::SecretIdAddress;
                self.login_refused(&caller, &role, used.as_ref(), why, now)
                    .await?;
                return Err(LoginError::Refused);
            };
            let (unit, minted) = self.login_unit(&caller, (&role, addresses), used, now);
            match self.commit(unit).await {
                Ok(_) => return Ok(minted),
                // A use went to a login on another node: look again.
                Err(CommitError::Conflict(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let why = "the secret id is used by too many at once: try again";
        Err(VaultError::Unavailable(why.into()).into())
    }

    pub(super) fn login_unit(
        &self,
        caller: &Caller,
        (role, allowed_addresses): (&MachineRole, Vec<Cidr>),
        used: Option<SecretId>,
        now: Timestamp,
    ) -> (Unit, MintedToken) {
        let text = scaivault_crypto::token::mint(&*self.entropy);
        let life = role.token_period.as_ref().unwrap_or(&role.token_ttl);
        let after = |span: &scaivault_core::time::Span| now.plus(span.duration());
        let max_expires_at = role.token_max_ttl.as_ref().map(after);
        let expires_at = max_expires_at.map_or(after(life), |most| most.min(after(life)));
        let bounds = TokenBounds {
            uses: role.token_num_uses.map(Uses::of),
            allowed_addresses,
            max_expires_at,
            period_s: role.token_period.as_ref().map(|span| span.as_secs()),
            machine_role: Some(role.name.clone()),
            meta: used
                .as_ref()
                .map(|row| row.metadata.clone())
                .unwrap_or_default(),
            ..TokenBounds::default()
        };
        let token = Token {
            id: TokenId::mint(now, &*self.entropy),
            hash: self.keyring.token_hash(text.expose()),
            tenant: role.tenant.clone(),
            identity: role.identity.clone(),
            scopes: role.scopes,
            is_root: false,
            roles: Roles::NONE,
            description: None,
            ttl_s: Some(role.token_ttl.as_secs()),
            expires_at: Some(expires_at),
            created_at: now,
            created_by: Identity::system(KEEPER),
            revoked_at: None,
            issuer: None,
            groups: role.groups.clone(),
            bounds: bounds.into_record(),
            wake_at: Some(expires_at),
            settled_at: None,
            revision: 1,
        };
        let mut extra = match &used {
            Some(row) => of(role, row),
            None => about(role),
        };
        extra.token_id = Some(token.id.clone());
        let mut unit = Unit::new(UnitName::MachineLogin)
            .put(Record::Token(token.clone()))
            .audited(caller.row(Action::MachineLogin, None, now, extra));
        unit.ops.extend(used.and_then(|row| spent(row, now)));
        (unit, MintedToken { token, text })
    }

    pub(super) async fn login_refused(
        &self,
        caller: &Caller,
        role: &MachineRole,
        found: Option<&SecretId>,
        why: LoginRefusal,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let Some(unsaid) = self.login_trail.of(role).speak(self.clock.monotonic()) else {
            return Ok(());
        };
        let known = found.filter(|row| row.tenant == role.tenant && row.role_uid == role.id);
        let mut extra = match known {
            Some(row) => of(role, row),
            None => about(role),
        };
        extra.reason = Some(why.as_str().to_owned());
        extra.count = (unsaid > 0).then_some(unsaid);
        let row = caller.failed_row(Action::MachineLogin, None, now, "login_refused", extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }

    /// The same for a user that nobody is: on the trail of the tenant, without the name, which may be
    /// a password in the wrong field. It takes as long as for one that is there.
    pub(super) async fn login_nobody(
        &self,
        login: &MachineLogin,
        (tenant, name): (&TenantId, &str),
        now: Timestamp,
    ) -> Result<(), VaultError> {
        let (seat, served) = self.seat_in(tenant).await?;
        let Some(unsaid) = self.login_trail.of_name(name).speak(self.clock.monotonic()) else {
            return Ok(());
        };
        if !served {
            return Ok(());
        }
        let caller = Caller {
            principal: Arc::new(nobody(tenant, Identity::system(KEEPER), seat)),
            request_id: Some(login.request_id.clone()),
            source_ip: login.source_ip,
            user_agent: login.user_agent.clone(),
            started_at: login.started_at,
        };
        let extra = AuditExtra {
            reason: Some("user_unknown".to_owned()),
            count: (unsaid > 0).then_some(unsaid),
            ..AuditExtra::default()
        };
        let row = caller.failed_row(Action::MachineLogin, None, now, "login_refused", extra);
        self.commit(Unit::audit_only(row)).await?;
        Ok(())
    }

    pub(super) fn login_unknown(&self) {
        if let Some(unsaid) = self.login_trail.strangers.speak(self.clock.monotonic()) {
            tracing::warn!(unsaid, "a login was refused: no role has its role id");
        }
    }
}

/// The addresses of both lists, where an empty one means any. `None` when there are none.
fn in_both(one: &[Cidr], other: &[Cidr]) -> Option<Vec<Cidr>> {
    if one.is_empty() || other.is_empty() {
        return Some([one, other].concat());
    }
    let narrower = |a: &Cidr, b: &Cidr| match (a.covers(b), b.covers(a)) {
        (true, _) => Some(*b),
        (_, true) => Some(*a),
        _ => None,
    };
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (a, b)));
    let both: Vec<Cidr> = pairs.filter_map(|(a, b)| narrower(a, b)).collect();
    (!both.is_empty()).then_some(both)
}

/// One use less; the last one removes the record. One whose uses are not counted notes the time, now
/// and then.
fn spent(mut row: SecretId, now: Timestamp) -> Option<Op> {
    let left = row.uses.and_then(Uses::spend);
    if left.is_some_and(|uses| uses.left == 0) {
        return Some(Op::Delete(Record::SecretId(row)));
    }
    let noted = row.last_used_at.is_some_and(|at| now.since(at) < NOTED);
    if left.is_none() && noted {
        return None;
    }
    row.uses = left;
    row.last_used_at = Some(now);
    row.revision += 1;
    Some(Op::Put(Record::SecretId(row)))
}

/// Somebody who has shown nothing yet.
fn nobody(tenant: &TenantId, identity: Identity, seat: Seat) -> Principal {
    Principal {
        tenant: tenant.clone(),
        seat,
        identity,
        scopes: ScopeSet::EMPTY,
        groups: Vec::new(),
        token_id: None,
        is_root: false,
        mfa_at: None,
        expires_at: None,
        foreign: None,
        limited_as: None,
    }
}

pub(super) fn caller(login: &MachineLogin, role: &MachineRole, seat: Seat) -> Caller {
    Caller {
        principal: Arc::new(nobody(&role.tenant, role.identity.clone(), seat)),
        request_id: Some(login.request_id.clone()),
        source_ip: login.source_ip,
        user_agent: login.user_agent.clone(),
        started_at: login.started_at,
    }
}
