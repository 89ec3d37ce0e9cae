//! Rotation: policies, attachments, opening a rotation, and the worker that carries it on.

mod acts;
mod assignments;
mod at_target;
mod candidate;
mod manager;
mod open;
mod policies;
mod rotations;
mod steps;
mod switch;
mod turn;
mod worker;

pub use acts::Act;
pub(crate) use open::Opening;
pub use policies::{RotationPolicyChange, RotationPolicyDraft};
pub use worker::ClaimedRotation;
