//! Power is lost at any moment: what was answered is there, whole, and nothing is there in part.
//!
//! A child process runs real units through the real store while every change it makes to its files
//! is recorded ([`record`]). From the recording come images: what a disk may hold after power was
//! lost ([`disk`], [`images`]). Each is opened and compared with what the store must hold
//! ([`expect`], [`check`]).
//!
//! ```sh
//! SCAIVAULT_POWER_IMAGES=200000 SCAIVAULT_POWER_SEED=7 \
//!     cargo test -p scaivault-store --test power -- --nocapture
//! ```

#![expect(clippy::unwrap_used, reason = "a test that finds nothing there fails")]

mod campaign;
mod check;
mod disk;
mod expect;
mod images;
mod plan;
mod record;
mod rows;
mod strace;
mod support;
mod tests;
mod workload;
