//! Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use scaivault_connectors::redis::Redis as Connector;
use scaivault_core::ports::{Call, Connector as _, Effect, Login, Refusal, Sessions};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_peers::redis::Redis as Peer;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::conformance::{AllowAll, Session, Subject, assert_applied, conformance, merged, plain};

const MANAGER: &str = r#"{"username":"manager","password":"manager-password"}"#;
const RULES: &str = "+@read +config|get ~app:* %R~shared:* &news:* (+set ~own:*)";
pub(crate) const MINIMAL: &str = "+acl|whoami +acl|getuser +acl|setuser +acl|deluser +acl|users +acl|save \
     +acl|dryrun +client|id +client|list +client|kill +config|get +config|rewrite +info";

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn value(user: &str, password: &str) -> String {
    json!({"username": user, "password": password, "database": 3}).to_string()
}

/// A consumer's connection, spoken in inline commands.
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn open(peer: &Peer, user: &str, password: &str) -> Option<Self> {
        let mut raw = Self(TcpStream::connect(peer.address()).await.expect("connected"));
        let said = raw.say(&format!("AUTH {user} {password}")).await;
        (said == "+OK").then_some(raw)
    }

    pub(crate) async fn say(&mut self, line: &str) -> String {
        let sent = self.0.write_all(format!("{line}\r\n").as_bytes()).await;
        let mut bytes = [0; 512];
        match (sent, self.0.read(&mut bytes).await) {
            (Ok(()), Ok(read)) => String::from_utf8_lossy(&bytes[..read])
                .trim_end()
                .to_owned(),
            _ => String::new(),
        }
    }
}

#[async_trait]
impl Session for Raw {
    async fn works(&mut self) -> bool {
        self.say("GET app:x").await == "$-1"
    }

    async fn close(self: Box<Self>) {}
}

struct Rig {
    peers: Vec<Peer>,
    overlap: Overlap,
}

impl Rig {
    fn new(peers: Vec<Peer>, overlap: Overlap) -> Self {
        for peer in &peers {
            peer.cli("CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 100000");
            peer.cli(&format!(
                "ACL SETUSER manager on >manager-password {MINIMAL}"
            ));
            match overlap {
                Overlap::TwoPasswords => {
                    peer.cli(&format!("ACL SETUSER app on >first-password {RULES}"));
                }
                _ => {
                    peer.cli(&format!("ACL SETUSER app_a on >first-password {RULES}"));
                    peer.cli(&format!("ACL SETUSER app_b off {RULES}"));
                }
            }
        }
        Self { peers, overlap }
    }

    fn one(overlap: Overlap) -> Self {
        Self::new(vec![Peer::start()], overlap)
    }

    fn call<'a>(&self, parts: &'a Parts) -> Call<'a> {
        Call {
            settings: &parts.settings,
            account: &parts.account,
            overlap: self.overlap,
            manager: Some(&parts.manager),
            tag: "rot_01JABCDEFGHJKMNPQRSTVWXYZ0",
            epoch: 1,
            promoted_for: None,
        }
    }

    fn parts(&self) -> Parts {
        Parts {
            settings: self.settings(),
            account: self.account(),
            manager: plain(MANAGER),
        }
    }
}

struct Parts {
    settings: Map<String, Value>,
    account: Map<String, Value>,
    manager: scaivault_core::plaintext::Plaintext,
}

#[async_trait]
impl Subject for Rig {
    fn connector(&self) -> Arc<dyn scaivault_core::ports::Connector> {
        Arc::new(connector())
    }

    fn overlap(&self) -> Overlap {
        self.overlap
    }

    fn settings(&self) -> Map<String, Value> {
        match self.peers.as_slice() {
            [peer] => object(json!({"host": "127.0.0.1", "port": peer.port()})),
            all => {
                let nodes: Vec<_> = all
                    .iter()
                    .map(|p| format!("127.0.0.1:{}", p.port()))
                    .collect();
                object(json!({"nodes": nodes}))
            }
        }
    }

    fn dead_settings(&self) -> Map<String, Value> {
        let port = scaivault_peers::free_port();
        object(json!({"nodes": [format!("127.0.0.1:{port}")]}))
    }

    fn account(&self) -> Map<String, Value> {
        match self.overlap {
            Overlap::TwoPasswords => object(json!({"account": "app"})),
            _ => object(json!({"accounts": ["app_a", "app_b"]})),
        }
    }

    fn manager(&self) -> String {
        MANAGER.to_owned()
    }

    fn first(&self) -> String {
        match self.overlap {
            Overlap::TwoPasswords => value("app", "first-password"),
            _ => value("app_a", "first-password"),
        }
    }

    /// Every node has to say the same.
    async fn accepts(&self, credential: &str) -> bool {
        let (user, password) = pair(credential);
        let mut all = Vec::new();
        for peer in &self.peers {
            all.push(Raw::open(peer, &user, &password).await.is_some());
        }
        assert!(
            all.iter().all(|each| *each == all[0]),
            "nodes differ: {all:?}"
        );
        all[0]
    }

    async fn open_session(&self, credential: &str) -> Box<dyn Session> {
        let (user, password) = pair(credential);
        let raw = Raw::open(&self.peers[0], &user, &password).await;
        Box::new(raw.expect("accepted"))
    }

    async fn fingerprint(&self) -> String {
        let mut out = String::new();
        for peer in &self.peers {
            let list = peer.cli("ACL LIST");
            for line in list.lines().filter(|line| line.starts_with("user app")) {
                let state = |word: &&str| !word.starts_with('#') && !["on", "off"].contains(word);
                let kept: Vec<_> = line.split(' ').filter(state).collect();
                out.push_str(&kept.join(" "));
                out.push('\n');
            }
        }
        out
    }

    async fn log_text(&self) -> String {
        let peer = &self.peers[0];
        let logs = [
            peer.cli("SLOWLOG GET -1"),
            peer.cli("ACL LOG 1000"),
            peer.log(),
        ];
        format!("{}{}", logs.join("\n"), peer.acl_file())
    }

    fn log_holds(&self) -> &'static str {
        "SETUSER"
    }

    async fn weak_manager(&self) -> Option<String> {
        for peer in &self.peers {
            peer.cli("ACL SETUSER weak on >weak-password");
        }
        Some(value("weak", "weak-password"))
    }

    async fn cure(&self, statements: &[String]) -> bool {
        for peer in &self.peers {
            for statement in statements {
                peer.cli(statement);
            }
        }
        true
    }

    fn fences(&self) -> bool {
        false
    }

    /// Sessions of one user are told apart by their age in whole seconds, which is too coarse for
    /// the suite: [`sessions_of_the_old_password_are_told_by_their_age`] does it.
    fn has_sessions(&self) -> bool {
        self.overlap == Overlap::TwoUsers
    }
}

fn pair(credential: &str) -> (String, String) {
    let field = crate::conformance::field;
    (field(credential, "username"), field(credential, "password"))
}

fn connector() -> Connector {
    Connector::new(Arc::new(AllowAll))
}

async fn applied(call: &Call<'_>, candidate: &str, current: &str) -> Effect {
    let (candidate, current) = (plain(candidate), plain(current));
    connector()
        .apply(call, Some(&candidate), Some(&current))
        .await
}

fn assert_not_applied(effect: &Effect, kind: TroubleKind) {
    let told = matches!(effect, Effect::NotApplied(trouble) if trouble.kind == kind);
    assert!(told, "{effect:?}, not {kind:?}");
}

#[tokio::test]
async fn two_passwords() {
    conformance(&Rig::one(Overlap::TwoPasswords)).await;
}

#[tokio::test]
async fn two_users() {
    conformance(&Rig::one(Overlap::TwoUsers)).await;
}

#[tokio::test]
async fn two_passwords_at_two_nodes() {
    conformance(&Rig::new(Peer::start_two().into(), Overlap::TwoPasswords)).await;
}

#[tokio::test]
async fn users_in_the_configuration_file() {
    let peer = Peer::start_with_config_file();
    conformance(&Rig::new_with(peer)).await;
}

impl Rig {
    fn new_with(peer: Peer) -> InConfigFile {
        InConfigFile(Self::new(vec![peer], Overlap::TwoUsers))
    }
}

/// The same, with its users in another file.
struct InConfigFile(Rig);

#[async_trait]
impl Subject for InConfigFile {
    fn connector(&self) -> Arc<dyn scaivault_core::ports::Connector> {
        self.0.connector()
    }
    fn overlap(&self) -> Overlap {
        self.0.overlap
    }
    fn settings(&self) -> Map<String, Value> {
        self.0.settings()
    }
    fn dead_settings(&self) -> Map<String, Value> {
        self.0.dead_settings()
    }
    fn account(&self) -> Map<String, Value> {
        self.0.account()
    }
    fn manager(&self) -> String {
        self.0.manager()
    }
    fn first(&self) -> String {
        self.0.first()
    }
    async fn accepts(&self, credential: &str) -> bool {
        self.0.accepts(credential).await
    }
    async fn open_session(&self, credential: &str) -> Box<dyn Session> {
        self.0.open_session(credential).await
    }
    async fn fingerprint(&self) -> String {
        self.0.fingerprint().await
    }
    async fn log_text(&self) -> String {
        let peer = &self.0.peers[0];
        format!("{}{}", peer.cli("SLOWLOG GET -1"), peer.config_file())
    }
    fn log_holds(&self) -> &'static str {
        // In the file alone.
        "user app_a"
    }
    fn fences(&self) -> bool {
        false
    }
}

/// A rotation survives a restart, in each of the two files.
#[tokio::test]
async fn what_was_applied_survives_a_restart() {
    for peer in [Peer::start(), Peer::start_with_config_file()] {
        let mut rig = Rig::new(vec![peer], Overlap::TwoPasswords);
        let (parts, first) = (rig.parts(), rig.first());
        let next = value("app", "second-password");
        let connector = connector();
        let added = applied(&rig.call(&parts), &next, &first).await;
        assert_applied(&added);
        rig.peers[0].restart();
        assert!(rig.accepts(&next).await && rig.accepts(&first).await);
        let call = rig.call(&parts);
        assert_applied(
            &connector
                .retire(&call, &plain(&first), Some(&plain(&next)))
                .await,
        );
        rig.peers[0].restart();
        assert!(rig.accepts(&next).await && !rig.accepts(&first).await);
    }
}

#[tokio::test]
async fn a_server_that_forgets_is_refused_unless_that_is_accepted() {
    let rig = Rig::new(vec![Peer::start_volatile()], Overlap::TwoPasswords);
    let (mut parts, first) = (rig.parts(), rig.first());
    let next = value("app", "second-password");
    let connector = connector();
    let found = connector.check(&rig.call(&parts)).await.expect("a look");
    assert!(found.missing[0].statement.contains("aclfile"), "{found:?}");
    let effect = applied(&rig.call(&parts), &next, &first).await;
    assert_not_applied(&effect, TroubleKind::Settings);
    assert!(!rig.accepts(&next).await);

    parts.settings.insert("volatile_ok".into(), json!(true));
    let found = connector.check(&rig.call(&parts)).await.expect("a look");
    assert_eq!(found.missing, []);
    assert!(found.warnings[0].contains("memory"), "{found:?}");
    let effect = applied(&rig.call(&parts), &next, &first).await;
    assert_applied(&effect);
    assert!(rig.accepts(&next).await);
}

/// A server that cannot write its file is found out before anything is changed.
#[tokio::test]
async fn what_cannot_be_saved_is_not_done() {
    let rig = Rig::one(Overlap::TwoPasswords);
    let (parts, first) = (rig.parts(), rig.first());
    let next = value("app", "second-password");
    let path = rig.peers[0].acl_path();
    std::fs::remove_file(&path).expect("removed");
    std::fs::create_dir(&path).expect("a directory in its place");
    let call = rig.call(&parts);
    let effect = applied(&call, &next, &first).await;
    assert_not_applied(&effect, TroubleKind::Protocol);
    assert!(!rig.accepts(&next).await && rig.accepts(&first).await);
}

#[tokio::test]
async fn one_dead_node_of_two_leaves_everything_as_it_was() {
    let mut rig = Rig::new(Peer::start_two().into(), Overlap::TwoPasswords);
    let (parts, first) = (rig.parts(), rig.first());
    let next = value("app", "second-password");
    rig.peers[1].kill();
    let call = rig.call(&parts);
    let effect = applied(&call, &next, &first).await;
    assert_not_applied(&effect, TroubleKind::Unreachable);
    let alive = Raw::open(&rig.peers[0], "app", "second-password").await;
    assert!(alive.is_none(), "the node that is up was changed");
    rig.peers[1].restart();
}

/// One node refuses the change: the other has it, so nobody knows, and the same again converges.
#[tokio::test]
async fn nodes_that_differ_are_unknown_until_the_same_is_done_again() {
    let rig = Rig::new(Peer::start_two().into(), Overlap::TwoPasswords);
    let (parts, first) = (rig.parts(), rig.first());
    let next = value("app", "second-password");
    let minus = "ACL SETUSER manager -acl|setuser";
    rig.peers[1].cli(minus);
    let connector = connector();
    let call = rig.call(&parts);
    let found = connector.check(&call).await.expect("a look");
    let lacking: Vec<_> = found.missing.iter().map(|m| m.statement.as_str()).collect();
    assert_eq!(lacking, ["ACL SETUSER manager +acl|setuser"]);
    match applied(&call, &next, &first).await {
        Effect::Unknown(trouble) => assert_eq!(trouble.kind, TroubleKind::Privilege),
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        connector.login(&call, &plain(&next)).await,
        Login::Unknown(_)
    ));
    rig.peers[1].cli("ACL SETUSER manager +acl|setuser");
    assert_applied(&applied(&call, &next, &first).await);
    assert_eq!(connector.login(&call, &plain(&next)).await, Login::Accepted);
}

#[tokio::test]
async fn a_server_that_hangs_is_not_changed() {
    let rig = Rig::one(Overlap::TwoPasswords);
    let (parts, first) = (rig.parts(), rig.first());
    let next = value("app", "second-password");
    rig.peers[0].pause(true);
    let call = rig.call(&parts);
    let effect = applied(&call, &next, &first).await;
    assert_not_applied(&effect, TroubleKind::TimedOut);
    rig.peers[0].pause(false);
    assert!(!rig.accepts(&next).await && rig.accepts(&first).await);
}

/// The age that the server tells of the user's oldest session.
fn age(peer: &Peer) -> u64 {
    let list = peer.cli("CLIENT LIST");
    let ages = list
        .lines()
        .filter(|line| line.contains(" user=app "))
        .map(|line| {
            let age = line.split(' ').find_map(|pair| pair.strip_prefix("age="));
            age.and_then(|age| age.parse().ok()).expect("an age")
        });
    ages.max().expect("a session")
}

#[tokio::test]
async fn sessions_of_the_old_password_are_told_by_their_age() {
    let rig = Rig::one(Overlap::TwoPasswords);
    let (parts, first) = (rig.parts(), rig.first());
    let next = value("app", "second-password");
    let connector = connector();
    let call = rig.call(&parts);
    let mut old = rig.open_session(&first).await;
    let again = Raw::open(&rig.peers[0], "app", "first-password").await;
    let mut again = again.expect("accepted");
    assert_applied(&applied(&call, &next, &first).await);
    assert_eq!(
        connector.sessions(&call, &plain(&first)).await,
        Sessions::Open(2)
    );
    let begun = Instant::now();
    while age(&rig.peers[0]) < 4 {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "sessions grow no older"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut new = rig.open_session(&next).await;
    // A login on an open connection does not make it younger.
    assert_eq!(again.say("AUTH app second-password").await, "+OK");
    let call = Call {
        promoted_for: Some(Duration::from_secs(2)),
        ..call
    };
    assert_eq!(
        connector.sessions(&call, &plain(&first)).await,
        Sessions::Open(2)
    );
    assert_applied(
        &connector
            .retire(&call, &plain(&first), Some(&plain(&next)))
            .await,
    );
    assert!(!old.works().await && !again.works().await && new.works().await);
    assert_eq!(
        connector.sessions(&call, &plain(&first)).await,
        Sessions::Open(0)
    );
}

/// A user that takes any password would be closed by one more: nothing is done.
#[tokio::test]
async fn users_that_are_not_fit_are_left_alone() {
    let rig = Rig::one(Overlap::TwoPasswords);
    let (mut parts, connector) = (rig.parts(), connector());
    for (user, rules, kind) in [
        ("open", "on nopass", TroubleKind::Settings),
        ("locked", "off >some-password", TroubleKind::Settings),
        ("gone", "", TroubleKind::NoAccount),
    ] {
        if !rules.is_empty() {
            rig.peers[0].cli(&format!("ACL SETUSER {user} {rules}"));
        }
        let before = rig.peers[0].cli("ACL LIST");
        parts.account = object(json!({"account": user}));
        let next = plain(&value(user, "second-password"));
        let effect = connector.apply(&rig.call(&parts), Some(&next), None).await;
        assert_not_applied(&effect, kind);
        assert_eq!(rig.peers[0].cli("ACL LIST"), before);
    }
}

/// The candidate of another account, and the password the manager itself uses, are refused.
#[tokio::test]
async fn values_of_other_accounts_are_refused() {
    let rig = Rig::one(Overlap::TwoPasswords);
    let (mut parts, connector) = (rig.parts(), connector());
    let before = rig.peers[0].cli("ACL LIST");
    let other = plain(&value("default", "x"));
    let effect = connector.apply(&rig.call(&parts), Some(&other), None).await;
    assert_not_applied(&effect, TroubleKind::Credential);
    parts.account = object(json!({"account": "manager"}));
    let effect = connector
        .retire(&rig.call(&parts), &plain(MANAGER), None)
        .await;
    assert_not_applied(&effect, TroubleKind::Credential);
    assert_eq!(rig.peers[0].cli("ACL LIST"), before);
}

#[tokio::test]
async fn the_manager_changes_its_own_password() {
    let rig = Rig::new(Peer::start_two().into(), Overlap::TwoPasswords);
    let (mut parts, connector) = (rig.parts(), connector());
    let next = merged(MANAGER, &[("password", "manager-second")]);
    for _ in 0..2 {
        assert_applied(
            &connector
                .apply_manager(&rig.call(&parts), &plain(&next))
                .await,
        );
        assert!(rig.accepts(&next).await && rig.accepts(MANAGER).await);
    }
    // The old one is retired like any other, by the manager with its new password.
    parts.manager = plain(&next);
    parts.account = object(json!({"account": "manager"}));
    let call = rig.call(&parts);
    assert_applied(
        &connector
            .retire(&call, &plain(MANAGER), Some(&plain(&next)))
            .await,
    );
    assert!(rig.accepts(&next).await && !rig.accepts(MANAGER).await);
    let other = plain(&value("app", "x"));
    let effect = connector.apply_manager(&call, &other).await;
    assert_not_applied(&effect, TroubleKind::Credential);
}

#[tokio::test]
async fn encrypted_connections_are_verified() {
    let peer = Peer::start_tls();
    let (ca, port) = (peer.ca_pem(), peer.port());
    let rig = Rig::new(vec![peer], Overlap::TwoPasswords);
    let mut parts = rig.parts();
    let first = plain(&rig.first());
    for (settings, kind) in [
        (
            json!({"host": "localhost", "port": port, "tls": "verify", "ca_pem": ca}),
            None,
        ),
        (
            json!({"host": "localhost", "port": port, "tls": "verify"}),
            Some(TroubleKind::Tls),
        ),
        (
            json!({"host": "127.0.0.1", "port": port, "tls": "verify", "ca_pem": ca}),
            Some(TroubleKind::Tls),
        ),
        (
            json!({"host": "localhost", "port": port, "tls": "off"}),
            Some(TroubleKind::Unreachable),
        ),
    ] {
        parts.settings = object(settings);
        let login = connector().login(&rig.call(&parts), &first).await;
        match (login, kind) {
            (Login::Accepted, None) => {}
            (Login::Unknown(trouble), Some(kind)) => assert_eq!(trouble.kind, kind),
            (login, kind) => panic!("{login:?}, not {kind:?}"),
        }
    }
}

/// Under two users a late change is swept by the next one; under two passwords it is taken away
/// when it is retired by name.
#[tokio::test]
async fn a_late_change_is_undone_by_what_follows() {
    let rig = Rig::one(Overlap::TwoUsers);
    let (parts, connector) = (rig.parts(), connector());
    let call = rig.call(&parts);
    let (a, late, b) = (
        rig.first(),
        value("app_b", "late"),
        value("app_b", "second"),
    );
    assert_applied(&applied(&call, &late, &a).await);
    assert_applied(&applied(&call, &b, &a).await);
    assert!(!rig.accepts(&late).await && rig.accepts(&b).await);

    let rig = Rig::one(Overlap::TwoPasswords);
    let parts = rig.parts();
    let call = rig.call(&parts);
    let (first, late) = (rig.first(), value("app", "late"));
    assert_applied(&applied(&call, &late, &first).await);
    assert!(rig.accepts(&late).await);
    assert_applied(
        &connector
            .retire(&call, &plain(&late), Some(&plain(&first)))
            .await,
    );
    assert!(!rig.accepts(&late).await && rig.accepts(&first).await);
}

/// A statement for a hostile name is one statement to `redis-cli`, about that very name.
#[tokio::test]
async fn statements_about_hostile_names_are_one_statement() {
    let rig = Rig::one(Overlap::TwoPasswords);
    let (mut parts, connector) = (rig.parts(), connector());
    for name in ["a\"b\\c'd;#é", "-", "\u{202e}x", &"n".repeat(256)] {
        parts.account = object(json!({"account": name}));
        let found = connector.check(&rig.call(&parts)).await.expect("a look");
        let [missing] = found.missing.as_slice() else {
            panic!("{name}: {:?}", found.missing)
        };
        assert_eq!(rig.peers[0].cli(&missing.statement), "OK");
        let found = connector.check(&rig.call(&parts)).await.expect("a look");
        assert_eq!(found.missing, [], "{name}");
        let next = plain(&value(name, "some-password"));
        let call = rig.call(&parts);
        assert_applied(&connector.apply(&call, Some(&next), None).await);
        assert_eq!(connector.login(&call, &next).await, Login::Accepted);
        let wrong = plain(&value(name, "another"));
        let refused = Login::Refused(Refusal::Credential);
        assert_eq!(connector.login(&call, &wrong).await, refused);
    }
}

/// A way to the server that ends at the command to change a user: after it was handed on, or
/// before.
async fn cutting(peer: &Peer, hand_on: bool) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let (port, server) = (
        listener.local_addr().expect("an address").port(),
        peer.address(),
    );
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(server).await.expect("connected");
            let (mut asked, mut said) = (vec![0; 1 << 16], vec![0; 1 << 16]);
            loop {
                tokio::select! {
                    read = client.read(&mut asked) => {
                        let Ok(read @ 1..) = read else { break };
                        let last = asked[..read].windows(7).any(|word| word == b"SETUSER");
                        if !last || hand_on {
                            server.write_all(&asked[..read]).await.expect("sent");
                        }
                        if last {
                            // What the server says to it is awaited and lost.
                            if hand_on {
                                let _ = server.read(&mut said).await;
                            }
                            break;
                        }
                    }
                    read = server.read(&mut said) => {
                        let Ok(read @ 1..) = read else { break };
                        client.write_all(&said[..read]).await.expect("sent");
                    }
                }
            }
        }
    });
    port
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_the_same_again_converges() {
    for hand_on in [true, false] {
        let rig = Rig::one(Overlap::TwoPasswords);
        let (mut parts, first) = (rig.parts(), rig.first());
        let next = value("app", "second-password");
        let straight = parts.settings.clone();
        let port = cutting(&rig.peers[0], hand_on).await;
        parts.settings.insert("port".into(), json!(port));
        match applied(&rig.call(&parts), &next, &first).await {
            Effect::Unknown(trouble) => assert_eq!(trouble.kind, TroubleKind::Interrupted),
            other => panic!("{other:?}"),
        }
        assert_eq!(rig.accepts(&next).await, hand_on);
        assert!(rig.accepts(&first).await);
        let saved = rig.peers[0].acl_file();
        parts.settings = straight;
        assert_applied(&applied(&rig.call(&parts), &next, &first).await);
        assert!(rig.accepts(&next).await && rig.accepts(&first).await);
        // What was changed and not saved is saved now.
        assert_ne!(rig.peers[0].acl_file(), saved);
    }
}
