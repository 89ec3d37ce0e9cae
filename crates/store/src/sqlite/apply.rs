//! One change of a unit, applied to the writer's transaction.

use scaivault_core::ports::{Op, Record};

use super::conn::Conn;
use super::{
    assignment, audit_anchor, audit_export, audit_forward, binding, campaign, consumer, debt,
    delivery, dynamic, event, group_turn, keyring, lease, machine, meta, mount, policy, rotation,
    rotation_policy, secret, secret_policy, subscription, target, tenancy, token, transit, version,
    webhook,
};
use crate::refusal::Refusal;
use crate::rows::{Rows, encode_key};
use crate::writer::Memory;

/// The document an op writes, made in the caller's task; empty for those that write none.
pub(crate) fn document(op: &Op, rows: &Rows) -> Result<String, Refusal> {
    let document = match op {
        Op::Put(record) => match record {
            Record::Secret(row) => rows.encode(row),
            Record::Version(row) => rows.encode(row),
            Record::Policy(row) => rows.encode(row),
            Record::Binding(row) => rows.encode(row),
            Record::Token(row) => rows.encode(row),
            Record::MachineRole(row) => rows.encode(row),
            Record::SecretId(row) => rows.encode(row),
            Record::RotationPolicy(row) => rows.encode(row),
            Record::SecretPolicy(row) => rows.encode(row),
            Record::Assignment(row) => rows.encode(row),
            Record::Rotation(row) => rows.encode(row),
            Record::Target(row) => rows.encode(row),
            Record::GroupTurn(row) => rows.encode(row),
            Record::Campaign(row) => rows.encode(row),
            Record::Debt(row) => rows.encode(row),
            Record::Webhook(row) => rows.encode(row),
            Record::Subscription(row) => rows.encode(row),
            Record::Delivery(row) => rows.encode(row),
            Record::Key(row) => encode_key(row),
            Record::Partner(row) => rows.encode(row),
            Record::Tenant(row) => rows.encode(row),
            Record::Engine(row) => rows.encode(row),
            Record::Role(row) => rows.encode(row),
            Record::Lease(row) => rows.encode(row),
            Record::AuditExport(row) => rows.encode(row),
            Record::AuditForward(row) => rows.encode(row),
            Record::Mount(row) => rows.encode(row),
            Record::Cubby(row) => rows.encode(row),
            Record::Transit(row) => rows.encode(row),
        },
        Op::VersionInsert(sealed) => rows.encode(&sealed.version),
        Op::Emit(event) => rows.encode(event),
        Op::Delete(_)
        | Op::VersionDelete { .. }
        | Op::SecretErase(_)
        | Op::ConsumerReport(_)
        | Op::FanOutAdvance { .. }
        | Op::AssignmentsWake { .. }
        | Op::BufferTrim { .. }
        | Op::EventsPrune { .. }
        | Op::LeasesPrune { .. }
        | Op::AuditPrune { .. }
        | Op::Mark(_) => Ok(String::new()),
    };
    document.map_err(Refusal::Failed)
}

/// Applies an op with its document. What it leaves in the writer's memory is taken back by the
/// writer when the transaction fails.
pub(crate) fn apply(conn: &Conn, op: &Op, json: &str, memory: &mut Memory) -> Result<(), Refusal> {
    match op {
        Op::Put(record) => put(conn, record, json),
        Op::Delete(record) => delete(conn, record),
        Op::VersionInsert(sealed) => version::insert(conn, sealed, json),
        Op::VersionDelete {
            tenant,
            path,
            version,
        } => version::remove(conn, tenant, path, *version),
        Op::SecretErase(head) => {
            memory.ledger.forget(&head.tenant, &head.path);
            secret::erase(conn, head)
        }
        Op::ConsumerReport(report) => Ok(consumer::report(conn, report)?),
        Op::Emit(event) => event::emit(conn, event, json),
        Op::FanOutAdvance { from, to } => event::fan_out_advance(conn, *from, *to),
        Op::AssignmentsWake {
            tenant,
            policy_id,
            at,
        } => assignment::wake(conn, tenant, policy_id, *at),
        Op::BufferTrim { receiver, keep } => delivery::trim(conn, receiver, *keep),
        Op::EventsPrune { before } => {
            memory.prune = event::prune(conn, *before, memory.prune)?;
            Ok(())
        }
        Op::LeasesPrune { before, limit } => lease::prune(conn, *before, *limit),
        Op::AuditPrune {
            anchor,
            after,
            index,
        } => audit_anchor::prune(conn, anchor, *after, index),
        Op::Mark(marks) => Ok(meta::put_marks(conn, marks)?),
    }
}

fn put(conn: &Conn, record: &Record, json: &str) -> Result<(), Refusal> {
    match record {
        Record::Secret(row) => secret::put(conn, row, json),
        Record::Version(row) => version::put(conn, row, json),
        Record::Policy(row) => policy::put(conn, row, json),
        Record::Binding(row) => binding::put(conn, row, json),
        Record::Token(row) => token::put(conn, row, json),
        Record::MachineRole(row) => machine::put_role(conn, row, json),
        Record::SecretId(row) => machine::put_secret_id(conn, row, json),
        Record::RotationPolicy(row) => rotation_policy::put(conn, row, json),
        Record::SecretPolicy(row) => secret_policy::put(conn, row, json),
        Record::Assignment(row) => assignment::put(conn, row, json),
        Record::Rotation(row) => rotation::put(conn, row, json),
        Record::Target(row) => target::put(conn, row, json),
        Record::GroupTurn(row) => group_turn::put(conn, row, json),
        Record::Campaign(row) => campaign::put(conn, row, json),
        Record::Debt(row) => debt::put(conn, row, json),
        Record::Webhook(row) => webhook::put(conn, row, json),
        Record::Subscription(row) => subscription::put(conn, row, json),
        Record::Delivery(row) => delivery::put(conn, row, json),
        Record::Key(row) => keyring::put(conn, row, json),
        Record::Partner(row) => tenancy::put_partner(conn, row, json),
        Record::Tenant(row) => tenancy::put_tenant(conn, row, json),
        Record::Engine(row) => dynamic::put_engine(conn, row, json),
        Record::Role(row) => dynamic::put_role(conn, row, json),
        Record::Lease(row) => lease::put(conn, row, json),
        Record::AuditExport(row) => audit_export::put(conn, row, json),
        Record::AuditForward(row) => audit_forward::put(conn, row, json),
        Record::Mount(row) => mount::put(conn, row, json),
        Record::Cubby(row) => mount::put_cubby(conn, row, json),
        Record::Transit(row) => transit::put(conn, row, json),
    }
}

fn delete(conn: &Conn, record: &Record) -> Result<(), Refusal> {
    match record {
        Record::Secret(row) => secret::delete(conn, row),
        Record::Version(row) => version::delete(conn, row),
        Record::Policy(row) => policy::delete(conn, row),
        Record::Binding(row) => binding::delete(conn, row),
        Record::Token(row) => token::delete(conn, row),
        Record::MachineRole(row) => machine::delete_role(conn, row),
        Record::SecretId(row) => machine::delete_secret_id(conn, row),
        Record::RotationPolicy(row) => rotation_policy::delete(conn, row),
        Record::SecretPolicy(row) => secret_policy::delete(conn, row),
        Record::Assignment(row) => assignment::delete(conn, row),
        Record::Rotation(row) => rotation::delete(conn, row),
        Record::Target(row) => target::delete(conn, row),
        Record::GroupTurn(row) => group_turn::delete(conn, row),
        Record::Campaign(row) => campaign::delete(conn, row),
        Record::Debt(row) => debt::delete(conn, row),
        Record::Webhook(row) => webhook::delete(conn, row),
        Record::Subscription(row) => subscription::delete(conn, row),
        Record::Delivery(row) => delivery::delete(conn, row),
        Record::Key(row) => keyring::delete(conn, row),
        Record::Partner(row) => tenancy::delete_partner(conn, row),
        Record::Tenant(row) => tenancy::delete_tenant(conn, row),
        Record::Engine(row) => dynamic::delete_engine(conn, row),
        Record::Role(row) => dynamic::delete_role(conn, row),
        Record::Lease(row) => lease::delete(conn, row),
        Record::AuditExport(row) => audit_export::delete(conn, row),
        Record::AuditForward(row) => audit_forward::delete(conn, row),
        Record::Mount(row) => mount::delete(conn, row),
        Record::Cubby(row) => mount::delete_cubby(conn, row),
        Record::Transit(row) => transit::delete(conn, row),
    }
}
