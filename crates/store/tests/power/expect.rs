//! What a store must hold: after the first so many units of the run, every table as a store has it
//! that did just these units, one after another.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::AuditReads;
use scaivault_store::SqliteStore;

use crate::disk::Image;
use crate::plan::{Plan, Step, claims_tenant};
use crate::record::Recording;
use crate::support::{FILE, mac, open, scratch};
use crate::workload::do_step;

/// Of the audit trail the store's own verification tells; keys and claimed rows are looked at one
/// by one, as no audit row tells their place among the units.
const ELSEWHERE: [&str; 4] = ["audit_key", "audit_segment", "keyring", "store_head"];

/// How many rows each table has, and a hash of them.
pub(crate) type Tables = BTreeMap<String, (usize, u64)>;

#[derive(Debug)]
pub(crate) struct Expect {
    /// The units in the order of the audit trail.
    pub(crate) order: Vec<usize>,
    /// The place of a unit in the order.
    pub(crate) place: HashMap<usize, usize>,
    /// The tables after the first so many units.
    pub(crate) tables: Vec<Tables>,
}

pub(crate) fn write(image: &Image, directory: &Path) {
    for (name, content) in image {
        std::fs::write(directory.join(name), content).unwrap();
    }
}

/// Which units the audit trail tells of, in its order.
pub(crate) async fn trail(store: &SqliteStore) -> Result<Vec<usize>, String> {
    let page = store
        .audit_query(&AuditFilter::default(), None, 100_000)
        .await
        .map_err(|error| error.to_string())?;
    page.rows
        .iter()
        .rev()
        .map(|stored| {
            let who = &stored.row.identity_id;
            let number = who.strip_prefix("user:u").and_then(|n| n.parse().ok());
            number.ok_or_else(|| format!("a row by {who}"))
        })
        .collect()
}

/// Every table of a database, as far as units make it.
pub(crate) fn tables(conn: &Connection) -> rusqlite::Result<Tables> {
    let mut names = conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names = names.query_map([], |row| row.get::<_, String>(0))?;
    let mut tables = Tables::new();
    for name in names {
        let name = name?;
        if !ELSEWHERE.contains(&name.as_str()) && !name.starts_with("sqlite_stat") {
            let rows = rows(conn, &name)?;
            tables.insert(name, rows);
        }
    }
    Ok(tables)
}

fn rows(conn: &Connection, table: &str) -> rusqlite::Result<(usize, u64)> {
    let mut all = conn.prepare(&format!("SELECT * FROM {table}"))?;
    let tenant = all
        .column_names()
        .into_iter()
        .position(|name| name == "tenant");
    let columns = all.column_count();
    let claimed = claims_tenant();
    let mut rows = all.query([])?;
    let (mut count, mut hasher) = (0, DefaultHasher::new());
    while let Some(row) = rows.next()? {
        if let Some(at) = tenant
            && row.get_ref(at)?.as_str()? == claimed.as_str()
        {
            continue;
        }
        count += 1;
        for at in 0..columns {
            match row.get_ref(at)? {
                ValueRef::Null => 0u8.hash(&mut hasher),
                ValueRef::Integer(number) => (1u8, number).hash(&mut hasher),
                ValueRef::Real(number) => (2u8, number.to_bits()).hash(&mut hasher),
                ValueRef::Text(bytes) => (3u8, bytes).hash(&mut hasher),
                ValueRef::Blob(bytes) => (4u8, bytes).hash(&mut hasher),
            }
        }
    }
    Ok((count, hasher.finish()))
}

impl Expect {
    /// From what the recorded processes left on the disk: no power was lost there.
    pub(crate) fn new(recording: &Recording) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let last = scratch();
            write(&recording.last, last.path());
            let store = open(last.path()).unwrap();
            store.start_audit(mac()).await.unwrap();
            let order = trail(&store).await.unwrap();
            drop(store);
            let tables_of = replay(&recording.plan, &order).await;
            let ended = Connection::open(last.path().join(FILE)).unwrap();
            let ended = tables(&ended).unwrap();
            assert_eq!(tables_of.last(), Some(&ended), "the run as it ended");
            let place = order.iter().enumerate().map(|(at, unit)| (*unit, at));
            Self {
                place: place.collect(),
                order,
                tables: tables_of,
            }
        })
    }
}

/// The units, one after another.
async fn replay(plan: &Plan, order: &[usize]) -> Vec<Tables> {
    let place = scratch();
    let store = open(place.path()).unwrap();
    store.start_audit(mac()).await.unwrap();
    let conn = Connection::open(place.path().join(FILE)).unwrap();
    let mut all = vec![tables(&conn).unwrap()];
    for unit in order {
        if let Some(claim) = plan.units[*unit].after_claim {
            do_step(plan, &store, Step::Claim(claim)).await;
        }
        assert!(!do_step(plan, &store, Step::Unit(*unit)).await);
        all.push(tables(&conn).unwrap());
    }
    all
}
