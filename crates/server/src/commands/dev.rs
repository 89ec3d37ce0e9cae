//! `scaivault dev`: everything on one loopback port, ready to try.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use scaivault_core::ports::Entropy;
use scaivault_crypto::{RootKey, SystemEntropy};
use scaivault_store::SqliteOptions;
use tokio::net::TcpListener;

use super::root_key::private_dir;
use super::serve::{Serving, run};
use crate::app::HttpSettings;
use crate::assembly::{IssuersFile, open_vault, surface};
use crate::clock::SystemClock;
use crate::config::{Config, Environment};
use crate::egress::EgressPolicy;
use crate::forwarding::Trail;
use crate::logging;
use crate::place::Place;
use crate::storage::Storage;

/// Arguments of `dev`.
#[derive(Debug, Clone)]
pub struct DevArgs {
    /// Where to listen; loopback only.
    pub listen: SocketAddr,
    /// Kept between starts; a private temporary directory otherwise.
    pub data: Option<PathBuf>,
    /// The root token; a random one otherwise.
    pub root_token: Option<String>,
}

/// Runs the development server until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start; the text says why and what to try.
pub fn dev(args: DevArgs) -> Result<()> {
    if !args.listen.ip().is_loopback() {
        bail!(
            "the development server listens on loopback only (127.0.0.1 or [::1]); for anything \
             else use 'scaivault init' and 'scaivault server'"
        );
    }
    if let Some(token) = &args.root_token
        && (token.len() < 8 || !token.bytes().all(|byte| byte.is_ascii_graphic()))
    {
        bail!("--root-token has at least 8 printable characters without spaces");
    }
    if let Some(token) = &args.root_token
        && scaivault_crypto::token::looks_like_token(token)
        && !scaivault_crypto::token::is_well_formed(token)
    {
        bail!(
            "--root-token looks like a token of ScaiVault, but is mistyped: its checksum does not \
             fit. Take another form, or a token as it was printed"
        );
    }
    let config = Config::load(None, &environment())?;
    logging::init(config.log.level, config.log.format, Arc::new(SystemClock))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(args, config))
}

/// The environment, as configuration reads it.
pub(super) fn environment() -> Environment {
    Environment::from_os(std::env::vars_os())
}

async fn serve(args: DevArgs, config: Config) -> Result<()> {
    let listener = TcpListener::bind(args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: is another server running there?",
            args.listen
        )
    })?;
    let address = listener.local_addr()?;
    let temporary = match &args.data {
        Some(_) => None,
        None => Some(
            tempfile::Builder::new()
                .prefix("scaivault-dev-")
                .permissions(std::fs::Permissions::from_mode(0o700))
                .tempdir()?,
        ),
    };
    let data = match (&args.data, &temporary) {
        (Some(data), _) => data.clone(),
        (None, Some(temporary)) => temporary.path().to_owned(),
        (None, None) => bail!("no data directory"),
    };
    private_dir(&data)?;
    let root = dev_root_key(&data, &SystemEntropy)?;
    let token = dev_root_token(&data, args.root_token)?;
    let storage = Storage::open_file(SqliteOptions::file(data.join("scaivault.db")))?;
    let issuers = IssuersFile {
        identity: config.identity.clone(),
        egress: EgressPolicy::dev(),
        asks_clients: false,
    };
    let opened = open_vault(
        storage,
        &root,
        EgressPolicy::dev(),
        config.targets.policy().with_loopback(),
        issuers.read()?,
        config.store.cache_bytes,
    )
    .await?;
    opened.vault.token_root(&token).await?;
    let (front, app) = surface(
        &opened,
        config.rate_limits.clone(),
        HttpSettings::of(&config)?,
    );
    greet(address, &token, args.data.as_deref());
    let deliveries_max = config.webhooks.max_in_flight;
    let limits = config.server.listener_limits();
    run(Serving {
        opened,
        app,
        front,
        listener,
        tls: None,
        issuers,
        limits,
        deliveries_max,
        trail: Trail {
            place: Place::File(data.join("scaivault.db")),
            password_file: None,
            node: "dev".to_owned(),
        },
    })
    .await?;
    drop(temporary);
    Ok(())
}

fn dev_root_key(data: &Path, entropy: &dyn Entropy) -> Result<RootKey> {
    use scaivault_crypto::root::key_file;
    let file = data.join("root.key");
    if file.exists() {
        Ok(key_file::load(&file)?)
    } else {
        Ok(key_file::create(&file, entropy)?)
    }
}

/// The given token, or the one this directory was first started with.
fn dev_root_token(data: &Path, given: Option<String>) -> Result<String> {
    let file = data.join("dev-root-token");
    if let Some(token) = given {
        return Ok(token);
    }
    if let Ok(token) = std::fs::read_to_string(&file) {
        return Ok(token.trim().to_owned());
    }
    let token = scaivault_crypto::token::mint(&SystemEntropy)
        .expose()
        .to_owned();
    super::root_key::write_private(&file, token.as_bytes())?;
    Ok(token)
}

fn greet(address: SocketAddr, token: &str, data: Option<&Path>) {
    let kept = match data {
        Some(data) => format!("kept in {}", data.display()),
        None => "in a temporary directory, removed at exit".to_owned(),
    };
    let text = format!(
        "ScaiVault dev server: http://{address}\n\
         Root token: {token}\n\
         Data: {kept}\n\
         Not for production: the root token is printed, the root key lies beside the data, \
         there is no TLS, and webhooks may go to http://127.0.0.1.\n\n\
         Try this:\n\n  \
         export SCAIVAULT_URL=http://{address} SCAIVAULT_TOKEN={token}\n  \
         curl -X PUT $SCAIVAULT_URL/v1/secrets/hello/world -H \"Authorization: Bearer \
         $SCAIVAULT_TOKEN\" -d '{{\"data\": {{\"greeting\": \"hello\"}}}}'\n  \
         curl $SCAIVAULT_URL/v1/secrets/hello/world -H \"Authorization: Bearer \
         $SCAIVAULT_TOKEN\"\n\n"
    );
    let mut out = std::io::stdout().lock();
    // Nobody may be listening; the server serves all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
