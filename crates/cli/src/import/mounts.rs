//! Mounts: which there are, what becomes of each, and how `kv` ones keep versions.

use std::collections::BTreeMap;

use scaivault_core::acl::{MountKind, MountView, Mounts};
use scaivault_core::vault_path::escaped;
use serde::Deserialize;
use serde_json::{Value, json};

use super::context::{Halt, Pair, at_source, at_target};
use super::history::{MAX_VERSIONS_DEFAULT, MAX_VERSIONS_LIMIT, seconds_of_duration};
use super::http::Answer;
use super::trouble::Trouble;

/// What is mounted, as it is told.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Mounted {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) description: String,
    #[serde(default)]
    options: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    config: Times,
    #[serde(default)]
    pub(crate) local: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Times {
    #[serde(default)]
    default_lease_ttl: u64,
    #[serde(default)]
    max_lease_ttl: u64,
}

/// What is done with a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Kv1,
    Kv2,
    Database,
    /// Every server has its own.
    Own,
    /// It cannot be copied.
    Other,
}

impl Mounted {
    pub(crate) fn form(&self) -> Form {
        let version = self.option("version");
        match (self.kind.as_str(), version.as_deref()) {
            ("kv" | "generic" | "kv-v2", Some("2")) | ("kv-v2", None) => Form::Kv2,
            ("kv" | "generic" | "kv-v1", _) => Form::Kv1,
            ("database", _) => Form::Database,
            (
                "system" | "cubbyhole" | "identity" | "token" | "ns_system" | "ns_cubbyhole"
                | "ns_identity" | "ns_token",
                _,
            ) => Form::Own,
            _ => Form::Other,
        }
    }

    fn option(&self, name: &str) -> Option<String> {
        match self.options.as_ref()?.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// As it is asked for at the target.
    pub(crate) fn draft(&self) -> Value {
        let (kind, options) = match self.form() {
            Form::Kv1 => ("kv", json!({ "version": "1" })),
            Form::Kv2 => ("kv", json!({ "version": "2" })),
            _ => (self.kind.as_str(), Value::Null),
        };
        json!({
            "type": kind,
            "description": self.description,
            "options": options,
            "config": {
                "default_lease_ttl": format!("{}s", self.config.default_lease_ttl),
                "max_lease_ttl": format!("{}s", self.config.max_lease_ttl),
            },
        })
    }

    /// In words.
    pub(crate) fn named(&self) -> String {
        match self.form() {
            Form::Kv1 => "kv version 1".to_owned(),
            Form::Kv2 => "kv version 2".to_owned(),
            _ => self.kind.clone(),
        }
    }
}

/// Mounts by their paths, each with its slash.
pub(crate) type Table = BTreeMap<String, Mounted>;

#[derive(Deserialize)]
struct Listed {
    data: Table,
}

#[derive(Deserialize)]
struct Shown {
    data: Secret,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(default)]
    secret: Table,
}

/// All mounts of the source; those the token may use where it may not ask for all.
pub(crate) async fn of_source(pair: &Pair<'_>) -> Result<Table, Trouble> {
    match pair.source.read("sys/mounts").await {
        Ok(answer) => Ok(answer.parse::<Listed>()?.data),
        Err(Trouble::Refused { status: 403, .. }) => {
            let answer = pair.source.read("sys/internal/ui/mounts").await?;
            Ok(answer.parse::<Shown>()?.data.secret)
        }
        Err(trouble) => Err(trouble),
    }
}

/// All mounts of the target.
pub(crate) async fn of_target(pair: &Pair<'_>) -> Result<Table, Trouble> {
    let answer: Answer = pair.target.read("sys/mounts").await?;
    Ok(answer.parse::<Listed>()?.data)
}

/// As policies are compiled against them.
pub(crate) fn views(table: &Table) -> Mounts {
    let view = |(path, mounted): (&String, &Mounted)| MountView {
        path: path.trim_end_matches('/').to_owned(),
        kind: match mounted.form() {
            Form::Kv1 => MountKind::Kv1,
            Form::Kv2 => MountKind::Kv2,
            Form::Database => MountKind::Database,
            Form::Own | Form::Other => MountKind::Other,
        },
        root: match mounted.option("prefix") {
            Some(prefix) => prefix.trim_end_matches('/').to_owned(),
            None => escaped(path).trim_end_matches('/').to_owned(),
        },
    };
    Mounts::new(table.iter().map(view).collect())
}

/// How a mount keeps the versions of secrets that do not say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct KvConfig {
    #[serde(default)]
    max_versions: u64,
    #[serde(default)]
    cas_required: bool,
    #[serde(default)]
    delete_version_after: Option<String>,
}

#[derive(Deserialize)]
struct Configured {
    data: KvConfig,
}

impl KvConfig {
    /// At the source, by the path of the mount.
    pub(crate) async fn there(pair: &Pair<'_>, mount: &str) -> Result<Self, Halt> {
        let read = async {
            let answer = pair.source.read(&format!("{mount}config")).await?;
            Ok(answer.parse::<Configured>()?.data)
        };
        read.await.map_err(at_source)
    }

    /// At the target.
    pub(crate) async fn here(pair: &Pair<'_>, mount: &str) -> Result<Self, Halt> {
        let read = async {
            let answer = pair.target.read(&format!("{mount}config")).await?;
            Ok(answer.parse::<Configured>()?.data)
        };
        read.await.map_err(at_target)
    }

    /// Versions kept of a secret that does not say.
    pub(crate) fn usual(&self) -> u64 {
        match self.max_versions {
            0 => MAX_VERSIONS_DEFAULT,
            chosen => chosen,
        }
    }

    /// Whether both mean the same.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        self.usual() == other.usual() && self.rules() == other.rules()
    }

    /// Whether nobody chose anything.
    pub(crate) fn is_usual(&self) -> bool {
        self.is_as(&Self::default())
    }

    fn rules(&self) -> (bool, u64) {
        let after = self.delete_version_after.as_deref();
        (self.cas_required, after.map_or(0, seconds_of_duration))
    }

    /// What our server can keep of it.
    pub(crate) fn kept(&self) -> Self {
        Self {
            max_versions: self.max_versions.min(MAX_VERSIONS_LIMIT),
            ..self.clone()
        }
    }

    /// As it is while secrets are written.
    pub(crate) fn begun(&self) -> Self {
        Self {
            max_versions: self.max_versions,
            ..Self::default()
        }
    }

    /// What has to be there before secrets are written.
    pub(crate) fn first(&self) -> Value {
        json!({ "max_versions": self.max_versions })
    }

    /// All of it: what holds for every write must not hold for those of the copy.
    pub(crate) fn whole(&self) -> Value {
        let (cas_required, after) = self.rules();
        json!({
            "max_versions": self.max_versions,
            "cas_required": cas_required,
            "delete_version_after": format!("{after}s"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounted(text: &str) -> Mounted {
        serde_json::from_str(text).expect("a mount")
    }

    #[test]
    fn forms() {
        let check = |text: &str, expect: Form| assert_eq!(mounted(text).form(), expect, "{text}");
        check(r#"{"type":"kv","options":{"version":"2"}}"#, Form::Kv2);
        check(r#"{"type":"kv","options":{"version":"1"}}"#, Form::Kv1);
        check(r#"{"type":"kv","options":null}"#, Form::Kv1);
        check(r#"{"type":"kv"}"#, Form::Kv1);
        check(r#"{"type":"generic"}"#, Form::Kv1);
        check(r#"{"type":"database"}"#, Form::Database);
        check(r#"{"type":"cubbyhole"}"#, Form::Own);
        check(r#"{"type":"transit"}"#, Form::Other);
    }

    #[test]
    fn paths_of_ours_behind_a_mount() {
        let mut table = Table::new();
        table.insert("Team.kv/".into(), mounted(r#"{"type":"kv"}"#));
        table.insert(
            "view/".into(),
            mounted(r#"{"type":"kv","options":{"version":"2","prefix":"app/"}}"#),
        );
        let views = views(&table);
        let root = |path: &str| {
            views
                .all()
                .iter()
                .find(|one| one.path == path)
                .map(|one| one.root.as_str())
        };
        assert_eq!(root("Team.kv"), Some("__54eam__2ekv"));
        assert_eq!(root("view"), Some("app"));
    }

    #[test]
    fn configurations() {
        let usual: KvConfig = serde_json::from_str(
            r#"{"cas_required":false,"delete_version_after":"0s","max_versions":0}"#,
        )
        .expect("read");
        assert!(usual.is_usual());
        let other: KvConfig =
            serde_json::from_str(r#"{"max_versions":5000,"delete_version_after":"1h0m0s"}"#)
                .expect("read");
        assert!(!other.is_usual());
        assert_eq!(other.kept().usual(), MAX_VERSIONS_LIMIT);
        assert_eq!(other.whole()["delete_version_after"], "3600s");
    }
}
