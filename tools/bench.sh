#!/usr/bin/env bash
# bench.sh [flags of bench/engine_cpu.py]: the matrix products alone, then the whole engine.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release-cpu -DPEGAINFER_BENCH=ON >/dev/null
cmake --build --preset release-cpu --target pegainfer bench_linear
build/release-cpu/bench/bench_linear
bench/engine_cpu.py "$@"
