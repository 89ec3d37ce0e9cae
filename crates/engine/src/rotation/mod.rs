//! Rotation: policies, attachments, opening a rotation, and the worker that carries it on.

mod acts;
mod alerts;
mod assignments;
mod at_target;
mod candidate;
mod drift;
mod open;
mod policies;
mod rotations;
mod steps;
mod switch;
mod turn;
mod view;
mod worker;

pub use acts::Act;
pub use drift::ClaimedProbe;
pub use policies::{RotationPolicyChange, RotationPolicyDraft};
pub use view::RotationView;
pub use worker::ClaimedRotation;
