//! TLS from PEM files, replaceable while connections are served.
//!
//! New handshakes use the files of the last successful [`Tls::reload`]; connections made before keep
//! the certificate they were shown, but what clients showed is judged anew ([`super::client`]). A
//! reload that fails leaves everything as it was.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::{TLS12, TLS13};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use scaivault_core::ports::Clock;
use tokio_rustls::TlsAcceptor;

use super::trust::{ClientFiles, Trust};

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
    /// Not PEM, or no list in it.
    #[error("{} holds no revocation list in PEM form (BEGIN X509 CRL)", .0.display())]
    NoList(PathBuf),
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
    /// A certificate that cannot vouch for clients.
    #[error(
        "a certificate in {} cannot be used as an authority of clients: expected certificates of \
         authorities (CA:TRUE), in PEM form", .0.display()
    )]
    Authority(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// A list that cannot be used.
    #[error(
        "a revocation list in {} cannot be used: expected complete lists (no deltas) of the client \
         authorities, of version 2 (with a CRL number), in PEM form", .0.display()
    )]
    List(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates, ours first.
    pub cert: PathBuf,
    /// Private key.
    pub key: PathBuf,
    /// Which clients' certificates are asked for; `None`: none are.
    pub clients: Option<ClientFiles>,
}

/// TLS as it is spoken now. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    clock: Arc<dyn Clock>,
    terms: ArcSwap<Terms>,
}

/// What the files said when they were read.
pub(super) struct Terms {
    config: Arc<ServerConfig>,
    pub(super) trust: Option<Trust>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsFileError`] says which file and what is wrong.
    pub fn load(files: TlsFiles, clock: Arc<dyn Clock>) -> Result<Self, TlsFileError> {
        let terms = Terms::read(&files, &clock)?;
        Ok(Self(Arc::new(Inner {
            terms: ArcSwap::from_pointee(terms),
            files,
            clock,
        })))
    }

    /// Uses the files' present content for every handshake from now on, and judges by it what
    /// clients showed before. Reads files: call it from a signal handler's task, not from a request.
    /// Calling it again is harmless.
    ///
    /// # Errors
    /// [`TlsFileError`]; everything in use stays.
    pub fn reload(&self) -> Result<(), TlsFileError> {
        let terms = Terms::read(&self.0.files, &self.0.clock)?;
        self.0.terms.store(Arc::new(terms));
        Ok(())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.0.terms.load().config))
    }

    pub(super) fn terms(&self) -> arc_swap::Guard<Arc<Terms>> {
        self.0.terms.load()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Terms {
    fn read(files: &TlsFiles, clock: &Arc<dyn Clock>) -> Result<Self, TlsFileError> {
        let unusable = |source| TlsFileError::Unusable {
            cert: files.cert.clone(),
            key: files.key.clone(),
            source,
        };
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&files.key)?)
            .map_err(|_| TlsFileError::NoKey(files.key.clone()))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(unusable)?;
        let trust = match &files.clients {
            Some(clients) => Some(Trust::read(clients, &provider)?),
            None => None,
        };
        let time = Arc::new(OurTime(Arc::clone(clock)));
        let builder = ServerConfig::builder_with_details(provider, time)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(unusable)?;
        let builder = match &trust {
            Some(trust) => builder.with_client_cert_verifier(trust.verifier()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            trust,
        })
    }
}

/// The certificates of a file, at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let none = || TlsFileError::NoCertificate(file.to_owned());
    let all: Vec<_> = CertificateDer::pem_slice_iter(&bytes(file)?)
        .collect::<Result<_, _>>()
        .map_err(|_| none())?;
    match all.is_empty() {
        true => Err(none()),
        false => Ok(all),
    }
}

pub(super) fn bytes(file: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(file).map_err(|source| TlsFileError::Read(file.to_owned(), source))
}

/// Handshakes go by the clock that everything goes by.
struct OurTime(Arc<dyn Clock>);

impl std::fmt::Debug for OurTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OurTime")
    }
}

impl TimeProvider for OurTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}

pub(super) fn unix_time(now: scaivault_core::time::Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(now.since(scaivault_core::time::Timestamp::from_secs(0)))
}
