//! `[subscriptions]`: open streams, and how long nobody may read.

use std::time::Duration;

use super::layers::{ConfigError, Section};

/// The section.
#[derive(Debug, Clone)]
pub(crate) struct SubscriptionsSection {
    /// From one sign of life on a stream to the next.
    pub stream_heartbeat: Duration,
    /// Streams one identity may have open at this node.
    pub streams_per_identity: usize,
    /// Streams open at this node.
    pub max_streams: usize,
}

impl SubscriptionsSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let stream_heartbeat = section.duration("stream_heartbeat")?;
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&stream_heartbeat) {
            return Err(section.refuse("stream_heartbeat", "expected 1s to 60s"));
        }
        let streams_per_identity = section.whole("streams_per_identity", 1..=1_000)?;
        let max_streams = section.whole("max_streams", 1..=100_000)?;
        Ok(Self {
            stream_heartbeat,
            streams_per_identity: usize::try_from(streams_per_identity).unwrap_or(usize::MAX),
            max_streams: usize::try_from(max_streams).unwrap_or(usize::MAX),
        })
    }
}
