//! A server whose instructions are counted: the real binary under valgrind's callgrind. Counts do
//! not depend on what else the machine does, so a per cent is seen that no clock would show.

use std::collections::HashMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::server::{Place, Server};

/// What memory is asked for by: from the server's allocator, and from the C library's by what is
/// written in C.
const ALLOCATIONS: [&str; 8] = [
    "mi_malloc_aligned",
    "mi_zalloc_aligned",
    "mi_realloc_aligned",
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
];

/// The server, and where its counts are written.
pub(crate) struct Counted {
    pub(crate) server: Server,
    directory: PathBuf,
    dumps: u32,
}

/// What one thread, or several, did between two looks.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) instructions: u64,
    pub(crate) allocations: u64,
    /// Steps of SQL statements.
    pub(crate) steps: u64,
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, more: Self) {
        self.instructions += more.instructions;
        self.allocations += more.allocations;
        self.steps += more.steps;
    }
}

impl Counted {
    /// Starts `scaivault dev` under callgrind, with one thread for requests; the profiles go into
    /// `directory`. Whatever the processor has beyond what valgrind knows is not used.
    pub(crate) fn start(place: &Place, data: &Path, directory: &Path) -> Result<Self> {
        let valgrind = Command::new("valgrind").arg("--version").output();
        if !valgrind.is_ok_and(|said| said.status.success()) {
            bail!("valgrind is not there: install Debian's package of that name");
        }
        let binary = place.binary()?.canonicalize()?;
        let directory = directory.canonicalize()?;
        let wrapper = directory.join("server");
        let text = format!(
            "#!/bin/sh\n\
             echo $$ > '{0}/pid'\n\
             export TOKIO_WORKER_THREADS=1\n\
             exec valgrind --tool=callgrind --quiet --separate-threads=yes \
             --callgrind-out-file='{0}/counts' --vgdb-prefix='{0}/vgdb' '{1}' \"$@\"\n",
            directory.display(),
            binary.display()
        );
        std::fs::write(&wrapper, text)?;
        std::fs::set_permissions(&wrapper, Permissions::from_mode(0o700))?;
        let place = Place {
            server: Some(wrapper),
            ..place.clone()
        };
        Ok(Self {
            server: Server::scaivault(&place, data)?,
            directory,
            dumps: 0,
        })
    }

    /// Forgets what was counted so far.
    pub(crate) fn zero(&self) -> Result<()> {
        self.tell("zero")
    }

    /// What was counted since the last look, or the last zero, by thread.
    pub(crate) fn look(&mut self) -> Result<Vec<Count>> {
        self.tell("dump")?;
        self.dumps += 1;
        let prefix = format!("counts.{}-", self.dumps);
        let mut counts = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let thread = name.to_str().and_then(|name| name.strip_prefix(&prefix));
            if let Some(thread) = thread.and_then(|text| text.parse::<u32>().ok()) {
                counts.push((thread, parse(&std::fs::read_to_string(entry.path())?)?));
            }
        }
        counts.sort_unstable_by_key(|(thread, _)| *thread);
        Ok(counts.into_iter().map(|(_, count)| count).collect())
    }

    fn tell(&self, what: &str) -> Result<()> {
        let pid = std::fs::read_to_string(self.directory.join("pid"))?;
        let said = Command::new("vgdb")
            .arg(format!("--pid={}", pid.trim()))
            .arg(format!("--vgdb-prefix={}/vgdb", self.directory.display()))
            .arg(what)
            .output()
            .context("vgdb, which comes with valgrind, does not run")?;
        if !said.status.success() {
            let why = String::from_utf8_lossy(&said.stderr);
            bail!("valgrind was not told to {what}: {why}");
        }
        Ok(())
    }
}

/// Reads a profile as callgrind writes it: the sum of all costs is in the line `totals:`, and a
/// call is a line with the callee's name (`cfn=(7) malloc`, later only `cfn=(7)`) followed by one
/// with the number of calls (`calls=12 0`).
fn parse(profile: &str) -> Result<Count> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut count = Count::default();
    let mut callee = "";
    let mut totals = None;
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=").or(line.strip_prefix("cfn=")) {
            let (number, name) = name.split_once(' ').unwrap_or((name, ""));
            if !name.is_empty() {
                names.insert(number, name);
            }
            if line.starts_with('c') {
                callee = names.get(number).copied().unwrap_or_default();
            }
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let calls = calls.split(' ').next().unwrap_or_default();
            let calls: u64 = calls.parse().context("an odd number of calls")?;
            if ALLOCATIONS.contains(&callee) {
                count.allocations += calls;
            } else if callee == "sqlite3_step" {
                count.steps += calls;
            }
        } else if let Some(sum) = line.strip_prefix("totals: ") {
            totals = Some(sum.trim().parse::<u64>().context("odd totals")?);
        }
    }
    count.instructions = totals.context("a profile without totals")?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_summed_by_the_callees_name() {
        let profile = "fn=(1) main\n3 5\ncfn=(2) malloc\ncalls=12 0\n3 400\ncfn=(3) free\n\
                       calls=9 0\n3 90\nfn=(4) other\n9 1\ncfn=(2)\ncalls=30 0\n9 900\n\
                       cfn=(5) calloc\ncalls=1 0\n9 2\ntotals: 1398\n";
        let count = parse(profile).unwrap();
        assert_eq!((count.instructions, count.allocations), (1_398, 43));
        assert_eq!(count.steps, 0);
        assert!(parse("fn=(1) main\n").is_err());
    }
}
