//! The store as its users see it: through the ports, through its file, through failures.

mod conformance;
mod crash;
mod files;
mod full;
mod model;
mod reopen;
mod support;
mod tampering;
