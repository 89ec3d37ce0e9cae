#!/bin/sh
# The product beside a peer: builds one, downloads the other, measures, draws the plots of docs/plots
# again and puts the tables into docs/performance.md. Some 12 minutes on a quiet machine once it is
# built, a million secrets included; on a busy one it takes longer.
#
#   bench/peer.sh                    everything
#   SCAIVAULT_BENCH_QUICK=1 bench/peer.sh     one short round of everything, to see that it runs
#   SCAIVAULT_BENCH_DIR=/mnt/disk bench/peer.sh   where the data goes; by default the temporary directory
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
bench=$target/release/scaivault-bench
dir=${SCAIVAULT_BENCH_DIR:-${TMPDIR:-/tmp}}

cargo build --release -p scaivault -p scaivault-bench
"$bench" peer --install

if [ -n "${SCAIVAULT_BENCH_QUICK:-}" ]; then
    plots=$target/peer/plots
    length='--rounds 1 --seconds 0.4'
    secrets=1000
    sizes='--secrets 1000,10000 --starts 1'
else
    plots=docs/plots
    length='--rounds 3 --seconds 1'
    secrets=10000
    sizes='--secrets 1000,100000,1000000'
fi
json=$plots/results.json
rm -f "$json"

# Words of these are options of their own.
# shellcheck disable=SC2086
compare() {
    "$bench" peer --dir "$dir" --json "$json" --secrets "$secrets" $length "$@"
}

compare
compare --tls --work read,write --connections 64 --open-share 0
compare --store postgresql --work read,write --connections 64,256 --open-share 0
# shellcheck disable=SC2086
"$bench" sizes --dir "$dir" --json "$json" $length $sizes
"$bench" plot --from "$json" --to "$plots"
if [ -n "${SCAIVAULT_BENCH_QUICK:-}" ]; then
    "$bench" table --from "$json"
else
    "$bench" table --from "$json" --into docs/performance.md
fi
