//! What all this ran on.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::ratio::Spread;

const SYNCS: usize = 64;

/// One line: processors, memory, kernel, and what a sync of the disk takes.
pub(crate) fn describe(dir: &Path) -> Result<String> {
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_once(':')
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let model = field("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism()?;
    let memory = field("/proc/meminfo", "MemTotal");
    let kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(f64::NAN);
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?");
    Ok(format!(
        "Machine: {cores} cores ({model}), {:.0} GiB, Linux {release}; a 4 KiB write and fdatasync \
         takes {} ms; load average when it began: {load}.",
        kib / 1_048_576.0,
        sync_ms(dir)?.show(2),
    ))
}

fn sync_ms(dir: &Path) -> Result<Spread> {
    let file = dir.join("sync-probe");
    let mut probe = OpenOptions::new().create(true).append(true).open(&file)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begin = Instant::now();
        probe.write_all(&[7; 4_096])?;
        probe.sync_data()?;
        times.push(begin.elapsed().as_secs_f64() * 1_000.0);
    }
    fs::remove_file(file)?;
    Ok(Spread::of(times))
}
