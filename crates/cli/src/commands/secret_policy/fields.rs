//! Fields of a recipe on the command line, or a recipe in a file.

use std::path::{Path, PathBuf};

use clap::Args;
use scaivault_api::secret_policy::{RecipeField, SecretPolicyBody, SecretPolicyTry};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::exit::CliError;
use crate::input;

#[derive(Args)]
pub(super) struct Given {
    /// NAME=GENERATOR[,KEY=VALUE…], such as password=random,length=24,charset=safe; may be repeated
    #[arg(long = "field", value_name = "FIELD")]
    fields: Vec<String>,
    /// The recipe as JSON: {"name": …, "fields": [{"name", "generator", "config"}]}; - for stdin
    #[arg(long, value_name = "FILE", conflicts_with = "fields")]
    file: Option<PathBuf>,
}

impl Given {
    /// The fields on the command line.
    pub(super) fn fields(&self) -> Result<Vec<RecipeField>, CliError> {
        self.fields.iter().map(|text| field(text)).collect()
    }

    /// The recipe in the file, if one is given.
    pub(super) fn recipe(&self) -> Result<Option<SecretPolicyBody>, CliError> {
        self.file.as_deref().map(read).transpose()
    }

    /// What to have a sample of, if it is given here.
    pub(super) fn sample(&self) -> Result<Option<SecretPolicyTry>, CliError> {
        match &self.file {
            Some(file) => read(file).map(Some),
            None if self.fields.is_empty() => Ok(None),
            None => Ok(Some(SecretPolicyTry {
                fields: self.fields()?,
                name: None,
                description: None,
                policy_type: None,
                is_active: None,
            })),
        }
    }
}

/// No recipe holds a secret: the parser's own message, which quotes it, is the most helpful.
fn read<T: DeserializeOwned>(file: &Path) -> Result<T, CliError> {
    serde_json::from_str(&input::document(file)?)
        .map_err(|error| CliError::Input(format!("{} is no recipe: {error}", file.display())))
}

fn field(text: &str) -> Result<RecipeField, CliError> {
    let form = || {
        CliError::Input(
            "a field is of the form NAME=GENERATOR[,KEY=VALUE…]; what holds a comma goes into a file"
                .to_owned(),
        )
    };
    let (name, rest) = text.split_once('=').ok_or_else(form)?;
    let mut parts = rest.split(',');
    let generator = parts.next().unwrap_or_default();
    let mut config = Map::new();
    for part in parts {
        let (key, value) = part.split_once('=').ok_or_else(form)?;
        config.insert(key.to_owned(), typed(key, value));
    }
    Ok(RecipeField {
        name: name.to_owned(),
        generator: generator.to_owned(),
        config,
    })
}

/// Numbers and truths as such, but for what is text by its name.
fn typed(key: &str, value: &str) -> Value {
    const TEXTS: [&str; 4] = ["value", "template", "comment", "characters"];
    if TEXTS.contains(&key) {
        return Value::from(value);
    }
    match (value, value.parse::<u64>()) {
        ("true", _) => Value::from(true),
        ("false", _) => Value::from(false),
        (_, Ok(number)) => Value::from(number),
        (text, Err(_)) => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_on_the_command_line() {
        let made = field("password=random,length=24,charset=safe,require_digit=true").expect("ok");
        assert_eq!(
            serde_json::to_string(&made).expect("json"),
            r#"{"name":"password","generator":"random","config":{"charset":"safe","length":24,"require_digit":true}}"#
        );
        let made = field("user=static,value=007=x").expect("ok");
        assert_eq!(made.config["value"], "007=x");
        assert!(field("uuid").is_err());
        assert!(field("a=hex,16").is_err());
        assert!(field("a=uuid").expect("ok").config.is_empty());
    }
}
