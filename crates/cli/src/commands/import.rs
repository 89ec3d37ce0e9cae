//! `scaivault import …`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use crate::args::Flags;
use crate::exit::CliError;
use crate::import::{
    Entry, Finished, Http, Job, Part, PasswordFiles, Report, Settings, Source, Summary, Target,
};
use crate::output::Output;
use crate::table::{Table, plain};
use crate::token::Token;

const USER_AGENT: &str = concat!("scaivault-import/", env!("CARGO_PKG_VERSION"));
/// The source's token, when no file is named.
const TOKEN: &str = "VAULT_TOKEN";

#[derive(Subcommand)]
pub(crate) enum Imports {
    Vault(Box<Vault>),
}

/// Copy from a running HashiCorp Vault or OpenBao: secrets with all versions, policies, databases
///
/// What it is copied to is the server of --url, --token and --tenant-id. The source is only read.
/// Run it again at any time: what is there is skipped, what differs there is reported and left alone.
/// Exits with 9 when anything is missing; the report names it.
#[derive(Args)]
pub(crate) struct Vault {
    /// The source, such as https://vault.example:8200
    #[arg(long, value_name = "URL")]
    addr: String,
    /// File with the source's token [default: the variable VAULT_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The source's namespace
    #[arg(long, value_name = "PATH")]
    namespace: Option<String>,
    /// PEM certificates to trust for the source, besides the system's
    #[arg(long, value_name = "FILE")]
    source_ca_file: Option<PathBuf>,
    /// PEM certificate to show to the source
    #[arg(long, value_name = "FILE")]
    source_client_cert: Option<PathBuf>,
    /// Its key, PEM [default: the file of the certificate]
    #[arg(long, value_name = "FILE", requires = "source_client_cert")]
    source_client_key: Option<PathBuf>,
    /// Only this mount of the source; may be repeated
    #[arg(long, value_name = "PATH")]
    mount: Vec<String>,
    /// A mount that gets another path here; may be repeated
    #[arg(long, value_name = "SOURCE=HERE")]
    rename: Vec<String>,
    /// Only this; may be repeated
    #[arg(long, value_name = "PART", value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Read everything and tell what would be done, without writing
    #[arg(long)]
    dry_run: bool,
    /// Replace what is here and differs; a secret with all its versions
    #[arg(long)]
    overwrite: bool,
    /// Write every line of the report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Secrets copied at the same time
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    concurrency: u16,
    /// The password of a database connection, or mount/connection; may be repeated
    #[arg(long, value_name = "NAME=FILE")]
    database_password_file: Vec<String>,
    /// Keep database connections without logging in there first
    #[arg(long)]
    no_verify: bool,
}

impl Imports {
    pub(crate) async fn run(self, flags: &Flags) -> anyhow::Result<()> {
        match self {
            Self::Vault(command) => command.run(flags).await,
        }
    }
}

impl Vault {
    async fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let settings = super::settings(flags)?;
        let token = self.source_token()?;
        let mut headers = Vec::new();
        if let Some(namespace) = &self.namespace {
            headers.push(("x-vault-namespace", namespace.clone()));
        }
        let certificate = self.source_client_cert.as_ref().map(|certificate| {
            let key = self.source_client_key.as_ref().unwrap_or(certificate);
            (certificate.clone(), key.clone())
        });
        let source = Http::new(Settings {
            name: "source",
            url: &self.addr,
            token: Some(token.expose()),
            headers,
            ca_file: self.source_ca_file.as_deref(),
            certificate,
            user_agent: USER_AGENT,
            debug: settings.debug,
        })?;
        let source = Source::new(source);
        let certificate = settings.client_cert.as_ref().map(|certificate| {
            let key = settings.client_key.as_ref().unwrap_or(certificate);
            (certificate.value.clone(), key.value.clone())
        });
        let named = [
            ("x-tenant-id", &settings.tenant_id),
            ("x-partner-id", &settings.partner_id),
        ];
        let headers = named
            .into_iter()
            .filter_map(|(header, setting)| Some((header, setting.as_ref()?.value.clone())));
        let target = Http::new(Settings {
            name: "target",
            url: &settings.url.value,
            token: settings.token.as_ref().map(|token| token.value.expose()),
            headers: headers.collect(),
            ca_file: settings.ca_file.as_ref().map(|file| file.value.as_path()),
            certificate,
            user_agent: USER_AGENT,
            debug: settings.debug,
        })?;
        let target = Target::new(target, self.dry_run);
        if source.url() == target.url() {
            return Err(CliError::Input(
                "the source and the target are the same server: --addr names the source, --url the \
                 target"
                    .to_owned(),
            )
            .into());
        }
        let parts: BTreeSet<Part> = match self.only.is_empty() {
            true => BTreeSet::from([Part::Kv, Part::Policies, Part::Database]),
            false => self.only.iter().copied().collect(),
        };
        let report = Report::new(
            Summary {
                source: source.url().to_owned(),
                target: target.url().to_owned(),
                dry_run: self.dry_run,
                ..Summary::default()
            },
            self.report.as_deref(),
        )?;
        let job = Job {
            parts,
            mounts: self.mount.iter().map(|path| slashed(path)).collect(),
            renamed: renamed(&self.rename)?,
            overwrite: self.overwrite,
            concurrency: self.concurrency.into(),
            passwords: passwords(&named_files(&self.database_password_file)?)?,
            verify: !self.no_verify,
            source,
            target,
        };
        let ended = job.run(&report).await;
        let done = report.finish()?;
        let mut output = Output::stdout(flags.json);
        match output.is_json() {
            true => output.line(&serde_json::to_string(&done.summary)?)?,
            false => output.text(&render(&done, self.report.as_deref()))?,
        }
        ended?;
        match done.summary.whole {
            true => Ok(()),
            false => Err(CliError::NotWhole.into()),
        }
    }

    fn source_token(&self) -> Result<Token, CliError> {
        let text = match &self.token_file {
            Some(path) => read(path)?,
            None => std::env::var(TOKEN).unwrap_or_default(),
        };
        match text.trim() {
            "" => Err(CliError::Input(format!(
                "no token for the source: name a file with --token-file, or set {TOKEN}"
            ))),
            token => Ok(Token::new(token)),
        }
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path)
        .map_err(|error| CliError::Input(format!("cannot read '{}': {error}", path.display())))
}

fn slashed(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

fn renamed(pairs: &[String]) -> Result<BTreeMap<String, String>, CliError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((slashed(from), slashed(to))),
        _ => Err(CliError::Input(format!(
            "--rename '{text}' is not of the form SOURCE=HERE"
        ))),
    };
    pairs.iter().map(pair).collect()
}

fn named_files(pairs: &[String]) -> Result<PasswordFiles, CliError> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => {
            Ok((name.to_owned(), PathBuf::from(file)))
        }
        // It may be the password itself.
        _ => Err(CliError::Input(
            "--database-password-file is not of the form NAME=FILE".to_owned(),
        )),
    };
    pairs.iter().map(pair).collect()
}

/// Without the line end at the end of a file.
fn passwords(files: &PasswordFiles) -> Result<BTreeMap<String, Token>, CliError> {
    let one = |(name, path): (&String, &PathBuf)| {
        let text = read(path)?;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        Ok((name.clone(), Token::new(text)))
    };
    files.iter().map(one).collect()
}

fn render(done: &Finished, file: Option<&Path>) -> String {
    let summary = &done.summary;
    let mut text = String::new();
    if !summary.mounts.is_empty() {
        let mut table = Table::new(&[
            "MOUNT",
            "SECRETS",
            "COPIED",
            "AS THEY WERE",
            "CONFLICTS",
            "REFUSED",
            "FAILED",
            "VERSIONS",
        ]);
        for (mount, counts) in &summary.mounts {
            let numbers = [
                counts.secrets,
                counts.copied,
                counts.same,
                counts.conflicts,
                counts.refused,
                counts.failed,
                counts.versions_written,
            ];
            let [secrets, copied, same, conflicts, refused, failed, versions] =
                numbers.map(|number| number.to_string());
            table.row([
                mount, &secrets, &copied, &same, &conflicts, &refused, &failed, &versions,
            ]);
        }
        text.push_str(&table.render());
    }
    for (kind, counts) in &summary.counts {
        let words: Vec<String> = counts
            .iter()
            .map(|(outcome, number)| format!("{number} {}", outcome.word()))
            .collect();
        text.push_str(&format!("{}: {}\n", kind.word(), words.join(", ")));
    }
    for entry in &done.shown {
        text.push_str(&line(entry));
    }
    if done.more > 0 {
        let told = match file {
            Some(file) => format!("see {}", file.display()),
            None => "--report FILE has them all".to_owned(),
        };
        text.push_str(&format!("and {} more: {told}\n", done.more));
    }
    if summary.dry_run {
        text.push_str("dry run: nothing was written\n");
    }
    text
}

fn line(entry: &Entry) -> String {
    let Entry {
        kind,
        outcome,
        path,
        reason,
        command,
    } = entry;
    let reasons: Vec<String> = reason.lines().map(plain).collect();
    let mut text = format!(
        "{}: {} {}: {}\n",
        outcome.word(),
        kind.word(),
        plain(path),
        reasons.join("\n    ")
    );
    if let Some(command) = command {
        text.push_str(&format!("    {}\n", plain(command)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs() {
        let done = renamed(&["secrets=kv-secrets".into(), "/a/b/=c/".into()]).expect("well");
        assert_eq!(
            done.get("secrets/").map(String::as_str),
            Some("kv-secrets/")
        );
        assert_eq!(done.get("a/b/").map(String::as_str), Some("c/"));
        assert!(renamed(&["a=".into()]).is_err());
        let error = named_files(&["hunter2".into()]).expect_err("refused");
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn a_password_has_no_line_end() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("password");
        std::fs::write(&path, " a b \r\n").expect("write");
        let files = PasswordFiles::from([("mydb".to_owned(), path)]);
        let read = passwords(&files).expect("read");
        assert_eq!(read.get("mydb").map(Token::expose), Some(" a b "));
    }
}
