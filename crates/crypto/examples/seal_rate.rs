//! How long sealing and opening take, on one core: `cargo run --release --example seal_rate`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use scaivault_core::ids::TenantId;
use scaivault_core::plaintext::Plaintext;
use scaivault_core::seal::{KeyPurpose, Place, Sealer};
use scaivault_core::time::Timestamp;
use scaivault_crypto::root::passphrase;
use scaivault_crypto::{Keyring, RootKey, SystemEntropy};

const ROUNDS: u32 = 200_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let now = Timestamp::from_secs(1_700_000_000);
    let root = RootKey::generate(&SystemEntropy);
    let tenant = TenantId::parse("tnt_01HQZX9V3N8K2M4P6R7S9T0W1Y")?;
    let keyring = Keyring::unlock(&root, &Keyring::first_records(&root, now, &SystemEntropy))?;
    let record = keyring.create_key(KeyPurpose::Tenant, Some(&tenant), now, &SystemEntropy)?;
    keyring.add(&record)?;
    let place = Place {
        tenant: &tenant,
        kind: "secret",
        path: "production/payments/database/main",
        version: 12,
        field: "data",
    };
    for size in [32, 500, 4_096, 65_536] {
        let value = Plaintext::new(vec![b'x'; size]);
        let sealed = keyring.seal(place, &value)?;
        let seal = time(|| drop(black_box(keyring.seal(place, black_box(&value)))));
        let open = time(|| drop(black_box(keyring.open(place, black_box(&sealed)))));
        println!("{size:>6} bytes: seal {seal:?}, open {open:?}");
    }
    let hash = time(|| {
        black_box(keyring.token_hash(black_box("skt_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")));
    });
    println!("token hash {hash:?}");
    let start = Instant::now();
    passphrase::create(
        &Plaintext::new(b"correct horse battery staple".to_vec()),
        &SystemEntropy,
    )?;
    println!("root key from a passphrase {:?}", start.elapsed());
    Ok(())
}

/// The best of five runs: the rest is other people's load.
fn time(mut body: impl FnMut()) -> Duration {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..ROUNDS / 5).for_each(|_| body());
            start.elapsed() / (ROUNDS / 5)
        })
        .min()
        .unwrap_or_default()
}
