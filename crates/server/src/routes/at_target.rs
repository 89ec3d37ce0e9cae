//! What several resources tell of targets, or are told.

use scaivault_api::trouble as wire;
use scaivault_core::target::{Overlap, Trouble};

use crate::problem::Problem;

/// What went wrong, with what to do about it.
pub(super) fn trouble_view(trouble: &Trouble) -> wire::Trouble {
    wire::Trouble {
        kind: trouble.kind.as_str().to_owned(),
        code: trouble.code.clone(),
        advice: trouble.kind.advice().to_owned(),
        remedy: trouble.remedy.clone(),
        retry_after_s: trouble.retry_after_s,
    }
}

/// Reads how old and new overlap from a field of a request.
pub(super) fn overlap(field: &str, text: &str) -> Result<Overlap, Problem> {
    Overlap::parse(text).ok_or_else(|| {
        let known = Overlap::ALL.map(Overlap::as_str).join(", ");
        Problem::field(field, format!("is one of {known}"))
    })
}
