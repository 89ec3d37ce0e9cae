//! What a token keeps for itself: sealed values that nobody but its bearer reads, and that end with
//! it. An answer that waits to be unwrapped is one of them, of a token made for it.

use serde::{Deserialize, Serialize};

use crate::ids::{TenantId, TokenId};
use crate::seal::Sealed;
use crate::time::Timestamp;

/// Where a wrapped answer is.
pub const WRAPPED: &str = "response";

/// Whose answer waits, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapping {
    /// The path that was asked.
    pub creation_path: String,
    /// For how long it was wrapped.
    pub ttl_s: u64,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CubbyItem {
    /// Owner.
    pub tenant: TenantId,
    /// The token it belongs to and ends with.
    pub token_id: TokenId,
    /// Where. Together with tenant and token it is the key.
    pub path: String,
    /// The value.
    pub sealed: Sealed,
    /// Set for an answer that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapping: Option<Wrapping>,
    /// Creation.
    pub created_at: Timestamp,
    /// The number this write makes.
    pub revision: u64,
}
