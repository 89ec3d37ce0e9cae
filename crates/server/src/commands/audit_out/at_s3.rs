//! An export of the chain in a bucket: copied from its directory, and believed by its signature.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use scaivault_core::audit_anchor::ExportedEnds;
use scaivault_crypto::detached::{SigningKey, verify};

use super::manifest::{MANIFEST, Manifest, PUBLIC_KEY, SIGNATURE, is_plain, shown};
use super::resume::ends;
use super::write::unhex;
use crate::exports::s3::{Object, S3};

/// Before the names of all its objects.
const PREFIX: &str = "chain/";

/// Copies what the bucket does not have: rows first, what speaks for them last, the manifest behind its
/// signature. A copy that was cut short has rows beyond its manifest, or at worst a signature that does
/// not fit yet; nobody believes that one until the next copy, which ends it.
///
/// # Errors
/// When the bucket has an export that this one does not continue.
pub(super) async fn copy(directory: &Path, bucket: &S3) -> Result<usize> {
    let Some((manifest, bytes)) = Manifest::read(directory)? else {
        bail!("{}: nothing was exported there yet", shown(directory));
    };
    check_continues(&manifest, bucket).await?;
    let mut copied = 0;
    for file in &manifest.files {
        let object = Object {
            name: format!("{PREFIX}{}", file.name),
            bytes: file.bytes,
            sha256: unhex(&file.sha256)?,
        };
        if bucket.has(&object).await? {
            continue;
        }
        let path = file.path(directory)?;
        let rows = std::fs::read(&path).with_context(|| shown(&path))?;
        if Object::of(&object.name, &rows).sha256 != object.sha256 {
            bail!("{}: is not the file that was exported", shown(&path));
        }
        bucket.put(&object.name, rows).await?;
        copied += 1;
    }
    for name in [PUBLIC_KEY, SIGNATURE] {
        let path = directory.join(name);
        if path.exists() {
            let bytes = std::fs::read(&path).with_context(|| shown(&path))?;
            put_changed(bucket, name, bytes).await?;
        }
    }
    put_changed(bucket, MANIFEST, bytes).await?;
    Ok(copied)
}

/// What the bucket has is evidence, also of rows that somebody removed from the store since: it is
/// only ever added to. Its signature is not asked for: whoever changed it, it is not written over.
async fn check_continues(manifest: &Manifest, bucket: &S3) -> Result<()> {
    let Some(bytes) = bucket.get(&format!("{PREFIX}{MANIFEST}")).await? else {
        return Ok(());
    };
    let place = format!("{}{PREFIX}", bucket.shown());
    let earlier = Manifest::parse(&bytes).with_context(|| place.clone())?;
    if !manifest.continues(&earlier) {
        bail!(
            "{place}: holds an export that this one does not continue: rows were removed from the \
             store or the directory, or it is that of another store. Nothing was written over. Look \
             into it with 'scaivault audit verify' and a copy of the bucket; to begin anew, give \
             another audit.s3_prefix"
        );
    }
    Ok(())
}

async fn put_changed(bucket: &S3, name: &str, bytes: Vec<u8>) -> Result<()> {
    let name = format!("{PREFIX}{name}");
    match bucket.has(&Object::of(&name, &bytes)).await? {
        true => Ok(()),
        false => bucket.put(&name, bytes).await,
    }
}

/// Files that were looked at before: each is looked at once.
pub(crate) type Seen = HashSet<(String, String)>;

/// How far each chain is in the bucket, as a manifest says that this key signed.
pub(crate) async fn exported_ends_at(
    bucket: &S3,
    key: &SigningKey,
    seen: &mut Seen,
) -> Result<ExportedEnds> {
    let place = format!("{}{PREFIX}", bucket.shown());
    let Some(bytes) = bucket.get(&format!("{PREFIX}{MANIFEST}")).await? else {
        bail!("{place}: nothing was exported there yet: run 'scaivault audit export --s3'");
    };
    let signature = bucket.get(&format!("{PREFIX}{SIGNATURE}")).await?;
    if !signature.is_some_and(|signature| verify(&key.public_der(), &bytes, &signature)) {
        bail!("{place}: the manifest is not signed by this store's key");
    }
    let manifest = Manifest::parse(&bytes).with_context(|| place.clone())?;
    for file in &manifest.files {
        if !is_plain(&file.name) {
            bail!("{place}: the manifest names a file that is none of an export");
        }
        let entry = (file.name.clone(), file.sha256.clone());
        if seen.contains(&entry) {
            continue;
        }
        let object = Object {
            name: format!("{PREFIX}{}", file.name),
            bytes: file.bytes,
            sha256: unhex(&file.sha256)?,
        };
        if !bucket.has(&object).await? {
            bail!("{place}{}: is not the file that was exported", file.name);
        }
        seen.insert(entry);
    }
    ends(&manifest).with_context(|| place)
}
