//! Accounts made on request: what is asked of connectors that can make them. The engine has
//! committed a lease with the account's name before it asks, and goes on asking for its removal
//! until that is done.

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::connector::{Effect, FieldProblem, Missing};
use crate::dynamic::{Revocation, Role};
use crate::plaintext::Plaintext;
use crate::target::Trouble;
use crate::time::Timestamp;

/// What every call is told.
#[derive(Clone, Copy)]
pub struct AccountCall<'a> {
    /// The target's settings, validated.
    pub settings: &'a Map<String, Value>,
    /// The manager secret's value, a JSON object; `None` where the target has no manager.
    pub manager: Option<&'a Plaintext>,
}

/// What whoever asks for an account says.
#[derive(Debug, Clone, Copy)]
pub struct AccountRequest<'a> {
    /// Who asks, as the token names him.
    pub holder: &'a str,
    /// When.
    pub asked_at: Timestamp,
    /// Fields of the request that are the connector's own, such as a key to be signed.
    pub params: &'a Map<String, Value>,
}

/// An account to be made.
#[derive(Clone, Copy)]
pub struct NewAccount<'a> {
    /// Its name: only `a-z A-Z 0-9 _ - . @`.
    pub name: &'a str,
    /// Its password: only `a-z A-Z 0-9 _ -`.
    pub password: &'a Plaintext,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What it may do.
    pub role: &'a Role,
    /// What was asked for.
    pub request: AccountRequest<'a>,
}

/// An account to be removed.
#[derive(Debug, Clone, Copy)]
pub struct OldAccount<'a> {
    /// Its name, as it was made.
    pub name: &'a str,
    /// How.
    pub revocation: &'a Revocation,
}

impl AccountRequest<'_> {
    /// What is wrong with a request where the connector has no fields of its own.
    pub fn takes_nothing(&self) -> Vec<FieldProblem> {
        let fields = self.params.keys();
        fields
            .map(|field| (field.clone(), "is not known".to_owned()))
            .collect()
    }
}

/// A connector that makes accounts. No method has a default: what decorates one forwards them all,
/// and one that is added is forgotten nowhere. What holds for [`super::Connector`] holds here: effects may be
/// cut anywhere and made again, `NotApplied` is a promise, nothing a target says is repeated.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The longest name an account can have.
    fn name_chars_max(&self) -> usize;

    /// Whether accounts cannot be made and removed without what a look found missing.
    fn needs(&self, missing: &Missing) -> bool;

    /// Checks a role without any I/O.
    fn check_role(&self, role: &Role) -> Vec<FieldProblem>;

    /// Checks what whoever asks says, without any I/O: the connector's own fields of a request.
    fn check_request(&self, role: &Role, request: &AccountRequest<'_>) -> Vec<FieldProblem>;

    /// Whether what is made ends at its time alone: it can neither be removed before nor renewed,
    /// and `remove` has nothing to do.
    fn ends_by_itself(&self) -> bool;

    /// Makes an account. Fields that `Applied` brings are its credential beside or instead of name
    /// and password.
    async fn create(&self, call: &AccountCall<'_>, new: &NewAccount<'_>) -> Effect;

    /// Tells the target the new end of an account, where it holds one.
    async fn renew(
        &self,
        call: &AccountCall<'_>,
        (name, role): (&str, &Role),
        until: Timestamp,
    ) -> Effect;

    /// Removes accounts and ends their sessions; an outcome for each. One that is gone already is
    /// `Applied`.
    async fn remove(&self, call: &AccountCall<'_>, accounts: &[OldAccount<'_>]) -> Vec<Effect>;

    /// Names of accounts at the target that may be ours, for the sweep.
    ///
    /// # Errors
    /// When the target could not be asked.
    async fn names(&self, call: &AccountCall<'_>) -> Result<Vec<String>, Trouble>;

    /// A file by which targets refuse what would end by itself alone: these accounts are revoked
    /// and their end has not come. No I/O; a later one stands in place of those before.
    ///
    /// # Errors
    /// [`crate::target::TroubleKind::Unsupported`] where there is no such file.
    fn revocation_list(
        &self,
        call: &AccountCall<'_>,
        names: &[&str],
        now: Timestamp,
    ) -> Result<Vec<u8>, Trouble>;
}
