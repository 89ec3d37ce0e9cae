//! The store as its users see it, on a PostgreSQL of its own: through the ports, through two nodes,
//! through cut connections.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there fails")]

mod batches;
mod conformance;
mod cut;
mod database;
mod encrypted;
mod feed;
mod named;
mod nodes;
mod order;
mod past;
mod proxy;
mod restart;
mod row_codes;
mod sessions;
mod trail;
mod transfer;
