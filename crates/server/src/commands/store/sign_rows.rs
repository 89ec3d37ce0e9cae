//! `scaivault store sign-rows`: an operator's word that the rows of an earlier release are right.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use scaivault_core::audit::{Action, AuditExtra, AuditRow};
use scaivault_core::identity::Identity;
use scaivault_crypto::Keyring;
use scaivault_engine::default_tenant;
use serde::Serialize;

use crate::assembly::{KeyringMac, is_initialised};
use crate::commands::dev::environment;
use crate::commands::root_key;
use crate::config::{Config, KmsProvider};
use crate::place::Place;
use crate::storage::Storage;

/// Arguments of `store sign-rows`.
#[derive(Debug, Clone)]
pub struct SignRowsArgs {
    /// The server's configuration file; the environment is read after it.
    pub config: Option<PathBuf>,
    /// The directory of a development server instead.
    pub data: Option<PathBuf>,
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub struct SignRowsDone {
    /// The store.
    pub store: String,
    /// Rows that were given their codes; none where all had theirs before.
    pub signed: Option<u64>,
}

/// Gives the rows of an earlier release their codes, once.
///
/// # Errors
/// When the store does not open, its trail is not whole, or it cannot be written.
pub fn sign_rows(args: SignRowsArgs) -> Result<SignRowsDone> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(args))
}

async fn run(args: SignRowsArgs) -> Result<SignRowsDone> {
    let mut config = Config::load(args.config.as_deref(), &environment())?;
    if let Some(data) = &args.data {
        let data = std::path::absolute(data)?;
        config.store.database = Place::File(data.join("scaivault.db"));
        config.seal.kms_provider = KmsProvider::Local {
            key_file: data.join("root.key"),
        };
    }
    let shown = config.store.database.to_string();
    if let Place::File(file) = &config.store.database
        && !file.exists()
    {
        bail!("there is no store at {shown}");
    }
    let storage = Storage::open(&config.store).await?;
    if !is_initialised(&storage).await? {
        bail!("the store is empty: there is nothing to sign");
    }
    let root = root_key::load(&config.seal.kms_provider, &storage).await?;
    let keyring = Keyring::unlock(&root, &storage.port().key_list().await?)?;
    let now = storage.clock().now();
    let operator = Identity::system("operator");
    let row = |signed| AuditRow {
        timestamp: now,
        tenant_id: default_tenant(),
        action: Action::StoreSign,
        identity_type: operator.kind().as_str().into(),
        identity_id: operator.as_str().to_owned(),
        secret_path: None,
        source_ip: None,
        user_agent: None,
        success: true,
        duration_ms: 0,
        request_id: None,
        extra_data: AuditExtra {
            count: Some(signed),
            ..AuditExtra::default()
        },
    };
    let mac = Arc::new(KeyringMac(Arc::new(keyring)));
    let signed = storage.sign_rows(mac, row).await?;
    tokio::task::spawn_blocking(move || storage.close()).await?;
    Ok(SignRowsDone {
        store: shown,
        signed,
    })
}
