//! One audit row as one line of JSON. Its id comes first, then the row as `core` writes it:
//!
//! ```text
//! {"id":"log_k7m2xq_000000000042","timestamp":1800000000000000,"tenant_id":"tnt_a",…}
//! ```
//!
//! The row's part is encoded in the caller's task, the id is put before it by the writer, who
//! alone knows the row's place.

use scaivault_core::audit::AuditRow;
use scaivault_core::ports::Entropy;

/// Characters of a chain's name.
pub const CHAIN_CHARS: usize = 6;
/// Digits of a row's place.
const SEQ_DIGITS: usize = 12;
/// Room for an ordinary row, so that encoding it allocates once.
const ROW_BYTES: usize = 448;
const PREFIX: &[u8] = b"{\"id\":\"";
const ID_PREFIX: &[u8] = b"log_";
const ID_LEN: usize = 4 + CHAIN_CHARS + 1 + SEQ_DIGITS;
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NAME_CHARS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A new chain's name: six lower-case characters of base 32.
pub fn mint_chain(entropy: &dyn Entropy) -> String {
    let mut random = [0u8; CHAIN_CHARS];
    entropy.fill(&mut random);
    random
        .iter()
        .map(|byte| char::from(NAME_CHARS[usize::from(byte & 31)]))
        .collect()
}

/// The id of the row at `seq`. Ids of one chain sort by place.
pub fn row_id(chain: &str, seq: u64) -> String {
    let mut id = Vec::with_capacity(ID_LEN);
    write_id(&mut id, chain, seq);
    String::from_utf8_lossy(&id).into_owned()
}

fn write_id(into: &mut Vec<u8>, chain: &str, seq: u64) {
    into.extend_from_slice(ID_PREFIX);
    into.extend_from_slice(chain.as_bytes());
    into.push(b'_');
    for at in (0..SEQ_DIGITS).rev() {
        let digit = usize::try_from((seq >> (5 * at)) & 31).unwrap_or(0);
        into.push(DIGITS[digit]);
    }
}

/// Writes the line of the row at `seq`, without an end of line.
pub(crate) fn write_line(into: &mut Vec<u8>, chain: &str, seq: u64, tail: &[u8]) {
    into.extend_from_slice(PREFIX);
    write_id(into, chain, seq);
    into.push(b'"');
    into.extend_from_slice(tail);
}

/// Reads the place from a line of this chain; `None` when it does not begin as a line does.
pub(crate) fn line_seq(line: &[u8], chain: &str) -> Option<u64> {
    let id = line.strip_prefix(PREFIX)?.strip_prefix(ID_PREFIX)?;
    let digits = id
        .strip_prefix(chain.as_bytes())?
        .strip_prefix(b"_")?
        .get(..SEQ_DIGITS)?;
    digits.iter().try_fold(0, |seq, digit| {
        let value = DIGITS.iter().position(|known| known == digit)?;
        Some(seq << 5 | u64::try_from(value).ok()?)
    })
}

/// Audit rows of one unit, encoded but for their ids.
#[derive(Debug, Default)]
pub struct AuditLines {
    /// Every row from the comma behind its id on, each with an end of line.
    tails: Vec<u8>,
    rows: u64,
    first_at: i64,
    last_at: i64,
}

impl AuditLines {
    /// Encodes the rows.
    ///
    /// # Errors
    /// When a row has no JSON form; none that `core` can make is so.
    pub fn encode(rows: &[AuditRow]) -> Result<Self, serde_json::Error> {
        let mut lines = Self {
            tails: Vec::with_capacity(rows.len() * ROW_BYTES),
            ..Self::default()
        };
        for row in rows {
            let start = lines.tails.len();
            row.write_json(&mut lines.tails)?;
            // The row's opening brace becomes the comma between its id and its first field.
            lines.tails[start] = b',';
            lines.tails.push(b'\n');
            let at = row.timestamp.as_micros();
            lines.first_at = if lines.rows == 0 {
                at
            } else {
                lines.first_at.min(at)
            };
            lines.last_at = if lines.rows == 0 {
                at
            } else {
                lines.last_at.max(at)
            };
            lines.rows += 1;
        }
        Ok(lines)
    }

    /// How many.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Times of the earliest and the latest row. Of no meaning without rows.
    pub fn times(&self) -> (i64, i64) {
        (self.first_at, self.last_at)
    }

    /// The tails, without their ends of line.
    pub fn tails(&self) -> impl Iterator<Item = &[u8]> {
        self.tails
            .split_inclusive(|byte| *byte == b'\n')
            .map(|line| &line[..line.len() - 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_place_and_read_back() {
        assert_eq!(row_id("abcdef", 1), "log_abcdef_000000000001");
        assert_eq!(row_id("abcdef", 33), "log_abcdef_000000000011");
        let seqs = [1, 31, 32, 1_000_000, (1 << 60) - 1];
        let ids: Vec<_> = seqs.iter().map(|seq| row_id("zz2345", *seq)).collect();
        assert!(ids.is_sorted());
        for (seq, id) in seqs.iter().zip(&ids) {
            let line = format!("{{\"id\":\"{id}\",\"timestamp\":1}}");
            assert_eq!(line_seq(line.as_bytes(), "zz2345"), Some(*seq));
            assert_eq!(line_seq(line.as_bytes(), "zz2346"), None);
        }
        assert_eq!(line_seq(b"{\"id\":\"log_zz2345_0000", "zz2345"), None);
        assert_eq!(line_seq(b"", "zz2345"), None);
    }
}
