//! Rotation: the policy that says when, the schedule of each secret, and the state machine of
//! one rotation. Everything here is a pure function of what is stored and the time given.

mod at_target;
mod calendar;
mod drain;
mod drift;
mod given_up;
mod machine;
mod outcomes;
mod phase;
mod policy;
mod reason;
mod record;
mod rules;
mod rules_change;
mod schedule;
mod turn;

pub use at_target::{AtTarget, Attached, InFlight};
pub use calendar::{Calendar, WINDOWS_MAX, Weekday, Window};
pub use drain::{Standing, Wanted, standing};
pub use drift::{Drift, Finding, Probe, Relearned, Suspicion};
pub use given_up::{Ending, GivenUp};
pub use machine::{Effect, Look, Observed, Step, StepKind, decide};
pub use outcomes::{EffectOutcome, Jitter};
pub use phase::{Phase, Strategy, Trigger};
pub use policy::{DRIFT_CHECK_DEFAULT, GRACE_DEFAULT, RotationPolicy};
pub use reason::{Failure, FailureKind, Reason};
pub use record::Rotation;
pub use rules::{OnDeadline, OnFailure, Rules, Which};
pub use rules_change::{COUNT_MAX, CalendarChange, IDENTITIES_MAX, RulesChange};
pub use schedule::{Assignment, Due, schedule};
pub use turn::{GROUP_NAME_MAX, GroupTurn, Turn};
