//! The layers laid over each other, each value remembering where it came from, and the typed
//! reading of a section.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scaivault_core::access::Cidr;
use scaivault_core::time::Span;
use toml::{Table, Value};

use super::environment::Environment;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The default file.
    Default,
    /// The operator's file.
    File(PathBuf),
    /// A variable.
    Variable(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("built-in defaults"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// A configuration that cannot be used. Never repeats a value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file is missing, not readable, or not UTF-8.
    #[error("cannot read the configuration file {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// Not TOML.
    #[error("{from}: line {line}: not valid TOML")]
    Syntax {
        /// Which file.
        from: Source,
        /// Counted from 1.
        line: usize,
    },
    /// A section that does not exist, or a field outside any section.
    #[error("{from}: there is no section [{section}]")]
    UnknownSection {
        /// Where it is.
        from: Source,
        /// Its name.
        section: String,
    },
    /// A field that does not exist.
    #[error("{from}: section [{section}] has no field {field}")]
    UnknownField {
        /// Where it is.
        from: Source,
        /// The section.
        section: String,
        /// Its name.
        field: String,
    },
    /// A value that will not do.
    #[error("{from}: [{section}] {field}: {problem}")]
    Value {
        /// Where it is.
        from: Source,
        /// The section.
        section: String,
        /// The field.
        field: String,
        /// What is expected.
        problem: String,
    },
}

impl ConfigError {
    pub(super) fn unreadable(path: &Path, error: std::io::Error) -> Self {
        Self::Unreadable(path.to_owned(), error)
    }
}

type Fields = BTreeMap<String, (Value, Source)>;

/// All layers merged.
#[derive(Clone)]
pub(super) struct Layers {
    sections: BTreeMap<String, Fields>,
}

impl Layers {
    /// The first layer, which says what sections and fields there are.
    pub(super) fn defaults(text: &str) -> Result<Self, ConfigError> {
        let mut sections = BTreeMap::new();
        for (name, value) in table(&Source::Default, text)? {
            let Value::Table(fields) = value else {
                return Err(ConfigError::UnknownSection {
                    from: Source::Default,
                    section: name,
                });
            };
            let known = |(field, value)| (field, (value, Source::Default));
            sections.insert(name, fields.into_iter().map(known).collect());
        }
        Ok(Self { sections })
    }

    pub(super) fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let from = Source::File(path.to_owned());
        for (section, value) in table(&from, text)? {
            match (self.sections.get_mut(&section), value) {
                (Some(known), Value::Table(fields)) => {
                    for (field, value) in fields {
                        let Some(slot) = known.get_mut(&field) else {
                            return Err(ConfigError::UnknownField {
                                from,
                                section,
                                field,
                            });
                        };
                        *slot = (value, from.clone());
                    }
                }
                _ => return Err(ConfigError::UnknownSection { from, section }),
            }
        }
        Ok(())
    }

    pub(super) fn add_environment(&mut self, variables: &Environment) -> Result<(), ConfigError> {
        for (section, fields) in &mut self.sections {
            for (name, field) in variables.names_of_section(section) {
                if !fields.contains_key(&field) {
                    let from = Source::Variable(name.to_owned());
                    return Err(ConfigError::UnknownField {
                        from,
                        section: section.clone(),
                        field,
                    });
                }
            }
            for (field, slot) in fields {
                if let Some((name, text)) = variables.of_field(section, field) {
                    *slot = (typed_like(&slot.0, text), Source::Variable(name));
                }
            }
        }
        Ok(())
    }

    /// One section. One that does not exist has no fields, so reading it fails.
    pub(super) fn section(&self, name: &'static str) -> Section<'_> {
        Section {
            name,
            fields: self.sections.get(name),
        }
    }

    #[cfg(test)]
    pub(super) fn sections(&self) -> &BTreeMap<String, Fields> {
        &self.sections
    }

    #[cfg(test)]
    pub(super) fn remove(&mut self, section: &str, field: &str) {
        self.sections.get_mut(section).unwrap().remove(field);
    }
}

fn table(from: &Source, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|error: toml::de::Error| {
        // Its own text quotes the line, and with it the value.
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or("");
        ConfigError::Syntax {
            from: from.clone(),
            line: before.matches('\n').count() + 1,
        }
    })
}

/// A variable is text; the default says as what it is meant. Text that is not such a thing stays
/// text, and is refused where the field is read.
fn typed_like(default: &Value, text: &str) -> Value {
    let kept = || Value::String(text.to_owned());
    match default {
        Value::Integer(_) => text.parse().map_or_else(|_| kept(), Value::Integer),
        Value::Boolean(_) => text.parse().map_or_else(|_| kept(), Value::Boolean),
        Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => kept(),
    }
}

/// What a value has to be, when it is not.
pub(super) type Expected = &'static str;

/// One section, read field by field.
pub(super) struct Section<'a> {
    name: &'static str,
    fields: Option<&'a Fields>,
}

impl Section<'_> {
    /// A field through `read`, which says what it expected when it does not get it.
    pub(super) fn field<T>(
        &self,
        field: &str,
        read: impl FnOnce(&Value) -> Result<T, Expected>,
    ) -> Result<T, ConfigError> {
        let Some((value, _)) = self.fields.and_then(|fields| fields.get(field)) else {
            return Err(self.refuse(field, "has no default"));
        };
        read(value).map_err(|expected| self.refuse(field, expected))
    }

    /// Refuses what a field holds, for what it means beside the others.
    pub(super) fn refuse(&self, field: &str, problem: impl Into<String>) -> ConfigError {
        let found = self.fields.and_then(|fields| fields.get(field));
        ConfigError::Value {
            from: found.map_or(Source::Default, |(_, from)| from.clone()),
            section: self.name.to_owned(),
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    /// Text through `read`.
    pub(super) fn text<T>(
        &self,
        field: &str,
        read: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Result<T, ConfigError> {
        self.field(field, |value| {
            read(value.as_str().ok_or("expected a text")?)
        })
    }

    /// Text through `read`, where empty means not set.
    pub(super) fn optional<T>(
        &self,
        field: &str,
        read: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(field, |text| {
            if text.is_empty() {
                Ok(None)
            } else {
                read(text).map(Some)
            }
        })
    }

    /// A file, where empty means not set.
    pub(super) fn optional_path(&self, field: &str) -> Result<Option<PathBuf>, ConfigError> {
        self.optional(field, |text| Ok(PathBuf::from(text)))
    }

    /// A whole number within a range.
    pub(super) fn whole(
        &self,
        field: &str,
        range: RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let number = self.field(field, |value| {
            let number = value
                .as_integer()
                .and_then(|number| u64::try_from(number).ok());
            number.ok_or("expected a whole number, not negative")
        })?;
        if range.contains(&number) {
            Ok(number)
        } else {
            let problem = format!(
                "expected a number from {} to {}",
                range.start(),
                range.end()
            );
            Err(self.refuse(field, problem))
        }
    }

    /// A whole number up to `max`, or `None` for the word `auto`.
    pub(super) fn whole_or_auto(&self, field: &str, max: u64) -> Result<Option<u64>, ConfigError> {
        self.field(field, |value| {
            let number = match value {
                Value::Integer(number) => u64::try_from(*number).ok(),
                Value::String(text) if text == "auto" => return Ok(None),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            let number = number.filter(|number| *number <= max);
            number
                .map(Some)
                .ok_or("expected \"auto\", or a whole number of bytes")
        })
    }

    /// Yes or no.
    pub(super) fn flag(&self, field: &str) -> Result<bool, ConfigError> {
        self.field(field, |value| {
            value.as_bool().ok_or("expected true or false")
        })
    }

    /// A duration, at least a second.
    pub(super) fn duration(&self, field: &str) -> Result<Duration, ConfigError> {
        self.text(field, |text| {
            let span = Span::parse(text);
            span.map(|span| span.duration())
                .map_err(|_| "expected a duration such as 10s, 5m or 1h30m")
        })
    }

    /// Address ranges.
    pub(super) fn ranges(&self, field: &str) -> Result<Vec<Cidr>, ConfigError> {
        const EXPECTED: Expected =
            "expected a list of address ranges with zero host bits, such as [\"10.0.0.0/8\"]";
        self.field(field, |value| {
            let items = value.as_array().ok_or(EXPECTED)?;
            let range = |item: &Value| item.as_str().and_then(Cidr::parse).ok_or(EXPECTED);
            items.iter().map(range).collect()
        })
    }
}
