//! How much memory there is: the machine's, or what the control group leaves of it.

use std::path::{Path, PathBuf};

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes this process may use, as far as that can be known.
pub(super) fn available() -> Option<u64> {
    let known = rustix::system::sysinfo();
    let unit = u64::from(known.mem_unit.max(1));
    let machine = known.totalram.saturating_mul(unit);
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Some(limits(Path::new(GROUPS), &own).fold(machine, u64::min))
}

/// The limits of the group and of those it is in. `own` is what `/proc/self/cgroup` says.
fn limits(groups: &Path, own: &str) -> impl Iterator<Item = u64> {
    let named = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let mut next: Option<PathBuf> = Some(groups.join(named.unwrap_or("")));
    let groups = groups.to_owned();
    std::iter::from_fn(move || {
        let here = next.take()?;
        if here != groups && here.starts_with(&groups) {
            next = here.parent().map(Path::to_owned);
        }
        Some(std::fs::read_to_string(here.join("memory.max")).ok())
    })
    // "max", or nothing, where there is no limit.
    .filter_map(|text| text?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_group_counts() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("system.slice/scaivault.service");
        std::fs::create_dir_all(&inner).unwrap();
        let own = "1:cpu:/elsewhere\n0::/system.slice/scaivault.service\n";
        let found = || limits(dir.path(), own).min();
        assert_eq!(found(), None);
        std::fs::write(inner.join("memory.max"), "max\n").unwrap();
        assert_eq!(found(), None);
        std::fs::write(inner.join("../memory.max"), "4000000\n").unwrap();
        assert_eq!(found(), Some(4_000_000));
        std::fs::write(inner.join("memory.max"), "3000000\n").unwrap();
        assert_eq!(found(), Some(3_000_000));
        // A container sees its own group as the root.
        std::fs::write(dir.path().join("memory.max"), "2000000\n").unwrap();
        assert_eq!(limits(dir.path(), "0::/\n").min(), Some(2_000_000));
        assert_eq!(limits(dir.path(), "").min(), Some(2_000_000));
    }
}
