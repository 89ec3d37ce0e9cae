//! Figures as a file, so that plots can be drawn again without measuring again.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::peer::{Kind, Work};
use crate::ratio::{Spread, number};

#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// What all this ran on.
    pub(crate) machine: String,
    /// Name and version of the peer.
    pub(crate) peer: String,
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) sizes: Vec<Size>,
}

/// The same work on both, at one number of connections.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) store: Kind,
    pub(crate) tls: bool,
    pub(crate) secrets: usize,
    pub(crate) work: Work,
    pub(crate) connections: usize,
    pub(crate) rounds: usize,
    /// Of one stretch.
    pub(crate) seconds: f64,
    /// Requests a second that were offered to both; closed loop without.
    pub(crate) offered: Option<f64>,
    pub(crate) product: Side,
    pub(crate) peer: Side,
    /// Of the rates, product by peer, round by round.
    pub(crate) ratio: Spread,
    /// Of the 99th percentiles, product by peer, round by round.
    pub(crate) p99_ratio: Spread,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Side {
    pub(crate) rate: Spread,
    #[serde(deserialize_with = "number")]
    pub(crate) p50_ms: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) p90_ms: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) p99_ms: f64,
    #[serde(deserialize_with = "number")]
    pub(crate) p999_ms: f64,
    /// Of the server's process.
    #[serde(deserialize_with = "number")]
    pub(crate) cpu_us: f64,
}

/// Reads of the product with so many secrets in the store.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) store: Kind,
    pub(crate) connections: usize,
    pub(crate) secrets: usize,
    pub(crate) rate: Spread,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_us: f64,
    /// Time of a read by that among the fewest secrets, round by round.
    pub(crate) cost: Spread,
    /// The same of processor time.
    pub(crate) cpu_cost: f64,
    pub(crate) start_ms: Spread,
    /// After the reads.
    pub(crate) resident_mib: f64,
}

impl Comparison {
    fn is_again(&self, other: &Self) -> bool {
        let key = |one: &Self| {
            let Self {
                store,
                tls,
                secrets,
                work,
                connections,
                ..
            } = one;
            (*store, *tls, *secrets, *work, *connections)
        };
        key(self) == key(other) && self.offered.is_some() == other.offered.is_some()
    }
}

impl Results {
    /// Those of a file; none where there is no file.
    pub(crate) fn load(file: &Path) -> Result<Self> {
        if !file.is_file() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(file)?;
        serde_json::from_str(&text).with_context(|| format!("{} does not fit", file.display()))
    }

    pub(crate) fn save(&self, file: &Path) -> Result<()> {
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    /// Takes a figure in, in the place of an older one of the same thing.
    pub(crate) fn compared(&mut self, new: Comparison) {
        self.comparisons.retain(|old| !old.is_again(&new));
        self.comparisons.push(new);
    }

    pub(crate) fn sized(&mut self, new: Size) {
        let key = |one: &Size| (one.store, one.connections, one.secrets);
        self.sizes.retain(|old| key(old) != key(&new));
        self.sizes.push(new);
        self.sizes.sort_unstable_by_key(key);
    }
}
