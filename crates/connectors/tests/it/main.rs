//! Connectors against real servers, in one binary. Each connector calls the conformance suite once
//! per overlap and adds what only its own system has.

mod accounts;
mod conformance;

#[cfg(feature = "http_key")]
mod fake_keys;
#[cfg(feature = "http_key")]
mod http_key;
#[cfg(feature = "http_key")]
mod http_key_accounts;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "mysql")]
mod mysql_accounts;
#[cfg(feature = "postgresql")]
mod postgresql;
#[cfg(feature = "postgresql")]
mod postgresql_accounts;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
mod redis_accounts;
#[cfg(feature = "ssh")]
mod ssh_certificates;
