//! The generators and their configurations, with every default filled in.

use serde::{Deserialize, Serialize};

use super::charset::{Charset, Class};

/// How a field is made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "generator", content = "config", rename_all = "snake_case")]
pub enum Generator {
    /// Random characters.
    Random(RandomConfig),
    /// Random lower-case hex digits.
    Hex(HexConfig),
    /// A UUID.
    Uuid(UuidConfig),
    /// A text with places for random parts.
    Template(TemplateConfig),
    /// An RSA key pair in PEM.
    RsaKeypair(RsaConfig),
    /// A key pair on an elliptic curve in PEM.
    EcKeypair(EcConfig),
    /// A key pair in OpenSSH's formats.
    SshKeypair(SshConfig),
    /// A random password and its bcrypt hash.
    BcryptHash(BcryptConfig),
    /// A text that is always the same.
    Static(StaticConfig),
}

impl Generator {
    /// The wire words.
    pub const WORDS: [&str; 9] = [
        "random",
        "hex",
        "uuid",
        "template",
        "rsa_keypair",
        "ec_keypair",
        "ssh_keypair",
        "bcrypt_hash",
        "static",
    ];

    /// The wire word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Random(_) => "random",
            Self::Hex(_) => "hex",
            Self::Uuid(_) => "uuid",
            Self::Template(_) => "template",
            Self::RsaKeypair(_) => "rsa_keypair",
            Self::EcKeypair(_) => "ec_keypair",
            Self::SshKeypair(_) => "ssh_keypair",
            Self::BcryptHash(_) => "bcrypt_hash",
            Self::Static(_) => "static",
        }
    }

    /// Whether making it takes so long that nothing else may wait for it.
    pub fn is_slow(&self) -> bool {
        match self {
            Self::RsaKeypair(_) | Self::BcryptHash(_) => true,
            Self::SshKeypair(config) => config.key_type == SshKeyType::Rsa,
            Self::Random(_)
            | Self::Hex(_)
            | Self::Uuid(_)
            | Self::Template(_)
            | Self::EcKeypair(_)
            | Self::Static(_) => false,
        }
    }
}

/// Configuration of `random`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomConfig {
    /// Characters.
    pub length: u32,
    /// From which.
    pub charset: Charset,
    /// With [`Charset::Custom`]: these, each once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<String>,
    /// At least one of `A-Z`.
    #[serde(default)]
    pub require_upper: bool,
    /// At least one of `a-z`.
    #[serde(default)]
    pub require_lower: bool,
    /// At least one of `0-9`.
    #[serde(default)]
    pub require_digit: bool,
    /// At least one that is neither letter nor digit.
    #[serde(default)]
    pub require_symbol: bool,
}

impl RandomConfig {
    /// The characters it draws from, each once.
    pub fn alphabet(&self) -> &[u8] {
        match (self.charset, &self.characters) {
            (Charset::Custom, Some(characters)) => characters.as_bytes(),
            (charset, _) => charset.characters(),
        }
    }

    /// The classes that have to be there.
    pub fn required(&self) -> impl Iterator<Item = Class> {
        let wanted = [
            (Class::Upper, self.require_upper),
            (Class::Lower, self.require_lower),
            (Class::Digit, self.require_digit),
            (Class::Symbol, self.require_symbol),
        ];
        wanted
            .into_iter()
            .filter_map(|(class, is_wanted)| is_wanted.then_some(class))
    }
}

/// Configuration of `hex`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HexConfig {
    /// Characters (not bytes).
    pub length: u32,
}

/// Configuration of `uuid`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UuidConfig {
    /// 4 (random) or 7 (time, then random).
    pub version: u32,
}

/// Configuration of `template`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateConfig {
    /// The text; see `template`.
    pub template: String,
}

/// Lengths of RSA keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RsaBits {
    B2048,
    B3072,
    B4096,
}

impl From<RsaBits> for u32 {
    fn from(bits: RsaBits) -> Self {
        match bits {
            RsaBits::B2048 => 2048,
            RsaBits::B3072 => 3072,
            RsaBits::B4096 => 4096,
        }
    }
}

impl TryFrom<u32> for RsaBits {
    type Error = &'static str;

    fn try_from(bits: u32) -> Result<Self, Self::Error> {
        match bits {
            2048 => Ok(Self::B2048),
            3072 => Ok(Self::B3072),
            4096 => Ok(Self::B4096),
            _ => Err("is 2048, 3072 or 4096"),
        }
    }
}

/// Configuration of `rsa_keypair`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RsaConfig {
    /// Length of the modulus.
    pub bits: RsaBits,
}

/// Curves of the NIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Curve {
    #[serde(rename = "P-256")]
    P256,
    #[serde(rename = "P-384")]
    P384,
}

/// Configuration of `ec_keypair`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EcConfig {
    /// The curve.
    pub curve: Curve,
}

/// Kinds of SSH keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum SshKeyType {
    Ed25519,
    Rsa,
}

/// Configuration of `ssh_keypair`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SshConfig {
    /// The kind.
    pub key_type: SshKeyType,
    /// With [`SshKeyType::Rsa`]: length of the modulus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<RsaBits>,
    /// Behind the public key and in the private one; may be empty.
    pub comment: String,
}

/// Configuration of `bcrypt_hash`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BcryptConfig {
    /// Characters of the password, letters and digits.
    pub length: u32,
    /// Cost: two to the power of so many rounds.
    pub rounds: u32,
}

/// Configuration of `static`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticConfig {
    /// The text. Whoever may read recipes sees it.
    pub value: String,
}
