//! Open sessions of an account.

use std::time::{Duration, Instant};

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Call;
use scaivault_core::target::{Trouble, TroubleKind};

use super::account::Account;
use super::session::Session;
use super::{sql, trouble};

/// Sessions of the role `$1`, all of them or those that began before the time `$2`. Without
/// the right to see it, the beginning is missing: such a session counts.
const OF: &str = "FROM pg_catalog.pg_stat_activity WHERE usename = $1::text \
    AND pid <> pg_catalog.pg_backend_pid() AND backend_type IS DISTINCT FROM 'parallel worker' \
    AND ($2::float8 IS NULL OR backend_start IS NULL \
    OR backend_start < pg_catalog.to_timestamp($2))";

/// Which sessions are meant.
#[derive(Clone, Copy)]
pub(super) enum Which {
    /// All.
    All,
    /// Those that began before this time: the server's clock, in seconds.
    Before(f64),
}

impl Which {
    fn seconds(self) -> Option<f64> {
        match self {
            Self::All => None,
            Self::Before(time) => Some(time),
        }
    }
}

/// The sessions from before a promotion that was `promoted` ago when this call was `received`.
///
/// The server's clock is read before ours, so that the border is early by the time an answer takes
/// rather than late: a session that began right after the promotion has the new password.
pub(super) async fn before(
    session: &Session,
    promoted: Duration,
    received: Instant,
) -> Result<Which, Trouble> {
    let asked = "SELECT extract(epoch FROM pg_catalog.clock_timestamp())::float8";
    let row = session.client.query_one(asked, &[]).await;
    let row = row.map_err(|error| trouble::statement(&error))?;
    let now: f64 = row.try_get(0).map_err(|_| TroubleKind::Protocol)?;
    let ago = promoted + received.elapsed();
    Ok(Which::Before(now - ago.as_secs_f64()))
}

/// How many sessions `credential` has. One account with one password: those that began before
/// readers got the successor.
pub(super) async fn look(
    manager: Result<Session, Trouble>,
    received: Instant,
    call: &Call<'_>,
    credential: &Plaintext,
) -> Result<u64, Trouble> {
    let account = Account::read(call)?;
    let name = account.role_of(credential)?;
    let manager = manager?;
    let which = match (&account, call.promoted_for) {
        (Account::One { .. }, Some(promoted)) => before(&manager, promoted, received).await?,
        _ => Which::All,
    };
    let (count, hidden) = count(&manager, name, which).await?;
    match which {
        Which::Before(_) if hidden != 0 => {
            let user = sql::name(&manager.user);
            let remedy = format!("GRANT pg_read_all_stats TO {user};");
            Err(Trouble::new(TroubleKind::Privilege).remedy(remedy))
        }
        _ => Ok(count),
    }
}

/// How many there are, and of how many the beginning is not shown.
pub(super) async fn count(
    session: &Session,
    name: &str,
    which: Which,
) -> Result<(u64, u64), Trouble> {
    let asked = format!("SELECT count(*), count(*) FILTER (WHERE backend_start IS NULL) {OF}");
    let row = session
        .client
        .query_one(&asked, &[&name, &which.seconds()])
        .await
        .map_err(|error| trouble::statement(&error))?;
    let read = |column| {
        let number: Result<i64, _> = row.try_get(column);
        let number = number.ok().and_then(|number| u64::try_from(number).ok());
        number.ok_or(Trouble::new(TroubleKind::Protocol))
    };
    Ok((read(0)?, read(1)?))
}

/// Asks the server to end them.
pub(super) async fn terminate(session: &Session, name: &str, which: Which) -> Result<(), Trouble> {
    let asked = format!("SELECT pg_catalog.pg_terminate_backend(pid) {OF}");
    let done = session
        .client
        .query(&asked, &[&name, &which.seconds()])
        .await;
    done.map(|_| ()).map_err(|error| trouble::statement(&error))
}
