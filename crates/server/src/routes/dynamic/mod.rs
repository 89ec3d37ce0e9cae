//! `/v1/dynamic…`: engines, their roles, credentials on request, and leases.

mod engines;
mod leases;
mod roles;
mod view;

use axum::Router;

use crate::app::Shared;
use crate::openapi::Operation;

pub(crate) use roles::{STATEMENT_CHARS_MAX, STATEMENTS_MAX};

const TAG: &str = "Dynamic secrets";
const MANAGE: &str = "dynamic:manage";
const SEE: &str = "dynamic:read";
const MAKE: &str = "dynamic:generate";

pub(super) fn routes() -> Router<Shared> {
    engines::routes()
        .merge(roles::routes())
        .merge(leases::routes())
}

pub(super) fn operations() -> Vec<Operation> {
    let mut all = engines::operations();
    all.extend(roles::operations());
    all.extend(leases::operations());
    all
}
