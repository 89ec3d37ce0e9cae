//! After the storm: everything that was acknowledged is there, nothing that was refused, every
//! value that left has its row, every rotation came to its end, once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::Api;
use crate::record::{Outcome, Read, Record, Write};
use crate::rotated::Rotated;

/// What a dead worker held comes free by itself; a step at a target may be tried more than once.
const REST_MAX: Duration = Duration::from_secs(240);
/// How long the target may take to answer.
const LET_IN_MAX: Duration = Duration::from_secs(5);

/// What was counted.
#[derive(Default)]
pub(crate) struct Checked {
    pub(crate) versions: usize,
    pub(crate) audited: usize,
    pub(crate) rotations: usize,
    pub(crate) completed: usize,
    pub(crate) rows: u64,
    pub(crate) rested: Duration,
}

impl std::fmt::Display for Checked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} versions are there, {} values have their rows (of {}), {} of {} rotations completed, \
             at rest after {:.1?}",
            self.versions, self.audited, self.rows, self.completed, self.rotations, self.rested,
        )
    }
}

/// Looks at all of it; what is broken is in the record.
pub(crate) async fn check(roots: &[Api], record: &Record, rotated: &Rotated) -> Checked {
    let began = Instant::now();
    rest(&roots[0], record, REST_MAX).await;
    nothing_left(&roots[0], record, rotated, REST_MAX).await;
    Checked {
        rested: began.elapsed(),
        ..faithful(roots, record, rotated).await
    }
}

/// As [`check`], for a vault at rest.
pub(crate) async fn faithful(roots: &[Api], record: &Record, rotated: &Rotated) -> Checked {
    let mut checked = Checked::default();
    let (writes, reads) = record.all();
    let (stored, looked) = stored(roots, &writes).await;
    checked.versions = stored.values().map(BTreeMap::len).sum();
    of_writes(record, &writes, &stored);
    of_reads(record, &reads, &stored);
    let mut answered: Vec<String> = looked;
    answered.extend(reads.iter().map(|read| read.request_id.clone()));
    checked.audited = answered.len();
    audited(&roots[1 % roots.len()], record, &answered).await;
    for root in roots {
        let verified = root.get("/v1/audit/verify").await.ok(200);
        of_trail(record, &verified);
        checked.rows = verified["rows"].as_u64().unwrap_or(0);
    }
    let (rotations, completed) = of_rotations(&roots[0], record, rotated).await;
    (checked.rotations, checked.completed) = (rotations, completed);
    checked
}

/// All chains are whole.
pub(crate) fn of_trail(record: &Record, verified: &Value) {
    if verified["valid"] != true {
        record.broken(format!("the audit trail: {verified}"));
    }
}

/// What is there, by path and version.
pub(crate) type Stored = HashMap<String, BTreeMap<u64, String>>;

/// Every version of every path that was written, read at a node each; and the requests' ids.
async fn stored(roots: &[Api], writes: &[Write]) -> (Stored, Vec<String>) {
    let (mut stored, mut ids) = (Stored::new(), Vec::new());
    let paths: HashSet<&String> = writes.iter().map(|write| &write.path).collect();
    for (number, path) in paths.into_iter().enumerate() {
        let root = &roots[number % roots.len()];
        let list = root.get(&format!("/v1/secrets/{path}/versions")).await;
        if list.status == 404 {
            continue;
        }
        let list = list.ok(200);
        let mut versions = BTreeMap::new();
        for item in list["versions"].as_array().expect("versions") {
            let version = item["version"].as_u64().expect("a number");
            let read = root
                .get(&format!("/v1/secrets/{path}?version={version}"))
                .await;
            ids.push(read.header("x-request-id").to_owned());
            let read = read.ok(200);
            let value = read["data"]["v"].as_str().expect("a value").to_owned();
            versions.insert(version, value);
        }
        stored.insert(path.clone(), versions);
    }
    (stored, ids)
}

/// Each acknowledged write is there, once, as what was answered; no refused one is; no other is;
/// versions have no gap.
pub(crate) fn of_writes(record: &Record, writes: &[Write], stored: &Stored) {
    let nothing = BTreeMap::new();
    let mut known: HashSet<(&str, &str)> = HashSet::new();
    for write in writes {
        let Write {
            path,
            value,
            outcome,
            version,
        } = write;
        known.insert((path, value));
        let versions = stored.get(path).unwrap_or(&nothing);
        let at: Vec<u64> = versions
            .iter()
            .filter(|(_, found)| *found == value)
            .map(|(version, _)| *version)
            .collect();
        let right = match outcome {
            Outcome::Acknowledged => at.as_slice() == version.as_slice(),
            Outcome::Refused => at.is_empty(),
            Outcome::Unknown => at.len() <= 1,
        };
        if !right {
            let what = format!("{path}: {value:?} was {outcome:?} as {version:?}, is at {at:?}");
            record.broken(what);
        }
    }
    for (path, versions) in stored {
        for (version, value) in versions {
            if !known.contains(&(path.as_str(), value.as_str())) {
                record.broken(format!("{path} v{version}: nobody wrote {value:?}"));
            }
        }
        let count = u64::try_from(versions.len()).expect("few");
        if versions.keys().last() != Some(&count) {
            record.broken(format!("{path}: not all of {:?}", versions.keys()));
        }
    }
}

/// Whoever read a version read what is there.
pub(crate) fn of_reads(record: &Record, reads: &[Read], stored: &Stored) {
    let mut rotated: HashMap<(&str, u64), &str> = HashMap::new();
    for read in reads {
        let found = match stored.get(&read.path) {
            Some(versions) => versions.get(&read.version).map(String::as_str),
            // Values made by the vault: whoever read a version read the same.
            None => Some(
                *rotated
                    .entry((&read.path, read.version))
                    .or_insert(read.value.as_str()),
            ),
        };
        if found != Some(read.value.as_str()) {
            let what = format!("{read:?} was answered, {found:?} is there");
            record.broken(what);
        }
    }
}

/// Every answer with a value has its row.
async fn audited(root: &Api, record: &Record, answered: &[String]) {
    let mut rows: HashSet<String> = HashSet::new();
    let mut cursor = String::new();
    loop {
        let page = format!("/v1/audit/logs?action=read&success=true&limit=1000{cursor}");
        let page = root.get(&page).await.ok(200);
        for row in page["logs"].as_array().expect("logs") {
            // What the vault reads for itself is no request.
            if let Some(id) = row["request_id"].as_str() {
                rows.insert(id.to_owned());
            }
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let missing = answered.iter().filter(|id| !rows.contains(*id));
    let missing: Vec<_> = missing.collect();
    if !missing.is_empty() {
        let what = format!("{} values without a row: {:?}", missing.len(), missing[0]);
        record.broken(what);
    }
}

/// All rotations, newest first.
async fn all_rotations(root: &Api) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = root.get(&format!("/v1/rotations?limit=100{cursor}")).await;
        let page = page.ok(200);
        let items = page["data"].as_array().or(page["rotations"].as_array());
        all.extend(items.expect("rotations").iter().cloned());
        match page["cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn ended(rotation: &Value) -> bool {
    let phase = rotation["phase"].as_str().unwrap_or_default();
    matches!(phase, "completed" | "rolled_back" | "abandoned")
}

/// Waits until every rotation has ended, so long at most.
pub(crate) async fn rest(root: &Api, record: &Record, within: Duration) {
    let began = Instant::now();
    loop {
        let all = all_rotations(root).await;
        let open: Vec<_> = all.iter().filter(|one| !ended(one)).collect();
        if open.is_empty() {
            break;
        }
        for parked in open.iter().filter(|one| one["phase"] == "parked") {
            let id = parked["id"].as_str().expect("an id");
            root.post_empty(&format!("/v1/rotations/{id}/resume")).await;
        }
        if began.elapsed() > within {
            record.broken(format!("{} rotations never end: {:#}", open.len(), open[0]));
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Waits until the service holds the keys readers have and no more, so long at most.
pub(crate) async fn nothing_left(root: &Api, record: &Record, rotated: &Rotated, within: Duration) {
    let began = Instant::now();
    let mut wanted = BTreeMap::new();
    for path in &rotated.key_paths {
        let read = root.get(&format!("/v1/secrets/{path}")).await.ok(200);
        let key = read["data"]["api_key"].as_str().expect("a key");
        wanted.insert(key.to_owned(), path.clone());
    }
    let only_those = || {
        let living = rotated.keys.living();
        living.keys().eq(wanted.keys()).then_some(())
    };
    while only_those().is_none() {
        if began.elapsed() > within {
            let living = rotated.keys.living();
            record.broken(format!("keys of {wanted:?} are held, {living:?} live"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// None is lost, none was done twice, and what readers get is let in.
async fn of_rotations(root: &Api, record: &Record, rotated: &Rotated) -> (usize, usize) {
    let all = all_rotations(root).await;
    let known: HashSet<&str> = all.iter().filter_map(|one| one["id"].as_str()).collect();
    let told = rotated.told.lock().map(|told| told.clone());
    let told = told.expect("nobody panics holding it");
    for id in told.iter().filter(|id| !known.contains(id.as_str())) {
        record.broken(format!("rotation {id} is lost"));
    }
    let twice = rotated.keys.minted_twice();
    if !twice.is_empty() {
        record.broken(format!("minted twice: {twice:?}"));
    }
    for path in rotated.paths() {
        let read = root.get(&format!("/v1/secrets/{path}")).await.ok(200);
        let current = read["version"].as_u64().expect("a version");
        of_versions(record, &path, &all, current);
        let began = Instant::now();
        while !rotated.lets_in(&path, &read["data"]).await {
            if began.elapsed() > LET_IN_MAX {
                record.broken(format!("{path}: v{current} is not let in"));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let completed = all.iter().filter(|one| one["phase"] == "completed").count();
    (all.len(), completed)
}

/// Each rotation that readers got a version of made another one, and they have the last.
pub(crate) fn of_versions(record: &Record, path: &str, rotations: &[Value], current: u64) {
    let mut versions: Vec<u64> = rotations
        .iter()
        .filter(|one| one["secret_path"] == path && !one["promoted_at"].is_null())
        .filter_map(|one| one["new_version"].as_u64())
        .collect();
    versions.sort_unstable();
    let count = versions.len();
    versions.dedup();
    if versions.len() != count {
        record.broken(format!("{path}: two rotations made one version"));
    }
    if versions.last().is_some_and(|last| *last != current) {
        let what = format!("{path}: v{current} is of no rotation: {versions:?}");
        record.broken(what);
    }
}
