//! Tenants in one vault: what is done in one is never seen in another, whatever is cached; and
//! what a suspended one was doing stands still until it is served again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::AuditFilter;
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ids::{TargetId, TenantId};
use scaivault_core::ports::{
    AuditReads, ConsumerReads, EventReads, Record, RotationFilter, RotationReads, SecretReads,
    Store, TargetReads, Unit, UnitName,
};
use scaivault_core::receiver::Filters;
use scaivault_core::rotation::Phase;
use scaivault_core::target::Target;
use scaivault_core::tenancy::{Role, Roles, Status, default_partner};
use scaivault_engine::{
    AuthError, BindingDraft, Caller, DeliveryDraft, PartnerDraft, PolicyDraft, SubscriptionDraft,
    TenantChange, TenantDraft, TokenDraft, Vault, VaultError, default_tenant,
};
use scaivault_testkit::SCRIPTED;

use crate::world::{DAY, World, identity, ninety_days, password, path, root, rule, span, write_of};

async fn partner(vault: &Vault, name: &str) -> scaivault_core::ids::PartnerId {
    let draft = PartnerDraft {
        id: None,
        name: name.to_owned(),
        slug: None,
        region: None,
    };
    vault.partner_create(&root(), draft).await.unwrap().id
}

async fn tenant(vault: &Vault, of: &scaivault_core::ids::PartnerId, name: &str) -> TenantId {
    let draft = TenantDraft {
        id: None,
        partner: Some(of.clone()),
        name: name.to_owned(),
        slug: None,
        region: None,
    };
    vault.tenant_create(&root(), draft).await.unwrap().id
}

async fn acting(vault: &Vault, caller: &Caller, tenant: &TenantId) -> Caller {
    Caller {
        principal: vault.act_in(caller, tenant.as_str()).await.unwrap(),
        ..caller.clone()
    }
}

/// A service account of this tenant with every scope and no role.
async fn service(vault: &Vault, operator: &Caller, name: &str) -> Caller {
    let draft = TokenDraft {
        roles: Roles::NONE,
        identity: identity(name),
        scopes: ScopeSet::all(),
        ttl: span("30d"),
        description: None,
    };
    let minted = vault.token_create(operator, draft).await.unwrap();
    let principal = vault
        .authenticate(minted.text.expose(), vault.now())
        .await
        .unwrap();
    Caller {
        principal,
        ..root()
    }
}

async fn read(vault: &Vault, caller: &Caller, at: &str) -> Result<String, VaultError> {
    let secret = vault.secret_read(caller, &path(at), None).await?;
    Ok(password(secret.value()))
}

/// Reads, writes, rights and deletions drawn at random in three tenants of two partners and in the
/// partners' own spaces: every answer is that of a plain map, from warm caches and from a vault
/// that has none.
#[tokio::test]
async fn no_cache_answers_for_another_tenant() {
    const STEPS: usize = 1_500;
    const PATHS: [&str; 3] = ["app/db", "app/x", "shared"];
    let w = World::seeded(7).await;
    let vault = &w.vault;
    let (one, two) = (partner(vault, "One").await, partner(vault, "Two").await);
    let mut operators = Vec::new();
    let mut guests = Vec::new();
    let mut owners = Vec::new();
    for (of, name) in [(&one, "A"), (&one, "B"), (&two, "C")] {
        let id = tenant(vault, of, name).await;
        let operator = acting(vault, &root(), &id).await;
        guests.push(service(vault, &operator, "sa:guest").await);
        owners.push(id.to_string());
        operators.push(operator);
    }
    let mut dice = 0x9e37_79b9_u64;
    let mut roll = |sides: usize| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        usize::try_from(dice % sides as u64).unwrap()
    };
    let mut values: BTreeMap<(String, &str), String> = BTreeMap::new();
    let mut allowed: BTreeSet<(usize, &str)> = BTreeSet::new();
    let mut policies = BTreeMap::new();
    let cold = || w.another_vault();
    for step in 0..STEPS {
        let (at, who) = (PATHS[roll(3)], roll(3));
        let of_partner = roll(4) == 0;
        let partner = if who == 2 { &two } else { &one };
        let owner = match of_partner {
            true => partner.to_string(),
            false => owners[who].clone(),
        };
        let in_space = async |vault: &Vault, caller: &Caller| match of_partner {
            true => vault.for_partner(caller).await.unwrap(),
            false => caller.clone(),
        };
        match roll(10) {
            0 | 1 => {
                let caller = in_space(vault, &operators[who]).await;
                let value = format!("v{step}");
                vault
                    .secret_write(&caller, write_of(at, &value))
                    .await
                    .unwrap();
                values.insert((owner, at), value);
            }
            2 => {
                let caller = in_space(vault, &operators[who]).await;
                let gone = vault.secret_delete(&caller, &path(at), true).await;
                assert_eq!(gone.is_ok(), values.remove(&(owner, at)).is_some());
            }
            3 if allowed.insert((who, at)) => {
                let draft = PolicyDraft {
                    name: Some(format!("p{step}")),
                    rules: Some(vec![rule(at, &[Permission::Read])]),
                    ..PolicyDraft::default()
                };
                let made = vault.policy_create(&operators[who], draft).await.unwrap();
                let bound = BindingDraft {
                    identity: identity("sa:guest"),
                    expires_at: None,
                };
                let bound = vault.binding_create(&operators[who], &made.id, bound).await;
                bound.unwrap();
                policies.insert((who, at), made.id);
            }
            4 if allowed.remove(&(who, at)) => {
                let id = policies.remove(&(who, at)).unwrap();
                vault
                    .policy_delete(&operators[who], &id, true)
                    .await
                    .unwrap();
            }
            _ => {
                let expect = match (allowed.contains(&(who, at)), values.get(&(owner, at))) {
                    (false, _) => Err("access_denied"),
                    (true, None) => Err("secret_not_found"),
                    (true, Some(value)) => Ok(value.clone()),
                };
                for vault in [Arc::clone(vault), cold()] {
                    let caller = in_space(&vault, &guests[who]).await;
                    let got = read(&vault, &caller, at)
                        .await
                        .map_err(|error| error.code());
                    assert_eq!(got, expect, "step {step}: {who} {at} {of_partner}");
                }
            }
        }
    }
    assert!(values.len() > 5 && allowed.len() > 2, "the dice were fair");
}

/// The same life in two tenants at once: each has its own of everything.
#[tokio::test]
async fn two_tenants_live_beside_each_other() {
    let w = World::new().await;
    let vault = &w.vault;
    let of = partner(vault, "One").await;
    let mut lives = Vec::new();
    for name in ["A", "B"] {
        let id = tenant(vault, &of, name).await;
        let operator = acting(vault, &root(), &id).await;
        lives.push((id, operator));
    }
    let mut rotations = Vec::new();
    for (_, operator) in &lives {
        // The same names everywhere.
        let policy = vault
            .rotation_policy_create(operator, ninety_days("each"))
            .await;
        let policy = policy.unwrap();
        for value in ["one", "two"] {
            vault
                .secret_write(operator, write_of("app/db", value))
                .await
                .unwrap();
        }
        let attached = vault
            .assignment_create(operator, &policy.id, &path("app/db"))
            .await;
        attached.unwrap();
        rotations.push(
            vault
                .secret_rotate(operator, &path("app/db"))
                .await
                .unwrap()
                .id,
        );
    }
    let guest = service(vault, &lives[0].1, "sa:guest").await;
    assert_eq!(guest.tenant(), &lives[0].0);
    // Answered in one of them.
    vault
        .secret_write(&lives[0].1, write_of("app/db", "three"))
        .await
        .unwrap();
    for (n, (tenant, operator)) in lives.iter().enumerate() {
        let (version, value) = if n == 0 { (3, "three") } else { (2, "two") };
        assert_eq!(read(vault, operator, "app/db").await.unwrap(), value);
        let head = SecretReads::secret_find(&*w.sqlite, tenant, &path("app/db")).await;
        assert_eq!(head.unwrap().unwrap().current_version, version);
        let all = RotationFilter::default();
        let rows = RotationReads::rotation_list(&*w.sqlite, tenant, &all, None, 9);
        let rows = rows.await.unwrap();
        assert_eq!(
            rows.iter().map(|row| &row.id).collect::<Vec<_>>(),
            [&rotations[n]]
        );
        let waits = rows[0].phase == Phase::Generating;
        assert_eq!(waits, n == 1, "only one was answered");
        // The other's is not there, by its very id.
        let other = vault.rotation_details(operator, &rotations[1 - n]).await;
        assert!(matches!(other, Err(VaultError::NotFound(_))));
        let at = path("app/db");
        let readers = ConsumerReads::consumer_list(&*w.sqlite, tenant, &at);
        assert_eq!(readers.await.unwrap().len(), 1);
        let filter = AuditFilter {
            tenant: Some(tenant.clone()),
            ..AuditFilter::default()
        };
        let page = AuditReads::audit_query(&*w.sqlite, &filter, None, 500)
            .await
            .unwrap();
        assert!(page.rows.iter().all(|row| row.row.tenant_id == *tenant));
        let tokens = vault.token_list(operator, None, 9).await.unwrap();
        assert_eq!(tokens.len(), 1 - n);
        let cursor = vault.cursor_seal(tenant, "secrets", "app/db").unwrap();
        assert!(vault.cursor_open(tenant, "secrets", &cursor).is_some());
        let other = &lives[1 - n].0;
        assert!(vault.cursor_open(other, "secrets", &cursor).is_none());
    }
    let (_, events) = EventReads::fan_out_pending(&*w.sqlite, 500).await.unwrap();
    for (n, (tenant, _)) in lives.iter().enumerate() {
        let of = events
            .iter()
            .filter(|stored| stored.event.tenant == *tenant);
        let rotated = of
            .clone()
            .filter(|e| e.event.event_type == EventType::SecretRotated);
        assert_eq!(rotated.count(), 1 - n);
        // Numbers of a path count in each tenant by themselves.
        let mut numbers: Vec<u64> = of
            .map(|stored| stored.sequence)
            .filter(|n| *n > 0)
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
    // A value of one does not open as the other's, were it ever moved there.
    let (a, b) = (&lives[0].0, &lives[1].0);
    assert_ne!(a, b);
    assert!(
        vault
            .partner_list(&guest, None, 0, 9)
            .await
            .unwrap()
            .0
            .len()
            == 1
    );
}

#[tokio::test]
async fn rotations_of_a_suspended_tenant_stand_still_and_go_on() {
    let w = World::new().await;
    let vault = &w.vault;
    let of = partner(vault, "One").await;
    let id = tenant(vault, &of, "A").await;
    let operator = acting(vault, &root(), &id).await;
    let draft = TokenDraft {
        roles: Roles::NONE,
        identity: identity("sa:ci"),
        scopes: ScopeSet::all(),
        ttl: span("365d"),
        description: None,
    };
    let minted = vault.token_create(&operator, draft).await.unwrap();
    let policy = vault
        .rotation_policy_create(&operator, ninety_days("each"))
        .await
        .unwrap();
    vault
        .secret_write(&operator, write_of("app/db", "one"))
        .await
        .unwrap();
    vault
        .assignment_create(&operator, &policy.id, &path("app/db"))
        .await
        .unwrap();
    let open = async || {
        let all = RotationFilter::default();
        let rows = RotationReads::rotation_list(&*w.sqlite, &id, &all, None, 9)
            .await
            .unwrap();
        rows.into_iter().map(|row| row.phase).collect::<Vec<_>>()
    };
    let switch = async |status: Status| {
        let change = TenantChange {
            status: Some(status),
            ..TenantChange::default()
        };
        vault.tenant_change(&root(), &id, &change).await.unwrap();
    };
    let enter = async || vault.authenticate(minted.text.expose(), vault.now()).await;
    enter().await.unwrap();
    switch(Status::Suspended).await;
    assert_eq!(enter().await.unwrap_err(), AuthError::Suspended);
    let elsewhere = vault.act_in(&root(), id.as_str()).await;
    assert_eq!(elsewhere.unwrap_err(), AuthError::Suspended);
    // A hundred days go by: it was due, and nothing began.
    w.live(Duration::from_secs(100 * 86_400)).await;
    assert_eq!(open().await, []);
    switch(Status::Active).await;
    enter().await.unwrap();
    w.live(Duration::from_secs(1)).await;
    assert_eq!(open().await, [Phase::Generating]);
    // One in flight stands where it is, too.
    switch(Status::Suspended).await;
    w.live(Duration::from_secs(10 * 86_400)).await;
    assert_eq!(open().await, [Phase::Generating]);
    switch(Status::Active).await;
    let operator = acting(vault, &root(), &id).await;
    vault
        .secret_write(&operator, write_of("app/db", "two"))
        .await
        .unwrap();
    w.live(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(open().await, [Phase::Completed]);
    assert_eq!(read(vault, &operator, "app/db").await.unwrap(), "two");
}

/// A node that did not make a tenant serves it: its key is taken in when it is needed.
#[tokio::test]
async fn keys_are_taken_in_by_nodes_that_did_not_make_them() {
    let w = World::new().await;
    let other = w.another_node(None);
    let of = partner(&w.vault, "One").await;
    let id = tenant(&w.vault, &of, "A").await;
    assert_ne!(id, default_tenant());
    let operator = acting(&w.vault, &root(), &id).await;
    w.vault
        .secret_write(&operator, write_of("app/db", "one"))
        .await
        .unwrap();
    let there = acting(&other, &root(), &id).await;
    assert_eq!(read(&other, &there, "app/db").await.unwrap(), "one");
    let shared = other.for_partner(&there).await.unwrap();
    other
        .secret_write(&shared, write_of("app/db", "shared"))
        .await
        .unwrap();
    let here = w.vault.for_partner(&operator).await.unwrap();
    assert_eq!(read(&w.vault, &here, "app/db").await.unwrap(), "shared");
    assert_eq!(read(&w.vault, &operator, "app/db").await.unwrap(), "one");
}

/// A store of a release before has neither row: both are made when it is opened, once.
#[tokio::test]
async fn a_store_without_tenants_gets_the_default_ones() {
    let w = World::new().await;
    w.put("app/db", "one").await;
    let (listed, total) = w
        .vault
        .tenant_list(&root(), Default::default(), 0, 9)
        .await
        .unwrap();
    assert_eq!((listed.len(), total), (0, 0), "as it was before");
    assert!(
        w.vault
            .tenant_details(&root(), &default_tenant())
            .await
            .is_ok()
    );
    for _ in 0..2 {
        w.vault.tenancy_begin().await.unwrap();
        w.another_vault().tenancy_begin().await.unwrap();
    }
    let (listed, total) = w
        .vault
        .tenant_list(&root(), Default::default(), 0, 9)
        .await
        .unwrap();
    assert_eq!((listed.len(), total), (1, 1));
    assert_eq!(read(&w.vault, &root(), "app/db").await.unwrap(), "one");
}

/// Who is an admin of the partner acts in the default tenant, too; the server he does not operate.
#[tokio::test]
async fn acting_in_the_default_tenant_makes_no_operator() {
    let w = World::new().await;
    let vault = &w.vault;
    vault.token_root("skt_the-root-of-this-test").await.unwrap();
    let id = tenant(vault, &default_partner(), "A").await;
    let there = acting(vault, &root(), &id).await;
    let draft = |roles: &[Role]| TokenDraft {
        roles: roles.iter().copied().collect(),
        identity: identity("sa:admin"),
        scopes: ScopeSet::all(),
        ttl: span("30d"),
        description: None,
    };
    let minted = vault.token_create(&there, draft(&[Role::PartnerAdmin]));
    let minted = minted.await.unwrap();
    let principal = vault.authenticate(minted.text.expose(), vault.now()).await;
    let admin = Caller {
        principal: principal.unwrap(),
        ..root()
    };
    let home = acting(vault, &admin, &default_tenant()).await;
    let made = vault.token_create(&home, draft(&[])).await;
    assert!(matches!(made, Err(VaultError::Forbidden(_))));
    let lesser = TokenDraft {
        scopes: [Scope::SecretsRead].into_iter().collect(),
        ..draft(&[])
    };
    vault.token_create(&home, lesser).await.unwrap();
    let operator = root();
    let above = vault.token_create(&operator, draft(&[Role::SuperAdmin]));
    let above = above.await.unwrap().token.id;
    let tokens = vault.token_list(&root(), None, 99).await.unwrap();
    let of_root = tokens.iter().find(|token| token.is_root).unwrap();
    for id in [&of_root.id, &above] {
        let refused = vault.token_revoke(&home, id).await;
        assert!(
            matches!(refused, Err(VaultError::Forbidden(_))),
            "{refused:?}"
        );
        vault.token_revoke(&root(), id).await.unwrap();
    }
}

/// Nobody can read in a suspended tenant: what nobody reads does not end there.
#[tokio::test]
async fn a_suspended_tenants_subscriptions_stay() {
    let w = World::new().await;
    let vault = &w.vault;
    let id = tenant(vault, &default_partner(), "A").await;
    let operator = acting(vault, &root(), &id).await;
    let draft = SubscriptionDraft {
        name: "brief".to_owned(),
        paths: vec![PathPattern::parse("app/**").unwrap()],
        events: EventType::ALL.to_vec(),
        filters: Filters::default(),
        delivery: DeliveryDraft::Polling { buffer_size: 10 },
        ttl: Some(span("2d")),
    };
    vault.subscription_create(&operator, draft).await.unwrap();
    let switch = async |status: Status| {
        let change = TenantChange {
            status: Some(status),
            ..TenantChange::default()
        };
        vault.tenant_change(&root(), &id, &change).await.unwrap();
    };
    let expire = async || vault.subscriptions_expire(None).await.unwrap();
    switch(Status::Suspended).await;
    w.clock.advance(9 * DAY);
    assert_eq!(expire().await, 0);
    switch(Status::Active).await;
    assert_eq!(expire().await, 0, "its time begins anew");
    w.clock.advance(2 * DAY);
    assert_eq!(expire().await, 1);
}

/// Consumers of one name in two tenants are two: that one moved on says nothing of the other. Who
/// acts in a tenant is none of its own consumers.
#[tokio::test]
async fn consumers_of_one_name_in_two_tenants_are_two() {
    let w = World::new().await;
    let vault = &w.vault;
    let of = partner(vault, "One").await;
    let (a, b) = (tenant(vault, &of, "A").await, tenant(vault, &of, "B").await);
    let operator = acting(vault, &root(), &a).await;
    let shared = vault.for_partner(&operator).await.unwrap();
    vault
        .secret_write(&shared, write_of("shared", "one"))
        .await
        .unwrap();
    vault
        .secret_write(&operator, write_of("own", "one"))
        .await
        .unwrap();
    for id in [&a, &b] {
        let there = acting(vault, &root(), id).await;
        let guest = service(vault, &there, "sa:app").await;
        let draft = PolicyDraft {
            name: Some("all".to_owned()),
            rules: Some(vec![rule("**", &[Permission::Read])]),
            ..PolicyDraft::default()
        };
        let made = vault.policy_create(&there, draft).await.unwrap();
        let bound = BindingDraft {
            identity: identity("sa:app"),
            expires_at: None,
        };
        vault.binding_create(&there, &made.id, bound).await.unwrap();
        let asking = vault.for_partner(&guest).await.unwrap();
        assert_eq!(read(vault, &asking, "shared").await.unwrap(), "one");
        if id == &a {
            assert_eq!(read(vault, &guest, "own").await.unwrap(), "one");
        }
    }
    assert_eq!(read(vault, &operator, "own").await.unwrap(), "one");
    let names = async |owner: &TenantId, at: &str| {
        let rows = ConsumerReads::consumer_list(&*w.sqlite, owner, &path(at)).await;
        rows.unwrap()
            .into_iter()
            .map(|row| row.consumer.to_string())
            .collect::<BTreeSet<_>>()
    };
    let expect = [&a, &b].map(|id| format!("sa:app @{id}"));
    assert_eq!(names(shared.tenant(), "shared").await, expect.into());
    let expect = [
        "sa:app".to_owned(),
        format!("user:root @{}", default_tenant()),
    ];
    assert_eq!(names(&a, "own").await, expect.into());

    // The same path may be a secret of the tenant's own: an event says whose it is.
    let (_, events) = EventReads::fan_out_pending(&*w.sqlite, 500).await.unwrap();
    let of_path = |at: &str| {
        let named = events
            .iter()
            .map(|stored| &stored.event)
            .filter(|event| event.path.as_ref().is_some_and(|path| path.as_str() == at));
        named
            .map(|event| event.data["partner_id"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let told = of_path("shared");
    assert!(!told.is_empty() && told.iter().all(|named| *named == Some(of.to_string())));
    let told = of_path("own");
    assert!(!told.is_empty() && told.iter().all(Option::is_none));
}

#[tokio::test]
async fn the_targets_of_a_suspended_tenant_are_left_alone() {
    let w = World::new().await;
    let vault = &w.vault;
    let of = partner(vault, "One").await;
    let id = tenant(vault, &of, "A").await;
    let operator = acting(vault, &root(), &id).await;
    vault
        .secret_write(&operator, write_of("app/db", "one"))
        .await
        .unwrap();
    let target = Target {
        id: TargetId::mint(w.now(), &*w.entropy),
        tenant: id.clone(),
        name: "orders-db".to_owned(),
        description: None,
        connector: SCRIPTED.to_owned(),
        settings: serde_json::Map::new(),
        manager_path: None,
        created_at: w.now(),
        updated_at: w.now(),
        swept_at: None,
        revision: 1,
    };
    w.target.account("scaivault_rehearsal_lost_a", "x");
    let unit = Unit::new(UnitName::TargetWrite).put(Record::Target(target));
    w.sqlite.commit(unit).await.unwrap();
    for (status, found) in [(Status::Suspended, 0), (Status::Active, 1)] {
        let change = TenantChange {
            status: Some(status),
            ..TenantChange::default()
        };
        vault.tenant_change(&root(), &id, &change).await.unwrap();
        assert_eq!(vault.sweeps_run_once().await.unwrap(), found);
        let rows = TargetReads::target_list(&*w.sqlite, &id, None, 9).await;
        let swept = rows.unwrap()[0].swept_at;
        assert_eq!(swept.is_some(), status == Status::Active);
    }
}
