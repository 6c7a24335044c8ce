#!/usr/bin/env bash
# bench.sh [flags of bench/engine_cpu.py]: the matrix products alone, the host's part of a step, then the whole engine.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --preset release-cpu -DPEGAINFER_BENCH=ON >/dev/null
cmake --build --preset release-cpu --target pegainfer bench_linear bench_step
build/release-cpu/bench/bench_linear
build/release-cpu/bench/bench_step 1024 200
bench/engine_cpu.py "$@"
