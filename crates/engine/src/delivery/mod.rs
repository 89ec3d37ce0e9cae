//! Events on their way: fan-out of the outbox to receivers, signing, and the delivery worker.

mod fan_out;
mod lanes;
mod parcel;
mod slack;
mod worker;

pub use worker::ClaimedDelivery;
