//! The audit chain: whatever is done to a stored segment, the verifier accepts the one that was
//! written alone, and names a row otherwise. The input is its links, its lines, or another head.

use std::sync::OnceLock;

use scaivault_core::audit::AuditFilter;
use scaivault_core::ids::TenantId;
use scaivault_store::ChainMac;
use scaivault_store::audit::{
    AuditLines, Segment, SegmentBuilder, Sieve, Verifier, genesis, mac_message, row_keys,
};

use super::fixture::keyring;
use crate::target::Target;

pub(crate) const TARGET: Target = Target {
    name: "audit",
    seeds: || {
        let good = good();
        let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
        vec![
            with(0, &good.body),
            with(1, &good.links),
            with(2, &good.head),
            with(3, &mac()),
            with(4, &good.rows.to_be_bytes()),
            with(5, &good.first_at.to_be_bytes()),
        ]
    },
    words: &[
        "\n",
        "{\"id\":\"log_abcdef_000000000001\"",
        "\"tenant_id\":\"tnt_b\"",
        "\"success\":false",
        "\0",
        "\\u0000",
        "}",
        "{",
    ],
    run,
};

const CHAIN: &str = "abcdef";

struct Mac;

impl ChainMac for Mac {
    fn mac(&self, message: &[u8]) -> [u8; 32] {
        keyring().chain_mac(message)
    }
}

fn good() -> &'static SegmentBuilder {
    static GOOD: OnceLock<SegmentBuilder> = OnceLock::new();
    GOOD.get_or_init(|| {
        let line = |seq: u64, path: &str| {
            format!(
                r#"{{"timestamp":{},"tenant_id":"tnt_a","action":"read","identity_type":"service_account","identity_id":"sa:app","secret_path":"{path}","success":true,"duration_ms":{seq}}}"#,
                1_800_000_000_000_000 + seq
            )
        };
        let rows: Vec<_> = [line(1, "app/db"), line(2, "app/x"), line(3, "b")]
            .iter()
            .map(|line| serde_json::from_str(line).expect("a row"))
            .collect();
        let mut builder = SegmentBuilder::default();
        builder.begin(0, genesis(CHAIN));
        builder.push(CHAIN, &AuditLines::encode(&rows).expect("lines"));
        builder
    })
}

fn mac() -> [u8; 32] {
    let good = good();
    Mac.mac(&mac_message(
        CHAIN,
        good.first_seq,
        good.last_seq(),
        &good.head,
    ))
}

fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    let (good, code) = (good(), mac());
    let number = || {
        bytes
            .first_chunk()
            .map(|bytes| u64::from_be_bytes(*bytes))
            .unwrap_or(0)
    };
    let mut segment = Segment {
        first_seq: good.first_seq,
        rows: good.rows,
        first_at: good.first_at,
        last_at: good.last_at,
        prev: &good.prev,
        head: &good.head,
        mac: &code,
        links: &good.links,
        body: &good.body,
    };
    let same = match kind % 6 {
        0 => {
            segment.body = bytes;
            bytes == good.body
        }
        1 => {
            segment.links = bytes;
            bytes == good.links
        }
        2 => {
            segment.head = bytes;
            bytes == good.head
        }
        3 => {
            segment.mac = bytes;
            bytes == code
        }
        4 => {
            segment.rows = number();
            segment.rows == good.rows
        }
        _ => {
            segment.first_at = number().cast_signed();
            segment.first_at == good.first_at
        }
    };
    let mut verifier = Verifier::new(CHAIN.to_owned(), Some(&Mac));
    let _ = verifier.segment(&segment);
    let report = verifier.report();
    assert_eq!(report.first_bad.is_none(), same, "{report:?}");
    assert!(report.rows <= good.rows);
    lines(bytes);
}

/// Lines by themselves: whatever they are, the index and the sieve take them or leave them.
fn lines(bytes: &[u8]) {
    let filter = AuditFilter {
        tenant: Some(TenantId::parse("tnt_a").expect("an id")),
        ..AuditFilter::default()
    };
    let sieve = Sieve::new(&filter);
    for line in bytes.split(|byte| *byte == b'\n') {
        let keys = row_keys(line).count();
        assert!(keys <= 2);
        if let Ok(Some(row)) = sieve.row(line) {
            assert_eq!(row.tenant_id.as_str(), "tnt_a", "of another tenant");
        }
    }
}
