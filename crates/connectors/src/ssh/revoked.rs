//! A list of revoked certificates in OpenSSH's form (`PROTOCOL.krl` of its sources), for
//! `RevokedKeys` of servers.
//!
//! A certificate is named by its serial, and its serial follows from the account's name: whoever
//! knows the leases knows the serials, with nothing else kept.

use aws_lc_rs::digest::{Context, SHA256};
use scaivault_core::time::Timestamp;

use super::ca::Ca;
use super::wire::Writer;

const MAGIC: &[u8; 8] = b"SSHKRL\n\0";
const FORMAT: u32 = 1;
const SECTION_CERTIFICATES: u8 = 1;
const SECTION_SERIALS: u8 = 0x20;

/// The serial of an account's certificate: as random as the name, which is made once.
pub(super) fn serial(account: &str) -> u64 {
    let mut context = Context::new(&SHA256);
    context.update(b"serial of an SSH certificate\0");
    context.update(account.as_bytes());
    let digest = context.finish();
    let first = digest.as_ref().iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The list of these accounts' certificates, numbered by its time.
pub(super) fn list(ca: &Ca, accounts: &[&str], now: Timestamp) -> Vec<u8> {
    let mut serials: Vec<u64> = accounts.iter().map(|account| serial(account)).collect();
    serials.sort_unstable();
    serials.dedup();
    let mut numbers = Writer::default();
    for serial in serials {
        numbers.u64(serial);
    }
    let mut of_ca = Writer::default();
    of_ca.text(ca.public()).text("");
    if !numbers.0.is_empty() {
        of_ca.0.push(SECTION_SERIALS);
        of_ca.text(numbers.0);
    }
    let mut out = Writer(MAGIC.to_vec());
    out.u32(FORMAT)
        .u64(u64::try_from(now.as_micros()).unwrap_or(0))
        .u64(u64::try_from(now.as_secs()).unwrap_or(0))
        .u64(0)
        .text("")
        .text("");
    out.0.push(SECTION_CERTIFICATES);
    out.text(of_ca.0);
    out.0
}
