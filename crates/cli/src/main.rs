//! `scaivault`: the one binary. The commands of operators and scripts, and the server itself.
//!
//! To add a command: one file in `commands/` with its arguments, its `run` and its output, and
//! one line in the enum of its group.

mod args;
mod commands;
mod config;
mod connect;
mod exit;
mod import;
mod input;
mod listing;
mod output;
mod report;
mod settings;
mod since;
mod table;
mod token;

use std::process::ExitCode;

use clap::Parser;

/// What one thread allocates another frees: requests are served by some threads and committed by
/// another. The C library's allocator takes a lock for each such piece.
#[cfg(feature = "server")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match args::Cli::try_parse() {
        Ok(cli) => exit::finish(commands::run(cli)),
        Err(error) => exit::usage(&error),
    }
}
