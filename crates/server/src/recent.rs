//! An answer that is dear to get and may be a little old: asked for once, told to everybody.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// The last answer and when it was asked for. One question at a time is under way.
pub(crate) struct Recent<T> {
    last: Arc<Mutex<Option<(Instant, T)>>>,
    age_max: Duration,
}

impl<T: Clone + Send + 'static> Recent<T> {
    /// Answers are told for so long.
    pub(crate) fn new(age_max: Duration) -> Self {
        Self {
            last: Arc::default(),
            age_max,
        }
    }

    /// The last answer if it is young enough and still `holds`, or a new one. `None` only when
    /// asking panicked.
    ///
    /// Asking goes on when whoever asked goes away: a client that leaves at once starts no more
    /// questions than one that stays.
    pub(crate) async fn get(
        &self,
        holds: impl FnOnce(&T) -> bool + Send,
        ask: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let mut last = self.last.clone().lock_owned().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < self.age_max
            && holds(answer)
        {
            return Some(answer.clone());
        }
        let asked = tokio::spawn(async move {
            let at = Instant::now();
            let answer = ask.await;
            *last = Some((at, answer.clone()));
            answer
        });
        asked.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const AGE: Duration = Duration::from_secs(1);

    struct Source {
        recent: Recent<u32>,
        asked: Arc<AtomicU32>,
    }

    impl Source {
        fn new() -> Self {
            Self {
                recent: Recent::new(AGE),
                asked: Arc::default(),
            }
        }

        async fn get(&self, holds: bool) -> u32 {
            let asked = self.asked.clone();
            let ask = async move {
                tokio::time::sleep(AGE / 10).await;
                asked.fetch_add(1, Ordering::Relaxed) + 1
            };
            self.recent.get(|_| holds, ask).await.unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_shares_one_answer_for_its_time() {
        let source = Source::new();
        assert_eq!(
            tokio::join!(source.get(true), source.get(true), source.get(true)),
            (1, 1, 1)
        );
        tokio::time::advance(AGE).await;
        assert_eq!(source.get(true).await, 2);
        assert_eq!(source.get(true).await, 2);
        assert_eq!(source.get(false).await, 3, "it does not hold any more");
    }

    #[tokio::test(start_paused = true)]
    async fn leaving_early_asks_no_more_often() {
        let source = Source::new();
        for _ in 0..10 {
            let _ = tokio::time::timeout(Duration::from_millis(1), source.get(true)).await;
        }
        assert_eq!(source.get(true).await, 1);
    }
}
