//! When a call that makes an account began. A process that was stopped between the login and the
//! change comes too late: by then the account's lease may be over, and nobody would remove it.

use std::time::Duration;

use scaivault_core::target::{Trouble, TroubleKind};
use tokio::time::Instant;

/// Nothing is sent later than this.
const SENT_WITHIN: Duration = Duration::from_secs(30);

/// When it began.
pub(crate) struct Begun(Instant);

impl Begun {
    /// Now.
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// Whether what it is about may still be sent.
    pub(crate) fn in_time(&self) -> Result<(), Trouble> {
        match self.0.elapsed() < SENT_WITHIN {
            true => Ok(()),
            false => Err(Trouble::new(TroubleKind::TimedOut).code("too_late")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_too_late_is_not_sent() {
        let begun = Begun::now();
        tokio::time::sleep(SENT_WITHIN / 2).await;
        assert!(begun.in_time().is_ok());
        tokio::time::sleep(SENT_WITHIN / 2).await;
        assert!(begun.in_time().is_err());
    }
}
