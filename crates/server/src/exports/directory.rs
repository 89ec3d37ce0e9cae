//! Exports of the audit trail in a directory that the operator chose: each in one of its own, which
//! its owner alone reads.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use scaivault_core::ids::ExportId;
use scaivault_core::ports::ExportSink;

/// A directory of exports.
#[derive(Debug, Clone)]
pub(crate) struct ExportDirectory(pub(crate) PathBuf);

#[async_trait]
impl ExportSink for ExportDirectory {
    async fn put(&self, export: &ExportId, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let (root, directory) = (self.0.clone(), self.0.join(export.as_str()));
        let name = name.to_owned();
        apart(move || put(&root, &directory, &name, &bytes)).await
    }

    async fn discard(&self, export: &ExportId) -> Result<(), String> {
        let directory = self.0.join(export.as_str());
        apart(move || match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

/// Files are written on a thread that may wait for the disk.
async fn apart(work: impl FnOnce() -> std::io::Result<()> + Send + 'static) -> Result<(), String> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| error.to_string())?;
    done.map_err(|error| error.to_string())
}

/// Another name first, on disk, then the name. The root must be there: a disk that is not mounted is
/// no reason to write somewhere else.
fn put(root: &Path, directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => File::open(root)?.sync_all()?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let part = directory.join(format!("{name}.part"));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn files_are_whole_and_private_and_go_again() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let sink = ExportDirectory(home.path().to_owned());
        let id = ExportId::parse("exp_1").unwrap();
        for text in ["first", "second"] {
            sink.put(&id, "part-000001.csv", text.into()).await.unwrap();
        }
        let file = home.path().join("exp_1/part-000001.csv");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "second");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(
            std::fs::read_dir(file.parent().unwrap()).unwrap().count(),
            1
        );
        sink.discard(&id).await.unwrap();
        assert!(!home.path().join("exp_1").exists());
        sink.discard(&id).await.unwrap();
        // Not where nothing is mounted.
        let elsewhere = ExportDirectory(home.path().join("none"));
        assert!(elsewhere.put(&id, "a", Vec::new()).await.is_err());
        assert!(!home.path().join("none").exists());
    }
}
