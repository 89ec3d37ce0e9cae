//! The loops that hand the audit trail to collectors of logs, one for each that is configured. The
//! node that has a destination sends; the others look now and then whether it still does.
//!
//! Nothing waits for a collector: rows stay in the store, and these loops read them there.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_core::audit_forward::AuditForward;
use scaivault_engine::Vault;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::commands::course::{Course, Keeper, Trouble};
use crate::commands::mark::Mark;
use crate::commands::source::Source;
use crate::commands::way::{Permits, Way, tls};
use crate::commands::{Destination, Form, Post};
use crate::config::{AuditSection, ForwardSection};
use crate::egress::{EgressPolicy, OperatorHttp, Scheme};
use crate::forward_lag::ForwardLag;
use crate::loops::Stop;
use crate::metrics::ForwardMetrics;
use crate::place::Place;

/// Between two looks for new rows.
const EVERY: Duration = Duration::from_secs(1);
/// Between two looks whether another node still sends.
const IDLE: Duration = Duration::from_secs(3);
/// A node that has a destination says so this often.
const BEAT: Duration = Duration::from_secs(5);
/// The pauses before a collector that is gone is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// After trouble of our own: a store that does not serve, a chain that is broken.
const TROUBLE: Duration = Duration::from_secs(10);
/// For a collector to take what is under way, when the server stops.
const PARTING: Duration = Duration::from_secs(3);

/// Where the trail is, and who reads it.
#[derive(Debug, Clone)]
pub(crate) struct Trail {
    /// The store.
    pub(crate) place: Place,
    /// The file with its password.
    pub(crate) password_file: Option<PathBuf>,
    /// What this node is called.
    pub(crate) node: String,
}

impl Trail {
    /// A way to read it that nobody else uses.
    pub(crate) async fn open(&self) -> Result<Source> {
        Source::open_with(&self.place, self.password_file.as_deref()).await
    }
}

/// Starts two loops for each destination: one hands over, the other says how far behind that is.
///
/// # Errors
/// When a destination cannot be used as configured.
pub(crate) fn start(
    loops: &mut JoinSet<()>,
    vault: &Arc<Vault>,
    trail: &Trail,
    audit: &AuditSection,
    metrics: &Arc<ForwardMetrics>,
    stop: &Stop,
) -> Result<()> {
    for section in &audit.forward {
        let name = section.name.clone();
        let way = way(section, audit).with_context(|| format!("audit.forward {name}"))?;
        let one = Forwarding {
            vault: vault.clone(),
            trail: trail.clone(),
            from_now: section.from_now,
            metrics: metrics.clone(),
            way,
            name: name.clone(),
        };
        loops.spawn(one.run(stop.clone()));
        let lag = ForwardLag {
            vault: vault.clone(),
            trail: trail.clone(),
            name,
            lag_max: audit.forward_lag_warning,
            metrics: metrics.clone(),
        };
        loops.spawn(lag.run(stop.clone()));
    }
    Ok(())
}

fn way(section: &ForwardSection, audit: &AuditSection) -> Result<Way> {
    let policy = audit.egress_policy(None);
    let ca = section.ca_file.as_deref();
    let (mut tls_of, mut post) = (None, None);
    match &section.to {
        Destination::Tls(_) => tls_of = Some(tls(ca)?),
        Destination::Http(url) => post = Some(Arc::new(posting(section, url, policy.clone())?)),
        _ => {}
    }
    Ok(Way {
        to: section.to.clone(),
        form: Form {
            format: section.format,
            host: section.hostname.clone(),
            structured: section.structured_data.clone(),
        },
        tls: tls_of,
        post,
        permits: permits(policy),
    })
}

fn permits(policy: EgressPolicy) -> Permits {
    // In clear text or not: it is a collector that the operator named.
    Arc::new(move |address| policy.permits(address, Scheme::Https))
}

fn posting(section: &ForwardSection, url: &str, policy: EgressPolicy) -> Result<Post> {
    if let Err(why) = policy.check_url(url) {
        bail!("{why}; private networks are opened with audit.allow_private_networks");
    }
    let ca = match &section.ca_file {
        Some(file) => {
            let pem = std::fs::read(file);
            Some(pem.with_context(|| format!("cannot read {}", file.display()))?)
        }
        None => None,
    };
    let http = OperatorHttp::new(policy, ca.as_deref())
        .context("ca_file holds no certificate in PEM, or this machine trusts none")?;
    Ok(Post {
        http,
        url: url.to_owned(),
        header: section.header.clone(),
    })
}

/// One destination.
struct Forwarding {
    vault: Arc<Vault>,
    trail: Trail,
    name: String,
    way: Way,
    from_now: bool,
    metrics: Arc<ForwardMetrics>,
}

/// How a turn ended.
enum Ended {
    /// Another node has it.
    Elsewhere,
    /// The server stops.
    Stopped,
}

/// What this node has of a destination.
type Held = Arc<Mutex<AuditForward>>;

/// Keeps the place in the store.
struct Stored {
    vault: Arc<Vault>,
    held: Held,
}

#[async_trait]
impl Keeper for Stored {
    async fn keep(&mut self, mark: &Mark) -> Result<()> {
        let mut held = self.held.lock().await;
        match self.vault.forward_keep(&mut held, mark.heads()).await? {
            true => Ok(()),
            false => bail!("another node hands the trail over now"),
        }
    }
}

impl Forwarding {
    async fn run(self, mut stop: Stop) {
        let mut last = String::new();
        let mut kept = None;
        while !*stop.borrow() {
            let nap = match self.turn(&mut stop, &mut kept).await {
                Ok(Ended::Stopped) => return,
                Ok(Ended::Elsewhere) => IDLE,
                Err(error) => {
                    kept = None;
                    let why = format!("{error:#}");
                    self.metrics.failed(&self.name);
                    if why != last {
                        tracing::error!(destination = %self.name, %why, "the audit trail is not handed over");
                    }
                    last = why;
                    TROUBLE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                _ = stop.changed() => {}
            }
        }
    }

    /// Hands rows over until another node has it, the server stops, or something of ours fails.
    /// `kept` is the way to the store between the turns of others.
    async fn turn(&self, stop: &mut Stop, kept: &mut Option<Source>) -> Result<Ended> {
        let claimed = self.vault.forward_claim(&self.name, &self.trail.node);
        let claimed = claimed.await?;
        let source = match kept.take() {
            Some(source) => source,
            None => self.trail.open().await?,
        };
        let Some(forward) = claimed else {
            *kept = Some(source);
            return Ok(Ended::Elsewhere);
        };
        let held = Arc::new(Mutex::new(forward));
        let mut stored = Stored {
            vault: self.vault.clone(),
            held: held.clone(),
        };
        let mark = Mark::of_heads(&held.lock().await.heads);
        let mark = match self.from_now && mark == Mark::default() {
            true => {
                let end = source.end().await?;
                // Also where the row that said how far it was is gone: what lies before is not sent.
                tracing::warn!(destination = %self.name, begins_at = ?end.heads(), "audit rows are handed over from here on: no place was stored");
                stored.keep(&end).await?;
                end
            }
            false => mark,
        };
        let told = |text: &str| tracing::warn!(destination = %self.name, "{text}");
        let mut course = Course::new(&self.way, source, mark, Box::new(stored), &told);
        let vault = self.vault.clone();
        let genuine = move |anchor: &AuditAnchor| vault.is_genuine_anchor(anchor);
        course.genuine = Some(Box::new(genuine));
        course.stop = Some(stop.clone());
        tokio::select! {
            ended = self.send(&mut course, stop) => ended?,
            lost = self.beat(&held) => return lost,
        }
        // What is under way is waited for, so that the next does not send it again.
        let _ = tokio::time::timeout(PARTING, course.finish()).await;
        let mut held = held.lock().await;
        self.vault.forward_release(&mut held).await?;
        Ok(Ended::Stopped)
    }

    /// Until the server stops.
    async fn send(&self, course: &mut Course<'_>, stop: &mut Stop) -> Result<()> {
        let mut pause = PAUSE_MIN;
        let mut last = String::new();
        while !*stop.borrow() {
            let passed = tokio::select! {
                passed = course.pass() => passed,
                // In the midst of a slice, at a collector that takes its time: that slice comes again.
                () = parted(stop.clone()) => {
                    course.hung_up();
                    return Ok(());
                }
            };
            let nap = match passed {
                Ok(rows) => {
                    if !last.is_empty() {
                        tracing::info!(destination = %self.name, "the collector takes rows again");
                    }
                    self.metrics.sent(&self.name, rows);
                    last.clear();
                    pause = PAUSE_MIN;
                    EVERY
                }
                Err(Trouble::Own(error)) => return Err(error),
                Err(Trouble::Collector(error)) => {
                    course.hung_up();
                    self.metrics.failed(&self.name);
                    let why = error.to_string();
                    if why != last {
                        tracing::warn!(destination = %self.name, %why, "the collector takes nothing: rows wait in the store");
                    }
                    last = why;
                    let nap = pause;
                    pause = (pause * 2).min(PAUSE_MAX);
                    nap
                }
            };
            tokio::select! {
                () = tokio::time::sleep(nap) => {}
                _ = stop.changed() => {}
            }
        }
        Ok(())
    }

    /// Says that this node still has it, where there are others; ends when it has not.
    async fn beat(&self, held: &Held) -> Result<Ended> {
        if !self.vault.has_neighbours() {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(BEAT).await;
            let mut held = held.lock().await;
            let heads = held.heads.clone();
            if !self.vault.forward_keep(&mut held, heads).await? {
                tracing::info!(destination = %self.name, "another node hands the audit trail over now");
                return Ok(Ended::Elsewhere);
            }
        }
    }
}

/// When the server has been stopping for so long that nothing is waited for.
async fn parted(mut stop: Stop) {
    // Its sender is gone when the process is.
    let _ = stop.wait_for(|stop| *stop).await;
    tokio::time::sleep(PARTING).await;
}
