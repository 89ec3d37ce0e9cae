//! The order of a copy: mounts with what is in them, then policies, which are compiled against mounts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::context::{Pair, at_target};
use super::database::Databases;
use super::kv1::Kv1;
use super::kv2::Kv2;
use super::mounts::{Form, KvConfig, Mounted, Table, of_source, of_target, views};
use super::policies;
use super::report::{Kind, Outcome, Report};
use super::source::Source;
use super::target::Target;
use super::trouble::Trouble;
use super::walk::Walk;
use crate::exit::CliError;
use crate::token::Token;

/// What is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Part {
    /// Secrets of both versions
    Kv,
    /// ACL policies
    Policies,
    /// Connections and roles of database mounts
    Database,
}

/// A copy.
pub(crate) struct Job {
    pub(crate) source: Source,
    pub(crate) target: Target,
    pub(crate) parts: BTreeSet<Part>,
    /// Paths of mounts, each with its slash; all when empty.
    pub(crate) mounts: BTreeSet<String>,
    /// Mounts that have another path here.
    pub(crate) renamed: BTreeMap<String, String>,
    pub(crate) overwrite: bool,
    pub(crate) concurrency: usize,
    pub(crate) passwords: BTreeMap<String, Token>,
    pub(crate) verify: bool,
}

/// What a token is, as far as it matters.
#[derive(Deserialize)]
struct Me {
    data: Bearer,
}

#[derive(Deserialize)]
struct Bearer {
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    policies: Vec<String>,
}

impl Job {
    fn pair(&self) -> Pair<'_> {
        Pair {
            source: &self.source,
            target: &self.target,
            overwrite: self.overwrite,
        }
    }

    /// Copies. What came of it is in the report.
    ///
    /// # Errors
    /// When a server is away, or a token is not accepted; what was done until then is in the report.
    pub(crate) async fn run(&self, report: &Report) -> Result<(), CliError> {
        self.look_at_source(report).await?;
        let pair = self.pair();
        let there = of_source(&pair).await;
        let there = there.map_err(|trouble| trouble.end("the mounts of the source"))?;
        let here = of_target(&pair).await;
        let mut here = here.map_err(|trouble| trouble.end("the mounts of the target"))?;
        self.check_names(&there)?;
        let done = self.copy(report, &there, &mut here).await;
        done.map_err(|trouble| trouble.end("the copy ended before its time: run it again"))
    }

    async fn look_at_source(&self, report: &Report) -> Result<(), CliError> {
        let found = self.source.read("auth/token/lookup-self").await;
        let found = found.map_err(|trouble| match trouble {
            Trouble::Refused { status: 403, .. } => Trouble::Refused {
                status: 401,
                errors: vec!["its token is not accepted".to_owned()],
            }
            .end("the source"),
            other => other.end("the source"),
        })?;
        let token = found.parse::<Me>();
        let token = token.map_err(|trouble| trouble.end("the source"))?.data;
        if !token.policies.iter().any(|policy| policy == "root") {
            let why = "the token is not the root's: what it may not list is not seen";
            report.say(Kind::Source, Outcome::Note, "auth/token", why);
        }
        if (1..3_600).contains(&token.ttl) {
            let why = format!("the token ends in {} s", token.ttl);
            report.say(Kind::Source, Outcome::Note, "auth/token", why);
        }
        Ok(())
    }

    /// A name that is none would mean that nothing is copied.
    fn check_names(&self, there: &Table) -> Result<(), CliError> {
        for name in self.mounts.iter().chain(self.renamed.keys()) {
            if !there.contains_key(name) {
                let known: Vec<&str> = there.keys().map(String::as_str).collect();
                return Err(CliError::Input(format!(
                    "the source has no mount '{name}'; it has: {}",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    async fn copy(&self, report: &Report, there: &Table, here: &mut Table) -> Result<(), Trouble> {
        let chosen = |path: &&String| self.mounts.is_empty() || self.mounts.contains(*path);
        for path in there.keys().filter(chosen) {
            if let Some(mounted) = there.get(path) {
                self.mount(report, path, mounted, here).await?;
            }
        }
        if self.parts.contains(&Part::Policies) {
            policies::copy(&self.pair(), &views(here), report).await?;
        }
        if self.mounts.is_empty() {
            self.what_is_not_copied(report).await?;
        }
        Ok(())
    }

    async fn mount(
        &self,
        report: &Report,
        path: &str,
        mounted: &Mounted,
        here: &mut Table,
    ) -> Result<(), Trouble> {
        let form = mounted.form();
        let part = match form {
            Form::Kv1 | Form::Kv2 => Part::Kv,
            Form::Database => Part::Database,
            Form::Own => return Ok(()),
            Form::Other => {
                if self.parts.contains(&Part::Kv) {
                    let why = format!(
                        "a mount of the type {} is not copied: its keys do not leave the source, or are \
                         not kept here",
                        mounted.kind
                    );
                    report.say(Kind::Mount, Outcome::Refused, path, why);
                }
                return Ok(());
            }
        };
        if !self.parts.contains(&part) {
            return Ok(());
        }
        let to = self.renamed.get(path).map_or(path, String::as_str);
        let is_here = match here.get(to) {
            Some(found) if found.form() == form => {
                report.say(Kind::Mount, Outcome::Same, path, "");
                true
            }
            Some(found) => {
                let why = format!(
                    "{to} is {} here and {} in the source: give it another path by --rename {path}=…, or \
                     take the one here away",
                    found.named(),
                    mounted.named(),
                );
                report.say(Kind::Mount, Outcome::Conflict, path, why);
                return Ok(());
            }
            None => {
                if !self.target.is_dry() {
                    let draft = mounted.draft();
                    let at = format!("sys/mounts/{}", to.trim_end_matches('/'));
                    if let Err(trouble) = self.target.add(&at, draft.to_string().as_bytes()).await {
                        return report.halted(Kind::Mount, path, at_target(trouble));
                    }
                }
                here.insert(to.to_owned(), mounted.clone());
                report.say(Kind::Mount, Outcome::Copied, path, "");
                !self.target.is_dry()
            }
        };
        if mounted.local {
            let why = "it is not replicated in the source (local): here it is as any other";
            report.say(Kind::Mount, Outcome::Note, path, why);
        }
        match form {
            Form::Kv1 => self.kv1(report, (path, to), is_here).await,
            Form::Kv2 => self.kv2(report, (path, to), is_here).await,
            _ => {
                let databases = Databases {
                    pair: self.pair(),
                    report,
                    from: path,
                    to,
                    is_here,
                    passwords: &self.passwords,
                    verify: self.verify,
                };
                databases.copy().await
            }
        }
    }

    fn walk<'a>(&'a self, report: &'a Report, mount: &'a str, word: &'a str) -> Walk<'a> {
        Walk {
            source: &self.source,
            report,
            mount,
            word,
            concurrency: self.concurrency,
        }
    }

    async fn kv1(
        &self,
        report: &Report,
        (from, to): (&str, &str),
        is_here: bool,
    ) -> Result<(), Trouble> {
        let mount = Kv1 {
            pair: self.pair(),
            from,
            to,
            is_here,
        };
        let mount = &mount;
        let walk = self.walk(report, from, "");
        walk.run(|path| async move { mount.copy(&path).await })
            .await
    }

    async fn kv2(
        &self,
        report: &Report,
        (from, to): (&str, &str),
        is_here: bool,
    ) -> Result<(), Trouble> {
        let pair = self.pair();
        let there = match KvConfig::there(&pair, from).await {
            Ok(config) => config,
            Err(halt) => {
                let why = format!(
                    "its configuration is not known, the usual one is taken: {}",
                    halt.text()
                );
                halt.pass()?;
                report.say(Kind::Mount, Outcome::Note, from, why);
                KvConfig::default()
            }
        };
        let wanted = there.kept();
        let before = match is_here {
            true => match KvConfig::here(&pair, to).await {
                Ok(config) => config,
                Err(halt) => return report.halted(Kind::Mount, from, halt),
            },
            false => KvConfig::default(),
        };
        // What is halfway is what an ended run of ours left.
        let is_begun = before.is_usual() || before.is_as(&wanted.begun());
        let is_kept = before.is_as(&wanted) || is_begun || self.overwrite;
        if !is_kept {
            let why = "max_versions, cas_required or delete_version_after of the mount differ: left as \
                       they are here";
            report.say(Kind::Mount, Outcome::Conflict, from, why);
        }
        let changes = is_kept && !before.is_as(&wanted) && !self.target.is_dry();
        let config = format!("{to}config");
        if changes && let Err(trouble) = self.target.put(&config, &wanted.first()).await {
            return report.halted(Kind::Mount, from, at_target(trouble));
        }
        let mount = Kv2 {
            pair,
            from,
            to,
            usual_there: there.usual(),
            usual_here: if is_kept { &wanted } else { &before }.usual(),
            is_here,
        };
        let mount = &mount;
        let walk = self.walk(report, from, "metadata/");
        walk.run(|path| async move { mount.copy(&path).await })
            .await?;
        if changes && let Err(trouble) = self.target.put(&config, &wanted.whole()).await {
            return report.halted(Kind::Mount, from, at_target(trouble));
        }
        Ok(())
    }

    /// What else the source has: told, so that nobody takes it for copied.
    async fn what_is_not_copied(&self, report: &Report) -> Result<(), Trouble> {
        #[derive(Deserialize)]
        struct Auths {
            data: Table,
        }
        if let Ok(answer) = self.source.read("sys/auth").await {
            let auths = answer.parse::<Auths>()?.data;
            for (path, auth) in auths.iter().filter(|(_, auth)| auth.form() != Form::Own) {
                let why = format!(
                    "logins ({}) are not copied: see docs/vault-api.md, Logins",
                    auth.kind
                );
                report.say(Kind::Source, Outcome::Note, &format!("auth/{path}"), why);
            }
        }
        for (path, why) in [
            (
                "sys/policies/password",
                "password policies are not copied: see docs/generation-policies.md",
            ),
            (
                "sys/namespaces",
                "a namespace of its own: run this once more with --namespace, into a tenant of its own",
            ),
        ] {
            for name in self.source.list(path).await.unwrap_or_default() {
                let path = format!("{path}/{name}");
                report.say(Kind::Source, Outcome::Note, &path, why);
            }
        }
        Ok(())
    }
}
