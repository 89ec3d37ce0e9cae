//! One effect, one transaction. Until the commit is sent nothing has changed, whatever happens to
//! the connection; from then on only the server knows.

use scaivault_core::ports::{Call, Effect};
use scaivault_core::target::{Trouble, TroubleKind};

use super::session::Session;
use super::{role, sql, trouble};

/// Separates our advisory locks from those of applications.
const LOCK: i32 = 0x5CA1_7A17;

/// The oldest version with SCRAM.
const VERSION_MIN: i32 = 100_000;

/// An open transaction; rolled back with its session unless it is committed.
pub(super) struct Transaction<'a> {
    pub(super) session: &'a Session,
    pub(super) version: i32,
}

/// The answer of a step before the commit.
pub(super) fn not_applied(trouble: impl Into<Trouble>) -> Effect {
    Effect::NotApplied(trouble.into())
}

impl<'a> Transaction<'a> {
    /// Begins one that holds the lock of the role `name`.
    pub(super) async fn begin(session: &'a Session, name: &str) -> Result<Self, Effect> {
        let begin = format!(
            "BEGIN; SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '10s'; \
             SET LOCAL statement_timeout = '15s'; \
             SELECT pg_advisory_xact_lock({LOCK}, hashtext({}))",
            sql::text(name)
        );
        let mut begun = Self {
            session,
            version: 0,
        };
        begun.run(&begin).await?;
        begun.version = version(session).await.map_err(not_applied)?;
        Ok(begun)
    }

    /// Runs a statement.
    pub(super) async fn run(&self, statement: &str) -> Result<(), Effect> {
        let done = self.session.client.batch_execute(statement).await;
        done.map_err(|error| not_applied(trouble::statement(&error)))
    }

    /// The role of that name, which no later change may have marked.
    pub(super) async fn fenced(
        &self,
        call: &Call<'_>,
        name: &str,
    ) -> Result<Option<role::Role>, Effect> {
        let found = role::read(self.session, name).await.map_err(not_applied)?;
        let seen = found.as_ref().and_then(|role| role.comment.epoch);
        match seen.is_some_and(|seen| seen > call.epoch) {
            true => Err(not_applied(TroubleKind::Fenced)),
            false => Ok(found),
        }
    }

    /// Commits.
    pub(super) async fn commit(self) -> Result<(), Effect> {
        let done = self.session.client.batch_execute("COMMIT").await;
        done.map_err(|error| Effect::Unknown(trouble::statement(&error)))
    }
}

/// The server's version as a number; older ones than this connector speaks to are refused.
pub(super) async fn version(session: &Session) -> Result<i32, Trouble> {
    let asked = "SELECT current_setting('server_version_num')::int4";
    let row = session.client.query_one(asked, &[]).await;
    let row = row.map_err(|error| trouble::statement(&error))?;
    match row.try_get::<_, i32>(0) {
        Ok(version) if version >= VERSION_MIN => Ok(version),
        Ok(_) => Err(TroubleKind::Unsupported.into()),
        Err(_) => Err(TroubleKind::Protocol.into()),
    }
}
