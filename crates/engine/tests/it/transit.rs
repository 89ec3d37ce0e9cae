//! Keys that others use: what they do, who may, and what stays behind.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use scaivault_core::access::Permission;
use scaivault_core::audit::Action;
use scaivault_core::identity::Scope;
use scaivault_core::mount::{KvRules, MountKind};
use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::{
    ChangeFeed, Changes, ReadError, Record, Store as _, TransitReads, Unit, UnitName,
};
use scaivault_core::seal::Sealed;
use scaivault_core::transit::{
    TRANSIT_VERSIONS_MAX, TransitConfig, TransitHash, TransitKey, TransitKind, TransitRefusal,
};
use scaivault_crypto::transit::{Marshaling, RsaPadding, Salt, SignHow};
use scaivault_engine::{
    Caller, MountDraft, TransitAt, TransitCheck, TransitDraft, TransitEncrypt, TransitExport,
    TransitInput, TransitOpen, TransitSeal, Vault, VaultError, default_tenant,
};
use scaivault_testkit::{Fault, When};

use crate::world::{HOUR, World, caller, root, scoped};

const M: &str = "transit";
const HOW: SignHow = SignHow {
    hash: TransitHash::Sha2_256,
    prehashed: false,
    marshaling: Marshaling::Asn1,
    padding: RsaPadding::Pss,
    salt: Salt::Auto,
};

fn at(name: &str) -> TransitAt<'_> {
    TransitAt {
        mount: M,
        name,
        tail: None,
    }
}

fn seal(text: &str) -> TransitSeal {
    TransitSeal {
        plaintext: Plaintext::new(text.as_bytes().to_vec()),
        context: Vec::new(),
        associated: Vec::new(),
        version: 0,
    }
}

fn open(ciphertext: &str) -> TransitOpen {
    TransitOpen {
        ciphertext: ciphertext.to_owned(),
        context: Vec::new(),
        associated: Vec::new(),
        version: 0,
    }
}

async fn make(vault: &Vault, name: &str, draft: TransitDraft) -> Arc<TransitKey> {
    let made = vault.transit_create(&root(), M, name, &draft).await;
    made.unwrap().0
}

async fn encrypt_as(
    vault: &Vault,
    caller: &Caller,
    name: &str,
    item: TransitSeal,
) -> Result<TransitEncrypt, VaultError> {
    let draft = TransitDraft::default();
    let made = vault
        .transit_encrypt(caller, at(name), &draft, vec![Ok(item)])
        .await?;
    Ok(made.into_iter().next().unwrap()?)
}

async fn encrypt(vault: &Vault, name: &str, text: &str) -> TransitEncrypt {
    encrypt_as(vault, &root(), name, seal(text)).await.unwrap()
}

async fn decrypt_as(
    vault: &Vault,
    caller: &Caller,
    name: &str,
    item: TransitOpen,
) -> Result<String, VaultError> {
    let opened = vault
        .transit_decrypt(caller, at(name), vec![Ok(item)])
        .await?;
    let opened = opened.into_iter().next().unwrap()?;
    Ok(String::from_utf8(opened.expose().to_vec()).unwrap())
}

async fn decrypt(vault: &Vault, name: &str, sealed: &str) -> Result<String, VaultError> {
    decrypt_as(vault, &root(), name, open(sealed)).await
}

fn refusal<T>(refusal: TransitRefusal) -> Result<T, VaultError> {
    Err(VaultError::Transit(refusal))
}

async fn stored(w: &World, name: &str) -> TransitKey {
    let found = TransitReads::transit_find(&*w.sqlite, &default_tenant(), M, name).await;
    found.unwrap().unwrap()
}

fn config(change: impl Fn(&mut TransitConfig)) -> TransitConfig {
    let mut config = TransitConfig::default();
    change(&mut config);
    config
}

#[tokio::test]
async fn old_versions_open_until_they_are_closed() {
    let w = World::new().await;
    let v = &w.vault;
    make(v, "k", TransitDraft::default()).await;
    let first = encrypt(v, "k", "one").await;
    assert!(first.ciphertext.starts_with("vault:v1:"));
    let key = v.transit_rotate(&root(), M, "k").await.unwrap();
    assert_eq!((key.latest, key.versions.len()), (2, 2));
    let second = encrypt(v, "k", "two").await;
    assert_eq!(second.version, 2);
    assert_eq!(decrypt(v, "k", &first.ciphertext).await.unwrap(), "one");
    assert_eq!(decrypt(v, "k", &second.ciphertext).await.unwrap(), "two");
    // The number in front belongs to what is behind it.
    let moved = first.ciphertext.replace("vault:v1:", "vault:v2:");
    assert_eq!(
        decrypt(v, "k", &moved).await,
        refusal(TransitRefusal::NotOpened)
    );

    let rewrapped = v
        .transit_rewrap(&root(), at("k"), vec![Ok(open(&first.ciphertext))])
        .await
        .unwrap();
    let rewrapped = rewrapped.into_iter().next().unwrap().unwrap();
    assert_eq!(rewrapped.version, 2);

    let closed = config(|config| config.min_decryption = Some(2));
    v.transit_configure(&root(), M, "k", &closed).await.unwrap();
    assert_eq!(
        decrypt(v, "k", &first.ciphertext).await,
        refusal(TransitRefusal::TooOld)
    );
    assert_eq!(decrypt(v, "k", &rewrapped.ciphertext).await.unwrap(), "one");
    let mut item = seal("x");
    item.version = 1;
    assert_eq!(
        encrypt_as(v, &root(), "k", item).await,
        refusal(TransitRefusal::VersionTooLow),
        "nobody could open it"
    );

    let trim = config(|config| config.min_encryption = Some(2));
    v.transit_configure(&root(), M, "k", &trim).await.unwrap();
    v.transit_trim(&root(), M, "k", 2).await.unwrap();
    assert_eq!(
        stored(&w, "k").await.versions.len(),
        1,
        "it is gone for good"
    );
    assert_eq!(decrypt(v, "k", &second.ciphertext).await.unwrap(), "two");

    let kept = v.transit_delete(&root(), M, "k").await;
    assert_eq!(kept, refusal(TransitRefusal::NotDeletable));
    let deletable = config(|config| config.deletion_allowed = Some(true));
    v.transit_configure(&root(), M, "k", &deletable)
        .await
        .unwrap();
    v.transit_delete(&root(), M, "k").await.unwrap();
    assert_eq!(
        decrypt(v, "k", &second.ciphertext).await,
        refusal(TransitRefusal::NoKey)
    );
    w.assert_chain_verifies().await;
}

/// Each request, by whoever has what; `true` where the key is there.
#[tokio::test]
async fn nobody_may_what_no_rule_says() {
    let w = World::new().await;
    let v = &w.vault;
    make(v, "k", TransitDraft::default()).await;
    let ed = TransitDraft {
        kind: TransitKind::Ed25519,
        exportable: true,
        ..TransitDraft::default()
    };
    make(v, "s", ed).await;
    let sealed = encrypt(v, "k", "x").await.ciphertext;
    let ask = async |who: &Caller, what: &str| -> Result<(), VaultError> {
        let input = TransitInput {
            input: b"x".to_vec(),
            ..TransitInput::default()
        };
        match what {
            "encrypt/k" => encrypt_as(v, who, "k", seal("x")).await.map(drop),
            "upsert/new" => encrypt_as(v, who, "new", seal("x")).await.map(drop),
            "decrypt/k" => decrypt_as(v, who, "k", open(&sealed)).await.map(drop),
            "rewrap/k" => {
                let items = vec![Ok(open(&sealed))];
                v.transit_rewrap(who, at("k"), items).await.map(drop)
            }
            "datakey/plaintext/k" => {
                let item = Ok(seal(""));
                v.transit_data_key(who, at("k"), true, 32, item)
                    .await
                    .map(drop)
            }
            "datakey/wrapped/k" => {
                let item = Ok(seal(""));
                v.transit_data_key(who, at("k"), false, 32, item)
                    .await
                    .map(drop)
            }
            "sign/s" => {
                let items = vec![Ok(input)];
                v.transit_sign(who, at("s"), HOW, 0, items).await.map(drop)
            }
            "verify/s/sha2-256" => {
                let at = TransitAt {
                    tail: Some("sha2-256"),
                    ..at("s")
                };
                let check = TransitCheck {
                    signed: input,
                    given: "vault:v1:AAAA".into(),
                };
                v.transit_verify(who, at, HOW, vec![Ok(check)])
                    .await
                    .map(drop)
            }
            "hmac/k" => {
                let items = vec![Ok(b"x".to_vec())];
                let hash = TransitHash::Sha2_256;
                v.transit_hmac(who, at("k"), hash, 0, items).await.map(drop)
            }
            "random/32" => v.transit_random(who, M, "random/32", 32).await.map(drop),
            "keys/k" => v.transit_show(who, M, "k").await.map(drop),
            "keys" => v.transit_names(who, M, None, 9).await.map(drop),
            "keys/k/rotate" => v.transit_rotate(who, M, "k").await.map(drop),
            "keys/k/config" => {
                let config = TransitConfig::default();
                v.transit_configure(who, M, "k", &config).await.map(drop)
            }
            "keys/more" => {
                let draft = TransitDraft::default();
                v.transit_create(who, M, "more", &draft).await.map(drop)
            }
            "export/signing-key/s" => {
                let what = TransitExport::Signing;
                v.transit_export(who, at("s"), what).await.map(drop)
            }
            "backup/s" => v.transit_backup(who, M, "s").await.map(drop),
            "restore/t" => v.transit_restore(who, M, Some("t"), "", false).await,
            other => panic!("{other}"),
        }
    };
    let all = [
        ("encrypt/k", Permission::Write),
        ("upsert/new", Permission::Write),
        ("decrypt/k", Permission::Write),
        ("rewrap/k", Permission::Write),
        ("datakey/plaintext/k", Permission::Write),
        ("datakey/wrapped/k", Permission::Write),
        ("sign/s", Permission::Write),
        ("verify/s/sha2-256", Permission::Write),
        ("hmac/k", Permission::Write),
        ("random/32", Permission::Write),
        ("keys/k", Permission::Read),
        ("keys", Permission::List),
        ("keys/k/rotate", Permission::Write),
        ("keys/k/config", Permission::Write),
        ("keys/more", Permission::Write),
        ("export/signing-key/s", Permission::Read),
        ("backup/s", Permission::Read),
        ("restore/t", Permission::Write),
    ];
    let denied = |outcome: &Result<(), VaultError>| {
        matches!(outcome, Err(VaultError::Denied(_) | VaultError::Scope(_)))
    };
    let before = (stored(&w, "k").await, w.audit().await.len());
    let others: Vec<Scope> = Scope::ALL
        .iter()
        .copied()
        .filter(|scope| *scope != Scope::TransitUse)
        .collect();
    for (what, _) in all {
        let nobody = ask(&caller("sa:nobody"), what).await;
        assert!(denied(&nobody), "{what}: {nobody:?}");
    }
    assert_eq!(stored(&w, "k").await, before.0);
    let rows = w.audit().await;
    assert_eq!(rows.len() - before.1, all.len(), "each refusal has its row");
    assert!(rows[before.1..].iter().all(|row| !row.success));

    w.grant(
        "sa:scopeless",
        "**",
        &[Permission::Read, Permission::Write, Permission::List],
    )
    .await;
    for (at, (what, permission)) in all.into_iter().enumerate() {
        let without = ask(&scoped("sa:scopeless", &others), what).await;
        assert!(denied(&without), "{what}: {without:?}");
        // Whoever may this may nothing else.
        let name = format!("sa:one-{at}");
        // The word is one of our own API at the end of a path.
        let place = what.replace("/rotate", "/__72otate");
        w.grant(&name, &format!("transit/{M}/{place}"), &[permission])
            .await;
        let who = caller(&name);
        for (other, _) in all {
            let outcome = ask(&who, other).await;
            // It was made by the one who may, and is another request from then on.
            if other == "upsert/new" && what == "encrypt/k" {
                continue;
            }
            assert_eq!(
                denied(&outcome),
                other != what,
                "{what} {other}: {outcome:?}"
            );
        }
        if what == "upsert/new" {
            let mut key = stored(&w, "new").await;
            key.deletion_allowed = true;
            key.revision += 1;
            let unit = Unit::new(UnitName::TransitWrite).put(Record::Transit(key));
            w.sqlite.commit(unit).await.unwrap();
            v.transit_delete(&root(), M, "new").await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_answer_leaves_after_its_row() {
    let w = World::new().await;
    let v = &w.vault;
    make(v, "k", TransitDraft::default()).await;
    let sealed = encrypt(v, "k", "x").await.ciphertext;
    let row = w.audit().await.pop().unwrap();
    assert_eq!(row.action, Action::TransitUse);
    assert_eq!(
        row.secret_path.unwrap().as_str(),
        "transit/transit/encrypt/k"
    );
    assert_eq!(row.extra_data.count, Some(1));

    w.store.arm(UnitName::AuditOnly, When::Every, Fault::Unit);
    assert!(decrypt(v, "k", &sealed).await.is_err());
    assert!(encrypt_as(v, &root(), "k", seal("x")).await.is_err());
    assert!(v.transit_random(&root(), M, "random", 8).await.is_err());
    assert!(!w.store.struck().is_empty());
    w.store.disarm();

    let items = vec![Ok(open(&sealed)), Ok(open("vault:v1:AAAA")), Ok(open("no"))];
    let opened = v.transit_decrypt(&root(), at("k"), items).await.unwrap();
    let came_to: Vec<_> = opened
        .iter()
        .map(|one| one.as_ref().err().cloned())
        .collect();
    assert_eq!(
        came_to,
        [
            None,
            Some(TransitRefusal::NotOpened),
            Some(TransitRefusal::NoCiphertextPrefix)
        ]
    );
    let row = w.audit().await.pop().unwrap();
    assert_eq!((row.success, row.extra_data.count), (true, Some(3)));
    assert!(decrypt(v, "k", "vault:v1:AAAA").await.is_err());
    let row = w.audit().await.pop().unwrap();
    assert!(!row.success, "nothing was opened");
}

#[derive(Default)]
struct Scripted(Mutex<Changes>);

#[async_trait]
impl ChangeFeed for Scripted {
    async fn look(&self) -> Result<Changes, ReadError> {
        Ok(std::mem::take(&mut *self.0.lock()))
    }

    async fn news(&self) {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_key_is_read_once_and_a_change_elsewhere_is_heard_of() {
    let w = World::new().await;
    let feed = Arc::new(Scripted::default());
    let other = w.another_node(Some(feed.clone()));
    make(&w.vault, "k", TransitDraft::default()).await;
    other.neighbours_look().await.unwrap();
    assert_eq!(encrypt(&other, "k", "x").await.version, 1);

    // This node rotates: known here at once, there with the next look.
    w.vault.transit_rotate(&root(), M, "k").await.unwrap();
    assert_eq!(encrypt(&w.vault, "k", "x").await.version, 2);
    assert_eq!(encrypt(&other, "k", "x").await.version, 1, "from memory");
    *feed.0.lock() = Changes {
        transit: true,
        ..Changes::default()
    };
    other.neighbours_look().await.unwrap();
    let made = encrypt(&other, "k", "x").await;
    assert_eq!(made.version, 2);

    // A node that cannot look asks the store.
    let closed = config(|config| config.min_encryption = Some(2));
    w.vault
        .transit_configure(&root(), M, "k", &closed)
        .await
        .unwrap();
    w.vault.transit_rotate(&root(), M, "k").await.unwrap();
    w.clock.advance(Duration::from_secs(60));
    assert_eq!(encrypt(&other, "k", "x").await.version, 3);
}

#[tokio::test]
async fn a_key_rotates_by_itself_and_of_two_nodes_one_does_it() {
    let w = World::new().await;
    let other = w.another_vault();
    let draft = TransitDraft {
        auto_rotate_s: 3_600,
        ..TransitDraft::default()
    };
    make(&w.vault, "k", draft).await;
    make(&w.vault, "still", TransitDraft::default()).await;
    let first = encrypt(&w.vault, "k", "one").await;
    assert_eq!(w.vault.transit_run_once().await, Ok(0));
    for number in 2..5 {
        w.clock.advance(HOUR);
        let both = tokio::join!(w.vault.transit_run_once(), other.transit_run_once());
        assert_eq!(both.0.unwrap() + both.1.unwrap(), 1);
        assert_eq!(w.vault.transit_run_once().await, Ok(0));
        assert_eq!(stored(&w, "k").await.latest, number);
    }
    assert_eq!(stored(&w, "still").await.latest, 1);
    assert_eq!(
        decrypt(&w.vault, "k", &first.ciphertext).await.unwrap(),
        "one"
    );
    let rows = w.audit().await;
    let rotated = rows
        .iter()
        .filter(|row| row.action == Action::TransitKeyRotate);
    let rotated: Vec<_> = rotated.collect();
    assert_eq!(rotated.len(), 3);
    assert!(
        rotated
            .iter()
            .all(|row| row.success && row.identity_type == "system")
    );

    let off = config(|config| config.auto_rotate_s = Some(0));
    w.vault
        .transit_configure(&root(), M, "k", &off)
        .await
        .unwrap();
    w.clock.advance(HOUR * 9);
    assert_eq!(w.vault.transit_run_once().await, Ok(0));
}

#[tokio::test]
async fn a_key_with_all_its_versions_goes_on_with_them() {
    let w = World::new().await;
    let draft = TransitDraft {
        auto_rotate_s: 3_600,
        ..TransitDraft::default()
    };
    make(&w.vault, "k", draft).await;
    let mut key = stored(&w, "k").await;
    let most = u32::try_from(TRANSIT_VERSIONS_MAX).unwrap();
    let only = key.versions[0].clone();
    key.versions = (1..=most)
        .map(|number| scaivault_core::transit::TransitVersion {
            number,
            ..only.clone()
        })
        .collect();
    (key.latest, key.revision) = (most, key.revision + 1);
    let unit = Unit::new(UnitName::TransitWrite).put(Record::Transit(key));
    w.sqlite.commit(unit).await.unwrap();
    w.clock.advance(HOUR);
    assert_eq!(w.vault.transit_run_once().await, Ok(0));
    let key = stored(&w, "k").await;
    assert_eq!(key.latest, most);
    assert!(
        key.wake_at.unwrap() > w.now(),
        "it is not tried all the time"
    );
    let row = w.audit().await.pop().unwrap();
    assert_eq!((row.action, row.success), (Action::TransitKeyRotate, false));
}

#[tokio::test]
async fn material_opens_in_its_own_place_alone() {
    let w = World::new().await;
    for name in ["a", "b"] {
        make(&w.vault, name, TransitDraft::default()).await;
    }
    let (mut a, b) = (stored(&w, "a").await, stored(&w, "b").await);
    let sealed: Vec<&Sealed> = [&a, &b].map(|key| &key.versions[0].material).to_vec();
    assert_ne!(sealed[0], sealed[1]);
    a.versions[0].material = b.versions[0].material.clone();
    a.revision += 1;
    let unit = Unit::new(UnitName::TransitWrite).put(Record::Transit(a));
    w.sqlite.commit(unit).await.unwrap();
    let elsewhere = w.another_vault();
    let refused = encrypt_as(&elsewhere, &root(), "a", seal("x")).await;
    assert_eq!(refused.map_err(|error| error.code()), Err("internal_error"));
    encrypt(&elsewhere, "b", "x").await;
}

#[tokio::test]
async fn what_leaves_was_allowed_to() {
    let w = World::new().await;
    let v = &w.vault;
    make(v, "shut", TransitDraft::default()).await;
    let draft = TransitDraft {
        exportable: true,
        plaintext_backup: true,
        ..TransitDraft::default()
    };
    make(v, "open", draft).await;
    v.transit_rotate(&root(), M, "open").await.unwrap();
    let what = TransitExport::Encryption;
    let refused = v.transit_export(&root(), at("shut"), what).await;
    assert_eq!(refused.map(drop), refusal(TransitRefusal::NotExportable));
    let refused = v.transit_backup(&root(), M, "shut").await;
    assert_eq!(refused.map(drop), refusal(TransitRefusal::NoBackup));
    let (kind, shown) = v.transit_export(&root(), at("open"), what).await.unwrap();
    assert_eq!((kind, shown.len()), (TransitKind::Aes256Gcm, 2));
    assert_ne!(shown[0].1, shown[1].1);
    let none = v
        .transit_export(&root(), at("open"), TransitExport::Signing)
        .await;
    let expect = TransitRefusal::NoSuchPart(TransitKind::Aes256Gcm);
    assert_eq!(none.map(drop), refusal(expect));

    let sealed = encrypt(v, "open", "kept").await.ciphertext;
    let backup = v.transit_backup(&root(), M, "open").await.unwrap();
    v.transit_restore(&root(), M, Some("again"), &backup, false)
        .await
        .unwrap();
    assert_eq!(decrypt(v, "again", &sealed).await.unwrap(), "kept");
    let (_, again) = v.transit_export(&root(), at("again"), what).await.unwrap();
    assert_eq!(again, shown);
    let taken = v.transit_restore(&root(), M, None, &backup, false).await;
    assert_eq!(taken.unwrap_err().code(), "validation_error");
    v.transit_restore(&root(), M, None, &backup, true)
        .await
        .unwrap();
    assert_eq!(decrypt(v, "open", &sealed).await.unwrap(), "kept");
    for bad in ["", "!", "e30=", &backup[1..]] {
        let refused = v.transit_restore(&root(), M, Some("bad"), bad, false).await;
        assert_eq!(refused.unwrap_err().code(), "validation_error", "{bad}");
    }
}

#[tokio::test]
async fn a_mount_with_keys_stays() {
    let w = World::new().await;
    let v = &w.vault;
    let draft = MountDraft {
        path: M.into(),
        kind: MountKind::Transit,
        description: String::new(),
        prefix: None,
        rules: KvRules::default(),
        default_lease_s: 0,
        max_lease_s: 0,
    };
    v.mount_make(&root(), draft, &[]).await.unwrap();
    make(v, "k", TransitDraft::default()).await;
    let kept = v.mount_remove(&root(), M).await;
    assert_eq!(kept.unwrap_err().code(), "validation_error");
    let deletable = config(|config| config.deletion_allowed = Some(true));
    v.transit_configure(&root(), M, "k", &deletable)
        .await
        .unwrap();
    v.transit_delete(&root(), M, "k").await.unwrap();
    assert_eq!(v.mount_remove(&root(), M).await, Ok(true));
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let w = World::new().await;
    let v = &w.vault;
    let usual = TransitDraft::default;
    let rsa = TransitKind::Rsa2048;
    for (name, draft) in [
        ("-bad", usual()),
        ("a/b", usual()),
        (
            "k",
            TransitDraft {
                convergent: true,
                ..usual()
            },
        ),
        (
            "k",
            TransitDraft {
                derived: true,
                kind: rsa,
                ..usual()
            },
        ),
        (
            "k",
            TransitDraft {
                auto_rotate_s: 60,
                ..usual()
            },
        ),
        (
            "k",
            TransitDraft {
                key_bytes: Some(48),
                ..usual()
            },
        ),
        (
            "k",
            TransitDraft {
                key_bytes: Some(31),
                kind: TransitKind::Hmac,
                ..usual()
            },
        ),
    ] {
        let refused = v.transit_create(&root(), M, name, &draft).await;
        assert!(refused.is_err(), "{name} {draft:?}");
    }
    let page = v.transit_names(&root(), M, None, 9).await.unwrap();
    assert!(page.names.is_empty());
    let hmac = TransitDraft {
        key_bytes: Some(48),
        kind: TransitKind::Hmac,
        ..usual()
    };
    make(v, "h", hmac).await;
    v.transit_rotate(&root(), M, "h").await.unwrap();
    let (_, shown) = v
        .transit_export(&root(), at("h"), TransitExport::Hmac)
        .await
        .map_err(|error| error.code())
        .map_or((TransitKind::Hmac, Vec::new()), |shown| shown);
    assert!(shown.is_empty(), "it is not exportable");
    let again = v.transit_create(&root(), M, "h", &usual()).await.unwrap();
    assert!(!again.1, "the one that is there is the key");
    assert_eq!(again.0.kind, TransitKind::Hmac);
}

#[tokio::test]
async fn signatures_of_old_versions_hold_until_they_are_closed() {
    let w = World::new().await;
    let v = &w.vault;
    for kind in [
        TransitKind::Ed25519,
        TransitKind::EcdsaP256,
        TransitKind::Rsa2048,
    ] {
        let name = kind.as_str();
        let draft = TransitDraft {
            kind,
            ..TransitDraft::default()
        };
        make(v, name, draft).await;
        let input = TransitInput {
            input: b"x".to_vec(),
            ..TransitInput::default()
        };
        let signed = v
            .transit_sign(&root(), at(name), HOW, 0, vec![Ok(input.clone())])
            .await
            .unwrap();
        let given = signed[0].clone().unwrap().signature;
        v.transit_rotate(&root(), M, name).await.unwrap();
        let check = TransitCheck {
            signed: input,
            given,
        };
        let ask = async || {
            let judged = v
                .transit_verify(&root(), at(name), HOW, vec![Ok(check.clone())])
                .await
                .unwrap();
            judged[0].clone()
        };
        assert_eq!(ask().await, Ok(true));
        let closed = config(|config| config.min_decryption = Some(2));
        v.transit_configure(&root(), M, name, &closed)
            .await
            .unwrap();
        assert_eq!(ask().await, Err(TransitRefusal::TooOld));
    }
}

#[tokio::test]
async fn a_lost_commit_leaves_a_key_whole() {
    for fault in [Fault::Unit, Fault::Answer] {
        let mut w = World::new().await;
        let strike = |w: &World, name| {
            w.store.disarm();
            w.store.arm(name, When::Nth(1), fault);
        };
        strike(&w, UnitName::TransitWrite);
        let draft = TransitDraft::default();
        let lost = w.vault.transit_create(&root(), M, "k", &draft).await;
        assert!(lost.is_err(), "{fault:?}");
        w.restart();
        make(&w.vault, "k", draft).await;
        assert_eq!(stored(&w, "k").await.latest, 1);
        let sealed = encrypt(&w.vault, "k", "x").await.ciphertext;

        strike(&w, UnitName::TransitWrite);
        assert!(w.vault.transit_rotate(&root(), M, "k").await.is_err());
        // The same node goes on, and another one is the same.
        let expect = 1 + u32::from(fault == Fault::Answer);
        for vault in [w.vault.clone(), w.another_vault()] {
            assert_eq!(decrypt(&vault, "k", &sealed).await.unwrap(), "x");
            let made = encrypt(&vault, "k", "y").await;
            assert_eq!(made.version, expect, "{fault:?}");
            assert_eq!(decrypt(&vault, "k", &made.ciphertext).await.unwrap(), "y");
        }
        w.restart();

        let deletable = config(|config| config.deletion_allowed = Some(true));
        strike(&w, UnitName::TransitWrite);
        let told = w.vault.transit_configure(&root(), M, "k", &deletable).await;
        assert!(told.is_err());
        w.restart();
        w.vault
            .transit_configure(&root(), M, "k", &deletable)
            .await
            .unwrap();
        strike(&w, UnitName::TransitDelete);
        assert!(w.vault.transit_delete(&root(), M, "k").await.is_err());
        assert_eq!(w.store.struck().len(), 4);
        w.restart();
        let again = w.vault.transit_delete(&root(), M, "k").await;
        match fault {
            Fault::Answer => assert_eq!(again, refusal(TransitRefusal::NoKey)),
            _ => assert_eq!(again, Ok(())),
        }
        assert_eq!(
            decrypt(&w.vault, "k", &sealed).await,
            refusal(TransitRefusal::NoKey)
        );
        w.assert_chain_verifies().await;
    }
}
