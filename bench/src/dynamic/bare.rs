//! The statements alone: what a program that needs an account would send, on sessions that stay
//! open, one transaction in one message.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

use super::world::{MANAGERS, PASSWORD};
use crate::latency::Outcome;

/// Names are used once.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// How the password is sent.
#[derive(Clone, Copy)]
pub(super) enum Sent {
    /// As text: the server makes the verifier.
    Text,
    /// As one verifier for all: nobody makes one.
    Verifier,
}

impl Sent {
    fn password(self, number: usize) -> String {
        match self {
            Self::Text => format!("{:032x}", number as u128 * 0x9e37_79b9_7f4a_7c15),
            Self::Verifier => VERIFIER.to_owned(),
        }
    }
}

/// Of a password that nobody has.
const VERIFIER: &str = "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$\
    AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// Sessions of a manager.
pub(super) struct Bare(Vec<Client>);

impl Bare {
    pub(super) async fn open(port: u16, sessions: usize) -> Result<Self> {
        let mut clients = Vec::with_capacity(sessions);
        for _ in 0..sessions {
            let mut config = Config::new();
            config.host("127.0.0.1").port(port).dbname("postgres");
            config.user(MANAGERS[2]).password(PASSWORD);
            let (client, connection) = config.connect(NoTls).await?;
            tokio::spawn(connection);
            clients.push(client);
        }
        Ok(Self(clients))
    }

    /// As many accounts as can be made in this time; a tenth of it passes before, uncounted.
    pub(super) async fn stretch(&mut self, sent: Sent, duration: Duration) -> Result<Outcome> {
        let counted_from = Instant::now() + duration / 10;
        let until = counted_from + duration;
        let mut tasks = JoinSet::new();
        for client in self.0.drain(..) {
            tasks.spawn(async move {
                let mut outcome = Outcome::default();
                loop {
                    let asked = Instant::now();
                    if asked >= until {
                        return anyhow::Ok((client, outcome));
                    }
                    make(&client, sent).await?;
                    let now = Instant::now();
                    let latency = (now >= counted_from).then(|| now - asked);
                    outcome.answer(latency, (counted_from..until).contains(&now));
                }
            });
        }
        let mut all = Outcome::of(duration);
        while let Some(done) = tasks.join_next().await {
            let (client, outcome) = done??;
            self.0.push(client);
            all.add(outcome);
        }
        Ok(all.sorted())
    }
}

async fn make(client: &Client, sent: Sent) -> Result<()> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let (name, password) = (format!("bare_reader_{number:09}"), sent.password(number));
    let text = format!(
        "BEGIN; CREATE ROLE \"{name}\" WITH LOGIN PASSWORD '{password}' \
         VALID UNTIL '2099-01-01 00:00:00+0000'; GRANT app TO \"{name}\"; COMMIT"
    );
    Ok(client.batch_execute(&text).await?)
}
