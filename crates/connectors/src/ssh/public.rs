//! Public keys as people have them: a line of an `authorized_keys` file.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::wire::Reader;

/// Kinds of keys that are signed, and what their certificates are called.
const KINDS: [(&str, &str); 7] = [
    ("ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"),
    ("ssh-rsa", "ssh-rsa-cert-v01@openssh.com"),
    (
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    ),
    (
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    ),
    (
        "ecdsa-sha2-nistp521",
        "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    ),
    (
        "sk-ssh-ed25519@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com",
    ),
    (
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "sk-ecdsa-sha2-nistp256-cert-v01@openssh.com",
    ),
];
/// RSA keys below that are not signed.
const RSA_BITS_MIN: usize = 2048;
/// Of a line: an RSA key of 16384 bits fits.
const LINE_MAX: usize = 8192;

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicKey {
    /// What a certificate of it is called.
    pub(super) certificate: &'static str,
    /// The whole key.
    pub(super) blob: Vec<u8>,
    /// Its fields without the name before them.
    pub(super) fields: Vec<u8>,
}

impl PublicKey {
    /// Reads `kind base64 comment`.
    pub(super) fn read(line: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "is a line such as `ssh-ed25519 AAAA… comment`";
        if line.len() > LINE_MAX {
            return Err(WRONG);
        }
        let mut words = line.split_whitespace();
        let (kind, text) = words.next().zip(words.next()).ok_or(WRONG)?;
        let blob = STANDARD.decode(text).map_err(|_| WRONG)?;
        let mut reader = Reader(&blob);
        if reader.word() != Some(kind) {
            return Err(WRONG);
        }
        let known = KINDS.iter().find(|(known, _)| *known == kind);
        let (_, certificate) = known.ok_or("is of a kind that is not signed")?;
        let fields = reader.0.to_vec();
        if !is_whole(kind, &fields) {
            return Err(WRONG);
        }
        if kind == "ssh-rsa" && rsa_bits(&fields) < RSA_BITS_MIN {
            return Err("is an RSA key of less than 2048 bits");
        }
        Ok(Self {
            certificate,
            blob,
            fields,
        })
    }
}

/// Whether these are the fields of such a key, and nothing behind them.
fn is_whole(kind: &str, fields: &[u8]) -> bool {
    let mut reader = Reader(fields);
    let count = match kind {
        "ssh-ed25519" => 1,
        "sk-ecdsa-sha2-nistp256@openssh.com" => 3,
        _ => 2,
    };
    let first = reader.text();
    let sound = match kind {
        "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => first.is_some_and(|key| key.len() == 32),
        "ssh-rsa" => first.is_some(),
        curve => first.is_some_and(|name| {
            std::str::from_utf8(name).is_ok_and(|name| curve.contains(name) && !name.is_empty())
        }),
    };
    sound && (1..count).all(|_| reader.text().is_some()) && reader.0.is_empty()
}

fn rsa_bits(fields: &[u8]) -> usize {
    let mut reader = Reader(fields);
    reader.text();
    let modulus = reader.text().unwrap_or_default();
    super::wire::trimmed(modulus).len() * 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_refused() {
        let line =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDc5QBP5pYJOLOpHFLqT1fr7NRNQ5Mrbks5b1pWmwbS6 a b";
        let key = PublicKey::read(line).unwrap();
        assert_eq!(key.certificate, "ssh-ed25519-cert-v01@openssh.com");
        assert_eq!((key.blob.len(), key.fields.len()), (51, 36));
        for wrong in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 !!!",
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIDc5QBP5pYJOLOpHFLqT1fr7NRNQ5Mrbks5b1pWmwbS6",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDc5QBP5pYJOLOpHFLqT1fr7NRNQ5Mrbks5b1pWmwbS6AAAA",
            "ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t",
        ] {
            assert!(PublicKey::read(wrong).is_err(), "{wrong}");
        }
    }
}
