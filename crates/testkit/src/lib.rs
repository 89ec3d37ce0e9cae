//! Fakes and conformance suites, for tests only.
//!
//! * [`FixedClock`], [`ManualClock`]: time as a test wants it.
//! * [`SeededEntropy`]: the same randomness in every run.
//! * [`FaultyStore`]: loses a unit, or its answer, at the commit a test names.
//!
//! A new fake is one file with its tests, and one line here.

mod clock;
mod entropy;
mod faulty_store;

pub use clock::{FixedClock, ManualClock};
pub use entropy::SeededEntropy;
pub use faulty_store::{Fault, FaultyStore, When};
