//! The product from the outside: the real binary, real sockets, only documented behaviour.
//! One file per capability; `harness` is what they stand on.

mod audit_export;
mod audit_forward;
mod audit_retention;
mod audit_selections;
mod authorization;
mod bad_input;
mod batch;
mod campaigns;
mod canaries;
mod cli;
mod crash;
mod debts;
mod disk;
mod ends;
mod first_integration;
mod harness;
mod identities;
mod introspection;
mod lifecycle;
mod memory;
mod no_failed_login;
mod operating;
mod polling;
mod replay;
mod rotate_oauth;
mod rotation_rules;
mod secret_policies;
mod secrets;
mod store;
mod streams;
mod targets;
mod tenancy;
mod tutorials;
