//! SSH certificates, read by `ssh-keygen` and tried at a real server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use scaivault_connectors::ssh::Ssh;
use scaivault_core::dynamic::{Revocation, Role};
use scaivault_core::ports::{
    AccountCall, AccountRequest, Accounts, Call, Connector, Effect, NewAccount, OldAccount,
};
use scaivault_core::target::{Overlap, TroubleKind};
use scaivault_core::time::Timestamp;
use scaivault_peers::sshd::{Sshd, describe, describe_revoked, keygen};
use serde_json::{Map, Value, json};

use crate::accounts::{all_applied, plain, role};

const HOUR: Duration = Duration::from_secs(3_600);
const NAME: &str = "v_ops_abcdefgabcdefghijabc";

/// Servers have no other clock than this machine's.
#[expect(clippy::disallowed_methods, reason = "a real server has real time")]
fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    Timestamp::from_secs(i64::try_from(since.as_secs()).expect("a time"))
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("an object")
}

fn ops(settings: Value) -> Role {
    Role {
        name: "ops".to_owned(),
        settings: object(settings),
        ..role(Vec::new())
    }
}

/// Who signs.
struct Authority {
    private: String,
    public: String,
}

impl Authority {
    fn of(args: &[&str]) -> Self {
        let (private, public) = keygen(args);
        Self { private, public }
    }

    /// The list that revokes these.
    fn revoking(&self, names: &[&str]) -> Vec<u8> {
        let manager = plain(&json!({"private_key": self.private}).to_string());
        let settings = Map::new();
        let call = AccountCall {
            settings: &settings,
            manager: Some(&manager),
        };
        Ssh.revocation_list(&call, names, now()).expect("a list")
    }

    async fn create(
        &self,
        role: &Role,
        params: Value,
        from: Timestamp,
        until: Timestamp,
    ) -> Effect {
        let manager = plain(&json!({"private_key": self.private}).to_string());
        let (settings, params) = (Map::new(), object(params));
        let call = AccountCall {
            settings: &settings,
            manager: Some(&manager),
        };
        let new = NewAccount {
            name: NAME,
            password: &plain("not-used"),
            expires_at: until,
            role,
            request: AccountRequest {
                holder: "alice@example.com",
                asked_at: from,
                params: &params,
            },
        };
        Ssh.create(&call, &new).await
    }

    /// For an hour from now.
    async fn signed(&self, role: &Role, params: Value) -> Map<String, Value> {
        fields(self.create(role, params, now(), now().plus(HOUR)).await)
    }
}

fn fields(effect: Effect) -> Map<String, Value> {
    let Effect::Applied(fields) = effect else {
        panic!("{effect:?}");
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let pairs = fields.into_iter();
    pairs
        .map(|field| (field.name, Value::String(text(field.value.expose()))))
        .collect()
}

fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).expect("a text")
}

/// Keys of every kind and form sign; `ssh-keygen` reads what they signed and a server takes it.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_key_signs_what_a_server_takes() {
    let role = ops(json!({"default_user": "deploy", "default_extensions": {"permit-pty": ""}}));
    for args in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa", "-b", "256"],
        &["-t", "ecdsa", "-b", "384"],
        &["-t", "ecdsa", "-b", "521"],
        &["-t", "ecdsa", "-b", "256", "-m", "PEM"],
        &["-t", "ecdsa", "-b", "384", "-m", "PKCS8"],
        &["-t", "rsa", "-b", "2048"],
        &["-t", "rsa", "-b", "3072", "-m", "PEM"],
        &["-t", "rsa", "-b", "2048", "-m", "PKCS8"],
    ] {
        let authority = Authority::of(args);
        let made = authority.signed(&role, json!({"generate": true})).await;
        let told = describe(text(&made, "signed_key"));
        assert!(told.contains("user certificate"), "{args:?}: {told}");
        assert!(told.contains(&format!("Key ID: \"{NAME}\"")), "{told}");
        let serial = format!("Serial: {}\n", text(&made, "serial_number"));
        assert!(told.contains(&serial), "{told}");
        let server = Sshd::start(&authority.public, "deploy");
        let pair = (text(&made, "private_key"), text(&made, "signed_key"));
        let said = server.run(pair, None, "echo in");
        assert_eq!(said.as_deref(), Ok("in\n"), "{args:?}: {}", server.log());
        assert!(server.log().contains(NAME), "the log names the lease");
    }
}

/// A server lets in whom the certificate names, for as long as it says, and nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_refuses_other_principals_times_and_authorities() {
    let authority = Authority::of(&["-t", "ed25519"]);
    let server = Sshd::start(&authority.public, "deploy");
    let role = ops(json!({"allowed_users": "deploy,web-*", "default_user": "deploy"}));
    let (private, public) = keygen(&["-t", "ecdsa"]);
    let asked = |principal: &str| json!({"public_key": public, "valid_principals": principal});
    let tried = |made: &Map<String, Value>| {
        let pair = (private.as_str(), text(made, "signed_key"));
        server.run(pair, None, "echo in").is_ok()
    };
    assert!(tried(&authority.signed(&role, asked("deploy")).await));
    assert!(!tried(&authority.signed(&role, asked("web-1")).await));
    let (long_ago, just_now) = (now().minus(HOUR), now().minus(Duration::from_secs(1)));
    let over = authority
        .create(&role, asked("deploy"), long_ago, just_now)
        .await;
    assert!(!tried(&fields(over)), "its end was a second ago");
    let later = now().plus(HOUR);
    let early = authority
        .create(&role, asked("deploy"), later, later.plus(HOUR))
        .await;
    assert!(!tried(&fields(early)), "it has not begun");
    let stranger = Authority::of(&["-t", "ed25519"]);
    assert!(!tried(&stranger.signed(&role, asked("deploy")).await));
}

/// A server that is given the list of what was revoked refuses it before its end, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_refuses_what_its_list_revokes() {
    let role = ops(json!({"default_user": "deploy"}));
    for args in [&["-t", "ed25519"][..], &["-t", "rsa", "-b", "2048"]] {
        let authority = Authority::of(args);
        let server = Sshd::start(&authority.public, "deploy");
        let made = authority.signed(&role, json!({"generate": true})).await;
        let pair = (text(&made, "private_key"), text(&made, "signed_key"));
        let others = authority.revoking(&["v_ops_of-somebody-else", "v_ops_and-another"]);
        for list in [authority.revoking(&[]), others] {
            server.revoke(&list);
            assert!(server.run(pair, None, "true").is_ok(), "{}", server.log());
        }
        let list = authority.revoking(&["v_ops_of-somebody-else", NAME]);
        let told = describe_revoked(&list);
        let serial = format!("serial: {}\n", text(&made, "serial_number"));
        assert!(told.contains(&serial), "{told}");
        server.revoke(&list);
        assert!(server.run(pair, None, "true").is_err());
    }
}

/// What a role sets is in the certificate, and holds at the server.
#[tokio::test(flavor = "multi_thread")]
async fn options_of_the_role_hold() {
    let authority = Authority::of(&["-t", "ed25519"]);
    let server = Sshd::start(&authority.public, "deploy");
    let role = ops(json!({
        "default_user": "deploy",
        "default_critical_options": {"force-command": "echo forced"},
        "default_extensions": {"permit-pty": "", "permit-user-rc": ""},
        "key_id_format": "{{role}} {{identity}}",
    }));
    let made = authority.signed(&role, json!({"generate": true})).await;
    let told = describe(text(&made, "signed_key"));
    for expect in [
        "force-command echo forced",
        "permit-pty",
        "permit-user-rc",
        "ops_alice@example.com",
    ] {
        assert!(told.contains(expect), "{told}");
    }
    assert!(!told.contains("permit-port-forwarding"));
    let pair = (text(&made, "private_key"), text(&made, "signed_key"));
    assert_eq!(server.run(pair, None, "echo in").as_deref(), Ok("forced\n"));
}

/// A host shows its certificate to clients that trust the authority alone.
#[tokio::test(flavor = "multi_thread")]
async fn hosts_are_known_by_their_certificates() {
    let authority = Authority::of(&["-t", "ed25519"]);
    let mut server = Sshd::start(&authority.public, "deploy");
    let user = ops(json!({"default_user": "deploy"}));
    let made = authority.signed(&user, json!({"generate": true})).await;
    let pair = (text(&made, "private_key"), text(&made, "signed_key"));
    assert!(
        server
            .run(pair, Some(&authority.public), "echo in")
            .is_err()
    );
    let host = ops(json!({"key_type": "host", "allowed_domains": ["127.0.0.1", "*.example.com"]}));
    let asked = json!({"public_key": server.host_key(), "valid_principals": "127.0.0.1"});
    let shown = authority.signed(&host, asked).await;
    assert!(describe(text(&shown, "signed_key")).contains("host certificate"));
    server.restart_with(text(&shown, "signed_key"));
    let said = server.run(pair, Some(&authority.public), "echo in");
    assert_eq!(said.as_deref(), Ok("in\n"));
}

#[tokio::test]
async fn what_cannot_be_signed_is_refused_before() {
    let authority = Authority::of(&["-t", "ed25519"]);
    let good = ops(json!({"default_user": "deploy"}));
    let (_, weak) = keygen(&["-t", "rsa", "-b", "1024"]);
    for params in [
        json!({}),
        json!({"public_key": "x"}),
        json!({"public_key": weak}),
        json!({"generate": true, "valid_principals": "root"}),
        json!({"generate": true, "extensions": {"permit-pty": ""}}),
        json!({"generate": true, "odd": 1}),
    ] {
        let effect = authority
            .create(&good, params.clone(), now(), now().plus(HOUR))
            .await;
        assert!(
            matches!(effect, Effect::NotApplied(_)),
            "{params}: {effect:?}"
        );
        let params = object(params);
        let request = AccountRequest {
            holder: "alice",
            asked_at: now(),
            params: &params,
        };
        assert_eq!(Ssh.check_request(&good, &request).len(), 1, "{params:?}");
    }
    let mut locked = authority;
    (locked.private, _) = keygen(&["-t", "dsa"]);
    let effect = locked
        .create(&good, json!({"generate": true}), now(), now().plus(HOUR))
        .await;
    let Effect::NotApplied(trouble) = &effect else {
        panic!("{effect:?}");
    };
    assert_eq!(trouble.kind, TroubleKind::ManagerMissing);
}

#[tokio::test]
async fn what_was_signed_ends_by_itself_alone() {
    assert!(Ssh.accounts().expect("it makes accounts").ends_by_itself());
    let settings = Map::new();
    let call = AccountCall {
        settings: &settings,
        manager: None,
    };
    let old = OldAccount {
        name: NAME,
        revocation: &Revocation::default(),
    };
    assert!(all_applied(&Accounts::remove(&Ssh, &call, &[old]).await));
    let good = ops(json!({"default_user": "deploy"}));
    let renewed = Ssh.renew(&call, (NAME, &good), now()).await;
    assert!(matches!(renewed, Effect::NotApplied(_)), "{renewed:?}");
    assert_eq!(Ssh.names(&call).await, Ok(Vec::new()));
}

/// A look tells the line that servers trust.
#[tokio::test]
async fn a_look_tells_the_public_key() {
    for args in [
        &["-t", "ed25519"][..],
        &["-t", "ecdsa"],
        &["-t", "rsa", "-b", "2048"],
    ] {
        let authority = Authority::of(args);
        let manager = plain(&json!({"private_key": authority.private}).to_string());
        let nothing = Map::new();
        let call = Call {
            settings: &nothing,
            account: &nothing,
            overlap: Overlap::None,
            manager: Some(&manager),
            tag: "",
            epoch: 1,
            promoted_for: None,
        };
        let check = Ssh.check(&call).await.expect("a look");
        let line = authority.public.rsplit_once(' ').map(|(line, _)| line);
        assert_eq!(Some(check.manager.as_str()), line);
    }
}
