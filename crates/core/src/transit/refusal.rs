//! Why something is not done with a key. The texts are for whoever asked, and repeat nothing of it.

use super::kind::TransitKind;

/// Why something is not done with a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum TransitRefusal {
    #[error("requested version for encryption is higher than the latest key version")]
    VersionTooHigh,
    #[error("requested version for encryption is less than the minimum encryption key version")]
    VersionTooLow,
    #[error("this version of the key was removed")]
    VersionGone,
    #[error("invalid ciphertext: version is too new")]
    TooNew,
    #[error("ciphertext or signature version is disallowed by policy (too old)")]
    TooOld,
    #[error("the key has as many versions as are kept: trim it first")]
    TooMany,
    #[error("a minimum version is at most the latest one, {0}")]
    BeyondLatest(u32),
    #[error(
        "min_encryption_version must be 0 or at least min_decryption_version: what is encrypted must be \
         decryptable"
    )]
    SealsWhatNobodyOpens,
    #[error("versions before {0} were removed for good, and a trim names a version from there on")]
    Trimmed(u32),
    #[error(
        "set min_encryption_version and min_decryption_version first: older versions are trimmed"
    )]
    TrimWithoutBound,
    #[error(
        "min_available_version is at most min_encryption_version and min_decryption_version: what may \
         still be used stays"
    )]
    TrimBeyond,
    #[error("auto rotate period must be 0 to disable or at least an hour, and at most 100 years")]
    Period,
    #[error("key type {} does not support encryption", .0.as_str())]
    NoEncryption(TransitKind),
    #[error("key type {} does not support signing", .0.as_str())]
    NoSigning(TransitKind),
    #[error("key type {} does not support derivation", .0.as_str())]
    NoDerivation(TransitKind),
    #[error("convergent encryption requires derivation to be enabled, and a symmetric key type")]
    NoConvergence,
    #[error(
        "missing 'context' for key derivation; the key was created using a derived key, which means \
         additional, per-request information must be included in order to perform operations with \
         the key"
    )]
    NoContext,
    #[error("invalid signature: no prefix")]
    NoPrefix,
    #[error("invalid ciphertext: no prefix")]
    NoCiphertextPrefix,
    #[error("invalid ciphertext or signature: wrong number of fields")]
    Fields,
    #[error("invalid ciphertext or signature: version number could not be decoded")]
    Number,
    #[error("invalid ciphertext or signature: could not decode base64")]
    Base64,
    #[error("'associated_data' provided for non-AEAD cipher suite {}", .0.as_str())]
    NoAssociatedData(TransitKind),
    #[error("a nonce is made here and cannot be given: leave it out")]
    GivenNonce,
    #[error(
        "unable to decrypt ciphertext: not made by this key with this context and associated data"
    )]
    NotOpened,
    #[error(
        "the plaintext is too long for this key: RSA encrypts at most {0} bytes, use a data key"
    )]
    TooLong(usize),
    #[error("this hash is not served with RSA signatures: use sha2-256, sha2-384 or sha2-512")]
    RsaHash,
    #[error("the input is not of the length of this hash, as prehashed=true says")]
    Prehashed,
    #[error("the salt is longer than a key of this size can carry")]
    Salt,
    #[error("key not found: make it first, or encrypt with the right to create it")]
    NoKey,
    #[error("deletion is not allowed for this key: set deletion_allowed in its config first")]
    NotDeletable,
    #[error("private key material is not exportable")]
    NotExportable,
    #[error(
        "exporting is disallowed on the policy: exportable and allow_plaintext_backup are needed"
    )]
    NoBackup,
    #[error("a key of type {} has no such part", .0.as_str())]
    NoSuchPart(TransitKind),
    #[error("{0}")]
    Input(&'static str),
    #[error("the operation failed within the cryptographic library")]
    Failed,
}
