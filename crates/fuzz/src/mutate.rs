//! Inputs from seeds: the same for the same number, so that a failing one can be made again.

/// Longest input made.
const BYTES_MAX: usize = 4_096;
/// Bytes at which readers change their minds.
const EDGES: &[u8] =
    b"\0\x01\x7f\x80\xff \t\r\n\"'`\\/%*?{}[]()<>:;,.=+-_@#&|~0129AZaz\xc2\xa0\xe2\x80\xae";

/// A stream of numbers fixed by its seed.
pub struct Chance(u64);

impl Chance {
    /// A stream of its own for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (the generator known as SplitMix64).
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next_u64() % end).unwrap_or(0)
    }

    /// One of them; `None` when there are none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len()))
    }
}

/// An input made from the seeds and the words.
pub fn mutated(chance: &mut Chance, seeds: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut input = chance.one_of(seeds).cloned().unwrap_or_default();
    for _ in 0..=chance.below(6) {
        change(chance, &mut input, seeds, words);
    }
    input.truncate(BYTES_MAX);
    input
}

fn change(chance: &mut Chance, input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str]) {
    let at = chance.below(input.len() + 1);
    let end = at + chance.below((input.len() - at).min(32) + 1);
    match chance.below(11) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            let edge = chance.one_of(EDGES).copied().unwrap_or_default();
            match input.get_mut(at) {
                Some(byte) => *byte = edge,
                None => input.push(edge),
            }
        }
        2 => drop(input.drain(at..end)),
        3 => {
            let again = input[at..end].to_vec();
            splice(input, at..at, &again);
        }
        4 | 5 => {
            let word = chance.one_of(words).copied().unwrap_or_default();
            splice(input, at..at, word.as_bytes());
        }
        6 => {
            let word = chance.one_of(words).copied().unwrap_or_default();
            splice(input, at..end, word.as_bytes());
        }
        7 => {
            let other = chance.one_of(seeds).cloned().unwrap_or_default();
            let from = chance.below(other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        8 => {
            let edge = chance.one_of(EDGES).copied().unwrap_or_default();
            let many = [1, 2, 60, 600][chance.below(4)];
            splice(input, at..at, &vec![edge; many]);
        }
        9 => number(chance, input),
        _ => {
            let byte = u8::try_from(chance.below(256)).unwrap_or_default();
            splice(input, at..at, &[byte]);
        }
    }
}

fn splice(input: &mut Vec<u8>, range: std::ops::Range<usize>, with: &[u8]) {
    input.splice(range, with.iter().copied());
}

/// Another number in the place of one that is there.
fn number(chance: &mut Chance, input: &mut Vec<u8>) {
    let Some(from) = input.iter().position(u8::is_ascii_digit) else {
        return;
    };
    let digits = input[from..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    let to = from + digits.count();
    let numbers = [
        "0",
        "1",
        "9",
        "00",
        "31",
        "32",
        "59",
        "60",
        "64",
        "127",
        "128",
        "255",
        "256",
        "65535",
        "65536",
        "2147483648",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "18446744073709551616",
        "-1",
        "1e9",
        "0x10",
    ];
    let other = chance.one_of(&numbers).copied().unwrap_or("0");
    splice(input, from..to, other.as_bytes());
}

/// A shorter input that still fails, found by leaving parts out.
pub fn minimised(input: &[u8], fails: &dyn Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut least = input.to_vec();
    let mut part = least.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        while at < least.len() {
            let mut shorter = least.clone();
            shorter.drain(at..(at + part).min(least.len()));
            if fails(&shorter) {
                least = shorter;
            } else {
                at += part;
            }
        }
        part /= 2;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_they_differ() {
        let seeds = [b"a/b/c".to_vec(), b"10".to_vec()];
        let make = |seed| {
            let mut chance = Chance::new(seed);
            let made = (0..500).map(|_| mutated(&mut chance, &seeds, &["**", "x"]));
            made.collect::<Vec<_>>()
        };
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
        let different: std::collections::BTreeSet<_> = make(1).into_iter().collect();
        assert!(different.len() > 400, "{}", different.len());
    }

    #[test]
    fn what_fails_is_cut_to_what_matters() {
        let fails = |input: &[u8]| input.windows(2).any(|two| two == b"!?");
        let least = minimised(b"a long text with !? somewhere in it", &fails);
        assert_eq!(least, b"!?");
    }
}
