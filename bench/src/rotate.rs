//! Rotations of the engine alone: generated values, all due at the same moment, each durable and
//! audited step by step (opened; candidate sealed; made current).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use scaivault_connectors::Registry;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{RotationFilter, RotationReads};
use scaivault_core::rotation::{Phase, Rules};
use scaivault_engine::default_tenant;
use tokio::task::JoinSet;

use crate::engine::Engine;
use crate::ratio::Spread;
use crate::table::Table;

#[derive(Args, Clone)]
pub(crate) struct RotateArgs {
    /// Data goes into a new directory in here.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) dir: PathBuf,
    /// Secrets that are due at once.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) secrets: usize,
    /// Times they become due.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

/// Secrets written side by side.
const SIDE_BY_SIDE: usize = 64;
/// From the end of the grace period to the next rotation, and over.
const DUE: Duration = Duration::from_secs(90 * 86_400);
/// The grace period, and over.
const CLOSED: Duration = Duration::from_secs(3 * 86_400);

pub(crate) async fn run(args: RotateArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &RotateArgs) -> Result<Table> {
    let dir = tempfile::Builder::new()
        .prefix("scaivault-bench-")
        .tempdir_in(&args.dir)?;
    let engine = Arc::new(Engine::open(dir.path(), Arc::new(Registry::of(Vec::new()))).await?);
    let policy = engine.policy(true, Rules::default()).await?;
    let mut filling = JoinSet::new();
    for first in 0..SIDE_BY_SIDE.min(args.secrets) {
        let (engine, policy, secrets) = (engine.clone(), policy.id.clone(), args.secrets);
        filling.spawn(async move {
            for number in (first..secrets).step_by(SIDE_BY_SIDE) {
                let path = SecretPath::parse(&format!("apps/{:02}/key-{number}", number % 100))?;
                engine
                    .write(&path, format!(r#"{{"value":"first-{number}"}}"#))
                    .await?;
                let caller = engine.caller();
                engine
                    .vault
                    .assignment_create(&caller, &policy, &path)
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = filling.join_next().await {
        done??;
    }
    let (mut seconds, mut rates) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        engine.clock.advance(DUE);
        let begin = Instant::now();
        while engine.vault.schedule_run_once().await? > 0 {}
        let took = begin.elapsed().as_secs_f64();
        let draining = RotationFilter {
            phases: vec![Phase::Draining],
            ..RotationFilter::default()
        };
        let most = args.secrets + 1;
        let tenant = default_tenant();
        let rotated = engine
            .store
            .rotation_list(&tenant, &draining, None, most)
            .await?
            .len();
        anyhow::ensure!(
            rotated == args.secrets,
            "{rotated} of {} rotated",
            args.secrets
        );
        seconds.push(took);
        rates.push(rotated as f64 / took);
        // The replaced versions close; that is not what is measured.
        engine.clock.advance(CLOSED);
        while engine.vault.schedule_run_once().await? > 0 {}
    }
    let title = format!("{} generated values due at once", args.secrets);
    let mut table = Table::new(title, &["", "figure"]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("until the last is current, s", Spread::of(seconds).show(1));
    row("rotations per second", Spread::of(rates).show(0));
    Ok(table)
}
