//! Operations of the vault refuse and allow what the second evaluator says: policies and bindings
//! go the whole way through the store, the caller has groups and scopes, and a vault whose caches
//! are warm answers as one that was opened for the question.

use std::collections::BTreeMap;
use std::sync::Arc;

use scaivault_core::access::PolicyScope;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ids::TenantId;
use scaivault_core::tenancy::{Role, Seat};
use scaivault_core::time::Timestamp;
use scaivault_engine::{BindingDraft, Caller, PolicyDraft, Vault, VaultError, VaultPorts};
use scaivault_testkit::access_model::generate::{Dice, Scene};
use scaivault_testkit::access_model::{Answer, Ask, Asker, naive, real};

use crate::world::{World, identity, path, root};

const SCENES: u64 = 40;
const ASKERS: usize = 3;
const ASKS: usize = 8;
/// The permissions of operations that change nothing where no secret is, and their scopes.
const ASKED: [(&str, Scope); 3] = [
    ("read", Scope::SecretsRead),
    ("list", Scope::SecretsList),
    ("delete", Scope::SecretsDelete),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Decided(Answer),
    Scope,
}

fn opened(world: &World) -> Vault {
    Vault::new(VaultPorts {
        store: world.store.clone(),
        keyring: world.keyring.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        courier: world.courier.clone(),
        connectors: world.target.clone(),
        feed: None,
    })
}

/// Names of this scene alone, so that scenes can share a store.
fn of_scene(name: &str, scene: u64) -> String {
    format!("{name}-{scene}")
}

fn in_tenant(mut caller: Caller, tenant: &str) -> Caller {
    let principal = Arc::make_mut(&mut caller.principal);
    principal.tenant = TenantId::parse(tenant).unwrap();
    principal.seat = Seat {
        roles: [Role::SuperAdmin].into_iter().collect(),
        ..Seat::of(real::partner(tenant))
    };
    caller
}

async fn told(vault: &Vault, caller: &Caller, ask: &Ask) -> Told {
    let at = path(&ask.path);
    let outcome = match ask.permission {
        "read" => vault.secret_read(caller, &at, None).await.map(|_| ()),
        "list" => vault.secret_details(caller, &at).await.map(|_| ()),
        "delete" => vault.secret_delete(caller, &at, false).await.map(|_| ()),
        other => panic!("no operation asks for {other}"),
    };
    match outcome {
        // There is no secret: the vault says so to whoever is allowed.
        Err(VaultError::NotFound(_)) => Told::Decided(Answer::Allowed),
        Err(VaultError::Denied(reason)) => Told::Decided(real::refusal(reason)),
        Err(VaultError::Scope(_)) => Told::Scope,
        other => panic!("{other:?}"),
    }
}

/// The scene's policies in the vault, and their ids.
async fn stored(
    vault: &Vault,
    scene: &mut Scene,
    number: u64,
) -> Vec<scaivault_core::ids::PolicyId> {
    let mut ids = Vec::new();
    for (place, policy) in scene.world.policies.iter().enumerate() {
        let caller = in_tenant(root(), &policy.tenant);
        let draft = PolicyDraft {
            name: Some(format!("p{place}-{number}")),
            description: None,
            rules: Some(real::rules(&scene.world, place)),
            is_active: Some(policy.is_active),
            scope: Some(match policy.is_partner_wide {
                true => PolicyScope::Partner,
                false => PolicyScope::Tenant,
            }),
        };
        ids.push(vault.policy_create(&caller, draft).await.unwrap().id);
    }
    for binding in &mut scene.world.bindings {
        binding.identity = of_scene(&binding.identity, number);
        let caller = in_tenant(root(), &scene.world.policies[binding.policy].tenant);
        let draft = BindingDraft {
            identity: identity(&binding.identity),
            expires_at: binding.expires_at.map(Timestamp::from_micros),
        };
        let id = &ids[binding.policy];
        vault.binding_create(&caller, id, draft).await.unwrap();
    }
    ids
}

fn rolled(scene: &Scene, dice: &mut Dice, number: u64) -> (Asker, ScopeSet) {
    let mut asker = scene.asker(dice);
    // Generated questions look for rules by these names.
    asker.identity = of_scene(&asker.identity, number);
    for group in &mut asker.groups {
        *group = of_scene(group, number);
    }
    let scopes = ASKED.iter().filter(|_| !dice.percent(8));
    (asker, scopes.map(|(_, scope)| *scope).collect())
}

#[tokio::test]
async fn operations_answer_as_the_second_evaluator_with_warm_caches_and_with_cold_ones() {
    let world = World::new().await;
    let mut scenes: Vec<Scene> = (0..SCENES)
        .map(|seed| Scene::roll(&mut Dice::new(seed)))
        .collect();
    scenes.sort_by_key(Scene::base);
    let mut counts: BTreeMap<Told, usize> = BTreeMap::new();
    for (number, mut scene) in (0..).zip(scenes) {
        let mut dice = Dice::new(1_000 + number);
        world.clock.set(Timestamp::from_micros(scene.base() - 1));
        let ids = stored(&world.vault, &mut scene, number).await;
        let mut questions = Vec::new();
        for _ in 0..ASKERS {
            let (asker, scopes) = rolled(&scene, &mut dice, number);
            for _ in 0..ASKS {
                let mut ask = scene.ask(&mut dice, &asker);
                if !ASKED.iter().any(|(word, _)| *word == ask.permission) {
                    ask.permission = "read";
                }
                questions.push((asker.clone(), scopes, ask));
            }
        }
        questions.sort_by_key(|(_, _, ask)| ask.now);
        // Once as it was made, and once more after a policy was switched: caches must notice.
        for round in 0..2 {
            for (asker, scopes, ask) in &questions {
                world.clock.set(Timestamp::from_micros(ask.now));
                let mut principal = real::principal(asker, *scopes);
                principal.mfa_at = ask.mfa_at.map(Timestamp::from_micros);
                let mut caller = root();
                caller.principal = Arc::new(principal);
                caller.source_ip = ask.source_ip;
                let (_, scope) = ASKED
                    .iter()
                    .find(|(word, _)| *word == ask.permission)
                    .unwrap();
                let expected = match scopes.contains(*scope) {
                    true => Told::Decided(naive::answer(&scene.world, asker, ask)),
                    false => Told::Scope,
                };
                let warm = told(&world.vault, &caller, ask).await;
                let cold = told(&opened(&world), &caller, ask).await;
                let seen = format!("scene {number} round {round}\n{asker:?}\n{ask:?}");
                assert_eq!(warm, expected, "{seen}\n{:#?}", scene.world);
                assert_eq!(cold, expected, "cold, {seen}\n{:#?}", scene.world);
                *counts.entry(expected).or_default() += 1;
            }
            let switched = dice.below(ids.len());
            let policy = &mut scene.world.policies[switched];
            policy.is_active = !policy.is_active;
            let caller = in_tenant(root(), &policy.tenant);
            let draft = PolicyDraft {
                name: None,
                description: None,
                rules: None,
                is_active: Some(policy.is_active),
                scope: None,
            };
            let changed = world.vault.policy_change(&caller, &ids[switched], draft);
            changed.await.unwrap();
        }
    }
    for told in [
        Told::Decided(Answer::Allowed),
        Told::Decided(Answer::NoRule),
        Told::Decided(Answer::Address),
        Told::Decided(Answer::SecondFactor),
        Told::Decided(Answer::TimeWindow),
        Told::Scope,
    ] {
        assert!(counts.get(&told) >= Some(&10), "{told:?}: {counts:?}");
    }
}
