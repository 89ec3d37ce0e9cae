//! The manager's sessions between two accounts.

use std::time::Duration;

use scaivault_core::ports::AccountCall;
use scaivault_core::target::Trouble;

use super::super::session::Session;
use super::super::settings::Settings;
use super::super::{Postgresql, manager};
use crate::pool::{self, Keep};

/// One that does not is left to itself.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

pub(in super::super) type Pool = pool::Pool<Session>;
pub(super) type Pooled = pool::Pooled<Session>;

impl Keep for Session {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

async fn answers(session: &Session) -> bool {
    let asked = tokio::time::timeout(ANSWERS_WITHIN, session.client.batch_execute(""));
    asked.await.is_ok_and(|answer| answer.is_ok())
}

/// One that waits, or a new one.
pub(super) async fn take(at: &Postgresql, call: &AccountCall<'_>) -> Result<Pooled, Trouble> {
    while let Some(pooled) = at.pool.waiting(call)? {
        if !pooled.is_doubtful() || answers(&pooled).await {
            return Ok(pooled);
        }
    }
    let settings = Settings::read(call.settings)?;
    let session = manager::open_of(&*at.reach, &settings, call.manager).await?;
    Pool::opened(call, session)
}
