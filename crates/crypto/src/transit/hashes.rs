//! Hashes, and HMAC over any of them.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{self, Context};
use scaivault_core::transit::TransitHash;
use zeroize::Zeroizing;

fn algorithm(hash: TransitHash) -> &'static digest::Algorithm {
    match hash {
        TransitHash::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        TransitHash::Sha2_224 => &digest::SHA224,
        TransitHash::Sha2_256 => &digest::SHA256,
        TransitHash::Sha2_384 => &digest::SHA384,
        TransitHash::Sha2_512 => &digest::SHA512,
        TransitHash::Sha3_256 => &digest::SHA3_256,
        TransitHash::Sha3_384 => &digest::SHA3_384,
        TransitHash::Sha3_512 => &digest::SHA3_512,
    }
}

/// The hash of some bytes.
pub fn hash(hash: TransitHash, input: &[u8]) -> Vec<u8> {
    digest::digest(algorithm(hash), input).as_ref().to_vec()
}

/// HMAC (RFC 2104) of some bytes. Of our own making, as the library has it for SHA-1 and SHA-2 alone.
pub fn hmac(hash: TransitHash, key: &[u8], input: &[u8]) -> Vec<u8> {
    let algorithm = algorithm(hash);
    let mut block = Zeroizing::new(vec![0; algorithm.block_len()]);
    match key.len() <= block.len() {
        true => block[..key.len()].copy_from_slice(key),
        false => {
            let short = digest::digest(algorithm, key);
            block[..short.as_ref().len()].copy_from_slice(short.as_ref());
        }
    }
    let padded = |with: u8, input: &[u8]| {
        let mut context = Context::new(algorithm);
        let pad: Zeroizing<Vec<u8>> =
            Zeroizing::new(block.iter().map(|byte| byte ^ with).collect());
        context.update(&pad);
        context.update(input);
        context.finish()
    };
    let inner = padded(0x36, input);
    padded(0x5c, inner.as_ref()).as_ref().to_vec()
}

/// Whether this is the HMAC of these bytes, in a time that tells nothing of where it differs.
pub fn hmac_is(hash: TransitHash, key: &[u8], input: &[u8], given: &[u8]) -> bool {
    verify_slices_are_equal(&hmac(hash, key, input), given).is_ok()
}
