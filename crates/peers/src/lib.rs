//! Real servers for tests: each is started in a private directory on a free port of the loopback
//! interface, with its own superuser, and ended by its process id when the value is dropped.

mod process;

pub mod mariadb;
pub mod pgbouncer;
pub mod postgresql;
pub mod redis;

pub use process::{Server, free_port, program, run};
