//! Secrets: write, read, list, metadata, delete, versions, consumers.

mod ack;
mod aging;
mod batch;
mod browse;
mod delete;
mod list;
mod metadata;
mod read;
mod served;
mod versions;
mod write;

pub use ack::Acknowledgement;
pub(crate) use aging::aging_ops;
pub use batch::{
    BATCH_BYTES_MAX, BATCH_PATHS_MAX, BatchOutcomes, BatchRead, BatchRefusal, MetadataPage,
};
pub use browse::SecretDetails;
pub use delete::Deleted;
pub use list::{SecretPage, SecretQuery};
pub use metadata::MetadataChange;
pub use read::ReadSecret;
pub(crate) use served::ServedVersion;
pub use versions::{VERSIONS_MAX, VersionAct, Versions};
pub(crate) use write::{DATA_PLACE_KIND, data_place};
pub use write::{SecretWrite, Written, value_place};
