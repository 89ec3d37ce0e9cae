//! Connections of HashiCorp Vault's API: written with their credential by whoever a policy lets, and
//! told to nobody.

use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::dynamic::Connection;
use scaivault_core::identity::Scope;
use scaivault_core::plaintext::Plaintext;
use scaivault_engine::{
    Caller, ConnectionWrite, CredentialRequest, RoleDraft, RoleWrite, VaultError,
};
use scaivault_testkit::SCRIPTED;
use serde_json::{Map, Value};

use crate::world::{World, path, root, scoped, span};

const PLACE: &str = "dynamic/database/config/mydb";
const ROOT: &str = "dynamic/database/root/mydb";
const ENGINE: &str = "database-mydb";

fn connection(allowed: &str) -> ConnectionWrite {
    ConnectionWrite {
        engine: ENGINE.to_owned(),
        place: path(PLACE),
        root: path(ROOT),
        plugin: SCRIPTED.to_owned(),
        settings: Map::from_iter([("host".to_owned(), Value::from("db"))]),
        username: Some("manager".to_owned()),
        password: Some(Plaintext::new(b"manages".to_vec())),
        connection: Connection {
            allowed_roles: vec![allowed.to_owned()],
            ..Connection::default()
        },
        ttls: (span("1h"), span("24h")),
        verify: true,
    }
}

fn denied<T>(outcome: Result<T, VaultError>) -> bool {
    matches!(outcome, Err(VaultError::Denied(_) | VaultError::Scope(_)))
}

#[tokio::test]
async fn who_may_write_a_connection_may_nothing_else() {
    let w = World::new().await;
    let generate = &[
        Scope::DynamicGenerate,
        Scope::SecretsRead,
        Scope::SecretsWrite,
    ];
    let dba = scoped("sa:dba", generate);
    let (write, other) = (connection("reader"), scoped("sa:other", generate));
    assert!(denied(w.vault.connection_write(&dba, &write).await));
    assert!(
        w.head(ROOT).await.is_none(),
        "nothing is written for who may not"
    );
    w.grant("sa:dba", PLACE, &[Permission::Write, Permission::Delete])
        .await;
    // The scope goes with the right.
    let bare = scoped("sa:dba", &[Scope::SecretsWrite]);
    assert!(denied(w.vault.connection_write(&bare, &write).await));
    w.vault.connection_write(&dba, &write).await.unwrap();
    // The trail has it under its own name.
    let rows = w.audit().await;
    let made = rows
        .iter()
        .find(|row| row.action == Action::DynamicEngineCreate && row.success);
    assert_eq!(made.unwrap().identity_id, "sa:dba");
    // The credential is stored, and not its to read or to change.
    assert!(w.head(ROOT).await.is_some());
    assert!(denied(w.vault.secret_read(&dba, &path(ROOT), None).await));
    assert!(denied(w.vault.engine_show(&dba, ENGINE).await));
    let at = (ENGINE, "reader");
    let role = || RoleDraft {
        creation_statements: Some(vec!["CREATE".to_owned()]),
        ..RoleDraft::default()
    };
    assert!(denied(
        w.vault.role_write(&dba, at, RoleWrite::Put, role()).await
    ));
    assert!(denied(w.vault.connection_write(&other, &write).await));

    // Which roles may is heeded whoever asks, by whichever API.
    for name in ["reader", "writer"] {
        let at = (ENGINE, name);
        w.vault
            .role_write(&root(), at, RoleWrite::Put, role())
            .await
            .unwrap();
    }
    let ask = async |who: &Caller, role: &str| {
        let request = CredentialRequest::default();
        w.vault
            .credential_generate(who, ENGINE, role, &request)
            .await
    };
    let made = ask(&root(), "reader").await.unwrap();
    assert!(matches!(
        ask(&root(), "writer").await,
        Err(VaultError::Validation(_))
    ));
    assert!(denied(ask(&dba, "reader").await));

    // It goes when nothing of it is left, and its credential with it.
    let delete = async || {
        let (place, secret) = (path(PLACE), path(ROOT));
        w.vault
            .connection_delete(&dba, ENGINE, &place, &secret)
            .await
    };
    assert!(matches!(delete().await, Err(VaultError::EngineInUse)));
    w.vault.lease_revoke(&root(), &made.lease.id).await.unwrap();
    assert_eq!(w.vault.leases_run_once().await.unwrap(), 1);
    delete().await.unwrap();
    assert!(w.head(ROOT).await.is_none());
    delete().await.unwrap();
}
