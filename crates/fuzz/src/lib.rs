//! Fuzz targets: everything of ours that reads bytes it did not write, each with what must be true of
//! whatever it makes of them.
//!
//! One file in `targets/` is one target, one line in [`TARGETS`] makes it known. A target does not only
//! ask that nothing panics: what was accepted means what was written, prints and reads back as itself,
//! and answers as a second, naive reading does.
//!
//! They run in two ways:
//! * as ordinary tests (`tests/it`): the seeds, every input that once failed (`regressions/`), and
//!   inputs made from the seeds by [`mutate`], the same ones each time;
//! * guided by coverage (`scripts/fuzz`): libFuzzer on counters that the stable compiler puts in.
//!
//! To add one: a file in `targets/`, its line in [`TARGETS`], its line in `tests/it/main.rs`.

pub mod mutate;
pub mod short;
mod target;
mod targets;

pub use target::{Target, text};
pub use targets::TARGETS;
