//! The product from the outside: the real binary, real sockets, only documented behaviour.
//! One file per capability; `harness` is what they stand on.

mod authorization;
mod bad_input;
mod cli;
mod crash;
mod disk;
mod first_integration;
mod harness;
mod lifecycle;
mod operating;
mod polling;
mod rotate_oauth;
mod secrets;
mod tutorials;
