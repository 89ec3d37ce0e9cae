//! The calls that tutorials of vaultrs make, against the server in `VAULT_ADDR` with its root token.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use vaultrs::api::ResponseWrapper as _;
use vaultrs::api::auth::approle::requests::SetAppRoleRequest;
use vaultrs::api::kv2::requests::{SetSecretMetadataRequest, SetSecretRequestOptions};
use vaultrs::api::token::requests::{CreateTokenRequest, LookupTokenRequest};
use vaultrs::auth::{approle, userpass};
use vaultrs::client::{Client as _, VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::{cubbyhole, kv1, kv2, sys, token};

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
struct Login {
    user: String,
    password: String,
}

fn login(password: &str) -> Login {
    Login {
        user: "ann".to_owned(),
        password: password.to_owned(),
    }
}

fn client(token: &str) -> VaultClient {
    let address = std::env::var("VAULT_ADDR").expect("an address");
    let settings = VaultClientSettingsBuilder::default()
        .address(address)
        .token(token)
        .build();
    VaultClient::new(settings.expect("settings")).expect("a client")
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, ClientError>, status: u16) {
    match answer {
        Err(ClientError::APIError { code, .. }) if code == status => {}
        other => panic!("not refused with {status}: {other:?}"),
    }
}

async fn system(root: &VaultClient) -> Outcome {
    let health = sys::health(root).await?;
    assert!(health.initialized && !health.sealed);
    sys::status(root).await?;
    assert!(sys::mount::list(root).await?.contains_key("secret/"));
    sys::mount::enable(root, "rs2", "kv-v2", None).await?;
    kv2::config::set(root, "rs2", None).await?;
    kv2::config::read(root, "rs2").await?;
    sys::mount::get_configuration_of_a_secret_engine(root, "rs2").await?;
    sys::mount::disable(root, "rs2").await?;
    let ways = sys::auth::list(root).await?;
    assert!(ways.contains_key("approle/"));
    sys::auth::enable(root, "approle", "approle", None).await?;
    refused(sys::auth::disable(root, "approle").await, 400);
    Ok(())
}

async fn versioned(root: &VaultClient) -> Outcome {
    let path = "rs/app/db";
    assert_eq!(
        kv2::set(root, "secret", path, &login("one")).await?.version,
        1
    );
    let options = SetSecretRequestOptions { cas: 1 };
    kv2::set_with_options(root, "secret", path, &login("two"), options).await?;
    let options = SetSecretRequestOptions { cas: 1 };
    refused(
        kv2::set_with_options(root, "secret", path, &login("no"), options).await,
        400,
    );
    let read: Login = kv2::read(root, "secret", path).await?;
    assert_eq!(read, login("two"));
    let read: Login = kv2::read_version(root, "secret", path, 1).await?;
    assert_eq!(read, login("one"));
    kv2::set_metadata(
        root,
        "secret",
        path,
        Some(SetSecretMetadataRequest::builder().max_versions(5_u64)),
    )
    .await?;
    let told = kv2::read_metadata(root, "secret", path).await?;
    assert_eq!((told.current_version, told.max_versions), (2, 5));
    kv2::delete_latest(root, "secret", path).await?;
    // Of a deleted version the answer tells its metadata, which this client takes for no error of theirs.
    assert!(kv2::read::<Login>(root, "secret", path).await.is_err());
    kv2::undelete_versions(root, "secret", path, vec![2]).await?;
    kv2::delete_versions(root, "secret", path, vec![1]).await?;
    kv2::destroy_versions(root, "secret", path, vec![1]).await?;
    let told = kv2::read_metadata(root, "secret", path).await?;
    assert!(told.versions["1"].destroyed && !told.versions["2"].destroyed);
    assert_eq!(kv2::list(root, "secret", "rs/app").await?, ["db"]);
    kv2::delete_metadata(root, "secret", path).await?;
    refused(kv2::read_metadata(root, "secret", path).await, 404);
    Ok(())
}

async fn plain(root: &VaultClient) -> Outcome {
    sys::mount::enable(root, "rs1", "kv", None).await?;
    kv1::set(root, "rs1", "a/b", &HashMap::from([("k", "v")])).await?;
    let read: HashMap<String, String> = kv1::get(root, "rs1", "a/b").await?;
    assert_eq!(read["k"], "v");
    assert_eq!(kv1::list(root, "rs1", "a").await?.data.keys, ["b"]);
    kv1::get_raw(root, "rs1", "a/b").await?;
    kv1::delete(root, "rs1", "a/b").await?;
    refused(kv1::get_raw(root, "rs1", "a/b").await, 404);
    sys::mount::disable(root, "rs1").await?;
    cubbyhole::set(root, "cubbyhole", "x", &HashMap::from([("k", "v")])).await?;
    let read: HashMap<String, String> = cubbyhole::get(root, "cubbyhole", "x").await?;
    assert_eq!(read["k"], "v");
    cubbyhole::delete(root, "cubbyhole", "x").await?;
    Ok(())
}

async fn policies_and_tokens(root: &VaultClient) -> Outcome {
    let text = "path \"secret/data/rs/*\" { capabilities = [\"read\"] }";
    sys::policy::set(root, "rs", text).await?;
    assert!(
        sys::policy::list(root)
            .await?
            .policies
            .contains(&"rs".to_owned())
    );
    assert!(
        sys::policy::read(root, "rs")
            .await?
            .rules
            .contains("secret/data/rs/*")
    );
    kv2::set(root, "secret", "rs/seen", &login("x")).await?;
    let mut wanted = CreateTokenRequest::builder();
    wanted.policies(vec!["rs".to_owned()]).ttl("1h");
    let made = token::new(root, Some(&mut wanted)).await?;
    let own = client(&made.client_token);
    kv2::read::<Login>(&own, "secret", "rs/seen").await?;
    refused(kv2::set(&own, "secret", "rs/seen", &login("y")).await, 403);
    assert_eq!(token::lookup_self(&own).await?.accessor, made.accessor);
    assert_eq!(
        token::lookup(root, &made.client_token).await?.accessor,
        made.accessor
    );
    token::lookup_accessor(root, &made.accessor).await?;
    assert!(token::renew_self(&own, Some("20m")).await?.renewable);
    token::renew(root, &made.client_token, Some("20m")).await?;
    token::renew_accessor(root, &made.accessor, Some("20m")).await?;
    sys::policy::delete(root, "rs").await?;
    refused(kv2::read::<Login>(&own, "secret", "rs/seen").await, 403);
    token::revoke_accessor(root, &made.accessor).await?;
    refused(token::lookup_self(&own).await, 403);
    let made = token::new_orphan(root, None).await?;
    token::revoke_self(&client(&made.client_token)).await?;
    Ok(())
}

async fn logins(root: &VaultClient) -> Outcome {
    let mut role = SetAppRoleRequest::builder();
    role.token_policies(vec!["default".to_owned()])
        .token_ttl("10m");
    approle::role::set(root, "approle", "rs", Some(&mut role)).await?;
    assert_eq!(
        approle::role::read(root, "approle", "rs").await?.token_ttl,
        600
    );
    assert!(
        approle::role::list(root, "approle")
            .await?
            .keys
            .contains(&"rs".to_owned())
    );
    let role_id = approle::role::read_id(root, "approle", "rs").await?.role_id;
    let secret = approle::role::secret::generate(root, "approle", "rs", None).await?;
    let auth = approle::login(root, "approle", &role_id, &secret.secret_id).await?;
    let told = token::lookup_self(&client(&auth.client_token)).await?;
    assert_eq!(told.policies, ["default"]);
    refused(
        approle::login(root, "approle", &role_id, "wrong").await,
        400,
    );
    let accessor = &secret.secret_id_accessor;
    approle::role::secret::read_accessor(root, "approle", "rs", accessor).await?;
    approle::role::secret::read(root, "approle", "rs", &secret.secret_id).await?;
    approle::role::secret::delete_accessor(root, "approle", "rs", accessor).await?;
    refused(
        approle::login(root, "approle", &role_id, &secret.secret_id).await,
        400,
    );
    approle::role::delete(root, "approle", "rs").await?;

    userpass::user::set(root, "userpass", "rs", "of-the-user", None).await?;
    let users = userpass::user::list(root, "userpass").await?.keys;
    assert!(users.contains(&"rs".to_owned()));
    userpass::login(root, "userpass", "rs", "of-the-user").await?;
    userpass::user::update_password(root, "userpass", "rs", "another-one").await?;
    userpass::user::update_policies(root, "userpass", "rs", "default").await?;
    userpass::login(root, "userpass", "rs", "another-one").await?;
    userpass::user::read(root, "userpass", "rs").await?;
    userpass::user::delete(root, "userpass", "rs").await?;
    Ok(())
}

async fn wrapping(root: &VaultClient) -> Outcome {
    let own = root.settings().token.clone();
    let request = LookupTokenRequest::builder().token(own).build()?;
    let wrapped = request.wrap(root).await?;
    let told = wrapped.lookup(root).await?;
    assert_eq!(told.creation_path, "auth/token/lookup");
    let opened = wrapped.unwrap(root).await?;
    assert_eq!(opened.policies, ["root"]);
    assert!(matches!(
        wrapped.lookup(root).await,
        Err(ClientError::WrapInvalidError)
    ));
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("the first one");
    let root = client(&std::env::var("VAULT_TOKEN")?);
    system(&root)
        .await
        .map_err(|error| format!("system: {error:?}"))?;
    versioned(&root)
        .await
        .map_err(|error| format!("versions: {error:?}"))?;
    plain(&root)
        .await
        .map_err(|error| format!("plain: {error:?}"))?;
    policies_and_tokens(&root)
        .await
        .map_err(|error| format!("tokens: {error:?}"))?;
    logins(&root)
        .await
        .map_err(|error| format!("logins: {error:?}"))?;
    wrapping(&root)
        .await
        .map_err(|error| format!("wrapping: {error:?}"))?;
    println!("all passed");
    Ok(())
}
