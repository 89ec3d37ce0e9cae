//! A consumer that follows: it reads, logs in for real with what it got, and lets go of its old
//! session once it has a new one.

use serde_json::Value;

use crate::system::{Fresh, Held, System};

#[derive(Default)]
pub(crate) struct Consumer {
    held: Option<Box<dyn Held>>,
}

impl Consumer {
    /// Whether it is logged in with this value now. A session that is still open does not count:
    /// it logs in anew each time.
    pub(crate) async fn follow(
        &mut self,
        system: &dyn System,
        fresh: &Fresh,
        value: &Value,
    ) -> bool {
        let Some(session) = system.log_in(fresh, value).await else {
            return false;
        };
        // Sessions of one account are told apart by the server's clock, which is not the test's.
        let before = if fresh.names.len() == 2 {
            self.held.replace(session)
        } else {
            Some(session)
        };
        if let Some(before) = before {
            before.close().await;
        }
        true
    }

    /// Its session ended with the server.
    pub(crate) fn cut_off(&mut self) {
        self.held = None;
    }

    /// Lets go of its session.
    pub(crate) async fn leave(&mut self) {
        if let Some(session) = self.held.take() {
            session.close().await;
        }
    }
}
