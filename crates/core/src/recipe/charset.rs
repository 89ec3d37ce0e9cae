//! Sets of characters, all of visible ASCII.

use serde::{Deserialize, Serialize};

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const ALPHA: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const NUMERIC: &[u8] = b"0123456789";
const HEX: &[u8] = b"0123456789abcdef";
/// Letters and digits without those that look alike (`0 O o`, `1 l I`), and what a URL leaves as it
/// is.
const SAFE: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789-._~";
const SYMBOLS: &[u8] = b"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const ASCII: &[u8] = b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ\
[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";

/// A named set of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the constants above say it")]
pub enum Charset {
    Alphanumeric,
    Alpha,
    Numeric,
    Hex,
    Safe,
    Symbols,
    Ascii,
    /// Those the recipe lists.
    Custom,
}

impl Charset {
    /// Every set.
    pub const ALL: [Self; 8] = [
        Self::Alphanumeric,
        Self::Alpha,
        Self::Numeric,
        Self::Hex,
        Self::Safe,
        Self::Symbols,
        Self::Ascii,
        Self::Custom,
    ];

    /// The wire word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alphanumeric => "alphanumeric",
            Self::Alpha => "alpha",
            Self::Numeric => "numeric",
            Self::Hex => "hex",
            Self::Safe => "safe",
            Self::Symbols => "symbols",
            Self::Ascii => "ascii",
            Self::Custom => "custom",
        }
    }

    /// Reads the wire word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.as_str() == text)
    }

    /// Its characters, each once; none of [`Self::Custom`].
    pub fn characters(self) -> &'static [u8] {
        match self {
            Self::Alphanumeric => ALPHANUMERIC,
            Self::Alpha => ALPHA,
            Self::Numeric => NUMERIC,
            Self::Hex => HEX,
            Self::Safe => SAFE,
            Self::Symbols => SYMBOLS,
            Self::Ascii => ASCII,
            Self::Custom => b"",
        }
    }
}

/// A class that a value may have to have a character of. Every visible character is of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Class {
    Upper,
    Lower,
    Digit,
    Symbol,
}

impl Class {
    /// Whether the character is of it.
    pub fn has(self, character: u8) -> bool {
        match self {
            Self::Upper => character.is_ascii_uppercase(),
            Self::Lower => character.is_ascii_lowercase(),
            Self::Digit => character.is_ascii_digit(),
            Self::Symbol => !character.is_ascii_alphanumeric(),
        }
    }

    /// The key of the configuration that asks for it.
    pub fn option(self) -> &'static str {
        match self {
            Self::Upper => "require_upper",
            Self::Lower => "require_lower",
            Self::Digit => "require_digit",
            Self::Symbol => "require_symbol",
        }
    }

    /// In words.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Upper => "upper-case letters",
            Self::Lower => "lower-case letters",
            Self::Digit => "digits",
            Self::Symbol => "symbols",
        }
    }
}
