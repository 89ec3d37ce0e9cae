//! The manager's sessions between two accounts.

use scaivault_core::ports::AccountCall;
use scaivault_core::target::Trouble;

use super::super::session::Session;
use super::super::settings::Settings;
use super::super::{Postgresql, manager};
use crate::pool::{self, Keep};

pub(in super::super) type Pool = pool::Pool<Session>;
pub(super) type Pooled = pool::Pooled<Session>;

impl Keep for Session {
    fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

/// One that waits, or a new one.
pub(super) async fn take(at: &Postgresql, call: &AccountCall<'_>) -> Result<Pooled, Trouble> {
    if let Some(pooled) = at.pool.waiting(call)? {
        return Ok(pooled);
    }
    let settings = Settings::read(call.settings)?;
    let session = manager::open_of(&*at.reach, &settings, call.manager).await?;
    Pool::opened(call, session)
}
