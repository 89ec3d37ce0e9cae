//! Settings of a target on the command line.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use crate::exit::CliError;
use crate::input;

#[derive(Args)]
pub(crate) struct Given {
    /// A setting: host=db, port=5432, ca_pem=@FILE; what reads as JSON is JSON. May be repeated
    #[arg(long = "setting", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Settings as a JSON object, - for stdin; `--setting` wins over it
    #[arg(long, value_name = "FILE")]
    settings_file: Option<PathBuf>,
}

impl Given {
    pub(crate) fn read(&self) -> Result<Map<String, Value>, CliError> {
        let mut all = match &self.settings_file {
            Some(file) => object(&input::document(file)?, file)?,
            None => Map::new(),
        };
        all.extend(pairs(&self.settings)?);
        Ok(all)
    }
}

/// `NAME=VALUE` pairs, as they are given for settings and accounts.
pub(crate) fn pairs(arguments: &[String]) -> Result<Map<String, Value>, CliError> {
    let texts = input::pairs(arguments, input::stdin_value)?;
    Ok(texts
        .into_iter()
        .map(|(name, value)| (name, typed(value)))
        .collect())
}

/// A text that reads as JSON is what it reads as.
fn typed(value: Value) -> Value {
    let read = value
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok());
    read.unwrap_or(value)
}

/// A JSON object in a file. The parser's own text could repeat what is there.
fn object(text: &str, file: &Path) -> Result<Map<String, Value>, CliError> {
    serde_json::from_str(text).map_err(|error| {
        CliError::Input(format!(
            "{} is no JSON object: line {}, column {}",
            file.display(),
            error.line(),
            error.column()
        ))
    })
}

/// A value on one line.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) if text.contains('\n') => {
            format!("{} characters in several lines", text.chars().count())
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_reads_as_json_is_json() {
        let arguments = [
            "host=db",
            "port=5432",
            "database=\"5432\"",
            "nodes=[\"a\",\"b\"]",
            "flag=true",
            "gone=null",
            "broken={x",
        ];
        let read = pairs(&arguments.map(str::to_owned)).expect("settings");
        assert_eq!(
            Value::Object(read),
            json!({
                "host": "db", "port": 5432, "database": "5432", "nodes": ["a", "b"],
                "flag": true, "gone": null, "broken": "{x",
            })
        );
        assert!(pairs(&["host".to_owned()]).is_err());
    }

    #[test]
    fn a_file_comes_first() {
        let file = std::env::temp_dir().join(format!("settings-{}.json", std::process::id()));
        std::fs::write(&file, r#"{"host":"a","port":1}"#).expect("a file");
        let given = Given {
            settings: vec!["host=b".to_owned()],
            settings_file: Some(file.clone()),
        };
        let read = given.read();
        std::fs::write(&file, r#"["hunter2"]"#).expect("a file");
        let refused = given.read().expect_err("no object").to_string();
        std::fs::remove_file(&file).expect("our file");
        assert_eq!(
            Value::Object(read.expect("settings")),
            json!({"host": "b", "port": 1})
        );
        assert!(refused.contains("is no JSON object") && !refused.contains("hunter2"));
    }
}
