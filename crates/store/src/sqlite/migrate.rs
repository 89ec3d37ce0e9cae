//! Schema revisions. `PRAGMA user_version` holds the file's revision; each migration runs in one
//! transaction with the number it makes, so a crash leaves a whole revision.
//!
//! A new migration is one file in `migrations/` and one line in [`MIGRATIONS`]. Never change one
//! that was released. Expand first; contract in a later release.

use std::path::Path;

use rusqlite::Connection;

use crate::options::OpenError;

/// In order; the first makes revision 1.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_initial.sql"),
    include_str!("migrations/0002_targets.sql"),
    include_str!("migrations/0003_runs.sql"),
    include_str!("migrations/0004_figures.sql"),
    include_str!("migrations/0005_guards.sql"),
    include_str!("migrations/0006_debts.sql"),
    include_str!("migrations/0007_past_chains.sql"),
    include_str!("migrations/0008_notices.sql"),
    include_str!("migrations/0009_secret_policies.sql"),
    include_str!("migrations/0010_tenancy.sql"),
    include_str!("migrations/0011_lanes.sql"),
    include_str!("migrations/0012_identities.sql"),
    include_str!("migrations/0013_audit_anchors.sql"),
    include_str!("migrations/0014_dynamic.sql"),
    include_str!("migrations/0015_audit_forward.sql"),
    include_str!("migrations/0016_row_codes.sql"),
    include_str!("migrations/0017_vault_api.sql"),
    include_str!("migrations/0018_transit.sql"),
    include_str!("migrations/0019_lease_indexes.sql"),
];

/// Marks a database file as ours: `ScVt`.
const APPLICATION_ID: i64 = 0x5363_5674;

/// The newest revision known here.
pub(crate) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// Brings the schema to the newest revision. Does nothing when it is there.
pub(crate) fn migrate(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    let found = check(conn, path)?;
    for (revision, sql) in (1..)
        .zip(MIGRATIONS)
        .skip_while(|(revision, _)| *revision <= found)
    {
        let script = format!(
            "BEGIN IMMEDIATE;\n{sql}\nPRAGMA application_id = {APPLICATION_ID};
             PRAGMA user_version = {revision};\nCOMMIT;"
        );
        conn.execute_batch(&script).map_err(|error| {
            // A script that failed midway leaves its transaction open.
            if !conn.is_autocommit() {
                let _ = conn.execute_batch("ROLLBACK");
            }
            OpenError::Engine(error)
        })?;
    }
    Ok(())
}

/// The file's revision, once it is sure that this program may use the file.
pub(crate) fn check(conn: &Connection, path: &Path) -> Result<i64, OpenError> {
    let number = |pragma: &str| -> Result<i64, OpenError> {
        conn.pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(|error| OpenError::engine(path, error))
    };
    let (found, application) = (number("user_version")?, number("application_id")?);
    let empty = number("page_count")? == 0;
    if !empty && application != APPLICATION_ID && (found, application) != (0, 0) {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    if found > known() {
        return Err(OpenError::Newer {
            found,
            known: known(),
        });
    }
    let tables: i64 = conn
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(OpenError::Engine)?;
    if found == 0 && tables > 0 {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    Ok(found)
}
