//! Other programs that judge what was made here. A machine without them says so and goes on.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory with files that only their owner may read, as `ssh-keygen` asks for.
pub(super) struct Desk(TempDir);

impl Desk {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        use std::io::Write;
        let path = self.at(name);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .unwrap();
        file.write_all(content).unwrap();
        path
    }
}

/// What a program answers; `None` when it is not installed.
fn run(program: &str, arguments: &[&OsStr]) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed here");
            None
        }
        Err(error) => panic!("{program}: {error}"),
    }
}

/// Standard output of a program that succeeds; `None` when it is not installed.
pub(super) fn succeeds<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Option<String> {
    let arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    let output = run(program, &arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// OpenSSL signs with the private key and verifies with the public one.
pub(super) fn openssl_signs(desk: &Desk, private: &Path, public: &Path) {
    let (message, signature) = (desk.put("message", b"to be signed"), desk.at("signature"));
    let words = |words: &[&str]| -> Vec<std::ffi::OsString> {
        words.iter().map(std::ffi::OsString::from).collect()
    };
    let mut check = words(&["pkey", "-check", "-noout", "-in"]);
    check.push(private.into());
    if succeeds("openssl", &check).is_none() {
        return;
    }
    let mut sign = words(&["dgst", "-sha256", "-sign"]);
    sign.extend([
        private.into(),
        "-out".into(),
        signature.clone().into(),
        message.clone().into(),
    ]);
    succeeds("openssl", &sign);
    let mut verify = words(&["dgst", "-sha256", "-verify"]);
    verify.extend([
        public.into(),
        "-signature".into(),
        signature.into(),
        message.into(),
    ]);
    let said = succeeds("openssl", &verify).unwrap();
    assert!(said.contains("Verified OK"), "{said}");
}
