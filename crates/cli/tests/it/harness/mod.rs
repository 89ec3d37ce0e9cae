//! What every test here stands on: the real binary started as a process, a plain HTTP client, a
//! receiver of webhooks, and waiting for conditions with a deadline.

pub(crate) mod authority;
pub(crate) mod http;
pub(crate) mod issuer;
#[allow(dead_code, reason = "the tests of several nodes use all of it")]
pub(crate) mod key_service;
pub(crate) mod leases;
pub(crate) mod number;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod server;
pub(crate) mod wait;

pub(crate) use http::{Api, Reply, text};
pub(crate) use issuer::Issuer;
pub(crate) use number::number;
pub(crate) use process::Process;
pub(crate) use receiver::Receiver;
pub(crate) use server::{SCAIVAULT, Server};
pub(crate) use wait::{SOON, eventually};
