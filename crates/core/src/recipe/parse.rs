//! From what was sent to a recipe. Every problem names its field; all are told at once.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::RecipeField;
use super::charset::Charset;
use super::generator::{
    BcryptConfig, Curve, EcConfig, Generator, HexConfig, RandomConfig, RsaBits, RsaConfig,
    SshConfig, SshKeyType, StaticConfig, TemplateConfig, UuidConfig,
};
use super::template::{Part, parse_template};
use crate::ports::FieldProblem;

/// The most fields of a recipe.
pub const FIELDS_MAX: usize = 32;
/// The longest random text.
pub(super) const LENGTH_MAX: u32 = 4_096;
/// The longest text of a template or a static field, and the longest that a template makes.
const TEXT_CHARS_MAX: usize = 16_384;
const COMMENT_CHARS_MAX: usize = 128;
const NAME_CHARS_MAX: usize = 64;
/// bcrypt sees no more.
const BCRYPT_LENGTH_MAX: u32 = 72;
/// Cost 15 takes some seconds; every login would, too.
const ROUNDS: RangeInclusive<u32> = 4..=15;
/// A draw is repeated until every required class is there. Where less than one in a thousand would
/// do, the length is too short for what is asked.
const ACCEPTANCE_MIN: f64 = 1e-3;

const LENGTH_DEFAULT: u32 = 32;
const ROUNDS_DEFAULT: u32 = 12;

/// A field as it was sent.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "as in the recipe")]
pub struct RawField {
    pub name: String,
    pub generator: String,
    pub config: Map<String, Value>,
}

/// Checks the fields of a recipe.
///
/// # Errors
/// What is wrong, each with the name of its field, such as `fields[0].config.length`.
pub fn parse_fields(raw: &[RawField]) -> Result<Vec<RecipeField>, Vec<FieldProblem>> {
    if raw.is_empty() || raw.len() > FIELDS_MAX {
        let why = format!("has 1 to {FIELDS_MAX} fields");
        return Err(vec![("fields".to_owned(), why)]);
    }
    let mut problems = Vec::new();
    let mut fields = Vec::with_capacity(raw.len());
    for (at, raw) in raw.iter().enumerate() {
        let at = format!("fields[{at}]");
        if !is_key(&raw.name) {
            let why = format!("has 1 to {NAME_CHARS_MAX} of the characters a-z A-Z 0-9 _ - .");
            problems.push((format!("{at}.name"), why));
        }
        let config = Config {
            at: format!("{at}.config"),
            map: &raw.config,
            taken: Vec::new(),
            problems: &mut problems,
        };
        match generator(&raw.generator, config) {
            Some(generator) => fields.push(RecipeField {
                name: raw.name.clone(),
                generator,
            }),
            None => {
                let why = format!("is one of: {}", Generator::WORDS.join(", "));
                problems.push((format!("{at}.generator"), why));
            }
        }
    }
    if problems.is_empty() {
        problems.extend(twice(&fields));
    }
    match problems.is_empty() {
        true => Ok(fields),
        false => Err(problems),
    }
}

fn is_key(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// Keys that two fields make.
fn twice(fields: &[RecipeField]) -> Vec<FieldProblem> {
    let mut makers = BTreeMap::new();
    let mut problems = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        for key in field.keys() {
            if let Some(first) = makers.insert(key.clone(), at) {
                let why = format!("makes the key {key}, as fields[{first}] does");
                problems.push((format!("fields[{at}].name"), why));
            }
        }
    }
    problems
}

/// `None`: no such generator.
fn generator(word: &str, mut config: Config<'_>) -> Option<Generator> {
    let generator = match word {
        "random" => Generator::Random(random(&mut config)),
        "hex" => Generator::Hex(HexConfig {
            length: config.number("length", 1..=LENGTH_MAX, LENGTH_DEFAULT),
        }),
        "uuid" => Generator::Uuid(uuid(&mut config)),
        "template" => Generator::Template(template(&mut config)),
        "rsa_keypair" => Generator::RsaKeypair(RsaConfig {
            bits: config.bits(),
        }),
        "ec_keypair" => Generator::EcKeypair(EcConfig {
            curve: config.word("curve", &[("P-256", Curve::P256), ("P-384", Curve::P384)]),
        }),
        "ssh_keypair" => Generator::SshKeypair(ssh(&mut config)),
        "bcrypt_hash" => Generator::BcryptHash(BcryptConfig {
            length: config.number("length", 1..=BCRYPT_LENGTH_MAX, LENGTH_DEFAULT),
            rounds: config.number("rounds", ROUNDS, ROUNDS_DEFAULT),
        }),
        "static" => Generator::Static(StaticConfig {
            value: config.needed_text("value"),
        }),
        _ => return None,
    };
    config.end();
    Some(generator)
}

fn random(config: &mut Config<'_>) -> RandomConfig {
    let sets = Charset::ALL.map(|set| (set.as_str(), set));
    let random = RandomConfig {
        length: config.number("length", 1..=LENGTH_MAX, LENGTH_DEFAULT),
        charset: config.word("charset", &sets),
        characters: config.text("characters"),
        require_upper: config.flag("require_upper"),
        require_lower: config.flag("require_lower"),
        require_digit: config.flag("require_digit"),
        require_symbol: config.flag("require_symbol"),
    };
    match (random.charset, &random.characters) {
        (Charset::Custom, None) => {
            config.problem("characters", "is needed: the characters to draw from");
            return random;
        }
        (Charset::Custom, Some(characters)) => {
            if let Some(why) = characters_problem(characters) {
                config.problem("characters", why);
                return random;
            }
        }
        (_, Some(_)) => config.problem("characters", "goes with charset custom alone"),
        (_, None) => {}
    }
    let alphabet = random.alphabet();
    let mut has_all = true;
    for class in random.required() {
        if !alphabet.iter().any(|character| class.has(*character)) {
            let why = format!(
                "asks for what the charset does not have: {}",
                class.plural()
            );
            config.problem(class.option(), why);
            has_all = false;
        }
    }
    if has_all && random.acceptance() < ACCEPTANCE_MIN {
        config.problem("length", too_short(&random));
    }
    random
}

fn characters_problem(characters: &str) -> Option<&'static str> {
    let mut bytes = characters.as_bytes().to_vec();
    bytes.sort_unstable();
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Some("has visible ASCII characters alone, no space");
    }
    if bytes.windows(2).any(|two| two[0] == two[1]) {
        return Some("has each character once: one that comes twice would be likelier");
    }
    (bytes.len() < 2).then_some("has at least 2 characters")
}

fn too_short(random: &RandomConfig) -> String {
    let enough = (random.length..=LENGTH_MAX).find(|length| {
        let longer = RandomConfig {
            length: *length,
            ..random.clone()
        };
        longer.acceptance() >= ACCEPTANCE_MIN
    });
    match enough {
        Some(enough) => format!("is at least {enough} with this charset and these classes"),
        None => "cannot be long enough with this charset and these classes".to_owned(),
    }
}

fn uuid(config: &mut Config<'_>) -> UuidConfig {
    let version = config.number("version", 1..=8, 4);
    if version != 4 && version != 7 {
        config.problem("version", "is 4 or 7");
    }
    UuidConfig { version }
}

fn template(config: &mut Config<'_>) -> TemplateConfig {
    let template = config.needed_text("template");
    match parse_template(&template) {
        Err(error) => config.problem("template", error.to_string()),
        Ok(parts) => {
            let chars: usize = parts.iter().map(Part::chars_max).sum();
            if chars > TEXT_CHARS_MAX {
                let why = format!("makes at most {TEXT_CHARS_MAX} characters");
                config.problem("template", why);
            }
        }
    }
    TemplateConfig { template }
}

fn ssh(config: &mut Config<'_>) -> SshConfig {
    let kinds = [("ed25519", SshKeyType::Ed25519), ("rsa", SshKeyType::Rsa)];
    let key_type = config.word("key_type", &kinds);
    let bits = match key_type {
        SshKeyType::Rsa => Some(config.bits()),
        SshKeyType::Ed25519 => {
            if config.value("bits").is_some() {
                config.problem("bits", "goes with key_type rsa alone");
            }
            None
        }
    };
    let comment = config.text("comment").unwrap_or_default();
    let fits = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if comment.len() > COMMENT_CHARS_MAX || !comment.bytes().all(fits) || comment.trim() != comment
    {
        let why = format!(
            "has at most {COMMENT_CHARS_MAX} visible ASCII characters, no space at either end"
        );
        config.problem("comment", why);
    }
    SshConfig {
        key_type,
        bits,
        comment,
    }
}

/// A configuration that is being read. Where something is wrong the problem is noted and a value
/// that is right goes on instead, so that more problems are found.
struct Config<'a> {
    at: String,
    map: &'a Map<String, Value>,
    taken: Vec<&'static str>,
    problems: &'a mut Vec<FieldProblem>,
}

impl<'a> Config<'a> {
    fn problem(&mut self, key: &str, why: impl Into<String>) {
        let field = format!("{}.{key}", self.at);
        self.problems.push((field, why.into()));
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.taken.push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn number(&mut self, key: &'static str, range: RangeInclusive<u32>, default: u32) -> u32 {
        let Some(value) = self.value(key) else {
            return default;
        };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => {
                let why = format!("is a number from {} to {}", range.start(), range.end());
                self.problem(key, why);
                default
            }
        }
    }

    fn flag(&mut self, key: &'static str) -> bool {
        match self.value(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.problem(key, "is true or false");
                false
            }
        }
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        match self.value(key)? {
            Value::String(text) if text.chars().count() <= TEXT_CHARS_MAX => Some(text.clone()),
            _ => {
                self.problem(
                    key,
                    format!("is a text of at most {TEXT_CHARS_MAX} characters"),
                );
                None
            }
        }
    }

    fn needed_text(&mut self, key: &'static str) -> String {
        let is_missing = self.value(key).is_none();
        if is_missing {
            self.problem(key, "is needed");
        }
        self.text(key).unwrap_or_default()
    }

    /// One of these words; the first one when nothing is said.
    fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> T {
        let default = words[0].1;
        let Some(value) = self.value(key) else {
            return default;
        };
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
        match found {
            Some((_, meaning)) => *meaning,
            None => {
                let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                self.problem(key, format!("is one of: {}", known.join(", ")));
                default
            }
        }
    }

    fn bits(&mut self) -> RsaBits {
        let Some(value) = self.value("bits") else {
            return RsaBits::B3072;
        };
        let number = value.as_u64().and_then(|bits| u32::try_from(bits).ok());
        match RsaBits::try_from(number.unwrap_or_default()) {
            Ok(bits) => bits,
            Err(why) => {
                self.problem("bits", why);
                RsaBits::B3072
            }
        }
    }

    /// Whatever nobody asked for is a mistake.
    fn end(mut self) {
        let mut known = std::mem::take(&mut self.taken);
        known.dedup();
        let why = format!("is not known here: there are {}", known.join(", "));
        for key in self.map.keys().filter(|key| !known.contains(&key.as_str())) {
            // What does not look like the name of a field is not repeated.
            let shown = if is_key(key) { key } else { "(unknown)" };
            let field = format!("{}.{shown}", self.at);
            self.problems.push((field, why.clone()));
        }
    }
}
