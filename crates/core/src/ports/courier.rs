//! Outbound delivery.

use async_trait::async_trait;

use crate::delivery::Attempted;

/// One signed HTTP POST.
#[derive(Clone)]
pub struct Parcel {
    /// Where to; checked again by the courier at each attempt.
    pub url: String,
    /// Headers, signatures included.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Vec<u8>,
}

impl std::fmt::Debug for Parcel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parcel({} bytes)", self.body.len())
    }
}

/// Sends parcels. The only way out of the server for tenants' URLs.
#[async_trait]
pub trait Courier: Send + Sync {
    /// Whether a receiver may be registered with this URL at all: scheme, no credentials in it,
    /// no forbidden literal address. What a name resolves to is judged at each delivery.
    ///
    /// # Errors
    /// A sentence for whoever sent the URL; it repeats nothing of it.
    fn check_url(&self, url: &str) -> Result<(), &'static str>;

    /// One attempt, bounded in time and answer size; follows no redirect.
    async fn deliver(&self, parcel: &Parcel) -> Attempted;
}
