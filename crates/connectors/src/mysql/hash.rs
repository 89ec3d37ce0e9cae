//! Passwords as the server stores them, so that no statement holds one.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use scaivault_core::target::{Trouble, TroubleKind};
use zeroize::Zeroizing;

/// The plugin of both families whose stored form is a plain double SHA-1.
pub(super) const NATIVE: &str = "mysql_native_password";
/// The default plugin of MySQL 8: 5000 rounds of SHA-256 crypt.
pub(super) const CACHING_SHA2: &str = "caching_sha2_password";

/// What a salted stored form begins with: the digest's kind and thousands of rounds.
const SHA2_PREFIX: &str = "$A$005$";
const SHA2_ROUNDS: usize = 5000;
const SHA2_SALT: usize = 20;
const SHA2_DIGEST: usize = 43;
const CRYPT_ALPHABET: &[u8; 64] =
    b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The stored form of a password under a plugin; a new salt each time where there is one.
pub(super) fn stored(plugin: &str, password: &str) -> Result<String, Trouble> {
    match plugin {
        NATIVE => Ok(native(password)),
        CACHING_SHA2 => {
            let mut salt = [0; SHA2_SALT];
            random(&mut salt)?;
            let salt: String = salt
                .iter()
                .map(|byte| char::from(CRYPT_ALPHABET[usize::from(byte & 63)]))
                .collect();
            Ok(sha2(password, &salt))
        }
        _ => Err(TroubleKind::Unsupported.into()),
    }
}

/// Whether a stored form is that of this password.
pub(super) fn matches(plugin: &str, stored: &str, password: &str) -> bool {
    match plugin {
        NATIVE => native(password).eq_ignore_ascii_case(stored),
        CACHING_SHA2 => stored
            .strip_prefix(SHA2_PREFIX)
            .and_then(|rest| rest.split_at_checked(SHA2_SALT))
            .is_some_and(|(salt, _)| sha2(password, salt) == stored),
        _ => false,
    }
}

/// A stored form that no password is known for.
pub(super) fn unusable(plugin: &str) -> Result<String, Trouble> {
    let mut bytes = Zeroizing::new([0; 32]);
    random(&mut bytes[..])?;
    stored(plugin, &Zeroizing::new(hex::encode(&bytes[..])))
}

fn random(bytes: &mut [u8]) -> Result<(), Trouble> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| TroubleKind::Protocol.into())
}

fn native(password: &str) -> String {
    if password.is_empty() {
        return String::new();
    }
    let once = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let twice = digest(&SHA1_FOR_LEGACY_USE_ONLY, once.as_ref());
    format!("*{}", hex::encode_upper(twice.as_ref()))
}

fn sha2(password: &str, salt: &str) -> String {
    let digest = sha256_crypt(password.as_bytes(), salt.as_bytes());
    format!("{SHA2_PREFIX}{salt}{digest}")
}

/// The digest part of SHA-256 crypt, with salts of any length.
fn sha256_crypt(password: &[u8], salt: &[u8]) -> String {
    let repeat = |block: &[u8], len: usize| -> Zeroizing<Vec<u8>> {
        Zeroizing::new(block.iter().copied().cycle().take(len).collect())
    };
    let of = |parts: &[&[u8]]| -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    };

    let b = of(&[password, salt, password]);
    let mut context = Context::new(&SHA256);
    context.update(password);
    context.update(salt);
    context.update(&repeat(&b, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        context.update(if bits & 1 == 1 { &b } else { password });
        bits >>= 1;
    }
    let mut a = [0; 32];
    a.copy_from_slice(context.finish().as_ref());

    let mut context = Context::new(&SHA256);
    (0..password.len()).for_each(|_| context.update(password));
    let p = repeat(context.finish().as_ref(), password.len());
    let mut context = Context::new(&SHA256);
    (0..16 + usize::from(a[0])).for_each(|_| context.update(salt));
    let s = repeat(context.finish().as_ref(), salt.len());

    for round in 0..SHA2_ROUNDS {
        let first: &[u8] = if round % 2 == 1 { &p } else { &a };
        let third: &[u8] = if round % 3 == 0 { &[] } else { &s };
        let fourth: &[u8] = if round % 7 == 0 { &[] } else { &p };
        let last: &[u8] = if round % 2 == 1 { &a } else { &p };
        a = of(&[first, third, fourth, last]);
    }
    encode(&a)
}

/// The digest's bytes in crypt's order and alphabet.
fn encode(a: &[u8; 32]) -> String {
    let mut out = String::with_capacity(SHA2_DIGEST);
    let mut put = |value: u32, count: usize| {
        (0..count).for_each(|at| {
            out.push(char::from(
                CRYPT_ALPHABET[(value >> (6 * at)) as usize & 63],
            ));
        });
    };
    let (mut i, mut j, mut k) = (0, 10, 20);
    for _ in 0..10 {
        put(
            u32::from(a[i]) << 16 | u32::from(a[j]) << 8 | u32::from(a[k]),
            4,
        );
        (i, j, k) = (k + 1, i + 1, j + 1);
    }
    put(u32::from(a[31]) << 8 | u32::from(a[30]), 3);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_forms_are_made() {
        assert_eq!(
            native("password"),
            "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
        );
        assert_eq!(
            sha256_crypt(b"Hello world!", b"saltstring"),
            "5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
        let salt: Vec<u8> = hex::decode("F9CC98CE08892924F50A213B6BC571A2C11778C5").unwrap();
        assert_eq!(
            sha256_crypt(b"hashcat", &salt),
            "bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/"
        );
    }

    #[test]
    fn a_stored_form_matches_its_password_alone() {
        for plugin in [NATIVE, CACHING_SHA2] {
            let form = stored(plugin, "one").unwrap();
            assert!(matches(plugin, &form, "one"));
            assert!(!matches(plugin, &form, "two"));
            assert!(!matches(plugin, "", "one"));
            assert_ne!(unusable(plugin).unwrap(), unusable(plugin).unwrap());
        }
        assert_eq!(
            stored(CACHING_SHA2, "x").unwrap().len(),
            SHA2_PREFIX.len() + SHA2_SALT + SHA2_DIGEST
        );
        assert!(stored("ed25519", "one").is_err());
    }
}
