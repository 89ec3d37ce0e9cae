//! The changes of a unit as steps.

use scaivault_core::ports::{CommitError, Op, Record};
use scaivault_store::rows::{Document, Rows};

use super::event::EventRow;
use super::{
    access, assignment, audit_anchor, audit_export, audit_forward, consumer, delivery, dynamic,
    event, keyring, machine, marks, mount, receiver, rotation, rotation_policy, run, secret,
    secret_policy, target, tenancy, token, transit, version,
};
use crate::step::Step;

/// What a unit does to the tables.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// In order.
    pub(crate) steps: Vec<Step>,
    /// Put at the end of the transaction, where the outbox is locked for the shortest time.
    pub(crate) events: Vec<EventRow>,
    /// It touches lines of the ledger: reads of units before it must be there first.
    pub(crate) ledger: bool,
    /// Steps depend on one another: a version is put and removed.
    ordered: bool,
}

/// A record as its document.
pub(crate) fn encode<T: Document>(rows: &Rows, record: &T) -> Result<String, CommitError> {
    rows.encode(record).map_err(CommitError::Unavailable)
}

impl Plan {
    /// # Errors
    /// When a record has no JSON form, there is no key for documents yet, or a change can never fit.
    pub(crate) fn make(ops: &[Op], rows: &Rows) -> Result<Self, CommitError> {
        let mut plan = Self::default();
        for op in ops {
            plan.add(op, rows)?;
        }
        plan.ordered = removes_what_it_puts(ops);
        Ok(plan)
    }

    /// Nothing in it depends on its order, nor on other units'. Statements with a form for many
    /// rows touch rows that no other such statement of the unit does.
    pub(crate) fn is_apart(&self) -> bool {
        !self.ledger && !self.ordered && self.steps.iter().all(|step| step.many.is_some())
    }

    fn add(&mut self, op: &Op, rows: &Rows) -> Result<(), CommitError> {
        match op {
            Op::Put(record) => self.put(record, rows)?,
            Op::Delete(record) => self.delete(record),
            Op::VersionInsert(sealed) => self.steps.push(version::insert(rows, sealed)?),
            Op::VersionDelete {
                tenant,
                path,
                version,
            } => self.steps.push(version::remove(tenant, path, *version)),
            Op::SecretErase(head) => {
                self.ledger = true;
                self.steps.extend(secret::erase(head));
            }
            Op::ConsumerReport(report) => {
                self.ledger = true;
                self.steps.push(consumer::report(report));
            }
            Op::Emit(made) => self.events.push(EventRow::new(rows, made)?),
            Op::FanOutAdvance { from, to } => self.steps.push(event::fan_out_advance(*from, *to)),
            Op::AssignmentsWake {
                tenant,
                policy_id,
                at,
            } => self.steps.push(assignment::wake(tenant, policy_id, *at)),
            Op::BufferTrim { receiver, keep } => self.steps.push(delivery::trim(receiver, *keep)),
            Op::EventsPrune { before } => {
                self.steps.push(event::prune(*before));
                self.steps.push(event::prune_tests(*before));
            }
            Op::LeasesPrune { before, limit } => {
                self.steps.push(dynamic::prune(*before, *limit));
            }
            Op::AuditPrune {
                anchor,
                after,
                index,
            } => self
                .steps
                .extend(audit_anchor::prune(anchor, *after, index)),
            Op::Mark(marks) => self.steps.extend(marks::put(marks)),
        }
        Ok(())
    }

    fn put(&mut self, record: &Record, rows: &Rows) -> Result<(), CommitError> {
        let step = match record {
            Record::Secret(row) => {
                self.steps.extend(secret::put(rows, row)?);
                return Ok(());
            }
            Record::Version(row) => version::put(rows, row)?,
            Record::Policy(row) => access::put_policy(rows, row)?,
            Record::Binding(row) => access::put_binding(rows, row)?,
            Record::Token(row) => token::put(rows, row)?,
            Record::MachineRole(row) => machine::put_role(rows, row)?,
            Record::SecretId(row) => machine::put_secret_id(rows, row)?,
            Record::RotationPolicy(row) => rotation_policy::put(rows, row)?,
            Record::SecretPolicy(row) => secret_policy::put(rows, row)?,
            Record::Assignment(row) => assignment::put(rows, row)?,
            Record::Rotation(row) => rotation::put(rows, row)?,
            Record::Target(row) => target::put(rows, row)?,
            Record::GroupTurn(row) => run::put_turn(rows, row)?,
            Record::Campaign(row) => run::put_campaign(rows, row)?,
            Record::AuditExport(row) => audit_export::put(rows, row)?,
            Record::AuditForward(row) => audit_forward::put(rows, row)?,
            Record::Mount(row) => mount::put(rows, row)?,
            Record::Cubby(row) => mount::put_cubby(rows, row)?,
            Record::Transit(row) => transit::put(rows, row)?,
            Record::Debt(row) => run::put_debt(rows, row)?,
            Record::Webhook(row) => receiver::put_webhook(rows, row)?,
            Record::Subscription(row) => receiver::put_subscription(rows, row)?,
            Record::Delivery(row) => delivery::put(rows, row)?,
            Record::Key(row) => keyring::put(row)?,
            Record::Partner(row) => tenancy::put_partner(rows, row)?,
            Record::Tenant(row) => tenancy::put_tenant(rows, row)?,
            Record::Engine(row) => dynamic::put_engine(rows, row)?,
            Record::Role(row) => dynamic::put_role(rows, row)?,
            Record::Lease(row) => dynamic::put_lease(rows, row)?,
        };
        self.steps.push(step);
        Ok(())
    }

    fn delete(&mut self, record: &Record) {
        let step = match record {
            Record::Secret(row) => {
                self.steps.extend(secret::delete(row));
                return;
            }
            Record::Subscription(row) => {
                self.steps.extend(receiver::delete_subscription(row));
                return;
            }
            Record::MachineRole(row) => {
                self.steps.extend(machine::delete_role(row));
                return;
            }
            Record::Version(row) => version::delete(row),
            Record::Policy(row) => access::delete_policy(row),
            Record::Binding(row) => access::delete_binding(row),
            Record::Token(row) => token::delete(row),
            Record::SecretId(row) => machine::delete_secret_id(row),
            Record::RotationPolicy(row) => rotation_policy::delete(row),
            Record::SecretPolicy(row) => secret_policy::delete(row),
            Record::Assignment(row) => assignment::delete(row),
            Record::Rotation(row) => rotation::delete(row),
            Record::Target(row) => target::delete(row),
            Record::GroupTurn(row) => run::delete_turn(row),
            Record::Campaign(row) => run::delete_campaign(row),
            Record::AuditExport(row) => audit_export::delete(row),
            Record::AuditForward(row) => audit_forward::delete(row),
            Record::Mount(row) => mount::delete(row),
            Record::Cubby(row) => mount::delete_cubby(row),
            Record::Transit(row) => transit::delete(row),
            Record::Debt(row) => run::delete_debt(row),
            Record::Webhook(row) => receiver::delete_webhook(row),
            Record::Delivery(row) => delivery::delete(row),
            Record::Key(row) => keyring::delete(row),
            Record::Partner(row) => tenancy::delete_partner(row),
            Record::Tenant(row) => tenancy::delete_tenant(row),
            Record::Engine(row) => dynamic::delete_engine(row),
            Record::Role(row) => dynamic::delete_role(row),
            Record::Lease(row) => dynamic::delete_lease(row),
        };
        self.steps.push(step);
    }
}

/// `insert` for revision 1, `update` (which checks the stored revision in its `WHERE`) for all
/// others.
pub(crate) fn write(revision: u64, insert: &'static str, update: &'static str) -> &'static str {
    if revision == 1 { insert } else { update }
}

/// Whether a version that is put is removed, too, as when a secret keeps one version only.
fn removes_what_it_puts(ops: &[Op]) -> bool {
    ops.iter().any(|op| match op {
        Op::VersionDelete { path, version, .. } => ops.iter().any(|other| match other {
            Op::Put(Record::Version(put)) => put.version == *version && put.path == *path,
            Op::VersionInsert(put) => put.version.version == *version && put.version.path == *path,
            _ => false,
        }),
        _ => false,
    })
}
