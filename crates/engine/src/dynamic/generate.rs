//! Making a credential: the lease is committed first, then the account is made under the name that
//! is stored, then the lease is confirmed, and only then does the credential leave.

use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::acl::unescape;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::{AccountName, Cause, Engine, Lease, NameTemplate, Role};
use scaivault_core::identity::Scope;
use scaivault_core::ids::LeaseId;
use scaivault_core::path::SecretPath;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AccountRequest, Accounts, CommitError, Connector, Effect, NewAccount, NewField, OldAccount,
    Record, Unit, UnitName,
};
use scaivault_core::target::{Trouble, TroubleKind};
use scaivault_core::time::Span;
use scaivault_crypto::generate::{LENGTH_DEFAULT, random_value};
use serde_json::{Map, Value};

use super::{credential_path, extra_of, failed, manager_row};
use crate::caller::Caller;
use crate::error::{Missing, VaultError};
use crate::rotation::Reached;
use crate::tally::Tally;
use crate::vault::Vault;

/// Nothing is sent to make an account whose lease was stored longer ago.
const SENT_WITHIN: Duration = Duration::from_secs(60);

/// What is asked for beside the role.
#[derive(Debug, Default, Clone)]
pub struct CredentialRequest {
    /// How long it is to live; no longer than role and engine allow.
    pub ttl: Option<Span>,
    /// What else the connector takes: a key to be signed.
    pub params: Map<String, Value>,
}

/// What ends so soon wakes whoever removes it: it may be asleep for as long, when no other lease is
/// there.
const SOON: Duration = Duration::from_secs(60);

/// A credential and its lease. The credential is shown this once and stored nowhere.
#[derive(Debug)]
pub struct Generated {
    /// The lease.
    pub lease: Lease,
    /// The engine's name.
    pub engine: String,
    /// `username` and `password`, or what the target made instead.
    pub fields: Vec<NewField>,
}

impl Vault {
    /// Makes a credential of a role.
    ///
    /// # Errors
    /// [`VaultError::Denied`] without *read* on `dynamic/{engine}/creds/{role}`;
    /// [`VaultError::NotFound`]; [`VaultError::EngineFailed`] when the target did not make it: what
    /// it made all the same is removed.
    pub async fn credential_generate(
        &self,
        caller: &Caller,
        engine: &str,
        role: &str,
        request: &CredentialRequest,
    ) -> Result<Generated, VaultError> {
        let path = credential_path(engine, role)?;
        let action = Action::DynamicGenerate;
        let scope = Scope::DynamicGenerate;
        self.authorize(caller, scope, Permission::Read, &path, action)
            .await?;
        let mut made = self
            .lease_made(caller, (engine, role), &path, request)
            .await;
        if let Err(Told::Cut(_)) = made {
            made = self
                .lease_made(caller, (engine, role), &path, request)
                .await;
        }
        self.on_trail_once(caller, &path, made).await
    }

    /// What failed before there was a lease has its row here; what failed after has one already.
    async fn on_trail_once(
        &self,
        caller: &Caller,
        path: &SecretPath,
        made: Result<Generated, Told>,
    ) -> Result<Generated, VaultError> {
        match made {
            Ok(made) => Ok(made),
            Err(Told::Yes(error) | Told::Cut(error)) => Err(error),
            Err(Told::No(error)) => {
                self.on_trail(caller, Action::DynamicGenerate, path, Err(error))
                    .await
            }
        }
    }

    async fn lease_made(
        &self,
        caller: &Caller,
        (engine, role): (&str, &str),
        path: &SecretPath,
        request: &CredentialRequest,
    ) -> Result<Generated, Told> {
        if self.is_reconcile_only().await? {
            return Err(VaultError::Restored.into());
        }
        let way = self.way_of(caller, engine, role).await?;
        let (engine, role) = (&way.engine, &way.role);
        if engine.closed {
            return Err(VaultError::EngineClosed.into());
        }
        check_allowed(engine, role)?;
        let reached = match &way.target {
            Some(target) => self.reached_now(target).await?,
            None => None,
        };
        let mut reached = reached.ok_or(VaultError::NotFound(Missing::Target))?;
        let connector = reached.connector.clone();
        let accounts = makes_accounts(&*connector)?;
        let asked = AccountRequest {
            holder: caller.identity().as_str(),
            asked_at: self.now(),
            params: &request.params,
        };
        let problems = accounts.check_request(role, &asked);
        if !problems.is_empty() {
            return Err(VaultError::Validation(problems).into());
        }
        let _slot = self.account_slots.take(&reached.target.id).await?;
        let lease = self.lease_intended(caller, engine, role, accounts, request)?;
        self.commit(self.intent(caller, &lease, &reached)).await?;
        // Whoever deletes or moves the engine closes it first and looks for leases then: one of
        // both sees the other.
        if !self.is_still_open(engine, &reached).await? {
            let gone = Trouble::new(TroubleKind::Settings).code("engine_closed");
            let ended = Some(lease.not_made(gone.clone(), self.now()));
            self.not_generated(caller, (engine, path), ended, &gone)
                .await;
            return Err(Told::Yes(VaultError::EngineClosed));
        }
        // Its lease may be taken for lost soon: what is sent now could arrive behind its removal.
        if self.now() >= lease.issued_at.plus(SENT_WITHIN) {
            let late = Trouble::new(TroubleKind::TimedOut).code("too_late");
            let ended = Some(lease.not_made(late.clone(), self.now()));
            let told = self.not_generated(caller, (engine, path), ended, &late);
            return Err(told.await);
        }

        let password = random_value(&*self.entropy, LENGTH_DEFAULT);
        let new = NewAccount {
            name: &lease.account,
            password: &password,
            expires_at: lease.expires_at,
            role,
            request: asked,
        };
        let effect = loop {
            let effect = accounts.create(&reached.account_call(), &new).await;
            if !is_manager_refused(&effect) || !self.another_manager(&mut reached).await? {
                break effect;
            }
        };
        let now = self.now();
        match effect {
            Effect::Applied(fields) => {
                // A foreign token is shown anew with every request: its end says nothing.
                let principal = &caller.principal;
                let token_ends_at = principal.token_id.as_ref().and(principal.expires_at);
                let made = lease.confirmed(token_ends_at);
                let extra = extra_of(engine, &made);
                let unit = Unit::new(UnitName::LeaseMade)
                    .put(Record::Lease(made.clone()))
                    .audited(caller.row(Action::DynamicGenerate, Some(path), now, extra));
                // Without this row nothing leaves; the account is removed by its lease.
                match self.commit(unit).await {
                    Ok(_) => {}
                    Err(CommitError::Conflict(_)) => {
                        // The lease ended meanwhile, and perhaps was through with it before the
                        // account was there. If this fails, the sweep finds it.
                        let old = OldAccount {
                            name: &made.account,
                            revocation: &made.revocation,
                        };
                        accounts.remove(&reached.account_call(), &[old]).await;
                        return Err(VaultError::LeaseEnded.into());
                    }
                    Err(error) => return Err(error.into()),
                }
                Tally::add(&self.tally.credentials_made);
                if made.expires_at <= now.plus(SOON) {
                    self.signals.leases_end();
                }
                Ok(Generated {
                    fields: credential(fields, &made, password),
                    engine: engine.name.clone(),
                    lease: made,
                })
            }
            Effect::NotApplied(trouble) => {
                let ended = Some(lease.not_made(trouble.clone(), now));
                Err(self
                    .not_generated(caller, (engine, path), ended, &trouble)
                    .await)
            }
            Effect::Unknown(trouble) => {
                let ending = lease.ending(Cause::Unconfirmed, now);
                let told = self
                    .not_generated(caller, (engine, path), ending, &trouble)
                    .await;
                let cut = is_cut(&Effect::Unknown(trouble))
                    && self.another_manager(&mut reached).await.unwrap_or(false);
                match told {
                    Told::Yes(error) if cut => Err(Told::Cut(error)),
                    told => Err(told),
                }
            }
        }
    }

    fn lease_intended(
        &self,
        caller: &Caller,
        engine: &Engine,
        role: &Role,
        accounts: &dyn Accounts,
        request: &CredentialRequest,
    ) -> Result<Lease, VaultError> {
        let now = self.now();
        let of_engine = || engine.connection.as_ref()?.username_template.as_ref();
        let template = match role.username_template.as_ref().or_else(of_engine) {
            Some(text) => NameTemplate::parse(text)
                .map_err(|error| VaultError::Internal(error.to_string()))?,
            None => NameTemplate::default(),
        };
        let of = AccountName {
            role: &role.name,
            display_name: caller.identity().as_str(),
            chars_max: accounts.name_chars_max(),
        };
        let check = self.tail_check(engine);
        let account = template.make(of, now, &*self.entropy, &check);
        let lease = Lease::intended(
            LeaseId::mint(now, &*self.entropy),
            caller.tenant().clone(),
            engine.id.clone(),
            (role.name.clone(), role.revocation.clone()),
            account,
            (caller.identity().clone(), caller.principal.token_id.clone()),
            (request.ttl.as_ref().map(Span::duration), role.terms(engine)),
            now,
        );
        Ok(match accounts.ends_by_itself() {
            // Its end is a part of it.
            true => Lease {
                expires_at_latest: lease.expires_at,
                ..lease
            },
            false => lease,
        })
    }

    /// The lease, and that the manager's credential is used for it.
    fn intent(&self, caller: &Caller, lease: &Lease, reached: &Reached) -> Unit {
        let unit = Unit::new(UnitName::LeaseIntend).put(Record::Lease(lease.clone()));
        match manager_row(caller, reached, self.now(), (Some(lease), None)) {
            Some(row) => unit.audited(row),
            None => unit,
        }
    }

    /// Writes down that nothing was handed out. If that fails, the lease is found by its time.
    async fn not_generated(
        &self,
        caller: &Caller,
        (engine, path): (&Engine, &SecretPath),
        next: Option<Lease>,
        trouble: &Trouble,
    ) -> Told {
        Tally::add(&self.tally.credentials_failed);
        let Some(lease) = next else {
            return Told::Yes(failed(trouble));
        };
        let (now, extra) = (self.now(), extra_of(engine, &lease));
        let code = trouble.kind.as_str();
        let row = caller.failed_row(Action::DynamicGenerate, Some(path), now, code, extra);
        let unit = Unit::new(UnitName::LeaseNotMade)
            .put(Record::Lease(lease))
            .audited(row);
        match self.commit(unit).await {
            Ok(_) | Err(CommitError::Conflict(_)) => Told::Yes(failed(trouble)),
            Err(error) => Told::Yes(error.into()),
        }
    }
}

/// A failure, and whether it is on the trail.
enum Told {
    Yes(VaultError),
    No(VaultError),
    /// It is, and comes of the manager's rotation: another account may be made, under a lease of
    /// its own. What was perhaps made goes with the first one's.
    Cut(VaultError),
}

impl<E: Into<VaultError>> From<E> for Told {
    fn from(error: E) -> Self {
        Self::No(error.into())
    }
}

pub(super) fn makes_accounts(connector: &dyn Connector) -> Result<&dyn Accounts, VaultError> {
    connector
        .accounts()
        .ok_or_else(|| VaultError::EngineConfig {
            trouble: "unsupported",
            advice: format!(
                "the connector {} makes no accounts on request",
                connector.descriptor().name
            ),
        })
}

/// Whether the engine, as a connection, lets credentials of the role be made.
fn check_allowed(engine: &Engine, role: &Role) -> Result<(), VaultError> {
    let name = unescape(&role.name);
    match &engine.connection {
        Some(connection) if !connection.allows(&name) => {
            let why =
                format!("{name:?} is not an allowed role: see allowed_roles of its connection");
            Err(VaultError::Validation(vec![("role".to_owned(), why)]))
        }
        _ => Ok(()),
    }
}

/// The target did not let the manager in, and so did nothing.
pub(super) fn is_manager_refused(effect: &Effect) -> bool {
    matches!(effect, Effect::NotApplied(trouble) if trouble.kind == TroubleKind::ManagerRefused)
}

/// The target ended the session under the call. It does that to sessions of a manager's old value,
/// when that is rotated.
pub(super) fn is_cut(effect: &Effect) -> bool {
    matches!(effect, Effect::Unknown(trouble) if trouble.kind == TroubleKind::Interrupted)
}

/// What the holder gets: name and password, and what the target adds or makes instead.
fn credential(minted: Vec<NewField>, lease: &Lease, password: Plaintext) -> Vec<NewField> {
    let has = |name: &str| minted.iter().any(|field| field.name == name);
    let mut fields = Vec::with_capacity(minted.len() + 2);
    if minted.is_empty() || has("username") || has("password") {
        if !has("username") {
            let name = Plaintext::new(lease.account.clone().into_bytes());
            fields.push(NewField::new("username", name));
        }
        if !has("password") {
            fields.push(NewField::new("password", password));
        }
    }
    fields.extend(minted);
    fields
}
