//! How a destination is reached: what may be connected to, whom TLS believes, and in which form rows
//! are sent.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::destination::Destination;
use super::post::Post;
use super::syslog::Form;

/// Which addresses may be connected to.
pub(crate) type Permits = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The way to one destination.
pub(crate) struct Way {
    pub(crate) to: Destination,
    pub(crate) form: Form,
    /// For `tls://`.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// For `https://`.
    pub(crate) post: Option<Arc<Post>>,
    pub(crate) permits: Permits,
}

impl Way {
    /// A way that may go anywhere: the command's, whose user could as well connect by himself.
    pub(crate) fn anywhere(to: Destination, form: Form, ca: Option<&Path>) -> Result<Self> {
        let tls = match to {
            Destination::Tls(_) => Some(tls(ca)?),
            _ if ca.is_some() => bail!("--collector-ca-file is for tls://host:port"),
            _ => None,
        };
        Ok(Self {
            to,
            form,
            tls,
            post: None,
            permits: Arc::new(|_| true),
        })
    }

    /// The first address of a name that may be connected to and answers.
    pub(super) async fn connect(&self, address: &str) -> std::io::Result<TcpStream> {
        let mut last = None;
        for found in self.addresses(address).await? {
            match TcpStream::connect(found).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::ErrorKind::NotFound.into()))
    }

    pub(super) async fn addresses(&self, address: &str) -> std::io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
        let open = found.iter().filter(|found| (self.permits)(found.ip()));
        let open: Vec<SocketAddr> = open.copied().collect();
        if open.is_empty() && !found.is_empty() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                "the address is not public: allow its network with audit.allow_private_networks, \
                 if it is meant",
            ));
        }
        Ok(open)
    }

    /// TLS over a connection to this address.
    pub(super) async fn encrypt(
        &self,
        stream: TcpStream,
        address: &str,
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let Some(tls) = &self.tls else {
            return Err(std::io::Error::other("no TLS was set up"));
        };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(tls.clone()).connect(name, stream).await
    }
}

/// Whom TLS believes: those in a file, or those this machine does.
pub(crate) fn tls(ca: Option<&Path>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            let shown = file.display();
            let pem = std::fs::read(file).with_context(|| format!("cannot read {shown}"))?;
            for found in CertificateDer::pem_slice_iter(&pem) {
                let found =
                    found.with_context(|| format!("{shown} holds no certificate in PEM"))?;
                roots.add(found)?;
            }
            if roots.is_empty() {
                bail!("{shown} holds no certificate in PEM form (BEGIN CERTIFICATE)");
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
