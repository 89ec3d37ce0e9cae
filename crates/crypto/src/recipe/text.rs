//! Random texts.

use scaivault_core::plaintext::Plaintext;
use scaivault_core::ports::Entropy;
use scaivault_core::recipe::{Part, RandomConfig, parse_template};
use scaivault_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::generate::{ALPHABET, draw};

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Draws of a whole text before giving up. A configuration is only taken where at least one draw in
/// a thousand will do, so that this many fail with a chance below 10^-40: it is for a source of
/// randomness that is broken.
const DRAWS_MAX: u32 = 100_000;

/// The whole text is drawn anew until every required class is there: putting the missing ones in
/// afterwards would make some texts likelier than others.
pub(super) fn random(config: &RandomConfig, entropy: &dyn Entropy) -> Option<Plaintext> {
    let length = usize::try_from(config.length).ok()?;
    let alphabet = config.alphabet();
    if !(2..=256).contains(&alphabet.len()) {
        return None;
    }
    for _ in 0..DRAWS_MAX {
        let text = drawn(entropy, alphabet, length);
        let has_all = config
            .required()
            .all(|class| text.expose().iter().any(|at| class.has(*at)));
        if has_all {
            return Some(text);
        }
    }
    None
}

fn drawn(entropy: &dyn Entropy, alphabet: &[u8], length: usize) -> Plaintext {
    let mut out = Zeroizing::new(Vec::with_capacity(length));
    draw(entropy, alphabet, length, &mut out);
    Plaintext::new(std::mem::take(&mut *out))
}

pub(super) fn hex(length: u32, entropy: &dyn Entropy) -> Plaintext {
    drawn(entropy, HEX, usize::try_from(length).unwrap_or_default())
}

/// RFC 9562: version 4 is random; version 7 begins with the time in milliseconds.
pub(super) fn uuid(version: u32, entropy: &dyn Entropy, now: Timestamp) -> Plaintext {
    const DASHES_AFTER: [usize; 4] = [3, 5, 7, 9];
    let mut bytes = Zeroizing::new([0u8; 16]);
    entropy.fill(bytes.as_mut_slice());
    if version == 7 {
        let millis = u64::try_from(now.as_micros() / 1_000).unwrap_or(0);
        bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
    } else {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
    }
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut out = Vec::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
        if DASHES_AFTER.contains(&at) {
            out.push(b'-');
        }
    }
    Plaintext::new(out)
}

pub(super) fn template(template: &str, entropy: &dyn Entropy, now: Timestamp) -> Option<Plaintext> {
    let parts = parse_template(template).ok()?;
    // Room for everything from the start: a growing buffer would leave copies behind. A character
    // is at most four bytes.
    let room: usize = parts.iter().map(|part| 4 * part.chars_max()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(room));
    for part in &parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Random(length) => {
                draw(entropy, ALPHABET, usize::try_from(*length).ok()?, &mut out);
            }
            Part::Hex(length) => draw(entropy, HEX, usize::try_from(*length).ok()?, &mut out),
            Part::Uuid => out.extend_from_slice(uuid(4, entropy, now).expose()),
            Part::Timestamp => out.extend_from_slice(now.as_secs().to_string().as_bytes()),
        }
    }
    Some(Plaintext::new(std::mem::take(&mut *out)))
}
