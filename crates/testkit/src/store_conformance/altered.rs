//! Rows that somebody without the store's key changed: one of every kind, how it is found in the
//! database, and how it is read. What is done to it is said in SQL, by the tests of each engine.

use scaivault_core::audit::Action;
use scaivault_core::dynamic::Role;
use scaivault_core::expiry::{Notice, Plan};
use scaivault_core::machine::MachineRole;
use scaivault_core::ports::{Op, ReadError, Record, Store, Unit, UnitName};
use scaivault_core::secret::{Version, VersionState};

use super::samples::*;

/// Every kind of document, and the columns of its row's key. The last of them is what differs
/// between the rows here.
pub const KINDS: &[(&str, &[&str])] = &[
    ("partner", &["id"]),
    ("tenant", &["id"]),
    ("secret", &["tenant", "path"]),
    ("version", &["tenant", "path"]),
    ("policy", &["tenant", "id"]),
    ("binding", &["tenant", "id"]),
    ("token", &["tenant", "id"]),
    ("machine_role", &["tenant", "name"]),
    ("secret_id", &["tenant", "id"]),
    ("rotation_policy", &["tenant", "id"]),
    ("secret_policy", &["tenant", "id"]),
    ("target", &["tenant", "id"]),
    ("assignment", &["tenant", "path"]),
    ("rotation", &["tenant", "id"]),
    ("group_turn", &["tenant", "name"]),
    ("campaign", &["tenant", "id"]),
    ("audit_export", &["tenant", "id"]),
    ("audit_forward", &["name"]),
    ("mount", &["tenant", "path"]),
    ("cubby", &["tenant", "path"]),
    ("transit_key", &["tenant", "name"]),
    ("debt", &["tenant", "id"]),
    ("engine", &["tenant", "id"]),
    ("engine_role", &["tenant", "name"]),
    ("lease", &["tenant", "id"]),
    ("webhook", &["tenant", "id"]),
    ("subscription", &["tenant", "id"]),
    ("event", &["tenant", "id"]),
    ("delivery", &["tenant", "id"]),
];

/// A row of every kind, all named after `n`, with a row in the trail.
///
/// # Panics
/// When it is not taken.
pub async fn fill(store: &dyn Store, n: &str) {
    let a = tenant("a");
    let partner = partner(n);
    let rotates = rotation_policy(&a, n);
    let grants = policy(&a, n);
    let role = machine_role(&a, n);
    let makes = engine(&a, "1");
    let here = format!("s/{n}");
    let mut unit = Unit::new(UnitName::SecretWrite)
        .op(Op::VersionInsert(sealed(&a, &here, 1)))
        .emit(event(&a, n, Some(&here)))
        .audited(audit(&a, 0, "user:x", None));
    let tenant_row = tenant_row(&partner.id, n);
    let records = [
        Record::Secret(secret(&a, &here)),
        Record::Binding(binding(&grants, n, "user:x")),
        Record::Policy(grants),
        Record::Token(token(&a, n)),
        Record::SecretId(secret_id(&role, n)),
        Record::MachineRole(role),
        Record::SecretPolicy(secret_policy(&a, n)),
        Record::Target(target(&a, n)),
        Record::Assignment(assignment(&rotates, &here, Some(T0))),
        Record::Rotation(rotation(&rotates, n, &here, Some(T0))),
        Record::RotationPolicy(rotates),
        Record::GroupTurn(group_turn(&a, n)),
        Record::Campaign(campaign(&a, n, None)),
        Record::AuditExport(audit_export(&a, n, None)),
        Record::AuditForward(audit_forward(n)),
        Record::Mount(mount(&a, n)),
        Record::Cubby(cubby(&token(&a, "1"), n)),
        Record::Transit(transit_key(&a, n, None)),
        Record::Debt(debt(&a, n, None)),
        Record::Lease(lease(&makes, n, None)),
        Record::Role(engine_role(&makes, n)),
        Record::Engine(engine(&a, n)),
        Record::Webhook(webhook(&a, n)),
        Record::Subscription(subscription(&a, n)),
        Record::Delivery(delivery(&a, n, "wh_1", 1, Some(T0))),
        Record::Tenant(tenant_row),
        Record::Partner(partner),
    ];
    for record in records {
        unit = unit.put(record);
    }
    store.commit(unit).await.expect("the rows are taken");
}

/// What the last column of the key holds in the row named after `n`.
pub fn key(table: &str, n: &str) -> String {
    let a = tenant("a");
    let of = rotation_policy(&a, n);
    let here = format!("s/{n}");
    match table {
        "partner" => partner(n).id.to_string(),
        "tenant" => tenant(n).to_string(),
        "secret" | "version" | "assignment" => here,
        "policy" => policy(&a, n).id.to_string(),
        "binding" => binding(&policy(&a, n), n, "user:x").id.to_string(),
        "token" => token(&a, n).id.to_string(),
        "machine_role" => machine_role(&a, n).name,
        "secret_id" => secret_id(&machine_role(&a, n), n).id.to_string(),
        "rotation_policy" => of.id.to_string(),
        "secret_policy" => secret_policy(&a, n).id.to_string(),
        "target" => target(&a, n).id.to_string(),
        "rotation" => rotation(&of, n, &here, None).id.to_string(),
        "campaign" => campaign(&a, n, None).id.to_string(),
        "audit_export" => audit_export(&a, n, None).id.to_string(),
        "debt" => debt(&a, n, None).id.to_string(),
        "engine" => engine(&a, n).id.to_string(),
        "lease" => lease(&engine(&a, "1"), n, None).id.to_string(),
        "webhook" => webhook(&a, n).id.to_string(),
        "subscription" => subscription(&a, n).id.to_string(),
        "event" => event(&a, n, None).id.to_string(),
        "delivery" => delivery(&a, n, "wh_1", 1, None).id.to_string(),
        "group_turn" | "engine_role" | "audit_forward" | "cubby" | "transit_key" => n.to_owned(),
        "mount" => mount(&a, n).path,
        other => panic!("no kind {other}: a table with documents is not covered here"),
    }
}

/// Reads the row of this kind that is named after `n`: whether it is there.
///
/// # Errors
/// As the store says.
pub async fn read(store: &dyn Store, table: &str, n: &str) -> Result<bool, ReadError> {
    let a = tenant("a");
    let of = rotation_policy(&a, n);
    let here = path(&format!("s/{n}"));
    let role = machine_role(&a, n);
    let makes = engine(&a, "1");
    Ok(match table {
        "partner" => store.partner_find(&partner(n).id).await?.is_some(),
        "tenant" => store.tenant_find(&tenant(n)).await?.is_some(),
        "secret" => store.secret_find(&a, &here).await?.is_some(),
        "version" => !store.version_list(&a, &here).await?.is_empty(),
        "policy" => store.policy_find(&a, &policy(&a, n).id).await?.is_some(),
        "binding" => {
            let id = binding(&policy(&a, n), n, "user:x").id;
            store.binding_find(&a, &id).await?.is_some()
        }
        "token" => store.token_find(&a, &token(&a, n).id).await?.is_some(),
        "machine_role" => store.machine_role_named(&a, &role.name).await?.is_some(),
        "secret_id" => {
            let id = secret_id(&role, n).id;
            store.secret_id_find(&a, &id).await?.is_some()
        }
        "rotation_policy" => store.rotation_policy_find(&a, &of.id).await?.is_some(),
        "secret_policy" => {
            let id = secret_policy(&a, n).id;
            store.secret_policy_find(&a, &id).await?.is_some()
        }
        "target" => store.target_find(&a, &target(&a, n).id).await?.is_some(),
        "assignment" => store.assignment_find(&a, &here).await?.is_some(),
        "rotation" => {
            let id = rotation(&of, n, "s", None).id;
            store.rotation_find(&a, &id).await?.is_some()
        }
        "group_turn" => store.group_turn(&a, n).await?.is_some(),
        "campaign" => {
            let id = campaign(&a, n, None).id;
            store.campaign_find(&a, &id).await?.is_some()
        }
        "audit_export" => {
            let id = audit_export(&a, n, None).id;
            store.audit_export_find(&a, &id).await?.is_some()
        }
        "audit_forward" => store.audit_forward_find(n).await?.is_some(),
        "mount" => !store.mount_list(&a).await?.is_empty(),
        "cubby" => {
            let of = token(&a, "1").id;
            store.cubby_find(&a, &of, n).await?.is_some()
        }
        "transit_key" => store.transit_find(&a, "transit", n).await?.is_some(),
        "debt" => store.debt_find(&a, &debt(&a, n, None).id).await?.is_some(),
        "engine" => store.engine_find(&a, &engine(&a, n).id).await?.is_some(),
        "engine_role" => store.role_find(&a, &makes.id, n).await?.is_some(),
        "lease" => {
            let id = lease(&makes, n, None).id;
            store.lease_find(&a, &id).await?.is_some()
        }
        "webhook" => store.webhook_find(&a, &webhook(&a, n).id).await?.is_some(),
        "subscription" => {
            let id = subscription(&a, n).id;
            store.subscription_find(&a, &id).await?.is_some()
        }
        "event" => {
            let id = event(&a, n, None).id;
            store.event_find(&a, &id).await?.is_some()
        }
        "delivery" => {
            let id = delivery(&a, n, "wh_1", 1, None).id;
            store.delivery_find(&a, &id).await?.is_some()
        }
        other => panic!("no kind {other}: a table with documents is not covered here"),
    })
}

/// Every queue whose rows are read in the order in which they are due, and the table of its rows.
pub const QUEUES: &[(&str, &str)] = &[
    ("debt", "debt"),
    ("token", "token"),
    ("campaign", "campaign"),
    ("export", "audit_export"),
    ("purge", "secret"),
    ("notice", "secret"),
    ("secretid", "secret_id"),
    ("lease", "lease"),
];

/// What a row of a queue is named after.
pub fn queued(queue: &str, n: i64) -> String {
    format!("{n}{queue}")
}

/// A row of every queue, due at `n`.
///
/// # Panics
/// When it is not taken.
pub async fn enqueue(store: &dyn Store, n: i64) {
    let (a, due) = (tenant("a"), at(n));
    let name = |queue| queued(queue, n);
    let mut token = token(&a, &name("token"));
    token.wake_at = Some(due);
    let head = |queue| secret(&a, &format!("s/{}", name(queue)));
    let mut gone = head("purge");
    gone.recoverable_until = Some(due);
    let mut ends = head("notice");
    ends.expires_at = Some(due);
    ends.expiry.plan = Some(Plan {
        end: due,
        next: Some(Notice {
            at: due,
            threshold: None,
        }),
    });
    let mut secret_id = secret_id(&machine_role(&a, &name("secretid")), &name("secretid"));
    secret_id.expires_at = Some(due);
    let records = [
        Record::Debt(debt(&a, &name("debt"), Some(due))),
        Record::Token(token),
        Record::Campaign(campaign(&a, &name("campaign"), Some(due))),
        Record::AuditExport(audit_export(&a, &name("export"), Some(due))),
        Record::Secret(gone),
        Record::Secret(ends),
        Record::SecretId(secret_id),
        Record::Lease(lease(&engine(&a, "1"), &name("lease"), Some(due))),
    ];
    for record in records {
        let unit = Unit::new(UnitName::Housekeeping).put(record);
        store.commit(unit).await.expect("a row of a queue");
    }
}

/// The first rows of a queue, as [`key`] names them.
///
/// # Errors
/// As the store says.
pub async fn due(store: &dyn Store, queue: &str, most: usize) -> Result<Vec<String>, ReadError> {
    let now = at(1_000);
    fn names<T>(rows: Vec<T>, name: impl Fn(&T) -> &str) -> Vec<String> {
        rows.iter().map(|row| name(row).to_owned()).collect()
    }
    Ok(match queue {
        "debt" => names(store.debt_due(now, most).await?, |row| row.id.as_str()),
        "token" => names(store.token_due(now, most).await?, |row| row.id.as_str()),
        "campaign" => names(store.campaign_due(now, most).await?, |row| row.id.as_str()),
        "export" => names(store.audit_export_due(now, most).await?, |row| {
            row.id.as_str()
        }),
        "purge" => names(store.secret_purgeable(now, most).await?, |row| {
            row.path.as_str()
        }),
        "notice" => names(store.secret_notice_due(now, most).await?, |row| {
            row.path.as_str()
        }),
        "secretid" => names(store.secret_id_ended(now, most).await?, |row| {
            row.id.as_str()
        }),
        "lease" => names(store.lease_due(now, &[], most, most).await?, |row| {
            row.id.as_str()
        }),
        other => panic!("no queue {other}"),
    })
}

/// What may be done to rows of [`fill`], named after `"1"`, that the trail tells of: which rows, put
/// back to what they were, the verifier names.
pub const FOLLOWED: &[(&str, &[&str])] = &[
    ("machine_role_delete", &["machine_role", "secret_id"]),
    ("machine_role_update", &["machine_role"]),
    ("engine_delete", &["engine", "engine_role"]),
    ("engine_role_delete", &["engine_role"]),
    ("engine_role_write", &["engine_role"]),
    ("rotation_completed", &["version"]),
];

/// One of [`FOLLOWED`].
pub fn followed(what: &str) -> Unit {
    let a = tenant("a");
    let role = machine_role(&a, "1");
    let makes = engine(&a, "1");
    let makes_as = engine_role(&makes, "1");
    let creds = format!("dynamic/{}/creds/1", makes.id);
    let mut row = audit(&a, 5, "user:x", None);
    let unit = Unit::new(UnitName::Housekeeping);
    let unit = match what {
        "machine_role_delete" => {
            row.action = Action::MachineRoleDelete;
            row.extra_data.machine_role = Some(role.name.clone());
            unit.op(Op::Delete(Record::MachineRole(role)))
        }
        "machine_role_update" => {
            row.action = Action::MachineRoleUpdate;
            row.extra_data.machine_role = Some(role.name.clone());
            unit.put(Record::MachineRole(MachineRole {
                is_active: false,
                updated_at: at(5),
                revision: 2,
                ..role
            }))
        }
        "engine_delete" => {
            row.action = Action::DynamicEngineDelete;
            row.extra_data.subject = Some(makes.id.to_string());
            unit.op(Op::Delete(Record::Role(makes_as)))
                .op(Op::Delete(Record::Engine(makes)))
        }
        "engine_role_delete" | "engine_role_write" => {
            row.secret_path = Some(path(&creds));
            row.extra_data.subject = Some(makes.id.to_string());
            match what {
                "engine_role_delete" => {
                    row.action = Action::DynamicRoleDelete;
                    unit.op(Op::Delete(Record::Role(makes_as)))
                }
                _ => {
                    row.action = Action::DynamicRoleWrite;
                    unit.put(Record::Role(Role {
                        updated_at: at(5),
                        revision: 2,
                        ..makes_as
                    }))
                }
            }
        }
        "rotation_completed" => {
            row.action = Action::RotationStep;
            row.secret_path = Some(path("s/1"));
            row.extra_data.old_version = Some(1);
            row.extra_data.phase = Some("completed".to_owned());
            unit.put(Record::Version(Version {
                state: VersionState::Closed,
                revision: 2,
                ..version(&a, "s/1", 1)
            }))
        }
        other => panic!("nothing is known as {other}"),
    };
    unit.audited(row)
}
