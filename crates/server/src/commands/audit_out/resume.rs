//! Whether an export may be gone on with: what is signed again must be what was signed before.

use std::path::Path;

use anyhow::{Context, Result, bail};
use scaivault_core::audit_anchor::{ExportedEnd, ExportedEnds};
use scaivault_crypto::Keyring;
use scaivault_crypto::detached::SigningKey;

use super::manifest::{Manifest, PUBLIC_KEY, SIGNATURE, is_signed, public_key, shown};
use super::source::check_anchor;
use super::verify::verify_files;
use super::write::unhex;

/// Looks at what is in the directory before anything is added to it.
///
/// A manifest with the signature of this key is what a run before wrote; its files need to be there.
/// One without it was written without a key, or its write was cut short between the two, or somebody
/// changed it: then every line counts, up to the heads that the store must continue. An anchor that a
/// chain begins behind counts only by its codes, whoever wrote it there.
pub(super) fn check(
    directory: &Path,
    key: Option<&SigningKey>,
    keyring: Option<&Keyring>,
) -> Result<()> {
    let Some((manifest, bytes)) = Manifest::read(directory)? else {
        return Ok(());
    };
    let beside = directory.join(PUBLIC_KEY);
    let was_signed = beside.exists() || directory.join(SIGNATURE).exists();
    let Some(key) = key else {
        if was_signed {
            bail!(
                "{}: the export there is signed: give --key-file, or an empty directory",
                shown(directory)
            );
        }
        return is_there(directory, &manifest);
    };
    for anchor in &manifest.anchors {
        let genuine = anchor
            .stored()
            .and_then(|stored| check_anchor(keyring, &stored));
        genuine.with_context(|| format!("{}: its manifest", shown(directory)))?;
    }
    let own = key.public_der();
    if beside.exists() && public_key(&beside)? != own {
        bail!(
            "{}: the export there was signed with another key than this store's",
            shown(directory)
        );
    }
    if was_signed && is_signed(directory, &bytes, &own).unwrap_or(false) {
        return is_there(directory, &manifest);
    }
    verify_files(directory, &manifest).with_context(|| {
        format!(
            "{}: its manifest is not the one that was signed, and the files do not prove it",
            shown(directory)
        )
    })?;
    Ok(())
}

/// The files, by name and length: their content is what `verify-export` is for.
fn is_there(directory: &Path, manifest: &Manifest) -> Result<()> {
    for file in &manifest.files {
        let path = file.path(directory)?;
        let found = std::fs::metadata(&path).with_context(|| shown(&path))?;
        if found.len() != file.bytes {
            bail!("{}: is not the file that was exported", shown(&path));
        }
    }
    Ok(())
}

/// How far each chain was exported, as a manifest says.
pub(super) fn ends(manifest: &Manifest) -> Result<ExportedEnds> {
    let ends = manifest.chains.iter().map(|end| {
        let head = Some(unhex(&end.head)?);
        let last_seq = end.last_seq;
        Ok((end.chain.clone(), ExportedEnd { last_seq, head }))
    });
    ends.collect()
}

/// How far each chain was exported into this directory, as a manifest says that this key signed.
pub(crate) fn exported_ends(directory: &Path, key: &SigningKey) -> Result<ExportedEnds> {
    let Some((manifest, bytes)) = Manifest::read(directory)? else {
        bail!("{}: nothing was exported there yet", shown(directory));
    };
    if !is_signed(directory, &bytes, &key.public_der())? {
        bail!(
            "{}: the manifest is not signed by this store's key",
            shown(directory)
        );
    }
    is_there(directory, &manifest)?;
    ends(&manifest).with_context(|| shown(directory))
}

#[cfg(test)]
mod tests {
    use scaivault_core::audit_anchor::AuditAnchor;
    use scaivault_store::audit::{Hash, TakenSegment, link};

    use super::super::source::samples::{forged, genuine, keyring};
    use super::super::verify::verify_export;
    use super::super::write::RowsFile;
    use super::*;

    /// An export without a signature, whose first row is the one behind the anchor.
    fn cut(directory: &Path, anchor: &AuditAnchor) {
        let mut manifest = Manifest::new();
        manifest.begin_behind(anchor);
        let (chain, seq) = (&anchor.chain, anchor.last_seq);
        let head: Hash = link(&anchor.head, b"{}");
        let segment = TakenSegment {
            first_seq: seq + 1,
            rows: 1,
            first_at: 0,
            last_at: 0,
            prev: anchor.head.to_vec(),
            head: head.to_vec(),
            mac: vec![0; 32],
            body: b"{}\n".to_vec(),
        };
        let mut file = RowsFile::begin(directory, chain, seq, &anchor.head).unwrap();
        file.push(&segment).unwrap();
        manifest.add(file.finish(&head).unwrap());
        manifest.write(directory, None).unwrap();
    }

    #[test]
    fn a_beginning_that_was_made_up_is_not_signed_again() {
        let keyring = keyring();
        let key = keyring.audit_signing_key().unwrap();
        let checked = |anchor: &AuditAnchor| {
            let home = tempfile::tempdir().unwrap();
            cut(home.path(), anchor);
            check(home.path(), Some(&key), Some(&keyring))
        };
        checked(&genuine(&keyring)).unwrap();
        for anchor in forged(&keyring) {
            let refused = format!("{:#}", checked(&anchor).unwrap_err());
            assert!(refused.contains("who has not its key"), "{refused}");
        }
    }

    #[test]
    fn a_place_beyond_all_numbers_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let anchor = genuine(&keyring());
        cut(home.path(), &anchor);
        verify_export(home.path(), None).unwrap();
        let (mut manifest, _) = Manifest::read(home.path()).unwrap().unwrap();
        for (last_seq, first_seq) in [(u64::MAX, 0), (u64::MAX - 1, u64::MAX)] {
            manifest.anchors[0].last_seq = last_seq;
            manifest.files[0].first_seq = first_seq;
            manifest.write(home.path(), None).unwrap();
            let refused = verify_export(home.path(), None).unwrap_err().to_string();
            assert!(refused.contains(".jsonl"), "{refused}");
        }
    }
}
