//! Request and response bodies of the HTTP API, as they are on the wire, and the error codes.
//!
//! Nothing here knows the domain: conversions are written out in the server. Times are RFC 3339
//! text, durations the text people write (`90d`), ids and paths plain strings. Requests refuse
//! unknown fields.

pub mod audit;
pub mod campaign;
pub mod debt;
mod double_option;
pub mod dynamic;
pub mod error;
pub mod machine;
pub mod policy;
pub mod receiver;
pub mod reconcile;
pub mod rotation;
pub mod rotation_rules;
pub mod secret;
pub mod secret_batch;
pub mod secret_policy;
pub mod system;
pub mod target;
pub mod tenancy;
pub mod token;
pub mod trouble;

pub use error::{ErrorBody, ErrorCode, ErrorDetail};
