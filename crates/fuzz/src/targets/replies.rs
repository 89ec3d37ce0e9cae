//! What a Redis server answers: any bytes end the call in time, and no more comes of them than was
//! sent.

use std::sync::OnceLock;

use scaivault_connectors::redis::probes::reply;

use crate::target::{Target, texts};

pub(crate) const TARGET: Target = Target {
    name: "replies",
    seeds: || {
        texts(&[
            "+OK\r\n",
            "*2\r\n$1\r\na\r\n*1\r\n:7\r\n",
            "$4\r\na\r\nb\r\n",
            "-NOPERM this user has no permissions\r\n",
            "*3\r\n$5\r\nflags\r\n*1\r\n$2\r\non\r\n$-1\r\n",
        ])
    },
    words: &[
        "\r\n",
        "*1\r\n",
        "$-1\r\n",
        "*9999999999\r\n",
        "$9223372036854775807\r\n",
        "*-1\r\n",
        ":",
        "-",
        "+",
        "*1\r\n*1\r\n*1\r\n",
    ],
    run,
};

fn run(data: &[u8]) {
    static RUNTIME: OnceLock<std::sync::Mutex<tokio::runtime::Runtime>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let built = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        std::sync::Mutex::new(built.expect("a runtime"))
    });
    let runtime = runtime
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Ok((values, bytes)) = runtime.block_on(reply(data)) {
        assert!(
            values <= data.len() && bytes <= data.len(),
            "{values} {bytes}"
        );
    }
}
