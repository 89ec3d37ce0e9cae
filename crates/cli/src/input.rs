//! Values from the command line, files and stdin.
//!
//! No message here repeats an argument's value: it may be a secret, and messages end up in logs.

use std::io::{IsTerminal, Read};
use std::path::Path;

use serde_json::{Map, Value};

use crate::exit::CliError;

/// Turns `key=value`, `key=@file` and `key=-` into an object. `stdin` is asked with the key.
pub(crate) fn pairs(
    arguments: &[String],
    mut stdin: impl FnMut(&str) -> Result<String, CliError>,
) -> Result<Map<String, Value>, CliError> {
    let mut object = Map::new();
    let mut stdin_key: Option<&str> = None;
    for (index, argument) in arguments.iter().enumerate() {
        let Some((key, value)) = argument.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let nth = index + 1;
            return Err(CliError::Input(format!(
                "value {nth} is not of the form KEY=VALUE, KEY=@FILE or KEY=-"
            )));
        };
        let value = match value {
            "-" => {
                if let Some(first) = stdin_key.replace(key) {
                    return Err(CliError::Input(format!(
                        "only one value can come from stdin, not both '{first}' and '{key}'"
                    )));
                }
                stdin(key)?
            }
            _ => match value.strip_prefix('@') {
                // A value that begins with an at sign.
                Some(rest) if rest.starts_with('@') => rest.to_owned(),
                Some(file) => read_file(key, Path::new(file))?,
                None => value.to_owned(),
            },
        };
        if object.insert(key.to_owned(), Value::from(value)).is_some() {
            return Err(CliError::Input(format!("'{key}' is given twice")));
        }
    }
    Ok(object)
}

/// One value: asked for without echo on a terminal, otherwise all of stdin without its last
/// line end.
pub(crate) fn stdin_value(name: &str) -> Result<String, CliError> {
    if std::io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{name}: "))
            .map_err(|error| CliError::Input(format!("cannot ask for '{name}': {error}")));
    }
    let mut text = stdin_text()?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// A file's text, or stdin's for `-`.
pub(crate) fn document(file: &Path) -> Result<String, CliError> {
    if file == Path::new("-") {
        return stdin_text();
    }
    std::fs::read_to_string(file)
        .map_err(|error| CliError::Input(format!("cannot read {}: {error}", file.display())))
}

/// The type and the typed name of `sa:…`, `user:…` or `group:…`.
pub(crate) fn identity(typed_name: &str) -> Result<(&'static str, &str), CliError> {
    let identity_type = match typed_name.split_once(':') {
        Some(("sa", name)) if !name.is_empty() => "service_account",
        Some(("user", name)) if !name.is_empty() => "user",
        Some(("group", name)) if !name.is_empty() => "group",
        _ => {
            return Err(CliError::Input(format!(
                "'{typed_name}' is not an identity: they look like sa:NAME, user:NAME or group:NAME"
            )));
        }
    };
    Ok((identity_type, typed_name))
}

/// Asks whether something is meant, by its name. Where nobody can be asked, `yes` has to say so.
pub(crate) fn confirm(what: &str, name: &str, yes: bool) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Input(format!(
            "{what} Nothing was done: say --yes where nobody can be asked"
        )));
    }
    crate::output::note(&format!("{what}\nGive the name '{name}' to go on:"));
    let mut answer = String::new();
    std::io::stdin()
        .read_line(&mut answer)
        .map_err(|error| CliError::Input(format!("cannot read the answer: {error}")))?;
    match answer.trim() == name {
        true => Ok(()),
        false => Err(CliError::Input("nothing was done".to_owned())),
    }
}

fn read_file(key: &str, file: &Path) -> Result<String, CliError> {
    let bytes = std::fs::read(file)
        .map_err(|error| CliError::Input(format!("cannot read the file for '{key}': {error}")))?;
    String::from_utf8(bytes).map_err(|_| {
        CliError::Input(format!(
            "the file for '{key}' is not text (UTF-8); encode it first, for example as base64"
        ))
    })
}

fn stdin_text() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| CliError::Input(format!("cannot read stdin: {error}")))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<String, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        pairs(&arguments, |key| Ok(format!("stdin of {key}")))
            .map(|object| Value::Object(object).to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values() {
        let check = |arguments: &[&str], expect: &str| {
            assert_eq!(parse(arguments).as_deref(), Ok(expect), "{arguments:?}");
        };
        check(&["a=1", "b=x=y=="], r#"{"a":"1","b":"x=y=="}"#);
        check(&["a="], r#"{"a":""}"#);
        check(&["a=-"], r#"{"a":"stdin of a"}"#);
        check(&["a=-x", "b=@@home"], r#"{"a":"-x","b":"@home"}"#);
    }

    #[test]
    fn a_file_is_taken_as_it_is() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("value");
        std::fs::write(&file, "line\n").expect("write");
        let argument = format!("a=@{}", file.display());
        assert_eq!(parse(&[&argument]).as_deref(), Ok(r#"{"a":"line\n"}"#));
        std::fs::write(&file, [0xff]).expect("write");
        assert!(parse(&[&argument]).expect_err("binary").contains("base64"));
    }

    #[test]
    fn mistakes_are_told_without_the_value() {
        for arguments in [
            &["hunter2"][..],
            &["=hunter2"],
            &["a=hunter2", "a=hunter2"],
            &["a=@hunter2"],
            &["a=-", "b=-", "c=hunter2"],
        ] {
            let message = parse(arguments).expect_err("refused");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn identities() {
        assert_eq!(identity("sa:x").ok(), Some(("service_account", "sa:x")));
        assert_eq!(identity("user:a@b").ok(), Some(("user", "user:a@b")));
        assert_eq!(identity("group:sre").ok(), Some(("group", "group:sre")));
        for bad in ["x", "sa:", "system:x", ""] {
            assert!(identity(bad).is_err(), "{bad}");
        }
    }
}
