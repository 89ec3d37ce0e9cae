//! Campaigns: what an identity read is replaced, in order, once each, whatever is lost on the way;
//! containment cuts at once, continuity cuts nobody off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::campaign::{Campaign, CampaignState, ItemState, Mode};
use scaivault_core::event::EventType;
use scaivault_core::identity::Scope;
use scaivault_core::ports::{RunReads, UnitName};
use scaivault_core::receiver::Format;
use scaivault_core::rotation::Phase;
use scaivault_core::time::Span;
use scaivault_engine::{
    Act, CampaignAct, CampaignDraft, RotationPolicyDraft, Selector, TokenDraft, VaultError,
    WebhookChange, default_tenant,
};
use scaivault_testkit::{Fault, When};

use crate::targets;
use crate::world::{
    DAY, HOUR, RECEIVER, World, caller, identity, ninety_days, path, root, scoped, work, work_slice,
};

const LEAKED: &str = "sa:reports";

fn draft(selector: Selector, mode: Mode) -> CampaignDraft {
    CampaignDraft {
        selector,
        mode,
        modes: BTreeMap::new(),
        exclude: BTreeSet::new(),
        note: None,
        webhook_ids: Vec::new(),
        dry_run: false,
    }
}

fn leak(mode: Mode) -> CampaignDraft {
    draft(Selector::Identity(identity(LEAKED)), mode)
}

fn paths(paths: &[&str], mode: Mode) -> CampaignDraft {
    let paths = paths.iter().map(|at| path(at)).collect();
    draft(Selector::Paths(paths), mode)
}

/// With a grace period that a test can live through quickly.
fn quick(policy: RotationPolicyDraft) -> RotationPolicyDraft {
    RotationPolicyDraft {
        grace_period: Span::parse("6h").unwrap(),
        ..policy
    }
}

fn generated(name: &str) -> RotationPolicyDraft {
    RotationPolicyDraft {
        auto_generate: true,
        secret_policy_id: None,
        ..ninety_days(name)
    }
}

/// Secrets under one policy, all read by the identity that leaks.
async fn world_with(secrets: &[&str], policy: RotationPolicyDraft) -> World {
    let w = World::new().await;
    w.grant(LEAKED, "**", &[Permission::Read]).await;
    let policy = w.policy(policy).await;
    for at in secrets {
        w.put(at, "first").await;
        w.assign(&policy.id, at).await;
        w.read(&caller(LEAKED), at, None).await.unwrap();
    }
    w
}

async fn begin(w: &World, draft: CampaignDraft) -> Campaign {
    w.vault.campaign_create(&root(), draft).await.unwrap()
}

async fn stored(w: &World) -> Vec<Campaign> {
    let tenant = default_tenant();
    let rows = RunReads::campaign_list(&*w.sqlite, &tenant, None, 100).await;
    rows.unwrap()
}

async fn only(w: &World) -> Campaign {
    let mut all = stored(w).await;
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn states(campaign: &Campaign) -> Vec<(&str, ItemState)> {
    let items = campaign.items.iter();
    items.map(|item| (item.path.as_str(), item.state)).collect()
}

#[tokio::test]
async fn a_leak_of_three_versions_of_two_secrets_is_cut_at_once() {
    let w = world_with(&["app/a", "app/b"], generated("p")).await;
    w.hear_all().await;
    w.vault
        .secret_rotate(&root(), &path("app/a"))
        .await
        .unwrap();
    w.read(&caller(LEAKED), "app/a", None).await.unwrap();
    let reader = caller(LEAKED);
    assert!(w.read(&reader, "app/a", Some(1)).await.is_ok(), "in grace");
    let campaign = begin(&w, leak(Mode::Containment)).await;
    let versions: Vec<_> = campaign.items.iter().map(|i| i.versions.len()).collect();
    assert_eq!(versions, [2, 1]);
    w.work().await;
    for (at, version) in [("app/a", 1), ("app/a", 2), ("app/b", 1)] {
        let refused = w.read(&reader, at, Some(version)).await;
        assert_eq!(refused, Err(VaultError::SecretExpired), "{at} v{version}");
    }
    w.live(HOUR).await;
    let campaign = only(&w).await;
    assert_eq!(campaign.state, CampaignState::Finished);
    let rotated = ItemState::Rotated;
    assert_eq!(states(&campaign), [("app/a", rotated), ("app/b", rotated)]);
    assert_eq!(w.rotations("app/a").await.len(), 2, "its own and ours");
    assert_eq!(w.rotations("app/b").await.len(), 1);
    assert_eq!(w.head("app/a").await.unwrap().current_version, 3);
    let told = w.told_of(RECEIVER, EventType::CampaignCompleted);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["rotated"], &told[0]["failed"]),
        (&2.into(), &0.into())
    );
    w.assert_chain_verifies().await;
}

#[tokio::test]
async fn continuity_cuts_nobody_off_before_grace_ends() {
    let w = world_with(&["app/a", "app/b"], generated("p")).await;
    begin(&w, leak(Mode::Continuity)).await;
    w.live(DAY).await;
    let reader = caller(LEAKED);
    for at in ["app/a", "app/b"] {
        assert_eq!(w.head(at).await.unwrap().current_version, 2);
        assert!(w.read(&reader, at, Some(1)).await.is_ok());
    }
    assert_eq!(only(&w).await.state, CampaignState::Running);
    w.live(DAY + HOUR).await;
    let campaign = only(&w).await;
    assert_eq!(campaign.state, CampaignState::Finished);
    assert_eq!(campaign.count(ItemState::Rotated), 2);
    let finished = campaign.finished_at.unwrap();
    let late = finished.since(campaign.opened_at.plus(DAY * 2));
    assert!(late < Duration::from_secs(120), "{late:?}");
}

#[tokio::test]
async fn every_commit_may_be_lost_and_each_item_is_rotated_once() {
    let names = [
        (UnitName::CampaignWrite, 1),
        (UnitName::CampaignStep, 8),
        (UnitName::RotationGenerate, 3),
        (UnitName::RotationPromote, 3),
        (UnitName::RotationClose, 3),
    ];
    let secrets = ["app/a", "app/b", "app/c"];
    let mut struck = BTreeMap::new();
    for (name, most) in names {
        for nth in 1..=most {
            for fault in [Fault::Unit, Fault::Answer] {
                for mode in Mode::ALL {
                    let mut w = world_with(&secrets, quick(generated("p"))).await;
                    w.hear_all().await;
                    w.store.arm(name, When::Nth(nth), fault);
                    live_through(&mut w, mode).await;
                    *struck.entry((name.as_str(), fault as u8)).or_insert(0) +=
                        w.store.struck().len();
                    let label = format!("{} {nth} {fault:?} {mode:?}", name.as_str());
                    let campaign = only(&w).await;
                    assert_eq!(campaign.count(ItemState::Rotated), 3, "{label}");
                    for at in secrets {
                        assert_eq!(w.rotations(at).await.len(), 1, "{label}");
                        assert_eq!(w.head(at).await.unwrap().current_version, 2, "{label}");
                        let old = w.read(&caller(LEAKED), at, Some(1)).await;
                        assert_eq!(old, Err(VaultError::SecretExpired), "{label}");
                    }
                    let told = w.told_of(RECEIVER, EventType::CampaignCompleted);
                    assert_eq!(told.len(), 1, "{label}");
                }
            }
        }
    }
    for (name, most) in names {
        for fault in [Fault::Unit, Fault::Answer] {
            // Not every long life has so many steps, but each name is struck often.
            let times = struck[&(name.as_str(), fault as u8)];
            assert!(times >= usize::try_from(most).unwrap(), "{name:?}: {times}");
        }
    }
}

/// A careful client and workers that die at every error.
async fn live_through(w: &mut World, mode: Mode) {
    while stored(w).await.is_empty() {
        if w.vault.campaign_create(&root(), leak(mode)).await.is_err() {
            w.restart();
        }
    }
    for _ in 0..3_000 {
        match work_slice(&w.vault).await {
            Ok(0) => {
                if only(w).await.state == CampaignState::Finished {
                    return;
                }
                w.clock.advance(Duration::from_secs(300));
            }
            Ok(_) => {}
            Err(VaultError::Unavailable(_)) => w.restart(),
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("never ends: {:?}", only(w).await);
}

#[tokio::test]
async fn of_two_workers_one_opens_each_rotation() {
    for nth in 0..3 {
        let w = world_with(&["app/a", "app/b", "app/c"], generated("p")).await;
        begin(&w, leak(Mode::Containment)).await;
        let (slow, quick) = (w.another_vault(), w.another_vault());
        let mut stop = w.watched.stop_at(UnitName::CampaignStep);
        let task = tokio::spawn(async move { slow.campaigns_run_once().await });
        stop.arrived().await;
        for _ in 0..nth {
            let next = w.watched.stop_at(UnitName::CampaignStep);
            stop.go();
            stop = next;
            stop.arrived().await;
        }
        work(&quick).await;
        stop.go();
        task.await.unwrap().unwrap();
        w.live(Duration::from_secs(30)).await;
        let campaign = only(&w).await;
        assert_eq!(campaign.count(ItemState::Rotated), 3, "{nth}");
        for at in ["app/a", "app/b", "app/c"] {
            assert_eq!(w.rotations(at).await.len(), 1, "{nth} {at}");
        }
    }
}

#[tokio::test]
async fn a_target_s_old_credential_is_refused_before_consumers_moved_in_containment_alone() {
    for mode in Mode::ALL {
        let mut w = targets::attached(targets::rules()).await;
        begin(&w, paths(&[targets::AT], mode)).await;
        w.live(Duration::from_secs(1_800)).await;
        assert_eq!(w.head(targets::AT).await.unwrap().current_version, 2);
        let accepted = w.target.accepts("app_a", "first");
        assert_eq!(accepted, mode == Mode::Continuity);
        if mode == Mode::Continuity {
            assert_eq!(only(&w).await.state, CampaignState::Running);
            assert_eq!(targets::follow(&mut w).await, Phase::Completed);
            w.live(Duration::from_secs(120)).await;
        }
        let campaign = only(&w).await;
        assert_eq!(campaign.state, CampaignState::Finished, "{mode:?}");
        assert_eq!(campaign.count(ItemState::Rotated), 1);
        assert_eq!(w.rotations(targets::AT).await.len(), 1);
    }
}

/// It will never read the new version: nobody waits for it, unless another token lets it in.
#[tokio::test]
async fn an_identity_without_a_token_left_is_not_waited_for() {
    for other_token in [false, true] {
        let w = targets::attached(targets::rules()).await;
        w.grant(LEAKED, "**", &[Permission::Read]).await;
        w.read(&caller(LEAKED), targets::AT, None).await.unwrap();
        let token = || TokenDraft {
            roles: scaivault_core::tenancy::Roles::NONE,
            identity: identity(LEAKED),
            scopes: [Scope::SecretsRead].into_iter().collect(),
            ttl: Span::parse("30d").unwrap(),
            description: None,
        };
        let leaked = w.vault.token_create(&root(), token()).await.unwrap();
        if other_token {
            w.vault.token_create(&root(), token()).await.unwrap();
        }
        let selector = Selector::Token {
            id: leaked.token.id,
            keep: false,
        };
        begin(&w, draft(selector, Mode::Continuity)).await;
        w.live(Duration::from_secs(60)).await;
        w.read(&caller("sa:app"), targets::AT, None).await.unwrap();
        w.target.sessions_of("app_a", 0);
        w.live(Duration::from_secs(1_200)).await;
        let rotated = only(&w).await.count(ItemState::Rotated);
        assert_eq!(rotated, usize::from(!other_token));
        assert_eq!(w.target.accepts("app_a", "first"), other_token);
    }
}

#[tokio::test]
async fn a_rotation_under_way_is_joined_and_cut_short() {
    let w = targets::attached(targets::rules()).await;
    w.vault
        .secret_rotate(&root(), &path(targets::AT))
        .await
        .unwrap();
    w.live(HOUR).await;
    assert!(w.target.accepts("app_a", "first"), "a consumer is behind");
    let campaign = begin(&w, leak_of("sa:app", Mode::Containment)).await;
    assert_eq!(campaign.items[0].versions, [1]);
    w.live(Duration::from_secs(60)).await;
    assert!(!w.target.accepts("app_a", "first"));
    assert_eq!(
        w.rotations(targets::AT).await.len(),
        1,
        "none is opened beside it"
    );
    assert_eq!(only(&w).await.count(ItemState::Rotated), 1);
}

fn leak_of(who: &str, mode: Mode) -> CampaignDraft {
    draft(Selector::Identity(identity(who)), mode)
}

#[tokio::test]
async fn an_item_that_is_rolled_back_has_failed() {
    let mut w = targets::attached(targets::rules()).await;
    begin(&w, paths(&[targets::AT], Mode::Continuity)).await;
    w.live(Duration::from_secs(60)).await;
    let id = w.rotations(targets::AT).await[0].id.clone();
    let back = w.vault.rotation_act(&root(), &id, Act::RollBack).await;
    back.unwrap();
    assert_eq!(targets::follow(&mut w).await, Phase::RolledBack);
    w.live(Duration::from_secs(120)).await;
    let campaign = only(&w).await;
    assert_eq!(campaign.state, CampaignState::Finished);
    assert_eq!(campaign.items[0].state, ItemState::Failed);
    assert!(campaign.items[0].reason.is_some());
    assert!(w.target.accepts("app_a", "first"));
}

#[tokio::test]
async fn an_answer_from_outside_ends_the_old_value_at_once_in_containment() {
    for mode in Mode::ALL {
        let w = world_with(&["app/a", "app/b"], quick(ninety_days("p"))).await;
        w.hear_all().await;
        // One waits already: it is joined.
        w.vault
            .secret_rotate(&root(), &path("app/a"))
            .await
            .unwrap();
        begin(&w, leak(mode)).await;
        w.live(HOUR).await;
        let due = w.told_of(RECEIVER, EventType::RotationDue);
        assert_eq!(
            due.len(),
            2,
            "the second does not wait for the first one's answer"
        );
        let reader = caller(LEAKED);
        assert!(
            w.read(&reader, "app/a", Some(1)).await.is_ok(),
            "no value yet"
        );
        w.put("app/a", "second").await;
        let old = w.read(&reader, "app/a", Some(1)).await;
        assert_eq!(old.is_ok(), mode == Mode::Continuity);
        w.put("app/b", "second").await;
        w.live(HOUR * 7).await;
        let campaign = only(&w).await;
        assert_eq!(campaign.count(ItemState::Rotated), 2);
        assert_eq!(w.rotations("app/a").await.len(), 1);
    }
}

#[tokio::test]
async fn what_is_parked_holds_up_nobody_and_ends_by_hand() {
    let w = world_with(&["app/a"], quick(ninety_days("by hand"))).await;
    let policy = w.policy(generated("p")).await;
    w.put("app/b", "first").await;
    w.assign(&policy.id, "app/b").await;
    let campaign = begin(&w, paths(&["app/a", "app/b"], Mode::Containment)).await;
    w.live(HOUR * 7).await;
    assert_eq!(w.rotations("app/a").await[0].phase, Phase::Parked);
    let now = only(&w).await;
    assert_eq!(now.state, CampaignState::Running);
    let expect = [
        ("app/a", ItemState::Rotating),
        ("app/b", ItemState::Rotated),
    ];
    assert_eq!(states(&now), expect);
    let ended = w
        .vault
        .campaign_act(&root(), &campaign.id, CampaignAct::End)
        .await
        .unwrap();
    assert_eq!(ended.state, CampaignState::Finished);
    assert_eq!(ended.items[0].state, ItemState::Failed);
    assert_eq!(ended.ended_by, Some(identity("user:root")));
    for act in [CampaignAct::Pause, CampaignAct::Resume] {
        let over = w.vault.campaign_act(&root(), &campaign.id, act).await;
        assert_eq!(over, Err(VaultError::CampaignOver));
    }
}

#[tokio::test]
async fn a_paused_campaign_begins_nothing() {
    let mut w = world_with(&["app/a"], generated("p")).await;
    let campaign = begin(&w, leak(Mode::Containment)).await;
    let act = async |w: &World, act| w.vault.campaign_act(&root(), &campaign.id, act).await;
    act(&w, CampaignAct::Pause).await.unwrap();
    w.live(HOUR).await;
    assert!(w.rotations("app/a").await.is_empty());
    w.store
        .arm(UnitName::CampaignAct, When::Nth(1), Fault::Answer);
    assert!(act(&w, CampaignAct::Resume).await.is_err());
    w.restart();
    let again = act(&w, CampaignAct::Resume).await.unwrap();
    assert_eq!(again.state, CampaignState::Running);
    w.live(HOUR).await;
    assert_eq!(only(&w).await.count(ItemState::Rotated), 1);
}

#[tokio::test]
async fn every_path_asks_for_the_right_to_rotate() {
    let w = world_with(&["app/a", "db/b"], generated("p")).await;
    w.grant("sa:ops", "app/**", &[Permission::Rotate]).await;
    let ops = scoped("sa:ops", &[Scope::SecretsRotate]);
    let refused = w
        .vault
        .campaign_create(&ops, paths(&["app/a", "db/b"], Mode::Continuity))
        .await;
    assert!(matches!(refused, Err(VaultError::Denied(_))), "{refused:?}");
    let reader = scoped("sa:ops", &[Scope::SecretsRead]);
    let refused = w
        .vault
        .campaign_create(&reader, leak(Mode::Continuity))
        .await;
    assert_eq!(refused, Err(VaultError::Scope(Scope::SecretsRotate)));
    assert!(stored(&w).await.is_empty());
    // Of a leak, what may not be rotated is counted as failed, and named to administrators.
    let made = w
        .vault
        .campaign_create(&ops, leak(Mode::Containment))
        .await
        .unwrap();
    w.work().await;
    let seen = w.vault.campaign_details(&ops, &made.id).await.unwrap();
    assert_eq!(states(&seen.campaign), [("app/a", ItemState::Rotated)]);
    assert_eq!(seen.hidden, 1);
    assert!(seen.counts.contains(&(ItemState::Failed, 1)));
    let all = w.vault.campaign_details(&root(), &made.id).await.unwrap();
    let expect = [("app/a", ItemState::Rotated), ("db/b", ItemState::Failed)];
    assert_eq!(states(&all.campaign), expect);
    assert!(w.rotations("db/b").await.is_empty());
    let denied = w.audit().await;
    let denied = denied.iter().filter(|row| {
        row.action == Action::CampaignCreate
            && !row.success
            && row.secret_path == Some(path("db/b"))
    });
    assert_eq!(denied.count(), 2);
    let other = scoped("sa:other", &[Scope::SecretsRotate]);
    let hidden = w.vault.campaign_details(&other, &made.id).await;
    assert!(matches!(hidden, Err(VaultError::NotFound(_))));
}

#[tokio::test]
async fn a_leaked_token_is_revoked_in_the_commit_that_begins_the_campaign() {
    for keep in [false, true] {
        let w = world_with(&["app/a"], generated("p")).await;
        let draft_of_token = TokenDraft {
            roles: scaivault_core::tenancy::Roles::NONE,
            identity: identity(LEAKED),
            scopes: [Scope::SecretsRead].into_iter().collect(),
            ttl: Span::parse("1h").unwrap(),
            description: None,
        };
        let minted = w.vault.token_create(&root(), draft_of_token).await.unwrap();
        let selector = Selector::Token {
            id: minted.token.id.clone(),
            keep,
        };
        let plan = CampaignDraft {
            dry_run: true,
            ..draft(selector.clone(), Mode::Containment)
        };
        let plan = begin(&w, plan).await;
        assert_eq!(states(&plan), [("app/a", ItemState::Waiting)]);
        assert!(stored(&w).await.is_empty(), "only a plan");
        let text = minted.text.expose();
        assert!(w.vault.authenticate(text, w.now()).await.is_ok());
        w.store
            .arm(UnitName::CampaignWrite, When::Nth(1), Fault::Unit);
        let lost = draft(selector.clone(), Mode::Containment);
        assert!(w.vault.campaign_create(&root(), lost).await.is_err());
        assert!(w.vault.authenticate(text, w.now()).await.is_ok());
        begin(&w, draft(selector, Mode::Containment)).await;
        assert_eq!(w.vault.authenticate(text, w.now()).await.is_ok(), keep);
        w.work().await;
        assert_eq!(only(&w).await.count(ItemState::Rotated), 1);
    }
}

#[tokio::test]
async fn mistakes_are_told_and_nothing_is_hidden() {
    let w = world_with(&["app/a"], generated("p")).await;
    w.put("app/loose", "first").await;
    w.read(&caller(LEAKED), "app/loose", None).await.unwrap();
    let invalid = async |draft| match w.vault.campaign_create(&root(), draft).await {
        Err(VaultError::Validation(fields)) => fields[0].0.clone(),
        other => panic!("{other:?}"),
    };
    let selector = Selector::Group("nobody".into());
    assert_eq!(invalid(draft(selector, Mode::Continuity)).await, "group");
    let mut typo = leak(Mode::Continuity);
    typo.exclude.insert(path("app/typo"));
    assert_eq!(invalid(typo).await, "exclude");
    let mut typo = leak(Mode::Continuity);
    typo.modes.insert(path("app/typo"), Mode::Containment);
    assert_eq!(invalid(typo).await, "modes");
    let deaf = w.webhook(RECEIVER, &[EventType::RotationDue]).await;
    let mut told = leak(Mode::Continuity);
    told.webhook_ids.push(deaf.id);
    assert_eq!(invalid(told).await, "webhook_ids");
    let missing = paths(&["app/none"], Mode::Continuity);
    let missing = w.vault.campaign_create(&root(), missing).await;
    assert!(matches!(missing, Err(VaultError::NotFound(_))));
    assert!(stored(&w).await.is_empty());

    let mut some = leak(Mode::Containment);
    some.exclude.insert(path("app/a"));
    let campaign = begin(&w, some).await;
    assert_eq!(
        campaign.state,
        CampaignState::Finished,
        "nothing is left to do"
    );
    let expect = [
        ("app/a", ItemState::Skipped),
        ("app/loose", ItemState::Failed),
    ];
    assert_eq!(states(&campaign), expect);
    let reason = campaign.items[1].reason.clone().unwrap();
    assert!(reason.starts_with("no rotation policy"), "{reason}");
}

#[tokio::test]
async fn containment_comes_first() {
    let w = world_with(&["app/a", "app/b", "app/c"], generated("p")).await;
    let mut mixed = leak(Mode::Continuity);
    mixed.modes.insert(path("app/c"), Mode::Containment);
    let campaign = begin(&w, mixed).await;
    let order: Vec<_> = campaign
        .items
        .iter()
        .map(|item| item.path.as_str())
        .collect();
    assert_eq!(order, ["app/c", "app/a", "app/b"]);
    w.work().await;
    let opened = async |at: &str| w.rotations(at).await[0].id.clone();
    let ids = [
        opened("app/c").await,
        opened("app/a").await,
        opened("app/b").await,
    ];
    let rows = w.audit().await;
    let begun: Vec<_> = rows
        .iter()
        .filter(|row| row.action == Action::Rotate)
        .filter_map(|row| row.extra_data.rotation_id.clone())
        .collect();
    assert_eq!(begun, ids);
}

#[tokio::test]
async fn the_summary_goes_to_slack_as_blocks() {
    let w = world_with(&["app/a"], generated("p")).await;
    let hook = w.webhook(RECEIVER, &[EventType::CampaignCompleted]).await;
    let change = WebhookChange {
        format: Some(Format::Slack),
        ..WebhookChange::default()
    };
    w.vault
        .webhook_change(&root(), &hook.id, change)
        .await
        .unwrap();
    begin(&w, leak(Mode::Containment)).await;
    w.work().await;
    w.live(HOUR).await;
    let received = w.courier.received(RECEIVER);
    assert_eq!(received.len(), 1);
    let body = received[0].json();
    assert_eq!(body["text"], "Completed: 1 rotated, 0 failed, 0 skipped");
    let rotated = &body["blocks"][2]["text"]["text"];
    assert!(
        rotated
            .as_str()
            .unwrap()
            .starts_with("*Rotated (1)*\n• app/a"),
        "{rotated}"
    );
}

#[tokio::test]
async fn what_a_rotation_under_way_has_just_brought_is_replaced_after_it() {
    let w = targets::attached(targets::rules()).await;
    let at = targets::AT;
    w.vault.secret_rotate(&root(), &path(at)).await.unwrap();
    w.live(Duration::from_secs(60)).await;
    w.read(&caller("sa:app"), at, None).await.unwrap();
    let second = w.stored(at, 2).await.unwrap();
    let campaign = begin(&w, leak_of("sa:app", Mode::Containment)).await;
    assert_eq!(campaign.items[0].versions.len(), 2);
    w.live(Duration::from_secs(300)).await;
    let phases: Vec<_> = w.rotations(at).await.iter().map(|row| row.phase).collect();
    assert_eq!(phases, [Phase::Completed, Phase::Completed]);
    assert_eq!(w.head(at).await.unwrap().current_version, 3);
    assert!(!w.target.accepts("app_a", "first"));
    assert!(!w.target.accepts("app_b", &second));
    assert_eq!(w.target.accepted().len(), 1);
    assert_eq!(only(&w).await.count(ItemState::Rotated), 1);
}

#[tokio::test]
async fn an_item_that_waits_for_another_rotation_holds_up_nobody() {
    let w = targets::attached(targets::rules()).await;
    let at = targets::AT;
    w.vault.secret_rotate(&root(), &path(at)).await.unwrap();
    w.live(Duration::from_secs(60)).await;
    w.read(&caller("sa:app"), at, None).await.unwrap();
    let policy = w.policy(generated("p")).await;
    w.put("zoo/z", "first").await;
    w.assign(&policy.id, "zoo/z").await;
    w.read(&caller("sa:app"), "zoo/z", None).await.unwrap();
    begin(&w, leak_of("sa:app", Mode::Continuity)).await;
    assert_eq!(w.vault.campaigns_run_once().await.unwrap(), 1);
    let campaign = only(&w).await;
    let expect = [(at, ItemState::Waiting), ("zoo/z", ItemState::Rotating)];
    assert_eq!(states(&campaign), expect);
    let soon = w.now().plus(Duration::from_millis(500));
    assert!(
        campaign.wake_at > Some(soon),
        "it does not look again in the same instant"
    );
}
