//! `scaivault server`: the production form.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::net::TcpListener;

use super::dev::environment;
use super::root_key;
use super::serve::{Serving, run};
use crate::app::HttpSettings;
use crate::assembly::{IssuersFile, is_initialised, open_vault, surface};
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::forwarding::Trail;
use crate::listener::Tls;
use crate::logging;
use crate::memory::keep_out_of_swap;
use crate::storage::Storage;

/// Arguments of `server`.
#[derive(Debug, Clone)]
pub struct ServerArgs {
    /// Configuration file; the environment is read after it.
    pub config: Option<PathBuf>,
    /// Print the commented defaults and stop.
    pub print_config: bool,
}

/// Runs the server until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start; the text says why and what to try.
pub fn server(args: ServerArgs) -> Result<()> {
    if args.print_config {
        std::io::stdout().write_all(config::DEFAULT_FILE.as_bytes())?;
        return Ok(());
    }
    let config = Config::load(args.config.as_deref(), &environment())?;
    logging::init(config.log.level, config.log.format, Arc::new(SystemClock))?;
    if config.server.lock_memory {
        keep_out_of_swap()?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    let storage = Storage::open(&config.store).await?;
    if !is_initialised(&storage).await? {
        bail!("the store is empty: run 'scaivault init' with the same configuration first");
    }
    let root = root_key::load(&config.seal.kms_provider, &storage).await?;
    let tls = match &config.server.tls {
        Some(files) => Some(Tls::load(files.clone(), storage.clock())?),
        None => None,
    };
    let listener = TcpListener::bind(config.server.bind_address)
        .await
        .with_context(|| format!("cannot listen on {}", config.server.bind_address))?;
    let address = listener.local_addr()?;
    let issuers = IssuersFile {
        identity: config.identity.clone(),
        egress: config.identity.egress_policy(),
        asks_clients: config.server.asks_clients(),
    };
    let opened = open_vault(
        storage,
        &root,
        config.webhooks.egress_policy(),
        config.targets.policy(),
        issuers.read()?,
        config.store.cache_bytes,
    )
    .await?;
    drop(root);
    let (front, app) = surface(
        &opened,
        config.rate_limits.clone(),
        HttpSettings::of(&config)?,
    );
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(url = %format!("{scheme}://{address}"), "serving");
    if config.server.is_exposed_in_clear_text() {
        tracing::warn!(
            "no TLS: tokens and values cross the network in the clear unless a proxy in front encrypts"
        );
    }
    let deliveries_max = config.webhooks.max_in_flight;
    let limits = config.server.listener_limits();
    run(Serving {
        opened,
        app,
        front,
        listener,
        tls,
        issuers,
        limits,
        deliveries_max,
        trail: Trail {
            place: config.store.database,
            password_file: config.store.password_file,
            node: config.store.node_name,
        },
    })
    .await
}
