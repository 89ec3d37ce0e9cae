//! `[rate_limits]`: requests per minute of one identity, one field per category.

use super::layers::{ConfigError, Section};
use crate::rate_limit::{Category, Limits};

pub(super) fn read(section: &Section<'_>) -> Result<Limits, ConfigError> {
    let mut limits = [0; Category::ALL.len()];
    for category in Category::ALL {
        let limit = section.whole(category.as_str(), 0..=u64::from(u32::MAX))?;
        limits[category.index()] = u32::try_from(limit).unwrap_or(u32::MAX);
    }
    Ok(Limits::new(|category| limits[category.index()]))
}
