//! Somebody who asks any of the nodes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Api, Reply};
use crate::random::Random;
use crate::record::Record;

/// Between two requests of one client.
pub(crate) const PAUSE: Duration = Duration::from_millis(30);
/// An answer later than this is none.
const PATIENCE: Duration = Duration::from_secs(12);
/// Within this some node does what is insisted on.
const INSIST_MAX: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(crate) struct Client {
    apis: Vec<Api>,
    pub(crate) random: Random,
    pub(crate) record: Arc<Record>,
}

impl Client {
    pub(crate) fn new(apis: Vec<Api>, random: Random, record: Arc<Record>) -> Self {
        Self {
            apis,
            random,
            record,
        }
    }

    /// The same nodes, asked with another token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            apis: self.apis.iter().map(|api| api.with_token(token)).collect(),
            ..self.clone()
        }
    }

    /// Asks one of the nodes; `None` when it does not answer.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<Reply> {
        let api = self.random.of(&self.apis).clone();
        let asked = tokio::time::timeout(PATIENCE, api.attempt(method, path, body));
        let reply = asked.await.ok().and_then(Result::ok);
        match &reply {
            Some(reply) if reply.status >= 400 => self.record.refused(reply),
            Some(_) => {}
            None => tokio::time::sleep(PAUSE).await,
        }
        reply
    }

    pub(crate) async fn get(&mut self, path: &str) -> Option<Reply> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks until a node does it, whichever; what it answered.
    ///
    /// # Panics
    /// When none does within a minute; the last answer is told.
    pub(crate) async fn insist(
        &mut self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Reply {
        let began = Instant::now();
        loop {
            let reply = self.ask(method.clone(), path, body.clone()).await;
            match reply {
                Some(reply) if reply.status < 500 => return reply,
                last => assert!(
                    began.elapsed() < INSIST_MAX,
                    "{method} {path}: not within {INSIST_MAX:?}: {last:?}"
                ),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
