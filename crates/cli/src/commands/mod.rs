//! One file per command.

pub(crate) mod audit;
pub(crate) mod auth;
pub(crate) mod config;
pub(crate) mod dynamic;
pub(crate) mod import;
pub(crate) mod lease;
pub(crate) mod policy;
pub(crate) mod role;
pub(crate) mod rotation;
pub(crate) mod secret_policy;
pub(crate) mod secrets;
#[cfg(feature = "server")]
pub(crate) mod serve;
pub(crate) mod store;
pub(crate) mod target;
pub(crate) mod tenancy;
pub(crate) mod token;
pub(crate) mod webhook;

use anyhow::Context;
use scaivault_client::{Client, ClientError};

use crate::args::{Cli, Command, Flags};
use crate::config::ConfigFile;
use crate::connect;
use crate::output::Output;
use crate::settings::Settings;

/// What a command works with.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) output: Output,
}

/// Runs a command. The server's own commands build their own runtime.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    #[cfg(feature = "server")]
    scaivault_server::keep_private()?;
    let Cli { flags, command } = cli;
    match command {
        #[cfg(feature = "server")]
        Command::Dev(dev) => serve::dev(dev),
        #[cfg(feature = "server")]
        Command::Server(server) => serve::server(server),
        #[cfg(feature = "server")]
        Command::Init(init) => serve::init(init),
        #[cfg(feature = "server")]
        Command::Store(command) if command.is_offline() => command.run_offline(flags.json),
        Command::Config(command) => command.run(&flags),
        Command::Auth(command) => block_on(command.run(&flags)),
        Command::Import(command) => block_on(command.run(&flags)),
        Command::Secrets(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Token(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Role(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Policy(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Rotation(command) => {
            in_session(&flags, async |session| command.run(session).await)
        }
        Command::SecretPolicy(command) => {
            in_session(&flags, async |session| command.run(session).await)
        }
        Command::Store(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Target(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Tenant(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Partner(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Dynamic(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Lease(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Webhook(command) => in_session(&flags, async |session| command.run(session).await),
        Command::Audit(audit::Audit::Verify(verify)) if verify.is_offline() => {
            verify.run_offline(flags.json)
        }
        Command::Audit(audit::Audit::Export(export)) => export.run_offline(flags.json),
        Command::Audit(audit::Audit::Forward(forward)) => forward.run_offline(flags.json),
        Command::Audit(audit::Audit::VerifyExport(verify)) => verify.run_offline(flags.json),
        Command::Audit(command) => in_session(&flags, async |session| command.run(session).await),
    }
}

/// The settings that hold for this call.
pub(crate) fn settings(flags: &Flags) -> anyhow::Result<Settings> {
    let file = ConfigFile::load_own()?;
    Ok(Settings::resolve(
        flags,
        |name| std::env::var(name).ok(),
        &file,
    ))
}

/// Names the server in an error that no server answered.
pub(crate) fn at_server(error: anyhow::Error, client: &Client) -> anyhow::Error {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Transport(_)) => error.context(format!(
            "cannot reach {}",
            client.base_url().trim_end_matches('/')
        )),
        _ => error,
    }
}

fn in_session(
    flags: &Flags,
    command: impl AsyncFnOnce(&mut Session) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let client = connect::client(&settings(flags)?)?;
    let mut session = Session {
        client: client.clone(),
        output: Output::stdout(flags.json),
    };
    block_on(command(&mut session)).map_err(|error| at_server(error, &client))
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(command)
}
