//! A server under measurement, filled, and what it is asked.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::dialect::{Dialect, LISTED, Scaivault};
use super::postgresql::Database;
use super::product::{Kind, Product};
use super::work::{PREFIXES, Work, listed_path, requests};
use super::{direct, openbao};
use crate::latency::Outcome;
use crate::load::{Load, Requests};
use crate::seed;
use crate::server::{Place, Server};
use crate::tls::Tls;
use crate::wire::Connection;

pub(crate) struct Subject {
    pub(crate) server: Server,
    dialect: Box<dyn Dialect + Send + Sync>,
    secrets: usize,
    reads: Requests,
    /// Only the product can be started again on its data.
    product: Option<Product>,
    /// Of the peer; ends with this value.
    _database: Option<Database>,
}

/// How one stretch is asked.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) connections: usize,
    pub(crate) duration: Duration,
    pub(crate) rate: Option<f64>,
}

const FILLING: usize = 64;

impl Subject {
    pub(crate) async fn product(
        place: &Place,
        dir: &Path,
        kind: Kind,
        tls: Option<Tls>,
    ) -> Result<Self> {
        let product = Product::init(place, dir, kind, tls)?;
        let server = product.start().await?;
        let root = product.root_token.clone();
        let reader = seed::identity(&server, &root, &["read", "write", "list"]).await?;
        Ok(Self {
            server,
            dialect: Box::new(Scaivault { root, reader }),
            secrets: 0,
            reads: Requests::Any(Arc::default()),
            product: Some(product),
            _database: None,
        })
    }

    pub(crate) async fn openbao(dir: &Path, kind: Kind, tls: Option<Tls>) -> Result<Self> {
        let database = (kind == Kind::Postgresql).then(Database::start);
        let (server, dialect) = openbao::start(dir, database.as_ref(), tls).await?;
        Ok(Self {
            server,
            dialect: Box::new(dialect),
            secrets: 0,
            reads: Requests::Any(Arc::default()),
            product: None,
            _database: database,
        })
    }

    /// Stores that many secrets, and those that are listed.
    pub(crate) async fn fill(&mut self, secrets: usize) -> Result<()> {
        let all = (0..secrets).map(|number| (seed::name(number), number));
        let all = all.chain((0..PREFIXES * LISTED).map(|number| (listed_path(number), number)));
        if let Some(product) = &self.product
            && let Some(file) = product.file()
        {
            self.server.terminate()?;
            direct::fill(file, product.key_file(), all).await?;
            self.server = product.start().await?;
        } else {
            let dialect = &*self.dialect;
            self.send(all.map(|(path, number)| dialect.write(&path, number)))
                .await?;
        }
        self.reads = requests(Work::Read, &*self.dialect, 1, secrets);
        self.secrets = secrets;
        Ok(())
    }

    /// Reads every secret once: what is measured is the usual read, not the first one.
    pub(crate) async fn warm(&self) -> Result<()> {
        let dialect = &*self.dialect;
        self.send((0..self.secrets).map(|number| dialect.read(&seed::name(number))))
            .await?;
        self.server.settle().await
    }

    /// Sends these over some connections.
    async fn send(&self, mut requests: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        const AT_ONCE: usize = 50_000;
        loop {
            let all: Arc<Vec<Vec<u8>>> = Arc::new(requests.by_ref().take(AT_ONCE).collect());
            if all.is_empty() {
                return Ok(());
            }
            let mut tasks = JoinSet::new();
            for first in 0..FILLING.min(all.len()) {
                let mut connection = Connection::open(&self.server.endpoint).await?;
                let all = Arc::clone(&all);
                tasks.spawn(async move {
                    for request in all.iter().skip(first).step_by(FILLING) {
                        connection.ask_well(request).await?;
                    }
                    anyhow::Ok(())
                });
            }
            while let Some(done) = tasks.join_next().await {
                done??;
            }
        }
    }

    /// What is sent for this work.
    pub(crate) fn requests(&self, work: Work, connections: usize) -> Requests {
        match work {
            Work::Read => self.reads.clone(),
            _ => requests(work, &*self.dialect, connections, self.secrets),
        }
    }

    /// One stretch, and the processor time the server took for it. Ends when the server rests: what
    /// it does later on account of these requests is counted, and takes nothing from another.
    pub(crate) async fn stretch(
        &self,
        requests: &Requests,
        stretch: Stretch,
    ) -> Result<(Outcome, Duration)> {
        self::stretch(&self.server, requests, stretch).await
    }

    /// Stops the product and starts it again; how long it took until it was ready.
    pub(crate) async fn restart(&mut self) -> Result<Duration> {
        let product = self.product.as_ref().context("not the product")?;
        self.server.terminate()?;
        self.server = product.start().await?;
        Ok(self.server.ready_after)
    }
}

/// One stretch of load on a server, which rests when this returns.
pub(crate) async fn stretch(
    server: &Server,
    requests: &Requests,
    stretch: Stretch,
) -> Result<(Outcome, Duration)> {
    let load = Load {
        to: server.endpoint.clone(),
        requests: requests.clone(),
        connections: stretch.connections,
        duration: stretch.duration,
        rate: stretch.rate,
    };
    let before = server.cpu()?;
    let outcome = load.run().await?;
    server.settle().await?;
    Ok((outcome, server.cpu()?.saturating_sub(before)))
}
