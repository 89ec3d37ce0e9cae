//! Machines that log in by a role id and a secret id.

use std::net::IpAddr;

use scaivault_core::access::Cidr;
use scaivault_core::audit::Action;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ids::RequestId;
use scaivault_core::machine::MachineRole;
use scaivault_core::ports::{MachineReads, TokenReads, UnitName};
use scaivault_engine::{
    Caller, LoginError, MachineLogin, MachineRoleDraft, MintedSecretId, MintedToken, SecretIdDraft,
    Vault, VaultError, default_tenant,
};
use scaivault_testkit::{Fault, When};

use crate::world::{HOUR, World, caller, identity, root, scoped, span};

static ROOT: std::sync::LazyLock<Caller> = std::sync::LazyLock::new(root);

fn draft(name: &str) -> MachineRoleDraft {
    MachineRoleDraft {
        name: name.to_owned(),
        role_id: None,
        identity: identity("sa:build"),
        scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
    }
}

type Change = fn(&mut MachineRole);

fn ranges(texts: &[&str]) -> Vec<Cidr> {
    texts.iter().filter_map(|text| Cidr::parse(text)).collect()
}

async fn role(
    w: &World,
    name: &str,
    fill: impl Fn(&mut MachineRole) + Send + Sync + 'static,
) -> MachineRole {
    let made = w.vault.machine_role_create(&ROOT, draft(name), &fill);
    made.await.unwrap()
}

async fn secret_id(w: &World, role: &str, draft: SecretIdDraft) -> MintedSecretId {
    let made = w.vault.secret_id_create(&ROOT, role, draft);
    made.await.unwrap()
}

fn at(address: &str) -> Option<IpAddr> {
    address.parse().ok()
}

async fn login(
    vault: &Vault,
    role_id: &str,
    secret_id: Option<&str>,
    from: Option<IpAddr>,
) -> Result<MintedToken, LoginError> {
    vault
        .machine_login(&MachineLogin {
            role_id: role_id.to_owned(),
            secret_id: secret_id.map(str::to_owned),
            request_id: RequestId::parse("req_1").unwrap(),
            source_ip: from,
            user_agent: None,
            started_at: vault.now(),
        })
        .await
}

fn refused(outcome: Result<MintedToken, LoginError>) {
    assert!(matches!(outcome.map(|_| ()), Err(LoginError::Refused)));
}

#[tokio::test]
async fn a_login_gives_what_the_role_says() {
    let w = World::new().await;
    let role = role(&w, "build", |role| {
        role.groups = vec![identity("group:builders")];
        role.token_ttl = span("10m");
        role.token_max_ttl = Some(span("15m"));
        role.token_num_uses = Some(5);
        role.token_bound_cidrs = ranges(&["10.0.0.0/8"]);
    })
    .await;
    assert_eq!(role.role_id, role.id.as_str());
    let narrower = SecretIdDraft {
        token_bound_cidrs: ranges(&["10.1.0.0/16"]),
        ..SecretIdDraft::default()
    };
    let made = secret_id(&w, "build", narrower).await;
    let text = made.text.expose();
    assert!(text.starts_with("sks_"));
    let minted = login(&w.vault, &role.role_id, Some(text), at("192.0.2.1")).await;
    let token = minted.unwrap().token;
    assert_eq!(token.identity, role.identity);
    assert_eq!((token.scopes, &token.groups), (role.scopes, &role.groups));
    assert_eq!(token.expires_at, Some(w.now().plus(HOUR / 6)));
    let bounds = token.bounds.clone().unwrap();
    assert_eq!(bounds.uses.unwrap().left, 5);
    assert_eq!(bounds.allowed_addresses, ranges(&["10.1.0.0/16"]));
    assert_eq!(bounds.machine_role.as_deref(), Some("build"));

    // Renewed within its most, and gone a while after its end.
    let own = Caller {
        principal: w
            .vault
            .authenticate(
                login(&w.vault, &role.role_id, Some(text), None)
                    .await
                    .unwrap()
                    .text
                    .expose(),
                w.now(),
            )
            .await
            .unwrap(),
        ..caller("sa:build")
    };
    w.clock.advance(HOUR / 10);
    let renewed = w.vault.token_renew_self(&own).await.unwrap();
    assert_eq!(renewed.expires_at, Some(w.now().plus(HOUR * 3 / 20)));
    w.clock.advance(HOUR);
    while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
    w.clock.advance(HOUR * 24 * 7);
    while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
    let left = TokenReads::token_list(&*w.sqlite, &default_tenant(), None, 99).await;
    assert_eq!(left.unwrap(), []);
}

#[tokio::test]
async fn periodic_tokens_are_renewed_without_a_last_end() {
    let w = World::new().await;
    let role = role(&w, "daemon", |role| role.token_period = Some(span("30m"))).await;
    let made = secret_id(&w, "daemon", SecretIdDraft::default()).await;
    let minted = login(&w.vault, &role.role_id, Some(made.text.expose()), None).await;
    let minted = minted.unwrap();
    let own = Caller {
        principal: w
            .vault
            .authenticate(minted.text.expose(), w.now())
            .await
            .unwrap(),
        ..caller("sa:build")
    };
    for _ in 0..50 {
        w.clock.advance(HOUR / 3);
        let renewed = w.vault.token_renew_self(&own).await.unwrap();
        assert_eq!(renewed.expires_at, Some(w.now().plus(HOUR / 2)));
    }
}

#[tokio::test]
async fn a_secret_id_ends_by_uses_by_time_and_by_hand() {
    let w = World::new().await;
    let role = role(&w, "build", |role| {
        role.secret_id_ttl = Some(span("1h"));
        role.secret_id_num_uses = Some(2);
    })
    .await;
    let enter = async |text: &str| login(&w.vault, &role.role_id, Some(text), None).await;
    let twice = secret_id(&w, "build", SecretIdDraft::default()).await;
    enter(twice.text.expose()).await.unwrap();
    enter(twice.text.expose()).await.unwrap();
    refused(enter(twice.text.expose()).await);
    let found = w
        .vault
        .secret_id_lookup(&ROOT, "build", twice.text.expose());
    assert_eq!(found.await.unwrap_err().code(), "secret_id_not_found");

    let timed = secret_id(&w, "build", SecretIdDraft::default()).await;
    let ended = secret_id(&w, "build", SecretIdDraft::default()).await;
    let found = w
        .vault
        .secret_id_lookup(&ROOT, "build", ended.text.expose());
    assert_eq!(found.await.unwrap().id, ended.record.id);
    let id = &ended.record.id;
    w.vault.secret_id_revoke(&ROOT, "build", id).await.unwrap();
    refused(enter(ended.text.expose()).await);
    w.clock.advance(HOUR);
    refused(enter(timed.text.expose()).await);
    w.vault.housekeeping_run_once().await.unwrap();
    let left = w.vault.secret_id_list(&ROOT, "build", None, 9).await;
    assert_eq!(left.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_get_in_as_there_are_uses_on_two_nodes() {
    let w = World::new().await;
    let other = w.another_node(None);
    let role = role(&w, "build", |_| {}).await;
    let three = SecretIdDraft {
        num_uses: Some(3),
        ..SecretIdDraft::default()
    };
    let made = secret_id(&w, "build", three).await;
    let all = (0..30).map(|n| {
        let vault = if n % 2 == 0 {
            w.vault.clone()
        } else {
            other.clone()
        };
        let (role_id, text) = (role.role_id.clone(), made.text.expose().to_owned());
        tokio::spawn(async move { login(&vault, &role_id, Some(&text), None).await.is_ok() })
    });
    let mut entered = 0;
    for one in all.collect::<Vec<_>>() {
        entered += u32::from(one.await.unwrap());
    }
    assert_eq!(entered, 3);
    let tokens = TokenReads::token_list(&*w.sqlite, &default_tenant(), None, 99).await;
    assert_eq!(tokens.unwrap().len(), 3);
}

/// A login whose outcome nobody knows was spent: no second one by the same use.
#[tokio::test]
async fn a_lost_answer_is_a_spent_use() {
    let w = World::new().await;
    let role = role(&w, "build", |_| {}).await;
    let once = SecretIdDraft {
        num_uses: Some(1),
        ..SecretIdDraft::default()
    };
    let made = secret_id(&w, "build", once).await;
    w.store
        .arm(UnitName::MachineLogin, When::Nth(1), Fault::Answer);
    let lost = login(&w.vault, &role.role_id, Some(made.text.expose()), None).await;
    assert!(matches!(
        lost.map(|_| ()),
        Err(LoginError::Vault(VaultError::Unavailable(_)))
    ));
    refused(login(&w.vault, &role.role_id, Some(made.text.expose()), None).await);
}

#[tokio::test]
async fn every_refusal_is_one_answer_and_the_trail_has_the_reason() {
    let w = World::new().await;
    let build = role(&w, "build", |role| {
        role.secret_id_bound_cidrs = ranges(&["10.0.0.0/8"]);
    })
    .await;
    let other = role(&w, "other", |_| {}).await;
    let off = role(&w, "off", |role| role.is_active = false).await;
    let made = secret_id(&w, "build", SecretIdDraft::default()).await;
    let of_other = secret_id(&w, "other", SecretIdDraft::default()).await;
    let (good, inside) = (made.text.expose(), at("10.1.2.3"));
    login(&w.vault, &build.role_id, Some(good), inside)
        .await
        .unwrap();
    for (role_id, secret_id, from) in [
        (build.role_id.as_str(), Some(good), at("11.1.2.3")),
        (&build.role_id, Some(good), None),
        (&build.role_id, None, inside),
        (&build.role_id, Some("sks_nobodys"), inside),
        (&build.role_id, Some(of_other.text.expose()), inside),
        (&other.role_id, Some(good), inside),
        (&off.role_id, Some(good), inside),
        ("rol_nobodys", Some(good), inside),
        ("", None, None),
    ] {
        refused(login(&w.vault, role_id, secret_id, from).await);
    }
    let rows = w.audit().await;
    let logins = rows.iter().filter(|row| row.action == Action::MachineLogin);
    let told: Vec<_> = logins
        .map(|row| row.extra_data.reason.as_deref().unwrap_or("in"))
        .collect();
    let mut told = told;
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "address",
            "address",
            "in",
            "role_inactive",
            "secret_id_missing",
            "secret_id_unknown",
            "secret_id_unknown",
            "secret_id_unknown",
        ]
    );
    let text = format!("{rows:?}");
    assert!(!text.contains("sks_"), "no secret id is on the trail");
}

#[tokio::test]
async fn a_storm_of_refusals_writes_a_few_rows() {
    let w = World::new().await;
    let role = role(&w, "build", |_| {}).await;
    for _ in 0..500 {
        refused(login(&w.vault, &role.role_id, Some("sks_no"), None).await);
        refused(login(&w.vault, "rol_none", Some("sks_no"), None).await);
    }
    let count = async || {
        let rows = w.audit().await;
        let of = rows.iter().filter(|row| row.action == Action::MachineLogin);
        of.count()
    };
    assert_eq!(count().await, 20);
    w.clock.advance(HOUR);
    refused(login(&w.vault, &role.role_id, Some("sks_no"), None).await);
    assert_eq!(count().await, 21);
    let rows = w.audit().await;
    let told = rows.iter().filter_map(|row| row.extra_data.count).max();
    assert_eq!(told, Some(480), "and how many were left out");
}

#[tokio::test]
async fn nobody_hands_out_more_than_he_has() {
    let w = World::new().await;
    let admin = scoped("user:admin", &[Scope::Admin]);
    let made = w.vault.machine_role_create(&admin, draft("a"), &|_| {});
    assert_eq!(made.await.map(|_| ()).unwrap_err().code(), "forbidden");
    let reader = scoped("user:reader", &[Scope::SecretsRead]);
    let made = w.vault.machine_role_create(&reader, draft("a"), &|_| {});
    assert_eq!(
        made.await.map(|_| ()).unwrap_err().code(),
        "insufficient_scope"
    );
    role(&w, "build", |_| {}).await;
    let made = w
        .vault
        .secret_id_create(&admin, "build", SecretIdDraft::default());
    assert_eq!(made.await.map(|_| ()).unwrap_err().code(), "forbidden");
    let changed = w
        .vault
        .machine_role_change(&admin, "build", &|role| role.token_ttl = span("1m"));
    assert_eq!(changed.await.map(|_| ()).unwrap_err().code(), "forbidden");

    let named_root = MachineRoleDraft {
        identity: identity("user:root"),
        ..draft("b")
    };
    let made = w.vault.machine_role_create(&ROOT, named_root, &|_| {});
    assert_eq!(made.await.map(|_| ()).unwrap_err().code(), "forbidden");
}

#[tokio::test]
async fn roles_are_checked_and_their_names_are_kept() {
    let w = World::new().await;
    let first = role(&w, "build", |role| role.name = "else".into()).await;
    assert_eq!(first.name, "build");
    let again = w.vault.machine_role_create(&ROOT, draft("build"), &|_| {});
    assert_eq!(again.await.map(|_| ()).unwrap_err(), VaultError::NameExists);
    let taken = MachineRoleDraft {
        role_id: Some(first.role_id.clone()),
        ..draft("second")
    };
    let taken = w.vault.machine_role_create(&ROOT, taken, &|_| {});
    assert_eq!(
        taken.await.map(|_| ()).unwrap_err().code(),
        "validation_error"
    );
    let wrong: [(&str, Change); 4] = [
        ("secret_id_bound_cidrs", |role| role.bind_secret_id = false),
        ("token_max_ttl", |role| {
            role.token_max_ttl = Some(span("1m"))
        }),
        ("groups", |role| role.groups = vec![identity("sa:x")]),
        ("role_id", |role| role.role_id = "short".into()),
    ];
    for (field, change) in wrong {
        let changed = w.vault.machine_role_change(&ROOT, "build", &change).await;
        match changed.map(|_| ()) {
            Err(VaultError::Validation(fields)) => assert_eq!(fields[0].0, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    let changed = w
        .vault
        .machine_role_change(&ROOT, "build", &|role| {
            role.name = "else".into();
            role.role_id = "build-of-shop".into();
        })
        .await
        .unwrap();
    assert_eq!((changed.name.as_str(), changed.revision), ("build", 2));
    assert_eq!(changed.id, first.id);

    // A role of the same name does not know the secret ids of the one before.
    let made = secret_id(&w, "build", SecretIdDraft::default()).await;
    w.vault.machine_role_delete(&ROOT, "build").await.unwrap();
    let gone = MachineReads::secret_id_find(&*w.sqlite, &default_tenant(), &made.record.id).await;
    assert_eq!(gone.unwrap(), None);
    let second = role(&w, "build", |_| {}).await;
    refused(login(&w.vault, &second.role_id, Some(made.text.expose()), None).await);
}

#[tokio::test]
async fn secret_ids_stay_within_their_role() {
    let w = World::new().await;
    role(&w, "build", |role| {
        role.secret_id_ttl = Some(span("1h"));
        role.secret_id_num_uses = Some(2);
        role.secret_id_bound_cidrs = ranges(&["10.0.0.0/8"]);
        role.token_bound_cidrs = ranges(&["10.0.0.0/8"]);
    })
    .await;
    let wide: [(&str, SecretIdDraft); 4] = [
        (
            "ttl",
            SecretIdDraft {
                ttl: Some(span("2h")),
                ..SecretIdDraft::default()
            },
        ),
        (
            "num_uses",
            SecretIdDraft {
                num_uses: Some(3),
                ..SecretIdDraft::default()
            },
        ),
        (
            "bound_cidrs",
            SecretIdDraft {
                bound_cidrs: ranges(&["0.0.0.0/0"]),
                ..SecretIdDraft::default()
            },
        ),
        (
            "token_bound_cidrs",
            SecretIdDraft {
                token_bound_cidrs: ranges(&["11.0.0.0/8"]),
                ..SecretIdDraft::default()
            },
        ),
    ];
    for (field, draft) in wide {
        match w
            .vault
            .secret_id_create(&ROOT, "build", draft)
            .await
            .map(|_| ())
        {
            Err(VaultError::Validation(fields)) => assert_eq!(fields[0].0, field),
            other => panic!("{field}: {other:?}"),
        }
    }
    role(&w, "bare", |role| {
        role.bind_secret_id = false;
        role.secret_id_bound_cidrs = ranges(&["10.0.0.0/8"]);
    })
    .await;
    let none = w
        .vault
        .secret_id_create(&ROOT, "bare", SecretIdDraft::default());
    assert_eq!(
        none.await.map(|_| ()).unwrap_err().code(),
        "validation_error"
    );
}

/// Somebody whose token is bound to addresses, with every scope.
async fn bound_to(w: &World, texts: &[&str]) -> Caller {
    let draft = scaivault_engine::TokenDraft {
        identity: identity("sa:ops"),
        scopes: ScopeSet::all(),
        roles: scaivault_core::tenancy::Roles::NONE,
        ttl: span("1h"),
        description: None,
    };
    let limits = scaivault_engine::TokenLimits {
        allowed_addresses: ranges(texts),
        ..scaivault_engine::TokenLimits::default()
    };
    let minted = w.vault.token_create_within(&ROOT, draft, limits).await;
    let minted = minted.unwrap();
    let principal = w
        .vault
        .authenticate(minted.text.expose(), w.now())
        .await
        .unwrap();
    Caller {
        principal,
        ..root()
    }
}

/// A token that is good from one network only makes no role, and no secret id of a role, whose
/// tokens are good from everywhere.
#[tokio::test]
async fn what_a_bound_token_makes_is_bound_alike() {
    let w = World::new().await;
    let bound = bound_to(&w, &["10.0.0.0/8"]).await;
    let vault = &w.vault;
    let keep: Change = |_| {};
    let made = vault.machine_role_create(&bound, draft("build"), &keep);
    let made = made.await.unwrap();
    assert_eq!(made.token_bound_cidrs, ranges(&["10.0.0.0/8"]));
    let wide: Change = |role| role.token_bound_cidrs = ranges(&["0.0.0.0/0"]);
    let refused = vault
        .machine_role_create(&bound, draft("wide"), &wide)
        .await;
    assert!(
        matches!(refused, Err(VaultError::Forbidden(_))),
        "{refused:?}"
    );
    let refused = vault.machine_role_change(&bound, "build", &wide).await;
    assert!(
        matches!(refused, Err(VaultError::Forbidden(_))),
        "{refused:?}"
    );
    // A role that somebody else made wide.
    role(&w, "others", |_| {}).await;
    let minted = vault.secret_id_create(&bound, "others", SecretIdDraft::default());
    let minted = minted.await.unwrap();
    let token = login(vault, &minted.role_id, Some(minted.text.expose()), None).await;
    let bounds = token.unwrap().token.bounds.unwrap();
    assert_eq!(bounds.allowed_addresses, ranges(&["10.0.0.0/8"]));
    // Nor anything once it has ended.
    let id = bound.principal.token_id.clone().unwrap();
    vault.token_revoke(&ROOT, &id).await.unwrap();
    let late = vault
        .machine_role_create(&bound, draft("late"), &keep)
        .await;
    assert!(matches!(late, Err(VaultError::Forbidden(_))), "{late:?}");
}

/// A role that is narrowed narrows what its secret ids give, those that are out included.
#[tokio::test]
async fn a_role_narrowed_later_narrows_its_secret_ids() {
    let w = World::new().await;
    role(&w, "build", |_| {}).await;
    let of = |texts: &[&str]| SecretIdDraft {
        token_bound_cidrs: ranges(texts),
        ..SecretIdDraft::default()
    };
    let wide = secret_id(&w, "build", of(&["10.0.0.0/8"])).await;
    let beside = secret_id(&w, "build", of(&["192.168.0.0/16"])).await;
    let narrow: Change = |role| role.token_bound_cidrs = ranges(&["10.1.0.0/16"]);
    let changed = w.vault.machine_role_change(&ROOT, "build", &narrow).await;
    changed.unwrap();
    let token = login(&w.vault, &wide.role_id, Some(wide.text.expose()), None).await;
    let bounds = token.unwrap().token.bounds.unwrap();
    assert_eq!(bounds.allowed_addresses, ranges(&["10.1.0.0/16"]));
    refused(login(&w.vault, &beside.role_id, Some(beside.text.expose()), None).await);
}

/// Nobody chooses a role id that could be one that was made for another role, nor lets in everybody.
#[tokio::test]
async fn role_ids_of_others_are_not_taken_over() {
    let w = World::new().await;
    let made = role(&w, "build", |_| {}).await;
    w.vault.machine_role_delete(&ROOT, "build").await.unwrap();
    let take = MachineRoleDraft {
        role_id: Some(made.role_id),
        ..draft("mine")
    };
    let keep: Change = |_| {};
    let taken = w.vault.machine_role_create(&ROOT, take, &keep).await;
    assert!(matches!(taken, Err(VaultError::Validation(_))), "{taken:?}");
    let open: Change = |role| {
        role.bind_secret_id = false;
        role.secret_id_bound_cidrs = ranges(&["0.0.0.0/0"]);
    };
    let opened = w
        .vault
        .machine_role_create(&ROOT, draft("open"), &open)
        .await;
    assert!(
        matches!(opened, Err(VaultError::Validation(_))),
        "{opened:?}"
    );
}
