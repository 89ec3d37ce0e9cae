//! `scaivault config show`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value};

use crate::args::Flags;
use crate::commands::settings;
use crate::config;
use crate::output::Output;
use crate::settings::{Setting, Settings};
use crate::table::Table;

#[derive(Args)]
pub(crate) struct Show {}

impl Show {
    pub(crate) fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let rows = rows(&settings(flags)?);
        let mut output = Output::stdout(flags.json);
        let path = config::path().map_or("-".to_owned(), |path| path.display().to_string());
        if flags.json {
            output.line(&json(&rows, &path))
        } else {
            output.text(&text(&rows, &path))
        }
    }
}

struct Row {
    key: &'static str,
    value: String,
    source: &'static str,
}

/// What is set. The token is masked here, before anything can print it.
fn rows(settings: &Settings) -> Vec<Row> {
    let masked = settings.token.as_ref().map(|token| Setting {
        value: token.value.masked(),
        source: token.source,
    });
    let shown = |path: &Option<Setting<PathBuf>>| {
        path.as_ref().map(|path| Setting {
            value: path.value.display().to_string(),
            source: path.source,
        })
    };
    let ca_file = shown(&settings.ca_file);
    let client_cert = shown(&settings.client_cert);
    let client_key = shown(&settings.client_key);
    let all = [
        ("base_url", Some(&settings.url)),
        ("token", masked.as_ref()),
        ("tenant_id", settings.tenant_id.as_ref()),
        ("partner_id", settings.partner_id.as_ref()),
        ("ca_file", ca_file.as_ref()),
        ("client_cert", client_cert.as_ref()),
        ("client_key", client_key.as_ref()),
    ];
    all.into_iter()
        .filter_map(|(key, setting)| {
            let Setting { value, source } = setting?;
            Some(Row {
                key,
                value: value.clone(),
                source: source.as_str(),
            })
        })
        .collect()
}

fn text(rows: &[Row], path: &str) -> String {
    let mut table = Table::new(&["SETTING", "VALUE", "FROM"]);
    for Row { key, value, source } in rows {
        table.row([key, value, source]);
    }
    table.row(["(config file)", path, ""]);
    table.render()
}

fn json(rows: &[Row], path: &str) -> String {
    let mut object: Map<String, Value> = rows
        .iter()
        .map(|Row { key, value, source }| {
            (
                (*key).to_owned(),
                serde_json::json!({"value": value, "from": source}),
            )
        })
        .collect();
    object.insert("config_file".to_owned(), Value::from(path));
    Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigFile;
    use crate::token::Token;

    #[test]
    fn the_token_is_masked() {
        let file = ConfigFile {
            token: Some(Token::new("skt_0123456789abcdefWXYZ")),
            ..ConfigFile::default()
        };
        let rows = rows(&Settings::resolve(&Flags::default(), |_| None, &file));
        assert_eq!(
            text(&rows, "/c"),
            "SETTING        VALUE                  FROM\n\
             base_url       http://127.0.0.1:8200  default\n\
             token          skt_…WXYZ              config file\n\
             (config file)  /c\n"
        );
        assert_eq!(
            json(&rows, "/c"),
            r#"{"base_url":{"from":"default","value":"http://127.0.0.1:8200"},"#.to_owned()
                + r#""config_file":"/c","token":{"from":"config file","value":"skt_…WXYZ"}}"#
        );
    }
}
