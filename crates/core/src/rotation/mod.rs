//! Rotation: the policy that says when, the schedule of each secret, and the state machine of
//! one rotation. Everything here is a pure function of what is stored and the time given.

mod calendar;
mod machine;
mod policy;
mod schedule;

pub use calendar::{Calendar, WINDOWS_MAX, Weekday, Window};
pub use machine::{
    Failure, FailureKind, Observed, Phase, Reason, Rotation, Step, Strategy, Trigger, decide,
};
pub use policy::{GRACE_DEFAULT, RotationPolicy};
pub use schedule::{Assignment, Due, schedule};
