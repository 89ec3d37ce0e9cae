//! `scaivault tenant …` and `scaivault partner …`

pub(crate) mod partner;
pub(crate) mod tenant;

use scaivault_api::tenancy::TenancyPatch;

/// Rows asked for at a time.
const PAGE: u64 = 1_000;

/// The change that stops or resumes service.
fn status(word: &str) -> TenancyPatch {
    TenancyPatch {
        status: Some(word.to_owned()),
        ..TenancyPatch::default()
    }
}

const ACTIVE: &str = "ACTIVE";
const SUSPENDED: &str = "SUSPENDED";
