//! `[subscriptions]`: open streams, and how long nobody may read.

use std::time::Duration;

use scaivault_core::receiver::SUBSCRIPTION_TTL_MIN;
use scaivault_core::time::Span;

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
    /// A polling subscription that says nothing of its own ends when nobody read it for so long.
    pub unread_ttl: Option<Duration>,
}

impl SubscriptionsSection {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, ConfigError> {
        let stream_heartbeat = section.duration("stream_heartbeat")?;
        if !(Duration::from_secs(1)..=Duration::from_secs(60)).contains(&stream_heartbeat) {
            return Err(section.refuse("stream_heartbeat", "expected 1s to 60s"));
        }
        let streams_per_identity = section.whole("streams_per_identity", 1..=1_000)?;
        let max_streams = section.whole("max_streams", 1..=100_000)?;
        let unread_ttl = section.optional("unread_ttl", |text| {
            let span = Span::parse(text).map(|span| span.duration());
            span.ok()
                .filter(|span| *span >= SUBSCRIPTION_TTL_MIN)
                .ok_or("expected a duration of 1h or more")
        })?;
        Ok(Self {
            unread_ttl,
            stream_heartbeat,
            streams_per_identity: usize::try_from(streams_per_identity).unwrap_or(usize::MAX),
            max_streams: usize::try_from(max_streams).unwrap_or(usize::MAX),
        })
    }
}
