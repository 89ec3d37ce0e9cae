//! What a run does, drawn at random.

use proptest::prelude::*;
use scaivault_core::ports::RecordKind;

/// One change: what, to which row, with which number, and how the row differs.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) what: What,
    pub(super) tenant: bool,
    pub(super) slot: u8,
    pub(super) number: Number,
    pub(super) tweak: u8,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Put(RecordKind),
    Delete(RecordKind),
    VersionInsert,
    VersionDelete,
    SecretErase,
    Emit,
    FanOutAdvance,
    AssignmentsWake,
    BufferTrim,
    EventsPrune,
    LeasesPrune,
}

/// Which revision is written, seen from the stored one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    Next,
    First,
    Same,
    Skip,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Commit(Vec<Change>, bool),
    ClaimAssignments(u8),
    ClaimRotations(u8),
    ClaimRotation(u8, u8),
    ClaimDeliveries(u8, bool),
    Reopen,
}

/// What one run is about. A run about few things meets itself more often.
#[derive(Debug, Clone, Copy)]
pub(super) enum Matter {
    All,
    Secrets,
    Schedules,
    Outbox,
}

fn whats(matter: Matter) -> Vec<What> {
    use RecordKind as Kind;
    let of = |kinds: &[Kind]| -> Vec<What> {
        let twice = kinds
            .iter()
            .flat_map(|kind| [What::Put(*kind), What::Put(*kind)]);
        twice
            .chain(kinds.iter().map(|kind| What::Delete(*kind)))
            .collect()
    };
    let mut whats = match matter {
        Matter::All => of(&[
            Kind::Secret,
            Kind::Version,
            Kind::Policy,
            Kind::Binding,
            Kind::Token,
            Kind::MachineRole,
            Kind::SecretId,
            Kind::RotationPolicy,
            Kind::SecretPolicy,
            Kind::Assignment,
            Kind::Rotation,
            Kind::GroupTurn,
            Kind::Campaign,
            Kind::AuditExport,
            Kind::AuditForward,
            Kind::Mount,
            Kind::Cubby,
            Kind::Transit,
            Kind::Debt,
            Kind::Webhook,
            Kind::Subscription,
            Kind::Delivery,
            Kind::Key,
            Kind::Partner,
            Kind::Tenant,
            Kind::Engine,
            Kind::Role,
            Kind::Lease,
            Kind::Lease,
        ]),
        Matter::Secrets => of(&[Kind::Secret, Kind::Version]),
        Matter::Schedules => of(&[Kind::Assignment, Kind::Rotation, Kind::Tenant]),
        Matter::Outbox => of(&[Kind::Subscription, Kind::Delivery, Kind::Delivery]),
    };
    let secrets = [What::VersionInsert, What::VersionDelete, What::SecretErase];
    let outbox = [
        What::Emit,
        What::Emit,
        What::FanOutAdvance,
        What::BufferTrim,
        What::EventsPrune,
    ];
    match matter {
        Matter::Secrets => whats.extend(secrets),
        Matter::Schedules => whats.push(What::AssignmentsWake),
        Matter::Outbox => whats.extend(outbox),
        Matter::All => {
            whats.extend(secrets);
            whats.extend(outbox);
            whats.push(What::AssignmentsWake);
            whats.push(What::LeasesPrune);
        }
    }
    whats
}

fn change(matter: Matter) -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        8 => Just(Number::Next),
        1 => Just(Number::First),
        1 => Just(Number::Same),
        1 => Just(Number::Skip),
    ];
    let what = prop::sample::select(whats(matter));
    (what, any::<bool>(), 0u8..3, number, 0u8..16).prop_map(
        |(what, tenant, slot, number, tweak)| Change {
            what,
            tenant,
            slot,
            number,
            tweak,
        },
    )
}

fn step(matter: Matter) -> impl Strategy<Value = Step> {
    let (schedules, outbox) = match matter {
        Matter::All => (1, 1),
        Matter::Secrets => (0, 0),
        Matter::Schedules => (3, 0),
        Matter::Outbox => (0, 6),
    };
    let changes = prop::collection::vec(change(matter), 1..4);
    prop_oneof![
        12 => (changes, any::<bool>()).prop_map(|(changes, audit)| Step::Commit(changes, audit)),
        schedules => any::<u8>().prop_map(Step::ClaimAssignments),
        schedules => any::<u8>().prop_map(Step::ClaimRotations),
        schedules => (0u8..3, any::<u8>()).prop_map(|(slot, t)| Step::ClaimRotation(slot, t)),
        outbox => (any::<u8>(), any::<bool>()).prop_map(|(t, busy)| Step::ClaimDeliveries(t, busy)),
        1 => Just(Step::Reopen),
    ]
}

pub(super) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let matters = [
        Matter::All,
        Matter::Secrets,
        Matter::Schedules,
        Matter::Outbox,
    ];
    prop::sample::select(matters.to_vec())
        .prop_flat_map(move |matter| prop::collection::vec(step(matter), 1..count))
}
