//! Rotations at targets under deterministic simulation: many lives, engines broken on purpose,
//! every crash point, and the seeds that once found something.

mod crash_matrix;
mod named;
mod seeds;
mod teeth;
