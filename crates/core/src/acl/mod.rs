//! Policies as clients of HashiCorp Vault write them: path blocks with capabilities, in HCL or JSON.
//!
//! Nothing of that language is stored. A text is read ([`parse`]), compiled against the mounts of a
//! tenant ([`compile`]) to [rules](crate::access::Rule) and scopes, and from then on it is an access
//! policy like any other: the one decision decides. [`render`] writes such a policy back as HCL.
//!
//! The two languages differ in what they can say. There, of all blocks that match a path the most
//! specific one decides, so that a longer path can take away what a shorter one gives, and `deny`
//! takes away everything. Ours only ever add. A text that needs taking away is refused, with the line
//! and the reason; where our rights are coarser, what is given beside is listed in [`WIDER`], from
//! which the page in `docs/` and the tests are made.
//!
//! [`ways`] says which request asks what of us: it is the one table that compiling, answering
//! `capabilities` and the tests go by.

mod compile;
mod document;
mod mounts;
mod name;
mod other_places;
mod parse;
mod pattern;
mod render;
mod residue;
mod syntax;
mod ways;
mod wider;

pub use compile::{Compiled, RULES_MAX, compile};
pub use document::{Block, Capability, CapabilitySet, Document, Refusal};
pub use mounts::{MountKind, MountView, Mounts};
pub use name::{
    HOLDER, POLICY_GROUP, escape, group_of, is_policy_group, is_policy_name, mount_word, policy_of,
    unescape,
};
pub use parse::{TEXT_BYTES_MAX, parse};
pub use pattern::AclPattern;
pub use render::render;
pub use ways::{Need, needs};
pub use wider::{NARROWER, WIDER};

#[cfg(test)]
mod tests;
