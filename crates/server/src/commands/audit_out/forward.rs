//! `scaivault audit forward`: rows as they come, to a collector of logs.
//!
//! A mark on disk says up to which row of each chain everything was handed over. It moves after the
//! rows did, so that a crash, or a collector that is gone, repeats rows and loses none; memory holds
//! one slice of the chain, however far behind the collector is.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use scaivault_core::audit_anchor::AuditAnchor;
use scaivault_crypto::Keyring;

use super::collector::{Destination, Out};
use super::mark::Mark;
use super::source::{Source, check_anchor, check_complete, check_continues, follow};
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
    /// The root key's file: with it what retention removed is told from what others did.
    pub key_file: Option<PathBuf>,
    /// Without a key: go on behind rows that are gone before they were sent.
    pub accept_gap: bool,
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
    let keyring = match &args.key_file {
        Some(file) => Some(source.keyring(file.clone()).await?),
        None => None,
    };
    let mark = match Mark::read(&args.mark)? {
        Some(mark) => mark,
        None => begin(args, &source).await?,
    };
    mark.write(&args.mark)?;
    let mut course = Course {
        args,
        source,
        keyring,
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

/// What is told of rows behind `seq` that an anchor says retention removed, if it may be believed.
fn passed_over(
    anchor: &AuditAnchor,
    seq: u64,
    keyring: Option<&Keyring>,
    accept_gap: bool,
) -> Result<String> {
    check_anchor(keyring, anchor)?;
    let rows = format!(
        "rows {} to {} of the chain {}",
        seq.saturating_add(1),
        anchor.last_seq,
        anchor.chain
    );
    match (keyring, accept_gap) {
        (Some(_), _) => Ok(format!(
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
    keyring: Option<Keyring>,
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
                let gap = passed_over(anchor, seq, self.keyring.as_ref(), self.args.accept_gap)?;
                (self.told)(&gap);
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

#[cfg(test)]
mod tests {
    use scaivault_core::audit::{Action, AuditExtra, AuditRow};
    use scaivault_core::ids::TenantId;
    use scaivault_core::ports::{AuditReads as _, Op, Store as _, Unit, UnitName};
    use scaivault_core::time::Timestamp;
    use scaivault_crypto::SystemEntropy;
    use scaivault_store::{ChainMac, SqliteOptions, SqliteStore};

    use super::super::source::samples::{forged, genuine, keyring};
    use super::*;

    #[test]
    fn an_anchor_is_believed_by_its_codes() {
        let keyring = keyring();
        let told = passed_over(&genuine(&keyring), 60, Some(&keyring), false).unwrap();
        assert!(told.starts_with("rows 61 to 100 of the chain brf2zn were removed by retention"));
        for anchor in forged(&keyring) {
            let refused = passed_over(&anchor, 60, Some(&keyring), true).unwrap_err();
            assert!(refused.to_string().contains("who has not its key"));
        }
    }

    struct Key(Keyring);

    impl ChainMac for Key {
        fn mac(&self, message: &[u8]) -> [u8; 32] {
            self.0.chain_mac(message)
        }
    }

    fn row(at: i64) -> AuditRow {
        AuditRow {
            timestamp: Timestamp::from_micros(at),
            tenant_id: TenantId::parse("tnt_a").unwrap(),
            action: Action::Read,
            identity_type: "user".into(),
            identity_id: "user:a".to_owned(),
            secret_path: None,
            source_ip: None,
            user_agent: None,
            success: true,
            duration_ms: 1,
            request_id: None,
            extra_data: AuditExtra::default(),
        }
    }

    /// A store of three segments of which the first is gone, behind an anchor that nobody's key made.
    async fn cut(file: &std::path::Path) {
        let store = SqliteStore::open(SqliteOptions::file(file), &SystemEntropy).unwrap();
        store
            .start_audit(std::sync::Arc::new(Key(keyring())))
            .await
            .unwrap();
        for at in 0..3 {
            store.commit(Unit::audit_only(row(at))).await.unwrap();
        }
        let before = Timestamp::from_micros(1);
        let found = store.audit_prunable(before, None).await.unwrap().unwrap();
        assert_eq!(found.anchor.last_seq, 1);
        let op = Op::AuditPrune {
            anchor: found.anchor,
            after: found.after,
            index: found.index,
        };
        let unit = Unit::new(UnitName::AuditPrune).op(op).audited(row(9));
        store.commit(unit).await.unwrap();
    }

    #[test]
    fn without_a_key_a_gap_is_passed_over_only_when_it_is_accepted() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("store.db");
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(cut(&file));
        let socket = home.path().join("log");
        let collector = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
        let args = |accept_gap| ForwardArgs {
            database: Place::File(file.clone()),
            to: Destination::Unix(socket.clone()),
            format: MessageFormat::Json,
            mark: home.path().join("mark"),
            host: "-".to_owned(),
            key_file: None,
            accept_gap,
            from_now: false,
            once: true,
            every: Duration::from_secs(1),
        };
        let refused = forward(&args(false), &|_| {}).unwrap_err().to_string();
        assert!(
            refused.starts_with("rows 1 to 1 of") && refused.contains("--accept-gap"),
            "{refused}"
        );
        collector.set_nonblocking(true).unwrap();
        assert!(collector.recv(&mut [0; 8]).is_err(), "nothing was sent");
        assert_eq!(forward(&args(true), &|_| {}).unwrap(), 3);
    }
}
