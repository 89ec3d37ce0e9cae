//! Rotation: policies, attachments, opening a rotation, and the worker that carries it on.

mod abandon;
mod acts;
mod assignments;
mod at_target;
mod candidate;
mod debt_work;
mod debts;
mod open;
mod policies;
mod reached;
mod rehearsal;
mod rotations;
mod steps;
mod sweep;
mod switch;
mod turn;
mod worker;

pub use acts::Act;
pub use debt_work::DueDebt;
pub use debts::{DebtFigures, Stuck};
pub use policies::{RotationPolicyChange, RotationPolicyDraft};
pub use rehearsal::{Rehearsal, RehearsalStep};
pub use worker::ClaimedRotation;
