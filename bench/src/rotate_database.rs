//! What the engine adds to the statements of a rotation at a database: whole rotations of a
//! PostgreSQL account, two users in turn, against the same statements sent by hand, in turn. The
//! clock is moved by hand, so that no waiting (quiet period, polls) is counted; every commit is
//! synced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use async_trait::async_trait;
use clap::Args;
use scaivault_connectors::Registry;
use scaivault_core::ids::TargetId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AssignmentReads, Clock, Reach, Record, RotationReads, Store, Unit, UnitName,
};
use scaivault_core::rotation::{Assignment, Attached, Phase, Rules, Which};
use scaivault_core::target::{Overlap, Target, Trouble};
use scaivault_core::time::Span;
use scaivault_crypto::SystemEntropy;
use scaivault_engine::default_tenant;
use scaivault_peers::postgresql::Postgresql;
use serde_json::json;
use tokio_postgres::{Client, NoTls};

use crate::engine::Engine;
use crate::ratio::Spread;
use crate::table::Table;

#[derive(Args, Clone)]
pub(crate) struct RotateDatabaseArgs {
    /// Data goes into a new directory in here.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) dir: PathBuf,
    /// Rotations.
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: usize,
}

struct Loopback;

#[async_trait]
impl Reach for Loopback {
    async fn reach(&self, _: &str, port: u16) -> Result<Vec<std::net::SocketAddr>, Trouble> {
        Ok(vec![([127, 0, 0, 1], port).into()])
    }
}

pub(crate) async fn run(args: RotateDatabaseArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &RotateDatabaseArgs) -> Result<Table> {
    let server = Postgresql::start();
    server.sql(
        "CREATE ROLE scaivault LOGIN CREATEROLE PASSWORD 'manager-0';
         GRANT pg_signal_backend, pg_read_all_stats TO scaivault;
         CREATE ROLE app NOLOGIN;
         GRANT app TO scaivault WITH ADMIN OPTION;
         CREATE ROLE app_a LOGIN PASSWORD 'first-0' IN ROLE app;
         CREATE ROLE bare_a LOGIN PASSWORD 'first-0' IN ROLE app;
         CREATE ROLE bare_b LOGIN IN ROLE app;",
    );
    let dir = tempfile::Builder::new()
        .prefix("scaivault-bench-")
        .tempdir_in(&args.dir)?;
    let reach: Arc<dyn Reach> = Arc::new(Loopback);
    let engine = Engine::open(dir.path(), Arc::new(Registry::built_in(&reach))).await?;
    let path = attach(&engine, server.port()).await?;
    let (mut whole, mut bare) = (Vec::new(), Vec::new());
    let mut steps = 0;
    for round in 0..args.rounds {
        let (took, writes) = rotation(&engine, &path).await?;
        whole.push(took.as_secs_f64() * 1e3);
        steps = writes;
        bare.push(statements(server.port(), round).await?.as_secs_f64() * 1e3);
    }
    let ratios: Vec<f64> = whole
        .iter()
        .zip(&bare)
        .map(|(whole, bare)| whole / bare)
        .collect();
    let title = format!(
        "{} rotations of a PostgreSQL account (two users)",
        args.rounds
    );
    let mut table = Table::new(title, &["", "figure"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row(
        "the whole rotation without its waiting, ms",
        Spread::of(whole).show(1),
    );
    row(
        "the bare statements and logins, ms",
        Spread::of(bare).show(1),
    );
    row("ratio", Spread::of(ratios).show(2));
    row(
        "writes of the rotation's row, each synced",
        steps.to_string(),
    );
    Ok(table)
}

async fn attach(engine: &Engine, port: u16) -> Result<SecretPath> {
    let (path, manager) = (
        SecretPath::parse("db/app")?,
        SecretPath::parse("db/manager")?,
    );
    engine
        .write(
            &manager,
            json!({"username": "scaivault", "password": "manager-0"}).to_string(),
        )
        .await?;
    engine
        .write(
            &path,
            json!({"username": "app_a", "password": "first-0"}).to_string(),
        )
        .await?;
    let span = |text| Span::parse(text).map_err(|error| anyhow::anyhow!("{error}"));
    let rules = Rules {
        consumers: Which::Live(span("1h")?),
        quiet_period: span("1s")?,
        poll: span("1s")?,
        ..Rules::default()
    };
    let policy = engine.policy(false, rules).await?;
    let caller = engine.caller();
    engine
        .vault
        .assignment_create(&caller, &policy.id, &path)
        .await?;
    let target = Target {
        id: TargetId::mint(engine.clock.now(), &SystemEntropy),
        tenant: default_tenant(),
        name: "bench".to_owned(),
        description: None,
        connector: "postgresql".to_owned(),
        settings: object(json!({"host": "127.0.0.1", "port": port}))?,
        manager_path: Some(manager),
        created_at: engine.clock.now(),
        updated_at: engine.clock.now(),
        swept_at: None,
        revision: 1,
    };
    let found = engine
        .store
        .assignment_find(&default_tenant(), &path)
        .await?;
    let old = found.context("it was attached")?;
    let attached = Attached {
        target_id: target.id.clone(),
        target_name: target.name.clone(),
        overlap: Overlap::TwoUsers,
        account: object(json!({"accounts": ["app_a", "app_b"], "group": "app"}))?,
        is_manager: false,
    };
    let assignment = Assignment {
        attached: Some(attached),
        revision: old.revision + 1,
        ..old
    };
    let unit = Unit::new(UnitName::TargetWrite)
        .put(Record::Target(target))
        .put(Record::Assignment(assignment));
    Store::commit(&*engine.store, unit).await?;
    Ok(path)
}

fn object(value: serde_json::Value) -> Result<serde_json::Map<String, serde_json::Value>> {
    value.as_object().cloned().context("an object")
}

/// One rotation to its end, a consumer following at once. Answers the time in which something was
/// done, and how often its row was written.
async fn rotation(engine: &Engine, path: &SecretPath) -> Result<(Duration, u64)> {
    let caller = engine.caller();
    let mut worked = Duration::ZERO;
    let begin = Instant::now();
    let opened = engine.vault.secret_rotate(&caller, path).await?;
    worked += begin.elapsed();
    for _ in 0..200 {
        let begin = Instant::now();
        while engine.vault.rotation_run_once().await? > 0 {}
        worked += begin.elapsed();
        let tenant = default_tenant();
        let found = engine.store.rotation_find(&tenant, &opened.id).await?;
        let rotation = found.context("it was opened")?;
        if rotation.phase == Phase::Completed {
            return Ok((worked, rotation.revision));
        }
        anyhow::ensure!(
            rotation.phase != Phase::Parked,
            "parked: {:?}",
            rotation.trouble
        );
        engine.vault.secret_read(&caller, path, None).await?;
        engine.clock.advance(Duration::from_secs(1));
    }
    anyhow::bail!("the rotation does not end")
}

/// What the rotation tells the database, by hand: a new password, a login with it, two looks at
/// the sessions, the old account locked, its sessions ended, and two logins that prove it.
async fn statements(port: u16, round: usize) -> Result<Duration> {
    let (new, old) = match round % 2 {
        0 => ("bare_b", "bare_a"),
        _ => ("bare_a", "bare_b"),
    };
    let (password, before) = (
        format!("pw-{round}"),
        format!("pw-{}", round.wrapping_sub(1)),
    );
    let begin = Instant::now();
    let manager = log_in(port, "scaivault", "manager-0").await?;
    manager
        .batch_execute(&format!(
            "BEGIN; ALTER ROLE {new} LOGIN PASSWORD '{password}'; COMMIT"
        ))
        .await?;
    drop(manager);
    drop(log_in(port, new, &password).await?);
    for _ in 0..2 {
        let manager = log_in(port, "scaivault", "manager-0").await?;
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
        manager.query_one(count, &[&old]).await?;
    }
    let manager = log_in(port, "scaivault", "manager-0").await?;
    manager
        .batch_execute(&format!(
            "BEGIN; ALTER ROLE {old} NOLOGIN PASSWORD NULL; COMMIT"
        ))
        .await?;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    manager.query(end, &[&old]).await?;
    drop(manager);
    anyhow::ensure!(
        log_in(port, old, &before).await.is_err(),
        "the old one is refused"
    );
    drop(log_in(port, new, &password).await?);
    Ok(begin.elapsed())
}

async fn log_in(port: u16, user: &str, password: &str) -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).dbname("postgres");
    let (client, connection) = config.user(user).password(password).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
