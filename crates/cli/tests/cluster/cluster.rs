//! Nodes before one PostgreSQL, each behind a proxy of its own.

use std::path::{Path, PathBuf};

use scaivault_peers::FaultProxy;
use scaivault_peers::postgresql::Postgresql;
use scaivault_peers::postgresql_pair::PostgresqlPair;

use crate::harness::Api;
use crate::harness::server::scaivault;
use crate::node::Node;

/// The role nodes log in with, and their database.
const ROLE: &str = "scaivault";
const PASSWORD: &str = "nodes-of-a-test";

const NAMES: [&str; 5] = ["node-a", "node-b", "node-c", "node-d", "node-e"];

/// Settings of the stores of these tests.
pub(crate) fn settings() -> Vec<String> {
    ["log_statement=none", "log_connections=off"]
        .map(str::to_owned)
        .to_vec()
}

/// Makes the role and its database.
pub(crate) fn prepare(server: &Postgresql) {
    server.sql(&format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"));
    server.sql(&format!("CREATE DATABASE {ROLE} OWNER {ROLE}"));
}

/// The database's address at these ports.
pub(crate) fn url(ports: &[u16]) -> String {
    let hosts: Vec<_> = ports
        .iter()
        .map(|port| format!("127.0.0.1:{port}"))
        .collect();
    format!("postgresql://{ROLE}:{PASSWORD}@{}/{ROLE}", hosts.join(","))
}

/// Nodes, the token of root, and where they live.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) proxies: Vec<FaultProxy>,
    pub(crate) token: String,
    _home: tempfile::TempDir,
}

impl Cluster {
    /// So many nodes, ready, each behind a proxy before the server at this port.
    pub(crate) async fn start(nodes: usize, backend: u16, env: &[(&str, &str)]) -> Self {
        let proxies: Vec<_> = (0..nodes).map(|_| FaultProxy::start(backend)).collect();
        let urls: Vec<_> = proxies.iter().map(|proxy| url(&[proxy.port()])).collect();
        Self::start_at(&urls, env, proxies).await
    }

    /// One node for each address.
    pub(crate) async fn start_at(
        urls: &[String],
        env: &[(&str, &str)],
        proxies: Vec<FaultProxy>,
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let key_file = home.path().join("root.key");
        let token = init(home.path(), &key_file, &urls[0]);
        let mut nodes = Vec::new();
        for (name, url) in NAMES.into_iter().zip(urls) {
            let mut all: Vec<(String, String)> = env
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            all.push(("DATABASE_URL".to_owned(), url.clone()));
            let file = key_file.display().to_string();
            all.push(("SCAIVAULT_SEAL_KEY_FILE".to_owned(), file));
            let mut node = Node::new(name, home.path(), &all);
            node.start();
            nodes.push(node);
        }
        for node in &mut nodes {
            node.ready().await;
        }
        Self {
            nodes,
            proxies,
            token,
            _home: home,
        }
    }

    /// Everything, with the root token, at this node.
    pub(crate) fn root(&self, node: usize) -> Api {
        self.nodes[node].api(&self.token)
    }

    /// The same at each of them.
    pub(crate) fn roots(&self) -> Vec<Api> {
        self.nodes
            .iter()
            .map(|node| node.api(&self.token))
            .collect()
    }

    /// Another server is behind all proxies.
    pub(crate) fn follow(&self, pair: &PostgresqlPair) {
        for proxy in &self.proxies {
            proxy.set_backend(pair.primary().port());
        }
    }
}

/// `scaivault init`; the token of root.
fn init(home: &Path, key_file: &PathBuf, url: &str) -> String {
    let output = scaivault(home)
        .args(["init", "--key-file"])
        .arg(key_file)
        .env("DATABASE_URL", url)
        .env("SCAIVAULT_SEAL_KEY_FILE", key_file)
        .output()
        .expect("init runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "init: {text}\n{errors}");
    let mut tokens = text
        .split_whitespace()
        .filter(|word| word.starts_with("skt_"));
    tokens.next().expect("the token is shown").to_owned()
}
