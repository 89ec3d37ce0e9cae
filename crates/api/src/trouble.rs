//! What went wrong at a target, wherever an answer tells of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong at a target.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// What kind: `unreachable`, `privilege`, `manager_refused`, …
    pub kind: String,
    /// The target's own short code.
    #[serde(default)]
    pub code: Option<String>,
    /// What to do about it.
    pub advice: String,
    /// Statements or steps that cure it, where they are known.
    #[serde(default)]
    pub remedy: Vec<String>,
    /// For how long the target asks to be left alone, in seconds.
    #[serde(default)]
    pub retry_after_s: Option<u64>,
}
