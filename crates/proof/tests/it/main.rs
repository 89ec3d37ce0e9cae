//! The promises of rotation, proven on real systems: the engine with its store, the connectors, and
//! servers of our own. Time alone is virtual. `docs/proof.md` says what is proven where.

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there fails")]

mod attached;
mod consumer;
#[path = "../../../connectors/tests/it/fake_keys.rs"]
#[expect(dead_code, reason = "other tests of the fake use the rest")]
mod fake_keys;
mod http_key;
mod manager;
mod mariadb;
mod matrix;
mod postgresql;
mod redis;
mod script;
mod system;
mod trouble;
mod world;
