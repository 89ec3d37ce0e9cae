//! For the targets of `crates/fuzz`.

use super::grants::Grant;

/// An account in a statement.
pub fn account(name: &str, host: &str) -> String {
    super::quote::account(name, host)
}

/// The words of a statement that a server printed.
pub fn words(statement: &str) -> Vec<&str> {
    super::quote::words(statement)
}

/// A printed grant, for another account; `None` for what is no grant.
pub fn grant(line: &str, account: &str) -> Option<String> {
    Grant::parse(line).map(|grant| grant.statement(account))
}
