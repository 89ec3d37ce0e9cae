//! `scaivault secrets write`

use std::path::PathBuf;

use clap::Args;
use scaivault_api::rotation::WarnBefore;
use scaivault_api::secret::{PutOptions, Secret, SecretMetadata};
use scaivault_client::{ClientError, InputError, WriteSecret};

use crate::commands::Session;
use crate::exit::CliError;
use crate::input;
use crate::table::plain;

/// A description, tag or owner replaces all of them; without any they stay as they are.
#[derive(Args)]
pub(crate) struct Write {
    /// Path of the secret
    path: String,
    /// KEY=VALUE, KEY=@FILE for a file's text, KEY=- to be asked or to read stdin; a value that
    /// begins with @ is written @@
    #[arg(required_unless_present_any = ["json_file", "generate_from"])]
    #[arg(conflicts_with_all = ["json_file", "generate_from"])]
    values: Vec<String>,
    /// kv, json, certificate, ssh_key or api_key [default: json]
    #[arg(long = "type", value_name = "TYPE")]
    secret_type: Option<String>,
    /// The whole value as a JSON object; - for stdin
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// Instead of a value: the server makes one by this secret policy, by name or id
    #[arg(long, value_name = "NAME", conflicts_with = "json_file")]
    generate_from: Option<String>,
    /// The value's end, from now: 30d, 12h
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<String>,
    /// How long before that end it is told of: 30d,7d,1d; empty: not before the end
    #[arg(long, value_name = "DURATIONS")]
    notify_before: Option<String>,
    /// A label; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What the secret is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Who looks after it, such as team:payments
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Versions to keep
    #[arg(long, value_name = "N")]
    max_versions: Option<u32>,
    /// Write only when this is the current version; 0: only when there is no such secret
    #[arg(long, value_name = "N")]
    cas: Option<u64>,
}

impl Write {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secrets().write(&self.path, &self.body()?);
        session.output.answer(call, render).await
    }

    fn body(&self) -> anyhow::Result<WriteSecret> {
        let mut body = match (&self.json_file, &self.generate_from) {
            (Some(file), _) => WriteSecret::from_json(&input::document(file)?).map_err(in_file)?,
            (None, Some(recipe)) => WriteSecret::generated(recipe),
            (None, None) => WriteSecret::new(&input::pairs(&self.values, input::stdin_value)?)?,
        };
        if let Some(secret_type) = &self.secret_type {
            body = body.secret_type(secret_type);
        }
        if let Some(metadata) = self.metadata() {
            body = body.metadata(metadata);
        }
        if let Some(options) = self.options() {
            body = body.options(options);
        }
        Ok(body)
    }

    fn metadata(&self) -> Option<SecretMetadata> {
        let given = !self.tags.is_empty() || self.description.is_some() || self.owner.is_some();
        given.then(|| SecretMetadata {
            description: self.description.clone(),
            tags: self.tags.clone(),
            owner: self.owner.clone(),
            ..SecretMetadata::default()
        })
    }

    fn options(&self) -> Option<PutOptions> {
        let given = self.expires_in.is_some()
            || self.notify_before.is_some()
            || self.max_versions.is_some()
            || self.cas.is_some();
        given.then(|| PutOptions {
            max_versions: self.max_versions,
            expires_in: self.expires_in.clone(),
            notify_before: self.notify_before.clone().map(WarnBefore::Text),
            cas: self.cas,
            ..PutOptions::default()
        })
    }
}

/// Says which of the user's inputs is at fault.
fn in_file(error: ClientError) -> anyhow::Error {
    match error {
        ClientError::Input(InputError::Value { line, column }) => CliError::Input(format!(
            "the JSON file is not valid JSON (line {line}, column {column})"
        ))
        .into(),
        other => other.into(),
    }
}

fn render(secret: &Secret) -> String {
    let mut line = format!("wrote {} version {}", plain(&secret.path), secret.version);
    if let Some(rotation_id) = &secret.rotation_id {
        line.push_str(&format!(", which answers rotation {}", plain(rotation_id)));
    }
    if let Some(expires_at) = &secret.expires_at {
        line.push_str(&format!(", until {}", plain(expires_at)));
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        write: Write,
    }

    fn body(arguments: &[&str]) -> String {
        let line = Line::try_parse_from([&["write", "p"], arguments].concat()).expect("parsed");
        serde_json::to_string(&line.write.body().expect("body")).expect("json")
    }

    #[test]
    fn a_value_made_by_a_recipe() {
        assert_eq!(
            body(&["--generate-from", "strong", "--cas", "0"]),
            r#"{"options":{"cas":0,"generate_from":"strong"}}"#
        );
        let both = ["write", "p", "k=v", "--generate-from", "strong"];
        assert!(Line::try_parse_from(both).is_err());
    }

    #[test]
    fn bodies() {
        assert_eq!(body(&["k=v"]), r#"{"data":{"k":"v"}}"#);
        assert_eq!(
            body(&[
                "k=v",
                "--type",
                "kv",
                "--tag",
                "x",
                "--cas",
                "0",
                "--expires-in",
                "30d",
                "--notify-before",
                "7d,1d"
            ]),
            r#"{"data":{"k":"v"},"secret_type":"kv","metadata":{"tags":["x"]},"#.to_owned()
                + r#""options":{"expires_in":"30d","notify_before":"7d,1d","cas":0}}"#
        );
    }

    #[test]
    fn a_json_file_is_sent_as_it_is() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("value.json");
        let path = file.to_str().expect("text");
        std::fs::write(&file, "{ \"n\": 1.50 }\n").expect("write");
        assert_eq!(body(&["--json-file", path]), "{\"data\":{ \"n\": 1.50 }}");
        std::fs::write(&file, "{\"n\": hunter2}").expect("write");
        let line = Line::try_parse_from(["write", "p", "--json-file", path]).expect("parsed");
        let error = line.write.body().err().expect("refused").to_string();
        assert_eq!(error, "the JSON file is not valid JSON (line 1, column 7)");
    }

    #[test]
    fn the_answer_names_version_and_rotation() {
        let secret: Secret = serde_json::from_value(serde_json::json!({
            "path": "a", "secret_type": "json", "version": 2, "metadata": {},
            "created_at": "", "updated_at": "", "expires_at": "2027-01-01T00:00:00Z",
            "rotation_policy_id": null, "secret_policy_id": null, "max_versions": 10,
            "is_rotation": true, "rotation_id": "rtn_1"
        }))
        .expect("secret");
        assert_eq!(
            render(&secret),
            "wrote a version 2, which answers rotation rtn_1, until 2027-01-01T00:00:00Z\n"
        );
    }
}
