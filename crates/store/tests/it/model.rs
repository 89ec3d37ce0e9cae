//! Any sequence of changes, claims and reopenings means the same to SQLite as to the plain store in
//! memory: every answer and, after every step, every read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use scaivault_core::audit::AuditFilter;
use scaivault_core::delivery::DeliveryState;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::{
    Op, Record, RecordKind, RotationFilter, SecretFilter, Store, Unit, UnitName,
};
use scaivault_core::rotation::Phase;
use scaivault_core::secret::{SecretType, VersionState};
use scaivault_core::time::Timestamp;
use scaivault_testkit::MemoryStore;
use scaivault_testkit::store_conformance::samples::{
    T0, assignment, at, audit, binding, delivery, event, identity, key, path, policy, read,
    rotation, rotation_policy, sealed, secret, subscription, tenant, token, version, webhook,
};

use crate::support::temporary;

/// One change: what, to which row, with which number, and how the row differs.
#[derive(Debug, Clone)]
struct Change {
    what: What,
    tenant: bool,
    slot: u8,
    number: Number,
    tweak: u8,
}

#[derive(Debug, Clone, Copy)]
enum What {
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
}

/// Which revision is written, seen from the stored one.
#[derive(Debug, Clone, Copy)]
enum Number {
    Next,
    First,
    Same,
    Skip,
}

#[derive(Debug, Clone)]
enum Step {
    Commit(Vec<Change>, bool),
    ClaimAssignments(u8),
    ClaimRotations(u8),
    ClaimRotation(u8, u8),
    ClaimDeliveries(u8, bool),
    Reopen,
}

/// What one run is about. A run about few things meets itself more often.
#[derive(Debug, Clone, Copy)]
enum Matter {
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
            Kind::RotationPolicy,
            Kind::Assignment,
            Kind::Rotation,
            Kind::Webhook,
            Kind::Subscription,
            Kind::Delivery,
            Kind::Key,
        ]),
        Matter::Secrets => of(&[Kind::Secret, Kind::Version]),
        Matter::Schedules => of(&[Kind::Assignment, Kind::Rotation]),
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

fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let matters = [
        Matter::All,
        Matter::Secrets,
        Matter::Schedules,
        Matter::Outbox,
    ];
    prop::sample::select(matters.to_vec())
        .prop_flat_map(move |matter| prop::collection::vec(step(matter), 1..count))
}

const PATHS: [&str; 3] = ["app/db", "app/db/x", "web"];
const RECEIVERS: [&str; 3] = ["wh_1", "sub_1", "sub_2"];

/// Makes the op a change stands for, by the state of the model.
async fn resolve(model: &dyn Store, change: &Change, serial: u64) -> Op {
    let owner = tenant(if change.tenant { "a" } else { "b" });
    let (slot, tweak) = (usize::from(change.slot), i64::from(change.tweak));
    let (name, of) = (change.slot.to_string(), PATHS[slot]);
    // Times differ between rows, so that no order is left open.
    let unlike = i64::from(change.slot) + if change.tenant { 3 } else { 0 };
    let time = (tweak % 3 != 0).then(|| at(tweak * 8 + unlike));
    let next = |stored: Option<u64>| match change.number {
        Number::Next => stored.unwrap_or(0) + 1,
        Number::First => 1,
        Number::Same => stored.unwrap_or(2),
        Number::Skip => stored.unwrap_or(0) + 2,
    };
    let (grants, rotates) = (policy(&owner, &name), rotation_policy(&owner, &name));
    let kind = match change.what {
        What::Put(kind) | What::Delete(kind) => kind,
        _ => RecordKind::Key,
    };
    let record = match kind {
        RecordKind::Secret => {
            let mut row = secret(&owner, of);
            row.secret_type = SecretType::ALL[change.slot as usize];
            row.metadata.tags = (0..tweak % 3).map(|n| format!("t{n}")).collect();
            row.current_version = (tweak % 4).unsigned_abs();
            row.expires_at = time;
            row.recoverable_until = (tweak % 5 == 0).then(|| at(unlike));
            let stored = model.secret_find(&owner, &path(of)).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Secret(row)
        }
        RecordKind::Version => {
            let mut row = version(&owner, of, tweak.unsigned_abs() % 3);
            row.state = VersionState::Closed;
            let rows = model.version_list(&owner, &path(of)).await.unwrap();
            let stored = rows.iter().find(|stored| stored.version == row.version);
            row.revision = next(stored.map(|row| row.revision));
            Record::Version(row)
        }
        RecordKind::Policy => {
            let mut row = grants;
            row.is_active = tweak % 2 == 0;
            row.name = format!("name {}", tweak % 4);
            let stored = model.policy_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Policy(row)
        }
        RecordKind::Binding => {
            let mut row = binding(&grants, &name, ["user:x", "group:y"][slot % 2]);
            row.policy_id = policy(&owner, &(tweak % 3).to_string()).id;
            let stored = model.binding_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Binding(row)
        }
        RecordKind::Token => {
            let mut row = token(&owner, &name);
            row.hash.0 = [u8::try_from(tweak % 5).unwrap(); 32];
            let stored = model.token_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Token(row)
        }
        RecordKind::RotationPolicy => {
            let mut row = rotates;
            row.is_active = tweak % 2 == 0;
            row.name = format!("name {}", tweak % 4);
            let stored = model.rotation_policy_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::RotationPolicy(row)
        }
        RecordKind::Assignment => {
            let mut row = assignment(&rotation_policy(&owner, &(tweak % 2).to_string()), of, time);
            row.next_rotation_at = at(unlike);
            let stored = model.assignment_find(&owner, &row.path).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Assignment(row)
        }
        RecordKind::Rotation => {
            let mut row = rotation(&rotates, &name, PATHS[tweak as usize % 3], time);
            row.phase = Phase::ALL[tweak as usize % 10];
            let stored = model.rotation_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Rotation(row)
        }
        RecordKind::Webhook => {
            let mut row = webhook(&owner, &name);
            let stored = model.webhook_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Webhook(row)
        }
        RecordKind::Subscription => {
            let mut row = subscription(&owner, &name);
            let stored = model.subscription_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Subscription(row)
        }
        RecordKind::Delivery => {
            let position = unlike.unsigned_abs() + 1;
            let receiver = RECEIVERS[[0, 0, 1, 2][tweak as usize % 4]];
            let due = time.filter(|_| receiver.starts_with("wh"));
            let mut row = delivery(&owner, &name, receiver, position, due);
            row.state = match tweak {
                0..=10 => DeliveryState::Pending,
                11..=13 => DeliveryState::Success,
                _ => DeliveryState::Failed,
            };
            row.created_at = at(tweak);
            row.duration_ms = (tweak % 2 == 0).then_some(tweak.unsigned_abs());
            let stored = model.delivery_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Delivery(row)
        }
        RecordKind::Key => {
            let mut row = key(&name);
            let rows = model.key_list().await.unwrap();
            let stored = rows.iter().find(|stored| stored.id == row.id);
            row.revision = next(stored.map(|row| row.revision));
            Record::Key(row)
        }
    };
    match change.what {
        What::Put(_) => Op::Put(record),
        What::Delete(_) => Op::Delete(stored_like(record)),
        What::VersionInsert => Op::VersionInsert(sealed(&owner, of, tweak.unsigned_abs() % 3)),
        What::VersionDelete => Op::VersionDelete {
            tenant: owner,
            path: path(of),
            version: tweak.unsigned_abs() % 3,
        },
        What::SecretErase => {
            let stored = model.secret_find(&owner, &path(of)).await.unwrap();
            Op::SecretErase(stored.unwrap_or_else(|| secret(&owner, of)))
        }
        What::Emit => {
            let mut made = event(&owner, &serial.to_string(), (tweak % 4 != 0).then_some(of));
            made.at = at(tweak);
            Op::Emit(made)
        }
        What::FanOutAdvance => {
            let (mark, events) = model.fan_out_pending(2).await.unwrap();
            let to = events.last().map_or(mark, |event| event.position);
            Op::FanOutAdvance {
                from: if tweak == 0 { mark + 1 } else { mark },
                to,
            }
        }
        What::AssignmentsWake => Op::AssignmentsWake {
            tenant: owner.clone(),
            policy_id: rotation_policy(&owner, &(tweak % 2).to_string()).id,
            at: at(tweak),
        },
        What::BufferTrim => Op::BufferTrim {
            receiver: RECEIVERS[slot].to_owned(),
            keep: u32::from(change.tweak) % 3,
        },
        What::EventsPrune => Op::EventsPrune { before: at(tweak) },
    }
}

/// A put's record with the number its row has now, so that deleting it mostly fits.
fn stored_like(mut record: Record) -> Record {
    let back = |revision: &mut u64| *revision = revision.saturating_sub(1).max(1);
    match &mut record {
        Record::Secret(row) => back(&mut row.revision),
        Record::Version(row) => back(&mut row.revision),
        Record::Policy(row) => back(&mut row.revision),
        Record::Binding(row) => back(&mut row.revision),
        Record::Token(row) => back(&mut row.revision),
        Record::RotationPolicy(row) => back(&mut row.revision),
        Record::Assignment(row) => back(&mut row.revision),
        Record::Rotation(row) => back(&mut row.revision),
        Record::Webhook(row) => back(&mut row.revision),
        Record::Subscription(row) => back(&mut row.revision),
        Record::Delivery(row) => back(&mut row.revision),
        Record::Key(row) => back(&mut row.revision),
    }
    record
}

/// Everything there is to read, as text.
async fn look(store: &dyn Store) -> Vec<String> {
    let mut seen = Vec::new();
    macro_rules! see {
        ($($name:ident($($arg:expr),*);)*) => {
            $(seen.push(format!("{}: {:#?}", stringify!($name), store.$name($($arg),*).await.unwrap()));)*
        };
    }
    for owner in ["a", "b"].map(tenant) {
        look_in(store, &owner, &mut seen).await;
    }
    see! {
        secret_purgeable(at(100), 99);
        secret_counts();
        fan_out_pending(99);
        key_list();
        next_work();
        audit_summary(&AuditFilter::default());
    }
    for hash in 0..5 {
        see! { token_by_hash(&scaivault_core::identity::TokenHash([hash; 32])); }
    }
    let page = store
        .audit_query(&AuditFilter::default(), None, 999)
        .await
        .unwrap();
    seen.extend(
        page.rows
            .iter()
            .map(|stored| format!("{} {:?}", stored.seq, stored.row)),
    );
    let report = store.audit_verify().await.unwrap();
    seen.push(format!("{} {:?}", report.rows, report.first_bad));
    seen
}

async fn look_in(store: &dyn Store, owner: &TenantId, seen: &mut Vec<String>) {
    macro_rules! see {
        ($($name:ident($($arg:expr),*);)*) => {
            $(seen.push(format!("{}: {:#?}", stringify!($name), store.$name($($arg),*).await.unwrap()));)*
        };
    }
    let all = SecretFilter {
        include_deleted: true,
        ..SecretFilter::default()
    };
    let tagged = SecretFilter {
        tag: Some("t1".into()),
        ..SecretFilter::default()
    };
    let ending = SecretFilter {
        expires_before: Some(at(60)),
        ..all.clone()
    };
    let kind = SecretFilter {
        secret_type: Some(SecretType::Json),
        prefix: "app/".into(),
        ..SecretFilter::default()
    };
    for filter in [&all, &tagged, &ending, &kind] {
        see! {
            secret_list(owner, filter, None, 99);
            secret_list(owner, filter, Some("app/db"), 1);
        }
    }
    for of in PATHS.map(path) {
        see! {
            secret_open(owner, &of, None);
            secret_open(owner, &of, Some(1));
            version_list(owner, &of);
            assignment_find(owner, &of);
            consumer_list(owner, &of);
            rotation_list(owner, &RotationFilter { path: Some(of.clone()), ..RotationFilter::default() }, None, 9);
        }
    }
    see! {
        policy_list(owner, true, None, 99);
        policy_list(owner, false, Some("pol_0"), 1);
        grants(owner, &[identity("user:x"), identity("group:y")]);
        token_list(owner, None, 99);
        rotation_policy_list(owner, true, None, 99);
        rotation_policy_list(owner, false, None, 99);
        assignment_due(owner, at(3), None, 99);
        rotation_list(owner, &RotationFilter::default(), None, 99);
        rotation_list(owner, &RotationFilter { phases: vec![Phase::Draining, Phase::Parked], ..RotationFilter::default() }, Some("rtn_2"), 99);
        webhook_list(owner);
        subscription_list(owner);
    }
    for (n, receiver) in RECEIVERS.iter().enumerate() {
        let name = n.to_string();
        let (grants, rotates) = (policy(owner, &name).id, rotation_policy(owner, &name).id);
        see! {
            binding_list(owner, &grants);
            assignment_list(owner, &rotates, None, 99);
            assignment_count(owner, &rotates);
            delivery_list(owner, receiver, None, None, 99);
            delivery_list(owner, receiver, Some(DeliveryState::Pending), Some("del_2"), 99);
            delivery_stats(owner, receiver, at(5));
            delivery_unacked(owner, &subscription(owner, &name).id, 1, 99);
        }
    }
}

async fn open(place: Option<&Path>) -> Arc<dyn Store> {
    match place {
        Some(file) => Arc::new(crate::support::at(file).await),
        None => Arc::new(temporary().await),
    }
}

/// Runs the steps on both. `place` is where the store is opened again.
async fn run(steps: Vec<Step>, place: Option<&Path>) {
    let model: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let mut store = open(place).await;
    let hold = Duration::from_secs(20);
    for (serial, step) in (0u64..).zip(steps) {
        let now = |t: u8| Timestamp::from_secs(T0.as_secs() + i64::from(t));
        match step {
            Step::Commit(changes, audited) => {
                let mut unit = Unit::new(UnitName::SecretWrite);
                for (n, change) in (0..).zip(&changes) {
                    unit.ops
                        .push(resolve(&*model, change, serial * 10 + n).await);
                    let secs = i64::from(change.tweak) * 2;
                    let owner = tenant(if change.tenant { "a" } else { "b" });
                    let of = PATHS[usize::from(change.slot)];
                    if audited {
                        unit.audit.push(audit(&owner, secs, "user:x", Some(of)));
                        unit.reads.push(read(&owner, of, 1, "sa:x", secs));
                    }
                }
                assert_eq!(
                    store.commit(unit.clone()).await,
                    model.commit(unit.clone()).await,
                    "{unit:?}"
                );
            }
            Step::ClaimAssignments(t) => {
                let claims = [&store, &model].map(|of| of.assignment_claim(now(t), hold, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.path.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.path.clone()));
                assert_eq!(got, want);
            }
            Step::ClaimRotations(t) => {
                let claims = [&store, &model].map(|of| of.rotation_claim(now(t), hold, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                assert_eq!(got, want);
            }
            Step::ClaimRotation(slot, t) => {
                let row = rotation(
                    &rotation_policy(&tenant("a"), "1"),
                    &slot.to_string(),
                    "s",
                    None,
                );
                let claim = |of: Arc<dyn Store>| {
                    let row = row.clone();
                    async move {
                        of.rotation_claim_one(&row.tenant, &row.id, now(t), hold)
                            .await
                    }
                };
                assert_eq!(claim(store.clone()).await, claim(model.clone()).await);
            }
            Step::ClaimDeliveries(t, busy) => {
                let busy: Vec<String> = if busy { vec!["wh_1".into()] } else { vec![] };
                let claims = [&store, &model].map(|of| of.delivery_claim(now(t), hold, &busy, 99));
                let [mut got, mut want] = both(claims).await;
                got.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                want.sort_by_key(|row| (row.tenant.clone(), row.id.clone()));
                assert_eq!(got, want);
            }
            Step::Reopen if place.is_some() => {
                drop(store);
                store = open(place).await;
            }
            Step::Reopen => {}
        }
    }
    let (got, want) = (look(&*store).await, look(&*model).await);
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), want.len());
}

async fn both<T, F>(claims: [F; 2]) -> [Vec<T>; 2]
where
    F: Future<Output = Result<Vec<T>, scaivault_core::ports::CommitError>>,
{
    let [store, model] = claims;
    [store.await.unwrap(), model.await.unwrap()]
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn it_means_the_same_as_the_plain_store(steps in steps(60)) {
        block_on(run(steps, None));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn also_when_it_is_closed_in_between(steps in steps(40)) {
        let directory = tempfile::tempdir().unwrap();
        block_on(run(steps, Some(&directory.path().join("store.db"))));
    }
}
