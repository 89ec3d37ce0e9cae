//! Secrets with versions: each number gets here what it has there.
//!
//! A number without a value (destroyed, aged out, or deleted: then the source does not give it) is
//! written with a word of our own and destroyed, some at a time. What is written is always the next
//! number, by check-and-set: nobody's write is lost, and a run that was ended is gone on with by
//! comparing what is here.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::context::{Done, Halt, Pair, at_source, at_target};
use super::history::{MAX_VERSIONS_LIMIT, Metadata, Plan, Settings, State, plan, wanted};
use super::http::Answer;
use super::report::Outcome;
use super::same::same;
use super::trouble::Trouble;
use crate::since;

/// The value of a number that has none, until it is destroyed.
const PLACE: &str = r#"{"scaivault_import":"this version has no value that could be copied"}"#;
/// Stands in the custom metadata of a secret that is not whole yet.
const MARK: &str = "scaivault_import";
/// Destroyed by one request.
const DESTROYED_AT_ONCE: usize = 100;
/// With so many values there is no room for that many places beside them.
const CROWDED: usize = 900;
/// Starts from the beginning after an answer that did not come.
const STARTS_MAX: u32 = 3;

/// A mount of such secrets.
pub(crate) struct Kv2<'a> {
    pub(crate) pair: Pair<'a>,
    /// Paths there and here, with their slashes.
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// Versions kept where a secret does not say.
    pub(crate) usual_there: u64,
    pub(crate) usual_here: u64,
    /// Whether the mount is here already.
    pub(crate) is_here: bool,
}

#[derive(Deserialize)]
struct Enveloped<T> {
    data: T,
}

#[derive(Deserialize)]
struct Valued<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Wrote {
    version: u64,
}

/// What is found out by looking.
enum Look {
    /// All is as it is to be.
    Same,
    /// Something else is there.
    Conflict(String),
    /// These numbers stand for nothing and are to be destroyed; then the rest follows.
    Begun(Vec<u64>),
}

impl Kv2<'_> {
    /// Copies one secret, as far as it is not there yet.
    pub(crate) async fn copy(&self, path: &str) -> Result<Done, Trouble> {
        let mut done = Done::default();
        for start in 1.. {
            match self.attempt(path, &mut done).await {
                Ok(outcome) => {
                    done.outcome = outcome;
                    return Ok(done);
                }
                // It may have been done: looking again tells.
                Err(halt) if halt.is_uncertain_write() && start < STARTS_MAX => {
                    done.reasons.clear();
                    tokio::time::sleep(std::time::Duration::from_secs(start.into())).await;
                }
                Err(halt) => return halt.settle(done),
            }
        }
        Ok(done)
    }

    fn there(&self, word: &str, path: &str) -> String {
        format!("{}{word}/{path}", self.from)
    }

    fn here(&self, word: &str, path: &str) -> String {
        format!("{}{word}/{path}", self.to)
    }

    async fn attempt(&self, path: &str, done: &mut Done) -> Result<Outcome, Halt> {
        let (source, target) = (self.pair.source, self.pair.target);
        let found = source.find(&self.there("metadata", path)).await;
        let Some(found) = found.map_err(at_source)? else {
            // Gone since it was listed.
            return Ok(Outcome::Same);
        };
        let theirs: Enveloped<Metadata> = found.parse().map_err(at_source)?;
        let theirs = theirs.data;
        let now = since::now();
        let plan = match plan(&theirs, now) {
            Ok(plan) => plan,
            Err(why) => return Ok(done.because(Outcome::Refused, why)),
        };
        let (settings, note) = wanted(&theirs.settings(self.usual_there), &plan);
        for note in plan.notes.iter().cloned().chain(note) {
            done.note(note);
        }
        let mut ours = match self.is_here {
            true => self.metadata_here(path).await?,
            false => None,
        };
        let mut places = Vec::new();
        if let Some(found) = &ours {
            match self
                .look(path, (&theirs, &plan), found, &settings, now)
                .await?
            {
                Look::Same => return Ok(Outcome::Same),
                Look::Begun(numbers) => places = numbers,
                Look::Conflict(why) if !self.pair.overwrite => {
                    return Ok(done.because(Outcome::Conflict, why));
                }
                Look::Conflict(why) => {
                    done.note(format!("replaced: {why}"));
                    if !target.is_dry() {
                        let gone = target.delete(&self.here("metadata", path)).await;
                        gone.map_err(at_target)?;
                    }
                    ours = None;
                }
            }
        }
        let begun = ours.as_ref().map_or(0, |found| found.current_version);
        if target.is_dry() {
            for version in begun + 1..=plan.last {
                match plan.live.contains_key(&version) {
                    true => done.written += 1,
                    false => done.destroyed += 1,
                }
            }
            return Ok(Outcome::Copied);
        }
        let mut work = Work {
            mount: self,
            path,
            plan: &plan,
            settings: ours.as_ref().map(|found| found.settings(self.usual_here)),
            places,
        };
        work.run(begun, &settings, done).await?;
        Ok(Outcome::Copied)
    }

    async fn metadata_here(&self, path: &str) -> Result<Option<Metadata>, Halt> {
        let found = self.pair.target.find(&self.here("metadata", path)).await;
        let Some(found) = found.map_err(at_target)? else {
            return Ok(None);
        };
        let found: Enveloped<Metadata> = found.parse().map_err(at_target)?;
        Ok(Some(found.data))
    }

    /// Compares what is here with what is to be.
    async fn look(
        &self,
        path: &str,
        (theirs, plan): (&Metadata, &Plan),
        ours: &Metadata,
        wanted: &Settings,
        now: Timestamp,
    ) -> Result<Look, Halt> {
        let begun = ours.current_version;
        if begun > plan.last {
            return Ok(Look::Conflict(format!(
                "it has {begun} versions here and {} in the source",
                plan.last
            )));
        }
        let settings = ours.settings(self.usual_here);
        let is_ours = settings.custom.contains_key(MARK);
        let is_usual = settings == Settings::usual(self.usual_here);
        if !is_ours && !is_usual && settings != *wanted && begun > 0 {
            let why = different(&settings, wanted);
            return Ok(Look::Conflict(why));
        }
        let mut places = Vec::new();
        for version in 1..=begun {
            let is_live = matches!(ours.state(version, now), State::Live(_));
            match (plan.live.contains_key(&version), is_live) {
                (true, true) => {
                    let Some(there) = self.value_there(path, version + plan.offset).await? else {
                        // It aged out meanwhile: the next run sees it so.
                        continue;
                    };
                    let here = self.value_here(path, version).await?;
                    let equal = match &here {
                        Some(here) => same(value_of(&there)?, value_of(here)?),
                        None => false,
                    };
                    if !equal {
                        return Ok(Look::Conflict(format!("version {version} differs")));
                    }
                }
                (true, false) => {
                    return Ok(Look::Conflict(format!(
                        "version {version} has a value in the source and none here"
                    )));
                }
                (false, true) => {
                    let here = self.value_here(path, version).await?;
                    let is_place = match &here {
                        Some(here) => value_of(here)?.get() == PLACE,
                        None => true,
                    };
                    let is_listed = theirs.versions.contains_key(&(version + plan.offset));
                    if !is_place && !is_listed {
                        // It aged out there, and will here.
                        continue;
                    }
                    if !is_place {
                        return Ok(Look::Conflict(format!(
                            "version {version} has a value here and none in the source"
                        )));
                    }
                    places.push(version);
                }
                (false, false) => {}
            }
        }
        match begun == plan.last && places.is_empty() && settings == *wanted {
            true => Ok(Look::Same),
            false => Ok(Look::Begun(places)),
        }
    }

    async fn value_there(&self, path: &str, version: u64) -> Result<Option<Answer>, Halt> {
        let number = version.to_string();
        let path = self.there("data", path);
        let query = [("version", number.as_str())];
        absent(self.pair.source.read_with(&path, &query).await).map_err(at_source)
    }

    async fn value_here(&self, path: &str, version: u64) -> Result<Option<Answer>, Halt> {
        let path = self.here("data", path);
        absent(self.pair.target.read_version(&path, version).await).map_err(at_target)
    }
}

fn absent(answer: Result<Answer, Trouble>) -> Result<Option<Answer>, Trouble> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(trouble) if trouble.is_absent() => Ok(None),
        Err(trouble) => Err(trouble),
    }
}

fn value_of(answer: &Answer) -> Result<&RawValue, Halt> {
    let read: Enveloped<Valued<'_>> = answer.parse().map_err(at_source)?;
    read.data
        .data
        .ok_or_else(|| at_source(Trouble::Unclear("a value".to_owned())))
}

/// What differs, in words.
fn different(here: &Settings, there: &Settings) -> String {
    let mut words = Vec::new();
    if here.max_versions != there.max_versions {
        words.push(format!(
            "max_versions is {} here and {} in the source",
            here.max_versions, there.max_versions
        ));
    }
    if here.cas_required != there.cas_required {
        words.push(format!("cas_required is {} here", here.cas_required));
    }
    if here.delete_after_s != there.delete_after_s {
        words.push(format!(
            "delete_version_after is {} s here and {} s in the source",
            here.delete_after_s, there.delete_after_s
        ));
    }
    if here.custom != there.custom {
        words.push("custom_metadata differs".to_owned());
    }
    words.join(", ")
}

/// Writing what is missing of one secret.
struct Work<'a> {
    mount: &'a Kv2<'a>,
    path: &'a str,
    plan: &'a Plan,
    /// As they are now; nothing where there is no secret.
    settings: Option<Settings>,
    /// Numbers that stand for nothing, to be destroyed.
    places: Vec<u64>,
}

impl Work<'_> {
    async fn run(&mut self, begun: u64, wanted: &Settings, done: &mut Done) -> Result<(), Halt> {
        self.destroy(done).await?;
        if begun < self.plan.last {
            self.make_room(begun).await?;
        }
        for version in begun + 1..=self.plan.last {
            let value = match self.plan.live.get(&version) {
                Some(end) => {
                    self.end_at(*end).await?;
                    let theirs = version + self.plan.offset;
                    self.mount.value_there(self.path, theirs).await?
                }
                None => None,
            };
            match &value {
                Some(answer) => {
                    self.write(version, value_of(answer)?.get()).await?;
                    done.written += 1;
                }
                None => {
                    self.write(version, PLACE).await?;
                    self.places.push(version);
                }
            }
            let at_once = match self.plan.live.len() >= CROWDED {
                true => 1,
                false => DESTROYED_AT_ONCE,
            };
            if self.places.len() >= at_once {
                self.destroy(done).await?;
            }
        }
        self.destroy(done).await?;
        let usual = Settings::usual(self.mount.usual_here);
        if *self.settings.as_ref().unwrap_or(&usual) != *wanted {
            self.set(wanted).await?;
        }
        Ok(())
    }

    /// Before the first write: room for all versions, so that none ages out, and the mark.
    async fn make_room(&mut self, begun: u64) -> Result<(), Halt> {
        let plan = self.plan;
        let has_places = plan.last != plan.live.len() as u64;
        let beside = if has_places { DESTROYED_AT_ONCE } else { 0 };
        let needed = (plan.live.len() + beside) as u64;
        let kept = self
            .settings
            .as_ref()
            .map_or(self.mount.usual_here, |settings| settings.max_versions);
        let has_ends = plan.live.range(begun + 1..).any(|(_, end)| end.is_some());
        if needed <= kept && !has_ends {
            return Ok(());
        }
        let mut settings = Settings::usual(needed.max(kept).min(MAX_VERSIONS_LIMIT));
        settings
            .custom
            .insert(MARK.to_owned(), "in progress".to_owned());
        self.set(&settings).await
    }

    /// Lets the next version end when it does in the source. Without an end nothing is said: what the
    /// mount says is said last.
    async fn end_at(&mut self, end: Option<Timestamp>) -> Result<(), Halt> {
        let span = end.map_or(0, |end| {
            let left = end.duration_since(since::now()).as_secs();
            u64::try_from(left).unwrap_or(0).max(1)
        });
        let Some(settings) = self.settings.clone() else {
            return Ok(());
        };
        if settings.delete_after_s == span {
            return Ok(());
        }
        self.set(&Settings {
            delete_after_s: span,
            ..settings
        })
        .await
    }

    async fn set(&mut self, settings: &Settings) -> Result<(), Halt> {
        let body = json!({
            "max_versions": settings.max_versions,
            "cas_required": settings.cas_required,
            "delete_version_after": format!("{}s", settings.delete_after_s),
            "custom_metadata": settings.custom,
        });
        let path = self.mount.here("metadata", self.path);
        let target = self.mount.pair.target;
        target.put(&path, &body).await.map_err(at_target)?;
        self.settings = Some(settings.clone());
        Ok(())
    }

    async fn write(&mut self, version: u64, value: &str) -> Result<(), Halt> {
        let cas = version - 1;
        let mut body = Zeroizing::new(Vec::with_capacity(value.len() + 64));
        body.extend_from_slice(format!(r#"{{"options":{{"cas":{cas}}},"data":"#).as_bytes());
        body.extend_from_slice(value.as_bytes());
        body.push(b'}');
        let path = self.mount.here("data", self.path);
        let written = self.mount.pair.target.add(&path, &body).await;
        let written = written.map_err(at_target)?;
        let written: Enveloped<Wrote> = written.parse().map_err(at_target)?;
        match written.data.version == version {
            true => Ok(()),
            false => Err(at_target(Trouble::Unclear(format!(
                "version {} in place of {version}",
                written.data.version
            )))),
        }
    }

    async fn destroy(&mut self, done: &mut Done) -> Result<(), Halt> {
        let path = self.mount.here("destroy", self.path);
        for some in self.places.chunks(DESTROYED_AT_ONCE) {
            let body = json!({ "versions": some });
            let destroyed = self.mount.pair.target.put(&path, &body).await;
            destroyed.map_err(at_target)?;
            done.destroyed += some.len() as u64;
        }
        self.places.clear();
        Ok(())
    }
}
