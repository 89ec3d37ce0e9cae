//! What a service's statuses mean to the manager, and which of them leave a doubt.

use scaivault_core::target::{Trouble, TroubleKind};

use super::description::{Description, Request};
use super::exchange::Answer;

/// What a service's status means.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was done.
    Done,
    /// What it was about is not there.
    Gone,
    /// It was refused: nothing was changed.
    Not(Trouble),
    /// It may have been done.
    Perhaps(Trouble),
}

/// What an answer to the manager means.
pub(super) fn judge(description: &Description, request: &Request, answer: &Answer) -> Verdict {
    let statuses = &description.statuses;
    let status = answer.status;
    let trouble = |kind: TroubleKind| Trouble::new(kind).code(status.to_string());
    if request.expect.contains(&status) {
        Verdict::Done
    } else if statuses.refused.contains(&status) {
        Verdict::Not(trouble(TroubleKind::ManagerRefused))
    } else if statuses.forbidden.contains(&status) {
        Verdict::Not(trouble(TroubleKind::Privilege).remedy(grant(description)))
    } else if statuses.quota.contains(&status) {
        Verdict::Not(trouble(TroubleKind::Quota))
    } else if statuses.throttled.contains(&status) {
        let mut throttled = trouble(TroubleKind::Throttled);
        throttled.retry_after_s = answer.retry_after;
        Verdict::Not(throttled)
    } else if statuses.not_found.contains(&status) {
        Verdict::Gone
    } else if matches!(status, 408 | 409 | 425) {
        // Too late, or beside another one of its kind: that one may have been done.
        Verdict::Perhaps(trouble(TroubleKind::Interrupted))
    } else if (400..500).contains(&status) {
        Verdict::Not(trouble(TroubleKind::Protocol))
    } else if status >= 500 {
        Verdict::Perhaps(trouble(TroubleKind::Interrupted))
    } else {
        Verdict::Perhaps(trouble(TroubleKind::Protocol))
    }
}

/// What gives the manager its rights.
pub(super) fn grant(description: &Description) -> String {
    let grant = description.service.grant.clone();
    grant.unwrap_or_else(|| {
        "give the manager's key the right to create, list and revoke keys".to_owned()
    })
}

/// The service knows no such place: the base or a path is wrong.
pub(super) fn misplaced(status: u16) -> Trouble {
    Trouble::new(TroubleKind::Settings)
        .code(status.to_string())
        .remedy("check `base_url`, and the paths where the target has its own description")
}
