//! All SQL of the store, one file per subject: the steps that put and delete, and the reads.

pub(crate) mod access;
pub(crate) mod assignment;
pub(crate) mod audit_index;
pub(crate) mod audit_read;
pub(crate) mod audit_verify;
pub(crate) mod change;
pub(crate) mod consumer;
pub(crate) mod delivery;
pub(crate) mod delivery_claim;
pub(crate) mod event;
pub(crate) mod head;
pub(crate) mod keyring;
pub(crate) mod marks;
pub(crate) mod migrate;
pub(crate) mod next_work;
pub(crate) mod plan;
pub(crate) mod receiver;
pub(crate) mod rotation;
pub(crate) mod rotation_policy;
pub(crate) mod row;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod target;
pub(crate) mod token;
pub(crate) mod transfer;
pub(crate) mod version;
