use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::testing::Seeded;

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

fn root(seed: u64) -> RootKey {
    RootKey::generate(&Seeded::new(seed))
}

fn tenant(text: &str) -> TenantId {
    TenantId::parse(text).unwrap()
}

fn text(text: &str) -> Plaintext {
    Plaintext::new(text.as_bytes().to_vec())
}

fn at(tenant: &TenantId) -> Place<'_> {
    Place {
        tenant,
        kind: "secret",
        path: "db/main",
        version: 1,
        field: "data",
    }
}

fn first() -> Vec<KeyRecord> {
    Keyring::first_records(&root(1), NOW, &Seeded::new(2))
}

fn keyring() -> Keyring {
    Keyring::unlock(&root(1), &first()).unwrap()
}

/// A tenant's key made `after` seconds later than the first ones.
fn tenant_key(keyring: &Keyring, owner: &TenantId, after: u64) -> KeyRecord {
    let now = NOW.plus(Duration::from_secs(after));
    keyring
        .create_key(KeyPurpose::Tenant, Some(owner), now, &SystemEntropy)
        .unwrap()
}

fn key_of(sealed: &Sealed) -> &str {
    Envelope::parse(sealed).unwrap().key_id()
}

#[test]
fn a_new_store_serves_a_tenant_once_its_key_is_added() {
    let (keyring, owner) = (keyring(), tenant("tnt_a"));
    let refused = keyring.seal(at(&owner), &text("hunter2"));
    assert!(matches!(refused, Err(SealError::UnknownKey(_))));
    assert!(!keyring.has_active_key(&owner));

    let record = tenant_key(&keyring, &owner, 0);
    assert!(!keyring.has_active_key(&owner), "made is not added");
    keyring.add(&record).unwrap();
    keyring.add(&record).unwrap();
    let sealed = keyring.seal(at(&owner), &text("hunter2")).unwrap();
    assert_eq!(key_of(&sealed), record.id.as_str());
    assert_eq!(
        keyring.open(at(&owner), &sealed).unwrap().expose(),
        b"hunter2"
    );
}

#[test]
fn the_next_start_opens_what_this_one_sealed() {
    let (before, owner) = (keyring(), tenant("tnt_a"));
    let record = tenant_key(&before, &owner, 0);
    before.add(&record).unwrap();
    let sealed = before.seal(at(&owner), &text("hunter2")).unwrap();

    let after = Keyring::unlock(&root(1), &[first(), vec![record]].concat()).unwrap();
    assert_eq!(
        after.open(at(&owner), &sealed).unwrap().expose(),
        b"hunter2"
    );
    assert!(after.token_hash("skt_x") == before.token_hash("skt_x"));
    assert_eq!(after.chain_mac(b"head"), before.chain_mac(b"head"));
    assert_eq!(after.root_fingerprint(), root(1).fingerprint());
}

#[test]
fn a_wrong_root_key_is_told_by_fingerprints_alone() {
    let error = Keyring::unlock(&root(9), &first()).err().unwrap();
    let (needed, given) = (root(1).fingerprint(), root(9).fingerprint());
    assert_eq!(
        error.to_string(),
        format!("the stored keys need root key {needed}, but the one given is {given}")
    );
    assert_eq!(error, UnlockError::WrongRoot { needed, given });
}

#[test]
fn one_bad_record_refuses_all() {
    let keyring = keyring();
    let mut stolen = tenant_key(&keyring, &tenant("tnt_a"), 0);
    stolen.tenant = Some(tenant("tnt_b"));
    let damaged = UnlockError::Damaged {
        id: stolen.id.clone(),
    };
    assert_eq!(keyring.add(&stolen), Err(damaged.clone()));
    let all = [first(), vec![stolen]].concat();
    assert_eq!(Keyring::unlock(&root(1), &all).err(), Some(damaged));
}

#[test]
fn exchanged_purposes_are_refused() {
    let mut records = first();
    let (one, other) = (records[0].purpose, records[1].purpose);
    (records[0].purpose, records[1].purpose) = (other, one);
    let refused = Keyring::unlock(&root(1), &records).err();
    assert!(matches!(refused, Some(UnlockError::Damaged { .. })));
}

#[test]
fn there_is_always_a_token_and_a_chain_key() {
    let missing = |records: &[KeyRecord]| Keyring::unlock(&root(1), records).err();
    assert_eq!(
        missing(&[]),
        Some(UnlockError::Missing(KeyPurpose::TokenHash))
    );
    let [token, chain] = [0, 1].map(|at| first()[at].clone());
    assert_eq!(
        missing(std::slice::from_ref(&token)),
        Some(UnlockError::Missing(KeyPurpose::AuditChain))
    );
    assert_eq!(
        missing(&[chain]),
        Some(UnlockError::Missing(KeyPurpose::TokenHash))
    );

    let keyring = keyring();
    let before = keyring.token_hash("skt_x");
    let retired = KeyRecord {
        state: KeyState::Retired,
        ..token
    };
    let refused = keyring.add(&retired);
    assert_eq!(refused, Err(UnlockError::Missing(KeyPurpose::TokenHash)));
    assert!(
        keyring.token_hash("skt_x") == before,
        "the ring is as before"
    );
}

#[test]
fn the_youngest_active_key_seals_and_all_open() {
    let (keyring, owner) = (keyring(), tenant("tnt_a"));
    let [old, new] = [10, 20].map(|after| tenant_key(&keyring, &owner, after));
    keyring.add(&new).unwrap();
    let early = keyring.seal(at(&owner), &text("early")).unwrap();
    keyring.add(&old).unwrap();
    let late = keyring.seal(at(&owner), &text("late")).unwrap();
    assert_eq!([key_of(&early), key_of(&late)], [new.id.as_str(); 2]);

    let retired = KeyRecord {
        state: KeyState::Retired,
        revision: 2,
        ..new
    };
    keyring.add(&retired).unwrap();
    let last = keyring.seal(at(&owner), &text("last")).unwrap();
    assert_eq!(key_of(&last), old.id.as_str());
    for (sealed, expect) in [(&early, "early"), (&late, "late"), (&last, "last")] {
        let opened = keyring.open(at(&owner), sealed).unwrap();
        assert_eq!(opened.expose(), expect.as_bytes());
    }

    let retired = KeyRecord {
        state: KeyState::Retired,
        revision: 2,
        ..old
    };
    keyring.add(&retired).unwrap();
    let refused = keyring.seal(at(&owner), &text("none"));
    assert!(matches!(refused, Err(SealError::UnknownKey(_))));
}

#[test]
fn tenants_do_not_open_each_other() {
    let keyring = keyring();
    let (one, other) = (tenant("tnt_a"), tenant("tnt_b"));
    for owner in [&one, &other] {
        keyring.add(&tenant_key(&keyring, owner, 0)).unwrap();
    }
    let sealed = keyring.seal(at(&one), &text("hunter2")).unwrap();
    let opened = keyring.open(at(&other), &sealed);
    assert_eq!(opened.err(), Some(SealError::Refused));
}

#[test]
fn a_late_old_record_does_not_bring_a_retired_key_back() {
    let (keyring, owner) = (keyring(), tenant("tnt_a"));
    let active = tenant_key(&keyring, &owner, 0);
    let retired = KeyRecord {
        state: KeyState::Retired,
        revision: 2,
        ..active.clone()
    };
    keyring.add(&retired).unwrap();
    keyring.add(&active).unwrap();
    assert!(!keyring.has_active_key(&owner));
}

/// An envelope renamed to another key of the same tenant, or to a key that seals nothing.
#[test]
fn an_envelope_under_another_name_is_refused() {
    let (keyring, owner) = (keyring(), tenant("tnt_a"));
    let [one, other] = [0, 1].map(|after| tenant_key(&keyring, &owner, after));
    keyring.add(&one).unwrap();
    let sealed = keyring.seal(at(&owner), &text("hunter2")).unwrap();
    keyring.add(&other).unwrap();
    let renamed = |id: &str| {
        let rest = &sealed.0[2 + one.id.as_str().len()..];
        let length = u8::try_from(id.len()).unwrap();
        let renamed = Sealed([&[1, length], id.as_bytes(), rest].concat());
        keyring.open(at(&owner), &renamed).err()
    };
    assert_eq!(renamed(one.id.as_str()), None);
    assert_eq!(renamed(other.id.as_str()), Some(SealError::Refused));
    assert_eq!(renamed(first()[0].id.as_str()), Some(SealError::Refused));
    let unknown = SealError::UnknownKey("key_absent".to_owned());
    assert_eq!(renamed("key_absent"), Some(unknown));
    for odd in ["", "key_", "no\nkey", "key_é"] {
        assert_eq!(renamed(odd), Some(SealError::Malformed), "{odd:?}");
    }
}

#[test]
fn hashes_and_codes_depend_on_everything() {
    let one = keyring();
    let records = Keyring::first_records(&root(1), NOW, &Seeded::new(3));
    let other = Keyring::unlock(&root(1), &records).unwrap();
    assert!(one.token_hash("skt_x") != one.token_hash("skt_y"));
    assert!(one.token_hash("skt_x") != other.token_hash("skt_x"));
    assert_ne!(one.chain_mac(b"head"), one.chain_mac(b"heae"));
    assert_ne!(one.chain_mac(b"head"), other.chain_mac(b"head"));
    assert_ne!(one.token_hash("head").0, one.chain_mac(b"head"));
}

#[test]
fn readers_see_whole_rings_while_keys_are_added() {
    let (keyring, owner) = (keyring(), tenant("tnt_a"));
    keyring.add(&tenant_key(&keyring, &owner, 0)).unwrap();
    let sealed = keyring.seal(at(&owner), &text("hunter2")).unwrap();
    let hash = keyring.token_hash("skt_x");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert_eq!(
                    keyring.open(at(&owner), &sealed).unwrap().expose(),
                    b"hunter2"
                );
                assert!(keyring.seal(at(&owner), &text("other")).is_ok());
                assert!(keyring.token_hash("skt_x") == hash);
            }
        });
        let writers = ["tnt_b", "tnt_c"].map(|name| {
            let keyring = &keyring;
            scope.spawn(move || {
                for after in 0..50 {
                    let record = tenant_key(keyring, &tenant(name), after);
                    keyring.add(&record).unwrap();
                }
            })
        });
        writers
            .into_iter()
            .for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(
        keyring.ring.load().keys.len(),
        3 + 100,
        "no addition was lost"
    );
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", keyring());
    assert_eq!(
        shown,
        format!("Keyring(2 keys under {})", root(1).fingerprint())
    );
}

/// A store takes a row of an id once: of two beginnings at once only one is stored.
#[test]
fn first_keys_have_the_same_ids_whoever_makes_them() {
    let ids = |records: &[KeyRecord]| -> Vec<String> {
        let ids = records.iter().map(|record| record.id.as_str().to_owned());
        ids.collect()
    };
    let later = NOW.plus(Duration::from_secs(9));
    let other = Keyring::first_records(&root(1), later, &Seeded::new(77));
    assert_eq!(ids(&first()), ids(&other));
    assert_ne!(first()[0].id, first()[1].id);
    let keyring = keyring();
    let owners = ["tnt_a", "tnt_b"].map(|text| TenantId::parse(text).unwrap());
    let made = |owner: &TenantId, seed| {
        let made = keyring.first_key_of(owner, NOW, &Seeded::new(seed));
        made.unwrap().id
    };
    assert_eq!(made(&owners[0], 1), made(&owners[0], 2));
    assert_ne!(made(&owners[0], 1), made(&owners[1], 1));
}
