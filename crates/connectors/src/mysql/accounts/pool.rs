//! The manager's sessions between two accounts, in the mode of whoever wrote the statements.

use scaivault_core::ports::AccountCall;
use scaivault_core::target::Trouble;

use super::super::server::{Family, Server};
use super::super::session::Session;
use super::super::{MySql, effects, open_manager_of, quote};
use crate::pool::{self, Keep};

pub(in super::super) type Pool = pool::Pool<Ready>;
pub(super) type Pooled = pool::Pooled<Ready>;

/// Whose statements a session reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Words {
    /// The connector's: a backslash is a plain character.
    Ours,
    /// A role's: as the server reads what people write.
    Role,
}

/// A session of the manager.
pub(in super::super) struct Ready {
    pub(super) session: Session,
    pub(super) server: Server,
    words: Words,
}

impl Keep for Ready {
    /// Not seen from here: one that waited is asked before it is used.
    fn is_closed(&self) -> bool {
        false
    }
}

impl Ready {
    /// Whose statements come next.
    pub(super) async fn reads(&mut self, words: Words) -> Result<(), Trouble> {
        if self.words == words {
            return Ok(());
        }
        let mode = match (words, self.server.family) {
            (Words::Ours, _) => quote::SQL_MODE,
            (Words::Role, Family::MySql) => "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
            // Without the last one a grant to nobody would make an account without a password.
            (Words::Role, Family::MariaDb) => {
                "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_CREATE_USER"
            }
        };
        let mode = quote::text(mode);
        let set = format!("SET SESSION sql_mode = {mode}");
        self.session.set(&set).await?;
        self.words = words;
        Ok(())
    }
}

/// One that waits and answers, or a new one. Nothing is in doubt on it.
pub(super) async fn take(at: &MySql, call: &AccountCall<'_>) -> Result<Pooled, Trouble> {
    while let Some(mut pooled) = at.pool.waiting(call)? {
        if pooled.session.answers().await {
            pooled.session.doubt = false;
            return Ok(pooled);
        }
    }
    let mut session = open_manager_of(&at.reach, call.settings, call.manager).await?;
    let server = effects::known(&mut session).await?;
    session
        .set("SET SESSION lock_wait_timeout = 10, time_zone = '+00:00'")
        .await?;
    let ready = Ready {
        session,
        server,
        words: Words::Ours,
    };
    Pool::opened(call, ready)
}
