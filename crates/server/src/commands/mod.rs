//! What the binary does on the server's side.

mod audit_out;
mod dev;
mod init;
mod root_key;
mod serve;
mod server;
pub mod store;
mod verify;

pub use crate::place::Place;
pub use audit_out::{Destination, ForwardArgs, MessageFormat, forward};
pub use audit_out::{ExportArgs, ExportReport, Exported, export, verify_export};
pub(crate) use audit_out::{Form, Post, STRUCTURED, is_element_id};
pub(crate) use audit_out::{Seen, exported_ends, exported_ends_at};
pub(crate) use audit_out::{course, mark, source, way};
pub use dev::{DevArgs, dev};
pub use init::{InitArgs, init};
pub use server::{ServerArgs, server};
pub use verify::{VerifyArgs, verify};

/// The passphrase in a file that only we may read; its line end does not belong to it.
///
/// # Errors
/// When it cannot be read, or others can read it.
pub fn passphrase_of_file(
    file: &std::path::Path,
) -> anyhow::Result<scaivault_core::plaintext::Plaintext> {
    root_key::read_passphrase(file)
}
