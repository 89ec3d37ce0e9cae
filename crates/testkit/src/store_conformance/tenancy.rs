//! Partners and tenants, and whose work is handed out.

use std::time::Duration;

use scaivault_core::ids::{PartnerId, TargetId, TenantId};
use scaivault_core::ports::{CommitError, Op, Record, RecordKind, TenantFilter, Unit, UnitName};
use scaivault_core::tenancy::{Status, Tenant, space_of};

use super::samples::{
    assignment, at, at_target, campaign, debt, delivery, event, partner, rotation, rotation_policy,
    secret, target, tenant, tenant_row, webhook,
};
use super::{Subject, commit, put};

fn suspended(mut row: Tenant, by_partner: bool) -> Tenant {
    if by_partner {
        row.partner_status = Status::Suspended;
    } else {
        row.own_status = Status::Suspended;
    }
    row
}

pub async fn partners_by_id(store: Subject) {
    let mut rows = ["2", "1", "3"].map(partner);
    rows[1].status = Status::Suspended;
    put(&store, rows.clone().map(Record::Partner)).await;
    rows.sort_by(|a, b| a.id.cmp(&b.id));
    let list = async |status, skip, limit| store.partner_list(status, skip, limit).await.unwrap();
    assert_eq!(list(None, 0, 9).await, (rows.to_vec(), 3));
    assert_eq!(list(None, 1, 1).await, (vec![rows[1].clone()], 3));
    assert_eq!(list(None, 7, 9).await, (vec![], 3), "behind the end");
    let active = Some(Status::Active);
    assert_eq!(list(active, 0, 1).await, (vec![rows[1].clone()], 2));
    let stopped = list(Some(Status::Suspended), 0, 9).await;
    assert_eq!(stopped, (vec![rows[0].clone()], 1));
    let none = PartnerId::parse("ptn_4").unwrap();
    assert_eq!(store.partner_find(&none).await.unwrap(), None);
}

pub async fn tenants_by_id(store: Subject) {
    let (one, two) = (partner("1"), partner("2"));
    let rows = [
        tenant_row(&one.id, "a"),
        suspended(tenant_row(&two.id, "b"), true),
        suspended(tenant_row(&one.id, "c"), false),
    ];
    put(&store, rows.clone().map(Record::Tenant)).await;
    let list = async |partner: Option<&PartnerId>, status| {
        let filter = TenantFilter {
            partner: partner.cloned(),
            status,
        };
        let (found, total) = store.tenant_list(&filter, 0, 9).await.unwrap();
        assert_eq!(found.len() as u64, total);
        let (second, same) = store.tenant_list(&filter, 1, 1).await.unwrap();
        assert_eq!((second.first(), same), (found.get(1), total));
        let ids = found.into_iter().map(|row| row.id.as_str()[4..].to_owned());
        ids.collect::<Vec<_>>().concat()
    };
    assert_eq!(list(None, None).await, "abc");
    assert_eq!(list(Some(&one.id), None).await, "ac");
    assert_eq!(list(None, Some(Status::Suspended)).await, "bc");
    assert_eq!(list(Some(&one.id), Some(Status::Active)).await, "a");
    assert_eq!(list(Some(&two.id), Some(Status::Active)).await, "");
    let found = store.tenant_find(&tenant("b")).await.unwrap();
    assert_eq!(found.as_ref(), Some(&rows[1]));
    assert_eq!(store.tenant_find(&tenant("d")).await.unwrap(), None);
}

pub async fn slugs_are_unique(store: Subject) {
    let (one, two) = (partner("1"), partner("2"));
    put(&store, [one.clone(), two.clone()].map(Record::Partner)).await;
    let own = tenant_row(&one.id, "a");
    put(&store, [Record::Tenant(own.clone())]).await;
    let mut other = tenant_row(&two.id, "b");
    other.slug.clone_from(&own.slug);
    put(&store, [Record::Tenant(other.clone())]).await;

    let refused = async |record: Record, kind| {
        let unit = Unit::new(UnitName::TenantWrite).put(record);
        let error = store.commit(unit).await.unwrap_err();
        assert_eq!(error, CommitError::Duplicate(kind, "slug"));
    };
    (other.partner, other.revision) = (one.id.clone(), 2);
    refused(Record::Tenant(other), RecordKind::Tenant).await;
    let mut third = partner("3");
    third.slug.clone_from(&one.slug);
    refused(Record::Partner(third), RecordKind::Partner).await;
}

/// Every kind of work there is, in a tenant that is served and in two that are not.
pub async fn suspended_tenants_are_left_alone(store: Subject) {
    let of = partner("1").id;
    let stopped = [
        suspended(tenant_row(&of, "b"), false),
        suspended(tenant_row(&of, "c"), true),
    ];
    put(&store, stopped.clone().map(Record::Tenant)).await;
    for (n, id) in (1_i64..).zip(["c", "b", "a"]) {
        // That of those not served is overdue for longer.
        let (owner, due) = (tenant(id), Some(at(n)));
        let policy = rotation_policy(&owner, id);
        let mut gone = secret(&owner, "app/gone");
        gone.recoverable_until = due;
        let mut there = target(&owner, "1");
        there.id = TargetId::parse(&format!("tgt_{id}")).unwrap();
        let remote = at_target(rotation(&policy, &format!("{id}2"), "app/at", due), &there);
        let mut looks = assignment(&policy, "app/at", None);
        looks.attached = remote.at_target.clone().map(|at| at.attached);
        looks.probe.at = due;
        let to = webhook(&owner, id);
        put(
            &store,
            [
                Record::Assignment(assignment(&policy, "app/db", due)),
                Record::Assignment(looks),
                Record::Rotation(rotation(&policy, id, "app/db", due)),
                Record::Rotation(remote),
                Record::Campaign(campaign(&owner, id, due)),
                Record::Debt(debt(&owner, id, due)),
                Record::Secret(gone),
                Record::Webhook(to.clone()),
            ],
        )
        .await;
        commit(&store, [Op::Emit(event(&owner, id, None))]).await;
        let sent = delivery(&owner, id, to.id.as_str(), n.unsigned_abs(), due);
        put(&store, [Record::Delivery(sent)]).await;
    }
    let (now, hold) = (at(100), Duration::from_secs(60));
    let only = |owners: &mut dyn Iterator<Item = &TenantId>| {
        assert_eq!(owners.collect::<Vec<_>>(), [&tenant("a")]);
    };
    let next = store.next_work().await.unwrap();
    for due in [
        next.assignment_at,
        next.rotation_at,
        next.campaign_at,
        next.debt_at,
        next.probe_at,
        next.delivery_at,
    ] {
        assert_eq!(due, Some(at(3)), "{next:?}");
    }
    let rows = store.assignment_claim(now, hold, 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));
    let rows = store.rotation_claim(now, hold, 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));
    let rows = store.rotation_claim_at_targets(now, hold, &[], 9).await;
    only(&mut rows.unwrap().iter().map(|row| &row.tenant));
    let rows = store.probe_claim(now, hold, &[], 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));
    let rows = store.campaign_due(now, 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));
    let rows = store.debt_due(now, 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));
    let rows = store.secret_purgeable(now, 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));
    let rows = store.delivery_claim(now, hold, &[], 9).await.unwrap();
    only(&mut rows.iter().map(|row| &row.tenant));

    // Served again, everything goes on where it stood.
    for mut row in stopped {
        (row.own_status, row.partner_status, row.revision) = (Status::Active, Status::Active, 2);
        put(&store, [Record::Tenant(row)]).await;
    }
    assert_eq!(store.assignment_claim(now, hold, 9).await.unwrap().len(), 2);
    assert_eq!(store.rotation_claim(now, hold, 9).await.unwrap().len(), 2);
    let rows = store.rotation_claim_at_targets(now, hold, &[], 9).await;
    assert_eq!(rows.unwrap().len(), 2);
    assert_eq!(store.probe_claim(now, hold, &[], 9).await.unwrap().len(), 2);
    assert_eq!(store.campaign_due(now, 9).await.unwrap().len(), 3);
    assert_eq!(store.debt_due(now, 9).await.unwrap().len(), 3);
    assert_eq!(store.secret_purgeable(now, 9).await.unwrap().len(), 3);
    assert_eq!(
        store.delivery_claim(now, hold, &[], 9).await.unwrap().len(),
        2
    );
}

pub async fn what_a_suspended_partner_owns_is_left_alone(store: Subject) {
    let mut of = partner("1");
    put(&store, [Record::Partner(of.clone())]).await;
    let space = space_of(&of.id);
    let mut gone = secret(&space, "shared/gone");
    gone.recoverable_until = Some(at(1));
    let mut ending = secret(&space, "shared/ending");
    ending.expires_at = Some(at(60));
    ending.expiry.begin(ending.expires_at, at(0));
    let due = ending.notice_at();
    assert!(due.is_some());
    put(&store, [Record::Secret(gone), Record::Secret(ending)]).await;
    let seen = async || {
        let purged = store.secret_purgeable(at(100), 9).await.unwrap().len();
        let told = store.secret_notice_due(at(100), 9).await.unwrap().len();
        (purged, told, store.next_work().await.unwrap().notice_at)
    };
    assert_eq!(seen().await, (1, 1, due));
    for (status, expect) in [
        (Status::Suspended, (0, 0, None)),
        (Status::Active, (1, 1, due)),
    ] {
        (of.status, of.revision) = (status, of.revision + 1);
        put(&store, [Record::Partner(of.clone())]).await;
        assert_eq!(seen().await, expect, "{status:?}");
    }
}
