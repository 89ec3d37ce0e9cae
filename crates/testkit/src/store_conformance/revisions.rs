//! Every write says which number it makes; a write that does not fit is a conflict and changes
//! nothing. Unique fields are unique.

use scaivault_core::ports::{CommitError, Op, Record, RecordKind, Unit, UnitName};

use super::samples::{
    T0, assignment, at, audit_export, audit_forward, binding, campaign, cubby, debt, delivery,
    engine, engine_role, group_turn, key, lease, machine_role, mount, partner, path, policy,
    rotation, rotation_policy, sealed, secret, secret_id, secret_policy, subscription, target,
    tenant, tenant_row, token, transit_key, version, webhook,
};
use super::{Subject, commit, put};

/// The record with this number.
fn numbered(mut record: Record, revision: u64) -> Record {
    let field = match &mut record {
        Record::Secret(row) => &mut row.revision,
        Record::Version(row) => &mut row.revision,
        Record::Policy(row) => &mut row.revision,
        Record::Binding(row) => &mut row.revision,
        Record::Token(row) => &mut row.revision,
        Record::MachineRole(row) => &mut row.revision,
        Record::SecretId(row) => &mut row.revision,
        Record::RotationPolicy(row) => &mut row.revision,
        Record::Assignment(row) => &mut row.revision,
        Record::Rotation(row) => &mut row.revision,
        Record::Target(row) => &mut row.revision,
        Record::SecretPolicy(row) => &mut row.revision,
        Record::GroupTurn(row) => &mut row.revision,
        Record::Campaign(row) => &mut row.revision,
        Record::AuditExport(row) => &mut row.revision,
        Record::AuditForward(row) => &mut row.revision,
        Record::Mount(row) => &mut row.revision,
        Record::Cubby(row) => &mut row.revision,
        Record::Transit(row) => &mut row.revision,
        Record::Debt(row) => &mut row.revision,
        Record::Webhook(row) => &mut row.revision,
        Record::Subscription(row) => &mut row.revision,
        Record::Delivery(row) => &mut row.revision,
        Record::Key(row) => &mut row.revision,
        Record::Partner(row) => &mut row.revision,
        Record::Tenant(row) => &mut row.revision,
        Record::Engine(row) => &mut row.revision,
        Record::Role(row) => &mut row.revision,
        Record::Lease(row) => &mut row.revision,
    };
    *field = revision;
    record
}

/// The stored row of this record's key.
async fn stored(store: &Subject, record: &Record) -> Option<Record> {
    match record {
        Record::Secret(row) => store
            .secret_find(&row.tenant, &row.path)
            .await
            .unwrap()
            .map(Record::Secret),
        Record::Version(row) => {
            let rows = store.version_list(&row.tenant, &row.path).await.unwrap();
            rows.into_iter()
                .find(|found| found.version == row.version)
                .map(Record::Version)
        }
        Record::Policy(row) => store
            .policy_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Policy),
        Record::Binding(row) => store
            .binding_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Binding),
        Record::Token(row) => store
            .token_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Token),
        Record::MachineRole(row) => store
            .machine_role_named(&row.tenant, &row.name)
            .await
            .unwrap()
            .map(Record::MachineRole),
        Record::SecretId(row) => store
            .secret_id_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::SecretId),
        Record::RotationPolicy(row) => store
            .rotation_policy_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::RotationPolicy),
        Record::Assignment(row) => store
            .assignment_find(&row.tenant, &row.path)
            .await
            .unwrap()
            .map(Record::Assignment),
        Record::Rotation(row) => store
            .rotation_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Rotation),
        Record::Target(row) => store
            .target_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Target),
        Record::SecretPolicy(row) => store
            .secret_policy_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::SecretPolicy),
        Record::GroupTurn(row) => store
            .group_turn(&row.tenant, &row.group)
            .await
            .unwrap()
            .map(Record::GroupTurn),
        Record::Campaign(row) => store
            .campaign_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Campaign),
        Record::Mount(row) => {
            let rows = store.mount_list(&row.tenant).await.unwrap();
            let found = rows.into_iter().find(|found| found.path == row.path);
            found.map(Record::Mount)
        }
        Record::Cubby(row) => store
            .cubby_find(&row.tenant, &row.token_id, &row.path)
            .await
            .unwrap()
            .map(Record::Cubby),
        Record::Transit(row) => store
            .transit_find(&row.tenant, &row.mount, &row.name)
            .await
            .unwrap()
            .map(Record::Transit),
        Record::AuditExport(row) => store
            .audit_export_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::AuditExport),
        Record::AuditForward(row) => store
            .audit_forward_find(&row.name)
            .await
            .unwrap()
            .map(Record::AuditForward),
        Record::Debt(row) => store
            .debt_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Debt),
        Record::Webhook(row) => store
            .webhook_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Webhook),
        Record::Subscription(row) => store
            .subscription_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Subscription),
        Record::Delivery(row) => store
            .delivery_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Delivery),
        Record::Partner(row) => store
            .partner_find(&row.id)
            .await
            .unwrap()
            .map(Record::Partner),
        Record::Tenant(row) => store
            .tenant_find(&row.id)
            .await
            .unwrap()
            .map(Record::Tenant),
        Record::Engine(row) => store
            .engine_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Engine),
        Record::Role(row) => store
            .role_find(&row.tenant, &row.engine_id, &row.name)
            .await
            .unwrap()
            .map(Record::Role),
        Record::Lease(row) => store
            .lease_find(&row.tenant, &row.id)
            .await
            .unwrap()
            .map(Record::Lease),
        Record::Key(row) => {
            let rows = store.key_list().await.unwrap();
            rows.into_iter()
                .find(|found| found.id == row.id)
                .map(Record::Key)
        }
    }
}

async fn conflicts(store: &Subject, op: Op, kind: RecordKind) {
    let unit = Unit::new(UnitName::SecretWrite).op(op.clone());
    let answer = store.commit(unit).await;
    assert_eq!(answer, Err(CommitError::Conflict(kind)), "{op:?}");
}

/// The life of one row. `first` inserts it with revision 1.
async fn check(store: Subject, first: Op, record: Record) {
    let kind = record.kind();
    for absent in [1, 2, 7].map(|revision| numbered(record.clone(), revision)) {
        conflicts(&store, Op::Delete(absent), kind).await;
    }
    conflicts(&store, Op::Put(numbered(record.clone(), 2)), kind).await;
    conflicts(&store, Op::Put(numbered(record.clone(), 0)), kind).await;
    assert_eq!(stored(&store, &record).await, None);

    commit(&store, [first.clone()]).await;
    assert_eq!(stored(&store, &record).await, Some(record.clone()));
    conflicts(&store, first, kind).await;

    let second = numbered(record.clone(), 2);
    commit(&store, [Op::Put(second.clone())]).await;
    assert_eq!(stored(&store, &record).await, Some(second.clone()));
    for stale in [0, 1, 2, 4].map(|revision| numbered(record.clone(), revision)) {
        conflicts(&store, Op::Put(stale), kind).await;
    }
    for stale in [1, 3].map(|revision| numbered(record.clone(), revision)) {
        conflicts(&store, Op::Delete(stale), kind).await;
    }
    assert_eq!(stored(&store, &record).await, Some(second.clone()));

    commit(&store, [Op::Delete(second.clone())]).await;
    assert_eq!(stored(&store, &record).await, None);
    conflicts(&store, Op::Delete(second.clone()), kind).await;
    conflicts(&store, Op::Put(numbered(record, 3)), kind).await;
}

async fn check_put(store: Subject, record: Record) {
    check(store, Op::Put(record.clone()), record).await;
}

pub async fn secret_revisions(store: Subject) {
    check_put(store, Record::Secret(secret(&tenant("a"), "app/db"))).await;
}

pub async fn version_revisions(store: Subject) {
    let first = Op::VersionInsert(sealed(&tenant("a"), "app/db", 1));
    let record = Record::Version(version(&tenant("a"), "app/db", 1));
    conflicts(&store, Op::Put(record.clone()), RecordKind::Version).await;
    check(store, first, record).await;
}

pub async fn policy_revisions(store: Subject) {
    check_put(store, Record::Policy(policy(&tenant("a"), "1"))).await;
}

pub async fn binding_revisions(store: Subject) {
    let policy = policy(&tenant("a"), "1");
    check_put(store, Record::Binding(binding(&policy, "1", "group:sre"))).await;
}

pub async fn token_revisions(store: Subject) {
    check_put(store, Record::Token(token(&tenant("a"), "1"))).await;
}

pub async fn rotation_policy_revisions(store: Subject) {
    check_put(
        store,
        Record::RotationPolicy(rotation_policy(&tenant("a"), "1")),
    )
    .await;
}

pub async fn assignment_revisions(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    check_put(
        store,
        Record::Assignment(assignment(&policy, "app/db", Some(T0))),
    )
    .await;
}

pub async fn rotation_revisions(store: Subject) {
    let policy = rotation_policy(&tenant("a"), "1");
    check_put(
        store,
        Record::Rotation(rotation(&policy, "1", "app/db", Some(T0))),
    )
    .await;
}

pub async fn target_revisions(store: Subject) {
    check_put(store, Record::Target(target(&tenant("a"), "1"))).await;
}

pub async fn partner_and_tenant_revisions(store: Subject) {
    let of = partner("1");
    check_put(store.clone(), Record::Partner(of.clone())).await;
    check_put(store, Record::Tenant(tenant_row(&of.id, "1"))).await;
}

pub async fn machine_revisions(store: Subject) {
    let role = machine_role(&tenant("a"), "1");
    check_put(store.clone(), Record::MachineRole(role.clone())).await;
    check_put(store, Record::SecretId(secret_id(&role, "1"))).await;
}

pub async fn secret_policy_revisions(store: Subject) {
    check_put(
        store,
        Record::SecretPolicy(secret_policy(&tenant("a"), "1")),
    )
    .await;
}

pub async fn engine_role_and_lease_revisions(store: Subject) {
    let of = engine(&tenant("a"), "1");
    check_put(store.clone(), Record::Engine(of.clone())).await;
    check_put(store.clone(), Record::Role(engine_role(&of, "reader"))).await;
    check_put(store, Record::Lease(lease(&of, "1", Some(T0)))).await;
}

pub async fn group_turn_revisions(store: Subject) {
    check_put(store, Record::GroupTurn(group_turn(&tenant("a"), "g"))).await;
}

pub async fn transit_revisions(store: Subject) {
    check_put(store, Record::Transit(transit_key(&tenant("a"), "1", None))).await;
}

pub async fn mount_revisions(store: Subject) {
    check_put(store.clone(), Record::Mount(mount(&tenant("a"), "1"))).await;
    let kept = cubby(&token(&tenant("a"), "1"), "a/b");
    check_put(store, Record::Cubby(kept)).await;
}

pub async fn audit_export_revisions(store: Subject) {
    check_put(
        store,
        Record::AuditExport(audit_export(&tenant("a"), "1", None)),
    )
    .await;
}

pub async fn audit_forward_revisions(store: Subject) {
    check_put(store, Record::AuditForward(audit_forward("siem"))).await;
}

pub async fn campaign_revisions(store: Subject) {
    check_put(store, Record::Campaign(campaign(&tenant("a"), "1", None))).await;
}

pub async fn debt_revisions(store: Subject) {
    check_put(store, Record::Debt(debt(&tenant("a"), "1", None))).await;
}

pub async fn webhook_revisions(store: Subject) {
    check_put(store, Record::Webhook(webhook(&tenant("a"), "1"))).await;
}

pub async fn subscription_revisions(store: Subject) {
    check_put(store, Record::Subscription(subscription(&tenant("a"), "1"))).await;
}

pub async fn delivery_revisions(store: Subject) {
    let row = delivery(&tenant("a"), "1", "wh_1", 1, Some(T0));
    check_put(store, Record::Delivery(row)).await;
}

pub async fn key_revisions(store: Subject) {
    check_put(store, Record::Key(key("1"))).await;
}

/// A value is written once: neither a second insert nor one with another number replaces it.
pub async fn versions_are_inserted_once(store: Subject) {
    let a = tenant("a");
    let mut late = sealed(&a, "app/db", 1);
    late.version.revision = 2;
    conflicts(&store, Op::VersionInsert(late.clone()), RecordKind::Version).await;
    commit(&store, [Op::Put(Record::Secret(secret(&a, "app/db")))]).await;
    commit(&store, [Op::VersionInsert(sealed(&a, "app/db", 1))]).await;
    conflicts(&store, Op::VersionInsert(late), RecordKind::Version).await;
    let mut other = sealed(&a, "app/db", 1);
    other.sealed.0 = vec![0];
    conflicts(&store, Op::VersionInsert(other), RecordKind::Version).await;
    let (_, found) = store
        .secret_open(&a, &path("app/db"), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, Some(sealed(&a, "app/db", 1)));
}

pub async fn names_and_hashes_are_unique(store: Subject) {
    let a = tenant("a");
    let duplicate = |record: Record, field| {
        let store = store.clone();
        async move {
            let kind = record.kind();
            let answer = store
                .commit(Unit::new(UnitName::PolicyWrite).put(record))
                .await;
            assert_eq!(answer, Err(CommitError::Duplicate(kind, field)));
        }
    };
    let (p1, p2) = (policy(&a, "1"), policy(&a, "2"));
    let (r1, r2) = (rotation_policy(&a, "1"), rotation_policy(&a, "2"));
    let (t1, t2) = (token(&a, "1"), token(&a, "2"));
    put(&store, [p1.clone(), p2.clone()].map(Record::Policy)).await;
    put(&store, [r1.clone(), r2.clone()].map(Record::RotationPolicy)).await;
    put(&store, [t1.clone(), t2.clone()].map(Record::Token)).await;

    let mut new = policy(&a, "3");
    new.name.clone_from(&p1.name);
    duplicate(Record::Policy(new), "name").await;
    let mut renamed = p2.clone();
    (renamed.name, renamed.revision) = (p1.name.clone(), 2);
    duplicate(Record::Policy(renamed), "name").await;

    let mut new = rotation_policy(&a, "3");
    new.name.clone_from(&r1.name);
    duplicate(Record::RotationPolicy(new), "name").await;
    let mut renamed = r2.clone();
    (renamed.name, renamed.revision) = (r1.name.clone(), 2);
    duplicate(Record::RotationPolicy(renamed), "name").await;

    let (e1, e2) = (engine(&a, "1"), engine(&a, "2"));
    put(&store, [e1.clone(), e2.clone()].map(Record::Engine)).await;
    let mut new = engine(&a, "3");
    new.name.clone_from(&e1.name);
    duplicate(Record::Engine(new), "name").await;
    let mut renamed = e2.clone();
    (renamed.name, renamed.revision) = (e1.name.clone(), 2);
    duplicate(Record::Engine(renamed), "name").await;

    let (s1, s2) = (secret_policy(&a, "1"), secret_policy(&a, "2"));
    put(&store, [s1.clone(), s2.clone()].map(Record::SecretPolicy)).await;
    let mut new = secret_policy(&a, "3");
    new.name.clone_from(&s1.name);
    duplicate(Record::SecretPolicy(new), "name").await;
    let mut renamed = s2.clone();
    (renamed.name, renamed.revision) = (s1.name.clone(), 2);
    duplicate(Record::SecretPolicy(renamed), "name").await;

    let mut new = token(&tenant("b"), "3");
    new.hash = t1.hash;
    duplicate(Record::Token(new), "hash").await;
    let mut changed = t2.clone();
    (changed.hash, changed.revision) = (t1.hash, 2);
    duplicate(Record::Token(changed), "hash").await;

    let b = tenant("b");
    let (m1, m2) = (machine_role(&a, "1"), machine_role(&a, "2"));
    put(&store, [m1.clone(), m2.clone()].map(Record::MachineRole)).await;
    let mut new = machine_role(&b, "3");
    new.role_id.clone_from(&m1.role_id);
    duplicate(Record::MachineRole(new), "role_id").await;
    let mut changed = m2.clone();
    (changed.role_id, changed.revision) = (m1.role_id.clone(), 2);
    duplicate(Record::MachineRole(changed), "role_id").await;
    put(&store, [Record::SecretId(secret_id(&m1, "1"))]).await;
    let mut new = secret_id(&machine_role(&b, "1"), "3");
    new.hash = secret_id(&m1, "1").hash;
    duplicate(Record::SecretId(new), "hash").await;

    // The same name in another tenant, and a row that keeps its own, are no duplicates.
    let mut elsewhere = policy(&tenant("b"), "1");
    elsewhere.name.clone_from(&p1.name);
    let mut kept = p1.clone();
    (kept.updated_at, kept.revision) = (at(1), 2);
    put(&store, [Record::Policy(elsewhere), Record::Policy(kept)]).await;

    // A row that is there already is a conflict, whatever its name.
    conflicts(&store, Op::Put(Record::Policy(p1)), RecordKind::Policy).await;
    conflicts(&store, Op::Put(Record::Token(t1)), RecordKind::Token).await;
}

pub async fn a_name_is_free_again_after_its_owner_is_gone(store: Subject) {
    let (old, mut new) = (policy(&tenant("a"), "1"), policy(&tenant("a"), "2"));
    new.name.clone_from(&old.name);
    put(&store, [Record::Policy(old.clone())]).await;
    commit(
        &store,
        [
            Op::Delete(Record::Policy(old)),
            Op::Put(Record::Policy(new.clone())),
        ],
    )
    .await;
    assert_eq!(
        store.policy_find(&new.tenant, &new.id).await.unwrap(),
        Some(new)
    );
}
