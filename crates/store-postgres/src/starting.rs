//! Starting a node's audit chain, and what is asked of the store's rows before: that all of them have
//! codes. Those of an earlier release are given theirs only on an operator's word, as with the
//! embedded store.

use std::sync::Arc;

use scaivault_core::audit::AuditRow;
use scaivault_core::ports::{ReadError, Store as _, Unit};
use scaivault_store::audit::head_code;
use scaivault_store::rows::RowKey;
use scaivault_store::{AuditStartError, ChainMac};
use tokio_postgres::Error;

use crate::conn::{Conn, Purpose};
use crate::refusal::text;
use crate::sql::head::{self, Head};
use crate::sql::row::{Read, get};
use crate::sql::{audit_verify, row_codes};
use crate::store::PostgresStore;

fn unread(error: ReadError) -> AuditStartError {
    AuditStartError::Unavailable(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn failed(error: Error) -> AuditStartError {
    AuditStartError::Unavailable(text(&error))
}

impl PostgresStore {
    /// Starts this node's audit chain under this key, or goes on under another: from now on units
    /// with audit rows are accepted. The end of the chain is checked first, and that every document
    /// of the store has a code.
    ///
    /// # Errors
    /// [`AuditStartError`]; the chain is not started then.
    pub async fn start_audit(&self, mac: Arc<dyn ChainMac>) -> Result<(), AuditStartError> {
        let conn = self.end_fits(&*mac).await?;
        let all_coded = row_codes::are_said_to_be_all(&conn, &*mac).await;
        if !all_coded.map_err(unread)?
            && let Some(row) = row_codes::first_without(&conn).await.map_err(failed)?
        {
            return Err(AuditStartError::Unsigned(row));
        }
        self.begin(mac);
        Ok(())
    }

    /// Gives the documents of an earlier release their codes, on an operator's word, and starts the
    /// audit chain. The chains of all nodes are verified first. What is done is said by `row`, given
    /// how many documents there were; it is committed with the first head that says that all have
    /// codes. Answers with that number, or with nothing where all had theirs. One that was cut short
    /// is gone on with.
    ///
    /// # Errors
    /// [`AuditStartError`]; the chain is not started then.
    pub async fn sign_rows(
        &self,
        mac: Arc<dyn ChainMac>,
        row: impl FnOnce(u64) -> AuditRow + Send,
    ) -> Result<Option<u64>, AuditStartError> {
        let conn = self.end_fits(&*mac).await?;
        let all_coded = row_codes::are_said_to_be_all(&conn, &*mac).await;
        if all_coded.map_err(unread)? {
            self.begin(mac);
            return Ok(None);
        }
        let trail = audit_verify::verify(&self.pool, Some(&*mac)).await;
        let trail = trail.map_err(unread)?;
        if let Some(bad) = trail.first_bad {
            return Err(AuditStartError::Broken(format!(
                "{}: {}",
                bad.id, bad.reason
            )));
        }
        if trail.rows == 0 {
            // A store that never had a row in its trail is a new one: it has no such documents.
            let without = row_codes::first_without(&conn).await.map_err(failed)?;
            if without.is_some() {
                return Err(AuditStartError::End);
            }
            self.begin(mac);
            return Ok(None);
        }
        let coded = row_codes::run(&conn, &*mac).await.map_err(failed)?;
        self.begin(mac);
        let done = self.commit(Unit::audit_only(row(coded))).await;
        done.map_err(|error| AuditStartError::Unavailable(error.to_string()))?;
        tracing::warn!(
            coded,
            "the store's rows were given their codes, as an operator said"
        );
        Ok(Some(coded))
    }

    /// That the node's chain ends where the store says, under this key.
    async fn end_fits(&self, mac: &dyn ChainMac) -> Result<Conn, AuditStartError> {
        let (head, fits, beyond) = self.chain_end().await.map_err(unread)?;
        if beyond || !fits {
            return Err(AuditStartError::End);
        }
        let over = (
            head.chain.as_str(),
            head.first_seq,
            head.last_seq,
            &head.head,
        );
        if head.last_seq > 0 && head_code(mac, over, &head.mac).is_none() {
            return Err(AuditStartError::Mac);
        }
        self.connector.connect(Purpose::Write).await.map_err(failed)
    }

    fn begin(&self, mac: Arc<dyn ChainMac>) {
        self.shared.rows.start(RowKey::of(&*mac));
        *self.shared.mac.write() = Some(mac);
    }

    /// The chain's end, whether the last segment ends there, and whether there is more behind it.
    async fn chain_end(&self) -> Read<(Head, bool, bool)> {
        let sql = format!(
            "SELECT {}, (SELECT s.head FROM audit_segment s
                         WHERE s.chain = h.chain AND s.first_seq = h.first_seq
                           AND s.first_seq + s.rows - 1 = h.last_seq),
                    EXISTS (SELECT 1 FROM audit_segment s
                            WHERE s.chain = h.chain AND s.first_seq > h.last_seq)
             FROM store_head h WHERE chain = $1",
            head::COLUMNS
        );
        let rows = self.rows(&sql, &[&self.chain]).await?;
        let Some(row) = rows.first() else {
            return Err(ReadError::Unavailable("the node's head row is gone".into()));
        };
        let head = head::from_row(row)?;
        let stored: Option<&[u8]> = get(row, 7)?;
        let fits = head.last_seq == 0 || stored == Some(head.head.as_slice());
        let beyond = get(row, 8)?;
        Ok((head, fits, beyond))
    }
}
