//! `scaivault audit forward`: rows as they come, to a collector of logs.
//!
//! A mark on disk says up to which row of each chain everything was handed over. It moves after the
//! rows did, so that a crash, or a collector that is gone, repeats rows and loses none; memory holds
//! one slice of the chain, however far behind the collector is.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::collector::{Destination, Out};
use super::mark::Mark;
use super::source::{Source, check_complete, check_continues, follow};
use super::syslog::{MessageFormat, message};
use crate::place::Place;

/// The longest pause before a collector is tried again.
const PAUSE_MAX: Duration = Duration::from_secs(30);
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// From one look to the next that counts: time for a collector that hung up to be noticed.
const STANDING: Duration = Duration::from_secs(1);
/// Where the system does not say what was acknowledged: a connection that has stood for so long
/// since has delivered, or the system would have given it up.
const STOOD: Duration = Duration::from_secs(20 * 60);

/// Arguments.
#[derive(Debug, Clone)]
pub struct ForwardArgs {
    /// The store.
    pub database: Place,
    /// To whom.
    pub to: Destination,
    /// In which form.
    pub format: MessageFormat,
    /// The mark's file.
    pub mark: PathBuf,
    /// What the messages call this machine.
    pub host: String,
    /// Without a mark: begin with what comes from now on, not with the first row.
    pub from_now: bool,
    /// End when everything there is was handed over.
    pub once: bool,
    /// Between two looks.
    pub every: Duration,
}

/// Hands rows over until it is stopped; with `once`, until there are no more. Answers how many. What
/// an operator may want to know meanwhile goes to `told`.
///
/// # Errors
/// When the store or the mark cannot be used, and when the chain is broken or does not continue what
/// was handed over. A collector that is gone is waited for; with `once` it is an error.
pub fn forward(args: &ForwardArgs, told: &(dyn Fn(&str) + Sync)) -> Result<u64> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(run(args, told))
}

async fn run(args: &ForwardArgs, told: &(dyn Fn(&str) + Sync)) -> Result<u64> {
    let source = Source::open(&args.database).await?;
    let mark = match Mark::read(&args.mark)? {
        Some(mark) => mark,
        None => begin(args, &source).await?,
    };
    mark.write(&args.mark)?;
    let mut course = Course {
        args,
        source,
        kept: mark.clone(),
        sent: mark,
        pending: VecDeque::new(),
        looked: (0, Instant::now()),
        out: None,
        told,
    };
    let (mut rows, mut pause) = (0, PAUSE_MIN);
    loop {
        match course.pass().await {
            Ok(0) if args.once => match course.finish().await {
                Ok(()) => return Ok(rows),
                Err(Trouble::Collector(error)) => bail!("the collector takes nothing: {error}"),
                Err(Trouble::Own(error)) => return Err(error),
            },
            Ok(0) => tokio::time::sleep(args.every).await,
            Ok(handed_over) => {
                rows += handed_over;
                pause = PAUSE_MIN;
            }
            Err(Trouble::Collector(error)) if !args.once => {
                course.hung_up();
                told(&format!(
                    "the collector takes nothing: {error}; trying again"
                ));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            Err(Trouble::Collector(error)) => bail!("the collector takes nothing: {error}"),
            Err(Trouble::Own(error)) => return Err(error),
        }
    }
}

async fn begin(args: &ForwardArgs, source: &Source) -> Result<Mark> {
    let mut mark = Mark::default();
    if args.from_now {
        for head in source.heads().await? {
            mark.set(&head.chain, head.last_seq, &head.head);
        }
    }
    Ok(mark)
}

enum Trouble {
    /// The other side.
    Collector(std::io::Error),
    /// The store, the chain, the mark.
    Own(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Own(error.into())
    }
}

/// One run. What was sent is kept as handed over only when the other side had acknowledged it at one
/// look and the connection still stood at the next: a collector that hung up may have left unread
/// what its system had.
struct Course<'a> {
    args: &'a ForwardArgs,
    source: Source,
    /// As on disk.
    kept: Mark,
    sent: Mark,
    /// What is between the two, in the order it was sent.
    pending: VecDeque<Pending>,
    /// Bytes that were acknowledged at the last look that counts, and when that was.
    looked: (u64, Instant),
    out: Option<Out>,
    told: &'a (dyn Fn(&str) + Sync),
}

/// A place reached: after so many bytes of the connection, at that moment.
struct Pending {
    mark: Mark,
    sent: u64,
    at: Instant,
}

impl Course<'_> {
    /// Everything there is when it begins, chain by chain, a slice at a time.
    async fn pass(&mut self) -> Result<u64, Trouble> {
        self.confirm().await?;
        let mut rows = 0;
        let heads = self.source.heads().await?;
        check_complete(&self.source, &heads, self.sent.chains()).await?;
        let anchors = self.source.anchors().await?;
        for head in heads {
            let chain = head.chain.as_str();
            let (mut seq, mut hash) = self.sent.of(chain)?;
            if let Some(anchor) = anchors.iter().find(|anchor| anchor.chain == chain)
                && anchor.last_seq > seq
            {
                (self.told)(&format!(
                    "rows {} to {} of the chain {chain} were removed by retention before they were \
                     sent",
                    seq + 1,
                    anchor.last_seq
                ));
                (seq, hash) = (anchor.last_seq, anchor.head);
                self.sent.set(chain, seq, &hash);
            }
            check_continues(&head, seq, &hash)?;
            let first = seq;
            while seq < head.last_seq {
                let segments = self.source.segments(chain, seq).await?;
                if segments.is_empty() {
                    let why = anyhow::anyhow!("the chain {chain} is broken behind row {seq}");
                    return Err(why.into());
                }
                for segment in &segments {
                    hash = follow(segment, chain, seq, &hash, seq == first)?;
                    rows += self.send(&segment.body).await?;
                    seq = segment.last_seq();
                }
                self.sent.set(chain, seq, &hash);
                self.pending.push_back(Pending {
                    mark: self.sent.clone(),
                    sent: self.out.as_ref().map_or(0, Out::sent),
                    at: Instant::now(),
                });
                self.confirm().await?;
            }
        }
        Ok(rows)
    }

    async fn send(&mut self, body: &[u8]) -> Result<u64, Trouble> {
        let args = self.args;
        let to = match &mut self.out {
            Some(to) => to,
            None => {
                let to = Out::open(&args.to).await.map_err(Trouble::Collector)?;
                self.out.insert(to)
            }
        };
        let mut rows = 0;
        for line in body.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                let text = message(line, args.format, &args.host)?;
                let sent = to.send(&text, args.format).await;
                sent.map_err(Trouble::Collector)?;
                rows += 1;
            }
        }
        Ok(rows)
    }

    /// Keeps what had arrived at the look before, if the connection it went over still stands.
    async fn confirm(&mut self) -> Result<(), Trouble> {
        let Some(out) = &mut self.out else {
            return Ok(());
        };
        let found = out.acknowledged().await.map_err(Trouble::Collector)?;
        // One that ends by itself is told at its end: by the other side closing too.
        if self.args.once || self.looked.1.elapsed() < STANDING {
            return Ok(());
        }
        let looked = (found.unwrap_or(0), Instant::now());
        let (arrived, _) = std::mem::replace(&mut self.looked, looked);
        let has_arrived = |pending: &Pending| match found {
            Some(_) => pending.sent <= arrived,
            None => pending.at.elapsed() >= STOOD,
        };
        let mut reached = None;
        while self.pending.front().is_some_and(has_arrived) {
            reached = self.pending.pop_front();
        }
        match reached {
            Some(reached) => self.keep(reached.mark),
            None => Ok(()),
        }
    }

    fn keep(&mut self, mark: Mark) -> Result<(), Trouble> {
        if self.kept != mark {
            mark.write(&self.args.mark)?;
            self.kept = mark;
        }
        Ok(())
    }

    /// What was not kept is sent again.
    fn hung_up(&mut self) {
        self.out = None;
        self.sent = self.kept.clone();
        self.pending.clear();
        self.looked = (0, Instant::now());
    }

    async fn finish(&mut self) -> Result<(), Trouble> {
        if let Some(out) = self.out.take() {
            out.close().await.map_err(Trouble::Collector)?;
        }
        self.keep(self.sent.clone())
    }
}
