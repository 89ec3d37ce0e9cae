//! Copies what a server of HashiCorp Vault's API keeps into ours, through the same API.
//!
//! `Source` only reads. Everything is compared with what is here before it is written, so that a copy
//! can be run again: after an end in the middle, to bring what changed, or to see that nothing did.
//! What is here and differs is left alone and told.
//!
//! Little is in memory: a folder's names, and one secret's value for each of those who copy.

mod context;
mod database;
mod history;
mod http;
mod job;
mod kv1;
mod kv2;
mod mounts;
mod policies;
mod progress;
mod report;
mod same;
mod source;
mod target;
mod trouble;
mod walk;

pub(crate) use database::PasswordFiles;
pub(crate) use http::{Http, Settings};
pub(crate) use job::{Job, Part};
pub(crate) use report::{Entry, Finished, Report, Summary};
pub(crate) use source::Source;
pub(crate) use target::Target;
