//! Whom encrypted connections trust: the given authorities alone, or those of this machine. The
//! certificate is always verified for the host's name.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::options::OpenError;

fn authorities(pem: &[u8]) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate.ok()?).ok()?;
    }
    (!store.is_empty()).then_some(store)
}

/// The client's side of an encrypted connection. Blocks while it reads certificates.
pub(crate) fn client_config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, OpenError> {
    let trusted = match ca_pem {
        Some(pem) => authorities(pem).ok_or(OpenError::Authorities)?,
        None => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if store.is_empty() {
                return Err(OpenError::NoAuthorities);
            }
            store
        }
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| OpenError::NoAuthorities)?;
    Ok(config.with_root_certificates(trusted).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_authority_is_not_trusted() {
        let empty: &[u8] = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in [b"".as_slice(), b"nonsense", empty] {
            assert!(authorities(pem).is_none());
        }
    }
}
