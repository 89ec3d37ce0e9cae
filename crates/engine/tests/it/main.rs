//! The engine as a whole: real store, real keyring, a clock moved by hand, scripted receivers.
//! One file per capability; [`world`] builds what every test stands on.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there fails")]

mod acl;
mod ageing;
mod attachments;
mod audit_exports;
mod audit_forward;
mod audit_retention;
mod batch;
mod campaigns;
mod connections;
mod debts;
mod deletion;
mod drift;
mod dynamic;
mod dynamic_guards;
mod dynamic_trouble;
mod dynamic_world;
mod evaluator;
mod expiry;
mod faults;
mod groups;
mod guards;
mod issuers;
mod listing;
mod machines;
mod neighbours;
mod ninety_days;
mod operator;
mod owed;
mod races;
mod receivers;
mod recipes;
mod redelivery;
mod rehearsals;
mod restored;
mod revocation;
mod rotation_endings;
mod secrecy;
mod simulation;
mod target_records;
mod targets;
mod tenancy;
mod token_bounds;
mod transit;
mod vault_api;
mod world;
