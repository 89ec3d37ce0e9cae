//! What clients of HashiCorp Vault's API need of the engine: single versions deleted and destroyed,
//! mounts, answers that wait.

use std::sync::Arc;
use std::time::Duration;

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::mount::{KvRules, MountKind};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{AuditReads, MountReads, SecretReads, UnitName};
use scaivault_core::secret::VersionState;
use scaivault_core::tenancy::Roles;
use scaivault_engine::{
    Caller, MetadataChange, MountDraft, SecretWrite, TokenDraft, Vault, VaultError, VersionAct,
    Versions, WRAPPED_MAX, default_tenant,
};
use scaivault_testkit::{Fault, When};

use crate::world::{DAY, HOUR, World, caller, identity, ninety_days, path, root, span, write_of};

const AT: &str = "secret/app";

async fn act(w: &World, what: VersionAct, numbers: &[u64]) -> Result<usize, VaultError> {
    let which = Versions::Numbers(numbers);
    w.vault.versions_act(&root(), &path(AT), what, which).await
}

async fn read(w: &World, version: Option<u64>) -> Result<String, String> {
    let read = w.read(&root(), AT, version).await;
    read.map_err(|error| error.code().to_owned())
}

fn gone() -> Result<String, String> {
    Err("version_not_found".to_owned())
}

#[tokio::test]
async fn a_deleted_version_comes_back_and_a_destroyed_one_does_not() {
    let w = World::new().await;
    for value in ["1", "2", "3"] {
        w.put(AT, value).await;
    }
    read(&w, None).await.unwrap(); // it is in the cache
    let current = Versions::Current;
    let deleted = w
        .vault
        .versions_act(&root(), &path(AT), VersionAct::Delete, current)
        .await;
    assert_eq!(deleted, Ok(1));
    assert_eq!(read(&w, None).await, gone());
    assert_eq!(read(&w, Some(3)).await, gone());
    assert_eq!(read(&w, Some(2)).await, Ok("2".to_owned()));
    assert_eq!(act(&w, VersionAct::Delete, &[3, 9]).await, Ok(0), "it is");
    assert_eq!(act(&w, VersionAct::Undelete, &[3]).await, Ok(1));
    assert_eq!(read(&w, None).await, Ok("3".to_owned()));

    assert_eq!(act(&w, VersionAct::Destroy, &[1, 2]).await, Ok(2));
    assert_eq!(act(&w, VersionAct::Undelete, &[1, 2]).await, Ok(0));
    assert_eq!(read(&w, Some(1)).await, gone());
    let (tenant, at) = (default_tenant(), path(AT));
    let stored = SecretReads::secret_open(&*w.sqlite, &tenant, &at, Some(1)).await;
    assert_eq!(stored.unwrap().unwrap().1, None, "the value is gone");
    let (head, rows) = w.vault.secret_history(&root(), &at).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(head.versioning.destroyed(1).is_some());
    // The current one, too; the next write goes on behind it.
    assert_eq!(act(&w, VersionAct::Destroy, &[3]).await, Ok(1));
    assert_eq!(read(&w, None).await, gone());
    assert_eq!(w.put(AT, "4").await.head.current_version, 4);
    assert_eq!(read(&w, None).await, Ok("4".to_owned()));
    assert_eq!(act(&w, VersionAct::Delete, &[4]).await, Ok(1));
    assert_eq!(read(&w, None).await, gone());
}

#[tokio::test]
async fn each_version_has_its_row_on_the_trail() {
    let w = World::new().await;
    w.put(AT, "1").await;
    w.put(AT, "2").await;
    act(&w, VersionAct::Delete, &[1, 2]).await.unwrap();
    act(&w, VersionAct::Destroy, &[1]).await.unwrap();
    let rows = w.audit().await;
    let told: Vec<_> = rows
        .iter()
        .filter(|row| row.action == Action::Delete)
        .map(|row| {
            (
                row.extra_data.version,
                row.extra_data.permanent,
                row.success,
            )
        })
        .collect();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&(Some(1), Some(true), true)), "{told:?}");
    assert!(told.contains(&(Some(2), Some(false), true)), "{told:?}");
}

#[tokio::test]
async fn who_may_not_delete_changes_nothing() {
    let w = World::new().await;
    w.put(AT, "1").await;
    let all = [Permission::Read, Permission::Write, Permission::List];
    w.grant("sa:writer", "secret/*", &all).await;
    let writer = caller("sa:writer");
    for what in [
        VersionAct::Delete,
        VersionAct::Undelete,
        VersionAct::Destroy,
    ] {
        let tried = w
            .vault
            .versions_act(&writer, &path(AT), what, Versions::Current)
            .await;
        assert_eq!(tried.unwrap_err().code(), "access_denied");
    }
    assert_eq!(read(&w, None).await, Ok("1".to_owned()));
}

#[tokio::test]
async fn what_a_rotation_stands_on_stays() {
    let w = World::new().await;
    w.put(AT, "1").await;
    w.put(AT, "2").await;
    let policy = w.policy(ninety_days("p")).await;
    w.assign(&policy.id, AT).await;
    let refused = act(&w, VersionAct::Destroy, &[2]).await.unwrap_err();
    assert_eq!(refused.code(), "forbidden");
    assert_eq!(act(&w, VersionAct::Destroy, &[1]).await, Ok(1));
    w.vault.secret_rotate(&root(), &path(AT)).await.unwrap();
    let refused = act(&w, VersionAct::Destroy, &[2]).await.unwrap_err();
    assert_eq!(refused.code(), "rotation_in_progress");
    assert_eq!(read(&w, None).await, Ok("2".to_owned()));
    // Its answer is a new version, readable whatever became of the old one.
    assert_eq!(act(&w, VersionAct::Delete, &[2]).await, Ok(1));
    w.put(AT, "3").await;
    assert_eq!(read(&w, None).await, Ok("3".to_owned()));
    assert_eq!(read(&w, Some(2)).await, gone());
    let rows = w.vault.secret_versions(&root(), &path(AT)).await.unwrap();
    assert_eq!(rows[1].state, VersionState::Previous);
}

#[tokio::test]
async fn versions_end_by_the_clock_and_writes_name_what_they_replace() {
    let w = World::new().await;
    let change = MetadataChange {
        create: true,
        cas_required: Some(true),
        delete_after_s: Some(Some(3_600)),
        ..MetadataChange::default()
    };
    let made = w
        .vault
        .secret_metadata_change(&root(), &path(AT), &change)
        .await
        .unwrap();
    assert_eq!((made.0.current_version, made.0.revision), (0, 1));
    assert_eq!(read(&w, None).await, gone());
    let refused = w.put_as(&root(), AT, "1").await.unwrap_err();
    assert_eq!(refused.code(), "validation_error");
    let first = SecretWrite {
        cas: Some(0),
        ..write_of(AT, "1")
    };
    let written = w.vault.secret_write(&root(), first).await.unwrap();
    assert_eq!(written.deletes_at, Some(w.now().plus(HOUR)));
    assert_eq!(read(&w, None).await, Ok("1".to_owned()));
    w.clock.advance(HOUR);
    assert_eq!(read(&w, None).await, gone(), "from the cache, too");
    let second = SecretWrite {
        cas: Some(1),
        ..write_of(AT, "2")
    };
    w.vault.secret_write(&root(), second).await.unwrap();
    assert_eq!(read(&w, None).await, Ok("2".to_owned()));
}

fn draft(at: &str, prefix: Option<&str>) -> MountDraft {
    MountDraft {
        path: at.to_owned(),
        kind: MountKind::Kv2,
        description: String::new(),
        prefix: prefix.map(str::to_owned),
        rules: KvRules::default(),
        default_lease_s: 0,
        max_lease_s: 0,
    }
}

async fn names(vault: &Vault) -> Vec<String> {
    let mounts = vault.mounts(&root()).await.unwrap();
    mounts.iter().map(|mount| mount.path.clone()).collect()
}

#[tokio::test]
async fn mounts_come_and_go_and_secrets_stay() {
    let w = World::new().await;
    let make = async |at: &str, prefix| {
        w.vault
            .mount_make(&root(), draft(at, prefix), &["secrets"])
            .await
    };
    assert_eq!(names(&w.vault).await, ["secret/"]);
    make("kv/team", None).await.unwrap();
    make("view", Some("kv/team")).await.unwrap();
    assert_eq!(names(&w.vault).await, ["kv/team/", "secret/", "view/"]);
    for taken in ["kv", "kv/team/x", "secrets/x", "sys", "a//b"] {
        assert_eq!(
            make(taken, None).await.unwrap_err().code(),
            "validation_error",
            "{taken}"
        );
    }
    w.put("kv/team/a", "1").await;
    let removed = w.vault.mount_remove(&root(), "kv/team/").await;
    assert_eq!(removed.unwrap_err().code(), "validation_error");
    assert_eq!(
        w.vault.mount_remove(&root(), "view").await,
        Ok(true),
        "a view"
    );
    assert_eq!(w.vault.mount_remove(&root(), "view").await, Ok(false));
    // The one that is there by itself stays away once it was taken away, and can come back.
    assert_eq!(w.vault.mount_remove(&root(), "secret").await, Ok(true));
    assert_eq!(names(&w.another_vault()).await, ["kv/team/"]);
    make("secret", None).await.unwrap();
    assert_eq!(names(&w.vault).await, ["kv/team/", "secret/"]);
    let nobody = caller("sa:nobody");
    let tried = w.vault.mount_make(&nobody, draft("x", None), &[]).await;
    assert!(tried.is_ok(), "the scope decides");
    let weak = crate::world::scoped("sa:weak", &[scaivault_core::identity::Scope::SecretsWrite]);
    let tried = w.vault.mount_make(&weak, draft("y", None), &[]).await;
    assert_eq!(tried.unwrap_err().code(), "insufficient_scope");
    let tried = w.vault.mount_remove(&weak, "x").await;
    assert_eq!(tried.unwrap_err().code(), "insufficient_scope");
}

/// A caller that came with a token made here.
async fn bearer(w: &World, name: &str) -> (Caller, String) {
    let draft = TokenDraft {
        roles: Roles::NONE,
        identity: identity(name),
        scopes: std::iter::empty().collect(),
        ttl: span("1h"),
        description: None,
    };
    let minted = w.vault.token_create(&root(), draft).await.unwrap();
    let text = minted.text.expose().to_owned();
    (came_with(w, &text).await, text)
}

async fn came_with(w: &World, text: &str) -> Caller {
    let principal = w.vault.authenticate(text, w.now()).await.unwrap();
    Caller {
        principal,
        ..root()
    }
}

const PAPER: &[u8] = b"{\"data\":\"in paper\"}";

async fn wrapped(w: &World, by: &Caller, ttl: Duration) -> String {
    let body = Plaintext::new(PAPER.to_vec());
    let minted = w.vault.wrap(by, "secret/data/a", ttl, &body).await.unwrap();
    minted.text.expose().to_owned()
}

#[tokio::test]
async fn a_wrapped_answer_is_opened_once() {
    let w = World::new().await;
    let (by, _) = bearer(&w, "sa:by").await;
    let text = wrapped(&w, &by, HOUR).await;
    let told = w.vault.wrapping_lookup(&by, &text).await.unwrap();
    assert_eq!(told.wrapping.creation_path, "secret/data/a");
    let own = came_with(&w, &text).await;
    // The token itself has no other right, and keeps nothing.
    assert_eq!(own.principal.scopes.iter().count(), 0);
    let tried = w.vault.cubby_get(&own, "response").await;
    assert_eq!(tried.unwrap_err().code(), "forbidden");
    let renewed = w.vault.token_renew_self(&own).await.unwrap();
    assert_eq!(
        renewed.expires_at,
        Some(w.now().plus(HOUR)),
        "no longer than it was to wait"
    );
    let both = tokio::join!(
        w.vault.unwrap_once(&own, &text),
        w.vault.unwrap_once(&by, &text)
    );
    let opened = [both.0, both.1].into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(opened.len(), 1);
    assert_eq!(opened[0].expose(), PAPER);
    assert!(w.vault.unwrap_once(&by, &text).await.is_err());
    assert!(w.vault.wrapping_lookup(&by, &text).await.is_err());
    assert!(w.vault.authenticate(&text, w.now()).await.is_err());
    let rows = w.audit().await;
    let of = |action| rows.iter().filter(move |row| row.action == action);
    assert_eq!(of(Action::Wrap).count(), 1);
    assert_eq!(of(Action::Unwrap).filter(|row| row.success).count(), 1);
    assert!(of(Action::Unwrap).filter(|row| !row.success).count() >= 2);
}

#[tokio::test]
async fn what_waits_and_what_is_kept_ends_with_its_token() {
    let w = World::new().await;
    let (by, text) = bearer(&w, "sa:by").await;
    let paper = wrapped(&w, &by, HOUR).await;
    let value = Plaintext::new(b"{\"a\":1}".to_vec());
    w.vault.cubby_put(&by, "mine/a", &value).await.unwrap();
    assert_eq!(w.vault.cubby_paths(&by).await.unwrap(), ["mine/a"]);
    let kept = w.vault.cubby_get(&by, "mine/a").await.unwrap().unwrap();
    assert_eq!(kept.expose(), value.expose());
    let (other, _) = bearer(&w, "sa:by").await;
    assert!(w.vault.cubby_get(&other, "mine/a").await.unwrap().is_none());
    let count = async || {
        let mut count = 0;
        for token in w.vault.token_list(&root(), None, 99).await.unwrap() {
            let kept = MountReads::cubby_list(&*w.sqlite, &token.tenant, &token.id, 99).await;
            count += kept.unwrap().len();
        }
        count
    };
    assert_eq!(count().await, 2);
    w.clock.advance(HOUR);
    assert!(w.vault.authenticate(&text, w.now()).await.is_err());
    assert!(w.vault.unwrap_once(&root(), &paper).await.is_err());
    while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
    assert_eq!(count().await, 0);
    w.clock.advance(DAY * 8);
    while w.vault.tokens_ended_run_once().await.unwrap() > 0 {}
    let left = w.vault.token_list(&root(), None, 99).await.unwrap();
    assert!(
        left.iter().all(|token| !token.is_wrapping()),
        "and its record goes"
    );
}

#[tokio::test]
async fn another_tenant_opens_nothing() {
    let w = World::new().await;
    let text = wrapped(&w, &root(), HOUR).await;
    let mut elsewhere = root();
    let principal = Arc::make_mut(&mut elsewhere.principal);
    principal.tenant = scaivault_core::ids::TenantId::parse("tnt_other").unwrap();
    assert!(w.vault.unwrap_once(&elsewhere, &text).await.is_err());
    assert!(w.vault.wrapping_lookup(&elsewhere, &text).await.is_err());
    assert!(w.vault.unwrap_once(&root(), &text).await.is_ok());
}

/// Each commit lost, and each answer lost: afterwards it is as before or as after, never between.
#[tokio::test]
async fn every_commit_may_be_lost() {
    for fault in [Fault::Unit, Fault::Answer] {
        let mut w = World::new().await;
        w.put(AT, "1").await;
        w.put(AT, "2").await;
        let (by, _) = bearer(&w, "sa:by").await;
        let text = wrapped(&w, &by, DAY).await;

        w.store.arm(UnitName::VersionsDelete, When::Nth(1), fault);
        assert!(act(&w, VersionAct::Delete, &[1, 2]).await.is_err());
        w.restart();
        let both = (
            read(&w, Some(1)).await.is_ok(),
            read(&w, Some(2)).await.is_ok(),
        );
        assert!(both == (true, true) || both == (false, false), "{both:?}");
        act(&w, VersionAct::Delete, &[1, 2]).await.unwrap();

        w.store.arm(UnitName::VersionsUndelete, When::Nth(1), fault);
        assert!(act(&w, VersionAct::Undelete, &[2]).await.is_err());
        w.restart();
        act(&w, VersionAct::Undelete, &[2]).await.unwrap();
        assert_eq!(read(&w, None).await, Ok("2".to_owned()));

        w.store.arm(UnitName::VersionsDestroy, When::Nth(1), fault);
        assert!(act(&w, VersionAct::Destroy, &[1]).await.is_err());
        w.restart();
        act(&w, VersionAct::Destroy, &[1]).await.unwrap();
        let (head, rows) = w.vault.secret_history(&root(), &path(AT)).await.unwrap();
        assert_eq!((head.versioning.destroyed.len(), rows.len()), (1, 1));

        w.store.arm(UnitName::MountWrite, When::Nth(1), fault);
        let make = w.vault.mount_make(&root(), draft("kv", None), &[]).await;
        assert!(make.is_err());
        w.restart();
        let _ = w.vault.mount_make(&root(), draft("kv", None), &[]).await;
        assert_eq!(names(&w.vault).await, ["kv/", "secret/"]);

        let value = Plaintext::new(b"{\"a\":1}".to_vec());
        w.store.arm(UnitName::CubbyWrite, When::Nth(1), fault);
        assert!(w.vault.cubby_put(&by, "a", &value).await.is_err());
        w.restart();
        w.vault.cubby_put(&by, "a", &value).await.unwrap();
        assert!(w.vault.cubby_get(&by, "a").await.unwrap().is_some());

        w.store.arm(UnitName::Unwrap, When::Nth(1), fault);
        assert!(w.vault.unwrap_once(&by, &text).await.is_err());
        w.restart();
        let again = w.vault.unwrap_once(&by, &text).await;
        // Lost with its answer it is spent: better than to be opened twice.
        assert_eq!(again.is_ok(), fault == Fault::Unit);

        w.store.arm(UnitName::Wrap, When::Nth(1), fault);
        let body = Plaintext::new(PAPER.to_vec());
        assert!(w.vault.wrap(&by, "x", HOUR, &body).await.is_err());
        w.store.disarm();
        let report = w.store.audit_verify().await.unwrap();
        assert_eq!(report.first_bad, None);
    }
}

#[tokio::test]
async fn wrapped_answers_of_one_maker_are_bounded() {
    let w = World::new().await;
    let (by, _) = bearer(&w, "sa:by").await;
    let body = Plaintext::new(PAPER.to_vec());
    let wrap = async |by: &Caller| w.vault.wrap(by, "secret/data/a", HOUR, &body).await;
    let mut made = Vec::new();
    for _ in 0..WRAPPED_MAX {
        made.push(wrap(&by).await.unwrap());
    }
    let full = wrap(&by).await.map(|_| ()).unwrap_err();
    assert_eq!(full.code(), "validation_error", "{full}");
    // What it makes counts as its own, and others are not touched.
    let own = came_with(&w, made[0].text.expose()).await;
    assert_eq!(own.principal.payer(), by.identity());
    let (other, _) = bearer(&w, "sa:other").await;
    wrap(&other).await.unwrap();
    // One that was opened makes room for one.
    let text = made[0].text.expose();
    w.vault.unwrap_once(&by, text).await.unwrap();
    wrap(&by).await.unwrap();
    assert!(wrap(&by).await.is_err());
    // One that ended elsewhere is found by the time that all were looked at.
    w.vault
        .token_revoke(&root(), &made[500].token.id)
        .await
        .unwrap();
    let mut tries = 0;
    while wrap(&by).await.is_err() {
        tries += 1;
        assert!(tries < WRAPPED_MAX, "it is never found");
    }
    // Those that nobody fetched end by themselves.
    w.clock.advance(HOUR);
    let (by, _) = bearer(&w, "sa:by").await;
    wrap(&by).await.unwrap();
}

#[tokio::test]
async fn metadata_does_not_grow_without_bound() {
    let w = World::new().await;
    w.put(AT, "1").await;
    let with = |from: usize, many: usize, text: &str| MetadataChange {
        texts: (from..from + many)
            .map(|at| (format!("key-{at}"), Some(text.to_owned())))
            .collect(),
        ..MetadataChange::default()
    };
    let change = async |change: MetadataChange| {
        let changed = w
            .vault
            .secret_metadata_change(&root(), &path(AT), &change)
            .await;
        changed.map(|_| ()).map_err(|error| error.code())
    };
    change(with(0, 50, "a")).await.unwrap();
    assert_eq!(change(with(50, 1, "a")).await, Err("validation_error"));
    assert_eq!(
        change(with(0, 50, &"a".repeat(400))).await,
        Err("validation_error")
    );
    let tags: Vec<String> = (0..51).map(|at| format!("t{at}")).collect();
    let tags = MetadataChange {
        texts: [("tags".to_owned(), Some(tags.join(",")))].into(),
        ..MetadataChange::default()
    };
    assert_eq!(change(tags).await, Err("validation_error"));
    // What is there may change.
    change(with(0, 50, "b")).await.unwrap();
}
