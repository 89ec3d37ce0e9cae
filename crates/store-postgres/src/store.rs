//! The store: opening, committing, health, closing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::audit::{AuditFilter, AuditReport};
use scaivault_core::audit_anchor::{AuditPrunable, ExportedEnds};
use scaivault_core::audit_export::{AuditExport, ExportHead};
use scaivault_core::audit_forward::AuditForward;
use scaivault_core::ids::{ExportId, TenantId};
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    AuditPage, AuditReads, AuditSummary, CommitError, Committed, Entropy, Ground, ReadError,
    Served, Store, StoreHealth, Unit, UnitName,
};
use scaivault_core::time::Timestamp;
use scaivault_store::StoreStats;
use scaivault_store::audit::ChainHead;
use scaivault_store::audit::mint_chain;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::clock::{Asked, StoreClock};
use crate::conn::{Conn, Connector, Purpose};
use crate::feed::{self, Feed};
use crate::options::{Address, OpenError, PostgresOptions};
use crate::pool::Pool;
use crate::prepared::Prepared;
use crate::refusal::text;
use crate::sql::head;
use crate::sql::row::{Read, count};
use crate::sql::{
    audit_anchor, audit_export, audit_forward, audit_index, audit_read, audit_verify, change,
    migrate, secret,
};
use crate::transfer_sides::refuse_unfinished;
use crate::writer::{Outcome, Shared, Writer};

/// How long a health probe waits for its write.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// Longest name of a node.
const NODE_MAX: usize = 200;

/// One node's side of a store in PostgreSQL. Share it in an `Arc`. Dropping it lets what is queued
/// be written, then ends its sessions.
pub struct PostgresStore {
    pub(crate) handle: Handle,
    pub(crate) connector: Connector,
    pub(crate) pool: Arc<Pool>,
    pub(crate) shared: Arc<Shared>,
    /// The receiver served last by a claim of deliveries.
    pub(crate) served: Mutex<String>,
    pub(crate) chain: String,
    node: String,
    pub(crate) feed: Arc<Feed>,
    tasks: [AbortHandle; 3],
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PostgresStore({})", self.node)
    }
}

impl PostgresStore {
    /// Opens a store and brings its schema up to date; `entropy` names a new node's audit chain.
    /// To be called inside the runtime that is to run the store's tasks, with clock and network
    /// enabled; its methods may be called from any.
    ///
    /// Nothing but the keyring can be read and written yet: for the rest, unlock it and call
    /// [`PostgresStore::start_audit`].
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way.
    pub async fn open(options: PostgresOptions, entropy: &dyn Entropy) -> Result<Self, OpenError> {
        let handle = Handle::try_current().map_err(|_| OpenError::NoRuntime)?;
        if options.node.is_empty() || options.node.len() > NODE_MAX {
            return Err(OpenError::NodeName);
        }
        let connector = Connector::new(Address::parse(&options.url, options.password.as_deref())?)?;
        let conn = connector
            .connect(Purpose::Write)
            .await
            .map_err(|error| OpenError::Unavailable(text(&error)))?;
        migrate::migrate(&conn).await?;
        refuse_unfinished(&conn).await?;
        let head = head::open(&conn, &options.node, entropy)
            .await
            .map_err(|error| OpenError::Unavailable(error.to_string()))?;
        let chain = head.chain.clone();
        let shared = Arc::new(Shared::new(
            handle.clone(),
            options.queue_max,
            options.commit_timeout,
        ));
        let (asked, answer) = (Asked::now(), time(&conn).await?);
        let clock = StoreClock::set(&asked, answer);
        let maker = mint_chain(entropy);
        let feed = Arc::new(Feed::new(
            connector.clone(),
            chain.clone(),
            maker,
            clock,
            Arc::clone(&shared),
        ));
        let writer = Writer::new(
            Arc::clone(&shared),
            connector.clone(),
            options.node.clone(),
            Arc::clone(&feed),
            conn,
            head,
        );
        drop(handle.spawn(writer.run()));
        let pool = Pool::new(
            connector.clone(),
            handle.clone(),
            options.connections,
            options.read_timeout,
        );
        let pool = Arc::new(pool);
        let indexing = audit_index::run(Arc::clone(&pool), Arc::clone(&shared), chain.clone());
        let tidying = audit_index::tidy(Arc::clone(&pool), chain.clone(), options.tidy_every);
        let telling = feed::tell(Arc::clone(&pool), Arc::clone(&shared.told));
        Ok(Self {
            tasks: [
                handle.spawn(indexing).abort_handle(),
                handle.spawn(tidying).abort_handle(),
                handle.spawn(telling).abort_handle(),
            ],
            feed,
            handle,
            connector,
            pool,
            shared,
            served: Mutex::default(),
            chain,
            node: options.node,
        })
    }

    /// The last thing that went wrong with writing, until writing went well again.
    pub fn last_trouble(&self) -> Option<String> {
        self.shared.trouble.lock().clone()
    }

    /// The time of this store, the same on every node.
    pub fn clock(&self) -> StoreClock {
        self.feed.clock.clone()
    }

    /// Whether a token is stored; known before the key is, which reads of the token itself need.
    ///
    /// # Errors
    /// As reads.
    pub async fn has_tokens(&self) -> Result<bool, ReadError> {
        let found = self.rows("SELECT 1 FROM token LIMIT 1", &[]).await?;
        Ok(!found.is_empty())
    }

    /// Figures of this node's writer.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            rows_refused: self.shared.rows.refused(),
            ..self.shared.counters.look(self.shared.queue_len())
        }
    }

    async fn bytes(&self) -> Read<u64> {
        let sql = "SELECT pg_database_size(current_database())";
        let rows = self.rows(sql, &[]).await?;
        rows.first().map_or(Ok(0), |row| count(row, 0))
    }
}

async fn time(conn: &Conn) -> Result<i64, OpenError> {
    let unavailable = |error: tokio_postgres::Error| OpenError::Unavailable(text(&error));
    let rows = conn.query(change::TIME, &[]).await.map_err(unavailable)?;
    let row = rows.first().and_then(|row| row.try_get(0).ok());
    row.ok_or_else(|| OpenError::Unavailable("the database does not tell the time".to_owned()))
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        self.shared
            .submit(Prepared::new(unit, &self.shared.rows)?)
            .await
    }

    async fn secret_served(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Read<Option<Served>> {
        secret::served(self, tenant, path, version).await
    }

    async fn secret_ground(&self, tenant: &TenantId, path: &SecretPath) -> Read<Ground> {
        secret::ground(self, tenant, path).await
    }

    async fn health(&self) -> StoreHealth {
        let written: Outcome =
            match Prepared::new(Unit::new(UnitName::Housekeeping), &self.shared.rows) {
                Ok(nothing) => self.shared.submit_within(nothing, PROBE_PATIENCE).await,
                Err(error) => Err(error),
            };
        let started = self.shared.mac.read().is_some();
        let trouble = match written {
            Err(error) => {
                let known = self.shared.outdated().or_else(|| self.last_trouble());
                Some(known.unwrap_or_else(|| error.to_string()))
            }
            Ok(_) if !started => Some("the audit chain has not been started".to_owned()),
            Ok(_) => None,
        };
        let bytes = match trouble {
            Some(_) => 0,
            None => self.bytes().await.unwrap_or(0),
        };
        StoreHealth {
            trouble,
            queued: self.shared.queue_len(),
            bytes,
        }
    }
}

#[async_trait]
impl AuditReads for PostgresStore {
    async fn audit_query(
        &self,
        filter: &AuditFilter,
        below: Option<u64>,
        limit: usize,
    ) -> Read<AuditPage> {
        audit_read::query(self, filter, below, limit).await
    }

    async fn audit_summary(&self, filter: &AuditFilter) -> Read<AuditSummary> {
        audit_read::summary(self, filter).await
    }

    async fn audit_verify(&self) -> Read<AuditReport> {
        let mac = self.shared.mac.read().clone();
        audit_verify::verify(&self.pool, mac.as_deref()).await
    }

    async fn audit_heads(&self) -> Read<Vec<ExportHead>> {
        let ends = audit_verify::ends(&self.pool).await?;
        Ok(ends.iter().map(ChainHead::for_export).collect())
    }

    async fn audit_export_find(
        &self,
        tenant: &TenantId,
        id: &ExportId,
    ) -> Read<Option<AuditExport>> {
        audit_export::find(self, tenant, id).await
    }

    async fn audit_export_list(
        &self,
        tenant: &TenantId,
        after: Option<&str>,
        limit: usize,
    ) -> Read<Vec<AuditExport>> {
        audit_export::list(self, tenant, after, limit).await
    }

    async fn audit_export_due(&self, now: Timestamp, limit: usize) -> Read<Vec<AuditExport>> {
        audit_export::due(self, now, limit).await
    }

    async fn audit_forward_find(&self, name: &str) -> Read<Option<AuditForward>> {
        audit_forward::find(self, name).await
    }

    async fn audit_prunable(
        &self,
        before: Timestamp,
        exported: Option<&ExportedEnds>,
    ) -> Read<Option<AuditPrunable>> {
        audit_anchor::find(&self.pool, before, exported).await
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.shared.close();
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
