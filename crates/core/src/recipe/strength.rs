//! How hard a made value is to guess, in bits.

use super::generator::{Curve, Generator, RandomConfig, RsaBits, SshKeyType};
use super::template::{Part, parse_template};

/// Random bits of a UUID: the rest is fixed, or the time.
const UUID4_BITS: f64 = 122.0;
const UUID7_BITS: f64 = 74.0;

impl Generator {
    /// For random texts the entropy: the logarithm of how many there are, all equally likely. For
    /// key pairs the strength commonly given for their kind and length (NIST SP 800-57), which is
    /// less than what went into them.
    pub fn bits(&self) -> f64 {
        match self {
            Self::Random(config) => config.bits(),
            Self::Hex(config) => 4.0 * f64::from(config.length),
            Self::Uuid(config) => match config.version {
                7 => UUID7_BITS,
                _ => UUID4_BITS,
            },
            Self::Template(config) => {
                let parts = parse_template(&config.template).unwrap_or_default();
                parts.iter().map(part_bits).sum()
            }
            Self::RsaKeypair(config) => rsa_bits(config.bits),
            Self::EcKeypair(config) => match config.curve {
                Curve::P256 => 128.0,
                Curve::P384 => 192.0,
            },
            Self::SshKeypair(config) => match (config.key_type, config.bits) {
                (SshKeyType::Rsa, Some(bits)) => rsa_bits(bits),
                _ => 128.0,
            },
            Self::BcryptHash(config) => alphanumeric_bits(config.length),
            Self::Static(_) => 0.0,
        }
    }
}

fn rsa_bits(bits: RsaBits) -> f64 {
    match bits {
        RsaBits::B2048 => 112.0,
        RsaBits::B3072 => 128.0,
        RsaBits::B4096 => 152.0,
    }
}

fn alphanumeric_bits(length: u32) -> f64 {
    f64::from(length) * 62f64.log2()
}

fn part_bits(part: &Part) -> f64 {
    match part {
        Part::Text(_) | Part::Timestamp => 0.0,
        Part::Random(length) => alphanumeric_bits(*length),
        Part::Hex(length) => 4.0 * f64::from(*length),
        Part::Uuid => UUID4_BITS,
    }
}

impl RandomConfig {
    /// How likely a draw has every required class, by inclusion and exclusion: the classes have no
    /// character in common.
    pub fn acceptance(&self) -> f64 {
        let alphabet = self.alphabet();
        let all = alphabet.len() as f64;
        let shares: Vec<f64> = self
            .required()
            .map(|class| alphabet.iter().filter(|at| class.has(**at)).count() as f64 / all)
            .collect();
        let without = |left_out: u32| -> f64 {
            let missing = (0..shares.len()).filter(|at| (left_out >> at) & 1 == 1);
            let rest = 1.0 - missing.map(|at| shares[at]).sum::<f64>();
            let sign = if left_out.count_ones().is_multiple_of(2) {
                1.0
            } else {
                -1.0
            };
            sign * rest.max(0.0).powf(f64::from(self.length))
        };
        (0..1u32 << shares.len())
            .map(without)
            .sum::<f64>()
            .clamp(0.0, 1.0)
    }

    fn bits(&self) -> f64 {
        let all = f64::from(self.length) * (self.alphabet().len() as f64).log2();
        (all + self.acceptance().log2()).max(0.0)
    }
}
