//! The HTTP surface: one file per resource, each with its routes and the operations that
//! describe them in the OpenAPI document.

mod assignments;
mod at_target;
mod audit;
mod audit_exports;
pub(crate) mod bounds;
mod campaign_view;
mod campaigns;
mod certificate_login;
mod debts;
mod docs;
mod dynamic;
mod exchange;
mod login;
mod machine_fields;
pub(crate) mod machines;
mod partner_secrets;
mod policies;
mod reconcile;
mod rehearse;
mod rotation_policies;
mod rotation_rules;
mod rotation_view;
mod rotations;
mod secret_batch;
mod secret_lists;
mod secret_policies;
mod secret_value;
mod secret_view;
mod secret_write;
pub(crate) mod secrets;
mod subscription_stream;
mod subscriptions;
mod system;
mod targets;
mod tenancy;
mod tokens;
mod webhook_replay;
mod webhooks;

pub(crate) use exchange::by_rule;
pub(crate) use login::{Attempt, logged_in};
pub(crate) use secret_write::if_match;
pub(crate) use tokens::ranges;

use axum::Router;
use scaivault_api::ErrorCode;

use crate::app::Shared;
use crate::openapi::Operation;
use crate::problem::Problem;

/// Every route.
pub(crate) fn router() -> Router<Shared> {
    Router::new()
        .merge(secrets::routes())
        .merge(policies::routes())
        .merge(tokens::routes())
        .merge(tenancy::routes())
        .merge(dynamic::routes())
        .merge(exchange::routes())
        .merge(machines::routes())
        .merge(login::routes())
        .merge(certificate_login::routes())
        .merge(rotation_policies::routes())
        .merge(secret_policies::routes())
        .merge(assignments::routes())
        .merge(rotations::routes())
        .merge(targets::routes())
        .merge(audit_exports::routes())
        .merge(campaigns::routes())
        .merge(rehearse::routes())
        .merge(debts::routes())
        .merge(reconcile::routes())
        .merge(webhooks::routes())
        .merge(webhook_replay::routes())
        .merge(subscriptions::routes())
        .merge(subscription_stream::routes())
        .merge(audit::routes())
        .merge(system::routes())
        .merge(docs::routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
}

/// Every operation, as the OpenAPI document lists them.
pub(crate) fn operations() -> Vec<Operation> {
    let mut all = secrets::operations();
    all.extend(secret_batch::operations());
    all.extend(partner_secrets::operations());
    all.extend(policies::operations());
    all.extend(tokens::operations());
    all.extend(tenancy::operations());
    all.extend(dynamic::operations());
    all.extend(exchange::operations());
    all.extend(machines::operations());
    all.extend(login::operations());
    all.extend(certificate_login::operations());
    all.extend(rotation_policies::operations());
    all.extend(secret_policies::operations());
    all.extend(assignments::operations());
    all.extend(rotations::operations());
    all.extend(targets::operations());
    all.extend(audit_exports::operations());
    all.extend(campaigns::operations());
    all.extend(rehearse::operations());
    all.extend(debts::operations());
    all.extend(reconcile::operations());
    all.extend(webhooks::operations());
    all.extend(webhook_replay::operations());
    all.extend(subscriptions::operations());
    all.extend(subscription_stream::operations());
    all.extend(audit::operations());
    all.extend(system::operations());
    all.extend(docs::operations());
    all
}

pub(crate) async fn no_such_route() -> Problem {
    Problem::new(
        ErrorCode::NotFound,
        "there is no such route: see /v1/openapi.json",
    )
}

pub(crate) async fn no_such_method() -> Problem {
    Problem::new(
        ErrorCode::MethodNotAllowed,
        "this route does not take this method",
    )
}

/// An id in a path: what cannot be one is simply not found.
macro_rules! id_in_path {
    ($kind:ty, $text:expr, $code:ident) => {
        <$kind>::parse(&$text).map_err(|_| {
            $crate::problem::Problem::new(
                scaivault_api::ErrorCode::$code,
                "there is no such object: an id begins with the prefix of its kind",
            )
        })
    };
}
pub(crate) use id_in_path;
