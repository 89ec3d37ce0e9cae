//! `[[audit.forward]]`: collectors of logs that this server hands the trail to.

use std::path::PathBuf;

use http::HeaderName;
use toml::{Table, Value};

use super::layers::{ConfigError, Section};
use crate::commands::{Destination, MessageFormat, STRUCTURED, is_element_id};

/// The fields of one.
const FIELDS: &[&str] = &[
    "name",
    "to",
    "format",
    "hostname",
    "structured_data",
    "ca_file",
    "header",
    "header_file",
    "from",
];

/// One collector.
#[derive(Debug, Clone)]
pub(crate) struct ForwardSection {
    /// Its place in the trail is kept under this name.
    pub name: String,
    /// Where it is.
    pub to: Destination,
    /// How rows are written.
    pub format: MessageFormat,
    /// What messages call this machine.
    pub hostname: String,
    /// The id of the element of structured data; `None`: no such element.
    pub structured_data: Option<String>,
    /// Certificates that are believed; otherwise those this machine believes.
    pub ca_file: Option<PathBuf>,
    /// A header of posts, and the file with its value.
    pub header: Option<(HeaderName, PathBuf)>,
    /// Without a place: begin with what comes from now on.
    pub from_now: bool,
}

/// All of them. One is a table, or its address alone.
pub(super) fn read(section: &Section<'_>) -> Result<Vec<ForwardSection>, ConfigError> {
    let items = section.field("forward", |value| {
        let items = value
            .as_array()
            .ok_or("expected tables [[audit.forward]]")?;
        Ok(items.clone())
    })?;
    let mut found: Vec<ForwardSection> = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let one = one(item);
        let one =
            one.map_err(|why| section.refuse("forward", format!("number {}: {why}", at + 1)))?;
        if found.iter().any(|other| other.name == one.name) {
            let why = format!("number {}: another one has this name", at + 1);
            return Err(section.refuse("forward", why));
        }
        found.push(one);
    }
    Ok(found)
}

fn one(item: &Value) -> Result<ForwardSection, String> {
    let alone;
    let table = match item {
        Value::Table(table) => table,
        Value::String(to) => {
            alone = Table::from_iter([("to".to_owned(), Value::String(to.clone()))]);
            &alone
        }
        _ => return Err("expected a table, or an address".to_owned()),
    };
    if let Some(unknown) = table.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!("there is no field {unknown}"));
    }
    let text = |field: &str| match table.get(field) {
        None => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(format!("{field}: expected text")),
    };
    let address = text("to")?.ok_or("to is needed: tcp://, tls://, udp://, unix:// or https://")?;
    let to = Destination::read(address).ok_or(
        "to: expected tcp://host:port, tls://host:port, udp://host:port, unix:///path or https://…",
    )?;
    let is_post = matches!(to, Destination::Http(_));
    let format = match (text("format")?, is_post) {
        (None, false) | (Some("syslog"), false) => MessageFormat::Syslog,
        (None | Some("json"), true) | (Some("json"), false) => MessageFormat::Json,
        (Some("splunk_hec"), true) => MessageFormat::SplunkHec,
        (Some(_), true) => return Err("format: expected json or splunk_hec".to_owned()),
        (Some(_), false) => return Err("format: expected syslog or json".to_owned()),
    };
    let hostname = text("hostname")?.unwrap_or("-");
    if hostname.len() > 255 || !hostname.bytes().all(|c| c.is_ascii_graphic()) {
        return Err("hostname: expected at most 255 printable characters, no space".to_owned());
    }
    let structured_data = match table.get("structured_data") {
        None => Some(STRUCTURED.to_owned()),
        Some(_) => text("structured_data")?.map(str::to_owned),
    };
    if structured_data
        .as_deref()
        .is_some_and(|id| !is_element_id(id))
    {
        return Err(
            "structured_data: expected name@number, such as audit@32473, or \"\"".to_owned(),
        );
    }
    let ca_file = text("ca_file")?.map(PathBuf::from);
    if ca_file.is_some() && !is_post && !matches!(to, Destination::Tls(_)) {
        return Err("ca_file: is for tls:// and https://".to_owned());
    }
    let header = match (text("header")?, text("header_file")?) {
        (None, None) => None,
        (name, Some(file)) if is_post => {
            let name = HeaderName::from_bytes(name.unwrap_or("authorization").as_bytes());
            let name = name.map_err(|_| "header: expected a header's name".to_owned())?;
            Some((name, PathBuf::from(file)))
        }
        (Some(_), None) => return Err("header_file is needed with header: its value".to_owned()),
        _ => return Err("header and header_file are for https://".to_owned()),
    };
    let from_now = match text("from")? {
        None | Some("beginning") => false,
        Some("now") => true,
        Some(_) => return Err("from: expected beginning or now".to_owned()),
    };
    let name = text("name")?.map_or_else(|| nameless(address), str::to_owned);
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\');
    if name.len() > 128 || !name.bytes().all(plain) {
        return Err("name: expected at most 128 printable characters, no space".to_owned());
    }
    Ok(ForwardSection {
        name,
        to,
        format,
        hostname: hostname.to_owned(),
        structured_data,
        ca_file,
        header,
        from_now,
    })
}

/// Without a name it is called by its host.
fn nameless(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.trim_start_matches('/').split(['/', '?']).next();
    host.unwrap_or("collector").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ForwardSection, String> {
        one(&Value::Table(text.parse().unwrap()))
    }

    #[test]
    fn what_is_wrong_is_said_and_not_repeated() {
        for (text, why) in [
            ("", "to is needed"),
            ("to = \"ftp://s3cret\"", "to: expected tcp://"),
            (
                "to = \"tcp://h:1\"\nformat = \"s3cret\"",
                "format: expected syslog or json",
            ),
            (
                "to = \"https://h\"\nformat = \"syslog\"",
                "json or splunk_hec",
            ),
            (
                "to = \"tcp://h:1\"\nheader_file = \"s3cret\"",
                "are for https://",
            ),
            (
                "to = \"https://h\"\nheader = \"s3cret\"",
                "header_file is needed",
            ),
            (
                "to = \"tcp://h:1\"\nca_file = \"s3cret\"",
                "ca_file: is for tls://",
            ),
            (
                "to = \"tcp://h:1\"\nfrom = \"s3cret\"",
                "from: expected beginning or now",
            ),
            (
                "to = \"tcp://h:1\"\nstructured_data = \"s3cret\"",
                "expected name@number",
            ),
            ("to = \"tcp://h:1\"\nport = 1", "there is no field port"),
            ("to = \"tcp://h:1\"\nname = 5", "name: expected text"),
        ] {
            let said = read(text).unwrap_err();
            assert!(
                said.contains(why) && !said.contains("s3cret"),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn an_address_alone_is_enough() {
        let one = one(&Value::String("tls://siem.example:6514".to_owned())).unwrap();
        assert_eq!(one.name, "siem.example:6514");
        assert_eq!(one.format, MessageFormat::Syslog);
        assert_eq!(one.structured_data.as_deref(), Some(STRUCTURED));
        let hec = read(
            "to = \"https://h/services/collector\"\nformat = \"splunk_hec\"\nheader_file = \"/x\"",
        );
        let hec = hec.unwrap();
        assert_eq!(
            (hec.name.as_str(), hec.format),
            ("h", MessageFormat::SplunkHec)
        );
        assert_eq!(hec.header.unwrap().0, "authorization");
        assert!(
            read("to = \"tcp://h:1\"\nstructured_data = \"\"")
                .unwrap()
                .structured_data
                .is_none()
        );
    }
}
