//! The server's own commands: their arguments, and the hand-over to the server crate.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use scaivault_server::Plaintext;
use scaivault_server::commands::{self, DevArgs, InitArgs, ServerArgs};

/// Arguments of `dev`.
#[derive(Args)]
pub(crate) struct Dev {
    /// Where to listen; loopback only
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8200")]
    pub(crate) listen: SocketAddr,
    /// Keep everything here; without it everything is gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The root token; without it a random one
    #[arg(
        long,
        value_name = "TOKEN",
        env = "SCAIVAULT_DEV_ROOT_TOKEN",
        hide_env_values = true
    )]
    pub(crate) root_token: Option<String>,
}

/// Arguments of `server`.
#[derive(Args)]
pub(crate) struct Server {
    /// The configuration file; the environment comes before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Print every setting with its default and meaning, and end
    #[arg(long)]
    pub(crate) print_config: bool,
}

/// Arguments of `init`.
#[derive(Args)]
pub(crate) struct Init {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where the embedded store is made
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Where the root key is written, for its owner alone
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: Option<PathBuf>,
    /// Protect the root key by a passphrase, which is asked for
    #[arg(long)]
    pub(crate) passphrase: bool,
}

pub(crate) fn dev(args: Dev) -> anyhow::Result<()> {
    let Dev {
        listen,
        data,
        root_token,
    } = args;
    // An emptied variable is an absent one.
    let root_token = root_token.filter(|token| !token.is_empty());
    commands::dev(DevArgs {
        listen,
        data,
        root_token,
    })
}

pub(crate) fn server(args: Server) -> anyhow::Result<()> {
    let Server {
        config,
        print_config,
    } = args;
    commands::server(ServerArgs {
        config,
        print_config,
    })
}

pub(crate) fn init(args: Init) -> anyhow::Result<()> {
    let Init {
        config,
        data,
        key_file,
        passphrase,
    } = args;
    // With a passphrase file configured nobody is asked.
    let configured = std::env::var_os("SCAIVAULT_SEAL_PASSPHRASE_FILE").map(PathBuf::from);
    let typed_passphrase = match (passphrase, configured) {
        (false, _) => None,
        (true, Some(file)) => Some(commands::passphrase_of_file(&file)?),
        (true, None) => Some(ask_passphrase()?),
    };
    commands::init(InitArgs {
        config,
        data,
        key_file,
        typed_passphrase,
    })
}

fn ask_passphrase() -> anyhow::Result<Plaintext> {
    let first = rpassword::prompt_password("Passphrase (12 characters or more): ")?;
    let second = rpassword::prompt_password("The same again: ")?;
    anyhow::ensure!(first == second, "the two passphrases differ");
    Ok(Plaintext::new(first.into_bytes()))
}
