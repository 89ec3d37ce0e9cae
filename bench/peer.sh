#!/bin/sh
# The product beside a peer: builds both, measures, and draws the plots of docs/plots again.
# Once both are built it is meant for some 12 minutes on a quiet machine, storing a million secrets
# included; on a busy one it takes longer.
#
#   bench/peer.sh                    everything
#   SCAIVAULT_BENCH_QUICK=1 bench/peer.sh     one short round of everything, to see that it runs
#   SCAIVAULT_BENCH_DIR=/mnt/disk bench/peer.sh   where the data goes; by default the temporary directory
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
bench=$target/release/scaivault-bench
json=docs/plots/results.json
dir=${SCAIVAULT_BENCH_DIR:-${TMPDIR:-/tmp}}

cargo build --release -p scaivault -p scaivault-bench
"$bench" peer --install

if [ -n "${SCAIVAULT_BENCH_QUICK:-}" ]; then
    json=$target/peer/quick.json
    plots=$target/peer/plots
    short='--rounds 1 --seconds 0.3'
    "$bench" peer --dir "$dir" --secrets 1000 $short --json "$json"
    "$bench" peer --dir "$dir" --secrets 100 $short --tls --json "$json"
    "$bench" peer --dir "$dir" --secrets 1000 $short --store postgresql --json "$json"
    "$bench" sizes --dir "$dir" --secrets 1000,100,10000 $short --starts 1 --json "$json"
else
    plots=docs/plots
    rm -f "$json"
    "$bench" peer --dir "$dir" --secrets 100000 --rounds 3 --seconds 1 --json "$json"
    "$bench" peer --dir "$dir" --secrets 100 --rounds 3 --seconds 0.7 --tls --json "$json"
    "$bench" peer --dir "$dir" --secrets 10000 --rounds 3 --seconds 0.7 --store postgresql --json "$json"
    "$bench" sizes --dir "$dir" --secrets 1000,100,100000,1000000 --json "$json"
fi
"$bench" plot --from "$json" --to "$plots"
