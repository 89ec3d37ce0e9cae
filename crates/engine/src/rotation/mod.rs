//! Rotation: policies, attachments, opening a rotation, and the worker that carries it on.

mod acts;
mod adopt;
mod assignments;
mod at_target;
mod attach;
mod candidate;
mod guards;
mod manager;
mod open;
mod policies;
mod rotations;
mod steps;
mod switch;
mod turn;
mod worker;

pub use acts::Act;
pub use attach::{Attach, AttachTo, Attachment};
pub(crate) use open::Opening;
pub use policies::{RotationPolicyChange, RotationPolicyDraft};
pub use worker::ClaimedRotation;
