//! The root key in a file. Promise: the file appears whole or not at all, never replaces another,
//! and is read only if its owner alone can.
//!
//! ```text
//! # ScaiVault root key root_0123456789abcdef. Keep a copy apart from the store's backups.
//! <base64 of 32 bytes, with padding>
//! ```
//! Lines that begin with `#` and empty lines are skipped; there is exactly one other line.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::ports::Entropy;
use zeroize::{Zeroize, Zeroizing};

use super::RootKey;
use crate::derive::KEY_BYTES;

const MODE: u32 = 0o600;
/// Permission bits of anyone but the owner.
const OTHERS: u32 = 0o077;
/// What a credential handed over by the service manager looks like: root's, and readable to the
/// service by an access list, whose mask shows in the group's place.
const HANDED_OVER: u32 = 0o440;
const FILE_BYTES_MAX: usize = 4096;
/// Base64 characters of a key.
const KEY_CHARS: usize = 44;

/// Why a key file could not be made or read. Never shows its content.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is one already, and replacing it would lose the store.
    #[error("{} exists already and is not replaced", .0.display())]
    Exists(PathBuf),
    /// Others on this host can read or change it.
    #[error("{path} is open to others (mode {mode:04o}); run: chmod 600 {path}", path = .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It belongs to someone else, who can read and change it.
    #[error(
        "{path} belongs to user {owner}, but this is user {user}; run: chown {user} {path} && chmod 600 {path}",
        path = .path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Our number.
        user: u32,
    },
    /// Not a key file.
    #[error("{} is not a ScaiVault key file: one line with the base64 of 32 bytes", .0.display())]
    Format(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Makes a fresh root key and its file, mode 0600. When this answers, the file is on the disk.
///
/// # Errors
/// [`KeyFileError::Exists`] when there is anything at `path`, which stays as it is;
/// [`KeyFileError::Io`]. A failure late in the work may leave the whole, good file: the next try
/// then answers `Exists`, and [`load`] reads it.
pub fn create(path: &Path, entropy: &dyn Entropy) -> Result<RootKey, KeyFileError> {
    let root = RootKey::generate(entropy);
    let beside = name_beside(path, entropy);
    let placed = write_new(&beside, &text_of(&root)).and_then(|()| place(&beside, path));
    // Always, also after a failure: no copy of the key stays under the other name.
    let removed = fs::remove_file(&beside).map_err(failed("remove", &beside));
    placed?;
    removed?;
    sync_folder(path)?;
    Ok(root)
}

/// Reads the root key.
///
/// # Errors
/// [`KeyFileError`]: [`Exposed`](KeyFileError::Exposed) and [`Owner`](KeyFileError::Owner) say
/// what to run.
pub fn load(path: &Path) -> Result<RootKey, KeyFileError> {
    // Checked on the open file, so that what was checked is what is read.
    let mut file = File::open(path).map_err(failed("open", path))?;
    check_access(path, &file)?;
    let mut buffer = Zeroizing::new([0; FILE_BYTES_MAX + 1]);
    let mut length = 0;
    loop {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read", path)(error)),
        }
    }
    parse(&buffer[..length]).ok_or_else(|| KeyFileError::Format(path.to_owned()))
}

fn check_access(path: &Path, file: &File) -> Result<(), KeyFileError> {
    let metadata = file.metadata().map_err(failed("examine", path))?;
    if !metadata.is_file() {
        return Err(KeyFileError::Format(path.to_owned()));
    }
    check_owner(path, metadata.uid(), rustix::process::geteuid().as_raw())?;
    let mode = metadata.mode() & 0o7777;
    if !is_closed(mode, metadata.uid(), metadata.gid()) {
        return Err(KeyFileError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

/// Whether nobody but the owner and root reads a file of this mode, owner and group.
pub fn is_closed(mode: u32, owner: u32, group: u32) -> bool {
    let mode = mode & 0o7777;
    mode & OTHERS == 0 || (mode == HANDED_OVER && owner == 0 && group == 0)
}

/// Root's files are fine: root reads everything anyway.
fn check_owner(path: &Path, owner: u32, user: u32) -> Result<(), KeyFileError> {
    if owner == user || owner == 0 {
        return Ok(());
    }
    Err(KeyFileError::Owner {
        path: path.to_owned(),
        owner,
        user,
    })
}

fn text_of(root: &RootKey) -> Zeroizing<Vec<u8>> {
    let comment = format!(
        "# ScaiVault root key {}. Keep a copy apart from the store's backups.\n",
        root.fingerprint()
    );
    // Sized at once: a vector that grows leaves its old bytes behind.
    let mut text = Zeroizing::new(vec![0; comment.len() + KEY_CHARS + 1]);
    text[..comment.len()].copy_from_slice(comment.as_bytes());
    STANDARD
        .encode_slice(root.bytes().as_slice(), &mut text[comment.len()..])
        .expect("there is room for 44 characters");
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    text
}

/// Reads the content of a key file.
pub fn parse(text: &[u8]) -> Option<RootKey> {
    let mut lines = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty() && !line.starts_with(b"#"));
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    // The decoder asks for room for whole groups of three.
    let mut decoded = Zeroizing::new([0; KEY_BYTES + 1]);
    let length = STANDARD.decode_slice(line, decoded.as_mut_slice()).ok()?;
    if length != KEY_BYTES {
        return None;
    }
    let key = RootKey::filled(|key| key.copy_from_slice(&decoded[..KEY_BYTES]));
    decoded.zeroize();
    Some(key)
}

fn write_new(path: &Path, text: &[u8]) -> Result<(), KeyFileError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(MODE)
        .open(path)
        .map_err(failed("create", path))?;
    // An odd umask may have taken bits the owner needs.
    file.set_permissions(Permissions::from_mode(MODE))
        .and_then(|()| file.write_all(text))
        .and_then(|()| file.sync_all())
        .map_err(failed("write", path))
}

/// Gives the finished file its name. A link, not a rename: a rename would replace what is there.
fn place(beside: &Path, path: &Path) -> Result<(), KeyFileError> {
    fs::hard_link(beside, path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => failed("create", path)(error),
    })
}

fn name_beside(path: &Path, entropy: &dyn Entropy) -> PathBuf {
    let mut random = [0; 8];
    entropy.fill(&mut random);
    folder_of(path).join(format!(".scaivault-key-{}", hex::encode(random)))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn sync_folder(path: &Path) -> Result<(), KeyFileError> {
    let folder = folder_of(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("sync", folder))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    move |source| KeyFileError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Seeded;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn what_was_created_loads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        let made = create(&path, &Seeded::new(1)).unwrap();
        assert_eq!(load(&path).ok().unwrap().bytes(), made.bytes());

        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("# ") && lines[0].contains(&made.fingerprint()));
        assert_eq!(lines[1].len(), KEY_CHARS);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing else is left behind");
    }

    #[test]
    fn an_existing_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        create(&path, &Seeded::new(1)).unwrap();
        let before = fs::read(&path).unwrap();
        let again = create(&path, &Seeded::new(2)).err().unwrap();
        assert!(matches!(again, KeyFileError::Exists(_)));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let dangling = folder.path().join("link.key");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &dangling).unwrap();
        let through = create(&dangling, &Seeded::new(3)).err().unwrap();
        assert!(matches!(through, KeyFileError::Exists(_)));
    }

    #[test]
    fn a_missing_folder_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent/root.key");
        let error = create(&path, &Seeded::new(1)).err().unwrap();
        assert!(matches!(
            error,
            KeyFileError::Io {
                action: "create",
                ..
            }
        ));
    }

    #[test]
    fn files_open_to_others_are_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.key");
        create(&path, &Seeded::new(1)).unwrap();
        for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666] {
            chmod(&path, mode);
            let error = load(&path).err().unwrap();
            let cure = format!("chmod 600 {}", path.display());
            assert!(error.to_string().contains(&cure), "{mode:o}: {error}");
        }
        for mode in [0o600, 0o400] {
            chmod(&path, mode);
            assert!(load(&path).is_ok(), "{mode:o}");
        }
    }

    #[test]
    fn owners() {
        let path = Path::new("/etc/scaivault/root.key");
        assert!(check_owner(path, 1000, 1000).is_ok());
        assert!(check_owner(path, 0, 1000).is_ok());
        for user in [0, 1001] {
            let error = check_owner(path, 1000, user).err().unwrap().to_string();
            assert!(
                error.contains("chmod 600 /etc/scaivault/root.key"),
                "{error}"
            );
        }
    }

    #[test]
    fn other_content_is_refused() {
        let key = STANDARD.encode([7; 32]);
        let good = [
            format!("{key}\n"),
            format!("# a\n\n# b\r\n{key}\r\n"),
            key.clone(),
        ];
        for text in good {
            assert!(parse(text.as_bytes()).is_some(), "{text:?}");
        }
        let bad = [
            String::new(),
            "# only a comment\n".to_owned(),
            format!("{key}\n{key}\n"),
            key[..43].to_owned(),
            format!("{key}AAAA"),
            STANDARD.encode([7; 31]),
            STANDARD.encode([7; 33]),
            hex::encode([7; 32]),
        ];
        for text in bad {
            assert!(parse(text.as_bytes()).is_none(), "{text:?}");
        }
        assert!(parse(&[0xff; 64]).is_none());
    }

    #[test]
    fn a_folder_or_an_endless_file_is_not_a_key_file() {
        let folder = tempfile::tempdir().unwrap();
        chmod(folder.path(), 0o700);
        assert!(load(folder.path()).is_err());
        let path = folder.path().join("long.key");
        let mut text = vec![b'\n'; FILE_BYTES_MAX * 3];
        text.extend_from_slice(STANDARD.encode([7; 32]).as_bytes());
        write_new(&path, &text).unwrap();
        assert!(matches!(load(&path), Err(KeyFileError::Format(_))));
    }

    #[test]
    fn a_credential_of_the_service_manager_is_closed_and_nothing_near_it() {
        for mode in [0o400, 0o600, 0o100_600] {
            assert!(is_closed(mode, 1000, 1000), "{mode:o}");
        }
        assert!(is_closed(0o440, 0, 0));
        for (mode, owner, group) in [
            (0o440, 1000, 0),
            (0o440, 0, 1000),
            (0o444, 0, 0),
            (0o640, 0, 0),
            (0o660, 0, 0),
            (0o604, 1000, 1000),
        ] {
            assert!(!is_closed(mode, owner, group), "{mode:o} {owner} {group}");
        }
    }

    #[test]
    fn errors_show_no_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.key");
        write_new(&path, b"canary-canary").unwrap();
        let error = load(&path).err().unwrap();
        assert!(!format!("{error} {error:?}").contains("canary"));
    }
}
