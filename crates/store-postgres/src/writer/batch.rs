//! One batch as one transaction.
//!
//! Mostly it is one statement with a begin and a commit around it, sent together: one turn, however
//! many units there are. The number of the node's head row comes first, which locks it; the events
//! come last, so that the outbox is locked for the shortest time. Anything that is not as it must be
//! makes that statement fail, and with it the commit.
//!
//! Where that happens, or a unit needs its statements in order, it takes more turns: the head row;
//! each unit in a savepoint of its own; the events, the reads, the audit segment and the commit
//! together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join;
use scaivault_core::ports::{Changes, CommitError, Committed};
use scaivault_store::ChainMac;
use scaivault_store::audit::{SegmentBuilder, coded_message};
use tokio::time::timeout;

use super::places::Places;
use super::queue::{Outcome, Shared, Work};
use super::settle::{Again, Failure, Verdict};
use crate::conn::{Conn, Connector};
use crate::feed::Feed;
use crate::prepared::Prepared;
use crate::refusal::{Refusal, text};
use crate::sql::change;
use crate::sql::consumer::ReadLines;
use crate::sql::event::{self, EventRow};
use crate::sql::head::{self, Head};
use crate::sql::lost::Lost;
use crate::sql::row::int;
use crate::step::{self, Broken, Last, Step};
use crate::together;

/// How often a transaction of which nothing is there is tried.
const TRIES_MAX: u32 = 4;

/// What a session is given up for.
pub(super) const SILENT: &str = "no answer from the database in time";

pub(crate) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) connector: Connector,
    pub(super) node: String,
    /// This process among those that go by the node's name.
    pub(super) maker: String,
    /// What is known of all chains.
    pub(super) feed: Arc<Feed>,
    /// The transaction that removed old changes last.
    pruned: u64,
    /// `None` after a failure, until the next transaction.
    pub(super) conn: Option<Conn>,
    /// Places in the trail.
    pub(super) places: Places,
    /// As durable.
    pub(super) head: Head,
    segment: SegmentBuilder,
}

/// What the accepted units leave for the end of the transaction.
#[derive(Default)]
struct Rest<'a> {
    outcomes: Vec<Outcome>,
    events: Vec<&'a EventRow>,
    reads: ReadLines,
    /// What other nodes are to hear of.
    changes: Changes,
    /// Ends the last savepoint.
    close: &'static str,
    /// The one unit of the batch was refused: nothing is to be committed.
    refused: bool,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        connector: Connector,
        node: String,
        feed: Arc<Feed>,
        conn: Conn,
        head: Head,
    ) -> Self {
        let places = Places::new(connector.clone());
        Self {
            shared,
            connector,
            node,
            maker: feed.maker.clone(),
            feed,
            pruned: 0,
            conn: Some(conn),
            places,
            head,
            segment: SegmentBuilder::default(),
        }
    }

    /// Commits until the store is closed.
    pub(crate) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        while let Some(works) = shared.next().await {
            let (units, answers): (Vec<_>, Vec<_>) = works
                .into_iter()
                .map(|Work { unit, answer, .. }| (unit, answer))
                .unzip();
            for (outcome, answer) in self.commit(&units).await.into_iter().zip(answers) {
                // A caller that went away needs no answer.
                let _ = answer.send(outcome);
            }
        }
    }

    /// One outcome for each unit, in order. When a batch fails as a whole for a reason that may be
    /// that of one unit, each is tried alone: it must not take its neighbours along.
    async fn commit(&mut self, units: &[Prepared]) -> Vec<Outcome> {
        match self.commit_together(units).await {
            Ok(outcomes) => outcomes,
            Err(_) if units.len() > 1 && self.conn.is_some() => {
                let mut outcomes = Vec::with_capacity(units.len());
                for unit in units.chunks(1) {
                    let alone = self.commit_together(unit).await;
                    outcomes.extend(alone.unwrap_or_else(|error| vec![Err(error)]));
                }
                outcomes
            }
            Err(error) => vec![Err(error); units.len()],
        }
    }

    /// # Errors
    /// Of all of them: nothing is applied, or nobody knows.
    async fn commit_together(&mut self, units: &[Prepared]) -> Result<Vec<Outcome>, CommitError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let begun = Instant::now();
            let failure = match self.transact(units).await {
                Ok(outcomes) => {
                    self.count(units, &outcomes, begun.elapsed());
                    *self.shared.trouble.lock() = None;
                    return Ok(outcomes);
                }
                Err(failure) => failure,
            };
            self.shared.counters.failed();
            let (words, again) = match self.settle(failure).await {
                Verdict::Applied(outcomes) => {
                    self.count(units, &outcomes, begun.elapsed());
                    return Ok(outcomes);
                }
                Verdict::Unknown => return Ok(vec![Err(CommitError::Unknown); units.len()]),
                Verdict::NotApplied { text, again } => (text, again),
            };
            let split = again == Again::Alone && units.len() > 1;
            if again == Again::Never || split || tries >= TRIES_MAX {
                return Err(CommitError::Unavailable(words));
            }
            tokio::time::sleep(Duration::from_millis(25 << tries)).await;
        }
    }

    fn count(&self, units: &[Prepared], outcomes: &[Outcome], took: Duration) {
        let applied = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
        let rows = units
            .iter()
            .zip(outcomes)
            .filter(|(_, outcome)| outcome.is_ok());
        let rows = rows.map(|(unit, _)| unit.audit.rows()).sum();
        let refused = outcomes.len() as u64 - applied;
        self.shared.counters.committed(applied, refused, rows, took);
    }

    /// A session may die without a word: a gateway forgets it, a server hangs. After the time that
    /// callers wait it is ended here, and whatever waited for it goes on as with any that is lost.
    async fn transact(&mut self, units: &[Prepared]) -> Result<Vec<Outcome>, Failure> {
        let patience = self.shared.commit_timeout;
        match timeout(patience, self.connect()).await {
            Ok(connected) => connected?,
            Err(_) => return Err(Failure::lost(SILENT)),
        }
        let Some(conn) = self.conn.take() else {
            return Err(Failure::lost("no connection"));
        };
        let done = {
            let mut work = Box::pin(self.transact_on(&conn, units));
            match timeout(patience, &mut work).await {
                Ok(done) => done,
                Err(_) => {
                    conn.end();
                    work.await
                }
            }
        };
        self.conn = Some(conn);
        done
    }

    async fn transact_on(
        &mut self,
        conn: &Conn,
        units: &[Prepared],
    ) -> Result<Vec<Outcome>, Failure> {
        let mac = self.shared.mac.read().clone();
        let rows = units.iter().map(|unit| unit.audit.rows()).sum();
        let rows = if mac.is_some() { rows } else { 0 };
        let taking = timeout(self.shared.commit_timeout, self.places.take(rows)).await;
        let place = taking.map_err(|_| Failure::lost(SILENT))?;
        let place = place.map_err(|error| Failure::before(&error))?;
        if units.len() > 1 && rows > 0 {
            // As many again will most likely have come by then, or somewhat more.
            self.places.ask_ahead(rows * 2);
        }
        if self.fit_together(units, mac.is_some())
            && let Some(outcomes) = self.all_together(conn, units, mac.as_ref(), place).await?
        {
            return Ok(outcomes);
        }
        self.begin(conn).await?;
        self.segment.begin(self.head.last_seq, self.head.head);
        let mut rest = Rest::default();
        for unit in units {
            let outcome = self
                .unit(conn, unit, mac.is_some(), units.len() > 1, &mut rest)
                .await?;
            rest.outcomes.push(outcome);
        }
        if rest.refused {
            conn.run("ROLLBACK")
                .await
                .map_err(|error| Failure::before(&error))?;
            return Ok(rest.outcomes);
        }
        self.finish(conn, rest, mac, place).await
    }

    /// Begins, and makes sure that nobody else moved this node's head.
    async fn begin(&self, conn: &Conn) -> Result<(), Failure> {
        let moving = conn
            .prepare(head::MOVE)
            .await
            .map_err(|error| Failure::before(&error))?;
        let batch = int(self.head.batch);
        let by = head::moved_by(&self.maker, self.head.batch + 1);
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&self.head.chain, &batch, &by];
        let (begun, moved) =
            join(conn.run("BEGIN"), conn.execute(&moving, params.into_iter())).await;
        begun.map_err(|error| Failure::before(&error))?;
        match moved.map_err(|error| Failure::before(&error))? {
            1 => Ok(()),
            _ => Err(Failure::Moved),
        }
    }

    /// Whether the units may be committed by one statement: its parts see nothing of each other.
    /// What touches lines of the ledger has its place among the reads; what is too old is removed
    /// by statements of its own.
    fn fit_together(&self, units: &[Prepared], audited: bool) -> bool {
        let fits = |unit: &Prepared| unit.plan.is_apart() && (audited || unit.audit.rows() == 0);
        units.iter().all(fits)
            && units
                .iter()
                .map(|unit| unit.plan.events.len())
                .sum::<usize>()
                <= event::TOGETHER
            && !change::is_pruned_at(self.head.batch + 1, self.pruned)
    }

    /// Commits all units by one statement, in one turn. `None` when something was refused, of which
    /// nothing is there then: what, and whether another was to blame, is found out by applying the
    /// units one after the other.
    async fn all_together(
        &mut self,
        conn: &Conn,
        units: &[Prepared],
        mac: Option<&Arc<dyn ChainMac>>,
        place: i64,
    ) -> Result<Option<Vec<Outcome>>, Failure> {
        self.segment.begin(self.head.last_seq, self.head.head);
        let mut rest = Rest::default();
        for unit in units {
            let done = self.accept(unit, &mut rest);
            rest.outcomes.push(Ok(done));
        }
        let (next, used) = self.next_head(mac, place);
        let mut own = vec![head::advance(&next)];
        let told = !rest.changes.is_empty();
        if told {
            let telling = change::tell(&next, &self.maker, &rest.changes, &mut self.pruned);
            own.extend(telling.map_err(|error| Failure::refused(error.to_string()))?);
        }
        if used.is_some() {
            own.push(head::put_segment(&next, &self.segment, place));
        }
        let mut last: Vec<Step> = rest.reads.take().into_iter().collect();
        if !rest.events.is_empty() {
            last.push(event::emit_many(&rest.events));
        }
        // The head first, which locks it; the outbox last, which all nodes wait for.
        let steps = units.iter().flat_map(|unit| &unit.plan.steps);
        match together::commit(conn, &own, steps, &last).await {
            Last::Committed => Ok(Some(self.committed(next, told, rest.outcomes))),
            Last::Refused(refusal) => {
                tracing::debug!(?refusal, "a unit of a batch was refused");
                Ok(None)
            }
            Last::Broken(error) => Err(Failure::before(&error)),
            Last::Doubtful(error) => {
                let place = used;
                Err(Failure::Doubtful {
                    text: text(&error),
                    lost: Lost { next, place, told },
                    outcomes: rest.outcomes,
                })
            }
        }
    }

    /// The head after this transaction, and the place of its segment where it has one.
    fn next_head(&self, mac: Option<&Arc<dyn ChainMac>>, place: i64) -> (Head, Option<i64>) {
        let batch = self.head.batch + 1;
        let mut next = Head {
            batch,
            moved_by: Some(head::moved_by(&self.maker, batch)),
            ..self.head.clone()
        };
        let Some(mac) = mac.filter(|_| self.segment.rows > 0) else {
            return (next, None);
        };
        next.first_seq = self.segment.first_seq;
        next.last_seq = self.segment.last_seq();
        next.head = self.segment.head;
        let message = coded_message(&next.chain, next.first_seq, next.last_seq, &next.head);
        next.mac = mac.mac(&message);
        (next, Some(place))
    }

    fn committed(&mut self, next: Head, told: bool, outcomes: Vec<Outcome>) -> Vec<Outcome> {
        self.shared.grown(next.last_seq);
        if told {
            self.shared.told.notify_one();
        }
        self.head = next;
        outcomes
    }

    /// What an accepted unit leaves for the end of the transaction.
    fn accept<'a>(&mut self, unit: &'a Prepared, rest: &mut Rest<'a>) -> Committed {
        unit.reads.iter().for_each(|read| rest.reads.add(read));
        rest.events.extend(&unit.plan.events);
        rest.changes.merge(unit.changes.clone());
        self.segment.push(&self.head.chain, &unit.audit);
        Committed {
            events: unit.plan.events.len(),
        }
    }

    /// Applies one unit. A refusal is its own; an error is everybody's.
    async fn unit<'a>(
        &mut self,
        conn: &Conn,
        unit: &'a Prepared,
        audited: bool,
        savepoint: bool,
        rest: &mut Rest<'a>,
    ) -> Result<Outcome, Failure> {
        if unit.audit.rows() > 0 && !audited {
            rest.refused = !savepoint;
            let text = "the audit chain has not been started".to_owned();
            return Ok(Err(CommitError::Unavailable(text)));
        }
        if unit.plan.ledger
            && let Some(reads) = rest.reads.take()
        {
            let before = |Broken(error)| Failure::before(&error);
            conn.run(rest.close).await.map_err(Broken).map_err(before)?;
            rest.close = "";
            // A refusal here is that of the reads of other units.
            let written = step::run(conn, std::slice::from_ref(&reads)).await;
            if let Err(refusal) = written.map_err(before)? {
                return Err(Failure::refused(format!("{refusal:?}")));
            }
        }
        if unit.is_change() {
            let before = |Broken(error)| Failure::before(&error);
            let applied = if savepoint {
                let open = format!("{}SAVEPOINT unit", rest.close);
                let (opened, applied) =
                    join(conn.run(&open), step::run(conn, &unit.plan.steps)).await;
                opened.map_err(Broken).map_err(before)?;
                applied.map_err(before)?
            } else {
                step::run(conn, &unit.plan.steps).await.map_err(before)?
            };
            rest.close = match (savepoint, &applied) {
                (false, _) => "",
                (true, Ok(())) => "RELEASE unit;",
                (true, Err(_)) => "ROLLBACK TO unit; RELEASE unit;",
            };
            if let Err(refusal) = applied {
                tracing::debug!(unit = unit.name.as_str(), ?refusal, "unit refused");
                rest.refused = !savepoint;
                return Ok(Err(refusal.into()));
            }
        }
        Ok(Ok(self.accept(unit, rest)))
    }

    /// The end of the transaction.
    async fn finish(
        &mut self,
        conn: &Conn,
        mut rest: Rest<'_>,
        mac: Option<Arc<dyn ChainMac>>,
        place: i64,
    ) -> Result<Vec<Outcome>, Failure> {
        let (next, used) = self.next_head(mac.as_ref(), place);
        let mut steps: Vec<Step> = rest.reads.take().into_iter().collect();
        steps.extend(event::emit_all(&rest.events));
        if used.is_some() {
            steps.extend(head::extend(&next, &self.segment, place));
        }
        let told = !rest.changes.is_empty();
        if told {
            let telling = change::tell(&next, &self.maker, &rest.changes, &mut self.pruned);
            steps.extend(telling.map_err(|error| Failure::refused(error.to_string()))?);
        }
        if steps.is_empty() {
            steps.push(head::own(&next));
        }
        if !rest.close.is_empty() {
            let closed = conn.run(rest.close).await;
            closed.map_err(|error| Failure::before(&error))?;
        }
        match step::commit(conn, &steps).await {
            Last::Committed => Ok(self.committed(next, told, rest.outcomes)),
            Last::Refused(Refusal::Failed(text)) => Err(Failure::refused(text)),
            Last::Refused(refusal) => Err(Failure::refused(format!("{refusal:?}"))),
            Last::Broken(error) => Err(Failure::before(&error)),
            Last::Doubtful(error) => Err(Failure::Doubtful {
                text: text(&error),
                lost: Lost {
                    next,
                    place: used,
                    told,
                },
                outcomes: rest.outcomes,
            }),
        }
    }
}
