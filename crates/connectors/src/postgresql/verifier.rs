//! The SCRAM-SHA-256 verifier of a password (RFC 5803), so that the server never sees the password:
//! neither its log nor its statistics can hold it.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::ports::Entropy;
use scaivault_core::target::{Trouble, TroubleKind};
use zeroize::Zeroizing;

/// The server's own default.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");
const SALT_BYTES: usize = 16;

/// The verifier of `password`, with a fresh salt.
///
/// Only ASCII is taken: the other texts are normalised before they are hashed (SASLprep), and one
/// that we normalised otherwise than a client does would lock it out.
pub(super) fn verifier(password: &str, entropy: &dyn Entropy) -> Result<String, Trouble> {
    if password.is_empty() || !password.is_ascii() || password.contains('\0') {
        return Err(Trouble::new(TroubleKind::Credential)
            .remedy("let the value's `password` be ASCII text, or set it at the server by hand"));
    }
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    Ok(of(password, &salt, ITERATIONS))
}

fn of(password: &str, salt: &[u8], iterations: NonZeroU32) -> String {
    let mut salted = Zeroizing::new([0u8; digest::SHA256_OUTPUT_LEN]);
    let prf = pbkdf2::PBKDF2_HMAC_SHA256;
    pbkdf2::derive(
        prf,
        iterations,
        salt,
        password.as_bytes(),
        salted.as_mut_slice(),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice());
    let client = hmac::sign(&key, b"Client Key");
    let stored = digest::digest(&digest::SHA256, client.as_ref());
    let server = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256${iterations}:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored),
        STANDARD.encode(server)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use scaivault_testkit::SeededEntropy;

    /// The example of RFC 7677: password `pencil`. Its client proof and server signature follow
    /// from the two keys of the verifier.
    #[test]
    fn the_example_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = of("pencil", &salt, ITERATIONS);
        let (_, keys) = verifier.rsplit_once('$').unwrap();
        let (_, server_key) = keys.split_once(':').unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
            r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
            c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(server_key).unwrap());
        let signature = STANDARD.encode(hmac::sign(&key, message.as_bytes()));
        assert_eq!(signature, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn salts_are_fresh_and_odd_passwords_refused() {
        let entropy = SeededEntropy::new(1);
        let one = verifier("same", &entropy).unwrap();
        assert_ne!(one, verifier("same", &entropy).unwrap());
        for odd in ["", "pässword", "a\0b"] {
            let kind = verifier(odd, &entropy).unwrap_err().kind;
            assert_eq!(kind, TroubleKind::Credential);
        }
    }
}
