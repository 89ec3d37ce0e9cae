//! Access policies and the one place that decides.

mod condition;
mod decide;
mod policy;

pub use condition::{Cidr, Condition, Conditions, TimeWindow, Weekday};
pub use decide::{Attempt, Denial, DenialReason, Grant, Grants, Matched, decide, grant_all};
pub use policy::{AccessPolicy, Binding, Permission, PermissionSet, PolicyScope, Rule};
