//! Whose certificates clients are believed by: the authorities and revocation lists of the operator's
//! files, and the judgement of a chain by them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use scaivault_crypto::certificate::{self, Unreadable, fingerprint};

use super::tls::{TlsFileError, bytes, certificates};

/// The files about clients' certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// Certificates of the authorities, PEM.
    pub ca: PathBuf,
    /// Their revocation lists, PEM; `None`: nothing is looked up.
    pub crl: Option<PathBuf>,
    /// Whether a client without a certificate is turned away.
    pub required: bool,
}

/// The authorities and their lists.
pub(super) struct Trust {
    all: Arc<dyn ClientCertVerifier>,
    each: Vec<Authority>,
}

/// One of them, with what judges by it alone.
struct Authority {
    fingerprint: String,
    /// What stands in the operator's file is believed as it is by whoever verifies chains: that it has
    /// ended is looked at here.
    expires_at: UnixTime,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl Trust {
    pub(super) fn read(
        files: &ClientFiles,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, TlsFileError> {
        let authorities = certificates(&files.ca)?;
        let lists = match &files.crl {
            Some(file) => lists(file)?,
            None => Vec::new(),
        };
        let verifier = |roots: &[CertificateDer<'static>]| {
            let mut store = RootCertStore::empty();
            for root in roots {
                store
                    .add(root.clone())
                    .map_err(|error| TlsFileError::Authority(files.ca.clone(), error.into()))?;
            }
            let mut builder =
                WebPkiClientVerifier::builder_with_provider(store.into(), Arc::clone(provider));
            if files.crl.is_some() {
                // Every certificate of a chain is looked up, in a list that is not out of date;
                // where there is none, nobody can say that it was not revoked.
                builder = builder
                    .with_crls(lists.iter().cloned())
                    .enforce_revocation_expiration();
            }
            if !files.required {
                builder = builder.allow_unauthenticated();
            }
            let unusable = |error: rustls::server::VerifierBuilderError| match &files.crl {
                Some(file) => TlsFileError::List(file.clone(), error.into()),
                None => TlsFileError::Authority(files.ca.clone(), error.into()),
            };
            builder.build().map_err(unusable)
        };
        let each = authorities.iter().map(|root| {
            let unreadable =
                |error: Unreadable| TlsFileError::Authority(files.ca.clone(), error.into());
            let expires_at = certificate::read(root).map_err(unreadable)?.expires_at;
            let expires_at = u64::try_from(expires_at.as_micros()).unwrap_or(0);
            Ok(Authority {
                fingerprint: fingerprint(root),
                expires_at: UnixTime::since_unix_epoch(Duration::from_micros(expires_at)),
                verifier: verifier(std::slice::from_ref(root))?,
            })
        });
        Ok(Self {
            all: verifier(&authorities)?,
            each: each.collect::<Result<_, _>>()?,
        })
    }

    /// For handshakes.
    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.all)
    }

    /// The fingerprints of the authorities that a chain is believed by now.
    ///
    /// # Errors
    /// Why it is believed by none.
    pub(super) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Vec<String>, rustls::Error> {
        let Some((own, between)) = chain.split_first() else {
            return Err(rustls::Error::NoCertificatesPresented);
        };
        self.all.verify_client_cert(own, between, now)?;
        let believed = |authority: &&Authority| {
            let judged = authority.verifier.verify_client_cert(own, between, now);
            now <= authority.expires_at && judged.is_ok()
        };
        let by = self.each.iter().filter(believed);
        let by: Vec<_> = by.map(|authority| authority.fingerprint.clone()).collect();
        match by.is_empty() {
            // By one that has ended.
            true => Err(CertificateError::Expired.into()),
            false => Ok(by),
        }
    }
}

fn lists(
    file: &std::path::Path,
) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsFileError> {
    let none = || TlsFileError::NoList(file.to_owned());
    let all: Vec<_> = CertificateRevocationListDer::pem_slice_iter(&bytes(file)?)
        .collect::<Result<_, _>>()
        .map_err(|_| none())?;
    match all.is_empty() {
        true => Err(none()),
        false => Ok(all),
    }
}
