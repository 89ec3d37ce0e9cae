//! One file, one target.

mod acl;
mod addresses;
mod audit;
mod backup;
mod bodies;
mod calendar;
mod certificate;
mod config;
mod cursors;
mod durations;
mod export;
mod fixture;
mod glob;
mod headers;
mod issuers;
mod jwks;
mod jwt;
mod key_file;
mod names;
mod path;
mod patterns;
mod pem;
mod policy;
mod query;
mod replies;
mod sealed;
mod settings;
mod templates;
mod times;
mod url;

use crate::target::Target;

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    acl::TARGET,
    addresses::TARGET,
    audit::TARGET,
    backup::TARGET,
    bodies::TARGET,
    calendar::TARGET,
    certificate::TARGET,
    config::TARGET,
    cursors::TARGET,
    durations::TARGET,
    export::TARGET,
    glob::TARGET,
    headers::TARGET,
    issuers::TARGET,
    jwks::TARGET,
    jwt::TARGET,
    key_file::TARGET,
    names::TARGET,
    path::TARGET,
    patterns::TARGET,
    pem::TARGET,
    policy::TARGET,
    query::TARGET,
    replies::TARGET,
    sealed::TARGET,
    settings::TARGET,
    templates::TARGET,
    times::TARGET,
    url::TARGET,
];
