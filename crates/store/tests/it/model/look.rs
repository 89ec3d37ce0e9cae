//! Everything there is to read, as text to compare.

use scaivault_core::audit::AuditFilter;
use scaivault_core::delivery::DeliveryState;
use scaivault_core::ids::TenantId;
use scaivault_core::ports::{LeaseFilter, RotationFilter, SecretFilter, Store};
use scaivault_core::rotation::Phase;
use scaivault_core::secret::SecretType;
use scaivault_testkit::store_conformance::samples::{
    at, engine, identity, parent_token, path, policy, rotation_policy, subscription, tenant, token,
};

use super::{PATHS, RECEIVERS};

/// Everything there is to read, as text.
pub(super) async fn look(store: &dyn Store) -> Vec<String> {
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
        token_due(at(100), 99);
        secret_id_ended(at(100), 99);
        machine_role_by_role_id("role 1");
        fan_out_pending(99);
        key_list();
        next_work();
        lease_due(at(40), &[], 2, 99);
        lease_figures();
        audit_summary(&AuditFilter::default());
    }
    for hash in 0..5 {
        let hash = scaivault_core::identity::TokenHash([hash; 32]);
        see! {
            token_by_hash(&hash);
            secret_id_by_hash(&hash);
        }
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
        token_children(owner, &parent_token(), None, 99);
        machine_role_list(owner, None, 99);
        secret_id_list(owner, "role-1", None, 99);
        rotation_policy_list(owner, true, None, 99);
        rotation_policy_list(owner, false, None, 99);
        secret_policy_list(owner, true, None, 99);
        secret_policy_list(owner, false, None, 99);
        assignment_due(owner, at(3), None, 99);
        rotation_list(owner, &RotationFilter::default(), None, 99);
        rotation_list(owner, &RotationFilter { phases: vec![Phase::Draining, Phase::Parked], ..RotationFilter::default() }, Some("rtn_2"), 99);
        webhook_list(owner);
        mount_list(owner);
        transit_list(owner, "transit", None, 99);
        cubby_list(owner, &token(owner, "0").id, 99);
        cubby_list(owner, &token(owner, "1").id, 99);
        subscription_list(owner);
        engine_list(owner, None, 99);
        lease_list(owner, &LeaseFilter::default(), None, 99);
        lease_list(owner, &LeaseFilter { failing: true, ..LeaseFilter::default() }, Some("lse_2"), 99);
    }
    for of in ["0", "1"].map(|id| engine(owner, id)) {
        let accounts = ["v_reader_0".to_owned(), "v_reader_2".to_owned()];
        see! {
            engine_named(owner, &of.name);
            role_list(owner, &of.id, None, 99);
            lease_of_accounts(owner, &of.id, &accounts);
        }
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
