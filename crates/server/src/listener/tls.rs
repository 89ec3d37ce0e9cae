//! TLS from two PEM files, replaceable while connections are served.
//!
//! New handshakes use the files of the last successful [`TlsReload::reload`]; connections made
//! before keep what they have. A reload that fails leaves everything as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Why the files cannot be used. Names the file, never its content.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// Missing or not readable by this user.
    #[error("cannot read {}", .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// Not PEM, or no certificate in it.
    #[error("{} holds no certificate in PEM form (BEGIN CERTIFICATE)", .0.display())]
    NoCertificate(PathBuf),
    /// Not PEM, or no private key in it.
    #[error("{} holds no unencrypted private key in PEM form (BEGIN PRIVATE KEY)", .0.display())]
    NoKey(PathBuf),
    /// Each is readable, but they do not work together.
    #[error("the key in {} cannot be used with the certificate in {}", .key.display(), .cert.display())]
    Unusable {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What the TLS library says.
        source: rustls::Error,
    },
}

/// Reads the files and makes the acceptor for [`super::serve`], with the handle to read them
/// again.
///
/// # Errors
/// [`TlsFileError`] says which file and what is wrong.
pub fn load_tls(
    cert_file: &Path,
    key_file: &Path,
) -> Result<(TlsAcceptor, TlsReload), TlsFileError> {
    let files = Files {
        cert: cert_file.to_owned(),
        key: key_file.to_owned(),
    };
    let current = Arc::new(Current(ArcSwap::from(files.read()?)));
    let unusable = |source| files.unusable(source);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok((
        TlsAcceptor::from(Arc::new(config)),
        TlsReload { files, current },
    ))
}

/// Reads the certificate and key files again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TlsReload {
    files: Files,
    current: Arc<Current>,
}

impl TlsReload {
    /// Uses the files' present content for every handshake from now on. Reads files: call it
    /// from a signal handler's task, not from a request. Calling it again is harmless.
    ///
    /// # Errors
    /// [`TlsFileError`]; the certificate in use stays.
    pub fn reload(&self) -> Result<(), TlsFileError> {
        self.current.0.store(self.files.read()?);
        Ok(())
    }
}

#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<Arc<CertifiedKey>, TlsFileError> {
        let no_certificate = || TlsFileError::NoCertificate(self.cert.clone());
        let pem = bytes(&self.cert)?;
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<_, _>>()
            .map_err(|_| no_certificate())?;
        if chain.is_empty() {
            return Err(no_certificate());
        }
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|_| TlsFileError::NoKey(self.key.clone()))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider);
        pair.map(Arc::new).map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: rustls::Error) -> TlsFileError {
        TlsFileError::Unusable {
            cert: self.cert.clone(),
            key: self.key.clone(),
            source,
        }
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(file).map_err(|source| TlsFileError::Read(file.to_owned(), source))
}

#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}
