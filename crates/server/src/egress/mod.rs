//! The one guarded way out of the server. No other module of the server
//! opens an outbound connection for a URL that a tenant chose.
//!
//! What holds for every delivery, whatever the URL, the name server or the receiver answers:
//! - a connection is only ever opened to an address that [`EgressPolicy`] permits, and it is the
//!   very address that was judged: the judging happens inside the resolver that the HTTP client
//!   connects with, so a name that changes its answer between check and use gains nothing;
//! - no redirect is followed, no proxy is used, no cookie kept, no request repeated by itself;
//! - connections are not kept or shared, so one receiver cannot hold another one up;
//! - the attempt ends within the policy's timeout and reads a bounded part of the answer;
//! - nothing the receiver says is returned except its status code.

mod address;
mod clients;
mod courier;
mod documents;
#[cfg(test)]
mod hostile;
mod operator_http;
mod policy;
mod reach;
mod resolve;
mod target_policy;
#[cfg(test)]
mod tests;

pub(crate) use courier::GuardedCourier;
pub(crate) use documents::GuardedDocuments;
pub(crate) use operator_http::OperatorHttp;
pub(crate) use policy::{EgressPolicy, Scheme, URL_BYTES_MAX};
pub(crate) use reach::GuardedReach;
pub(crate) use target_policy::TargetPolicy;
