//! Where rows go: the forms of an address.

use std::path::PathBuf;

use anyhow::{Context, Result};

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A connection: `tcp://host:port`.
    Tcp(String),
    /// The same inside TLS: `tls://host:port`.
    Tls(String),
    /// A datagram each: `udp://host:port`. What is lost on the way is lost.
    Udp(String),
    /// A datagram each, on this machine: `unix:///dev/log`.
    Unix(PathBuf),
    /// Posted, many at a time: `https://host/path`.
    Http(String),
}

impl Destination {
    /// Reads `tcp://…`, `tls://…`, `udp://…` or `unix:///…`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self> {
        let found = Self::read(text).filter(|found| !matches!(found, Self::Http(_)));
        found.context(
            "the destination is tcp://host:port, tls://host:port, udp://host:port or unix:///path",
        )
    }

    /// The same, and `https://…`, which needs a rule for where it may be.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let named = |address: &str| {
            let (host, port) = address.rsplit_once(':')?;
            let fits = !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0);
            fits.then(|| address.to_owned())
        };
        match text.split_once("://")? {
            ("tcp", address) => named(address).map(Self::Tcp),
            ("tls", address) => named(address).map(Self::Tls),
            ("udp", address) => named(address).map(Self::Udp),
            ("unix", path) if path.starts_with('/') => Some(Self::Unix(path.into())),
            ("https" | "http", _) => Some(Self::Http(text.to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_have_a_kind_and_an_address() {
        let parsed = |text| Destination::parse(text).ok();
        let address = "logs.example:6514".to_owned();
        assert_eq!(
            parsed("tcp://logs.example:6514"),
            Some(Destination::Tcp(address.clone()))
        );
        assert_eq!(
            parsed("tls://logs.example:6514"),
            Some(Destination::Tls(address))
        );
        assert!(parsed("udp://[::1]:514").is_some());
        assert_eq!(
            parsed("unix:///dev/log"),
            Some(Destination::Unix("/dev/log".into()))
        );
        for bad in [
            "",
            "logs:514",
            "tcp://logs",
            "tcp://:514",
            "tls://h:0",
            "tcp://h:x",
            "unix://x",
            "ftp://h:1",
            "https://h/x",
        ] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
