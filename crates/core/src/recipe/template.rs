//! Templates: a text in which `{{…}}` stands for something made anew. There is no way to write two
//! opening braces as such.

use super::parse::LENGTH_MAX;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// `{{random:N}}`: letters and digits.
    Random(u32),
    /// `{{hex:N}}`: lower-case hex digits.
    Hex(u32),
    /// `{{uuid}}`: a random UUID.
    Uuid,
    /// `{{timestamp}}`: seconds since 1970.
    Timestamp,
}

/// A template that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("has {{{{ without }}}} behind it")]
    Open,
    /// None of the known ones.
    #[error(
        "has a placeholder that is not known: there are {{{{random:N}}}}, {{{{hex:N}}}}, \
         {{{{uuid}}}} and {{{{timestamp}}}}"
    )]
    Unknown,
    /// A number that is none, or out of bounds.
    #[error("has a placeholder whose length is not 1 to {LENGTH_MAX}")]
    Length,
}

/// Splits a template into its parts.
///
/// # Errors
/// [`TemplateError`].
pub fn parse_template(template: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((text, behind)) = rest.split_once("{{") {
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let (word, behind) = behind.split_once("}}").ok_or(TemplateError::Open)?;
        parts.push(placeholder(word.trim())?);
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn placeholder(word: &str) -> Result<Part, TemplateError> {
    match word.split_once(':') {
        None if word == "uuid" => Ok(Part::Uuid),
        None if word == "timestamp" => Ok(Part::Timestamp),
        Some(("random", number)) => length(number).map(Part::Random),
        Some(("hex", number)) => length(number).map(Part::Hex),
        None if word == "random" || word == "hex" => Err(TemplateError::Length),
        _ => Err(TemplateError::Unknown),
    }
}

/// Digits only: parsing alone would take a sign.
fn length(text: &str) -> Result<u32, TemplateError> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| plain);
    number
        .filter(|number| (1..=LENGTH_MAX).contains(number))
        .ok_or(TemplateError::Length)
}

impl Part {
    /// The most characters it comes to.
    pub fn chars_max(&self) -> usize {
        match self {
            Self::Text(text) => text.chars().count(),
            Self::Random(length) | Self::Hex(length) => {
                usize::try_from(*length).unwrap_or(usize::MAX)
            }
            Self::Uuid => 36,
            Self::Timestamp => 20,
        }
    }
}
