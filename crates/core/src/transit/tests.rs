use super::*;

fn key(latest: u32) -> TransitKey {
    let at = Timestamp::from_secs(1_000);
    let version = |number| TransitVersion {
        number,
        created_at: at.plus(Duration::from_secs(u64::from(number))),
        material: Sealed(vec![1]),
        public: None,
    };
    TransitKey {
        tenant: TenantId::parse("tnt_a").unwrap(),
        mount: "transit".into(),
        name: "k".into(),
        kind: TransitKind::Aes256Gcm,
        derived: false,
        convergent: false,
        exportable: false,
        plaintext_backup: false,
        deletion_allowed: false,
        key_bytes: 0,
        auto_rotate_s: 0,
        latest,
        min_available: 0,
        min_decryption: 1,
        min_encryption: 0,
        versions: (1..=latest).map(version).collect(),
        wake_at: None,
        created_at: at,
        revision: 1,
    }
}

fn with(change: impl Fn(&mut TransitConfig)) -> TransitConfig {
    let mut config = TransitConfig::default();
    change(&mut config);
    config
}

#[test]
fn which_version_seals_and_opens() {
    let mut key = key(5);
    assert_eq!(key.to_seal(0).unwrap().number, 5);
    assert_eq!(key.to_seal(2).unwrap().number, 2);
    assert_eq!(key.to_seal(6), Err(TransitRefusal::VersionTooHigh));
    assert_eq!(key.to_open(6), Err(TransitRefusal::TooNew));
    assert_eq!(key.to_open(0), Err(TransitRefusal::TooOld));
    key.configure(&with(|config| {
        config.min_decryption = Some(2);
        config.min_encryption = Some(4);
    }))
    .unwrap();
    assert_eq!(key.to_seal(3), Err(TransitRefusal::VersionTooLow));
    assert_eq!(key.to_open(1), Err(TransitRefusal::TooOld));
    assert_eq!(key.to_open(2).unwrap().number, 2);
    assert_eq!(key.usable().count(), 4);
    // What a bound closed, another one opens again.
    key.configure(&with(|config| config.min_decryption = Some(0)))
        .unwrap();
    assert_eq!(key.to_open(1).unwrap().number, 1);
}

#[test]
fn settings_are_taken_whole_or_not_at_all() {
    let mut key = key(3);
    let before = key.clone();
    let refuse = |key: &mut TransitKey, config: TransitConfig, expect: TransitRefusal| {
        assert_eq!(key.configure(&config), Err(expect));
    };
    refuse(
        &mut key,
        with(|config| {
            config.deletion_allowed = Some(true);
            config.min_decryption = Some(4);
        }),
        TransitRefusal::BeyondLatest(3),
    );
    refuse(
        &mut key,
        with(|config| {
            config.min_decryption = Some(3);
            config.min_encryption = Some(2);
        }),
        TransitRefusal::SealsWhatNobodyOpens,
    );
    refuse(
        &mut key,
        with(|config| config.auto_rotate_s = Some(3_599)),
        TransitRefusal::Period,
    );
    assert_eq!(key, before);
    key.configure(&with(|config| config.exportable = Some(true)))
        .unwrap();
    key.configure(&with(|config| config.exportable = Some(false)))
        .unwrap();
    assert!(key.exportable, "what may be read once may have been read");
}

#[test]
fn trimming_removes_what_nobody_may_use() {
    let mut key = key(5);
    assert_eq!(key.trim(2), Err(TransitRefusal::TrimWithoutBound));
    key.configure(&with(|config| {
        config.min_decryption = Some(3);
        config.min_encryption = Some(4);
    }))
    .unwrap();
    assert_eq!(key.trim(4), Err(TransitRefusal::TrimBeyond));
    key.trim(3).unwrap();
    assert_eq!((key.versions.len(), key.versions[0].number), (3, 3));
    assert_eq!(key.trim(2), Err(TransitRefusal::Trimmed(3)));
    let lower = with(|config| config.min_decryption = Some(2));
    assert_eq!(key.configure(&lower), Err(TransitRefusal::Trimmed(3)));
    assert_eq!(key.to_open(3).unwrap().number, 3);
}

#[test]
fn it_rotates_a_period_after_its_newest_version() {
    let mut key = key(2);
    key.configure(&with(|config| config.auto_rotate_s = Some(3_600)))
        .unwrap();
    let made = key.versions[1].created_at;
    assert_eq!(key.wake_at, Some(made.plus(Duration::from_secs(3_600))));
    let next = TransitVersion {
        number: 3,
        created_at: made.plus(Duration::from_secs(9_000)),
        ..key.versions[1].clone()
    };
    key.push(next).unwrap();
    assert_eq!(
        (key.latest, key.wake_at),
        (3, Some(made.plus(Duration::from_secs(12_600))))
    );
    key.configure(&with(|config| config.auto_rotate_s = Some(0)))
        .unwrap();
    assert_eq!(key.wake_at, None);
}

#[test]
fn no_more_versions_than_are_kept() {
    let most = u32::try_from(TRANSIT_VERSIONS_MAX).unwrap();
    let mut key = key(most);
    let next = TransitVersion {
        number: most + 1,
        ..key.versions[0].clone()
    };
    assert_eq!(key.push(next), Err(TransitRefusal::TooMany));
    assert_eq!(key.latest, most);
}

#[test]
fn names_of_keys() {
    for good in ["k", "my-key", "My.Key_2", "_x", "a..b"] {
        assert!(is_transit_name(good), "{good}");
    }
    let long = "a".repeat(TRANSIT_NAME_MAX + 1);
    for bad in ["", "-a", "a-", ".a", "a.", "a/b", "a b", "é", long.as_str()] {
        assert!(!is_transit_name(bad), "{bad}");
    }
}

#[test]
fn words_come_back() {
    for kind in TransitKind::ALL {
        assert_eq!(TransitKind::parse(kind.as_str()), Some(*kind));
        let text = serde_json::to_string(kind).unwrap();
        assert_eq!(text, format!("{:?}", kind.as_str()));
        assert!(kind.encrypts() || kind.signs() || *kind == TransitKind::Hmac);
    }
    for hash in TransitHash::ALL {
        assert_eq!(TransitHash::parse(hash.as_str()), Some(*hash));
    }
}
