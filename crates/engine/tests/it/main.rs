//! The engine as a whole: real store, real keyring, a clock moved by hand, scripted receivers.
//! One file per capability; [`world`] builds what every test stands on.

mod ageing;
mod deletion;
mod faults;
mod ninety_days;
mod races;
mod revocation;
mod rotation_endings;
mod simulation;
mod world;
