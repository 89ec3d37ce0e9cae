//! Secrets: write, read, list, metadata, delete, versions, consumers.

mod ack;
mod aging;
mod browse;
mod delete;
mod frame;
mod metadata;
mod read;
mod write;

pub use ack::Acknowledgement;
pub(crate) use aging::aging_ops;
pub use browse::SecretDetails;
pub use delete::Deleted;
pub use frame::Frame;
pub use metadata::MetadataChange;
pub use read::ReadSecret;
pub(crate) use write::{DATA_PLACE_KIND, data_place};
pub use write::{SecretWrite, Written, value_place};
