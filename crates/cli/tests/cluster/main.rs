//! Several nodes of the real server before one PostgreSQL, and everything that fails.

mod breaches;
mod changes;
mod checker;
mod client;
mod clients;
mod cluster;
mod cut_off;
mod faults;
mod forwarded;
#[path = "../it/harness/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "shared with the other tests, which use all of it"
)]
mod harness;
mod inflicted;
mod leases;
mod load;
mod node;
mod overtaken;
mod random;
mod record;
mod rights;
mod rotated;
mod starved;
mod storm;
mod tokens_once;
mod trust;

/// These tests measure what holds within a second: they do not run beside each other.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}
