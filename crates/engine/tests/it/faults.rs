//! Every commit of the engine as a crash point. Each journey is lived once without a fault; then
//! once for each of its commits with the unit lost, and once with its answer lost. After a fault
//! the process is gone: a new vault starts over the same store, and the client reads before it
//! tries again. In the end everything that matters must be as in the life without a fault.
//!
//! A name of [`UnitName::ALL`] that no journey reaches fails [`every_commit_is_on_a_journey`]: a
//! new commit comes with its crash tests or with a reason in [`NOT_ON_A_JOURNEY`].

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::event::EventType;
use scaivault_core::glob::PathPattern;
use scaivault_core::identity::{Scope, ScopeSet};
use scaivault_core::ids::{PartnerId, TenantId};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    AssignmentReads, MachineReads, Op, PolicyReads, ReceiverReads, Record, RotationFilter,
    RotationPolicyReads, RotationReads, SecretFilter, SecretReads, Store, TargetReads,
    TenancyReads, TokenReads, Unit, UnitName,
};
use scaivault_core::receiver::Filters;
use scaivault_core::rotation::{Phase, Rotation, RotationPolicy};
use scaivault_core::secret::VersionState;
use scaivault_core::tenancy::Status;
use scaivault_core::time::Timestamp;
use scaivault_engine::{
    AuthError, BindingDraft, Caller, DeliveryDraft, LoginError, MachineLogin, MachineRoleDraft,
    MetadataChange, PartnerChange, PartnerDraft, PolicyDraft, RotationPolicyChange,
    RotationPolicyDraft, SecretIdDraft, SecretWrite, SubscriptionDraft, TargetChange, TargetDraft,
    TenantDraft, TokenDraft, TokenLimits, Vault, VaultError, WebhookChange, WebhookDraft,
    default_tenant,
};
use scaivault_testkit::{Fault, SCRIPTED, When};

use crate::world::{
    DAY, HOUR, RECEIVER, SIGNING_SECRET, World, caller, identity, ninety_days, path, root, rule,
    span, work_slice, write_of,
};

/// Commits no journey here reaches, each with its reason.
const NOT_ON_A_JOURNEY: &[(UnitName, &str)] = &[
    (UnitName::ScheduleProbe, "see drift.rs"),
    (UnitName::LeaseIntend, "see dynamic.rs"),
    (UnitName::LeaseMade, "see dynamic.rs"),
    (UnitName::LeaseNotMade, "see dynamic.rs"),
    (UnitName::LeaseRenew, "see dynamic.rs"),
    (UnitName::LeaseEnd, "see dynamic.rs"),
    (UnitName::LeaseTake, "see dynamic.rs"),
    (UnitName::LeaseRemoved, "see dynamic.rs"),
    (UnitName::LeaseLook, "see dynamic.rs"),
    (UnitName::EngineDelete, "see dynamic.rs"),
    (UnitName::EngineWrite, "see dynamic_guards.rs"),
    (UnitName::RoleWrite, "see dynamic_guards.rs"),
    (UnitName::RoleDelete, "see dynamic_guards.rs"),
    (UnitName::LeaseFound, "see dynamic_trouble.rs"),
    (UnitName::ConsumerAck, "see operator.rs"),
    (UnitName::SecretPolicyWrite, "see recipes.rs"),
    (UnitName::MountWrite, OF_VAULTS_API),
    (UnitName::VersionsDelete, OF_VAULTS_API),
    (UnitName::VersionsUndelete, OF_VAULTS_API),
    (UnitName::VersionsDestroy, OF_VAULTS_API),
    (UnitName::CubbyWrite, OF_VAULTS_API),
    (UnitName::TransitWrite, "see transit.rs"),
    (UnitName::TransitDelete, "see transit.rs"),
    (UnitName::Wrap, OF_VAULTS_API),
    (UnitName::Unwrap, OF_VAULTS_API),
    (UnitName::SecretPolicyDelete, "see recipes.rs"),
    (UnitName::StoreResume, "see restored.rs"),
    (UnitName::AuditPrune, "see audit_retention.rs"),
    (UnitName::ExportWrite, "see audit_exports.rs"),
    (UnitName::ExportStep, "see audit_exports.rs"),
    (UnitName::AuditForward, "see audit_forward.rs"),
    (UnitName::DeliveryHold, "see redelivery.rs"),
    (UnitName::DeliveryReplay, "see redelivery.rs"),
    (UnitName::SubscriptionExpire, "see redelivery.rs"),
    (
        UnitName::KeyringWrite,
        "made by whoever opens the store, before there is a vault",
    ),
    (UnitName::RotationPlan, AT_TARGET),
    (UnitName::RotationSend, AT_TARGET),
    (UnitName::RotationSent, AT_TARGET),
    (UnitName::RotationLook, AT_TARGET),
    (UnitName::RotationEnter, AT_TARGET),
    (UnitName::RotationStepBack, AT_TARGET),
    (UnitName::RotationDemote, AT_TARGET),
    (UnitName::RotationFinish, AT_TARGET),
    (UnitName::RotationAct, AT_TARGET),
    (UnitName::CampaignWrite, "see campaigns.rs"),
    (UnitName::CampaignStep, "see campaigns.rs"),
    (UnitName::CampaignAct, "see campaigns.rs"),
    (UnitName::DebtClaim, OF_DEBTS),
    (UnitName::DebtStep, OF_DEBTS),
    (UnitName::DebtSettle, OF_DEBTS),
    (UnitName::DebtRetry, OF_DEBTS),
    (UnitName::DebtWriteOff, OF_DEBTS),
    (UnitName::DebtSweep, OF_REHEARSALS),
    (UnitName::RehearsalBegin, OF_REHEARSALS),
    (UnitName::RehearsalEnd, OF_REHEARSALS),
];

/// Those of debts, too.
const OF_VAULTS_API: &str = "see vault_api.rs";
const OF_DEBTS: &str = "see debts.rs";

/// And those of rehearsals.
const OF_REHEARSALS: &str = "see rehearsals.rs";

/// Those steps have their own faults.
const AT_TARGET: &str = "see targets.rs";

/// How many commits of one name are tried in one journey.
const PER_NAME: u64 = 6;
/// … and of the names every step makes.
const PER_COMMON_NAME: u64 = 3;
const COMMON: [UnitName; 3] = [
    UnitName::AuditOnly,
    UnitName::FanOut,
    UnitName::DeliveryDone,
];

type Story<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;
type Journey = fn(&mut Life) -> Story<'_>;

const JOURNEYS: [(&str, Journey); 8] = [
    ("tenants", tenants),
    ("oauth", oauth),
    ("nobody answers", nobody_answers),
    ("generated", generated),
    ("kept secrets", kept_secrets),
    ("access", access),
    ("feeds and policies", feeds_and_policies),
    ("targets", targets),
];

// ---- one life ---------------------------------------------------------------------------------

struct Life {
    w: World,
    started: Timestamp,
}

impl Life {
    async fn new() -> Self {
        let w = World::new().await;
        w.hear_all().await;
        let started = w.now();
        Self { w, started }
    }

    /// Does `act` as a careful client: an answer that leaves the outcome open means that the
    /// server is gone; when it is back, `done` looks whether it happened before it is tried again.
    async fn until_done<T>(
        &mut self,
        act: impl AsyncFn(&Vault) -> Result<T, VaultError>,
        done: impl AsyncFn(&World) -> bool,
    ) {
        for _ in 0..5 {
            match act(&self.w.vault).await {
                Ok(_) => return,
                Err(VaultError::Unavailable(_)) => {
                    self.w.restart();
                    if done(&self.w).await {
                        return;
                    }
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("it is never done");
    }

    async fn write(&mut self, who: &Caller, at: &str, password: &str) {
        self.write_with(who, at, password, |write| write).await;
    }

    async fn write_with(
        &mut self,
        who: &Caller,
        at: &str,
        password: &str,
        change: impl Fn(SecretWrite) -> SecretWrite,
    ) {
        let before = self.w.head(at).await.map_or(0, |head| head.current_version);
        self.until_done(
            async |vault| {
                let write = SecretWrite {
                    cas: Some(before),
                    ..change(write_of(at, password))
                };
                vault.secret_write(who, write).await
            },
            async |w| {
                let head = w.head(at).await;
                let now = head.map_or(0, |head| head.current_version);
                now > before && w.stored(at, now).await.as_deref() == Some(password)
            },
        )
        .await;
    }

    async fn read(&mut self, who: &Caller, at: &str, version: Option<u64>) -> String {
        let read = Mutex::new(None);
        self.until_done(
            async |vault| {
                let secret = vault.secret_read(who, &path(at), version).await?;
                *read.lock() = Some(crate::world::password(secret.value()));
                Ok(())
            },
            async |_| false,
        )
        .await;
        read.into_inner().unwrap()
    }

    async fn rotation_policy(&mut self, draft: RotationPolicyDraft) -> RotationPolicy {
        self.until_done(
            async |vault| vault.rotation_policy_create(&root(), draft.clone()).await,
            async |w| rotation_policy(w, &draft.name).await.is_some(),
        )
        .await;
        rotation_policy(&self.w, &draft.name).await.unwrap()
    }

    async fn assign(&mut self, policy: &RotationPolicy, at: &str) {
        self.until_done(
            async |vault| {
                vault
                    .assignment_create(&root(), &policy.id, &path(at))
                    .await
            },
            async |w| w.assignment(at).await.is_some(),
        )
        .await;
    }

    async fn grant(&mut self, who: &str, pattern: &str, permissions: &[Permission]) {
        let name = format!("{who} on {pattern}");
        let draft = PolicyDraft {
            name: Some(name.clone()),
            rules: Some(vec![rule(pattern, permissions)]),
            ..PolicyDraft::default()
        };
        self.until_done(
            async |vault| vault.policy_create(&root(), draft.clone()).await,
            async |w| access_policy(w, &name).await.is_some(),
        )
        .await;
        let policy = access_policy(&self.w, &name).await.unwrap();
        let draft = BindingDraft {
            identity: identity(who),
            expires_at: None,
        };
        self.until_done(
            async |vault| vault.binding_create(&root(), &policy, draft.clone()).await,
            async |w| !bindings(w, &policy).await.is_empty(),
        )
        .await;
    }

    /// Asks for a rotation; `asked` tells from the rows that it was taken up.
    async fn rotate(&mut self, at: &str, asked: impl Fn(&[Rotation]) -> bool) {
        self.until_done(
            async |vault| vault.secret_rotate(&root(), &path(at)).await,
            async |w| asked(&w.rotations(at).await),
        )
        .await;
    }

    async fn housekeeping(&mut self) {
        self.until_done(
            async |vault| vault.housekeeping_run_once().await,
            async |_| false,
        )
        .await;
    }

    /// Runs the workers to rest; one that fails takes the process with it.
    async fn work(&mut self) {
        for _ in 0..2_000 {
            match work_slice(&self.w.vault).await {
                Ok(0) => return,
                Ok(_) => {}
                Err(_) => self.w.restart(),
            }
        }
        panic!("the workers never come to rest");
    }

    /// Lives until `days` and `hours` after the start.
    async fn live_until(&mut self, days: u32, hours: u32) {
        let to = self.started.plus(DAY * days).plus(HOUR * hours);
        loop {
            self.work().await;
            let next = scaivault_core::ports::Claims::next_work(&*self.w.sqlite).await;
            let next = next.unwrap();
            let next = [next.assignment_at, next.rotation_at, next.delivery_at];
            let next = next.into_iter().flatten().min().filter(|at| *at <= to);
            match next {
                Some(at) => self.w.clock.set(at.max(self.w.now())),
                None if self.w.now() < to => self.w.clock.set(to),
                None => return,
            }
        }
    }
}

async fn rotation_policy(w: &World, name: &str) -> Option<RotationPolicy> {
    let tenant = default_tenant();
    let all = RotationPolicyReads::rotation_policy_list(&*w.sqlite, &tenant, false, None, 100);
    all.await
        .unwrap()
        .into_iter()
        .find(|policy| policy.name == name)
}

async fn access_policy(w: &World, name: &str) -> Option<scaivault_core::ids::PolicyId> {
    let all = PolicyReads::policy_list(&*w.sqlite, &default_tenant(), true, None, 100).await;
    let found = all.unwrap().into_iter().find(|policy| policy.name == name);
    found.map(|policy| policy.id)
}

async fn bindings(
    w: &World,
    policy: &scaivault_core::ids::PolicyId,
) -> Vec<scaivault_core::access::Binding> {
    let all = PolicyReads::binding_list(&*w.sqlite, &default_tenant(), policy).await;
    all.unwrap()
}

// ---- the journeys -----------------------------------------------------------------------------

/// The tutorial: granted, read, warned of, due, answered, drained, closed; then once more by hand.
fn oauth(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        let (minter, reader) = (caller("sa:minter"), caller("sa:reader"));
        life.write(&root(), "app/oauth", "first").await;
        let policy = life.rotation_policy(ninety_days("oauth")).await;
        life.assign(&policy, "app/oauth").await;
        life.grant(
            "sa:minter",
            "app/*",
            &[Permission::Write, Permission::Rotate],
        )
        .await;
        life.grant("sa:reader", "app/*", &[Permission::Read]).await;
        assert_eq!(life.read(&reader, "app/oauth", None).await, "first");
        life.live_until(90, 1).await;
        life.write(&minter, "app/oauth", "second").await;
        life.live_until(90, 10).await;
        assert_eq!(life.read(&reader, "app/oauth", Some(1)).await, "first");
        assert_eq!(life.read(&reader, "app/oauth", None).await, "second");
        life.live_until(93, 0).await;
        life.rotate("app/oauth", |all| all.len() == 2).await;
        life.live_until(93, 5).await;
        life.write(&minter, "app/oauth", "third").await;
        life.live_until(100, 0).await;
    })
}

/// Overdue and parked, asked for again, overdue again, and answered late.
fn nobody_answers(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        life.write(&root(), "app/ignored", "first").await;
        let policy = life.rotation_policy(ninety_days("ignored")).await;
        life.assign(&policy, "app/ignored").await;
        life.live_until(100, 0).await;
        life.rotate("app/ignored", |all| all[0].phase == Phase::Generating)
            .await;
        life.live_until(110, 0).await;
        // Woken early: it finds nothing to do and goes back to waiting.
        life.rotate("app/ignored", |all| all[0].phase == Phase::Generating)
            .await;
        let waiting = life.w.rotations("app/ignored").await.pop().unwrap();
        let early = waiting.waiting(Some(life.w.now()));
        let unit = Unit::new(UnitName::Housekeeping).op(Op::Put(Record::Rotation(early)));
        Store::commit(&*life.w.sqlite, unit).await.unwrap();
        life.live_until(120, 0).await;
        life.write(&root(), "app/ignored", "late").await;
        life.live_until(125, 0).await;
    })
}

/// Values the server makes: by schedule, at once, with a write by hand in between, and not at all.
fn generated(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        let mut draft = ninety_days("generated");
        draft.auto_generate = true;
        draft.warn_before.clear();
        let policy = life.rotation_policy(draft).await;
        life.write(&root(), "app/made", "first").await;
        life.assign(&policy, "app/made").await;
        life.live_until(90, 5).await;
        life.rotate("app/made", |all| all.len() == 2).await;
        life.live_until(95, 0).await;
        // The candidate is durable, its promotion never comes through; somebody writes by hand.
        life.w
            .script
            .arm(UnitName::RotationPromote, When::Every, Fault::Unit);
        life.rotate("app/made", |all| all.len() == 3).await;
        for _ in 0..10 {
            if life.w.rotations("app/made").await[2].phase == Phase::Verifying {
                break;
            }
            life.w.restart();
            let _ = work_slice(&life.w.vault).await;
        }
        life.w.script.disarm();
        life.write(&root(), "app/made", "by hand").await;
        life.live_until(100, 0).await;
        // A value that is no object cannot be made anew.
        life.write_with(&root(), "app/odd", "text", |write| SecretWrite {
            data: Plaintext::new(br#"{"password":"text"}"#.to_vec()),
            ..write
        })
        .await;
        life.assign(&policy, "app/odd").await;
        life.w.break_value("app/odd", "app/made").await;
        life.live_until(200, 0).await;
    })
}

/// Writes, metadata, deletion in all its forms, with rotations under way.
fn kept_secrets(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        let policy = life.rotation_policy(ninety_days("kept")).await;
        for at in ["app/soft", "app/hard", "app/purged"] {
            life.write(&root(), at, "first").await;
            life.assign(&policy, at).await;
        }
        life.write_with(&root(), "app/ending", "soon", |write| SecretWrite {
            expires_in: Some(span("40d")),
            ..write
        })
        .await;
        let change = MetadataChange {
            tags: Some(vec!["tagged".to_owned()]),
            max_versions: Some(3),
            ..MetadataChange::default()
        };
        life.until_done(
            async |vault| {
                let soft = path("app/soft");
                vault.secret_metadata_change(&root(), &soft, &change).await
            },
            async |w| w.head("app/soft").await.unwrap().max_versions == 3,
        )
        .await;
        for n in 2..6 {
            life.write(&root(), "app/soft", &format!("value {n}")).await;
        }
        life.live_until(90, 1).await;
        // Draining when it is deleted: the workers end it.
        life.write(&root(), "app/soft", "rotated").await;
        life.live_until(90, 5).await;
        for (at, permanent) in [
            ("app/soft", false),
            ("app/hard", true),
            ("app/purged", false),
        ] {
            life.until_done(
                async |vault| vault.secret_delete(&root(), &path(at), permanent).await,
                async |w| w.head(at).await.is_none_or(|head| head.is_deleted()),
            )
            .await;
        }
        life.live_until(95, 0).await;
        life.until_done(
            async |vault| vault.secret_undelete(&root(), &path("app/soft")).await,
            async |w| !w.head("app/soft").await.unwrap().is_deleted(),
        )
        .await;
        life.live_until(121, 0).await;
        life.housekeeping().await;
        life.live_until(122, 0).await;
        life.write(&root(), "app/purged", "anew").await;
        life.live_until(123, 0).await;
    })
}

/// Policies, bindings, tokens.
fn access(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        life.write(&root(), "app/door", "open").await;
        life.grant("sa:guest", "app/door", &[Permission::List])
            .await;
        life.grant("sa:other", "app/door", &[Permission::Read])
            .await;
        let policy = access_policy(&life.w, "sa:guest on app/door")
            .await
            .unwrap();
        let draft = PolicyDraft {
            rules: Some(vec![rule("app/door", &[Permission::Read])]),
            ..PolicyDraft::default()
        };
        life.until_done(
            async |vault| vault.policy_change(&root(), &policy, draft.clone()).await,
            async |w| {
                let tenant = default_tenant();
                let found = PolicyReads::policy_find(&*w.sqlite, &tenant, &policy).await;
                Some(found.unwrap().unwrap().rules) == draft.rules
            },
        )
        .await;
        assert_eq!(
            life.read(&caller("sa:guest"), "app/door", None).await,
            "open"
        );
        let binding = bindings(&life.w, &policy).await.pop().unwrap();
        life.until_done(
            async |vault| vault.binding_delete(&root(), &policy, &binding.id).await,
            async |w| bindings(w, &policy).await.is_empty(),
        )
        .await;
        life.until_done(
            async |vault| {
                let guest = caller("sa:guest");
                match vault.secret_read(&guest, &path("app/door"), None).await {
                    Ok(_) => panic!("the door is open"),
                    Err(VaultError::Denied(_)) => Ok(()),
                    Err(error) => Err(error),
                }
            },
            async |_| false,
        )
        .await;
        let policy = access_policy(&life.w, "sa:other on app/door")
            .await
            .unwrap();
        life.until_done(
            async |vault| vault.policy_delete(&root(), &policy, true).await,
            async |w| access_policy(w, "sa:other on app/door").await.is_none(),
        )
        .await;
        let draft = TokenDraft {
            roles: scaivault_core::tenancy::Roles::NONE,
            identity: identity("sa:guest"),
            scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
            ttl: span("1h"),
            description: None,
        };
        let minted = Mutex::new(None);
        life.until_done(
            async |vault| {
                *minted.lock() = Some(vault.token_create(&root(), draft.clone()).await?);
                Ok(())
            },
            async |_| false, // its text is lost with the answer: another one is needed
        )
        .await;
        let minted = minted.into_inner().unwrap();
        let known = life
            .w
            .vault
            .authenticate(minted.text.expose(), life.w.now())
            .await;
        assert_eq!(known.unwrap().identity, identity("sa:guest"));
        life.until_done(
            async |vault| vault.token_revoke(&root(), &minted.token.id).await,
            async |w| {
                let tenant = default_tenant();
                let token = TokenReads::token_find(&*w.sqlite, &tenant, &minted.token.id).await;
                token.unwrap().unwrap().revoked_at.is_some()
            },
        )
        .await;
        let known = life
            .w
            .vault
            .authenticate(minted.text.expose(), life.w.now())
            .await;
        assert!(known.is_err());
        let settled = async |w: &World| {
            let tenant = default_tenant();
            let token = TokenReads::token_find(&*w.sqlite, &tenant, &minted.token.id).await;
            token.unwrap().unwrap().settled_at.is_some()
        };
        life.until_done(
            async |vault| vault.tokens_ended_run_once().await,
            async |_| false,
        )
        .await;
        assert!(settled(&life.w).await);
        once(life).await;
        machine(life).await;
        life.live_until(1, 0).await;
    })
}

/// A machine gets a role, a secret id for one login, and in once at most.
async fn machine(life: &mut Life) {
    let named = async |w: &World| {
        let tenant = default_tenant();
        let found = MachineReads::machine_role_named(&*w.sqlite, &tenant, "build").await;
        found.unwrap()
    };
    life.until_done(
        async |vault| {
            let draft = MachineRoleDraft {
                name: "build".into(),
                role_id: Some("build-of-shop".into()),
                identity: identity("sa:build"),
                scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
            };
            vault.machine_role_create(&root(), draft, &|_| {}).await
        },
        async |w| named(w).await.is_some(),
    )
    .await;
    let made = Mutex::new(None);
    life.until_done(
        async |vault| {
            let draft = SecretIdDraft {
                num_uses: Some(1),
                ..SecretIdDraft::default()
            };
            let minted = vault.secret_id_create(&root(), "build", draft).await?;
            *made.lock() = Some(minted.text.expose().to_owned());
            Ok(())
        },
        async |_| false,
    )
    .await;
    let secret_id = made.into_inner();
    let mut entered = 0;
    for _ in 0..4 {
        let login = MachineLogin {
            role_id: "build-of-shop".into(),
            secret_id: secret_id.clone(),
            request_id: life.w.vault.mint_request_id(),
            source_ip: None,
            user_agent: None,
            started_at: life.w.now(),
        };
        match life.w.vault.machine_login(&login).await {
            Ok(_) => entered += 1,
            Err(LoginError::Refused) => {}
            Err(LoginError::Vault(VaultError::Unavailable(_))) => life.w.restart(),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(entered <= 1);
    life.until_done(
        async |vault| vault.machine_role_delete(&root(), "build").await,
        async |w| named(w).await.is_none(),
    )
    .await;
}

/// A token for one request: it is never served twice, whatever becomes of the count.
async fn once(life: &mut Life) {
    let draft = TokenDraft {
        roles: scaivault_core::tenancy::Roles::NONE,
        identity: identity("sa:once"),
        scopes: [Scope::SecretsRead].into_iter().collect::<ScopeSet>(),
        ttl: span("1h"),
        description: None,
    };
    let limits = TokenLimits {
        uses: Some(1),
        ..TokenLimits::default()
    };
    let minted = Mutex::new(None);
    life.until_done(
        async |vault| {
            let by = root();
            let made = vault.token_create_within(&by, draft.clone(), limits.clone());
            *minted.lock() = Some(made.await?);
            Ok(())
        },
        async |_| false,
    )
    .await;
    let minted = minted.into_inner().unwrap();
    let text = minted.text.expose();
    let take = async |vault: &Vault| {
        let entered = vault.enter(text, vault.now()).await?;
        let bound = entered.bound.expect("it has bounds");
        vault.token_use(&bound).await
    };
    let mut served = 0;
    for _ in 0..4 {
        match take(&life.w.vault).await {
            Ok(()) => served += 1,
            Err(AuthError::UsedUp) => {}
            Err(AuthError::Unavailable(_)) => life.w.restart(),
            Err(error) => panic!("{error}"),
        }
    }
    assert!(served <= 1);
    assert!(matches!(take(&life.w.vault).await, Err(AuthError::UsedUp)));
}

/// Webhooks, subscriptions, and rotation policies that are changed and deleted under way.
fn targets(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        life.w.target.needs_manager(true);
        life.write(&root(), "db/manager", "of the manager").await;
        let host = |name: &str| {
            let settings = serde_json::json!({ "host": name });
            settings.as_object().cloned().unwrap()
        };
        let named = async |w: &World, name: &str| {
            let tenant = default_tenant();
            let found = TargetReads::target_named(&*w.sqlite, &tenant, name);
            found.await.unwrap()
        };
        for name in ["orders", "old"] {
            life.until_done(
                async |vault| {
                    let draft = TargetDraft {
                        name: name.to_owned(),
                        description: None,
                        connector: SCRIPTED.to_owned(),
                        settings: host("first"),
                        manager_path: Some(path("db/manager")),
                    };
                    vault.target_create(&root(), draft).await
                },
                async |w| named(w, name).await.is_some(),
            )
            .await;
        }
        life.until_done(
            async |vault| {
                let change = TargetChange {
                    settings: host("second"),
                    ..TargetChange::default()
                };
                vault.target_change(&root(), "orders", change).await
            },
            async |w| named(w, "orders").await.unwrap().settings == host("second"),
        )
        .await;
        life.until_done(
            async |vault| vault.target_delete(&root(), "old").await,
            async |w| named(w, "old").await.is_none(),
        )
        .await;
        let kept = named(&life.w, "orders").await.unwrap();
        assert_eq!((kept.revision, kept.settings), (2, host("second")));
        life.live_until(1, 0).await;
    })
}

/// Partners and tenants that are made, suspended and served again.
fn tenants(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        let partner = PartnerId::parse("ptn_one").unwrap();
        let tenant = TenantId::parse("tnt_a").unwrap();
        life.until_done(
            async |vault| {
                let draft = PartnerDraft {
                    id: Some(partner.clone()),
                    name: "One".to_owned(),
                    slug: None,
                    region: None,
                };
                vault.partner_create(&root(), draft).await
            },
            async |w| {
                let found = TenancyReads::partner_find(&*w.sqlite, &partner).await;
                found.unwrap().is_some()
            },
        )
        .await;
        let row = async |w: &World| {
            let found = TenancyReads::tenant_find(&*w.sqlite, &tenant).await;
            found.unwrap()
        };
        life.until_done(
            async |vault| {
                let draft = TenantDraft {
                    id: Some(tenant.clone()),
                    partner: Some(partner.clone()),
                    name: "A".to_owned(),
                    slug: None,
                    region: None,
                };
                vault.tenant_create(&root(), draft).await
            },
            async |w| row(w).await.is_some(),
        )
        .await;
        for status in [Status::Suspended, Status::Active] {
            life.until_done(
                async |vault| {
                    let change = PartnerChange {
                        status: Some(status),
                        ..PartnerChange::default()
                    };
                    vault.partner_change(&root(), &partner, &change).await
                },
                async |w| row(w).await.unwrap().status() == status,
            )
            .await;
        }
        // Its key is there with it.
        let mut there = root();
        there.principal = life.w.vault.act_in(&there, tenant.as_str()).await.unwrap();
        life.until_done(
            async |vault| vault.secret_write(&there, write_of("app/db", "of a")).await,
            async |w| {
                let found = SecretReads::secret_find(&*w.sqlite, &tenant, &path("app/db")).await;
                found.unwrap().is_some()
            },
        )
        .await;
        assert_eq!(life.read(&there, "app/db", None).await, "of a");
        life.live_until(1, 0).await;
    })
}

fn feeds_and_policies(life: &mut Life) -> Story<'_> {
    Box::pin(async move {
        let owner = caller("sa:listener");
        let webhook = || WebhookDraft {
            name: "second".to_owned(),
            url: "https://second.example/hook".to_owned(),
            secret: Plaintext::new(SIGNING_SECRET.into()),
            events: EventType::ALL.to_vec(),
            filters: Filters::default(),
            format: scaivault_core::receiver::Format::Scaivault,
            ordered: scaivault_core::receiver::DeliveryOrder::None,
            enabled: true,
        };
        let hooks = async |w: &World| {
            let all = ReceiverReads::webhook_list(&*w.sqlite, &default_tenant())
                .await
                .unwrap();
            let mut found = all.into_iter().filter(|hook| hook.name == "second");
            found.next()
        };
        life.until_done(
            async |vault| vault.webhook_create(&root(), webhook()).await,
            async |w| hooks(w).await.is_some(),
        )
        .await;
        let hook = hooks(&life.w).await.unwrap();
        let feed = || SubscriptionDraft {
            ttl: None,
            name: "feed".to_owned(),
            paths: vec![PathPattern::parse("app/**").unwrap()],
            events: EventType::ALL.to_vec(),
            filters: Filters::default(),
            delivery: DeliveryDraft::Polling { buffer_size: 100 },
        };
        let feeds = async |w: &World| {
            let all = ReceiverReads::subscription_list(&*w.sqlite, &default_tenant()).await;
            all.unwrap().pop()
        };
        life.grant("sa:listener", "app/**", &[Permission::List])
            .await;
        life.until_done(
            async |vault| vault.subscription_create(&owner, feed()).await,
            async |w| feeds(w).await.is_some(),
        )
        .await;
        let feed = feeds(&life.w).await.unwrap();

        let policy = life.rotation_policy(ninety_days("changing")).await;
        for at in ["app/detached", "app/orphaned"] {
            life.write(&root(), at, "first").await;
            life.assign(&policy, at).await;
        }
        for is_active in [false, true] {
            let change = RotationPolicyChange {
                is_active: Some(is_active),
                ..RotationPolicyChange::default()
            };
            life.until_done(
                async |vault| {
                    let change = change.clone();
                    vault
                        .rotation_policy_change(&root(), &policy.id, change)
                        .await
                },
                async |w| rotation_policy(w, "changing").await.unwrap().is_active == is_active,
            )
            .await;
            life.live_until(if is_active { 20 } else { 10 }, 0).await;
        }
        life.live_until(90, 5).await;
        let polled = life
            .w
            .vault
            .subscription_poll(&owner, &feed.id, None, 100)
            .await;
        let (events, more) = polled.unwrap_or_default();
        assert!(!more);
        let ids: Vec<_> = events.into_iter().map(|event| event.id).collect();
        life.until_done(
            async |vault| vault.subscription_ack(&owner, &feed.id, &ids).await,
            async |_| false, // what was acknowledged is passed over
        )
        .await;
        life.until_done(
            async |vault| {
                vault
                    .assignment_delete(&root(), &policy.id, &path("app/detached"))
                    .await
            },
            async |w| w.assignment("app/detached").await.is_none(),
        )
        .await;
        life.until_done(
            async |vault| vault.rotation_policy_delete(&root(), &policy.id).await,
            async |w| rotation_policy(w, "changing").await.is_none(),
        )
        .await;
        life.live_until(95, 0).await;
        life.until_done(
            async |vault| {
                let change = WebhookChange {
                    secret: Some((Plaintext::new(b"another-secret".to_vec()), span("1h"))),
                    ..WebhookChange::default()
                };
                vault.webhook_change(&root(), &hook.id, change).await
            },
            async |w| hooks(w).await.unwrap().revision > hook.revision,
        )
        .await;
        life.live_until(96, 0).await;
        life.until_done(
            async |vault| vault.webhook_delete(&root(), &hook.id).await,
            async |w| hooks(w).await.is_none(),
        )
        .await;
        life.until_done(
            async |vault| vault.subscription_delete(&owner, &feed.id).await,
            async |w| feeds(w).await.is_none(),
        )
        .await;
        life.write(&root(), "app/detached", "last").await;
        life.live_until(97, 0).await;
        life.housekeeping().await;
    })
}

// ---- what matters in the end ------------------------------------------------------------------

/// Replaced version, new version, phase, reason of a rotation.
type End = (u64, Option<u64>, &'static str, Option<&'static str>);

/// Everything that must not depend on faults: no times, no ids, no random values.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Path → current version, deleted.
    secrets: BTreeMap<String, (u64, bool)>,
    /// Path and number → state, value (generated ones without their text).
    versions: BTreeMap<(String, u64), (String, String)>,
    /// Path → its rotations: replaced, new, phase, reason.
    rotations: BTreeMap<String, Vec<End>>,
    /// Path → its policy.
    assignments: BTreeMap<String, String>,
    /// Path (or none) → events in the order of their sequence (without path: as a set).
    told: BTreeMap<String, Vec<String>>,
    /// Names of policies, webhooks, subscriptions.
    names: BTreeSet<String>,
    /// State changes on the audit trail.
    audited: BTreeMap<(String, String, String), usize>,
}

async fn outcome(w: &World) -> Outcome {
    let mut outcome = Outcome::default();
    let tenant = default_tenant();
    let filter = SecretFilter {
        include_deleted: true,
        ..SecretFilter::default()
    };
    let heads = SecretReads::secret_list(&*w.sqlite, &tenant, &filter, None, 100)
        .await
        .unwrap();
    for head in heads {
        let at = head.path.as_str().to_owned();
        let entry = (head.current_version, head.is_deleted());
        outcome.secrets.insert(at.clone(), entry);
        if let Some(assignment) = w.assignment(&at).await {
            let policies = RotationPolicyReads::rotation_policy_find(
                &*w.sqlite,
                &tenant,
                &assignment.policy_id,
            );
            let name = policies.await.unwrap().unwrap().name;
            outcome.assignments.insert(at.clone(), name);
        }
        for version in w.versions(&at).await {
            let value = if at == "app/odd" {
                "broken".to_owned()
            } else {
                w.stored(&at, version.version).await.unwrap()
            };
            let value = if value.len() == 32 {
                "generated".to_owned()
            } else {
                value
            };
            let state = format!("{:?}", version.state);
            outcome
                .versions
                .insert((at.clone(), version.version), (state, value));
        }
    }
    let filter = RotationFilter::default();
    let all = RotationReads::rotation_list(&*w.sqlite, &tenant, &filter, None, 100).await;
    let mut all = all.unwrap();
    all.sort_by_key(|rotation| rotation.opened_at);
    for rotation in all {
        let line = (
            rotation.from_version,
            rotation.to_version,
            rotation.phase.as_str(),
            rotation
                .reason
                .map(scaivault_core::rotation::Reason::as_str),
        );
        let of_path = outcome.rotations.entry(rotation.path.as_str().to_owned());
        of_path.or_default().push(line);
    }
    outcome.told = told(w);
    let policies = PolicyReads::policy_list(&*w.sqlite, &tenant, true, None, 100)
        .await
        .unwrap();
    let webhooks = ReceiverReads::webhook_list(&*w.sqlite, &tenant)
        .await
        .unwrap();
    let feeds = ReceiverReads::subscription_list(&*w.sqlite, &tenant)
        .await
        .unwrap();
    outcome
        .names
        .extend(policies.into_iter().map(|policy| policy.name));
    outcome
        .names
        .extend(webhooks.into_iter().map(|webhook| webhook.name));
    outcome
        .names
        .extend(feeds.into_iter().map(|feed| feed.name));
    for row in w.audit().await.into_iter().filter(|row| row.success) {
        let change = !matches!(
            row.action,
            Action::Read
                | Action::List
                | Action::AuditQuery
                | Action::WebhookDelivery
                | Action::SubscriptionEvent
                | Action::TokenCreate
                | Action::SecretIdCreate
                | Action::PolicyUpdate
        );
        if change {
            let at = row
                .secret_path
                .map_or(String::new(), |at| at.as_str().to_owned());
            let phase = row.extra_data.phase.unwrap_or_default();
            let key = (row.action.as_str().to_owned(), at, phase);
            *outcome.audited.entry(key).or_default() += 1;
        }
    }
    outcome
}

/// What arrived, each event once. Checks that no path has a gap or a repetition.
fn told(w: &World) -> BTreeMap<String, Vec<String>> {
    let mut by_path: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
    for body in w.envelopes(RECEIVER) {
        let at = body["path"].as_str().unwrap_or_default().to_owned();
        let kind = body["event_type"].as_str().unwrap().to_owned();
        let data = &body["data"];
        let detail = [
            "due_now",
            "is_rotation",
            "old_version",
            "new_version",
            "version",
            "error",
        ]
        .map(|field| data[field].to_string())
        .join(" ");
        let sequence = body["sequence"].as_u64().unwrap_or(0);
        let of_path = by_path.entry(at).or_default();
        of_path.push((sequence, format!("{kind} {detail}")));
    }
    by_path
        .into_iter()
        .map(|(at, mut events)| {
            events.sort();
            if !at.is_empty() {
                let sequence: Vec<u64> = events.iter().map(|(sequence, _)| *sequence).collect();
                let whole: Vec<u64> = (1..=u64::try_from(events.len()).unwrap()).collect();
                assert_eq!(sequence, whole, "the events of {at}");
            }
            // A read, or its refusal, that is repeated is told of again.
            let told = events.into_iter().map(|(_, text)| text);
            let once = |text: &String| {
                !text.starts_with("secret.accessed") && !text.starts_with("policy.violation")
            };
            let told = told.filter(once);
            (at, told.collect())
        })
        .collect()
}

/// What must hold whatever happened.
async fn assert_sound(w: &World) {
    w.assert_chain_verifies().await;
    let (_, waiting) = scaivault_core::ports::EventReads::fan_out_pending(&*w.sqlite, 10)
        .await
        .unwrap();
    assert!(waiting.is_empty(), "every event was fanned out");
    let tenant = default_tenant();
    let filter = RotationFilter::default();
    let all = RotationReads::rotation_list(&*w.sqlite, &tenant, &filter, None, 100)
        .await
        .unwrap();
    let rotated = w.told_of(RECEIVER, EventType::SecretRotated);
    for rotation in &all {
        let times = rotated
            .iter()
            .filter(|data| data["rotation_id"] == rotation.id.as_str());
        let promoted = !rotation.is_before_promotion() && rotation.phase != Phase::RolledBack;
        assert_eq!(times.count(), usize::from(promoted), "{rotation:?}");
        if matches!(rotation.phase, Phase::Parked | Phase::RolledBack) {
            assert!(rotation.reason.is_some(), "{rotation:?}");
        }
    }
    let filter = SecretFilter::default();
    for head in SecretReads::secret_list(&*w.sqlite, &tenant, &filter, None, 100)
        .await
        .unwrap()
    {
        let rows = w.versions(head.path.as_str()).await;
        let current = rows.iter().filter(|row| row.state == VersionState::Current);
        let current: Vec<u64> = current.map(|row| row.version).collect();
        assert_eq!(current, [head.current_version], "{}", head.path);
        assert!(
            rows.iter().all(|row| row.state != VersionState::Pending),
            "a candidate of {} was forgotten",
            head.path
        );
    }
    let due = AssignmentReads::assignment_due(&*w.sqlite, &tenant, w.now(), None, 100).await;
    for assignment in due.unwrap() {
        assert!(
            assignment.open_rotation.is_some(),
            "a due rotation was forgotten"
        );
    }
}

// ---- the matrix -------------------------------------------------------------------------------

/// Says which life failed.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the life of {}", self.0);
        }
    }
}

async fn live(name: &str, journey: Journey, fault: Option<(UnitName, u64, Fault)>) -> Life {
    let _told = Told(match fault {
        None => format!("'{name}' without a fault"),
        Some((unit, nth, fault)) => {
            format!(
                "'{name}' with {} number {nth} losing its {fault:?}",
                unit.as_str()
            )
        }
    });
    let mut life = Life::new().await;
    if let Some((unit, nth, fault)) = fault {
        life.w.store.arm(unit, When::Nth(nth), fault);
    }
    journey(&mut life).await;
    // A last fault may have struck in the last step: whatever it left is done by the next start.
    life.w.restart();
    let rest = life.w.now().plus(Duration::from_secs(3_600));
    life.w.live_until(rest).await;
    assert_sound(&life.w).await;
    life
}

async fn crash_everywhere(name: &str) {
    let (_, journey) = JOURNEYS
        .into_iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let baseline = Life::new().await;
    let life = live(name, journey, None).await;
    let expect = outcome(&life.w).await;
    for unit in UnitName::ALL {
        let count = life.w.store.commits(*unit) - baseline.w.store.commits(*unit);
        let most = if COMMON.contains(unit) {
            PER_COMMON_NAME
        } else {
            PER_NAME
        };
        for nth in 1..=count.min(most) {
            for fault in [Fault::Unit, Fault::Answer] {
                let faulted = live(name, journey, Some((*unit, nth, fault))).await;
                let struck = faulted.w.store.struck();
                assert_eq!(struck.len(), 1, "{name}: {} {nth} {fault:?}", unit.as_str());
                let _told = Told(format!("'{name}', {} {nth} {fault:?}", unit.as_str()));
                assert_same(&outcome(&faulted.w).await, &expect);
            }
        }
    }
}

fn assert_same(got: &Outcome, expect: &Outcome) {
    assert_eq!(got.secrets, expect.secrets);
    assert_eq!(got.rotations, expect.rotations);
    assert_eq!(got.versions, expect.versions);
    assert_eq!(got.assignments, expect.assignments);
    assert_eq!(got.told, expect.told);
    assert_eq!(got.names, expect.names);
    assert_eq!(got.audited, expect.audited);
}

macro_rules! crash_matrix {
    ($($test:ident = $name:literal;)*) => {$(
        #[tokio::test]
        async fn $test() {
            crash_everywhere($name).await;
        }
    )*};
}

crash_matrix! {
    crashes_of_tenants = "tenants";
    crashes_of_oauth = "oauth";
    crashes_of_nobody_answers = "nobody answers";
    crashes_of_generated = "generated";
    crashes_of_kept_secrets = "kept secrets";
    crashes_of_access = "access";
    crashes_of_feeds_and_policies = "feeds and policies";
    crashes_of_targets = "targets";
}

/// Commits that change no state, or leave their trace elsewhere, and so have no audit row.
const WITHOUT_AUDIT_ROW: [(UnitName, &str); 10] = [
    (
        UnitName::TokenUse,
        "counts a use; the request it was taken for has its own row",
    ),
    (
        UnitName::TokenSettle,
        "notes that nothing follows any more; what does follow is audited",
    ),
    (
        UnitName::SecretNotice,
        "what it tells is its trace: an event in the outbox",
    ),
    (
        UnitName::ScheduleWait,
        "only when a worker looks again changes",
    ),
    (
        UnitName::ScheduleWarn,
        "the warning itself is its trace: an event in the outbox",
    ),
    (
        UnitName::RotationWait,
        "only when a worker looks again changes",
    ),
    (UnitName::FanOut, "each delivery is audited when it is made"),
    (
        UnitName::SubscriptionAck,
        "the poll that handed the events out is audited",
    ),
    (
        UnitName::SubscriptionRead,
        "notes when it was read; what was handed out is audited",
    ),
    (
        UnitName::Housekeeping,
        "removes told events only; a purge is a unit of its own",
    ),
];

#[tokio::test]
async fn every_commit_is_on_a_journey_and_every_change_has_its_audit_row() {
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    for (name, journey) in JOURNEYS {
        let silent: Arc<Mutex<BTreeSet<&str>>> = Arc::default();
        let mut life = Life::new().await;
        let found = silent.clone();
        life.w.watched.watch(move |unit, _| {
            if unit.audit.is_empty() {
                found.lock().insert(unit.name.as_str());
            }
        });
        let baseline = Life::new().await;
        journey(&mut life).await;
        for unit in UnitName::ALL {
            if life.w.store.commits(*unit) > baseline.w.store.commits(*unit) {
                reached.insert(unit.as_str());
            }
        }
        for (allowed, _) in WITHOUT_AUDIT_ROW {
            silent.lock().remove(allowed.as_str());
        }
        assert_eq!(
            *silent.lock(),
            BTreeSet::new(),
            "changes without audit row in '{name}'"
        );
    }
    for (excused, reason) in NOT_ON_A_JOURNEY {
        assert!(
            !reached.contains(excused.as_str()),
            "it is reached now: not '{reason}'"
        );
        reached.insert(excused.as_str());
    }
    let all: BTreeSet<&str> = UnitName::ALL.iter().map(|unit| unit.as_str()).collect();
    let missing: Vec<_> = all.difference(&reached).collect();
    assert!(
        missing.is_empty(),
        "no journey reaches {missing:?}: add a step, or a reason"
    );
}
