//! A unit made ready in its caller's task: everything that can be encoded without knowing its place
//! is encoded before it queues, so that the one writer thread does as little as possible.

use scaivault_core::consumer::ConsumerRead;
use scaivault_core::ports::{CommitError, Op, Unit, UnitName};

use crate::audit::AuditLines;
use crate::refusal::Refusal;
use crate::rows::Rows;
use crate::sqlite::apply::document;

#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) name: UnitName,
    /// Each with the document it writes.
    pub(crate) ops: Vec<(Op, String)>,
    pub(crate) audit: AuditLines,
    pub(crate) reads: Vec<ConsumerRead>,
}

impl Prepared {
    /// # Errors
    /// When something in it has no JSON form (nothing `core` can make is so), or there is no key for
    /// documents yet.
    pub(crate) fn new(unit: Unit, rows: &Rows) -> Result<Self, CommitError> {
        let encode = |op: Op| document(&op, rows).map(|json| (op, json));
        let ops = unit.ops.into_iter().map(encode).collect::<Result<_, _>>();
        let audit = AuditLines::encode(&unit.audit);
        Ok(Self {
            name: unit.name,
            ops: ops.map_err(Refusal::into_commit_error)?,
            audit: audit.map_err(|error| CommitError::Unavailable(error.to_string()))?,
            reads: unit.reads,
        })
    }
}
