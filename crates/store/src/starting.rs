//! Starting the audit chain, and what is asked of the store's rows before: that all of them have
//! codes. Those of an earlier release are given theirs only on an operator's word: whoever can write
//! the database can make a store look like one of an earlier release, or put its trail back to when
//! it was.

use std::sync::Arc;

use scaivault_core::audit::AuditRow;
use scaivault_core::ports::{CommitError, ReadError, Store as _, Unit};

use crate::audit::head_code;
use crate::chain_mac::ChainMac;
use crate::options::AuditStartError;
use crate::rows::{RowKey, is_coded};
use crate::sqlite::{audit_segment, audit_verify, head, row_codes};
use crate::store::SqliteStore;
use crate::transfer::TABLES;
use crate::writer::Work;

fn unread(error: ReadError) -> AuditStartError {
    AuditStartError::Unavailable(error.to_string())
}

fn unwritten(error: CommitError) -> AuditStartError {
    AuditStartError::Unavailable(error.to_string())
}

impl SqliteStore {
    /// Starts the audit chain under this key, or goes on under another: from now on units with
    /// audit rows are accepted. The end of the chain is checked first, and that every document has a
    /// code.
    ///
    /// # Errors
    /// [`AuditStartError`]; the chain is not started then.
    pub async fn start_audit(&self, mac: Arc<dyn ChainMac>) -> Result<(), AuditStartError> {
        let all_coded = self.end_fits(&mac).await?;
        if !all_coded {
            let without = self.readers.read_all(|conn| row_codes::first_without(conn));
            if let Some(row) = without.await.map_err(unread)? {
                return Err(AuditStartError::Unsigned(row));
            }
        }
        self.begin(mac);
        if !all_coded {
            self.mark().await;
        }
        Ok(())
    }

    /// Gives the documents of an earlier release their codes, on an operator's word, and starts the
    /// audit chain. All of the trail is verified first. What is done is said by `row`, given how many
    /// documents there were; it is committed with the first head that says that all have codes.
    /// Answers with that number, or with nothing where all had theirs. One that was cut short is gone
    /// on with.
    ///
    /// # Errors
    /// [`AuditStartError`]; the chain is not started then.
    pub async fn sign_rows(
        &self,
        mac: Arc<dyn ChainMac>,
        row: impl FnOnce(u64) -> AuditRow + Send,
    ) -> Result<Option<u64>, AuditStartError> {
        if self.end_fits(&mac).await? {
            self.begin(mac);
            return Ok(None);
        }
        let verifying = Arc::clone(&mac);
        let verified = self
            .readers
            .read_all(move |conn| audit_verify::verify(conn, Some(&*verifying)));
        let trail = verified.await.map_err(unread)?;
        if let Some(bad) = trail.first_bad {
            return Err(AuditStartError::Broken(format!(
                "{}: {}",
                bad.id, bad.reason
            )));
        }
        if trail.rows == 0 {
            // A store that never had a row in its trail is a new one: it has no such documents.
            let without = self.readers.read_all(|conn| row_codes::first_without(conn));
            if without.await.map_err(unread)?.is_some() {
                return Err(AuditStartError::End);
            }
            self.begin(mac);
            self.mark().await;
            return Ok(None);
        }
        let coded = self.code_rows(RowKey::of(&*mac)).await?;
        self.begin(mac);
        let done = self.commit(Unit::audit_only(row(coded))).await;
        done.map_err(unwritten)?;
        tracing::warn!(
            coded,
            "the store's rows were given their codes, as an operator said"
        );
        Ok(Some(coded))
    }

    /// That the chain ends where the store says, under this key. Whether the ends of the chains say
    /// that every document has a code.
    async fn end_fits(&self, mac: &Arc<dyn ChainMac>) -> Result<bool, AuditStartError> {
        let looking = Arc::clone(mac);
        let end = self.readers.read_snapshot(move |conn| {
            let Some(head) = head::read(conn)? else {
                return Ok(None);
            };
            let stored = audit_segment::end(conn, &head.chain, head.first_seq)?;
            let beyond = audit_segment::first_after(conn, &head.chain, head.last_seq)?;
            let all_coded = row_codes::are_said_to_be_all(conn, &*looking)?;
            Ok(Some((head, stored, beyond, all_coded)))
        });
        let end = end.await.map_err(unread)?;
        let (head, stored, beyond, all_coded) = end.ok_or(AuditStartError::End)?;
        if head.last_seq > 0 {
            let expect = (head.head.to_vec(), head.last_seq);
            if stored != Some(expect) {
                return Err(AuditStartError::End);
            }
            let over = (
                head.chain.as_str(),
                head.first_seq,
                head.last_seq,
                &head.head,
            );
            if head_code(&**mac, over, &head.mac).is_none() {
                return Err(AuditStartError::Mac);
            }
        }
        match beyond {
            Some(_) => Err(AuditStartError::End),
            None => Ok(all_coded),
        }
    }

    fn begin(&self, mac: Arc<dyn ChainMac>) {
        self.shared.rows.start(RowKey::of(&*mac));
        *self.shared.mac.write() = Some(mac);
    }

    /// Makes it durable that all rows have codes: the head says so, which every commit writes. One
    /// that fails here leaves it to the next.
    async fn mark(&self) {
        let mark = Work::Job(Box::new(|_, _| Ok(())));
        if let Err(error) = self.submit(mark).await {
            tracing::warn!(%error, "that all rows have codes is not stored yet");
        }
    }

    async fn code_rows(&self, key: RowKey) -> Result<u64, AuditStartError> {
        let key = Arc::new(key);
        let mut coded = 0;
        for table in TABLES.iter().filter(|table| is_coded(table)) {
            let mut after = None;
            loop {
                let (key, from) = (Arc::clone(&key), after.take());
                let part =
                    self.claim(move |conn, _| row_codes::part(conn, &key, table, from.as_deref()));
                let part = part.await.map_err(unwritten)?;
                coded += part.coded;
                match part.next {
                    Some(key) => after = Some(key),
                    None => break,
                }
            }
        }
        Ok(coded)
    }
}
