//! PEM, and the little of DER that exports need.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Characters of a line.
const LINE: usize = 64;

/// These bytes in PEM.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(LINE) {
        // Base64 is ASCII.
        text.push_str(std::str::from_utf8(line).unwrap_or_default());
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// The key within PKCS #8: version, algorithm, and then the octets that it is.
pub(super) fn pkcs1_of(pkcs8: &[u8]) -> Option<&[u8]> {
    let (inside, _) = element(pkcs8, 0x30)?;
    let (_, rest) = element(inside, 0x02)?;
    let (_, rest) = element(rest, 0x30)?;
    element(rest, 0x04).map(|(octets, _)| octets)
}

/// The contents of the first element, which has this tag, and what stands behind it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(*first) {
        short if short < 0x80 => (short, rest),
        long => {
            let digits = long - 0x80;
            let (digits, rest) = rest.split_at_checked(digits).filter(|_| digits <= 4)?;
            let length = digits
                .iter()
                .fold(0usize, |all, digit| all << 8 | usize::from(*digit));
            (length, rest)
        }
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}
