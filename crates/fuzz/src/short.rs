//! A target as an ordinary test: seeds, inputs that once failed, and inputs made of the seeds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::mutate::{Chance, minimised, mutated};
use crate::target::Target;

/// Time of the processor that one input may take, in a build without optimisation.
const INPUT_MAX: Duration = Duration::from_secs(2);
/// What the whole process may come to hold.
const RESIDENT_KIB_MAX: u64 = 1 << 20;

/// Where inputs are kept that once failed.
pub fn regressions(target: &Target) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("regressions").join(target.name)
}

/// Runs a target over its seeds, its regressions and `made` inputs.
///
/// # Panics
/// When a promise does not hold, with the shortest input found for which it does not.
pub fn run(target: &Target, made: usize) {
    let mut seeds = (target.seeds)();
    assert!(!seeds.is_empty(), "{}: no seed", target.name);
    seeds.extend(kept(target));
    for seed in &seeds {
        one(target, seed);
    }
    let mut chance = Chance::new(u64::try_from(target.name.len()).unwrap_or(0));
    for _ in 0..made {
        one(target, &mutated(&mut chance, &seeds, target.words));
    }
    let most = resident_kib_max();
    assert!(
        most <= RESIDENT_KIB_MAX,
        "{}: {most} KiB were resident",
        target.name
    );
}

/// The inputs kept of a target, in the order of their names.
fn kept(target: &Target) -> Vec<Vec<u8>> {
    let Ok(found) = std::fs::read_dir(regressions(target)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
        .iter()
        .filter_map(|file| std::fs::read(file).ok())
        .collect()
}

fn one(target: &Target, input: &[u8]) {
    let before = used();
    if fails(target, input) {
        let least = minimised(input, &|shorter| fails(target, shorter));
        panic!(
            "{}: a promise does not hold for b\"{}\"",
            target.name,
            least.escape_ascii()
        );
    }
    let took = used().saturating_sub(before);
    assert!(
        took <= INPUT_MAX,
        "{}: {took:?} for b\"{}\"",
        target.name,
        input.escape_ascii()
    );
}

/// Whether a promise does not hold for the input.
pub fn fails(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err()
}

/// Time of the processor that this thread has had: what others do at the same time is not in it.
fn used() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let secs = u64::try_from(now.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// The most that was resident of this process.
fn resident_kib_max() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}
