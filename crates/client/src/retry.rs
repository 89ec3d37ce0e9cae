//! When to try again, and after how long.
//!
//! The classes are the API's: `rate_limited` after `Retry-After`, `service_unavailable` with
//! backoff, `internal_error` once, nothing else. A refused request (`rate_limited`) did nothing
//! and may always be repeated; after the other two the outcome is not certain, so only requests
//! that may take effect twice without harm are repeated.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::ClientError;

/// How often and how long to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Sends of one request, the first included.
    pub attempts_max: u32,
    /// Pause before the second attempt; doubles with each one.
    pub backoff_min: Duration,
    /// The longest pause by backoff.
    pub backoff_max: Duration,
    /// The longest `Retry-After` that is waited for; past it the error is returned at once.
    pub retry_after_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts_max: 4,
            backoff_min: Duration::from_millis(250),
            backoff_max: Duration::from_secs(5),
            retry_after_max: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Every request is sent once.
    pub fn never() -> Self {
        Self {
            attempts_max: 1,
            ..Self::default()
        }
    }

    /// The pause before the next attempt, or `None` to give up. `attempt` counts from 1 and is
    /// the one that just failed; `random` spreads clients that failed together.
    pub(crate) fn pause(
        &self,
        failure: Failure,
        repeat: Repeat,
        attempt: u32,
        random: u64,
    ) -> Option<Duration> {
        if attempt >= self.attempts_max {
            return None;
        }
        match failure {
            Failure::RateLimited { retry_after } => self.wait(retry_after, attempt, random),
            Failure::Unavailable { retry_after } if repeat == Repeat::Harmless => {
                self.wait(retry_after, attempt, random)
            }
            // Once: a fault that repeats is not cured by asking a third time.
            Failure::Internal if repeat == Repeat::Harmless && attempt == 1 => {
                Some(self.backoff(attempt, random))
            }
            Failure::Unavailable { .. } | Failure::Internal | Failure::Final => None,
        }
    }

    fn wait(&self, retry_after: Option<Duration>, attempt: u32, random: u64) -> Option<Duration> {
        match retry_after {
            Some(wait) if wait > self.retry_after_max => None,
            // Never early, and a little late so that clients do not return all at once.
            Some(wait) => Some(wait + spread(self.backoff_min, random)),
            None => Some(self.backoff(attempt, random)),
        }
    }

    /// Between half and all of the doubled pause.
    fn backoff(&self, attempt: u32, random: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(16);
        let full = self
            .backoff_min
            .saturating_mul(1 << doublings)
            .min(self.backoff_max);
        full / 2 + spread(full / 2, random)
    }
}

/// `random` picks a point between zero and `span`.
fn spread(span: Duration, random: u64) -> Duration {
    span.mul_f64((random % 1024) as f64 / 1024.0)
}

/// Whether a request may take effect twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The second time changes nothing, or is refused without effect.
    Harmless,
    /// The second time would act again.
    Harmful,
}

/// A failure, as far as retrying is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    RateLimited { retry_after: Option<Duration> },
    Unavailable { retry_after: Option<Duration> },
    Internal,
    Final,
}

impl Failure {
    pub(crate) fn of(error: &ClientError) -> Self {
        match error {
            ClientError::Api(api) => {
                let retry_after = api.retry_after;
                match api.code.as_str() {
                    "rate_limited" => Self::RateLimited { retry_after },
                    "service_unavailable" => Self::Unavailable { retry_after },
                    "internal_error" => Self::Internal,
                    _ => Self::Final,
                }
            }
            // A proxy in front speaks for a server that is away.
            ClientError::Decode(decode) => match decode.status {
                502..=504 => Self::Unavailable { retry_after: None },
                _ => Self::Final,
            },
            ClientError::Transport(_) | ClientError::Input(_) => Self::Final,
        }
    }
}

/// Waits; replaced in tests, where nothing sleeps.
pub trait Sleeper: Send + Sync {
    /// Resolves after `pause`.
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioSleeper;

impl Sleeper for TokioSleeper {
    fn sleep(&self, pause: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(tokio::time::sleep(pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pause(failure: Failure, repeat: Repeat, attempt: u32) -> Option<Duration> {
        RetryPolicy::default().pause(failure, repeat, attempt, 0)
    }

    #[test]
    fn a_refused_request_is_always_repeated_after_its_wait() {
        let limited = Failure::RateLimited {
            retry_after: Some(SECOND),
        };
        assert_eq!(pause(limited, Repeat::Harmful, 1), Some(SECOND));
        assert_eq!(pause(limited, Repeat::Harmful, 3), Some(SECOND));
        assert_eq!(pause(limited, Repeat::Harmful, 4), None);
        let hour = Failure::RateLimited {
            retry_after: Some(3600 * SECOND),
        };
        assert_eq!(pause(hour, Repeat::Harmless, 1), None);
    }

    #[test]
    fn an_uncertain_outcome_is_repeated_only_when_harmless() {
        let away = Failure::Unavailable { retry_after: None };
        assert_eq!(
            pause(away, Repeat::Harmless, 1),
            Some(Duration::from_millis(125))
        );
        assert_eq!(
            pause(away, Repeat::Harmless, 2),
            Some(Duration::from_millis(250))
        );
        assert_eq!(pause(away, Repeat::Harmful, 1), None);
    }

    #[test]
    fn an_internal_error_is_repeated_once() {
        assert!(pause(Failure::Internal, Repeat::Harmless, 1).is_some());
        assert_eq!(pause(Failure::Internal, Repeat::Harmless, 2), None);
        assert_eq!(pause(Failure::Internal, Repeat::Harmful, 1), None);
        assert_eq!(pause(Failure::Final, Repeat::Harmless, 1), None);
    }

    #[test]
    fn backoff_is_bounded_and_spread() {
        let policy = RetryPolicy {
            attempts_max: 100,
            ..RetryPolicy::default()
        };
        for attempt in 1..100 {
            for random in [0, 1, 511, 1023, u64::MAX] {
                let pause = policy.backoff(attempt, random);
                assert!(pause <= policy.backoff_max);
                assert!(pause >= policy.backoff_min / 2);
            }
        }
        assert!(policy.backoff(3, 0) < policy.backoff(3, 1023));
    }

    #[test]
    fn never_means_once() {
        let limited = Failure::RateLimited { retry_after: None };
        assert_eq!(
            RetryPolicy::never().pause(limited, Repeat::Harmless, 1, 0),
            None
        );
    }
}
