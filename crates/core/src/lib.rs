//! The domain of ScaiVault: secrets and versions, paths, access decisions, rotation, events and
//! audit rows, and the ports through which everything else is reached.
//!
//! Nothing here does I/O, reads a clock, draws randomness or knows an async runtime. Time,
//! randomness and ids are arguments; storage is a trait that takes units of work as data.

pub mod access;
pub mod acl;
pub mod audit;
pub mod audit_anchor;
pub mod audit_export;
pub mod audit_forward;
mod audit_json;
pub mod campaign;
pub mod campaign_course;
pub mod consumer;
pub mod cubbyhole;
pub mod debt;
pub mod delivery;
pub mod dynamic;
pub mod event;
pub mod expiry;
pub mod glob;
pub mod identity;
pub mod ids;
pub mod issuer;
pub mod machine;
pub mod mount;
pub mod path;
pub mod plaintext;
pub mod ports;
pub mod receiver;
pub mod recipe;
pub mod rotation;
pub mod seal;
pub mod secret;
pub mod target;
pub mod tenancy;
pub mod time;
pub mod transit;
pub mod vault_path;
