//! Names of accounts: `v_<role>_<tail>`, or as a role's template says.
//!
//! The *tail* is 20 characters of `a-z 2-7`: when it was made (7, in seconds), randomness (9) and
//! a code over both (4) that only this store can make. By it an account is found again at the
//! target, and one that somebody else made is told apart from ours and never touched, whatever it
//! is called.

use std::fmt;

use crate::ports::Entropy;
use crate::time::Timestamp;

/// Characters of a tail.
pub const NAME_TAIL_CHARS: usize = 20;

const TIME_CHARS: usize = 7;
const RANDOM_CHARS: usize = 9;
const CHECK_CHARS: usize = NAME_TAIL_CHARS - TIME_CHARS - RANDOM_CHARS;
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Stand between the parts of a name.
const BOUNDS: [char; 4] = ['_', '-', '.', '@'];
/// Of a template's text.
const TEMPLATE_CHARS_MAX: usize = 512;

/// The code over the beginning of a tail, by a key of the store.
pub type TailCheck<'a> = &'a dyn Fn(&str) -> [u8; 4];

/// What a name is made of.
#[derive(Debug, Clone, Copy)]
pub struct AccountName<'a> {
    /// The role.
    pub role: &'a str,
    /// Who asks, as the token names him.
    pub display_name: &'a str,
    /// The longest name the target takes.
    pub chars_max: usize,
}

/// Why a template was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Too long.
    #[error("a template has at most {TEMPLATE_CHARS_MAX} characters")]
    Long,
    /// Braces that do not close.
    #[error("'{{{{' without its '}}}}'")]
    Open,
    /// An unknown word.
    #[error(
        "between braces stand .RoleName, .DisplayName, random, unix_time or timestamp, and behind a '|' truncate N, lowercase or uppercase"
    )]
    Word,
    /// Without the part that finds the account again.
    #[error(
        "the template needs {{{{random}}}} once, alone between '_', '-', '.', '@' or the ends: by it the account is found again"
    )]
    Random,
    /// Characters that would need quoting.
    #[error("a name consists of a-z A-Z 0-9 _ - . @")]
    Char,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Role,
    DisplayName,
    Random,
    UnixTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Truncate(usize),
    Lower,
    Upper,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Word(Word, Vec<Change>),
}

/// How accounts are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate(Vec<Part>);

impl Default for NameTemplate {
    /// `v_<role>_<tail>`.
    fn default() -> Self {
        Self(vec![
            Part::Text("v_".to_owned()),
            Part::Word(Word::Role, vec![Change::Lower]),
            Part::Text("_".to_owned()),
            Part::Word(Word::Random, Vec::new()),
        ])
    }
}

impl NameTemplate {
    /// Reads a template such as `app-{{.RoleName | truncate 8}}-{{random}}`.
    ///
    /// # Errors
    /// [`NameError`] says what is wrong and repeats nothing.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > TEMPLATE_CHARS_MAX {
            return Err(NameError::Long);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, behind) = after.split_once("}}").ok_or(NameError::Open)?;
            parts.extend(literal(before)?);
            parts.push(word(inside)?);
            rest = behind;
        }
        parts.extend(literal(rest)?);
        let template = Self(parts);
        match template.stands_alone() {
            true => Ok(template),
            false => Err(NameError::Random),
        }
    }

    fn stands_alone(&self) -> bool {
        let is_random = |part: &Part| matches!(part, Part::Word(Word::Random, _));
        let mut found = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, part)| is_random(part));
        let (Some((at, Part::Word(_, changes))), None) = (found.next(), found.next()) else {
            return false;
        };
        let bounds = |part: Option<&Part>, at_end: bool| match part {
            None => true,
            Some(Part::Text(text)) if at_end => text.ends_with(BOUNDS),
            Some(Part::Text(text)) => text.starts_with(BOUNDS),
            Some(Part::Word(..)) => false,
        };
        let before = at.checked_sub(1).and_then(|at| self.0.get(at));
        changes.is_empty() && bounds(before, true) && bounds(self.0.get(at + 1), false)
    }

    /// A new name. Parts other than the tail give way where the target takes short names only.
    pub fn make(
        &self,
        of: AccountName<'_>,
        now: Timestamp,
        entropy: &dyn Entropy,
        check: TailCheck<'_>,
    ) -> String {
        let tail = tail(now, entropy, check);
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|part| part.text(of, now, &tail))
            .collect();
        let whole: usize = parts.iter().map(String::len).sum();
        let mut over = whole.saturating_sub(of.chars_max);
        let mut name = String::with_capacity(of.chars_max.min(whole));
        for (part, text) in self.0.iter().zip(parts) {
            let gives = match part {
                Part::Word(Word::Random, _) => 0,
                Part::Word(..) => over.min(text.len()),
                Part::Text(_) => 0,
            };
            over -= gives;
            name.push_str(&text[..text.len() - gives]);
        }
        if name.len() > of.chars_max {
            // The literals alone are too long: the tail is what counts.
            return tail[..tail.len().min(of.chars_max)].to_owned();
        }
        name
    }
}

impl Part {
    fn text(&self, of: AccountName<'_>, now: Timestamp, tail: &str) -> String {
        let (word, changes) = match self {
            Self::Text(text) => return text.clone(),
            Self::Word(word, changes) => (word, changes),
        };
        let mut text = match word {
            Word::Role => sound(of.role),
            Word::DisplayName => sound(of.display_name),
            Word::Random => tail.to_owned(),
            Word::UnixTime => (now.as_micros() / 1_000_000).to_string(),
        };
        for change in changes {
            match change {
                Change::Truncate(most) => text.truncate(*most),
                Change::Lower => text.make_ascii_lowercase(),
                Change::Upper => text.make_ascii_uppercase(),
            }
        }
        text
    }
}

/// What a name cannot have becomes `_`.
fn sound(text: &str) -> String {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.chars()
        .map(|c| if sound(c) { c } else { '_' })
        .collect()
}

fn literal(text: &str) -> Result<Option<Part>, NameError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || BOUNDS.contains(&c);
    match text.chars().all(fits) {
        true => Ok((!text.is_empty()).then(|| Part::Text(text.to_owned()))),
        false => Err(NameError::Char),
    }
}

fn word(inside: &str) -> Result<Part, NameError> {
    let mut pipe = inside.split('|').map(str::trim);
    let word = match pipe.next().unwrap_or_default() {
        ".RoleName" | "role" => Word::Role,
        ".DisplayName" | "display_name" => Word::DisplayName,
        "random" => Word::Random,
        // The part that finds the account again has one length.
        text if is_random(text) => Word::Random,
        "unix_time" | "timestamp" => Word::UnixTime,
        _ => return Err(NameError::Word),
    };
    let change = |text: &str| match text.split_once(' ') {
        Some(("truncate", most)) => most.trim().parse().ok().map(Change::Truncate),
        None if text == "lowercase" => Some(Change::Lower),
        None if text == "uppercase" => Some(Change::Upper),
        _ => None,
    };
    let changes: Option<Vec<Change>> = pipe.map(change).collect();
    changes
        .map(|changes| Part::Word(word, changes))
        .ok_or(NameError::Word)
}

/// `random 8`
fn is_random(text: &str) -> bool {
    let number = text.strip_prefix("random ").map(str::trim);
    number.is_some_and(|text| text.parse::<u8>().is_ok_and(|chars| chars > 0))
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            let (word, changes) = match part {
                Part::Text(text) => {
                    f.write_str(text)?;
                    continue;
                }
                Part::Word(word, changes) => (word, changes),
            };
            f.write_str(match word {
                Word::Role => "{{.RoleName",
                Word::DisplayName => "{{.DisplayName",
                Word::Random => "{{random",
                Word::UnixTime => "{{unix_time",
            })?;
            for change in changes {
                match change {
                    Change::Truncate(most) => write!(f, " | truncate {most}")?,
                    Change::Lower => f.write_str(" | lowercase")?,
                    Change::Upper => f.write_str(" | uppercase")?,
                }
            }
            f.write_str("}}")?;
        }
        Ok(())
    }
}

fn tail(now: Timestamp, entropy: &dyn Entropy, check: TailCheck<'_>) -> String {
    let seconds = u64::try_from(now.as_micros() / 1_000_000).unwrap_or(0);
    let mut tail = String::with_capacity(NAME_TAIL_CHARS);
    push_digits(&mut tail, seconds, TIME_CHARS);
    let mut random = [0u8; 8];
    entropy.fill(&mut random);
    push_digits(&mut tail, u64::from_le_bytes(random), RANDOM_CHARS);
    let code = u64::from(u32::from_le_bytes(check(&tail)));
    push_digits(&mut tail, code, CHECK_CHARS);
    tail
}

/// The lowest digits of a number, the highest of them first.
fn push_digits(text: &mut String, number: u64, digits: usize) {
    for at in (0..digits).rev() {
        let digit = usize::try_from((number >> (5 * at)) & 31).unwrap_or(0);
        text.push(char::from(DIGITS[digit]));
    }
}

/// The tail in a name, if this store made it.
pub fn tail_of<'a>(name: &'a str, check: TailCheck<'_>) -> Option<&'a str> {
    name.split(BOUNDS).find(|part| {
        let is_tail =
            part.len() == NAME_TAIL_CHARS && part.bytes().all(|byte| DIGITS.contains(&byte));
        is_tail && {
            let (made, code) = part.split_at(TIME_CHARS + RANDOM_CHARS);
            let mut expect = String::with_capacity(CHECK_CHARS);
            let number = u64::from(u32::from_le_bytes(check(made)));
            push_digits(&mut expect, number, CHECK_CHARS);
            expect == code
        }
    })
}

/// When the account with this tail was made, to the second.
pub fn made_at(tail: &str) -> Option<Timestamp> {
    let digit = |byte: u8| DIGITS.iter().position(|own| *own == byte);
    let seconds = tail
        .get(..TIME_CHARS)?
        .bytes()
        .try_fold(0i64, |sum, byte| {
            Some(sum << 5 | i64::try_from(digit(byte)?).ok()?)
        })?;
    Some(Timestamp::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers that follow from a seed.
    struct Dice(std::sync::atomic::AtomicU64);

    impl Dice {
        fn new(seed: u64) -> Self {
            Self(seed.into())
        }
    }

    impl Entropy for Dice {
        fn fill(&self, buffer: &mut [u8]) {
            for byte in buffer {
                let step = 0x9e37_79b9_7f4a_7c15;
                let last = self.0.fetch_add(step, std::sync::atomic::Ordering::Relaxed);
                *byte = last.wrapping_mul(step).to_be_bytes()[0];
            }
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_795_324_800);

    fn check(text: &str) -> [u8; 4] {
        let sum = text.bytes().fold(7u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        sum.to_le_bytes()
    }

    fn of(role: &str, chars_max: usize) -> AccountName<'_> {
        AccountName {
            role,
            display_name: "sa:shop",
            chars_max,
        }
    }

    #[test]
    fn a_name_says_role_and_time_and_is_found_again() {
        let entropy = Dice::new(1);
        let name = NameTemplate::default().make(of("App-Read", 63), NOW, &entropy, &check);
        assert!(name.starts_with("v_app_read_"), "{name}");
        assert_eq!(name.len(), "v_app_read_".len() + NAME_TAIL_CHARS);
        let tail = tail_of(&name, &check).unwrap();
        assert_eq!(made_at(tail), Some(NOW));
        let other = NameTemplate::default().make(of("App-Read", 63), NOW, &entropy, &check);
        assert_ne!(name, other);
        assert_eq!(tail_of(&name, &|_| [9; 4]), None, "of another store");
        assert_eq!(
            tail_of("v-token-app-7fGh38aLpq0ZxWv3Kd2M-1795324800", &check),
            None
        );
    }

    #[test]
    fn short_targets_get_the_whole_tail() {
        let entropy = Dice::new(2);
        for most in [20, 22, 24, 32] {
            let name = NameTemplate::default().make(of("reporting", most), NOW, &entropy, &check);
            assert!(name.len() <= most, "{name}");
            assert!(tail_of(&name, &check).is_some(), "{name}");
        }
    }

    #[test]
    fn templates_are_read_and_refused() {
        let entropy = Dice::new(3);
        let text = "app-{{.RoleName | truncate 3 | uppercase}}-{{random}}-{{unix_time}}";
        let template = NameTemplate::parse(text).unwrap();
        assert_eq!(template.to_string(), text);
        let name = template.make(of("reader", 63), NOW, &entropy, &check);
        assert!(name.starts_with("app-REA-") && name.ends_with("-1795324800"));
        assert!(tail_of(&name, &check).is_some());
        for (text, error) in [
            ("{{random", NameError::Open),
            ("a", NameError::Random),
            ("a{{random}}", NameError::Random),
            ("{{.RoleName}}{{random}}", NameError::Random),
            ("{{random | truncate 4}}", NameError::Random),
            ("{{random}}_{{random}}", NameError::Random),
            ("{{secret}}_{{random}}", NameError::Word),
            ("{{role | truncate x}}_{{random}}", NameError::Word),
            ("a'b_{{random}}", NameError::Char),
            (&"a".repeat(600), NameError::Long),
        ] {
            assert_eq!(NameTemplate::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_role_is_called_a_name_needs_no_quoting(role in ".{0,40}", seed: u64, most in 20usize..80) {
            let entropy = Dice::new(seed);
            let name = NameTemplate::default().make(of(&role, most), NOW, &entropy, &check);
            prop_assert!(name.len() <= most);
            prop_assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
            prop_assert!(tail_of(&name, &check).is_some());
        }

        #[test]
        fn any_text_is_a_template_or_refused(text in ".{0,80}") {
            if let Ok(template) = NameTemplate::parse(&text) {
                let again = NameTemplate::parse(&template.to_string()).unwrap();
                prop_assert_eq!(again, template);
            }
        }
    }
}
