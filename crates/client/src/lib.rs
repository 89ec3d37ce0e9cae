//! The Rust client of ScaiVault.
//!
//! A [`Client`] is cheap to clone and safe to share. Methods are grouped as the API is
//! (`client.secrets()`, `client.tokens()`, …) and each one returns a [`Call`]: a request that has
//! not been sent. Awaiting it sends it and gives the typed answer; [`Call::json`] gives the
//! server's own JSON beside it; [`Call::pages`] walks a list to its end.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = scaivault_client::Client::builder("https://vault.example")
//!     .token("skt_…")
//!     .build()?;
//! let secret = client.secrets().read("integrations/salesforce/oauth").await?;
//! println!("version {}", secret.version);
//! # Ok(()) }
//! ```
//!
//! Retries follow the API's classes (see [`RetryPolicy`]) and never repeat a request that could
//! take effect twice. Neither an error nor any `Debug` output contains the token or a value.
//!
//! To add an endpoint: one method in the file of its group, which names the route, the query,
//! the body, and whether repeating it is harmless.

#![warn(missing_docs)]

mod audit;
mod builder;
mod call;
mod campaigns;
mod client;
mod debts;
mod dynamic;
mod error;
mod exchange;
mod machines;
mod page;
mod policies;
mod retry;
mod rotation;
mod route;
mod secret_policies;
mod secrets;
mod system;
mod targets;
mod tenancy;
#[cfg(test)]
mod testing;
mod tokens;
mod webhooks;

pub use scaivault_api as api;

pub use audit::{Audit, AuditQuery};
pub use builder::{BuildError, ClientBuilder};
pub use call::{Call, Done, Json};
pub use campaigns::Campaigns;
pub use client::Client;
pub use debts::Debts;
pub use dynamic::{Dynamic, LeaseQuery};
pub use error::{
    ApiError, ClientError, DecodeError, DecodeProblem, InputError, TransportError, TransportKind,
};
pub use exchange::Exchange;
pub use machines::Machines;
pub use page::{Page, Pages};
pub use policies::{Policies, PolicyQuery};
pub use retry::{RetryPolicy, Sleeper, TokioSleeper};
pub use rotation::{DueQuery, Rotation, RotationQuery};
pub use secret_policies::SecretPolicies;
pub use secrets::{SecretQuery, Secrets, WriteSecret};
pub use system::System;
pub use targets::Targets;
pub use tenancy::{Partners, Tenants};
pub use tokens::{TokenQuery, Tokens};
pub use webhooks::Webhooks;
