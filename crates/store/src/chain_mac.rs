//! What the audit chain asks of a key: to authenticate its heads. The key stays with whoever
//! holds the keyring; the store never sees it.

/// Authenticates the heads of the audit chain.
pub trait ChainMac: Send + Sync {
    /// The code of `message` under the key in use.
    fn mac(&self, message: &[u8]) -> [u8; 32];

    /// Whether `code` was made for `message`, by this key or one it replaced. An implementation
    /// that remembers replaced keys tries them here, so that a chain older than its key verifies.
    fn verify(&self, message: &[u8], code: &[u8]) -> bool {
        let expect = self.mac(message);
        code.len() == expect.len()
            && expect
                .iter()
                .zip(code)
                .fold(0, |diff, (a, b)| diff | (a ^ b))
                == 0
    }
}
