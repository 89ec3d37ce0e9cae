//! What a connection's other side has not acknowledged, as the system's own table says.

use std::net::SocketAddr;

/// Bytes handed to the system for the connection between these two that the other side has not acknowledged. `None`
/// where there is no such table, or the connection is no longer in it.
pub(super) fn unacknowledged(own: SocketAddr, other: SocketAddr) -> Option<u64> {
    let table = match own {
        SocketAddr::V4(_) => "/proc/self/net/tcp",
        SocketAddr::V6(_) => "/proc/self/net/tcp6",
    };
    find(&std::fs::read_to_string(table).ok()?, own, other)
}

/// The column `tx_queue` of the line with these two addresses.
fn find(table: &str, own: SocketAddr, other: SocketAddr) -> Option<u64> {
    let (own, other) = (written(own), written(other));
    table.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next()? == own && fields.next()? == other;
        let (waiting, _) = fields.nth(1).filter(|_| is_it)?.split_once(':')?;
        u64::from_str_radix(waiting, 16).ok()
    })
}

/// An address as the table has it: words of four bytes, each in this machine's order.
fn written(address: SocketAddr) -> String {
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().unwrap_or_default();
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    let host: String = match address {
        SocketAddr::V4(address) => word(&address.ip().octets()),
        SocketAddr::V6(address) => address.ip().octets().chunks(4).map(word).collect(),
    };
    format!("{host}:{:04X}", address.port())
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    const V4: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1
   1: 0100007F:C350 0100007F:1F90 01 0001A2B0:00000003 01:00000014 00000000     0        0 2
";
    const V6: &str = "\
   0: B80D0120000000000000000001000000:C350 B80D0120000000000000000002000000:1F90 01 \
 00000010:00000000 00:00000000 00000000     0        0 2
";

    #[test]
    fn the_line_of_the_two_addresses_is_found() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let (own, other) = (at("127.0.0.1:50000"), at("127.0.0.1:8080"));
        assert_eq!(find(V4, own, other), Some(0x1_A2B0));
        assert_eq!(find(V4, other, own), None);
        assert_eq!(find("", own, other), None);
        let (own, other) = (at("[2001:db8::1]:50000"), at("[2001:db8::2]:8080"));
        assert_eq!(find(V6, own, other), Some(0x10));
    }
}
