//! Whether an export may be gone on with: what is signed again must be what was signed before.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use scaivault_crypto::detached::SigningKey;

use super::manifest::{Manifest, PUBLIC_KEY, SIGNATURE, is_signed, public_key, shown};
use super::verify::verify_files;

/// Looks at what is in the directory before anything is added to it.
///
/// A manifest with the signature of this key is what a run before wrote; its files need to be there.
/// One without it was written without a key, or its write was cut short between the two, or somebody
/// changed it: then every line counts, up to the heads that the store must continue.
pub(super) fn check(directory: &Path, key: Option<&SigningKey>) -> Result<()> {
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

/// How far each chain was exported into this directory, as a manifest says that this key signed.
pub(crate) fn exported_ends(directory: &Path, key: &SigningKey) -> Result<BTreeMap<String, u64>> {
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
    let ends = manifest
        .chains
        .into_iter()
        .map(|end| (end.chain, end.last_seq));
    Ok(ends.collect())
}
