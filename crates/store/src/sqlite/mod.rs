//! All SQL of the store, one file per aggregate: how it is put and deleted inside a transaction of
//! the writer, and how it is read.
//!
//! A new aggregate is a table in a new migration, a file here with `put`, `delete` and its reads,
//! and a line in [`apply`].

pub(crate) mod apply;
pub(crate) mod assignment;
pub(crate) mod audit_anchor;
pub(crate) mod audit_export;
pub(crate) mod audit_forward;
pub(crate) mod audit_index;
pub(crate) mod audit_past;
pub(crate) mod audit_read;
pub(crate) mod audit_segment;
pub(crate) mod audit_verify;
pub(crate) mod binding;
pub(crate) mod campaign;
pub(crate) mod conn;
pub(crate) mod connect;
pub(crate) mod consumer;
pub(crate) mod debt;
pub(crate) mod delivery;
pub(crate) mod delivery_claim;
pub(crate) mod dynamic;
pub(crate) mod event;
pub(crate) mod group_turn;
pub(crate) mod head;
pub(crate) mod keyring;
pub(crate) mod lease;
pub(crate) mod machine;
pub(crate) mod meta;
pub(crate) mod migrate;
pub(crate) mod mount;
pub(crate) mod next_work;
pub(crate) mod policy;
pub(crate) mod release;
pub(crate) mod rotation;
pub(crate) mod rotation_policy;
pub(crate) mod row;
pub(crate) mod row_codes;
pub(crate) mod secret;
pub(crate) mod secret_policy;
pub(crate) mod subscription;
pub(crate) mod target;
pub(crate) mod tenancy;
pub(crate) mod token;
pub(crate) mod transfer;
pub(crate) mod transit;
pub(crate) mod version;
pub(crate) mod webhook;
