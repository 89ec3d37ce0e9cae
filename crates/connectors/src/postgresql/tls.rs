//! Encrypted connections: the certificate is verified for the host's name, against the given
//! authorities or those of this machine.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use scaivault_core::target::{Trouble, TroubleKind};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Where Linux distributions keep the authorities they trust.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// The authorities in a PEM text; there must be one.
pub(super) fn roots(pem: &str) -> Result<RootCertStore, Trouble> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let added = certificate.map(|certificate| store.add(certificate));
        if !matches!(added, Ok(Ok(()))) {
            return Err(TroubleKind::Tls.into());
        }
    }
    match store.is_empty() {
        true => Err(TroubleKind::Tls.into()),
        false => Ok(store),
    }
}

/// The authorities of this machine, without those that rustls does not understand.
async fn system() -> Result<RootCertStore, Trouble> {
    for file in SYSTEM {
        if let Ok(bytes) = tokio::task::spawn_blocking(move || std::fs::read(file))
            .await
            .map_err(|_| TroubleKind::Tls)?
        {
            let mut store = RootCertStore::empty();
            let all = CertificateDer::pem_slice_iter(&bytes).flatten();
            store.add_parsable_certificates(all);
            return Ok(store);
        }
    }
    Err(Trouble::new(TroubleKind::Tls).remedy("install ca-certificates, or set `ca_pem`"))
}

/// What connects with TLS.
pub(super) async fn connector(ca_pem: Option<&str>) -> Result<MakeRustlsConnect, Trouble> {
    let roots = match ca_pem {
        Some(pem) => roots(pem)?,
        None => system().await?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|_| TroubleKind::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
