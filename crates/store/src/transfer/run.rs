//! The copy itself.

use std::collections::BTreeMap;

use scaivault_core::ports::Entropy;

use super::{
    Destination, Moved, Row, Source, Standing, TABLES, Table, TransferError, Value, trail,
};

/// Versions kept aside for [`super::check`], beside the first and the last.
const SAMPLE: usize = 16;

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being copied.
    pub table: &'static str,
    /// Rows looked at, of all tables.
    pub done: u64,
    /// Rows there are.
    pub total: u64,
}

/// What a copy came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Rows of tables at the source.
    pub rows: u64,
    /// Of these, written now: the others were there already.
    pub written: u64,
    /// Rows removed, because the source no longer has them.
    pub removed: u64,
    /// Rows of the audit trail at the source.
    pub audit_rows: u64,
    /// Keys of versions: the first, the last, and some drawn from all of them.
    pub sample: Vec<Row>,
}

/// Makes the destination equal to the source's view.
///
/// # Errors
/// [`TransferError`]; what was copied stays, and the next copy goes on from there.
pub async fn copy(
    source: &mut dyn Source,
    to: &mut dyn Destination,
    entropy: &dyn Entropy,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Moved<Copied> {
    match to.standing().await? {
        Standing::Used => return Err(TransferError::NotEmpty),
        Standing::Empty => to.begin(trail::mark(source).await?).await?,
        Standing::Copying(of) => trail::is_of(source, of).await?,
    }
    trail::fits(source, to).await?;
    let mut total = 0;
    for table in TABLES {
        total += source.count(table).await?;
    }
    let rows = total;
    let ends = source.chains().await?;
    let audit_rows = ends.iter().map(|end| end.last_seq).sum::<i64>();
    let gone = source.anchors().await?;
    let gone = gone.iter().map(|anchor| anchor.last_seq).sum::<u64>();
    let audit_rows = u64::try_from(audit_rows).unwrap_or(0).saturating_sub(gone);
    total += audit_rows;
    let mut copied = Copied {
        rows,
        audit_rows,
        ..Copied::default()
    };
    let mut sample = Sample::default();
    let mut done = 0;
    for table in TABLES {
        let mut after: Option<Row> = None;
        loop {
            let page = source
                .page(table, after.as_deref(), None, table.page)
                .await?;
            let until = match page.len() < table.page {
                true => None,
                false => page.last().map(|row| table.key_of(row).to_vec()),
            };
            done += page.len() as u64;
            if table.name == "version" {
                let keys = page.iter().map(|row| table.key_of(row).to_vec());
                keys.for_each(|key| sample.see(key, entropy));
            }
            equalize(
                to,
                table,
                after.as_deref(),
                until.as_deref(),
                page,
                &mut copied,
            )
            .await?;
            progress(Progress {
                table: table.name,
                done,
                total,
            });
            match until {
                Some(key) => after = Some(key),
                None => break,
            }
        }
    }
    trail::append(source, to, &mut |rows| {
        done += rows;
        progress(Progress {
            table: "audit",
            done,
            total,
        });
    })
    .await?;
    let numbers = source.numbers().await?;
    if numbers != to.numbers().await? {
        to.set_numbers(&numbers).await?;
    }
    copied.sample = sample.keys();
    Ok(copied)
}

/// Makes a range of keys at the destination equal to a page of the source.
async fn equalize(
    to: &mut dyn Destination,
    table: &'static Table,
    after: Option<&[Value]>,
    until: Option<&[Value]>,
    page: Vec<Row>,
    copied: &mut Copied,
) -> Moved<()> {
    let keyed = page.into_iter();
    let mut wanted: BTreeMap<Row, Row> = keyed
        .map(|row| (table.key_of(&row).to_vec(), row))
        .collect();
    let mut gone = Vec::new();
    let mut cursor: Option<Row> = after.map(<[Value]>::to_vec);
    loop {
        let there = to.page(table, cursor.as_deref(), until, table.page).await?;
        let more = there.len() == table.page;
        cursor = there.last().map(|row| table.key_of(row).to_vec());
        for row in there {
            let key = table.key_of(&row);
            match wanted.get(key) {
                Some(want) if *want == row => drop(wanted.remove(key)),
                Some(_) => {}
                None => gone.push(key.to_vec()),
            }
        }
        if !more {
            break;
        }
    }
    copied.written += wanted.len() as u64;
    copied.removed += gone.len() as u64;
    if gone.is_empty() && wanted.is_empty() {
        return Ok(());
    }
    to.replace(table, gone, wanted.into_values().collect())
        .await
}

/// A few of many, each as likely as any other, without knowing how many come.
#[derive(Default)]
struct Sample {
    seen: u64,
    first: Option<Row>,
    last: Option<Row>,
    drawn: Vec<Row>,
}

impl Sample {
    fn see(&mut self, key: Row, entropy: &dyn Entropy) {
        self.seen += 1;
        if self.first.is_none() {
            self.first = Some(key.clone());
        }
        if self.drawn.len() < SAMPLE {
            self.drawn.push(key.clone());
        } else {
            let mut random = [0; 8];
            entropy.fill(&mut random);
            let at = usize::try_from(u64::from_le_bytes(random) % self.seen);
            if let Some(slot) = at.ok().and_then(|at| self.drawn.get_mut(at)) {
                *slot = key.clone();
            }
        }
        self.last = Some(key);
    }

    fn keys(self) -> Vec<Row> {
        let mut keys: Vec<Row> = self.first.into_iter().chain(self.last).collect();
        keys.extend(self.drawn);
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
