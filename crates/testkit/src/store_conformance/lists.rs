//! Lists: order, paging, filters, and that what comes back is what was put.

use scaivault_core::debt::{Debt, Owed};
use scaivault_core::ids::{RotationId, TenantId, TokenId};
use scaivault_core::ports::{Op, Record, RotationFilter};
use scaivault_core::rotation::{Attached, Phase, Reason, Trigger, Turn};
use scaivault_core::secret::{SecretType, VersionState};
use scaivault_core::target::{Overlap, Target};
use scaivault_core::transit::TransitKey;

use super::pages::check_pages;
use super::samples::{
    T0, assignment, at, at_target, audit, audit_export, binding, campaign, cubby, debt, delivery,
    event, identity, key, machine_role, mount, parent_token, path, policy, rotation,
    rotation_policy, sealed, secret, secret_id, secret_policy, span, subscription, target, tenant,
    token, transit_key, webhook,
};
use super::{Subject, commit, put};

pub async fn policies_by_id(store: Subject) {
    let a = tenant("a");
    let rows = ["3", "1", "2"].map(|id| {
        let mut row = policy(&a, id);
        row.is_active = id != "2";
        Record::Policy(row)
    });
    put(&store, rows).await;
    check_pages!(
        ["pol_1", "pol_2", "pol_3"],
        |after, limit| store.policy_list(&a, true, after, limit),
        |row| row.id
    );
    check_pages!(
        ["pol_1", "pol_3"],
        |after, limit| store.policy_list(&a, false, after, limit),
        |row| row.id
    );
}

pub async fn bindings_by_id(store: Subject) {
    let a = tenant("a");
    let (one, two) = (policy(&a, "1"), policy(&a, "2"));
    let rows = [
        binding(&one, "3", "user:x"),
        binding(&two, "2", "user:x"),
        binding(&one, "1", "user:y"),
    ];
    put(&store, rows.clone().map(Record::Binding)).await;
    let found = store.binding_list(&a, &one.id).await.unwrap();
    assert_eq!(found, [rows[2].clone(), rows[0].clone()]);
    assert_eq!(
        store.binding_list(&a, &policy(&a, "3").id).await.unwrap(),
        []
    );
    assert_eq!(
        store.binding_find(&a, &rows[1].id).await.unwrap(),
        Some(rows[1].clone())
    );
}

pub async fn tokens_by_id(store: Subject) {
    let a = tenant("a");
    put(
        &store,
        ["2", "3", "1"].map(|id| Record::Token(token(&a, id))),
    )
    .await;
    check_pages!(
        ["tok_1", "tok_2", "tok_3"],
        |after, limit| store.token_list(&a, after, limit),
        |row| row.id
    );
}

/// Of any tenant, revoked and ended ones included; the hash follows its row.
pub async fn tokens_by_hash(store: Subject) {
    let mut row = token(&tenant("a"), "1");
    let other = token(&tenant("b"), "2");
    put(&store, [row.clone(), other.clone()].map(Record::Token)).await;
    assert_eq!(store.token_by_hash(&other.hash).await.unwrap(), Some(other));
    (row.revoked_at, row.expires_at, row.revision) = (Some(T0), Some(at(-5)), 2);
    put(&store, [Record::Token(row.clone())]).await;
    assert_eq!(
        store.token_by_hash(&row.hash).await.unwrap(),
        Some(row.clone())
    );
    let old = row.hash;
    (row.hash.0, row.revision) = ([7; 32], 3);
    put(&store, [Record::Token(row.clone())]).await;
    assert_eq!(store.token_by_hash(&old).await.unwrap(), None);
    assert_eq!(
        store.token_by_hash(&row.hash).await.unwrap(),
        Some(row.clone())
    );
    commit(&store, [Op::Delete(Record::Token(row.clone()))]).await;
    assert_eq!(store.token_by_hash(&row.hash).await.unwrap(), None);
}

/// By the index alone: what they are made of says it, and a change moves them.
pub async fn tokens_by_parent_and_when_they_are_due(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let of = |owner: &TenantId, id: &str, wake: Option<i64>| {
        let mut row = token(owner, id);
        row.wake_at = wake.map(at);
        row
    };
    let mut orphan = of(&a, "4", Some(7));
    orphan.bounds = None;
    let rows = [
        of(&a, "3", Some(5)),
        of(&a, "1", None),
        of(&a, "2", Some(9)),
        orphan,
        of(&b, "5", Some(1)),
    ];
    put(&store, rows.map(Record::Token)).await;
    let parent = parent_token();
    check_pages!(
        ["tok_1", "tok_2", "tok_3"],
        |after, limit| store.token_children(&a, &parent, after, limit),
        |row| row.id
    );
    let other = token(&a, "1").id;
    assert_eq!(store.token_children(&a, &other, None, 9).await.unwrap(), []);
    let due = async |now| {
        let found = store.token_due(at(now), 9).await.unwrap();
        let ids: Vec<_> = found.iter().map(|row| row.id.to_string()).collect();
        ids
    };
    assert_eq!(due(0).await, [] as [&str; 0]);
    assert_eq!(due(7).await, ["tok_5", "tok_3", "tok_4"]);
    assert_eq!(store.token_due(at(9), 2).await.unwrap().len(), 2);
    let mut moved = of(&a, "3", None);
    (moved.revision, moved.revoked_at) = (2, Some(T0));
    put(&store, [Record::Token(moved)]).await;
    assert_eq!(due(9).await, ["tok_5", "tok_4", "tok_2"]);
    let left = store.token_children(&a, &parent, None, 9).await.unwrap();
    assert_eq!(left.len(), 2, "one that is over is nobody's child");
}

pub async fn machine_roles_and_secret_ids(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let roles = ["3", "1", "2"].map(|id| Record::MachineRole(machine_role(&a, id)));
    put(&store, roles).await;
    let elsewhere = machine_role(&b, "1");
    put(&store, [Record::MachineRole(elsewhere.clone())]).await;
    check_pages!(
        ["role-1", "role-2", "role-3"],
        |after, limit| store.machine_role_list(&a, after, limit),
        |row| row.name
    );
    let one = machine_role(&a, "1");
    let found = store.machine_role_by_role_id(&one.role_id).await.unwrap();
    assert_eq!(found, Some(one.clone()));
    assert_eq!(store.machine_role_by_role_id("no").await.unwrap(), None);
    let found = store.machine_role_named(&b, "role-1").await.unwrap();
    assert_eq!(found, Some(elsewhere.clone()));
    assert_eq!(store.machine_role_named(&b, "role-2").await.unwrap(), None);

    let ids = [("3", Some(at(5))), ("1", None), ("2", Some(at(3)))].map(|(id, end)| {
        let mut row = secret_id(&one, id);
        row.expires_at = end;
        row
    });
    put(&store, ids.clone().map(Record::SecretId)).await;
    let (two, of_b) = (machine_role(&a, "2"), secret_id(&elsewhere, "1"));
    let rows = [secret_id(&two, "7"), of_b.clone()];
    put(&store, rows.map(Record::SecretId)).await;
    check_pages!(
        ["sia_1", "sia_2", "sia_3"],
        |after, limit| store.secret_id_list(&a, "role-1", after, limit),
        |row| row.id
    );
    let found = store.secret_id_by_hash(&ids[0].hash).await.unwrap();
    assert_eq!(found, Some(ids[0].clone()));
    let ended = store.secret_id_ended(at(5), 9).await.unwrap();
    let ended: Vec<_> = ended.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ended, ["sia_2", "sia_3"]);
    assert_eq!(store.secret_id_find(&b, &ids[0].id).await.unwrap(), None);

    // What belongs to a role goes with it, and nothing else does.
    commit(&store, [Op::Delete(Record::MachineRole(one))]).await;
    let left = store.secret_id_list(&a, "role-1", None, 9).await.unwrap();
    assert_eq!(left, []);
    let other = store.secret_id_list(&a, "role-2", None, 9).await.unwrap();
    assert_eq!(other, [secret_id(&two, "7")]);
    let other = store.secret_id_list(&b, "role-1", None, 9).await.unwrap();
    assert_eq!(other, [of_b]);
}

pub async fn rotation_policies_by_id(store: Subject) {
    let a = tenant("a");
    let rows = ["3", "1", "2"].map(|id| {
        let mut row = rotation_policy(&a, id);
        row.is_active = id != "2";
        Record::RotationPolicy(row)
    });
    put(&store, rows).await;
    check_pages!(
        ["rot_1", "rot_2", "rot_3"],
        |after, limit| store.rotation_policy_list(&a, false, after, limit),
        |row| row.id
    );
    check_pages!(
        ["rot_1", "rot_3"],
        |after, limit| store.rotation_policy_list(&a, true, after, limit),
        |row| row.id
    );
}

pub async fn targets_by_id_and_name(store: Subject) {
    let a = tenant("a");
    let rows = ["3", "1", "2"].map(|id| Record::Target(target(&a, id)));
    put(&store, rows).await;
    check_pages!(
        ["tgt_1", "tgt_2", "tgt_3"],
        |after, limit| store.target_list(&a, after, limit),
        |row| row.id
    );
    let found = store.target_named(&a, "target 2").await.unwrap();
    assert_eq!(found, Some(target(&a, "2")));
    assert_eq!(store.target_named(&a, "target 4").await.unwrap(), None);
    let other = tenant("b");
    assert_eq!(store.target_named(&other, "target 2").await.unwrap(), None);
}

pub async fn secret_policies_by_id_and_name(store: Subject) {
    let a = tenant("a");
    let rows = ["3", "1", "2"].map(|id| {
        let mut row = secret_policy(&a, id);
        row.is_active = id != "2";
        Record::SecretPolicy(row)
    });
    put(&store, rows).await;
    check_pages!(
        ["sp_1", "sp_2", "sp_3"],
        |after, limit| store.secret_policy_list(&a, false, after, limit),
        |row| row.id
    );
    check_pages!(
        ["sp_1", "sp_3"],
        |after, limit| store.secret_policy_list(&a, true, after, limit),
        |row| row.id
    );
    let one = secret_policy(&a, "1");
    let found = store.secret_policy_named(&a, "recipe 1").await.unwrap();
    assert_eq!(found, Some(one.clone()));
    let found = store.secret_policy_named(&a, "recipe 4").await.unwrap();
    assert_eq!(found, None);
    let b = tenant("b");
    let found = store.secret_policy_named(&b, "recipe 1").await.unwrap();
    assert_eq!(found, None);
    assert_eq!(store.secret_policy_find(&b, &one.id).await.unwrap(), None);
    let listed = store.secret_policy_list(&b, false, None, 9).await.unwrap();
    assert_eq!(listed, []);
}

pub async fn who_uses_a_secret_policy(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let [one, two, three] = ["1", "2", "3"].map(|id| secret_policy(&a, id).id);
    let mut rotates = rotation_policy(&a, "1");
    rotates.secret_policy_id = Some(one.clone());
    let mut made = secret(&a, "app/made");
    made.secret_policy_id = Some(two.clone());
    let rows = [
        Record::RotationPolicy(rotates.clone()),
        Record::RotationPolicy(rotation_policy(&a, "2")),
        Record::Secret(made.clone()),
        Record::Secret(secret(&a, "app/other")),
    ];
    put(&store, rows).await;
    for (id, expect) in [(&one, true), (&two, true), (&three, false)] {
        assert_eq!(store.secret_policy_in_use(&a, id).await.unwrap(), expect);
        assert!(!store.secret_policy_in_use(&b, id).await.unwrap());
    }
    // What refers to another one, or to none, is found by that alone.
    (rotates.secret_policy_id, rotates.revision) = (Some(three.clone()), 2);
    (made.secret_policy_id, made.revision) = (None, 2);
    put(
        &store,
        [Record::RotationPolicy(rotates), Record::Secret(made)],
    )
    .await;
    for (id, expect) in [(&one, false), (&two, false), (&three, true)] {
        assert_eq!(store.secret_policy_in_use(&a, id).await.unwrap(), expect);
    }
}

pub async fn targets_by_their_managers_secret(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let managed = |owner: &TenantId, id: &str, manager: Option<&str>| Target {
        manager_path: manager.map(path),
        ..target(owner, id)
    };
    let rows = [
        managed(&a, "3", Some("db/one")),
        managed(&a, "1", Some("db/one")),
        managed(&a, "2", Some("db/two")),
        managed(&a, "4", None),
        managed(&b, "5", Some("db/one")),
    ];
    put(&store, rows.map(Record::Target)).await;
    let of = async |owner: &TenantId, at: &str, limit| {
        let found = store.target_managed_by(owner, &path(at), limit).await;
        let ids: Vec<String> = found
            .unwrap()
            .into_iter()
            .map(|row| row.id.as_str().to_owned())
            .collect();
        ids
    };
    assert_eq!(of(&a, "db/one", 9).await, ["tgt_1", "tgt_3"]);
    assert_eq!(of(&a, "db/one", 1).await, ["tgt_1"]);
    assert_eq!(of(&a, "db/on", 9).await, [] as [&str; 0]);
    assert_eq!(of(&b, "db/one", 9).await, ["tgt_5"]);
    // A target that changes its manager is found by the new one alone.
    let moved = Target {
        revision: 2,
        ..managed(&a, "3", Some("db/two"))
    };
    put(&store, [Record::Target(moved)]).await;
    assert_eq!(of(&a, "db/one", 9).await, ["tgt_1"]);
    assert_eq!(of(&a, "db/two", 9).await, ["tgt_2", "tgt_3"]);
}

pub async fn mounts_by_path_and_what_tokens_keep(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    put(&store, ["2", "1"].map(|id| Record::Mount(mount(&a, id)))).await;
    put(&store, [Record::Mount(mount(&b, "3"))]).await;
    let found = store.mount_list(&a).await.unwrap();
    assert_eq!(found, [mount(&a, "1"), mount(&a, "2")]);
    assert_eq!(store.mount_list(&tenant("c")).await.unwrap(), []);

    let (one, two) = (token(&a, "1"), token(&a, "2"));
    let kept = [cubby(&one, "b"), cubby(&one, "a"), cubby(&two, "c")];
    put(&store, kept.map(Record::Cubby)).await;
    let of = async |owner: &TenantId, token: &TokenId, limit| {
        let found = store.cubby_list(owner, token, limit).await.unwrap();
        let paths: Vec<String> = found.into_iter().map(|row| row.path).collect();
        paths
    };
    assert_eq!(of(&a, &one.id, 9).await, ["a", "b"]);
    assert_eq!(of(&a, &one.id, 1).await, ["a"]);
    assert_eq!(of(&a, &two.id, 9).await, ["c"]);
    assert_eq!(of(&b, &one.id, 9).await, [] as [&str; 0]);
    let found = store.cubby_find(&a, &one.id, "a").await.unwrap();
    assert_eq!(found, Some(cubby(&one, "a")));
    assert_eq!(store.cubby_find(&a, &two.id, "a").await.unwrap(), None);
    assert_eq!(store.cubby_find(&b, &one.id, "a").await.unwrap(), None);
}

pub async fn transit_keys_by_name_and_due(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let times = [("2", Some(at(5))), ("1", None), ("3", Some(at(9)))];
    let rows = times.map(|(id, wake)| Record::Transit(transit_key(&a, id, wake)));
    put(&store, rows).await;
    let elsewhere = TransitKey {
        mount: "transit2".into(),
        ..transit_key(&a, "4", None)
    };
    let other = transit_key(&b, "9", Some(at(1)));
    put(&store, [elsewhere.clone(), other].map(Record::Transit)).await;
    let of = async |mount: &str, after: Option<&str>, limit| {
        let found = store.transit_list(&a, mount, after, limit).await.unwrap();
        let names: Vec<String> = found.into_iter().map(|row| row.name).collect();
        names
    };
    assert_eq!(of("transit", None, 9).await, ["1", "2", "3"]);
    assert_eq!(of("transit", Some("1"), 1).await, ["2"]);
    assert_eq!(of("transit2", None, 9).await, ["4"]);
    assert_eq!(of("trans", None, 9).await, [] as [&str; 0]);
    let found = store.transit_find(&a, "transit2", "4").await.unwrap();
    assert_eq!(found, Some(elsewhere));
    assert_eq!(store.transit_find(&b, "transit2", "4").await.unwrap(), None);
    assert_eq!(store.transit_find(&a, "transit", "4").await.unwrap(), None);
    for (now, expect) in [(0, vec![]), (5, vec!["9", "2"]), (9, vec!["9", "2", "3"])] {
        let due = store.transit_due(at(now), 9).await.unwrap();
        let found: Vec<_> = due.into_iter().map(|row| row.name).collect();
        assert_eq!(found, expect);
    }
    assert_eq!(store.transit_due(at(9), 1).await.unwrap().len(), 1);
}

pub async fn audit_exports_by_id_and_due(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let times = [("3", Some(at(5))), ("1", None), ("2", Some(at(9)))];
    let exports = times.map(|(id, wake)| Record::AuditExport(audit_export(&a, id, wake)));
    put(&store, exports).await;
    put(
        &store,
        [Record::AuditExport(audit_export(&b, "9", Some(at(1))))],
    )
    .await;
    check_pages!(
        ["exp_3", "exp_2", "exp_1"],
        |after, limit| store.audit_export_list(&a, after, limit),
        |row| row.id
    );
    for (now, expect) in [(0, vec![]), (5, vec!["9", "3"]), (9, vec!["9", "3", "2"])] {
        let due = store.audit_export_due(at(now), 9).await.unwrap();
        let found: Vec<_> = due.iter().map(|row| &row.id.as_str()[4..]).collect();
        assert_eq!(found, expect);
    }
    assert_eq!(store.audit_export_due(at(9), 1).await.unwrap().len(), 1);
    let heads = store.audit_heads().await.unwrap();
    assert_eq!(
        (heads.len(), heads[0].last_seq, heads[0].head.len()),
        (1, 0, 64)
    );
}

pub async fn campaigns_and_debts_by_id_and_due(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let times = [("3", Some(at(5))), ("1", None), ("2", Some(at(9)))];
    let campaigns = times.map(|(id, wake)| Record::Campaign(campaign(&a, id, wake)));
    let debts = times.map(|(id, wake)| Record::Debt(debt(&a, id, wake)));
    put(&store, campaigns.into_iter().chain(debts)).await;
    let others = [
        Record::Campaign(campaign(&b, "9", Some(at(1)))),
        Record::Debt(debt(&b, "9", Some(at(1)))),
    ];
    put(&store, others).await;
    check_pages!(
        ["cmp_3", "cmp_2", "cmp_1"],
        |after, limit| store.campaign_list(&a, after, limit),
        |row| row.id
    );
    check_pages!(
        ["dbt_1", "dbt_2", "dbt_3"],
        |after, limit| store.debt_list(&a, after, limit),
        |row| row.id
    );
    for (now, expect) in [(0, vec![]), (5, vec!["9", "3"]), (9, vec!["9", "3", "2"])] {
        let campaigns = store.campaign_due(at(now), 9).await.unwrap();
        let found: Vec<_> = campaigns.iter().map(|row| &row.id.as_str()[4..]).collect();
        assert_eq!(found, expect);
        let debts = store.debt_due(at(now), 9).await.unwrap();
        let found: Vec<_> = debts.iter().map(|row| &row.id.as_str()[4..]).collect();
        assert_eq!(found, expect);
    }
    assert_eq!(store.campaign_due(at(9), 1).await.unwrap().len(), 1);
    assert_eq!(store.debt_due(at(9), 2).await.unwrap().len(), 2);
}

pub async fn debts_of_a_secret_and_at_a_target(store: Subject) {
    let (a, b) = (tenant("a"), tenant("b"));
    let owed = |at_path: &str| Owed::Credential {
        path: path(at_path),
        version: 1,
        rotation_id: RotationId::parse("rtn_1").expect("an id"),
        attached: Attached {
            target_id: target(&a, "1").id,
            target_name: "target 1".into(),
            overlap: Overlap::TwoUsers,
            account: serde_json::Map::new(),
            is_manager: false,
        },
        may_arrive: false,
    };
    let of = |owner: &TenantId, id: &str, at_path: Option<&str>, at: &str| {
        let mut row = debt(owner, id, None);
        row.target_id = target(owner, at).id;
        if let Some(at_path) = at_path {
            row.owed = owed(at_path);
        }
        Record::Debt(row)
    };
    let rows = [
        of(&a, "4", Some("s/1"), "2"),
        of(&a, "1", Some("s/1"), "1"),
        of(&a, "2", Some("s/2"), "1"),
        of(&a, "3", None, "1"),
        of(&b, "5", Some("s/1"), "1"),
    ];
    put(&store, rows).await;
    check_pages!(
        ["dbt_1", "dbt_4"],
        |after, limit| store.debt_of_path(&a, &path("s/1"), after, limit),
        |row| row.id
    );
    let first = target(&a, "1").id;
    check_pages!(
        ["dbt_1", "dbt_2", "dbt_3"],
        |after, limit| store.debt_at_target(&a, &first, after, limit),
        |row| row.id
    );
    let none = store.debt_of_path(&a, &path("s"), None, 9).await.unwrap();
    assert_eq!(none, [], "a secret above is another");
    let moved = store.debt_of_path(&a, &path("s/2"), None, 9).await.unwrap();
    let changed = Debt {
        revision: 2,
        attempts: 1,
        ..moved[0].clone()
    };
    put(&store, [Record::Debt(changed.clone())]).await;
    let found = store.debt_of_path(&a, &path("s/2"), None, 9).await.unwrap();
    assert_eq!(found.first(), Some(&changed));
    commit(&store, [Op::Delete(Record::Debt(changed))]).await;
    let found = store.debt_of_path(&a, &path("s/2"), None, 9).await.unwrap();
    assert_eq!(found, []);
}

pub async fn rotations_and_attachments_by_target_and_group(store: Subject) {
    let a = tenant("a");
    let policy = rotation_policy(&a, "1");
    let targets = ["1", "2"].map(|id| target(&a, id));
    for n in 0..8usize {
        let name = format!("s/{n}");
        let mut row = rotation(&policy, &n.to_string(), &name, None);
        let mut attachment = assignment(&policy, &name, None);
        if n % 4 != 3 {
            row = at_target(row, &targets[n % 2]);
            let at = row.at_target.as_ref().map(|at| at.attached.clone());
            attachment.attached = at;
        }
        let turn = (n % 3 != 0).then(|| Turn {
            group: format!("g{}", n % 3),
            order: 1,
        });
        (row.turn, attachment.turn) = (turn.clone(), turn);
        put(
            &store,
            [Record::Rotation(row), Record::Assignment(attachment)],
        )
        .await;
    }
    let (target, group) = (Some(targets[0].id.clone()), Some("g1".to_owned()));
    let cases: [(_, _, &[&str]); 3] = [
        (target.clone(), None, &["6", "4", "2", "0"]),
        (None, group.clone(), &["7", "4", "1"]),
        (target, group, &["4"]),
    ];
    for (target_id, group, expect) in cases {
        let filter = RotationFilter {
            target_id,
            group,
            ..RotationFilter::default()
        };
        let expect: Vec<String> = expect.iter().map(|id| format!("rtn_{id}")).collect();
        check_pages!(
            expect,
            |after, limit| store.rotation_list(&a, &filter, after, limit),
            |row| row.id
        );
    }
    check_pages!(
        ["s/1", "s/5"],
        |after, limit| store.assignment_at_target(&a, &targets[1].id, after, limit),
        |row| row.path
    );
    check_pages!(
        ["s/2", "s/5"],
        |after, limit| store.assignment_in_group(&a, "g2", after, limit),
        |row| row.path
    );
    // Those of some secrets: what has none, or is nowhere, is left out.
    let asked = ["s/5", "s/none", "s/1"].map(path);
    let mut found: Vec<_> = store.assignment_of(&a, &asked).await.unwrap();
    found.sort_by(|one, other| one.path.cmp(&other.path));
    let paths: Vec<_> = found.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(paths, ["s/1", "s/5"]);
    let whole = store.assignment_find(&a, &path("s/5")).await.unwrap();
    assert_eq!(found.pop(), whole);
    assert!(store.assignment_of(&a, &[]).await.unwrap().is_empty());
    // An attachment that leaves is not found any more.
    let found = store.assignment_find(&a, &path("s/5")).await.unwrap();
    let mut gone = found.unwrap();
    (gone.attached, gone.turn, gone.revision) = (None, None, 2);
    put(&store, [Record::Assignment(gone)]).await;
    let rest = store
        .assignment_at_target(&a, &targets[1].id, None, 9)
        .await;
    assert_eq!(rest.unwrap().len(), 1);
    let rest = store.assignment_in_group(&a, "g2", None, 9).await;
    assert_eq!(rest.unwrap().len(), 1);
}

pub async fn assignments_by_path(store: Subject) {
    let a = tenant("a");
    let (one, two) = (rotation_policy(&a, "1"), rotation_policy(&a, "2"));
    let rows = [
        assignment(&one, "s/3", None),
        assignment(&one, "s/1", Some(T0)),
        assignment(&two, "s/2", None),
        assignment(&one, "s/4", None),
    ];
    put(&store, rows.clone().map(Record::Assignment)).await;
    check_pages!(
        ["s/1", "s/3", "s/4"],
        |after, limit| store.assignment_list(&a, &one.id, after, limit),
        |row| row.path
    );
    assert_eq!(store.assignment_count(&a, &one.id).await.unwrap(), 3);
    assert_eq!(store.assignment_count(&a, &two.id).await.unwrap(), 1);
    assert_eq!(
        store
            .assignment_count(&a, &rotation_policy(&a, "3").id)
            .await
            .unwrap(),
        0
    );
    // Attached to another policy, it is listed there.
    let mut moved = rows[0].clone();
    (moved.policy_id, moved.revision) = (two.id.clone(), 2);
    put(&store, [Record::Assignment(moved)]).await;
    assert_eq!(store.assignment_count(&a, &one.id).await.unwrap(), 2);
    assert_eq!(
        store
            .assignment_list(&a, &two.id, None, 9)
            .await
            .unwrap()
            .len(),
        2
    );
}

pub async fn assignments_due_soonest_first(store: Subject) {
    let a = tenant("a");
    let (one, two) = (rotation_policy(&a, "1"), rotation_policy(&a, "2"));
    let due = |of, at_path: &str, secs| {
        let mut row = assignment(of, at_path, None);
        row.next_rotation_at = at(secs);
        Record::Assignment(row)
    };
    let rows = [
        due(&one, "s/1", 30),
        due(&two, "s/2", 10),
        due(&one, "s/3", 20),
        due(&one, "s/4", 40),
    ];
    put(&store, rows).await;
    let find = |until, of: Option<&scaivault_core::rotation::RotationPolicy>, limit| {
        let (store, a, of) = (store.clone(), a.clone(), of.map(|of| of.id.clone()));
        async move {
            let found = store
                .assignment_due(&a, at(until), of.as_ref(), limit)
                .await
                .unwrap();
            found
                .iter()
                .map(|row| row.path.to_string())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(find(40, None, 9).await, ["s/2", "s/3", "s/1"]);
    assert_eq!(find(41, None, 2).await, ["s/2", "s/3"]);
    assert_eq!(find(99, Some(&one), 9).await, ["s/3", "s/1", "s/4"]);
    assert_eq!(find(99, Some(&two), 9).await, ["s/2"]);
    assert_eq!(find(10, None, 9).await, Vec::<String>::new());
}

pub async fn rotations_newest_first(store: Subject) {
    let a = tenant("a");
    let of = rotation_policy(&a, "1");
    put(
        &store,
        ["2", "1", "3"].map(|id| Record::Rotation(rotation(&of, id, "s", None))),
    )
    .await;
    let all = RotationFilter::default();
    check_pages!(
        ["rtn_3", "rtn_2", "rtn_1"],
        |after, limit| store.rotation_list(&a, &all, after, limit),
        |row| row.id
    );
}

/// All parts of the filter at once, against the plain meaning of each.
pub async fn rotations_by_filter(store: Subject) {
    let a = tenant("a");
    let policies = ["1", "2"].map(|id| rotation_policy(&a, id));
    let phases = [Phase::Generating, Phase::Draining, Phase::Parked];
    let mut rows = Vec::new();
    for n in 0..36usize {
        let at_path = format!("s/{}", n % 3);
        let mut row = rotation(&policies[n % 2], &format!("{n:02}"), &at_path, None);
        row.phase = phases[n / 2 % 3];
        rows.push(row);
    }
    put(&store, rows.iter().cloned().map(Record::Rotation)).await;
    for choice in 0..12u8 {
        let filter = RotationFilter {
            target_id: None,
            group: None,
            path: (choice & 1 != 0).then(|| path("s/1")),
            policy_id: (choice & 2 != 0).then(|| policies[0].id.clone()),
            phases: match choice / 4 {
                0 => vec![],
                1 => vec![Phase::Draining],
                _ => vec![Phase::Parked, Phase::Generating],
            },
        };
        let wants = |row: &&scaivault_core::rotation::Rotation| {
            filter.path.as_ref().is_none_or(|want| *want == row.path)
                && filter
                    .policy_id
                    .as_ref()
                    .is_none_or(|want| *want == row.policy_id)
                && (filter.phases.is_empty() || filter.phases.contains(&row.phase))
        };
        let expect: Vec<_> = rows
            .iter()
            .rev()
            .filter(wants)
            .map(|row| row.id.as_str())
            .collect();
        check_pages!(
            expect,
            |after, limit| store.rotation_list(&a, &filter, after, limit),
            |row| row.id
        );
    }
}

pub async fn webhooks_and_subscriptions_by_id(store: Subject) {
    let a = tenant("a");
    let hooks = ["2", "1"].map(|id| webhook(&a, id));
    let subs = ["2", "1"].map(|id| subscription(&a, id));
    put(&store, hooks.clone().map(Record::Webhook)).await;
    put(&store, subs.clone().map(Record::Subscription)).await;
    assert_eq!(
        store.webhook_list(&a).await.unwrap(),
        [hooks[1].clone(), hooks[0].clone()]
    );
    assert_eq!(
        store.subscription_list(&a).await.unwrap(),
        [subs[1].clone(), subs[0].clone()]
    );
    let page = async |after, limit| store.subscription_page(after, limit).await.unwrap();
    put(
        &store,
        [Record::Subscription(subscription(&tenant("b"), "0"))],
    )
    .await;
    let all = page(None, 9).await;
    assert_eq!(all.len(), 3, "those of other tenants too");
    assert!(all.is_sorted_by_key(|row| (row.tenant.clone(), row.id.clone())));
    assert_eq!(page(None, 1).await, all[..1]);
    let first = (all[0].tenant.as_str(), all[0].id.as_str());
    assert_eq!(page(Some(first), 9).await, all[1..]);
    assert_eq!(
        store.webhook_find(&a, &hooks[0].id).await.unwrap(),
        Some(hooks[0].clone())
    );
    assert_eq!(
        store.subscription_find(&a, &subs[1].id).await.unwrap(),
        Some(subs[1].clone())
    );
}

pub async fn keys_by_id(store: Subject) {
    put(&store, ["2", "1", "3"].map(|id| Record::Key(key(id)))).await;
    assert_eq!(store.key_list().await.unwrap(), ["1", "2", "3"].map(key));
}

/// Rows with every optional field set, unusual text and extreme numbers.
pub async fn records_come_back_as_they_were(store: Subject) {
    let a = tenant("a");
    let mut head = secret(&a, "app/db");
    head.secret_type = SecretType::Certificate;
    head.metadata.description = Some("line\nbreak \u{0} \u{1f511} \\ \"".into());
    head.metadata.tags = vec!["ü".into(), String::new(), "a'b;--".into()];
    head.metadata.owner = Some("team:x".into());
    let custom = serde_json::json!({"n": 18_446_744_073_709_551_615_u64, "f": 0.1, "deep": [null, {"x": []}]});
    head.metadata.custom = custom.as_object().unwrap().clone();
    (head.current_version, head.latest_version) = (u64::from(u32::MAX), 1 << 40);
    (head.expires_at, head.recoverable_until) = (Some(at(-9_000_000_000)), Some(at(1)));
    let mut value = sealed(&a, "app/db", 1 << 40);
    value.sealed.0 = (0..=255).cycle().take(70_000).collect();
    value.version.state = VersionState::Previous;
    value.version.readable_until = Some(at(77));
    value.version.rotation_id = Some(rotation(&rotation_policy(&a, "1"), "1", "s", None).id);
    let mut rotates = rotation_policy(&a, "1");
    rotates.description = Some("d".into());
    rotates.interval = span("1h30m");
    rotates.webhook_ids = vec![webhook(&a, "1").id];
    let mut turning = rotation(&rotates, "1", "app/db", Some(at(5)));
    turning.trigger = Trigger::Manual;
    turning.reason = Some(Reason::Overdue);
    turning.claimed_until = Some(at(6));
    turning.to_version = Some(9);
    let mut moment = event(&a, "1", Some("app/db"));
    moment.also_to = vec![webhook(&a, "2").id];
    moment.rotation_id = Some(turning.id.clone());
    let mut grants = policy(&a, "1");
    grants.name = "naïve 'quoted'".into();
    let mut ends = binding(&grants, "1", "group:sre");
    ends.expires_at = Some(at(8));
    let mut sent = delivery(&a, "1", "wh_1", 1, Some(at(3)));
    (sent.attempts, sent.response_code, sent.duration_ms) = (3, Some(503), Some(12));
    let mut held = assignment(&rotates, "app/db", Some(at(4)));
    (held.claimed_until, held.warned_s) = (Some(at(9)), Some(60));
    held.open_rotation = Some(turning.id.clone());
    held.assigned_by = identity("user:bob");

    let mut unit = scaivault_core::ports::Unit::new(scaivault_core::ports::UnitName::SecretWrite)
        .op(Op::VersionInsert(value.clone()))
        .emit(moment.clone())
        .audited(audit(&a, 0, "user:x", None));
    for record in [
        Record::Secret(head.clone()),
        Record::RotationPolicy(rotates.clone()),
        Record::Rotation(turning.clone()),
        Record::Policy(grants.clone()),
        Record::Binding(ends.clone()),
        Record::Delivery(sent.clone()),
        Record::Assignment(held.clone()),
    ] {
        unit = unit.put(record);
    }
    store.commit(unit).await.unwrap();
    let opened = store
        .secret_open(&a, &head.path, Some(1 << 40))
        .await
        .unwrap();
    assert_eq!(opened, Some((head, Some(value))));
    assert_eq!(
        store.rotation_policy_find(&a, &rotates.id).await.unwrap(),
        Some(rotates)
    );
    assert_eq!(
        store.rotation_find(&a, &turning.id).await.unwrap(),
        Some(turning)
    );
    let stored = store.event_find(&a, &moment.id).await.unwrap().unwrap();
    assert_eq!((stored.sequence, stored.event), (1, moment));
    assert_eq!(
        store.policy_find(&a, &grants.id).await.unwrap(),
        Some(grants)
    );
    assert_eq!(store.binding_find(&a, &ends.id).await.unwrap(), Some(ends));
    assert_eq!(store.delivery_find(&a, &sent.id).await.unwrap(), Some(sent));
    assert_eq!(
        store.assignment_find(&a, &held.path).await.unwrap(),
        Some(held)
    );
}
