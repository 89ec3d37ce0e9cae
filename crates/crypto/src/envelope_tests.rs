use std::sync::LazyLock;

use proptest::prelude::*;
use scaivault_core::ids::TenantId;

use super::*;
use crate::entropy::SystemEntropy;
use crate::testing::{Cycle, Seeded};

const TENANTS: [&str; 3] = ["tnt_a", "tnt_b", "tnt_ab"];
const KINDS: [&str; 3] = ["secret", "webhook", "subscription"];
const FIELDS: [&str; 3] = ["data", "signing_secret", "previous_secret"];

static IDS: LazyLock<Vec<TenantId>> =
    LazyLock::new(|| TENANTS.map(|id| TenantId::parse(id).unwrap()).to_vec());

fn key(byte: u8) -> AeadKey {
    AeadKey::new(&KeyBytes::new([byte; KEY_BYTES]))
}

fn key_id() -> KeyId {
    KeyId::parse("key_1").unwrap()
}

fn home() -> Place<'static> {
    Place {
        tenant: &IDS[0],
        kind: "secret",
        path: "db/main",
        version: 3,
        field: "data",
    }
}

fn seal_at(place: Place<'_>, value: &[u8]) -> Sealed {
    let value = Plaintext::new(value.to_vec());
    seal(&key(0x11), &key_id(), place, &value, &SystemEntropy).unwrap()
}

fn open_at(place: Place<'_>, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
    let value = Envelope::parse(sealed)?.open(&key(0x11), place)?;
    Ok(value.expose().to_vec())
}

#[test]
fn known_answer() {
    // Computed from the format above with Python's cryptography package.
    let expect = "01056b65795f31c603e95df5f1e461cc09a5921159dc76450bfd27e78a242c84bbf7cd152dc518333333333333333333333333a6a17064e8b0570e909ac94f8509c10a24ea2d16a8fba78eda682ba781aca8087f6624e7ecb5d91a37d9e6701a2ee0ca44444444444444444444444404da6c0c1b3a5c0c384847639c91471d49c8abed5f9162";
    let drawn = [[0x22; 32].as_slice(), &[0x33; 12], &[0x44; 12]].concat();
    let value = Plaintext::new(b"hunter2".to_vec());
    let sealed = seal(&key(0x11), &key_id(), home(), &value, &Cycle::new(drawn)).unwrap();
    assert_eq!(hex::encode(&sealed.0), expect);
    assert_eq!(sealed.0.capacity(), sealed.0.len(), "one allocation");
    assert_eq!(sealed.0.len(), 122 + "key_1".len() + "hunter2".len());
    assert_eq!(open_at(home(), &sealed).unwrap(), b"hunter2");
}

#[test]
fn two_seals_of_one_value_share_nothing() {
    let (one, other) = (seal_at(home(), b"same"), seal_at(home(), b"same"));
    let head = 2 + "key_1".len();
    let differing = one.0[head..]
        .iter()
        .zip(&other.0[head..])
        .filter(|(a, b)| a != b);
    assert!(differing.count() > 100);
}

#[test]
fn each_part_of_the_place_is_bound() {
    let sealed = seal_at(home(), b"hunter2");
    let others = [
        Place {
            tenant: &IDS[1],
            ..home()
        },
        Place {
            kind: "webhook",
            ..home()
        },
        Place {
            path: "db/mai",
            ..home()
        },
        Place {
            path: "db/main/",
            ..home()
        },
        Place { path: "", ..home() },
        Place {
            version: 2,
            ..home()
        },
        Place {
            version: 0,
            ..home()
        },
        Place {
            version: u64::MAX,
            ..home()
        },
        Place {
            field: "signing_secret",
            ..home()
        },
    ];
    for place in others {
        assert_eq!(
            open_at(place, &sealed),
            Err(SealError::Refused),
            "{place:?}"
        );
    }
}

#[test]
fn another_key_is_refused() {
    let sealed = seal_at(home(), b"hunter2");
    let opened = Envelope::parse(&sealed).unwrap().open(&key(0x12), home());
    assert_eq!(opened.err(), Some(SealError::Refused));
}

#[test]
fn the_key_id_is_bound_even_under_the_same_key() {
    let mut sealed = seal_at(home(), b"hunter2");
    sealed.0[6] = b'2';
    let envelope = Envelope::parse(&sealed).unwrap();
    assert_eq!(envelope.key_id(), "key_2");
    assert_eq!(
        envelope.open(&key(0x11), home()).err(),
        Some(SealError::Refused)
    );
}

/// Someone with the tenant's key makes an envelope in which all fits but the commitment.
#[test]
fn the_commitment_alone_refuses() {
    let craft = |committed: u8| {
        let binding = binding::of_value(FORMAT, home(), "key_1");
        let data_key = KeyBytes::new([5; KEY_BYTES]);
        let committed = KeyBytes::new([committed; KEY_BYTES]);
        let nonce = [9; NONCE_BYTES];
        let mut out = b"\x01\x05key_1".to_vec();
        out.extend_from_slice(
            crate::derive::derive(&committed, Label::ValueCommitment, &binding).as_slice(),
        );
        out.extend_from_slice(&nonce);
        key(0x11)
            .seal(nonce, &binding, data_key.as_slice(), &mut out)
            .unwrap();
        out.extend_from_slice(&nonce);
        value_key(&Deriver::new(&data_key), &binding)
            .seal(nonce, &binding, b"two faces", &mut out)
            .unwrap();
        Sealed(out)
    };
    assert_eq!(open_at(home(), &craft(5)).unwrap(), b"two faces");
    assert_eq!(open_at(home(), &craft(6)), Err(SealError::Refused));
}

/// The parts of two envelopes of one place cannot be mixed.
#[test]
fn parts_cannot_be_exchanged() {
    let (one, other) = (seal_at(home(), b"value 1"), seal_at(home(), b"value 2"));
    let borders = [7, 39, 51, 99, 111, one.0.len()];
    for span in borders.windows(2) {
        let mut mixed = one.clone();
        mixed.0[span[0]..span[1]].copy_from_slice(&other.0[span[0]..span[1]]);
        assert_eq!(open_at(home(), &mixed), Err(SealError::Refused), "{span:?}");
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = seal_at(home(), b"hunter2");
    for bit in 0..sealed.0.len() * 8 {
        let mut flipped = sealed.clone();
        flipped.0[bit / 8] ^= 1 << (bit % 8);
        assert!(open_at(home(), &flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn other_versions_and_short_bytes_are_malformed() {
    let sealed = seal_at(home(), b"");
    for length in 0..sealed.0.len() {
        let cut = Sealed(sealed.0[..length].to_vec());
        assert_eq!(open_at(home(), &cut), Err(SealError::Malformed), "{length}");
    }
    for version in (0..=255).filter(|version| *version != FORMAT) {
        let mut other = sealed.clone();
        other.0[0] = version;
        assert_eq!(open_at(home(), &other), Err(SealError::Malformed));
    }
}

fn any_place() -> impl Strategy<Value = (usize, usize, String, u64, usize)> {
    // Few paths and versions, so that places often differ in one part only.
    let path = prop_oneof!["[ab]{0,2}", ".{0,40}"];
    (
        0..3usize,
        0..3usize,
        path,
        prop_oneof![0..3u64, any::<u64>()],
        0..3usize,
    )
}

fn place((tenant, kind, path, version, field): &(usize, usize, String, u64, usize)) -> Place<'_> {
    Place {
        tenant: &IDS[*tenant],
        kind: KINDS[*kind],
        path,
        version: *version,
        field: FIELDS[*field],
    }
}

proptest! {
    #[test]
    fn open_undoes_seal(at in any_place(), value in prop::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert_eq!(open_at(place(&at), &seal_at(place(&at), &value)), Ok(value));
    }

    #[test]
    fn swapped_values_are_refused(one in any_place(), other in any_place()) {
        prop_assume!(one != other);
        let sealed = (seal_at(place(&one), b"one"), seal_at(place(&other), b"other"));
        prop_assert_eq!(open_at(place(&one), &sealed.1), Err(SealError::Refused));
        prop_assert_eq!(open_at(place(&other), &sealed.0), Err(SealError::Refused));
    }

    #[test]
    fn altered_bytes_are_refused(
        value in prop::collection::vec(any::<u8>(), 0..300),
        at in any::<prop::sample::Index>(),
        mask in 1..=255u8,
    ) {
        let mut sealed = seal_at(home(), &value);
        let at = at.index(sealed.0.len());
        sealed.0[at] ^= mask;
        prop_assert!(open_at(home(), &sealed).is_err());
    }

    #[test]
    fn cut_or_longer_bytes_are_refused(
        value in prop::collection::vec(any::<u8>(), 0..300),
        cut in any::<prop::sample::Index>(),
        more in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let sealed = seal_at(home(), &value);
        let cut = Sealed(sealed.0[..cut.index(sealed.0.len())].to_vec());
        prop_assert!(open_at(home(), &cut).is_err());
        let longer = Sealed([sealed.0, more].concat());
        prop_assert_eq!(open_at(home(), &longer), Err(SealError::Refused));
    }

    #[test]
    fn garbage_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open_at(home(), &Sealed(bytes.clone())).is_err());
        let likely = [b"\x01\x05key_1".to_vec(), bytes].concat();
        prop_assert!(open_at(home(), &Sealed(likely)).is_err());
    }

    #[test]
    fn draws_are_never_shared(seed in any::<u64>()) {
        let fresh = Fresh::draw(&Seeded::new(seed));
        prop_assert_ne!(fresh.wrap_nonce, fresh.nonce);
        prop_assert_ne!(&fresh.data_key[..NONCE_BYTES], fresh.nonce.as_slice());
    }
}
