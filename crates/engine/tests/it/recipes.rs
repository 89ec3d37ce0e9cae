//! Recipes: who may write and use them, what refers to them, what rotations and writes make of
//! them, and what a lost commit leaves.

use scaivault_core::audit::Action;
use scaivault_core::identity::Scope;
use scaivault_core::ids::TenantId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{CommitError, Op, Record, SecretPolicyReads, Store, Unit, UnitName};
use scaivault_core::recipe::{PolicyType, RawField, SecretPolicy};
use scaivault_core::rotation::{Phase, Reason};
use scaivault_engine::{
    Caller, MetadataChange, Missing, RotationPolicyChange, SecretPolicyChange, SecretPolicyDraft,
    SecretWrite, VaultError, default_tenant,
};
use scaivault_testkit::{Fault, When};
use serde_json::{Value, json};

use crate::world::{DAY, HOUR, World, ninety_days, path, root, scoped, write_of};

const SECRET: &str = "app/made";

fn field(name: &str, generator: &str, config: Value) -> RawField {
    RawField {
        name: name.to_owned(),
        generator: generator.to_owned(),
        config: config.as_object().cloned().unwrap_or_default(),
    }
}

fn draft(name: &str, fields: Vec<RawField>) -> SecretPolicyDraft {
    SecretPolicyDraft {
        name: name.to_owned(),
        description: None,
        policy_type: PolicyType::default(),
        fields,
        is_active: true,
    }
}

fn strong(name: &str) -> SecretPolicyDraft {
    let config = json!({"length": 20, "charset": "safe", "require_digit": true});
    draft(name, vec![field("password", "random", config)])
}

async fn recipe(w: &World, draft: SecretPolicyDraft) -> SecretPolicy {
    let made = w.vault.secret_policy_create(&root(), draft).await;
    made.unwrap()
}

/// The current value as an object.
async fn value(w: &World, at: &str) -> Value {
    let read = w.vault.secret_read(&root(), &path(at), None).await.unwrap();
    serde_json::from_slice(read.value().expose()).unwrap()
}

fn of_other_tenant() -> Caller {
    let mut caller = root();
    let mut principal = (*caller.principal).clone();
    principal.tenant = TenantId::parse("tnt_other").unwrap();
    caller.principal = principal.into();
    caller
}

fn problems(error: VaultError) -> Vec<String> {
    match error {
        VaultError::Validation(fields) => fields.into_iter().map(|(field, _)| field).collect(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn recipes_are_written_read_changed_and_deleted() {
    let w = World::new().await;
    let made = recipe(&w, strong("db")).await;
    assert!(made.id.as_str().starts_with("sp_"));
    let shown = w.vault.secret_policy_show(&root(), "db").await.unwrap();
    assert_eq!(shown, made);
    let taken = w.vault.secret_policy_create(&root(), strong("db")).await;
    assert_eq!(taken.unwrap_err(), VaultError::NameExists);
    let like_id = w.vault.secret_policy_create(&root(), strong("sp_x")).await;
    assert_eq!(problems(like_id.unwrap_err()), ["name"]);
    let wrong = draft("x", vec![field("a", "random", json!({"length": 0}))]);
    let wrong = w.vault.secret_policy_create(&root(), wrong).await;
    assert_eq!(problems(wrong.unwrap_err()), ["fields[0].config.length"]);

    let change = SecretPolicyChange {
        name: Some("renamed".to_owned()),
        description: Some(Some("for databases".to_owned())),
        is_active: Some(false),
        ..SecretPolicyChange::default()
    };
    let (me, id) = (root(), made.id.as_str());
    let changed = w.vault.secret_policy_change(&me, id, change).await.unwrap();
    assert_eq!((changed.revision, changed.is_active), (2, false));
    assert_eq!(changed.fields, made.fields);
    let all = w.vault.secret_policy_list(&root(), false, None, 9).await;
    assert_eq!(all.unwrap(), [changed]);
    let active = w.vault.secret_policy_list(&root(), true, None, 9).await;
    assert_eq!(active.unwrap(), []);

    let vault = &w.vault;
    vault
        .secret_policy_delete(&root(), "renamed", false)
        .await
        .unwrap();
    let gone = vault.secret_policy_show(&root(), "renamed").await;
    let missing = VaultError::NotFound(Missing::SecretPolicy);
    assert_eq!(gone.unwrap_err(), missing);
    let actions: Vec<_> = w.audit().await.iter().map(|row| row.action).collect();
    for action in [
        Action::SecretPolicyCreate,
        Action::SecretPolicyUpdate,
        Action::SecretPolicyDelete,
    ] {
        assert!(actions.contains(&action), "{action:?}");
    }
}

#[tokio::test]
async fn whoever_writes_secrets_uses_recipes_and_administrators_write_them() {
    let w = World::new().await;
    recipe(&w, strong("db")).await;
    let (writer, reader) = (
        scoped("sa:writer", &[Scope::SecretsWrite]),
        scoped("sa:reader", &[Scope::SecretsRead, Scope::SecretsList]),
    );
    let vault = &w.vault;
    assert!(vault.secret_policy_show(&writer, "db").await.is_ok());
    assert!(
        vault
            .secret_policy_list(&writer, false, None, 9)
            .await
            .is_ok()
    );
    assert!(vault.secret_policy_preview(&writer, "db").await.is_ok());
    let admin = VaultError::Scope(Scope::Admin);
    let made = vault.secret_policy_create(&writer, strong("mine")).await;
    assert_eq!(made.unwrap_err(), admin);
    let change = SecretPolicyChange::default();
    let changed = vault.secret_policy_change(&writer, "db", change).await;
    assert_eq!(changed.unwrap_err(), admin);
    let deleted = vault.secret_policy_delete(&writer, "db", true).await;
    assert_eq!(deleted.unwrap_err(), admin);

    let write = VaultError::Scope(Scope::SecretsWrite);
    let shown = vault.secret_policy_show(&reader, "db").await;
    assert_eq!(shown.unwrap_err(), write);
    let sampled = vault.secret_policy_preview(&reader, "db").await;
    assert_eq!(sampled.unwrap_err(), write);
    let tried = vault.secret_policy_try(&reader, &strong("x").fields).await;
    assert_eq!(tried.unwrap_err(), write);
    let refused = w.audit().await;
    let refused = refused.iter().filter(|row| !row.success).count();
    assert_eq!(refused, 6, "each refusal is on the trail");
}

#[tokio::test]
async fn another_tenant_sees_nothing() {
    let w = World::new().await;
    let made = recipe(&w, strong("db")).await;
    let (stranger, missing) = (
        of_other_tenant(),
        VaultError::NotFound(Missing::SecretPolicy),
    );
    let vault = &w.vault;
    for key in [made.id.as_str(), "db"] {
        let shown = vault.secret_policy_show(&stranger, key).await;
        assert_eq!(shown.unwrap_err(), missing);
        let sampled = vault.secret_policy_preview(&stranger, key).await;
        assert_eq!(sampled.unwrap_err(), missing);
        let change = SecretPolicyChange::default();
        let changed = vault.secret_policy_change(&stranger, key, change).await;
        assert_eq!(changed.unwrap_err(), missing);
        let deleted = vault.secret_policy_delete(&stranger, key, true).await;
        assert_eq!(deleted.unwrap_err(), missing);
        let write = write_of(SECRET, "");
        let written = vault.secret_write_generated(&stranger, write, key).await;
        assert_eq!(written.unwrap_err(), missing);
    }
    let mut rotates = ninety_days("r");
    rotates.secret_policy_id = Some(made.id.clone());
    let created = vault.rotation_policy_create(&stranger, rotates).await;
    assert_eq!(created.unwrap_err(), missing);
    let listed = vault.secret_policy_list(&stranger, false, None, 9).await;
    assert_eq!(listed.unwrap(), []);
    // The name is free there.
    let theirs = vault.secret_policy_create(&stranger, strong("db")).await;
    assert_ne!(theirs.unwrap().id, made.id);
}

#[tokio::test]
async fn a_write_takes_its_value_from_a_recipe() {
    let w = World::new().await;
    let fields = vec![
        field("username", "static", json!({"value": "app"})),
        field("password", "random", json!({"length": 24})),
    ];
    let made = recipe(&w, draft("login", fields)).await;
    let write = write_of(SECRET, "not this");
    let written = w
        .vault
        .secret_write_generated(&root(), write, "login")
        .await;
    assert_eq!(
        written.unwrap().head.secret_policy_id,
        Some(made.id.clone())
    );
    let first = value(&w, SECRET).await;
    assert_eq!(first["username"], "app");
    assert_eq!(first["password"].as_str().unwrap().len(), 24);
    assert_eq!(first.as_object().unwrap().len(), 2);

    // Written again: a whole new value. By hand: the secret still refers to the recipe.
    let write = write_of(SECRET, "");
    let by_id = made.id.as_str();
    let again = w.vault.secret_write_generated(&root(), write, by_id).await;
    assert_eq!(again.unwrap().head.current_version, 2);
    assert_ne!(value(&w, SECRET).await["password"], first["password"]);
    w.put(SECRET, "by hand").await;
    let head = w.head(SECRET).await.unwrap();
    assert_eq!(head.secret_policy_id, Some(made.id.clone()));

    // It is taken away, and given back, without a new version.
    for wanted in [None, Some(made.id.clone())] {
        let change = MetadataChange {
            secret_policy_id: Some(wanted.clone()),
            ..MetadataChange::default()
        };
        let path = path(SECRET);
        let changed = w
            .vault
            .secret_metadata_change(&root(), &path, &change)
            .await;
        assert_eq!(changed.unwrap().0.secret_policy_id, wanted);
        let store = &*w.sqlite;
        let used = store
            .secret_policy_in_use(&default_tenant(), &made.id)
            .await;
        assert_eq!(used.unwrap(), wanted.is_some());
    }
    assert_eq!(w.head(SECRET).await.unwrap().current_version, 3);

    let write = write_of(SECRET, "");
    let none = w
        .vault
        .secret_write_generated(&root(), write, "nobody")
        .await;
    assert_eq!(
        none.unwrap_err(),
        VaultError::NotFound(Missing::SecretPolicy)
    );
    let inactive = SecretPolicyChange {
        is_active: Some(false),
        ..SecretPolicyChange::default()
    };
    w.vault
        .secret_policy_change(&root(), "login", inactive)
        .await
        .unwrap();
    let write = write_of(SECRET, "");
    let refused = w
        .vault
        .secret_write_generated(&root(), write, "login")
        .await;
    assert_eq!(problems(refused.unwrap_err()), ["options.generate_from"]);
    let failed = w.audit().await;
    let failed = failed
        .iter()
        .filter(|row| row.action == Action::Write && !row.success);
    assert_eq!(failed.count(), 2, "what failed is on the trail, too");
}

#[tokio::test]
async fn who_may_not_write_has_nothing_made() {
    let w = World::new().await;
    recipe(&w, strong("db")).await;
    let writer = scoped("sa:writer", &[Scope::SecretsWrite]);
    let write = write_of(SECRET, "");
    let refused = w.vault.secret_write_generated(&writer, write, "db").await;
    assert!(matches!(refused.unwrap_err(), VaultError::Denied(_)));
    assert!(w.head(SECRET).await.is_none());
}

#[tokio::test]
async fn a_rotation_replaces_the_keys_of_the_recipe_and_no_others() {
    let w = World::new().await;
    let fields = vec![
        field(
            "password",
            "bcrypt_hash",
            json!({"length": 16, "rounds": 4}),
        ),
        field("token", "template", json!({"template": "tk_{{hex:8}}"})),
    ];
    let made = recipe(&w, draft("login", fields)).await;
    let mut rotates = ninety_days("auto");
    (rotates.auto_generate, rotates.secret_policy_id) = (true, Some(made.id.clone()));
    let policy = w.policy(rotates).await;
    let current = br#"{"user":"app","password":"old","port":5432.0,"key":"kept"}"#;
    let write = SecretWrite {
        data: Plaintext::new(current.to_vec()),
        ..write_of(SECRET, "")
    };
    w.vault.secret_write(&root(), write).await.unwrap();
    w.assign(&policy.id, SECRET).await;
    w.live(DAY * 90 + HOUR).await;
    let now = value(&w, SECRET).await;
    assert_eq!(now["user"], "app");
    assert_eq!(
        now["key"], "kept",
        "a customary name that the recipe does not have"
    );
    assert_eq!(now["port"], 5432.0);
    assert_eq!(now["password"].as_str().unwrap().len(), 16);
    assert!(
        now["password_hash"]
            .as_str()
            .unwrap()
            .starts_with("$2b$04$")
    );
    assert!(now["token"].as_str().unwrap().starts_with("tk_"));
    assert_eq!(now.as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn without_one_in_the_policy_the_secrets_own_recipe_is_used() {
    let w = World::new().await;
    let own = draft(
        "own",
        vec![field(
            "pin",
            "random",
            json!({"length": 8, "charset": "numeric"}),
        )],
    );
    recipe(&w, own).await;
    let write = write_of(SECRET, "");
    let written = w.vault.secret_write_generated(&root(), write, "own").await;
    written.unwrap();
    let first = value(&w, SECRET).await;
    let mut rotates = ninety_days("auto");
    rotates.auto_generate = true;
    let policy = w.policy(rotates).await;
    w.assign(&policy.id, SECRET).await;
    w.live(DAY * 90 + HOUR).await;
    let second = value(&w, SECRET).await;
    assert_ne!(second, first);
    let pin = second["pin"].as_str().unwrap();
    assert!(
        pin.len() == 8 && pin.bytes().all(|byte| byte.is_ascii_digit()),
        "{pin}"
    );
}

#[tokio::test]
async fn a_recipe_in_use_stays_unless_it_is_forced_away() {
    let w = World::new().await;
    let made = recipe(&w, strong("db")).await;
    let mut rotates = ninety_days("auto");
    (rotates.auto_generate, rotates.secret_policy_id) = (true, Some(made.id.clone()));
    let policy = w.rotated_secret(SECRET, rotates).await;
    let refused = w.vault.secret_policy_delete(&root(), "db", false).await;
    assert_eq!(refused.unwrap_err(), VaultError::SecretPolicyInUse);
    w.vault
        .secret_policy_delete(&root(), "db", true)
        .await
        .unwrap();

    // Nothing of another kind is made in its place.
    w.live(DAY * 91).await;
    let parked = w.rotations(SECRET).await.pop().unwrap();
    let stopped = (parked.phase, parked.reason);
    assert_eq!(stopped, (Phase::Parked, Some(Reason::RecipeUnusable)));
    assert_eq!(value(&w, SECRET).await, json!({"password": "first"}));

    // One that is not active is as good as none, and is not taken to begin with.
    let mut other = strong("other");
    other.is_active = false;
    let other = recipe(&w, other).await;
    let change = RotationPolicyChange {
        secret_policy_id: Some(Some(other.id.clone())),
        ..RotationPolicyChange::default()
    };
    let vault = &w.vault;
    let refused = vault
        .rotation_policy_change(&root(), &policy, change.clone())
        .await;
    assert_eq!(problems(refused.unwrap_err()), ["secret_policy_id"]);
    let active = SecretPolicyChange {
        is_active: Some(true),
        ..SecretPolicyChange::default()
    };
    vault
        .secret_policy_change(&root(), "other", active)
        .await
        .unwrap();
    vault
        .rotation_policy_change(&root(), &policy, change)
        .await
        .unwrap();
    let again = vault.secret_rotate(&root(), &path(SECRET)).await.unwrap();
    assert_eq!((again.id, again.phase), (parked.id, Phase::Draining));
    let fresh = value(&w, SECRET).await;
    assert_eq!(fresh["password"].as_str().unwrap().len(), 20);

    // Without one: a random string, as ever.
    let change = RotationPolicyChange {
        secret_policy_id: Some(None),
        ..RotationPolicyChange::default()
    };
    vault
        .rotation_policy_change(&root(), &policy, change)
        .await
        .unwrap();
    vault
        .secret_policy_delete(&root(), "other", false)
        .await
        .unwrap();
}

#[tokio::test]
async fn whoever_deletes_conflicts_with_whoever_begins_to_refer() {
    let w = World::new().await;
    for how in 0..3 {
        let made = recipe(&w, strong(&format!("recipe {how}"))).await;
        let id = Some(made.id.clone());
        match how {
            0 => {
                let mut rotates = ninety_days("auto");
                rotates.secret_policy_id = id;
                w.policy(rotates).await;
            }
            1 => {
                let write = write_of(SECRET, "");
                let key = made.id.as_str();
                let written = w.vault.secret_write_generated(&root(), write, key).await;
                written.unwrap();
            }
            _ => {
                w.put("app/other", "x").await;
                let change = MetadataChange {
                    secret_policy_id: Some(id),
                    ..MetadataChange::default()
                };
                let path = path("app/other");
                let changed = w
                    .vault
                    .secret_metadata_change(&root(), &path, &change)
                    .await;
                changed.unwrap();
            }
        }
        // A delete that looked before and commits after.
        let unit = Unit::new(UnitName::SecretPolicyDelete)
            .op(Op::Delete(Record::SecretPolicy(made.clone())));
        let late = Store::commit(&*w.sqlite, unit).await;
        assert!(
            matches!(late, Err(CommitError::Conflict(_))),
            "{how}: {late:?}"
        );
        let found = w.sqlite.secret_policy_find(&made.tenant, &made.id).await;
        assert_eq!(found.unwrap().map(|row| row.fields), Some(made.fields));
    }
}

#[tokio::test]
async fn samples_are_made_anew_audited_and_kept_nowhere() {
    let w = World::new().await;
    let made = recipe(&w, strong("db")).await;
    let commits = |w: &World| {
        UnitName::ALL
            .iter()
            .map(|name| w.store.commits(*name))
            .sum::<u64>()
    };
    let before = commits(&w);
    let one = w.vault.secret_policy_preview(&root(), "db").await.unwrap();
    let other = w
        .vault
        .secret_policy_try(&root(), &strong("x").fields)
        .await;
    let other = other.unwrap();
    assert_eq!((one.id, other.id), (Some(made.id.clone()), None));
    let [one, other] = [&one.fields, &other.fields].map(|fields| {
        assert_eq!(fields[0].made[0].0, "password");
        fields[0].made[0].1.expose().to_vec()
    });
    assert_ne!(one, other);
    assert_eq!(commits(&w), before + 2);
    assert_eq!(
        w.store.commits(UnitName::AuditOnly),
        2,
        "rows of the trail alone"
    );
    let rows = w.audit().await;
    let sampled = |row: &&_| {
        let row: &scaivault_core::audit::AuditRow = row;
        row.action == Action::SecretPolicyPreview && row.success
    };
    let of = rows.iter().filter(sampled);
    let mut of: Vec<_> = of
        .map(|row| row.extra_data.secret_policy_id.clone())
        .collect();
    of.sort();
    assert_eq!(of, [None, Some(made.id)]);
    let trail = serde_json::to_string(&rows).unwrap();
    let text = String::from_utf8(one).unwrap();
    assert!(!trail.contains(&text), "no value on the trail");
}

/// A lost commit changed nothing, a lost answer is found by reading.
#[tokio::test]
async fn lost_commits_of_recipes() {
    for fault in [Fault::Unit, Fault::Answer] {
        let mut w = World::new().await;
        w.store
            .arm(UnitName::SecretPolicyWrite, When::Nth(1), fault);
        let lost = w.vault.secret_policy_create(&root(), strong("db")).await;
        assert!(matches!(lost.unwrap_err(), VaultError::Unavailable(_)));
        w.store.disarm();
        w.restart();
        let there = w.vault.secret_policy_show(&root(), "db").await.is_ok();
        assert_eq!(there, fault == Fault::Answer);
        if !there {
            recipe(&w, strong("db")).await;
        }
        w.store
            .arm(UnitName::SecretPolicyDelete, When::Nth(1), fault);
        let lost = w.vault.secret_policy_delete(&root(), "db", false).await;
        assert!(matches!(lost.unwrap_err(), VaultError::Unavailable(_)));
        w.store.disarm();
        w.restart();
        let there = w.vault.secret_policy_show(&root(), "db").await.is_ok();
        assert_eq!(there, fault == Fault::Unit);
        w.assert_chain_verifies().await;
    }
}

/// Keys and hashes are made beside the runtime: its one thread goes on meanwhile.
#[tokio::test(flavor = "current_thread")]
async fn slow_values_hold_nobody_up() {
    let w = World::new().await;
    let fields = vec![field("private_key", "rsa_keypair", json!({"bits": 2048}))];
    let vault = w.vault.clone();
    let making = tokio::spawn(async move { vault.secret_policy_try(&root(), &fields).await });
    let mut turns = 0u32;
    while !making.is_finished() {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(turns > 1, "the thread was held");
    let made = making.await.unwrap().unwrap();
    let keys: Vec<_> = made.fields[0]
        .made
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(keys, ["private_key", "public_key"]);
}
