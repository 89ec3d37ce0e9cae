//! What a drawn change means, by the state the store is in.

use scaivault_core::delivery::DeliveryState;
use scaivault_core::ports::{Op, Record, RecordKind, Store};
use scaivault_core::rotation::Phase;
use scaivault_core::secret::{SecretType, VersionState};
use scaivault_core::tenancy::Status;
use scaivault_testkit::store_conformance::samples::{
    assignment, at, at_target, audit_export, audit_forward, binding, campaign, cubby, debt,
    delivery, engine, engine_role, event, group_turn, key, lease, machine_role, mount, partner,
    path, policy, rotation, rotation_policy, sealed, secret, secret_id, secret_policy,
    subscription, target, tenant, tenant_row, token, transit_key, version, webhook,
};

use super::steps::{Change, Number, What};
use super::{PATHS, RECEIVERS};

/// Makes the op a change stands for, by the state of the model.
pub(super) async fn resolve(model: &dyn Store, change: &Change, serial: u64) -> Op {
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
            row.wake_at = time;
            if tweak % 2 == 0 {
                row.bounds = None;
            }
            let stored = model.token_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Token(row)
        }
        RecordKind::MachineRole => {
            let mut row = machine_role(&owner, &name);
            row.role_id = format!("role {}", tweak % 4);
            let stored = model.machine_role_named(&owner, &row.name).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::MachineRole(row)
        }
        RecordKind::SecretId => {
            let mut row = secret_id(&machine_role(&owner, &(tweak % 2).to_string()), &name);
            row.hash.0 = [u8::try_from(tweak % 5).unwrap(); 32];
            row.expires_at = time;
            let stored = model.secret_id_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::SecretId(row)
        }
        RecordKind::RotationPolicy => {
            let mut row = rotates;
            row.is_active = tweak % 2 == 0;
            row.name = format!("name {}", tweak % 4);
            let stored = model.rotation_policy_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::RotationPolicy(row)
        }
        RecordKind::SecretPolicy => {
            let mut row = secret_policy(&owner, &name);
            row.is_active = tweak % 2 == 0;
            row.name = format!("name {}", tweak % 4);
            let stored = model.secret_policy_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::SecretPolicy(row)
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
            if tweak % 3 != 0 {
                row = at_target(row, &target(&owner, &(tweak % 2).to_string()));
            }
            let stored = model.rotation_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Rotation(row)
        }
        RecordKind::Target => {
            let mut row = target(&owner, &name);
            row.name = format!("name {}", tweak % 4);
            let stored = model.target_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Target(row)
        }
        RecordKind::GroupTurn => {
            let mut row = group_turn(&owner, &name);
            let stored = model.group_turn(&owner, &row.group).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::GroupTurn(row)
        }
        RecordKind::Campaign => {
            let mut row = campaign(&owner, &name, time);
            let stored = model.campaign_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Campaign(row)
        }
        RecordKind::Mount => {
            let mut row = mount(&owner, &name);
            let rows = model.mount_list(&owner).await.unwrap();
            let stored = rows.into_iter().find(|found| found.path == row.path);
            row.revision = next(stored.map(|row| row.revision));
            Record::Mount(row)
        }
        RecordKind::Cubby => {
            let mut row = cubby(&token(&owner, &(tweak % 2).to_string()), &name);
            let stored = model.cubby_find(&owner, &row.token_id, &row.path).await;
            row.revision = next(stored.unwrap().map(|row| row.revision));
            Record::Cubby(row)
        }
        RecordKind::Transit => {
            let mut row = transit_key(&owner, &name, time);
            let stored = model.transit_find(&owner, &row.mount, &row.name).await;
            row.revision = next(stored.unwrap().map(|row| row.revision));
            Record::Transit(row)
        }
        RecordKind::AuditExport => {
            let mut row = audit_export(&owner, &name, time);
            let stored = model.audit_export_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::AuditExport(row)
        }
        RecordKind::AuditForward => {
            let mut row = audit_forward(&name);
            row.held_until = time;
            let stored = model.audit_forward_find(&row.name).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::AuditForward(row)
        }
        RecordKind::Debt => {
            let mut row = debt(&owner, &name, time);
            let stored = model.debt_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Debt(row)
        }
        RecordKind::Engine => {
            let mut row = engine(&owner, &name);
            row.name = format!("name {}", tweak % 4);
            let stored = model.engine_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Engine(row)
        }
        RecordKind::Role => {
            let of = engine(&owner, &(tweak % 2).to_string());
            let mut row = engine_role(&of, &name);
            let stored = model.role_find(&owner, &of.id, &row.name).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Role(row)
        }
        RecordKind::Lease => {
            let mut row = lease(&engine(&owner, &(slot % 2).to_string()), &name, time);
            row.failing_since = row.wake_at.filter(|_| tweak % 4 == 0).map(|_| at(unlike));
            row.revoked_at = row.revoked_at.map(|_| at(tweak * 8 + unlike));
            let stored = model.lease_find(&owner, &row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Lease(row)
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
        RecordKind::Partner => {
            let mut row = partner(&name);
            row.slug = format!("slug-{}", tweak % 4);
            row.status = if tweak % 2 == 0 {
                Status::Active
            } else {
                Status::Suspended
            };
            let stored = model.partner_find(&row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Partner(row)
        }
        // Of the tenants that own the other rows, too: their work is left alone.
        RecordKind::Tenant => {
            let mut row = tenant_row(&partner("1").id, &name);
            row.id = if tweak % 3 == 0 {
                owner.clone()
            } else {
                row.id
            };
            row.slug = format!("slug-{}", tweak % 4);
            row.own_status = if tweak % 2 == 0 {
                Status::Active
            } else {
                Status::Suspended
            };
            let stored = model.tenant_find(&row.id).await.unwrap();
            row.revision = next(stored.map(|row| row.revision));
            Record::Tenant(row)
        }
        RecordKind::AuditAnchor => unreachable!("anchors are moved, not put"),
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
        What::LeasesPrune => Op::LeasesPrune {
            before: at(tweak * 8),
            limit: slot,
        },
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
        Record::MachineRole(row) => back(&mut row.revision),
        Record::SecretId(row) => back(&mut row.revision),
        Record::RotationPolicy(row) => back(&mut row.revision),
        Record::SecretPolicy(row) => back(&mut row.revision),
        Record::Assignment(row) => back(&mut row.revision),
        Record::Rotation(row) => back(&mut row.revision),
        Record::Target(row) => back(&mut row.revision),
        Record::GroupTurn(row) => back(&mut row.revision),
        Record::Campaign(row) => back(&mut row.revision),
        Record::AuditExport(row) => back(&mut row.revision),
        Record::AuditForward(row) => back(&mut row.revision),
        Record::Mount(row) => back(&mut row.revision),
        Record::Cubby(row) => back(&mut row.revision),
        Record::Transit(row) => back(&mut row.revision),
        Record::Debt(row) => back(&mut row.revision),
        Record::Webhook(row) => back(&mut row.revision),
        Record::Subscription(row) => back(&mut row.revision),
        Record::Delivery(row) => back(&mut row.revision),
        Record::Key(row) => back(&mut row.revision),
        Record::Partner(row) => back(&mut row.revision),
        Record::Tenant(row) => back(&mut row.revision),
        Record::Engine(row) => back(&mut row.revision),
        Record::Role(row) => back(&mut row.revision),
        Record::Lease(row) => back(&mut row.revision),
    }
    record
}
