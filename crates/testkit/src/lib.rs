//! Fakes and conformance suites, for tests only.
//!
//! * [`FixedClock`], [`ManualClock`]: time as a test wants it.
//! * [`SeededEntropy`]: the same randomness in every run.
//! * [`MemoryStore`]: a whole store, as plain as can be.
//! * [`FaultyStore`]: loses a unit, or its answer, at the commit a test names.
//! * [`WatchedStore`]: shows a test every unit, or stops one.
//! * [`ScriptedCourier`]: receivers that answer, refuse, or stay silent as a test says.
//! * [`ScriptedTarget`]: accounts of a target in memory, late, lost and refused changes.
//! * [`mod@store_conformance`]: what every storage engine must do, and sample rows to store.
//! * [`mod@access_model`]: policies as plain data, made at random, and a second evaluator of them.
//!
//! A new fake is one file with its tests, and one line here.

#[allow(
    clippy::unwrap_used,
    reason = "what it builds is valid or the test is wrong"
)]
pub mod access_model;
mod clock;
mod entropy;
mod faulty_store;
mod memory_store;
mod scripted_courier;
mod scripted_target;
#[allow(clippy::unwrap_used, reason = "a conformance suite is a test")]
pub mod store_conformance;
mod watched_store;

pub use clock::{FixedClock, ManualClock};
pub use entropy::SeededEntropy;
pub use faulty_store::{Fault, FaultyStore, When};
pub use memory_store::MemoryStore;
pub use scripted_courier::{Received, Reply, ScriptedCourier};
pub use scripted_target::{Luck, SCRIPTED, ScriptedTarget};
pub use watched_store::{Stop, WatchedStore};
