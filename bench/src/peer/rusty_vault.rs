//! The peer: RustyVault, a server for the same purpose with the same kind of interface, built from
//! the Rust package registry at one exact version.
//!
//! It runs as it is shipped, with its file storage. That storage does not sync, there is no audit
//! log (the calls that would switch one on do nothing), no access policies that restrict a token,
//! and a secret has one value and no versions.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use scaivault_peers::free_port;
use serde_json::{Value, json};

use super::dialect;
use crate::server::Server;
use crate::tls::Tls;
use crate::wire::{Connection, Endpoint, request};

pub(crate) const PACKAGE: &str = "rusty_vault";
pub(crate) const VERSION: &str = "0.2.1";
pub(crate) const NAME: &str = "RustyVault 0.2.1";

/// The program, beside this one's build.
pub(crate) fn binary() -> Result<PathBuf> {
    Ok(root()?.join("bin").join("rvault"))
}

fn root() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(2).context("no target directory")?;
    Ok(target.join("peer").join(format!("{PACKAGE}-{VERSION}")))
}

/// Builds and installs it, unless it is there. Needs OpenSSL's headers.
pub(crate) fn install() -> Result<PathBuf> {
    let binary = binary()?;
    if !binary.is_file() {
        let root = root()?;
        let status = Command::new("cargo")
            .args(["install", PACKAGE, "--version", VERSION, "--locked"])
            .arg("--root")
            .arg(&root)
            .arg("--target-dir")
            .arg(root.with_file_name("build"))
            .status()?;
        if !status.success() {
            bail!("{NAME} cannot be built; it needs OpenSSL's headers (libssl-dev)");
        }
    }
    Ok(binary)
}

/// Starts it on an empty directory, initialised and unsealed.
pub(crate) async fn start(dir: &Path, tls: Option<Tls>) -> Result<(Server, dialect::RustyVault)> {
    let binary = binary()?;
    if !binary.is_file() {
        bail!("{NAME} is not installed: run 'scaivault-bench peer --install'");
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let file = dir.join("config.hcl");
    std::fs::write(&file, configuration(dir, address, tls.as_ref()))?;
    let mut command = Command::new(binary);
    command.arg("server").arg("--config").arg(&file);
    let tls = tls.map(|tls| tls.connector);
    let server = Server::at(command, Endpoint { address, tls })?;
    server.answers("/v1/sys/init").await?;
    let mut connection = Connection::open(&server.endpoint).await?;
    let mut ask = async |method: &str, path: &str, token: &str, body: Value| -> Result<Value> {
        let request = request(method, path, token, &body.to_string());
        let answer = connection.ask_well(&request).await?;
        Ok(serde_json::from_slice(answer)?)
    };
    let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let made = ask("PUT", "/v1/sys/init", "none", shares).await?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let key = text(&made["keys"][0]).context("no unseal key")?;
    let root = text(&made["root_token"]).context("no root token")?;
    ask("PUT", "/v1/sys/unseal", "none", json!({ "key": key })).await?;
    let token = json!({ "ttl": "24h", "policies": ["default"] });
    let token = ask("POST", "/v1/auth/token/create", &root, token).await?;
    let reader = text(&token["auth"]["client_token"]).context("no token")?;
    Ok((server, dialect::RustyVault { root, reader }))
}

fn configuration(dir: &Path, address: SocketAddr, tls: Option<&Tls>) -> String {
    let transport = match tls {
        None => "tls_disable = \"true\"".to_owned(),
        Some(tls) => format!(
            "tls_disable = \"false\"\n  tls_disable_client_certs = \"true\"\n  \
             tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"",
            tls.certificate.display(),
            tls.key.display()
        ),
    };
    let dir = dir.display();
    format!(
        "storage \"file\" {{\n  path = \"{dir}/data\"\n}}\n\
         listener \"tcp\" {{\n  address = \"{address}\"\n  {transport}\n}}\n\
         api_addr = \"http://{address}\"\nlog_level = \"error\"\nwork_dir = \"{dir}/work\"\n"
    )
}
