//! Policies held by their names: written, held, changed, and what nobody gets by them.

use std::time::Duration;

use scaivault_core::access::PolicyScope;
use scaivault_core::acl::{Compiled, MountKind, MountView, Mounts, compile, group_of, parse};
use scaivault_core::audit::Action;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ports::UnitName;
use scaivault_engine::{
    BindingDraft, Caller, ChildDraft, MachineRoleDraft, MintedToken, PolicyDraft, TokenDraft,
    VaultError, default_tenant,
};
use scaivault_testkit::{Fault, When};

use crate::world::{HOUR, World, caller, identity, path, root, scoped, span, write_of};

static ROOT: std::sync::LazyLock<Caller> = std::sync::LazyLock::new(root);

fn mounts() -> Mounts {
    Mounts::new(vec![MountView {
        path: "secret".to_owned(),
        kind: MountKind::Kv2,
        root: "secret".to_owned(),
    }])
}

fn policy(text: &str) -> Compiled {
    compile(&parse(text).unwrap(), &mounts()).unwrap()
}

fn reader(of: &str) -> Compiled {
    policy(&format!(
        "path \"secret/data/{of}\" {{ capabilities = [\"read\"] }}"
    ))
}

fn maker() -> Compiled {
    policy(
        "path \"secret/data/app/*\" { capabilities = [\"read\"] }
         path \"auth/token/create\" { capabilities = [\"update\"] }",
    )
}

fn holding(policies: &[&str]) -> ChildDraft {
    ChildDraft {
        policies: policies.iter().map(|name| (*name).to_owned()).collect(),
        ..ChildDraft::default()
    }
}

async fn token(w: &World, by: &Caller, draft: ChildDraft) -> MintedToken {
    w.vault.token_child(by, draft).await.unwrap().0
}

/// Whoever comes with the token, now.
async fn bearer(w: &World, token: &MintedToken) -> Caller {
    let principal = w.vault.authenticate(token.text.expose(), w.now()).await;
    Caller {
        principal: principal.unwrap(),
        ..caller("sa:nobody")
    }
}

async fn reads(w: &World, token: &MintedToken, at: &str) -> bool {
    let who = bearer(w, token).await;
    w.vault.secret_read(&who, &path(at), None).await.is_ok()
}

async fn with_secrets() -> World {
    let w = World::new().await;
    for at in ["secret/app/db", "secret/other"] {
        w.vault
            .secret_write(&root(), write_of(at, "pw"))
            .await
            .unwrap();
    }
    w
}

#[tokio::test]
async fn a_policy_is_written_with_its_binding_and_held() {
    let w = with_secrets().await;
    let made = w
        .vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    assert_eq!(
        (made.name.as_str(), made.scope),
        ("app", PolicyScope::Tenant)
    );
    assert_eq!(
        made.scopes,
        Some([Scope::SecretsRead].into_iter().collect())
    );
    let (_, bindings) = w.vault.policy_details(&root(), &made.id).await.unwrap();
    assert_eq!(bindings.len(), 1);
    assert_eq!(Some(&bindings[0].identity), group_of("app").as_ref());
    let rows = w.audit().await;
    let told: Vec<Action> = rows.iter().map(|row| row.action).collect();
    let at = told
        .iter()
        .position(|action| *action == Action::PolicyCreate);
    assert_eq!(told.get(at.unwrap() + 1), Some(&Action::PolicyBind));

    let held = token(&w, &root(), holding(&["app", "app"])).await;
    assert_eq!(held.token.groups, [group_of("app").unwrap()]);
    assert!(
        held.token
            .identity
            .as_str()
            .starts_with("sa:acl/token/tok_")
    );
    assert!(reads(&w, &held, "secret/app/db").await);
    assert!(!reads(&w, &held, "secret/other").await);
    assert_eq!(w.vault.acl_list(&root()).await.unwrap(), ["app"]);
    assert_eq!(w.vault.acl_show(&root(), "app").await.unwrap().id, made.id);
}

#[tokio::test]
async fn a_change_holds_for_tokens_that_are_out() {
    let w = with_secrets().await;
    w.vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    let held = token(&w, &root(), holding(&["app"])).await;
    assert!(reads(&w, &held, "secret/app/db").await);

    // More: rights and scope.
    let more =
        policy("path \"secret/data/*\" { capabilities = [\"create\", \"update\", \"read\"] }");
    w.vault.acl_put(&root(), "app", &more).await.unwrap();
    assert!(reads(&w, &held, "secret/other").await);
    let who = bearer(&w, &held).await;
    w.vault
        .secret_write(&who, write_of("secret/other", "new"))
        .await
        .unwrap();

    // Scopes that no rule stands behind end with the policy's change as well.
    let power = policy(
        "path \"sys/policies/acl/*\" { capabilities = [\"create\",\"read\",\"update\",\"delete\",\"list\"] }",
    );
    w.vault.acl_put(&root(), "app", &power).await.unwrap();
    let who = bearer(&w, &held).await;
    assert!(who.principal.scopes.contains(Scope::PoliciesWrite));
    w.vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    let who = bearer(&w, &held).await;
    assert_eq!(
        who.principal.scopes,
        [Scope::SecretsRead].into_iter().collect()
    );
    assert!(!reads(&w, &held, "secret/other").await);

    // Deleted, it gives nothing; made anew under its name, it is held again, as it is then.
    w.vault.acl_delete(&root(), "app").await.unwrap();
    w.vault.acl_delete(&root(), "app").await.unwrap();
    let who = bearer(&w, &held).await;
    assert_eq!(who.principal.scopes, ScopeSet::EMPTY);
    assert!(!reads(&w, &held, "secret/app/db").await);
    w.vault
        .acl_put(&root(), "app", &reader("other"))
        .await
        .unwrap();
    assert!(reads(&w, &held, "secret/other").await && !reads(&w, &held, "secret/app/db").await);
}

#[tokio::test]
async fn a_token_makes_tokens_with_less_than_it_has() {
    let w = with_secrets().await;
    w.vault.acl_put(&root(), "maker", &maker()).await.unwrap();
    w.vault
        .acl_put(&root(), "other", &reader("other"))
        .await
        .unwrap();
    let parent = token(&w, &root(), holding(&["maker"])).await;
    let who = bearer(&w, &parent).await;

    let refused = |draft: ChildDraft| {
        let (vault, who) = (&w.vault, &who);
        async move { vault.token_child(who, draft).await.map(|_| ()).unwrap_err() }
    };
    for draft in [
        holding(&["other"]),
        holding(&["maker", "other"]),
        holding(&["not-there"]),
        ChildDraft {
            no_parent: true,
            ..holding(&[])
        },
        ChildDraft {
            period: Some(HOUR),
            ..holding(&[])
        },
    ] {
        assert!(
            matches!(refused(draft.clone()).await, VaultError::Forbidden(_)),
            "{draft:?}"
        );
    }
    for name in ["root", "default", "Upper", ""] {
        let error = refused(holding(&[name])).await;
        assert!(matches!(error, VaultError::Validation(_)), "{name}");
    }
    // Without a name it has what its maker has, and it ends with it.
    let child = token(
        &w,
        &who,
        ChildDraft {
            ttl: Some(HOUR),
            ..holding(&[])
        },
    )
    .await;
    assert_eq!(child.token.groups, parent.token.groups);
    assert_eq!(child.token.parent(), Some(&parent.token.id));
    assert!(reads(&w, &child, "secret/app/db").await);
    let grandchild = token(&w, &bearer(&w, &child).await, holding(&[])).await;
    assert_eq!(grandchild.token.expires_at, child.token.expires_at);
    w.vault
        .token_revoke(&root(), &parent.token.id)
        .await
        .unwrap();
    for token in [&child, &grandchild] {
        assert!(
            w.vault
                .authenticate(token.text.expose(), w.now())
                .await
                .is_err()
        );
    }
    // And the records say so, for a while after the end of a maker that has no scope for it.
    while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
    let all = w.vault.token_list(&root(), None, 99).await.unwrap();
    assert!(
        all.iter()
            .filter(|token| token.holds_policies())
            .all(|token| token.revoked_at.is_some())
    );

    // Who may not make tokens is told so, and the trail has it.
    let plain = token(&w, &root(), holding(&["other"])).await;
    let who = bearer(&w, &plain).await;
    let error = w
        .vault
        .token_child(&who, holding(&["other"]))
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, VaultError::Denied(_)));
    let row = w
        .audit()
        .await
        .into_iter()
        .rev()
        .find(|row| row.action == Action::TokenCreate);
    assert!(!row.unwrap().success);
}

#[tokio::test]
async fn bounds_of_such_tokens() {
    let w = with_secrets().await;
    w.vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    let fixed = ChildDraft {
        ttl: Some(HOUR),
        is_fixed: true,
        uses: Some(3),
        display_name: Some("web 1/\u{e9}".into()),
        meta: [("team".to_owned(), "a".to_owned())].into(),
        ..holding(&["app"])
    };
    let fixed = token(&w, &root(), fixed).await;
    let bounds = fixed.token.bounds.clone().unwrap();
    assert_eq!(
        (bounds.uses.unwrap().left, bounds.meta["team"].as_str()),
        (3, "a")
    );
    assert!(
        fixed
            .token
            .identity
            .as_str()
            .starts_with("sa:acl/web1/tok_")
    );
    let who = bearer(&w, &fixed).await;
    let error = w
        .vault
        .token_renew_self(&who)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, VaultError::Forbidden(_)));

    let most = ChildDraft {
        ttl: Some(HOUR),
        max_ttl: Some(HOUR * 2),
        ..holding(&["app"])
    };
    let most = token(&w, &root(), most).await;
    let ends = most.token.created_at.plus(HOUR * 2);
    w.clock.advance(HOUR * 9 / 10);
    let renewed = w
        .vault
        .token_renew_self(&bearer(&w, &most).await)
        .await
        .unwrap();
    assert_eq!(renewed.expires_at, Some(w.now().plus(HOUR)));
    w.clock.advance(HOUR * 9 / 10);
    let renewed = w
        .vault
        .token_renew_self(&bearer(&w, &most).await)
        .await
        .unwrap();
    assert_eq!(renewed.expires_at, Some(ends));

    let daemon = ChildDraft {
        period: Some(HOUR),
        ..holding(&["app"])
    };
    let daemon = token(&w, &root(), daemon).await;
    for _ in 0..100 {
        w.clock.advance(HOUR * 9 / 10);
        w.vault
            .token_renew_self(&bearer(&w, &daemon).await)
            .await
            .unwrap();
    }
    // Without a time, as long as may be: 32 days, and renewals take it no further.
    let plain = token(&w, &root(), holding(&["app"])).await;
    let most = Duration::from_secs(32 * 86_400);
    assert_eq!(plain.token.expires_at, Some(w.now().plus(most)));
    w.clock.advance(HOUR);
    let renewed = w
        .vault
        .token_renew_self(&bearer(&w, &plain).await)
        .await
        .unwrap();
    assert_eq!(renewed.expires_at, plain.token.expires_at);
}

/// Nobody gives by a policy what he lacks.
#[tokio::test]
async fn nobody_gets_scopes_by_policies() {
    let w = with_secrets().await;
    let writer = scoped("user:writer", &[Scope::PoliciesWrite, Scope::PoliciesRead]);
    let power = policy(
        "path \"secret/*\" { capabilities = [\"create\",\"read\",\"update\",\"delete\",\"list\"] }",
    );
    let error = w.vault.acl_put(&writer, "mine", &power).await.unwrap_err();
    assert!(matches!(error, VaultError::Scope(_)), "{error:?}");
    w.vault.acl_put(&root(), "power", &power).await.unwrap();
    // What it gives already may stay; nothing is added.
    w.vault
        .acl_put(&writer, "power", &reader("app/*"))
        .await
        .unwrap();
    let error = w.vault.acl_put(&writer, "power", &power).await.unwrap_err();
    assert!(
        matches!(error, VaultError::Scope(Scope::SecretsWrite)),
        "{error:?}"
    );
    // Nor by its name, or by a binding.
    let found = w.vault.acl_show(&root(), "power").await.unwrap();
    let renamed = PolicyDraft {
        name: Some("mine".into()),
        ..PolicyDraft::default()
    };
    let error = w
        .vault
        .policy_change(&writer, &found.id, renamed)
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, VaultError::Scope(_)), "{error:?}");
    let bind = |to: &str| BindingDraft {
        identity: identity(to),
        expires_at: None,
    };
    let error = w
        .vault
        .binding_create(&writer, &found.id, bind("group:acl/mine"))
        .await
        .unwrap_err();
    assert!(matches!(error, VaultError::Scope(_)), "{error:?}");
    let error = w
        .vault
        .binding_create(&root(), &found.id, bind("sa:acl/web/tok_1"))
        .await
        .unwrap_err();
    assert!(matches!(error, VaultError::Validation(_)), "{error:?}");

    // An administrator without them makes neither tokens nor roles that have them.
    let admin = scoped("user:admin", &[Scope::Admin]);
    let error = w
        .vault
        .token_child(&admin, holding(&["power"]))
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(
        matches!(error, VaultError::Scope(Scope::SecretsRead)),
        "{error:?}"
    );
    let error = w
        .vault
        .token_child(&admin, holding(&["later"]))
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, VaultError::Forbidden(_)), "{error:?}");
    let role = |name: &str| MachineRoleDraft {
        name: name.to_owned(),
        role_id: None,
        identity: identity("sa:approle/x"),
        scopes: ScopeSet::EMPTY,
    };
    let group = identity("group:acl/power");
    let error = w
        .vault
        .machine_role_create(&admin, role("a"), &move |role| {
            role.groups = vec![group.clone()]
        })
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, VaultError::Scope(_)), "{error:?}");
    let group = identity("group:acl/power");
    let hold = move |role: &mut scaivault_core::machine::MachineRole| {
        role.groups = vec![group.clone()];
    };
    let hold: &scaivault_engine::MachineRoleChange<'_> = &hold;
    let made = w.vault.machine_role_create(&ROOT, role("b"), hold);
    made.await.unwrap();
    let error = w
        .vault
        .secret_id_create(&admin, "b", Default::default())
        .await
        .map(|_| ())
        .unwrap_err();
    assert!(matches!(error, VaultError::Scope(_)), "{error:?}");
    // Root may name what is not there yet; it gives nothing.
    let (_, missing) = w
        .vault
        .token_child(&root(), holding(&["later"]))
        .await
        .unwrap();
    assert_eq!(missing, ["later"]);
}

#[tokio::test]
async fn a_policy_of_the_native_api_is_not_taken_over() {
    let w = with_secrets().await;
    let draft = PolicyDraft {
        name: Some("app".into()),
        rules: Some(reader("app/*").rules),
        ..PolicyDraft::default()
    };
    let native = w.vault.policy_create(&root(), draft).await.unwrap();
    let error = w
        .vault
        .acl_put(&root(), "app", &reader("other"))
        .await
        .unwrap_err();
    assert!(matches!(error, VaultError::InvalidPolicy(_)), "{error:?}");
    assert_eq!(
        w.vault.acl_list(&root()).await.unwrap(),
        Vec::<String>::new()
    );
    // Bound, it is.
    let bind = BindingDraft {
        identity: identity("group:acl/app"),
        expires_at: None,
    };
    w.vault
        .binding_create(&root(), &native.id, bind)
        .await
        .unwrap();
    assert_eq!(w.vault.acl_list(&root()).await.unwrap(), ["app"]);
    assert_eq!(w.vault.acl_show(&root(), "app").await.unwrap().scopes, None);
    w.vault
        .acl_put(&root(), "app", &reader("other"))
        .await
        .unwrap();
    // One with conditions would lose them.
    let mut rules = reader("app/*").rules;
    rules[0].conditions.require_mfa = true;
    let draft = PolicyDraft {
        rules: Some(rules),
        ..PolicyDraft::default()
    };
    w.vault
        .policy_change(&root(), &native.id, draft)
        .await
        .unwrap();
    let error = w
        .vault
        .acl_put(&root(), "app", &reader("other"))
        .await
        .unwrap_err();
    assert!(matches!(error, VaultError::InvalidPolicy(_)), "{error:?}");
}

#[tokio::test]
async fn a_scope_of_a_token_of_the_native_api_does_not_come_by_a_group() {
    let w = with_secrets().await;
    w.vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    let draft = TokenDraft {
        identity: identity("user:alice"),
        scopes: [Scope::SecretsList].into_iter().collect(),
        roles: scaivault_core::tenancy::Roles::NONE,
        ttl: span("1h"),
        description: None,
    };
    let native = w.vault.token_create(&root(), draft).await.unwrap();
    let who = bearer(&w, &native).await;
    assert_eq!(
        who.principal.scopes,
        [Scope::SecretsList].into_iter().collect()
    );
    assert!(!reads(&w, &native, "secret/app/db").await);
    assert_eq!(who.tenant(), &default_tenant());
}

#[tokio::test]
async fn a_lost_answer_leaves_a_policy_whole() {
    for fault in [Fault::Unit, Fault::Answer] {
        let w = with_secrets().await;
        w.store.arm(UnitName::PolicyWrite, When::Nth(1), fault);
        let outcome = w.vault.acl_put(&root(), "app", &reader("app/*")).await;
        assert!(outcome.is_err());
        let listed = w.vault.acl_list(&root()).await.unwrap();
        match fault {
            Fault::Answer => assert_eq!(listed, ["app"]),
            _ => assert!(listed.is_empty()),
        }
        w.vault
            .acl_put(&root(), "app", &reader("app/*"))
            .await
            .unwrap();
        let held = token(&w, &root(), holding(&["app"])).await;
        assert!(reads(&w, &held, "secret/app/db").await);
    }
}

#[tokio::test]
async fn capabilities_are_what_the_decision_says() {
    let w = with_secrets().await;
    w.vault.acl_put(&root(), "maker", &maker()).await.unwrap();
    let held = token(&w, &root(), holding(&["maker"])).await;
    let who = bearer(&w, &held).await;
    for (at, want) in [
        ("secret/data/app/db", ["read"]),
        ("secret/data/other", ["deny"]),
        ("secret/metadata/app/db", ["deny"]),
        ("auth/token/create", ["update"]),
        ("sys/policies/acl/x", ["deny"]),
        ("nowhere/x", ["deny"]),
    ] {
        let got = w.vault.acl_capabilities(&who, &mounts(), at).await.unwrap();
        assert_eq!(got, want, "{at}");
    }
    let got = w
        .vault
        .acl_capabilities(&root(), &mounts(), "x")
        .await
        .unwrap();
    assert_eq!(got, ["root"]);
    let other = w.vault.acl_bearer(&root(), &held.token).await.unwrap();
    assert_eq!(other.principal.scopes, who.principal.scopes);
}

#[tokio::test]
async fn a_policy_that_is_not_active_gives_nothing_to_who_wakes_it() {
    let w = with_secrets().await;
    w.vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    let id = w.vault.acl_show(&root(), "app").await.unwrap().id;
    let active = |is_active| PolicyDraft {
        is_active: Some(is_active),
        ..PolicyDraft::default()
    };
    w.vault
        .policy_change(&root(), &id, active(false))
        .await
        .unwrap();
    let writer = scoped("user:writer", &[Scope::PoliciesWrite]);
    let lacks = |error: VaultError| matches!(error, VaultError::Scope(Scope::SecretsRead));
    let put = w.vault.acl_put(&writer, "app", &reader("app/*")).await;
    assert!(lacks(put.unwrap_err()));
    let change = w.vault.policy_change(&writer, &id, active(true)).await;
    assert!(lacks(change.map(|_| ()).unwrap_err()));
    // Whoever has the scope may, and what is active already may be written by anybody again.
    let owner = scoped("user:owner", &[Scope::PoliciesWrite, Scope::SecretsRead]);
    w.vault
        .policy_change(&owner, &id, active(true))
        .await
        .unwrap();
    w.vault
        .policy_change(&writer, &id, active(true))
        .await
        .unwrap();
    w.vault
        .acl_put(&writer, "app", &reader("app/*"))
        .await
        .unwrap();
}

#[tokio::test]
async fn tokens_made_without_a_right_to_names_spend_their_makers_limits() {
    let w = with_secrets().await;
    w.vault.acl_put(&root(), "maker", &maker()).await.unwrap();
    let parent = token(&w, &root(), holding(&["maker"])).await;
    assert_eq!(parent.token.limited_as(), None);
    let who = bearer(&w, &parent).await;
    let child = token(&w, &who, holding(&[])).await;
    let child_is = bearer(&w, &child).await;
    let grandchild = token(&w, &child_is, holding(&[])).await;
    let body = scaivault_core::plaintext::Plaintext::new(b"{}".to_vec());
    let by = bearer(&w, &grandchild).await;
    let paper = w.vault.wrap(&by, "x", HOUR, &body).await.unwrap();
    for token in [&child, &grandchild, &paper] {
        let one = bearer(&w, token).await;
        assert_ne!(one.principal.identity, parent.token.identity);
        assert_eq!(one.principal.payer(), &parent.token.identity);
    }
}

#[tokio::test]
async fn who_is_vouched_for_outside_makes_nothing_that_outlives_that() {
    let w = with_secrets().await;
    w.vault.acl_put(&root(), "maker", &maker()).await.unwrap();
    let end = w.now().plus(HOUR);
    let vouched = |mut who: Caller| {
        let principal = std::sync::Arc::make_mut(&mut who.principal);
        principal.expires_at = Some(end);
        principal.groups = vec![group_of("maker").unwrap()];
        who
    };
    let plain = vouched(scoped("user:by-certificate", &[Scope::SecretsRead]));
    let refused = w.vault.token_child(&plain, holding(&["maker"])).await;
    let error = refused.map(|_| ()).unwrap_err();
    assert!(
        matches!(error, VaultError::Forbidden(why) if why.contains("log in first")),
        "{error:?}"
    );
    let admin = vouched(caller("user:admin"));
    let long = token(&w, &admin, holding(&["maker"])).await;
    assert_eq!(long.token.expires_at, Some(end));
    let daemon = ChildDraft {
        period: Some(HOUR * 24),
        ..holding(&["maker"])
    };
    let daemon = token(&w, &admin, daemon).await;
    w.clock.advance(HOUR / 2);
    for token in [&long, &daemon] {
        let renewed = w.vault.token_renew_self(&bearer(&w, token).await).await;
        assert_eq!(renewed.unwrap().expires_at, Some(end));
    }
    // What is to stand alone does.
    let alone = ChildDraft {
        no_parent: true,
        ..holding(&["maker"])
    };
    assert!(token(&w, &admin, alone).await.token.expires_at > Some(end));
}

#[tokio::test]
async fn records_of_tokens_that_hold_policies_go_a_while_after_their_end() {
    let w = with_secrets().await;
    w.vault
        .acl_put(&root(), "app", &reader("app/*"))
        .await
        .unwrap();
    let short = ChildDraft {
        ttl: Some(HOUR),
        ..holding(&["app"])
    };
    token(&w, &root(), short).await;
    let holders = async || {
        while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
        let all = w.vault.token_list(&root(), None, 99).await.unwrap();
        all.iter().filter(|token| token.holds_policies()).count()
    };
    w.clock.advance(HOUR * 2);
    assert_eq!(holders().await, 1, "it is kept for a while");
    w.clock.advance(HOUR * 24 * 8);
    assert_eq!(holders().await, 0);
}

#[tokio::test]
async fn an_expired_binding_lists_nothing() {
    let w = with_secrets().await;
    let lists = policy("path \"secret/metadata/app/*\" { capabilities = [\"list\"] }");
    w.vault.acl_put(&root(), "app", &lists).await.unwrap();
    let id = w.vault.acl_show(&root(), "app").await.unwrap().id;
    let bound = BindingDraft {
        identity: identity("user:guest"),
        expires_at: Some(w.now().plus(HOUR)),
    };
    w.vault.binding_create(&root(), &id, bound).await.unwrap();
    let guest = scoped("user:guest", &[Scope::SecretsList]);
    let mounts = mounts();
    let may = async || {
        let at = "secret/metadata/app/";
        w.vault.acl_capabilities(&guest, &mounts, at).await.unwrap()
    };
    assert_eq!(may().await, ["list"]);
    w.clock.advance(HOUR * 2);
    assert_eq!(may().await, ["deny"]);
}
