//! Root key files: what is read is 32 bytes on one line, and the key is theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use scaivault_crypto::RootKey;
use scaivault_crypto::root::key_file;
use zeroize::Zeroizing;

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "key_file",
    seeds: || {
        texts(&[
            "# ScaiVault root key root_0123456789abcdef. Keep a copy.\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
            "\r\n  //////////////////////////////////////////8=  \r\n",
        ])
    },
    words: &["#", "\n", "=", "==", "A", "\0", "\r", " ", "AAAA", "-", "_"],
    run,
};

fn run(data: &[u8]) {
    let Some(key) = key_file::parse(data) else {
        return;
    };
    let lines = data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut lines = lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let line = lines.next().expect("a line");
    assert!(lines.next().is_none(), "of two keys none is meant");
    let bytes = STANDARD.decode(line).expect("base64");
    assert_eq!(STANDARD.encode(&bytes).as_bytes(), line, "one spelling");
    let bytes: [u8; 32] = bytes.try_into().expect("32 bytes");
    let again = RootKey::from_bytes(Zeroizing::new(bytes));
    assert_eq!(again.fingerprint(), key.fingerprint());
}
