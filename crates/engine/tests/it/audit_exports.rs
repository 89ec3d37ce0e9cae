//! Exports of the trail: what is in them, whose, and that they go on after anything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use scaivault_core::audit::Action;
use scaivault_core::audit_export::{AuditExport, ExportFormat, ExportState};
use scaivault_core::identity::Scope;
use scaivault_core::ids::ExportId;
use scaivault_core::ports::{AuditReads, ExportSink, Store, Unit, UnitName};
use scaivault_crypto::detached::{sha256_hex, verify};
use scaivault_engine::{Caller, ExportDraft, Missing, Vault, VaultError};
use scaivault_testkit::{Fault, When};
use serde_json::Value;

use crate::world::{World, root, scoped};

/// A destination in memory that fails so many times.
#[derive(Default)]
struct Sink {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    failures: Mutex<u32>,
}

impl Sink {
    fn failing(times: u32) -> Self {
        Self {
            failures: Mutex::new(times),
            ..Self::default()
        }
    }

    fn names(&self) -> Vec<String> {
        self.files.lock().unwrap().keys().cloned().collect()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].clone()
    }

    fn assert_signed(&self, world: &World) {
        let key = world.vault.audit_signing_key().unwrap().public_der();
        let (manifest, signature) = (self.bytes("manifest.json"), self.bytes("manifest.sig"));
        assert!(verify(&key, &manifest, &signature));
    }

    fn rows(&self) -> Vec<Value> {
        let files = self.files.lock().unwrap();
        let parts = files.iter().filter(|(name, _)| name.starts_with("part-"));
        let text: String = parts
            .map(|(_, bytes)| String::from_utf8(bytes.clone()).unwrap())
            .collect();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[async_trait]
impl ExportSink for Sink {
    async fn put(&self, _: &ExportId, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err("the disk is full".to_owned());
        }
        self.files.lock().unwrap().insert(name.to_owned(), bytes);
        Ok(())
    }

    async fn discard(&self, _: &ExportId) -> Result<(), String> {
        self.files.lock().unwrap().clear();
        Ok(())
    }
}

fn draft() -> ExportDraft {
    ExportDraft {
        from: None,
        to: None,
        actions: Vec::new(),
        format: ExportFormat::Jsonl,
        all_tenants: false,
    }
}

fn exporter() -> Caller {
    scoped("sa:auditor", &[Scope::AuditExport])
}

/// Runs to rest, from due time to due time, as it is when it ended.
async fn run(world: &World, export: &AuditExport, sink: &Sink) -> AuditExport {
    for _ in 0..100 {
        while world.vault.exports_run_once(sink).await.unwrap() > 0 {}
        let found = AuditReads::audit_export_find(&*world.sqlite, &export.tenant, &export.id);
        let found = found.await.unwrap().unwrap();
        match found.wake_at {
            None => return found,
            Some(at) => {
                world
                    .clock
                    .advance(at.since(world.now()) + Duration::from_secs(1));
            }
        }
    }
    panic!("it does not end");
}

#[tokio::test]
async fn an_export_has_the_rows_asked_for_and_proves_itself() {
    let world = World::new().await;
    for n in 0..30 {
        world.put(&format!("app/n{n}"), "value").await;
    }
    world.read(&root(), "app/n1", None).await.unwrap();
    let asked = ExportDraft {
        actions: vec![Action::Write],
        ..draft()
    };
    let export = world.vault.export_create(&exporter(), asked).await.unwrap();
    // What comes later is not in it.
    world.put("app/later", "value").await;
    let sink = Sink::default();
    let ended = run(&world, &export, &sink).await;
    assert_eq!((ended.state, ended.rows()), (ExportState::Completed, 30));
    let rows = sink.rows();
    assert_eq!(rows.len(), 30);
    assert_eq!(rows[29]["secret_path"], "app/n0", "newest first");
    assert!(rows.iter().all(|row| row["action"] == "write"));
    assert!(
        !String::from_utf8(sink.bytes("part-000001.jsonl"))
            .unwrap()
            .contains("value\"")
    );
    // The manifest: parts, chains, signature.
    let bytes = sink.bytes("manifest.json");
    sink.assert_signed(&world);
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(
        (&manifest["rows"], &manifest["files"][0]["rows"]),
        (&30.into(), &30.into())
    );
    let part = sink.bytes("part-000001.jsonl");
    assert_eq!(manifest["files"][0]["sha256"], sha256_hex(&part));
    assert!(manifest["chains"][0]["last_seq"].as_u64() >= Some(31));
    // Both ends are on the trail.
    let trail = world.audit().await;
    let told: Vec<_> = trail
        .iter()
        .filter(|row| row.extra_data.subject.as_deref() == Some(export.id.as_str()))
        .map(|row| (row.action, row.identity_id.as_str(), row.extra_data.count))
        .collect();
    assert_eq!(
        told,
        [
            (Action::ExportCreated, "sa:auditor", Some(0)),
            (Action::ExportEnded, "system:audit-exporter", Some(30)),
        ]
    );
    world.assert_chain_verifies().await;
}

#[tokio::test]
async fn csv_has_names_and_an_empty_export_has_no_part() {
    let world = World::new().await;
    world.put("app/a", "value").await;
    let asked = |action| ExportDraft {
        actions: vec![action],
        format: ExportFormat::Csv,
        ..draft()
    };
    let sink = Sink::default();
    let export = world
        .vault
        .export_create(&root(), asked(Action::Write))
        .await
        .unwrap();
    assert_eq!(run(&world, &export, &sink).await.rows(), 1);
    let text = String::from_utf8(sink.bytes("part-000001.csv")).unwrap();
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    assert!(lines[0].starts_with("id,timestamp,tenant_id,action,"));
    assert!(lines.len() == 2 && lines[1].contains(",app/a,"), "{text}");
    let sink = Sink::default();
    let none = world
        .vault
        .export_create(&root(), asked(Action::PkiSign))
        .await
        .unwrap();
    let ended = run(&world, &none, &sink).await;
    assert_eq!((ended.state, ended.rows()), (ExportState::Completed, 0));
    assert_eq!(
        sink.names(),
        ["manifest.json", "manifest.sig", "signing-key.pem"]
    );
}

#[tokio::test]
async fn who_may_and_whose_rows() {
    let world = World::new().await;
    world.put("app/a", "value").await;
    let reader = scoped("sa:reader", &[Scope::AuditRead]);
    let refused = world.vault.export_create(&reader, draft()).await;
    assert_eq!(refused.unwrap_err(), VaultError::Scope(Scope::AuditExport));
    let all = ExportDraft {
        all_tenants: true,
        ..draft()
    };
    let refused = world.vault.export_create(&exporter(), all.clone()).await;
    assert_eq!(refused.unwrap_err(), VaultError::Scope(Scope::Admin));
    let export = world.vault.export_create(&root(), all).await.unwrap();
    assert_eq!(export.filter().tenant, None);
    let own = world.vault.export_create(&root(), draft()).await.unwrap();
    assert_eq!(own.filter().tenant.as_ref(), Some(root().tenant()));
    // No more than a few at once.
    for _ in 0..3 {
        world.vault.export_create(&root(), draft()).await.unwrap();
    }
    let refused = world
        .vault
        .export_create(&root(), draft())
        .await
        .unwrap_err();
    assert!(matches!(refused, VaultError::Validation(_)), "{refused}");
}

#[tokio::test]
async fn trouble_at_the_destination_is_waited_out_or_told() {
    let world = World::new().await;
    world.put("app/a", "value").await;
    let export = world.vault.export_create(&root(), draft()).await.unwrap();
    let sink = Sink::failing(4);
    let ended = run(&world, &export, &sink).await;
    assert_eq!((ended.state, ended.error), (ExportState::Completed, None));
    assert_eq!(sink.rows().len() as u64, ended.parts[0].rows);
    let export = world.vault.export_create(&root(), draft()).await.unwrap();
    let ended = run(&world, &export, &Sink::failing(u32::MAX)).await;
    assert_eq!(ended.state, ExportState::Failed);
    assert_eq!(
        ended.error.as_deref(),
        Some("the destination cannot be written")
    );
    let last = world.audit().await.pop().unwrap();
    assert_eq!(
        (last.action, last.extra_data.phase.as_deref()),
        (Action::ExportEnded, Some("failed"))
    );
}

/// Every commit of the worker is lost once: before it, and after it, in its answer.
#[tokio::test]
async fn an_export_goes_on_after_a_lost_commit() {
    for fault in [Fault::Unit, Fault::Answer] {
        for nth in 1..=5 {
            let world = World::new().await;
            for n in 0..5 {
                world.put(&format!("app/n{n}"), "value").await;
            }
            let export = world.vault.export_create(&root(), draft()).await.unwrap();
            let sink = Sink::default();
            world.store.arm(UnitName::ExportStep, When::Nth(nth), fault);
            let lost = world.vault.exports_run_once(&sink).await;
            assert!(lost.is_err(), "{fault:?} {nth}");
            let ended = run(&world, &export, &sink).await;
            assert_eq!(ended.state, ExportState::Completed);
            let rows = sink.rows();
            let mut ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
            assert_eq!(ids.len() as u64, ended.rows());
            ids.dedup();
            assert_eq!(ids.len() as u64, ended.rows(), "{fault:?} {nth}");
            sink.assert_signed(&world);
        }
    }
}

/// A destination so slow at the manifest that another worker takes the export up meanwhile.
struct Slow<'a> {
    sink: Sink,
    world: &'a World,
    vault: Arc<Vault>,
    taken: Mutex<bool>,
}

#[async_trait]
impl ExportSink for Slow<'_> {
    async fn put(&self, id: &ExportId, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        self.sink.put(id, name, bytes).await?;
        let is_first =
            name == "manifest.sig" && !std::mem::replace(&mut *self.taken.lock().unwrap(), true);
        if is_first {
            self.world.clock.advance(Duration::from_secs(3_600));
            assert_eq!(self.vault.exports_run_once(&self.sink).await.unwrap(), 1);
        }
        Ok(())
    }

    async fn discard(&self, id: &ExportId) -> Result<(), String> {
        self.sink.discard(id).await
    }
}

#[tokio::test]
async fn two_that_close_an_export_write_the_same() {
    let world = World::new().await;
    world.put("app/a", "value").await;
    let export = world.vault.export_create(&root(), draft()).await.unwrap();
    let slow = Slow {
        sink: Sink::default(),
        world: &world,
        vault: world.another_vault(),
        taken: Mutex::new(false),
    };
    assert_eq!(world.vault.exports_run_once(&slow).await.unwrap(), 1);
    assert!(*slow.taken.lock().unwrap());
    let ended = run(&world, &export, &slow.sink).await;
    assert_eq!(ended.state, ExportState::Completed);
    slow.sink.assert_signed(&world);
}

/// More rows than a part has.
async fn long_trail(world: &World) {
    world.put("app/a", "value").await;
    let mut row = world.audit().await.pop().unwrap();
    row.user_agent = Some("x".repeat(20_000));
    for _ in 0..21 {
        let mut unit = Unit::new(UnitName::AuditOnly);
        unit.audit = vec![row.clone(); 100];
        Store::commit(&*world.sqlite, unit).await.unwrap();
    }
}

/// A destination at which somebody cancels the export while its second part is put.
struct Cancelling {
    sink: Sink,
    vault: Arc<Vault>,
    export: ExportId,
}

#[async_trait]
impl ExportSink for Cancelling {
    async fn put(&self, id: &ExportId, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        if name == "part-000002.jsonl" {
            let who = root();
            let cancelled = self
                .vault
                .export_cancel(&who, &self.export, Some(&self.sink));
            assert_eq!(cancelled.await.unwrap().state, ExportState::Cancelled);
            assert_eq!(self.sink.names(), [] as [&str; 0]);
        }
        self.sink.put(id, name, bytes).await
    }

    async fn discard(&self, id: &ExportId) -> Result<(), String> {
        self.sink.discard(id).await
    }
}

#[tokio::test]
async fn a_cancelled_export_leaves_nothing() {
    let world = World::new().await;
    long_trail(&world).await;
    for is_put_meanwhile in [false, true] {
        let export = world.vault.export_create(&root(), draft()).await.unwrap();
        let destination = Cancelling {
            sink: Sink::default(),
            vault: world.another_vault(),
            export: export.id.clone(),
        };
        let sink = &destination.sink;
        assert_eq!(world.vault.exports_run_once(&destination).await.unwrap(), 1);
        assert_eq!(sink.names(), ["part-000001.jsonl"]);
        if is_put_meanwhile {
            assert_eq!(world.vault.exports_run_once(&destination).await.unwrap(), 1);
        } else {
            let who = root();
            let cancelled = world.vault.export_cancel(&who, &export.id, Some(sink));
            assert_eq!(cancelled.await.unwrap().state, ExportState::Cancelled);
        }
        assert_eq!(sink.names(), [] as [&str; 0], "{is_put_meanwhile}");
        let ended = run(&world, &export, sink).await;
        assert_eq!(ended.state, ExportState::Cancelled);
        assert_eq!(sink.names(), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn a_failed_export_leaves_nothing() {
    let world = World::new().await;
    long_trail(&world).await;
    let export = world.vault.export_create(&root(), draft()).await.unwrap();
    let sink = Sink::default();
    world.vault.exports_run_once(&sink).await.unwrap();
    assert_eq!(sink.names(), ["part-000001.jsonl"]);
    *sink.failures.lock().unwrap() = u32::MAX;
    assert_eq!(run(&world, &export, &sink).await.state, ExportState::Failed);
    assert_eq!(sink.names(), [] as [&str; 0]);
}

#[tokio::test]
async fn files_of_an_ended_export_are_removed_when_asked() {
    let world = World::new().await;
    world.put("app/a", "value").await;
    let export = world.vault.export_create(&root(), draft()).await.unwrap();
    let sink = Sink::default();
    let ended = run(&world, &export, &sink).await;
    assert_eq!(ended.state, ExportState::Completed);
    assert_ne!(sink.names(), [] as [&str; 0]);
    let who = root();
    let removed = world.vault.export_cancel(&who, &export.id, Some(&sink));
    assert_eq!(removed.await.unwrap(), ended, "its record stays");
    assert_eq!(sink.names(), [] as [&str; 0]);
    let last = world.audit().await.pop().unwrap();
    assert_eq!(
        (last.action, last.extra_data.phase.as_deref()),
        (Action::ExportEnded, Some("removed"))
    );
}

/// Whose rows they are is nobody else's to know, in the tenant where it was asked for too.
#[tokio::test]
async fn exports_of_all_tenants_are_for_operators() {
    let world = World::new().await;
    let all = ExportDraft {
        all_tenants: true,
        ..draft()
    };
    let mut own = Vec::new();
    let mut of_all = Vec::new();
    for _ in 0..2 {
        let made = world.vault.export_create(&root(), draft()).await.unwrap();
        own.insert(0, made.id);
        world.clock.advance(Duration::from_secs(1));
        let made = world
            .vault
            .export_create(&root(), all.clone())
            .await
            .unwrap();
        of_all.insert(0, made.id);
        world.clock.advance(Duration::from_secs(1));
    }
    let sink = Sink::default();
    let missing = VaultError::NotFound(Missing::Export);
    for id in &of_all {
        let found = world.vault.export_find(&exporter(), id).await;
        assert_eq!(found.unwrap_err(), missing);
        let cancelled = world
            .vault
            .export_cancel(&exporter(), id, Some(&sink))
            .await;
        assert_eq!(cancelled.unwrap_err(), missing);
        let found = world.vault.export_find(&root(), id).await.unwrap();
        assert_eq!(found.state, ExportState::Running);
    }
    let listed = async |caller: &Caller, after: Option<&str>, limit| {
        let found = world.vault.export_list(caller, after, limit).await.unwrap();
        found
            .into_iter()
            .map(|export| export.id)
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&exporter(), None, 9).await, own);
    assert_eq!(listed(&root(), None, 9).await.len(), 4);
    // A page is full where there is more.
    assert_eq!(listed(&exporter(), None, 1).await, own[..1]);
    let after = Some(own[0].as_str());
    assert_eq!(listed(&exporter(), after, 1).await, own[1..]);
    assert_eq!(listed(&exporter(), None, 2).await, own);
    let who = exporter();
    let own = world.vault.export_cancel(&who, &own[0], Some(&sink));
    assert_eq!(own.await.unwrap().state, ExportState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_at_a_time_than_may_however_they_are_asked_for() {
    let world = World::new().await;
    let asking = (0..20).map(|_| {
        let vault = world.vault.clone();
        tokio::spawn(async move { vault.export_create(&exporter(), draft()).await })
    });
    let asking: Vec<_> = asking.collect();
    let mut begun = 0;
    for one in asking {
        match one.await.unwrap() {
            Ok(_) => begun += 1,
            Err(error) => assert!(matches!(error, VaultError::Validation(_)), "{error}"),
        }
    }
    assert_eq!(begun, 5);
}
