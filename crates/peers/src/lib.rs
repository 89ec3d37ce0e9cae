//! Real servers for tests: each is started in a private directory on a free port of the loopback
//! interface, with its own superuser, and ended by its process id when the value is dropped.

mod fault_proxy;
mod process;
mod shared_memory;
mod small_disk;

pub mod mariadb;
pub mod pgbouncer;
pub mod postgresql;
pub mod postgresql_pair;

pub mod redis;
pub mod s3;
pub mod sshd;

pub use fault_proxy::{FaultProxy, Wire};
pub use process::{Server, free_port, program, run};
pub use shared_memory::Segment;
pub use small_disk::SmallDisk;
