//! The store: opening, committing, health, closing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use scaivault_core::ids::TenantId;
use scaivault_core::path::SecretPath;
use scaivault_core::ports::{
    CommitError, Committed, Entropy, Ground, ReadError, Served, Store, StoreHealth, Unit,
};
use tempfile::TempDir;

use crate::audit::mint_chain;
use crate::files;
use crate::options::{OpenError, SqliteOptions, SqlitePath};
use crate::prepared::Prepared;
use crate::readers::Readers;
use crate::sqlite::conn::Conn;
use crate::sqlite::connect::Durability;
use crate::sqlite::{connect, head, meta, migrate, secret, token, transfer};
use crate::stats::StoreStats;
use crate::writer::{Outcome, Shared, Source, Watch, Work, Writer};

/// How long a health probe waits for its write.
const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// A store in one SQLite file. Share it in an `Arc`. Dropping it lets what is queued be written,
/// then closes the file.
pub struct SqliteStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) readers: Readers,
    path: PathBuf,
    thread: Option<JoinHandle<()>>,
    _watch: Watch,
    _lock: File,
    _temporary: Option<TempDir>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SqliteStore({})", self.path.display())
    }
}

impl SqliteStore {
    /// Opens a store, and makes it when the file is not there; `entropy` names a new one's audit
    /// chain. Blocks while it reads and migrates.
    ///
    /// Nothing but the keyring can be read and written yet: for the rest, unlock it and call
    /// [`SqliteStore::start_audit`].
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way.
    pub fn open(options: SqliteOptions, entropy: &dyn Entropy) -> Result<Self, OpenError> {
        let (path, temporary) = match options.path {
            SqlitePath::File(path) => (path, None),
            SqlitePath::Temporary => {
                let made = tempfile::tempdir();
                let made = made.map_err(|error| OpenError::File(std::env::temp_dir(), error))?;
                (made.path().join("store.db"), Some(made))
            }
        };
        let durability = if temporary.is_some() {
            Durability::None
        } else {
            Durability::Full
        };
        let lock = files::lock(&path)?;
        if files::bytes(&path) > 0 {
            check(&path)?;
        }
        files::make_private(&path)?;
        let source = Source {
            path: path.clone(),
            durability,
            max_bytes: options.max_bytes,
            checkpoint_pages: i32::try_from(options.checkpoint_pages.max(1)).unwrap_or(i32::MAX),
        };
        let writer = open_writer(source, options.queue_max, options.commit_timeout, entropy)?;
        let shared = writer.shared();
        let watch = Watch::start(Arc::clone(&shared));
        let watch = watch.map_err(|error| OpenError::File(path.clone(), error))?;
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let thread = thread.spawn(move || writer.run());
        let thread = thread.map_err(|error| OpenError::File(path.clone(), error))?;
        let readers = Readers::start(path.clone(), options.readers, &shared.rows);
        let readers = readers.map_err(|error| OpenError::File(path.clone(), error))?;
        Ok(Self {
            shared,
            readers,
            path,
            thread: Some(thread),
            _watch: watch,
            _lock: lock,
            _temporary: temporary,
        })
    }

    /// Whether a token is stored; known before the key is, which reads of the token itself need.
    ///
    /// # Errors
    /// As reads.
    pub async fn has_tokens(&self) -> Result<bool, ReadError> {
        let any = |conn: &Conn| token::any(conn);
        self.readers.read(any).await
    }

    /// Figures of the writer.
    pub fn stats(&self) -> StoreStats {
        StoreStats {
            rows_refused: self.shared.rows.refused(),
            ..self.shared.counters.look(self.shared.queue_len())
        }
    }

    /// The last thing that went wrong with writing, until writing went well again.
    pub fn last_trouble(&self) -> Option<String> {
        self.shared.trouble.lock().clone()
    }

    pub(crate) async fn submit(&self, work: Work) -> Outcome {
        self.shared.submit(work).await
    }
}

/// Looks at a file before anything is changed: it may be another program's.
fn check(path: &Path) -> Result<(), OpenError> {
    let look = |conn: rusqlite::Result<Connection>| {
        let conn = conn.map_err(|error| OpenError::engine(path, error))?;
        migrate::check(&conn, path).map(drop)
    };
    match look(connect::reader(path)) {
        // Power was lost while the file was made.
        Err(OpenError::Engine(error)) if connect::needs_rollback(&error) => {
            look(connect::recovering(path))
        }
        looked => looked,
    }
}

fn open_writer(
    source: Source,
    queue_max: usize,
    commit_timeout: Duration,
    entropy: &dyn Entropy,
) -> Result<Writer, OpenError> {
    let left_behind = files::log_bytes(&source.path) > 0;
    let opened = source
        .open()
        .map_err(|error| OpenError::engine(&source.path, error))?;
    let conn = &opened.0;
    migrate::migrate(conn, &source.path)?;
    if transfer::number(conn, transfer::COPYING).map_err(OpenError::Engine)? != 0 {
        return Err(OpenError::Unfinished);
    }
    let damaged = |error: scaivault_core::ports::ReadError| OpenError::Damaged(error.to_string());
    let head = match head::read(conn).map_err(damaged)? {
        Some(head) => head,
        None => head::create(conn, &mint_chain(entropy)).map_err(OpenError::Engine)?,
    };
    let indexed = meta::read(conn, meta::AUDIT_INDEXED).map_err(damaged)?;
    let shared = Arc::new(Shared::new(queue_max, commit_timeout));
    let mut writer = Writer::new(shared, source, opened, head, indexed);
    if left_behind {
        writer.confirm();
    }
    Ok(writer)
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        self.submit(Work::Unit(Prepared::new(unit, &self.shared.rows)?))
            .await
    }

    async fn secret_served(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
        version: Option<u64>,
    ) -> Result<Option<Served>, ReadError> {
        let (tenant, path) = (tenant.clone(), path.clone());
        let served = move |conn: &Conn| secret::served(conn, &tenant, &path, version);
        self.readers.read(served).await
    }

    async fn secret_ground(
        &self,
        tenant: &TenantId,
        path: &SecretPath,
    ) -> Result<Ground, ReadError> {
        let (tenant, path) = (tenant.clone(), path.clone());
        let ground = move |conn: &Conn| secret::ground(conn, &tenant, &path);
        self.readers.read(ground).await
    }

    async fn health(&self) -> StoreHealth {
        let probe = Work::Job(Box::new(|_, _| Ok(())));
        let written = self.shared.submit_within(probe, PROBE_PATIENCE).await;
        let started = self.shared.mac.read().is_some();
        let trouble = match written {
            Err(error) => Some(self.last_trouble().unwrap_or_else(|| error.to_string())),
            Ok(_) if !started => Some("the audit chain has not been started".to_owned()),
            Ok(_) => None,
        };
        StoreHealth {
            trouble,
            queued: self.shared.queue_len(),
            bytes: files::bytes(&self.path),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.readers.close();
        self.shared.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
