//! Finding what is due: the scheduler's own calls on a store with few schedules and on one with
//! many, in turn. As much is due in both; the rest waits for later.
//!
//! Through the store as a library, so that its calls are timed and not a server around them. The
//! files are real ones: a claim is synced before it is handed out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use scaivault_core::identity::Identity;
use scaivault_core::ids::{RotationPolicyId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{AssignmentReads, Claims, Record, Store, Unit, UnitName};
use scaivault_core::rotation::Assignment;
use scaivault_core::time::Timestamp;
use scaivault_crypto::SystemEntropy;
use scaivault_store::{SqliteOptions, SqliteStore};
use tokio::task::JoinSet;

use crate::ratio::Spread;
use crate::table::Table;

#[derive(Args, Clone)]
pub(crate) struct DueArgs {
    /// Data goes into a new directory in here.
    #[arg(long, default_value_os_t = std::env::temp_dir())]
    pub(crate) dir: PathBuf,
    /// Schedules in the small store.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) few: usize,
    /// Schedules in the large one.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) many: usize,
    /// Slices claimed in each.
    #[arg(long, default_value_t = 30)]
    pub(crate) rounds: usize,
}

/// What the scheduler claims at a time, and for how long.
const SLICE: usize = 64;
const HOLD: Duration = Duration::from_secs(60);

/// Schedules written in one unit.
const UNIT: usize = 500;

/// The time at which all this happens.
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

pub(crate) async fn run(args: DueArgs) -> Result<()> {
    println!("{}", measure(&args).await?);
    Ok(())
}

pub(crate) async fn measure(args: &DueArgs) -> Result<Table> {
    let due = args.rounds * SLICE;
    let made = || {
        tempfile::Builder::new()
            .prefix("scaivault-bench-")
            .tempdir_in(&args.dir)
    };
    let (few_dir, many_dir) = (made()?, made()?);
    let few = filled(few_dir.path(), args.few, due).await?;
    let many = filled(many_dir.path(), args.many, due).await?;
    let (mut of_few, mut of_many) = (Times::default(), Times::default());
    for _ in 0..args.rounds {
        of_few.round(&few).await?;
        of_many.round(&many).await?;
    }
    let title = format!(
        "Due work among {} and {} schedules, {due} due",
        args.few, args.many
    );
    let columns = ["", "among few, µs", "among many, µs", "ratio of medians"];
    let mut table = Table::new(title, &columns);
    let mut row = |name: &str, few: &[f64], many: &[f64]| {
        let (few, many) = (Spread::of(few.to_vec()), Spread::of(many.to_vec()));
        let ratio = format!("{:.2}", many.median / few.median);
        table.row([name.to_owned(), few.show(0), many.show(0), ratio]);
    };
    row("when is the next work due", &of_few.next, &of_many.next);
    row("list the 64 longest due", &of_few.list, &of_many.list);
    row("claim them, durably", &of_few.claim, &of_many.claim);
    Ok(table)
}

/// In µs.
#[derive(Default)]
struct Times {
    next: Vec<f64>,
    list: Vec<f64>,
    claim: Vec<f64>,
}

impl Times {
    async fn round(&mut self, store: &SqliteStore) -> Result<()> {
        let begin = Instant::now();
        anyhow::ensure!(
            store.next_work().await?.assignment_at.is_some(),
            "something is due"
        );
        self.next.push(micros_since(begin));
        let begin = Instant::now();
        let found = store.assignment_due(&tenant()?, NOW, None, SLICE).await?;
        self.list.push(micros_since(begin));
        anyhow::ensure!(found.len() == SLICE, "{} of {SLICE} found", found.len());
        let begin = Instant::now();
        let claimed = store.assignment_claim(NOW, HOLD, SLICE).await?;
        self.claim.push(micros_since(begin));
        anyhow::ensure!(
            claimed.len() == SLICE,
            "{} of {SLICE} claimed",
            claimed.len()
        );
        Ok(())
    }
}

fn micros_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e6
}

fn tenant() -> Result<TenantId> {
    Ok(TenantId::parse("tnt_default")?)
}

/// A store with `count` schedules, of which `due` are due, spread among the others.
async fn filled(dir: &Path, count: usize, due: usize) -> Result<Arc<SqliteStore>> {
    let options = SqliteOptions::file(dir.join("scaivault.db"));
    let store = Arc::new(SqliteStore::open(options, &SystemEntropy)?);
    let every = (count / due).max(1);
    let mut writing = JoinSet::new();
    for first in (0..count).step_by(UNIT) {
        let mut unit = Unit::new(UnitName::AssignmentWrite);
        for number in first..count.min(first + UNIT) {
            let is_due = number % every == 0 && number / every < due;
            unit = unit.put(Record::Assignment(assignment(number, is_due)?));
        }
        let store = Arc::clone(&store);
        writing.spawn(async move { store.commit(unit).await });
        // A few at a time: the store refuses a caller who waits for too long.
        if writing.len() >= 4
            && let Some(done) = writing.join_next().await
        {
            done??;
        }
    }
    while let Some(done) = writing.join_next().await {
        done??;
    }
    Ok(store)
}

/// Due within the last hour, or not for between a day and 90.
fn assignment(number: usize, is_due: bool) -> Result<Assignment> {
    // Scattered: rows of one time do not lie side by side.
    let scattered = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let at = if is_due {
        NOW.as_secs() - (scattered % 3_600) as i64 - 1
    } else {
        NOW.as_secs() + 86_400 + (scattered % (89 * 86_400)) as i64
    };
    let at = Timestamp::from_secs(at);
    Ok(Assignment {
        attached: None,
        turn: None,
        probe: scaivault_core::rotation::Probe::default(),
        tenant: tenant()?,
        path: SecretPath::parse(&format!(
            "apps/service-{:03}/database-{number:07}",
            number % 100
        ))?,
        policy_id: RotationPolicyId::parse("rot_benchmark")?,
        assigned_at: Timestamp::from_secs(NOW.as_secs() - 90 * 86_400),
        assigned_by: Identity::system("bench"),
        last_rotated_at: None,
        next_rotation_at: at,
        warned_s: None,
        open_rotation: None,
        wake_at: Some(at),
        claimed_until: None,
        revision: 1,
    })
}
