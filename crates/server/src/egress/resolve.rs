//! From a name to addresses that may be connected to. The HTTP client gets its addresses from
//! here and from nowhere else, so what was judged is what is connected to.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use super::policy::{EgressPolicy, Scheme};

/// Lookups running at once. They occupy threads of the blocking pool that the store uses too,
/// and a hostile name server decides how long each takes.
const LOOKUPS_MAX: usize = 64;

/// Addresses tried for one name. More only serve to stretch an attempt.
pub(super) const ADDRESSES_MAX: usize = 8;

/// Asks what addresses a name has.
#[async_trait]
pub(crate) trait Lookup: Send + Sync {
    /// Every address of the name, best first. Nothing about them is trusted.
    ///
    /// # Errors
    /// When the name has none or could not be asked.
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver.
#[derive(Debug)]
pub(super) struct SystemLookup {
    slots: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(LOOKUPS_MAX)),
        }
    }
}

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(io::Error::other)?;
        let host = host.to_owned();
        // Not `tokio::net::lookup_host`: the system call outlives a caller that gave up, and the
        // slot has to be held until the thread is really free.
        let looking = tokio::task::spawn_blocking(move || {
            let found = (host.as_str(), 0).to_socket_addrs();
            drop(slot);
            found.map(|found| found.map(|address| address.ip()).collect())
        });
        looking.await.map_err(io::Error::other)?
    }
}

/// Why a name gave no address. Found again in the HTTP client's chain of errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// No such name, or no answer.
    Unknown,
    /// It has addresses, none of them permitted.
    Forbidden,
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the name does not resolve",
            Self::Forbidden => "the name resolves only to addresses that are not allowed",
        })
    }
}

impl std::error::Error for Unresolved {}

/// The resolver of one HTTP client; each scheme has its own client.
pub(super) struct GuardedResolver {
    pub(super) lookup: Arc<dyn Lookup>,
    pub(super) policy: Arc<EgressPolicy>,
    pub(super) scheme: Scheme,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (lookup, policy, scheme) = (
            Arc::clone(&self.lookup),
            Arc::clone(&self.policy),
            self.scheme,
        );
        Box::pin(async move {
            let found = lookup
                .addresses(name.as_str())
                .await
                .map_err(|_| Unresolved::Unknown)?;
            let permitted = permitted(&policy, scheme, &found)?;
            // Port 0 means "the URL's"; canonical, so that what was judged as IPv4 is dialled so.
            let addresses = permitted
                .into_iter()
                .map(|ip| SocketAddr::new(ip.to_canonical(), 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

fn permitted(
    policy: &EgressPolicy,
    scheme: Scheme,
    found: &[IpAddr],
) -> Result<Vec<IpAddr>, Unresolved> {
    if found.is_empty() {
        return Err(Unresolved::Unknown);
    }
    let mut open: Vec<IpAddr> = found
        .iter()
        .copied()
        .filter(|address| policy.permits(*address, scheme))
        .collect();
    open.truncate(ADDRESSES_MAX);
    if open.is_empty() {
        Err(Unresolved::Forbidden)
    } else {
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn check(found: &[&str], expect: Result<&[&str], Unresolved>) {
        let policy = EgressPolicy::default();
        let kept = permitted(&policy, Scheme::Https, &addresses(found));
        assert_eq!(kept, expect.map(addresses), "{found:?}");
    }

    #[test]
    fn only_permitted_addresses_are_left() {
        check(&["8.8.8.8"], Ok(&["8.8.8.8"]));
        check(
            &["127.0.0.1", "8.8.8.8", "169.254.169.254"],
            Ok(&["8.8.8.8"]),
        );
        check(
            &["127.0.0.1", "::1", "::ffff:10.0.0.1"],
            Err(Unresolved::Forbidden),
        );
        check(&["64:ff9b::a9fe:a9fe"], Err(Unresolved::Forbidden));
        check(&[], Err(Unresolved::Unknown));
    }

    #[test]
    fn a_name_with_hundreds_of_addresses_is_cut() {
        let many = vec![IpAddr::from([8, 8, 8, 8]); 500];
        let kept = permitted(&EgressPolicy::default(), Scheme::Https, &many).unwrap();
        assert_eq!(kept.len(), ADDRESSES_MAX);
    }

    #[tokio::test]
    async fn the_system_resolver_knows_this_host() {
        let found = SystemLookup::default()
            .addresses("localhost")
            .await
            .unwrap();
        assert!(found.iter().all(IpAddr::is_loopback) && !found.is_empty());
        assert!(
            SystemLookup::default()
                .addresses("a.b.invalid.")
                .await
                .is_err()
        );
    }
}
