//! The store as its users see it: through the ports, through its file, through failures.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there fails")]

mod backup;
mod conformance;
mod crash;
mod files;
mod full;
mod model;
mod reopen;
mod row_codes;
mod support;
mod tampering;
mod transfer;
