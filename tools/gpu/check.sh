#!/usr/bin/env bash
# Everything that needs a GPU, on a machine that has one: tools/gpu/check.sh BUILD [STAGE...]
#
# BUILD holds what a build makes (src/apps/pegainfer, libpegainfer_cuda.so, cuda_test, cuda_runner_test and the cuda_*_bench
# programs, in its own layout or all in one folder). Stages, all by default:
#   tests      every op against its CPU twin, tiny models against the CPU, captured steps against eager ones
#   sanitize   the same tests but for the large ones under compute-sanitizer's four tools
#   golden     logits of random models of real shapes against transformers (tools/gpu/golden.py; needs torch, transformers)
#   e2e        the server's end-to-end tests with the real binary (needs openai; PEGA_TINY_MODEL, made when it is missing)
#   kernels    each group's kernels, beside the ceilings of the same run
#   figures    whole steps of a 4B shape (bench/gpu/figures.py; needs torch)
# Logs go to $OUT (default: a new folder under /tmp); a short table comes last, and the exit status is 1 when a stage failed.
set -uo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "${1:?usage: check.sh BUILD [STAGE...]}" && pwd)
shift
stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(tests sanitize golden e2e kernels figures)
out=${OUT:-$(mktemp -d /tmp/pegainfer-gpu-XXXXXX)}
export PEGAINFER_CACHE_DIR=${PEGAINFER_CACHE_DIR:-$(mktemp -d /tmp/pegainfer-cache-XXXXXX)} PEGA_REQUIRE_GPU=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
table=()
failed=0

find_built() { find "$build" -name "$1" -type f | head -n 1; }
pegainfer=$(find_built pegainfer)

# run NAME SECONDS COMMAND...: its log, its last line for the table.
run() {
  local name=$1 limit=$2 begin=$SECONDS status=0
  shift 2
  timeout "$limit" "$@" >"$out/$name.log" 2>&1 || status=$?
  [ $status -eq 0 ] || failed=1
  table+=("$(printf '%-22s %-7s %4d s  %s' "$name" "$([ $status -eq 0 ] && echo ok || echo "FAILED $status")" \
    $((SECONDS - begin)) "$(grep -v '^$' "$out/$name.log" | tail -n 1 | cut -c1-110)")")
  echo "${table[-1]}"
}

tests() {
  run cuda_test 240 "$(find_built cuda_test)" --gtest_brief=1
  run cuda_runner_test 240 "$(find_built cuda_runner_test)" --gtest_brief=1
}

sanitize() {
  local tool=/usr/local/cuda/bin/compute-sanitizer check pids=()
  for check in memcheck racecheck initcheck synccheck; do
    # Side by side: each is bound by one host thread. Tests ask for more memory than there is, which is no error.
    local flags=()
    [ "$check" = memcheck ] && flags=(--report-api-errors no)
    timeout 560 "$tool" --tool "$check" "${flags[@]}" --error-exitcode 9 "$(find_built cuda_test)" --gtest_brief=1 \
      --gtest_filter="${SANITIZE_FILTER:--*Large*:*EveryRing*:CudaDeviceError*}" >"$out/$check.log" 2>&1 &
    pids+=("$check:$!")
  done
  for check in "${pids[@]}"; do
    local status=0 log="$out/${check%:*}.log" note
    wait "${check#*:}" || status=$?
    note=$(grep -E 'SUMMARY' "$log" | tail -n 1)
    # The library's own kernels are not ours to judge; leaving them out by name makes the tool itself fail.
    if [ $status -eq 9 ] && [ "${check%:*}" = racecheck ] && grep -q 'PASSED' "$log" &&
      ! grep -E '(Race reported|hazard)' "$log" | grep -v SUMMARY | grep -qv nvjet; then
      status=0 note="$note, all in the library's nvjet kernels"
    fi
    [ $status -eq 0 ] || failed=1
    table+=("$(printf '%-22s %-7s %s' "${check%:*}" "$([ $status -eq 0 ] && echo ok || echo "FAILED $status")" \
      "$note $(grep -E 'PASSED|FAILED' "$log" | head -n 1)")")
    echo "${table[-1]}"
  done
}

golden() {
  run golden 590 python3 "$here/tools/gpu/golden.py" --binary "$pegainfer" --json "$out/golden.json" ${GOLDEN_FLAGS:-}
}

e2e() {
  export PEGA_BINARY=$pegainfer PEGA_TINY_MODEL=${PEGA_TINY_MODEL:-$(mktemp -d /tmp/pegainfer-tiny-XXXXXX)}
  [ -f "$PEGA_TINY_MODEL/config.json" ] || python3 "$here/tests/e2e/make_model.py" "$PEGA_TINY_MODEL"
  local name
  # Not serving_core: it compares texts across batches and preemptions bit for bit, which only the CPU promises.
  for name in openai_client server_life observability; do
    run "e2e_$name" 200 python3 "$here/tests/e2e/${name}_test.py"
  done
  [ -z "${PEGA_DEFAULT_MODEL:-}" ] ||
    run golden_default_model 120 python3 "$here/tests/golden/completions_golden.py" "$pegainfer" "$PEGA_DEFAULT_MODEL" \
      "$here/tests/golden/smollm2-135m-instruct-q4_1.json" default
}

kernels() {
  local group
  for group in linear attention rows; do run "cuda_${group}_bench" 120 "$(find_built "cuda_${group}_bench")"; done
}

figures() {
  run figures 590 python3 "$here/bench/gpu/figures.py" --binary "$pegainfer" --json "$out/figures.json" ${FIGURES_FLAGS:-}
}

nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,memory.total --format=csv,noheader | tee "$out/card.txt"
for stage in "${stages[@]}"; do "$stage"; done
printf '\n%s\n' "logs: $out"
printf '%s\n' "${table[@]}" | tee "$out/table.txt"
exit $failed
