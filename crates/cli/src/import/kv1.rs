//! Secrets without versions.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::context::{Done, Halt, Pair, at_source, at_target};
use super::http::Answer;
use super::report::Outcome;
use super::same::same;
use super::trouble::Trouble;

/// A mount of such secrets.
pub(crate) struct Kv1<'a> {
    pub(crate) pair: Pair<'a>,
    /// Paths there and here, with their slashes.
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// Whether the mount is here already.
    pub(crate) is_here: bool,
}

#[derive(Deserialize)]
struct Valued<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

impl Kv1<'_> {
    pub(crate) async fn copy(&self, path: &str) -> Result<Done, Trouble> {
        let mut done = Done::default();
        match self.attempt(path, &mut done).await {
            Ok(outcome) => {
                done.outcome = outcome;
                Ok(done)
            }
            Err(halt) => halt.settle(done),
        }
    }

    async fn attempt(&self, path: &str, done: &mut Done) -> Result<Outcome, Halt> {
        let (source, target) = (self.pair.source, self.pair.target);
        let there = source.find(&format!("{}{path}", self.from)).await;
        let Some(there) = there.map_err(at_source)? else {
            return Ok(Outcome::Same);
        };
        let value = value_of(&there).map_err(at_source)?;
        let path = format!("{}{path}", self.to);
        let here = match self.is_here {
            true => target.find(&path).await.map_err(at_target)?,
            false => None,
        };
        if let Some(here) = &here {
            if same(value, value_of(here).map_err(at_target)?) {
                return Ok(Outcome::Same);
            }
            if !self.pair.overwrite {
                return Ok(done.because(Outcome::Conflict, "the value differs".to_owned()));
            }
            done.note("replaced: the value differs".to_owned());
        }
        done.written = 1;
        if !target.is_dry() {
            let body = Zeroizing::new(value.get().as_bytes().to_vec());
            // Twice the same value is the same value.
            let written = target.put_raw(&path, &body).await;
            written.map_err(at_target)?;
        }
        Ok(Outcome::Copied)
    }
}

fn value_of(answer: &Answer) -> Result<&RawValue, Trouble> {
    Ok(answer.parse::<Valued<'_>>()?.data)
}
