//! Redis.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use parking_lot::Mutex;
use scaivault_core::target::Overlap;
use scaivault_peers::redis::Redis as Server;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::matrix::{Way, matrix};
use crate::system::{Fresh, Held, Operation, System, text};

const MANAGER_RULES: &str = "+acl|whoami +acl|getuser +acl|setuser +acl|deluser +acl|users \
     +acl|save +acl|dryrun +client|id +client|list +client|kill +config|get +config|rewrite +info";

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    TwoPasswords,
    TwoUsers,
    Manager,
}

pub(crate) struct Redis {
    server: Mutex<Server>,
    port: u16,
    kind: Kind,
}

/// A connection, spoken in inline commands.
struct Raw(TcpStream);

impl Raw {
    async fn open(port: u16, user: &str, password: &str) -> Option<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let mut raw = Self(stream.expect("connected"));
        let said = raw.say(&format!("AUTH {user} {password}")).await;
        match said.as_str() {
            "+OK" => Some(raw),
            refused if refused.starts_with("-WRONGPASS") => None,
            other => panic!("no answer to a login: {other}"),
        }
    }

    async fn say(&mut self, line: &str) -> String {
        let sent = self.0.write_all(format!("{line}\r\n").as_bytes()).await;
        let mut bytes = [0; 16_384];
        match (sent, self.0.read(&mut bytes).await) {
            (Ok(()), Ok(read)) => String::from_utf8_lossy(&bytes[..read])
                .trim_end()
                .to_owned(),
            _ => String::new(),
        }
    }
}

#[async_trait]
impl Held for Raw {
    async fn close(mut self: Box<Self>) {
        let said = self.say("QUIT").await;
        assert!(said == "+OK" || said.is_empty(), "{said}");
        // The server has forgotten a connection when it closes it.
        let mut rest = [0; 16];
        while self.0.read(&mut rest).await.unwrap_or(0) != 0 {}
    }
}

impl Redis {
    pub(crate) fn start(kind: Kind) -> Self {
        let server = Server::start();
        server.cli(&format!("ACL SETUSER manager on >manages {MANAGER_RULES}"));
        Self {
            port: server.port(),
            server: Mutex::new(server),
            kind,
        }
    }

    pub(crate) async fn say(&self, command: &str) -> String {
        let raw = Raw::open(self.port, "default", Server::PASSWORD).await;
        let mut raw = raw.expect("a login");
        let said = raw.say(command).await;
        assert!(!said.starts_with('-'), "{command}: {said}");
        Box::new(raw).close().await;
        said
    }
}

#[async_trait]
impl System for Redis {
    fn name(&self) -> String {
        format!("Redis, {:?}", self.kind)
    }

    fn connector(&self) -> &'static str {
        "redis"
    }

    fn stop(&self) {
        self.server.lock().kill();
    }

    async fn start_again(&self) {
        self.server.lock().restart();
    }

    /// A user's further passwords are left alone: somebody may have added them on purpose.
    fn clears_what_is_put_back(&self) -> bool {
        self.kind == Kind::TwoUsers
    }

    async fn operate(&self, operation: Operation, fresh: &Fresh) {
        let name = &fresh.names[0];
        let commands = match operation {
            Operation::SetManager(to) => vec![format!("ACL SETUSER manager resetpass >{to}")],
            // What comes nearest where passwords do not expire.
            Operation::ExpireManager => vec!["ACL SETUSER manager off".to_owned()],
            Operation::RenewManager => vec!["ACL SETUSER manager on".to_owned()],
            Operation::TakeRight => vec!["ACL SETUSER manager -acl|setuser".to_owned()],
            Operation::Run(statement) => vec![statement],
            Operation::PutBack(password) => {
                let locks = fresh.names.iter().skip(1);
                let locks = locks.map(|other| format!("ACL SETUSER {other} off resetpass"));
                let first = format!("ACL SETUSER {name} on resetpass >{password}");
                std::iter::once(first).chain(locks).collect()
            }
        };
        for command in commands {
            self.say(&command).await;
        }
    }

    async fn fresh(&self, n: usize) -> Fresh {
        let (a, b) = (format!("p{n}_a"), format!("p{n}_b"));
        let (overlap, account, names) = match self.kind {
            Kind::TwoPasswords => {
                let account = json!({"account": a});
                (Overlap::TwoPasswords, account, vec![a.clone()])
            }
            Kind::TwoUsers => {
                let names = vec![a.clone(), b.clone()];
                (Overlap::TwoUsers, json!({"accounts": names}), names)
            }
            Kind::Manager => (Overlap::TwoPasswords, json!({}), vec![a.clone()]),
        };
        let rules = match self.kind {
            Kind::Manager => format!("{MANAGER_RULES} +get ~*"),
            _ => "+get ~*".to_owned(),
        };
        self.say(&format!("ACL SETUSER {a} on >first-{n} {rules}"))
            .await;
        if self.kind == Kind::TwoUsers {
            self.say(&format!("ACL SETUSER {b} off {rules}")).await;
        }
        self.say("ACL SAVE").await;
        let manager = json!({"username": "manager", "password": "manages"});
        Fresh {
            overlap,
            settings: json!({"host": "127.0.0.1", "port": self.port}),
            account,
            first: json!({"username": a, "password": format!("first-{n}"), "note": "stays"}),
            manager: (self.kind != Kind::Manager).then_some(manager),
            names,
        }
    }

    async fn beside(&self, fresh: &Fresh) -> Fresh {
        self.say("ACL SETUSER other on >first +get ~*").await;
        Fresh {
            overlap: Overlap::TwoPasswords,
            settings: fresh.settings.clone(),
            account: json!({"account": "other"}),
            first: json!({"username": "other", "password": "first"}),
            manager: None,
            names: vec!["other".to_owned()],
        }
    }

    async fn log_in(&self, _fresh: &Fresh, credential: &Value) -> Option<Box<dyn Held>> {
        let (user, password) = (text(credential, "username"), text(credential, "password"));
        let raw = Raw::open(self.port, user, password).await?;
        Some(Box::new(raw))
    }

    /// Every hash the server holds for these users must be that of a kept password.
    async fn unknown(&self, fresh: &Fresh, stored: &[Value], _: Option<&str>) -> Vec<String> {
        let hash = |value| hex::encode(digest(&SHA256, text(value, "password").as_bytes()));
        let kept: Vec<String> = stored.iter().map(hash).collect();
        let mut unknown = Vec::new();
        for name in &fresh.names {
            let told = self.say(&format!("ACL GETUSER {name}")).await;
            let is_hash =
                |line: &&str| line.len() == 64 && line.chars().all(|c| c.is_ascii_hexdigit());
            let held = told.lines().map(str::trim).filter(is_hash);
            unknown.extend(
                held.filter(|held| !kept.iter().any(|kept| kept == held))
                    .map(|held| format!("{name} {held}")),
            );
        }
        unknown
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_passwords_at_every_point() {
    let system = Arc::new(Redis::start(Kind::TwoPasswords));
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_users_at_every_point() {
    let system = Arc::new(Redis::start(Kind::TwoUsers));
    for way in Way::ALL {
        matrix(system.clone(), way).await;
    }
}
