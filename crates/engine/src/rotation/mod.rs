//! Rotation: policies, attachments, opening a rotation, and the worker that carries it on.

mod abandon;
mod acts;
mod adopt;
mod alerts;
mod assignments;
mod at_target;
mod attach;
mod candidate;
mod debt_work;
mod debts;
mod drift;
mod guards;
mod manager;
mod open;
mod policies;
mod reached;
mod rehearsal;
mod rotations;
mod steps;
mod sweep;
mod switch;
mod turn;
mod view;
mod worker;

pub use acts::Act;
pub use attach::{Attach, AttachTo, Attachment};
pub use debt_work::DueDebt;
pub use debts::{DebtFigures, Stuck};
pub use drift::ClaimedProbe;
pub(crate) use open::Opening;
pub use policies::{RotationPolicyChange, RotationPolicyDraft};
pub use rehearsal::{Rehearsal, RehearsalStep};
pub use view::RotationView;
pub use worker::ClaimedRotation;
