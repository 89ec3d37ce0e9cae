//! Whether how long a comparison takes says where the first difference is: two classes of input, timed
//! in random turn, and Welch's t between them (the method known as dudect). Beside the product's own
//! comparisons stands one that stops at the first difference: it shows that the method would tell.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::Args;
use scaivault_core::ids::TenantId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::seal::{Place, Sealed, Sealer as _};
use scaivault_core::time::Timestamp;
use scaivault_crypto::signature::{verify_webhook, webhook_header};
use scaivault_crypto::{Keyring, RootKey};
use scaivault_testkit::SeededEntropy;

use crate::table::Table;

#[derive(Args, Clone)]
pub(crate) struct ConstantTimeArgs {
    /// Timings of each comparison.
    #[arg(long, default_value_t = 400_000)]
    pub(crate) samples: usize,
}

/// Above this the classes differ, whatever the reason.
const TELLS: f64 = 4.5;
/// Calls in one timing.
const CALLS: usize = 4;

pub(crate) fn run(args: &ConstantTimeArgs) -> Result<()> {
    println!("{}", measure(args)?);
    Ok(())
}

pub(crate) fn measure(args: &ConstantTimeArgs) -> Result<Table> {
    let title = format!(
        "Comparisons: wrong at the first byte, or at the last ({} timings each)",
        args.samples
    );
    let mut table = Table::new(
        title,
        &[
            "What",
            "First, ns",
            "Last, ns",
            "\\|t\\|",
            "Tells them apart",
        ],
    );
    let mut add = |what: &str, classes: &Classes<'_>| {
        let found = compare(args.samples, classes);
        let verdict = if found.t > TELLS { "yes" } else { "no" };
        let ns = |ns: f64| format!("{ns:.1}");
        table.row([
            what.to_owned(),
            ns(found.means[0]),
            ns(found.means[1]),
            format!("{:.1}", found.t),
            verdict.to_owned(),
        ]);
    };

    let secret = Plaintext::new(b"0123456789abcdef0123456789abcdef".to_vec());
    let body = br#"{"event_id":"evt_1"}"#;
    let right = webhook_header(&secret, 1_800_000_000, body).into_bytes();
    // Behind `sha256=`.
    let wrong = wrong_at(&right, ["sha256=".len(), right.len() - 1]);
    add(
        "the signature of a webhook",
        &Classes {
            inputs: wrong,
            check: &|header| {
                let header = std::str::from_utf8(header).unwrap_or_default();
                verify_webhook(&secret, 1_800_000_000, body, header)
            },
        },
    );

    let entropy = SeededEntropy::new(1);
    let root = RootKey::generate(&entropy);
    let now = Timestamp::from_secs(1_800_000_000);
    let keyring = Keyring::unlock(&root, &Keyring::first_records(&root, now, &entropy))?;
    let tenant = TenantId::parse("tnt_a").map_err(|error| anyhow!("{error}"))?;
    keyring.add(&keyring.first_key_of(&tenant, now, &entropy)?)?;
    let place = Place {
        tenant: &tenant,
        kind: "secret",
        path: "a",
        version: 1,
        field: "data",
    };
    let sealed = keyring
        .seal(place, &secret)
        .map_err(|error| anyhow!("{error}"))?
        .0;
    // The commitment is behind the format, the length and the key's id.
    let at = 2 + usize::from(sealed[1]);
    add(
        "the commitment of a sealed value",
        &Classes {
            inputs: wrong_at(&sealed, [at, at + 31]),
            check: &|sealed| keyring.open(place, &Sealed(sealed.to_vec())).is_ok(),
        },
    );

    let token = b"skt_0123456789abcdefghijklmnopqrstuvwxyz0123456789abc".to_vec();
    let known = keyring.token_hash(std::str::from_utf8(&token)?);
    add(
        "a token, hashed and looked for",
        &Classes {
            inputs: wrong_at(&token, [4, token.len() - 1]),
            check: &|token| {
                keyring.token_hash(std::str::from_utf8(token).unwrap_or_default()) == known
            },
        },
    );

    let long = vec![b'a'; 256];
    add(
        "for comparison: one that stops at the first difference",
        &Classes {
            inputs: wrong_at(&long, [0, long.len() - 1]),
            check: &|given| {
                given
                    .iter()
                    .zip(&long)
                    .all(|(one, other)| black_box(one) == black_box(other))
            },
        },
    );
    Ok(table)
}

/// The same bytes with one of them changed, at either place.
fn wrong_at(right: &[u8], places: [usize; 2]) -> [Vec<u8>; 2] {
    places.map(|place| {
        let mut wrong = right.to_vec();
        wrong[place] ^= 1;
        wrong
    })
}

struct Classes<'a> {
    inputs: [Vec<u8>; 2],
    check: &'a dyn Fn(&[u8]) -> bool,
}

struct Found {
    means: [f64; 2],
    t: f64,
}

fn compare(samples: usize, classes: &Classes<'_>) -> Found {
    let chance = SeededEntropy::new(7);
    let mut timed: Vec<(usize, f64)> = Vec::with_capacity(samples);
    // Both classes through one buffer, so that nothing else differs between them.
    let mut buffer = classes.inputs[0].clone();
    for _ in 0..samples {
        let class = usize::from(chance.below(2) == 1);
        buffer.copy_from_slice(&classes.inputs[class]);
        let begin = Instant::now();
        for _ in 0..CALLS {
            black_box((classes.check)(black_box(&buffer)));
        }
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a moment")]
        timed.push((class, begin.elapsed().as_nanos() as f64 / CALLS as f64));
    }
    // What something else interrupted says nothing: the slowest tenth is left out.
    let mut sorted: Vec<f64> = timed.iter().map(|(_, ns)| *ns).collect();
    sorted.sort_by(f64::total_cmp);
    let limit = sorted[sorted.len() * 9 / 10];
    let of = |class: usize| {
        Moments::of(
            timed
                .iter()
                .filter(|(of, ns)| *of == class && *ns <= limit)
                .map(|(_, ns)| *ns),
        )
    };
    let (first, last) = (of(0), of(1));
    let spread = (first.variance / first.count + last.variance / last.count).sqrt();
    Found {
        means: [first.mean, last.mean],
        t: ((first.mean - last.mean) / spread).abs(),
    }
}

struct Moments {
    count: f64,
    mean: f64,
    variance: f64,
}

impl Moments {
    fn of(all: impl Iterator<Item = f64>) -> Self {
        let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for one in all {
            count += 1.0;
            let off = one - mean;
            mean += off / count;
            squares += off * (one - mean);
        }
        Self {
            count,
            mean,
            variance: squares / (count - 1.0_f64).max(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_definition() {
        let found = Moments::of([2.0, 4.0, 6.0, 8.0].into_iter());
        assert!((found.mean - 5.0).abs() < 1e-9 && (found.variance - 20.0 / 3.0).abs() < 1e-9);
    }
}
