//! A certificate in OpenSSH's form (`PROTOCOL.certkeys` of its sources).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use scaivault_core::target::Trouble;

use super::ca::{Ca, RsaHash};
use super::public::PublicKey;
use super::wire::Writer;

/// Whom a certificate speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    User,
    Host,
}

/// What is signed.
pub(super) struct Certificate<'a> {
    pub(super) key: &'a PublicKey,
    pub(super) kind: Kind,
    pub(super) serial: u64,
    pub(super) key_id: &'a str,
    /// Never empty: that would be everybody.
    pub(super) principals: &'a [String],
    /// In seconds; the end is the first that is not in it.
    pub(super) valid: (u64, u64),
    pub(super) critical_options: &'a BTreeMap<String, String>,
    pub(super) extensions: &'a BTreeMap<String, String>,
    pub(super) nonce: [u8; 32],
}

impl Certificate<'_> {
    /// The signed certificate as a line for a file `…-cert.pub`.
    pub(super) fn sign(&self, ca: &Ca, hash: RsaHash) -> Result<String, Trouble> {
        let mut principals = Writer::default();
        for principal in self.principals {
            principals.text(principal);
        }
        let mut out = Writer::default();
        out.text(self.key.certificate).text(self.nonce);
        out.0.extend_from_slice(&self.key.fields);
        out.u64(self.serial)
            .u32(match self.kind {
                Kind::User => 1,
                Kind::Host => 2,
            })
            .text(self.key_id)
            .text(principals.0)
            .u64(self.valid.0)
            .u64(self.valid.1)
            .text(options(self.critical_options))
            .text(options(self.extensions))
            .text("")
            .text(ca.public());
        let signature = ca.sign(&out.0, hash)?;
        out.text(signature);
        let kind = self.key.certificate;
        Ok(format!(
            "{kind} {} {}\n",
            STANDARD.encode(&out.0),
            self.key_id
        ))
    }
}

/// Names in their order, each with its value as a text in a text; a flag has none.
fn options(all: &BTreeMap<String, String>) -> Vec<u8> {
    let mut out = Writer::default();
    for (name, value) in all {
        let mut inner = Writer::default();
        if !value.is_empty() {
            inner.text(value);
        }
        out.text(name).text(inner.0);
    }
    out.0
}
