//! Credentials made on request: an *engine* makes them at a target, a *role* says what they may do
//! there, a *lease* is one of them for as long as it lives.
//!
//! A lease is committed before its account is made, under the name the account will have, and ends
//! only when the account is known to be gone. So there is no account without a lease, whatever
//! crashes when: what was perhaps made is found under the name that is stored, and removed.

mod account_name;
mod connection;
mod connection_url;
mod engine;
mod lease;
mod role;
mod statements;

#[cfg(test)]
mod lease_tests;

pub use account_name::{
    AccountName, NAME_TAIL_CHARS, NameError, NameTemplate, TailCheck, made_at, tail_of,
};
pub use connection::{Connection, is_usual_rotation, without_credential};
pub use connection_url::{ConnectionUrlError, settings_of};
pub use engine::{Engine, EngineKind};
pub use lease::{
    CONFIRMED_WITHIN, Cause, LATE, Lease, LeaseState, LeaseStep, RevocationOutcome, TOLD_AFTER,
};
pub use role::{Owned, Revocation, Role, RoleTerms};
pub use statements::{Dialect, Placeholders, Statement, StatementError, split};
