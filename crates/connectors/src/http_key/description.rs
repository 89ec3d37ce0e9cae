//! Descriptions: what a service that mints keys expects and answers, as data. Shipped ones are
//! TOML files beside this one; a target may bring its own as JSON of the same shape.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::template::Template;
use crate::value;

/// The shipped descriptions.
const SHIPPED: [(&str, &str); 2] = [
    ("sendgrid", include_str!("descriptions/sendgrid.toml")),
    ("stripe", include_str!("descriptions/stripe.toml")),
];

/// Everything about a service.
#[derive(Debug, Clone)]
pub(super) struct Description {
    pub(super) service: Service,
    pub(super) auth: Auth,
    pub(super) fields: Fields,
    pub(super) statuses: Statuses,
    pub(super) create: Create,
    pub(super) validate: Request,
    pub(super) list: List,
    pub(super) revoke: Request,
    pub(super) rights: Option<Rights>,
}

/// What is true of the service as a whole.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// What it is called in reports.
    pub(super) name: String,
    /// Where it is, unless the target says otherwise.
    #[serde(default)]
    pub(super) base_url: Option<String>,
    /// A repeated idempotency key is answered with the same key.
    #[serde(default)]
    pub(super) replays: bool,
    /// How long a new key may still be refused, and a revoked one still be let in.
    #[serde(default)]
    pub(super) consistency_seconds: u64,
    /// How many keys the account may have.
    #[serde(default)]
    pub(super) max_keys: Option<u64>,
    /// What gives the manager its rights.
    #[serde(default)]
    pub(super) grant: Option<String>,
}

/// The header that proves who asks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) header: String,
    pub(super) manager: Template,
    pub(super) credential: Template,
}

/// Fields of the credential's value.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    pub(super) key: String,
    pub(super) id: String,
}

/// What statuses mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Statuses {
    pub(super) refused: Vec<u16>,
    pub(super) forbidden: Vec<u16>,
    pub(super) not_found: Vec<u16>,
    pub(super) quota: Vec<u16>,
    pub(super) throttled: Vec<u16>,
}

impl Default for Statuses {
    fn default() -> Self {
        Self {
            refused: vec![401],
            forbidden: vec![403],
            not_found: vec![404, 410],
            quota: Vec::new(),
            throttled: vec![429],
        }
    }
}

/// One request.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: Template,
    #[serde(default)]
    pub(super) query: BTreeMap<String, Template>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
    #[serde(default)]
    pub(super) json: Option<Value>,
    #[serde(default)]
    pub(super) form: Option<BTreeMap<String, Template>>,
    /// Statuses that mean it was done.
    pub(super) expect: Vec<u16>,
}

/// The request that mints, and where its answer has the key.
#[derive(Debug, Clone)]
pub(super) struct Create {
    pub(super) request: Request,
    pub(super) key: String,
    pub(super) id: String,
}

/// The request that lists, and where its answer has what.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) request: Request,
    pub(super) items: String,
    pub(super) item_id: String,
    pub(super) item_tag: String,
    pub(super) last_used: Option<String>,
    pub(super) live: Option<Live>,
    pub(super) pages: Option<Pages>,
}

/// Which items are keys that still work, where the list has others too.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Live {
    pub(super) pointer: String,
    pub(super) is: String,
}

/// How the next page is asked for: a cursor for a query parameter, or the address itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pages {
    #[serde(default)]
    pub(super) cursor: Option<String>,
    #[serde(default)]
    pub(super) query: Option<String>,
    #[serde(default)]
    pub(super) next_url: Option<String>,
    pub(super) max: u32,
}

/// A request that tells what the manager may do.
#[derive(Debug, Clone)]
pub(super) struct Rights {
    pub(super) request: Request,
    pub(super) pointer: String,
    pub(super) needed: Vec<String>,
}

/// A field and what is wrong with it.
pub(super) type Problem = (String, String);

impl Description {
    /// The description that a target's settings name or hold.
    pub(super) fn of(settings: &Map<String, Value>) -> Result<Self, Vec<Problem>> {
        match (settings.get("service"), settings.get("description")) {
            (Some(_), None) => {
                let name = value::setting(settings, "service").unwrap_or_default();
                Self::shipped(name).ok_or_else(|| {
                    let names: Vec<_> = SHIPPED.iter().map(|(name, _)| *name).collect();
                    vec![problem(
                        "service",
                        format!("is one of: {}", names.join(", ")),
                    )]
                })
            }
            (None, Some(Value::Object(description))) => Self::read(description),
            (None, Some(_)) => Err(vec![problem("description", "is an object")]),
            _ => Err(vec![problem(
                "service",
                "give either `service` or `description`",
            )]),
        }
    }

    fn shipped(name: &str) -> Option<Self> {
        let (_, text) = SHIPPED.iter().find(|(shipped, _)| *shipped == name)?;
        let value: Map<String, Value> = toml::from_str(text).ok()?;
        Self::read(&value).ok()
    }

    /// Reads the sections one by one, so that each problem names its section.
    fn read(object: &Map<String, Value>) -> Result<Self, Vec<Problem>> {
        let mut sections = Sections {
            object: object.clone(),
            problems: Vec::new(),
        };
        let service = sections.section("service");
        let auth = sections.section("auth");
        let fields = sections.section("fields");
        let statuses = if object.contains_key("statuses") {
            sections.section("statuses")
        } else {
            Some(Statuses::default())
        };
        let create = sections.create();
        let validate = sections.section("validate");
        let list = sections.list();
        let revoke = sections.section("revoke");
        let rights = if object.contains_key("rights") {
            sections.rights().map(Some)
        } else {
            Some(None)
        };
        for unknown in sections.object.keys() {
            let field = format!("description.{unknown}");
            sections
                .problems
                .push((field, "no such section".to_owned()));
        }
        let all = || {
            Some(Self {
                service: service?,
                auth: auth?,
                fields: fields?,
                statuses: statuses?,
                create: create?,
                validate: validate?,
                list: list?,
                revoke: revoke?,
                rights: rights?,
            })
        };
        match all() {
            Some(description) if sections.problems.is_empty() => Ok(description),
            _ => Err(sections.problems),
        }
    }
}

/// A problem of a field.
pub(super) fn problem(field: impl Into<String>, what: impl Into<String>) -> Problem {
    (field.into(), what.into())
}

/// A reader's error without what was read: a value, or the name of a field in whose place one stands.
fn told(error: &str) -> String {
    let repeats = ["invalid ", "unknown "]
        .iter()
        .any(|kind| error.starts_with(kind));
    match error.rsplit_once(", expected ") {
        _ if !repeats => error.to_owned(),
        Some((_, expected)) => format!("has something else where there may be {expected}"),
        None => "has something that may not be there".to_owned(),
    }
}

struct Sections {
    object: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Sections {
    fn read<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        match serde_json::from_value(value) {
            Ok(section) => Some(section),
            Err(error) => {
                let field = format!("description.{name}");
                self.problems.push((field, told(&error.to_string())));
                None
            }
        }
    }

    fn section<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.object.remove(name);
        if value.is_none() {
            let field = format!("description.{name}");
            self.problems.push(problem(field, "is missing"));
        }
        self.read(name, value?)
    }

    /// Takes a field out of a section. What is left of the section is the request.
    fn take<T: DeserializeOwned>(&mut self, section: &str, field: &str) -> Option<T> {
        let value = self
            .object
            .get_mut(section)
            .and_then(Value::as_object_mut)
            .and_then(|fields| fields.remove(field))?;
        self.read(&format!("{section}.{field}"), value)
    }

    fn needed<T: DeserializeOwned>(&mut self, section: &str, field: &str) -> Option<T> {
        let before = self.problems.len();
        let taken = self.take(section, field);
        if taken.is_none() && self.problems.len() == before && self.object.contains_key(section) {
            let field = format!("description.{section}.{field}");
            self.problems.push(problem(field, "is missing"));
        }
        taken
    }

    fn create(&mut self) -> Option<Create> {
        let key = self.needed("create", "key");
        let id = self.needed("create", "id");
        let request = self.section("create");
        Some(Create {
            request: request?,
            key: key?,
            id: id?,
        })
    }

    fn list(&mut self) -> Option<List> {
        let items = self.needed("list", "items");
        let item_id = self.needed("list", "item_id");
        let item_tag = self.needed("list", "item_tag");
        let last_used = self.take("list", "last_used");
        let live = self.take("list", "live");
        let pages = self.take("list", "pages");
        let request = self.section("list");
        Some(List {
            request: request?,
            items: items?,
            item_id: item_id?,
            item_tag: item_tag?,
            last_used,
            live,
            pages,
        })
    }

    fn rights(&mut self) -> Option<Rights> {
        let pointer = self.needed("rights", "pointer");
        let needed = self.needed("rights", "needed");
        let request = self.section("rights");
        Some(Rights {
            request: request?,
            pointer: pointer?,
            needed: needed?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_repeat_nothing_of_the_description() {
        for create in [
            json!({ "method": "hunter2" }),
            json!({ "hunter2": 1 }),
            json!("hunter2"),
            json!({ "method": "POST", "path": "/x", "headers": "hunter2, expected hunter2" }),
            json!({ "method": "POST", "path": ["hunter2"] }),
        ] {
            let description = json!({ "create": create, "statuses": "hunter2" });
            let Value::Object(settings) = json!({ "description": description }) else {
                unreachable!("it is one")
            };
            let found = Description::of(&settings).unwrap_err();
            assert!(found.iter().any(|(field, _)| field == "description.create"));
            assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn every_shipped_description_is_sound() {
        for (name, text) in SHIPPED {
            let value: Map<String, Value> = toml::from_str(text).expect("TOML");
            let description = Description::read(&value).expect("a description");
            assert_eq!(description.service.name, name);
            assert_eq!(
                super::super::sound::problems(&description),
                Vec::new(),
                "{name}"
            );
        }
    }
}
