//! A unit made ready in its caller's task: everything that can be encoded without knowing its
//! place is encoded before it queues, so that the one writer does as little as possible.

use scaivault_core::consumer::ConsumerRead;
use scaivault_core::ports::{Changes, CommitError, Unit, UnitName};
use scaivault_store::audit::AuditLines;
use scaivault_store::rows::Rows;

use crate::sql::plan::Plan;

#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) name: UnitName,
    pub(crate) plan: Plan,
    pub(crate) audit: AuditLines,
    pub(crate) reads: Vec<ConsumerRead>,
    /// What other nodes are told.
    pub(crate) changes: Changes,
}

impl Prepared {
    /// # Errors
    /// When something in it has no JSON form, there is no key for documents yet, or a change can
    /// never fit.
    pub(crate) fn new(unit: Unit, rows: &Rows) -> Result<Self, CommitError> {
        let changes = Changes {
            // What entered the outbox is fanned out by the node that put it there.
            outbox: false,
            ..Changes::of(&unit)
        };
        let audit = AuditLines::encode(&unit.audit);
        Ok(Self {
            name: unit.name,
            plan: Plan::make(&unit.ops, rows)?,
            audit: audit.map_err(|error| CommitError::Unavailable(error.to_string()))?,
            reads: unit.reads,
            changes,
        })
    }

    /// It changes rows, so it needs a savepoint of its own.
    pub(crate) fn is_change(&self) -> bool {
        !self.plan.steps.is_empty()
    }
}
