//! The course of rows to a collector, whoever keeps how far it is.
//!
//! A mark says up to which row of each chain everything was handed over. It moves after the rows did,
//! so that a crash, or a collector that is gone, repeats rows and loses none; memory holds one slice
//! of the chain, however far behind the collector is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use async_trait::async_trait;
use scaivault_core::audit_anchor::AuditAnchor;
use tokio::sync::watch;

use super::collector::Out;
use super::mark::Mark;
use super::source::{Source, check_complete, check_continues, follow, refuse_front};
use super::syslog::message;
use super::way::Way;

/// From one look to the next that counts: time for a collector that hung up to be noticed.
const STANDING: Duration = Duration::from_secs(1);
/// Where the system does not say what was acknowledged: a connection that has stood for so long
/// since has delivered, or the system would have given it up.
const STOOD: Duration = Duration::from_secs(20 * 60);

/// Whether an anchor was made with the chain's key.
pub(crate) type Genuine = Box<dyn Fn(&AuditAnchor) -> bool + Send + Sync>;

/// Who keeps how far it is.
#[async_trait]
pub(crate) trait Keeper: Send {
    /// Everything up to here was handed over.
    async fn keep(&mut self, mark: &Mark) -> Result<()>;
}

/// What keeps rows from being handed over.
pub(crate) enum Trouble {
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

/// How far behind a collector is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lag {
    /// Rows that were not handed over.
    pub(crate) rows: u64,
    /// The time of the oldest of them, microseconds since 1970.
    pub(crate) since: Option<i64>,
}

/// One run. What was sent is kept as handed over only when the other side had acknowledged it at one
/// look and the connection still stood at the next: a collector that hung up may have left unread
/// what its system had.
pub(crate) struct Course<'a> {
    way: &'a Way,
    pub(crate) source: Source,
    /// With the key; without it what retention removed is not told from what others did.
    pub(crate) genuine: Option<Genuine>,
    /// Without the key: go on behind rows that are gone before they were sent.
    pub(crate) accept_gap: bool,
    /// It ends by itself, and is told at its end: by the other side closing too.
    pub(crate) once: bool,
    /// Tells a pass to end at the next slice.
    pub(crate) stop: Option<watch::Receiver<bool>>,
    keeper: Box<dyn Keeper + 'a>,
    /// As it is kept.
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

impl<'a> Course<'a> {
    /// From a mark on.
    pub(crate) fn new(
        way: &'a Way,
        source: Source,
        mark: Mark,
        keeper: Box<dyn Keeper + 'a>,
        told: &'a (dyn Fn(&str) + Sync),
    ) -> Self {
        Self {
            way,
            source,
            genuine: None,
            accept_gap: false,
            once: false,
            stop: None,
            keeper,
            kept: mark.clone(),
            sent: mark,
            pending: VecDeque::new(),
            looked: (0, Instant::now()),
            out: None,
            told,
        }
    }

    /// Everything there is when it begins, chain by chain, a slice at a time.
    pub(crate) async fn pass(&mut self) -> Result<u64, Trouble> {
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
                let genuine = self.genuine.as_ref().map(|genuine| genuine(anchor));
                (self.told)(&passed_over(anchor, seq, genuine, self.accept_gap)?);
                (seq, hash) = (anchor.last_seq, anchor.head);
                self.sent.set(chain, seq, &hash);
            }
            check_continues(&head, seq, &hash)?;
            let first = seq;
            while seq < head.last_seq {
                if self.stop.as_ref().is_some_and(|stop| *stop.borrow()) {
                    return Ok(rows);
                }
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
        let way = self.way;
        let to = match &mut self.out {
            Some(to) => to,
            None => {
                let to = Out::open(way).await.map_err(Trouble::Collector)?;
                self.out.insert(to)
            }
        };
        let mut rows = 0;
        for line in body.split(|byte| *byte == b'\n') {
            if !line.is_empty() {
                let text = message(line, &way.form)?;
                let sent = to.send(&text, way.form.format).await;
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
        let is_answered = out.is_answered();
        if self.once || (!is_answered && self.looked.1.elapsed() < STANDING) {
            return Ok(());
        }
        let looked = (found.unwrap_or(0), Instant::now());
        let (before, _) = std::mem::replace(&mut self.looked, looked);
        let arrived = if is_answered { looked.0 } else { before };
        let has_arrived = |pending: &Pending| match found {
            Some(_) => pending.sent <= arrived,
            None => pending.at.elapsed() >= STOOD,
        };
        let mut reached = None;
        while self.pending.front().is_some_and(has_arrived) {
            reached = self.pending.pop_front();
        }
        match reached {
            Some(reached) => self.keep(reached.mark).await,
            None => Ok(()),
        }
    }

    async fn keep(&mut self, mark: Mark) -> Result<(), Trouble> {
        if self.kept != mark {
            self.keeper.keep(&mark).await?;
            self.kept = mark;
        }
        Ok(())
    }

    /// What was not kept is sent again.
    pub(crate) fn hung_up(&mut self) {
        self.out = None;
        self.sent = self.kept.clone();
        self.pending.clear();
        self.looked = (0, Instant::now());
    }

    /// Says that nothing follows, and keeps all when the other side has it.
    pub(crate) async fn finish(&mut self) -> Result<(), Trouble> {
        if let Some(out) = self.out.take() {
            out.close().await.map_err(Trouble::Collector)?;
        }
        self.keep(self.sent.clone()).await
    }
}

/// What is told of rows behind `seq` that an anchor says retention removed, if it may be believed:
/// `genuine` is what the key says of it, where there is one.
fn passed_over(
    anchor: &AuditAnchor,
    seq: u64,
    genuine: Option<bool>,
    accept_gap: bool,
) -> Result<String> {
    let rows = format!(
        "rows {} to {} of the chain {}",
        seq.saturating_add(1),
        anchor.last_seq,
        anchor.chain
    );
    match (genuine, accept_gap) {
        (Some(false), _) => Err(refuse_front(anchor)),
        (Some(true), _) => Ok(format!(
            "{rows} were removed by retention before they were sent"
        )),
        (None, true) => Ok(format!(
            "{rows} were removed before they were sent: passed over, by --accept-gap"
        )),
        (None, false) => bail!(
            "{rows} were removed before they were sent. Whether retention removed them shows the \
             key only: give --key-file, or --accept-gap to go on behind them"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::samples::{forged, genuine, keyring};
    use super::*;

    #[test]
    fn an_anchor_is_believed_by_its_codes() {
        let keyring = keyring();
        let fits = |anchor: &AuditAnchor| anchor.fits(|message| keyring.chain_mac(message));
        let anchor = genuine(&keyring);
        let told = passed_over(&anchor, 60, Some(fits(&anchor)), false).unwrap();
        assert!(told.starts_with("rows 61 to 100 of the chain brf2zn were removed by retention"));
        for anchor in forged(&keyring) {
            let refused = passed_over(&anchor, 60, Some(fits(&anchor)), true).unwrap_err();
            assert!(refused.to_string().contains("who has not its key"));
        }
    }
}
