//! The certificate that a client showed, for as long as its connection lives.
//!
//! A handshake is one moment; a connection may outlive the certificate, its place in the authorities'
//! file, and the list that revokes it. So what was shown is judged again for each request: by the
//! clock alone while nothing else changed, and in full after every reload and every [`LOOK_AFTER`],
//! since certificates between, and lists, end by the clock too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use rustls_pki_types::CertificateDer;
use scaivault_core::time::Timestamp;
use scaivault_crypto::certificate::{self, Certificate};
use scaivault_engine::CertificateShown;
use sha2::{Digest as _, Sha256};

use super::PeerAddr;
use super::tls::{Terms, Tls, unix_time};

/// From one full judgement to the next.
const LOOK_AFTER: Duration = Duration::from_secs(60);

/// The other side of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its end of the socket.
    pub address: PeerAddr,
    /// What it showed, if it showed one.
    pub certificate: Option<Arc<ClientCertificate>>,
}

/// A certificate that a client proved to have the key of.
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    /// `None` if it cannot be read.
    read: Option<Certificate>,
    tls: Tls,
    judged: ArcSwapOption<Judged>,
}

struct Judged {
    terms: Arc<Terms>,
    at: Timestamp,
    shown: Result<Arc<CertificateShown>, CertificateRefused>,
}

/// Why a certificate that was good at the handshake is not, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateRefused {
    /// Its time is over.
    #[error(
        "the client certificate of this connection has expired, and no request on it is served"
    )]
    Expired,
    /// The files say something else now, or it cannot be read.
    #[error("the client certificate of this connection is not accepted any more")]
    NotAccepted,
}

impl std::fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

impl ClientCertificate {
    pub(super) fn new(chain: &[CertificateDer<'_>], tls: &Tls) -> Self {
        let chain: Vec<_> = chain.iter().map(|one| one.clone().into_owned()).collect();
        let read = chain.first().and_then(|own| certificate::read(own).ok());
        Self {
            chain,
            read,
            tls: tls.clone(),
            judged: ArcSwapOption::empty(),
        }
    }

    /// What it shows, if it is good now.
    ///
    /// # Errors
    /// [`CertificateRefused`] says why not.
    pub fn shown(&self, now: Timestamp) -> Result<Arc<CertificateShown>, CertificateRefused> {
        let read = self.read.as_ref().ok_or(CertificateRefused::NotAccepted)?;
        if now > read.expires_at {
            return Err(CertificateRefused::Expired);
        }
        let terms = self.tls.terms();
        if let Some(judged) = &*self.judged.load()
            && Arc::ptr_eq(&judged.terms, &terms)
            && judged.at <= now
            && now.since(judged.at) < LOOK_AFTER
        {
            return judged.shown.clone();
        }
        let shown = self.judge(read, &terms, now);
        self.judged.store(Some(Arc::new(Judged {
            terms: Arc::clone(&terms),
            at: now,
            shown: shown.clone(),
        })));
        shown
    }

    fn judge(
        &self,
        read: &Certificate,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Arc<CertificateShown>, CertificateRefused> {
        let trust = terms.trust.as_ref();
        let trust = trust.ok_or(CertificateRefused::NotAccepted)?;
        let authorities = trust.judge(&self.chain, unix_time(now)).map_err(|why| {
            let fingerprint = &read.names.fingerprint;
            tracing::info!(fingerprint, %why, "a client certificate is not accepted any more");
            CertificateRefused::NotAccepted
        })?;
        let mut names = read.names.clone();
        names.authorities = authorities;
        let mut key = Sha256::new();
        key.update(&names.fingerprint);
        for authority in &names.authorities {
            key.update(authority);
        }
        Ok(Arc::new(CertificateShown {
            claims: names.claims(),
            fingerprint: names.fingerprint.into(),
            key: key.finalize().into(),
            expires_at: read.expires_at,
        }))
    }
}

impl Peer {
    /// One that showed nothing.
    pub fn plain(address: SocketAddr) -> Self {
        Self {
            address: PeerAddr(address),
            certificate: None,
        }
    }
}
