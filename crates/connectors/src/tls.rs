//! Whom encrypted connections trust: the given authorities alone, or those of this machine. The
//! certificate is always verified for the host's name.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use scaivault_core::target::{Trouble, TroubleKind};

/// The authorities in a PEM text; there must be one, and none that is not understood.
pub(crate) fn authorities(pem: &str) -> Option<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store.add(certificate.ok()?).ok()?;
    }
    (!store.is_empty()).then_some(store)
}

/// The authorities of this machine, without those that are not understood.
async fn of_this_machine() -> Result<RootCertStore, Trouble> {
    let load = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let found = load.await.map_err(|_| TroubleKind::Tls)?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found.certs);
    match store.is_empty() {
        true => {
            let cure = "install ca-certificates, or set `ca_pem`";
            Err(Trouble::new(TroubleKind::Tls).remedy(cure))
        }
        false => Ok(store),
    }
}

/// The client's side of an encrypted connection.
pub(crate) async fn client_config(ca_pem: Option<&str>) -> Result<ClientConfig, Trouble> {
    let trusted = match ca_pem {
        Some(pem) => authorities(pem).ok_or(TroubleKind::Tls)?,
        None => of_this_machine().await?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| TroubleKind::Tls)?;
    Ok(config.with_root_certificates(trusted).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_authority_is_not_trusted() {
        let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----", empty] {
            assert!(authorities(pem).is_none(), "{pem:?}");
        }
    }
}
