//! The one writer of a node: takes what waits, commits it as one transaction, answers, and takes
//! what has come meanwhile. So batches are full under load and a lone unit waits for nobody.

mod batch;
mod places;
mod queue;
mod settle;

pub(crate) use batch::Writer;
pub(crate) use queue::{Outcome, Shared};
