//! The HTTP surface: one file per resource, each with its routes and the operations that
//! describe them in the OpenAPI document.

mod audit;
mod policies;
mod rotation_policies;
mod rotation_view;
mod rotations;
mod secret_value;
mod secrets;
mod subscriptions;
mod system;
mod tokens;
mod webhooks;

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
        .merge(rotation_policies::routes())
        .merge(rotations::routes())
        .merge(webhooks::routes())
        .merge(subscriptions::routes())
        .merge(audit::routes())
        .merge(system::routes())
        .fallback(no_such_route)
        .method_not_allowed_fallback(no_such_method)
}

/// Every operation, as the OpenAPI document lists them.
pub(crate) fn operations() -> Vec<Operation> {
    let mut all = secrets::operations();
    all.extend(policies::operations());
    all.extend(tokens::operations());
    all.extend(rotation_policies::operations());
    all.extend(rotations::operations());
    all.extend(webhooks::operations());
    all.extend(subscriptions::operations());
    all.extend(audit::operations());
    all.extend(system::operations());
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
