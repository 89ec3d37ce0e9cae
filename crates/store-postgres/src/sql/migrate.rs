//! Migrations. They only expand: a table, a column that may be missing, an index. So nodes of two
//! neighbouring releases run beside each other; what the older one no longer needs is removed one
//! release later, by a migration that says from which revision on a program can work with it.

use crate::conn::Conn;
use crate::options::OpenError;
use crate::refusal::text;

struct Migration {
    sql: &'static str,
    /// A program that knows this revision works with the result.
    needs: i64,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        sql: include_str!("migrations/0001_initial.sql"),
        needs: 1,
    },
    // A node that does not tell what it changes may not work beside one that relies on it.
    Migration {
        sql: include_str!("migrations/0002_changes.sql"),
        needs: 2,
    },
    Migration {
        sql: include_str!("migrations/0003_moved_by.sql"),
        needs: 2,
    },
    // A node that does not know what was told of a secret's end would have it told again.
    Migration {
        sql: include_str!("migrations/0004_notices.sql"),
        needs: 4,
    },
    // A node that does not know recipes would drop them from the rows it rewrites, and the next
    // rotation would make a value of another shape.
    Migration {
        sql: include_str!("migrations/0005_secret_policies.sql"),
        needs: 5,
    },
    // A node that does not know tenants would serve suspended ones, and their work.
    Migration {
        sql: include_str!("migrations/0006_tenancy.sql"),
        needs: 6,
    },
    // A node that does not know lanes would send out of order, and drop them from rows it rewrites.
    Migration {
        sql: include_str!("migrations/0007_lanes.sql"),
        needs: 7,
    },
    // A node that does not know what bounds a token would take used-up ones, and drop the bounds
    // from rows it rewrites.
    Migration {
        sql: include_str!("migrations/0008_identities.sql"),
        needs: 8,
    },
    // A node that does not know anchors would call a chain broken whose front retention removed.
    Migration {
        sql: include_str!("migrations/0009_audit_anchors.sql"),
        needs: 9,
    },
    // A node that does not know leases leaves them alone.
    Migration {
        sql: include_str!("migrations/0010_dynamic.sql"),
        needs: 9,
    },
    // A node that does not forward leaves it to those that do.
    Migration {
        sql: include_str!("migrations/0011_audit_forward.sql"),
        needs: 9,
    },
    // A node that does not know codes of documents would write rows without, which are refused.
    Migration {
        sql: include_str!("migrations/0012_row_codes.sql"),
        needs: 12,
    },
    // A node that does not know deleted versions would serve them, and drop that they are.
    Migration {
        sql: include_str!("migrations/0013_vault_api.sql"),
        needs: 13,
    },
    // A node that does not know these keys would not hear that one was changed.
    Migration {
        sql: include_str!("migrations/0014_transit.sql"),
        needs: 14,
    },
    // A node that does not know them has them kept all the same.
    Migration {
        sql: include_str!("migrations/0015_lease_indexes.sql"),
        needs: 14,
    },
];

/// The newest revision known.
pub(crate) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// What to say when a program must know this revision to work with the store, and this one does
/// not.
pub(crate) fn outdated(needs: i64) -> Option<String> {
    (needs > known()).then(|| {
        format!(
            "the store was moved on by a newer program that this one cannot work beside (revision \
             {needs} is needed, {} is known): run the newer program on this node, too",
            known()
        )
    })
}

/// Any number that others do not use.
const LOCK: i64 = 0x5ca1_7a01_7000_0001;

fn failed(error: tokio_postgres::Error) -> OpenError {
    OpenError::Unavailable(text(&error))
}

/// Brings the schema up to date. One node at a time does; the others wait.
pub(crate) async fn migrate(conn: &Conn) -> Result<(), OpenError> {
    conn.run("BEGIN; SET LOCAL lock_timeout = '60s'")
        .await
        .map_err(failed)?;
    let done = inside(conn).await;
    let end = if done.is_ok() { "COMMIT" } else { "ROLLBACK" };
    conn.run(end).await.map_err(failed)?;
    done
}

/// The revision of the schema, which this program can work with; 0 when there is none.
pub(crate) async fn found(conn: &Conn) -> Result<i64, OpenError> {
    let there = "SELECT to_regclass('schema_revision') IS NOT NULL";
    let rows = conn.query(there, &[]).await.map_err(failed)?;
    if !rows.first().is_some_and(|row| row.get(0)) {
        return Ok(0);
    }
    let sql = "SELECT coalesce(max(revision), 0), coalesce(max(needs), 0) FROM schema_revision";
    let rows = conn.query(sql, &[]).await.map_err(failed)?;
    let (found, needs): (i64, i64) = rows.first().map_or((0, 0), |row| (row.get(0), row.get(1)));
    let known = known();
    match needs > known {
        true => Err(OpenError::Newer { found, known }),
        false => Ok(found),
    }
}

/// That the schema is one this program reads, without changing it.
pub(crate) async fn look(conn: &Conn) -> Result<(), OpenError> {
    let (found, known) = (found(conn).await?, known());
    match found < known {
        true => Err(OpenError::Older { found, known }),
        false => Ok(()),
    }
}

async fn inside(conn: &Conn) -> Result<(), OpenError> {
    conn.query("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(failed)?;
    // A role that may not make tables can open a store that is up to date.
    let found = found(conn).await?;
    if found == 0 {
        conn.run(
            "CREATE TABLE IF NOT EXISTS schema_revision
             (revision bigint PRIMARY KEY, needs bigint NOT NULL)",
        )
        .await
        .map_err(failed)?;
    }
    for (revision, migration) in (1..).zip(MIGRATIONS) {
        if revision > found {
            conn.run(migration.sql).await.map_err(failed)?;
            let done = "INSERT INTO schema_revision (revision, needs) VALUES ($1, $2)";
            conn.query(done, &[&revision, &migration.needs])
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}
