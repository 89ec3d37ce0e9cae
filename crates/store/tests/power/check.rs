//! What must be true of a store after power was lost.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};
use scaivault_core::audit::AuditFilter;
use scaivault_core::ports::{
    AssignmentReads, AuditReads, KeyReads, ReadError, RotationReads, Store, Unit,
};
use scaivault_store::{OfflineStore, OpenError, SqliteStore};
use scaivault_testkit::store_conformance::samples::{audit, key, tenant};

use crate::disk::Image;
use crate::expect::{Expect, Tables, tables, trail, write};
use crate::plan::{Claimed, Plan, Step, claims_tenant};
use crate::support::{FILE, mac, open, scratch};
use crate::workload::Remark;

/// What the recorded processes had said when power was lost.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    begun: BTreeSet<usize>,
    /// So many first units must be there.
    pub(crate) units: usize,
    claims: BTreeSet<usize>,
    pub(crate) keys: usize,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// The store does not open.
    Closed,
    /// The audit chain does not start, or does not verify.
    Chain,
    /// The database is damaged.
    Damaged,
    /// Something answered is gone.
    Lost,
    /// There is something that no whole number of units makes.
    InPart,
    /// It does not go on.
    Stuck,
}

pub(crate) type Finding = (Wrong, String);

impl Said {
    /// So many units and keys were answered, and all were begun.
    pub(crate) fn these(units: usize, keys: usize, plan: &Plan) -> Self {
        Self {
            begun: (0..plan.units.len()).collect(),
            units,
            claims: BTreeSet::new(),
            keys,
        }
    }

    pub(crate) fn hear(&mut self, remark: Remark, expect: &Expect) {
        let place = |unit: usize| expect.place.get(&unit).copied();
        match remark {
            Remark::Begun(Step::Unit(unit)) => {
                self.begun.insert(unit);
            }
            Remark::Answered(Step::Unit(unit)) => {
                let at = place(unit).unwrap_or_else(|| panic!("unit {unit} is not on the trail"));
                self.units = self.units.max(at + 1);
            }
            Remark::Refused(Step::Unit(unit)) => {
                assert_eq!(place(unit), None, "unit {unit} was refused");
            }
            Remark::Answered(Step::Claim(claim)) => {
                self.claims.insert(claim);
            }
            Remark::Answered(Step::Key(at)) => self.keys = self.keys.max(at + 1),
            Remark::Found(units) => self.units = self.units.max(units),
            Remark::Begun(_) | Remark::Refused(_) => {}
        }
    }
}

/// Opens the image as the server does, and looks at everything; first from `outside`, too, on
/// request. Returns how many units are there.
pub(crate) async fn check(
    (image, outside): (&Image, bool),
    said: &Said,
    plan: &Plan,
    expect: &Expect,
) -> Result<usize, Finding> {
    let place = scratch();
    write(image, place.path());
    let file = place.path().join(FILE);
    if outside {
        from_outside(&file, said)?;
    }
    let store = open(place.path()).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        (Wrong::Closed, format!("{error}: {cause:?}"))
    })?;
    let started = store.start_audit(mac()).await;
    started.map_err(|error| (Wrong::Chain, error.to_string()))?;
    let conn = connect(&file)?;
    sound(&conn)?;
    let units = verified(&store).await?;
    let there = trail(&store).await.map_err(|error| (Wrong::Chain, error))?;
    if there.len() != units || there[..] != expect.order[..units.min(expect.order.len())] {
        return Err((
            Wrong::InPart,
            format!("not the order of the run: {there:?}"),
        ));
    }
    if units < said.units {
        let lost = &expect.order[units..said.units];
        return Err((Wrong::Lost, format!("answered and gone: units {lost:?}")));
    }
    if let Some(unit) = there.iter().find(|unit| !said.begun.contains(unit)) {
        return Err((Wrong::InPart, format!("unit {unit} was never begun")));
    }
    whole(&conn, &expect.tables[units])?;
    keys(&store, said, plan).await?;
    claims((&store, &conn), said, plan, expect, units).await?;
    drop(conn);
    goes_on(store, &file, units).await?;
    Ok(units)
}

/// What the audit trail's verification by hand says before the store was opened.
fn from_outside(file: &Path, said: &Said) -> Result<(), Finding> {
    let chain = |text: String| Err((Wrong::Chain, format!("from outside: {text}")));
    let half_made = said.units == 0 && said.keys == 0;
    let store = match OfflineStore::open(file) {
        Ok(store) => store,
        // Power was lost while the store was made.
        Err(OpenError::Older { .. }) if half_made => return Ok(()),
        // The store itself tells whether there should be something.
        Err(OpenError::File(..)) => return Ok(()),
        Err(error) => return chain(error.to_string()),
    };
    match store.audit_verify(Some(&*mac())) {
        Ok(report) if report.first_bad.is_none() => Ok(()),
        // The tables are there, the chain has no name yet.
        Err(ReadError::Undecodable { table, .. }) if half_made && table == "store_head" => Ok(()),
        other => chain(format!("{other:?}")),
    }
}

/// The database's own check.
fn sound(conn: &Connection) -> Result<(), Finding> {
    let said = conn.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    match said {
        Ok(text) if text == "ok" => Ok(()),
        other => Err((Wrong::Damaged, format!("{other:?}"))),
    }
}

fn connect(file: &Path) -> Result<Connection, Finding> {
    Connection::open(file).map_err(|error| (Wrong::Damaged, error.to_string()))
}

/// How many rows the chain has, each of them good.
async fn verified(store: &SqliteStore) -> Result<usize, Finding> {
    let report = store
        .audit_verify()
        .await
        .map_err(|error| (Wrong::Chain, error.to_string()))?;
    match report.first_bad {
        None => Ok(usize::try_from(report.rows).unwrap()),
        Some(bad) => Err((Wrong::Chain, format!("{bad:?}"))),
    }
}

/// Every table is as the units on the trail make it.
fn whole(conn: &Connection, expected: &Tables) -> Result<(), Finding> {
    let found = tables(conn).map_err(|error| (Wrong::Damaged, error.to_string()))?;
    let names: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let other: Vec<String> = names
        .into_iter()
        .filter(|name| found.get(*name) != expected.get(*name))
        .map(|name| {
            format!(
                "{name}: {:?}, not {:?}",
                found.get(name),
                expected.get(name)
            )
        })
        .collect();
    match other.is_empty() {
        true => Ok(()),
        false => Err((Wrong::InPart, other.join("; "))),
    }
}

/// The keys are the first so many of the run.
async fn keys(store: &SqliteStore, said: &Said, plan: &Plan) -> Result<(), Finding> {
    let mut found = store
        .key_list()
        .await
        .map_err(|error| (Wrong::Damaged, error.to_string()))?;
    found.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    if found.len() < said.keys {
        return Err((Wrong::Lost, format!("{} keys", found.len())));
    }
    let all: Vec<_> = (0..plan.keys).map(|n| key(&n.to_string())).collect();
    match all.starts_with(&found) {
        true => Ok(()),
        false => Err((Wrong::InPart, format!("keys {found:?}"))),
    }
}

/// A claimed row has the number of its first unit, of the claim, or of its holder's unit; and the
/// claim, once it was handed out.
async fn claims(
    (store, conn): (&SqliteStore, &Connection),
    said: &Said,
    plan: &Plan,
    expect: &Expect,
    units: usize,
) -> Result<(), Finding> {
    let owner = claims_tenant();
    let there = |unit: &usize| expect.place.get(unit).is_some_and(|at| *at < units);
    for (at, (row, first, last)) in plan.claims.iter().enumerate() {
        let unreadable = |error: ReadError| (Wrong::Damaged, error.to_string());
        let (revision, table, name) = match row {
            Claimed::Assignment(row) => {
                let found = store.assignment_find(&owner, &row.path).await;
                let found = found.map_err(unreadable)?.map(|found| found.revision);
                (found, "assignment WHERE path = ?1", row.path.as_str())
            }
            Claimed::Rotation(row) => {
                let found = store.rotation_find(&owner, &row.id).await;
                let found = found.map_err(unreadable)?.map(|found| found.revision);
                (found, "rotation WHERE id = ?1", row.id.as_str())
            }
        };
        let column = number(conn, &format!("SELECT revision FROM {table}"), name);
        if column != Ok(revision.map(u64::cast_signed)) {
            let text = format!("claim {at}: {revision:?} beside {column:?}");
            return Err((Wrong::InPart, text));
        }
        let handed_out = said.claims.contains(&at);
        let (least, most) = match (there(first), there(last)) {
            (_, true) => (Some(3), Some(3)),
            (true, false) if handed_out => (Some(2), Some(2)),
            (true, false) => (Some(1), Some(2)),
            (false, false) => (None, None),
        };
        if revision < least {
            return Err((Wrong::Lost, format!("claim {at}: {revision:?}")));
        }
        if revision > most {
            return Err((Wrong::InPart, format!("claim {at}: {revision:?}")));
        }
    }
    Ok(())
}

fn number(conn: &Connection, sql: &str, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.query_row(sql, [name], |row| row.get(0)).optional()
}

/// The store takes the next unit, and closes.
async fn goes_on(store: SqliteStore, file: &Path, units: usize) -> Result<(), Finding> {
    let next = Unit::audit_only(audit(&tenant("a"), 0, "user:after", None));
    let stuck = |text: String| (Wrong::Stuck, text);
    let taken = store.commit(next).await;
    taken.map_err(|error| stuck(error.to_string()))?;
    let newest = store.audit_query(&AuditFilter::default(), None, 1).await;
    let newest = newest.map_err(|error| stuck(error.to_string()))?.rows;
    if newest.first().map(|row| row.seq) != Some(units as u64 + 1) {
        return Err(stuck("the next row is not there".to_owned()));
    }
    drop(store);
    sound(&connect(file)?)
}
