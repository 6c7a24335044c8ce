#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: runs the fuzz targets of build/fuzz that long each, as many at once as JOBS says, and prints what each
# did. Starts from the committed inputs (tests/fuzz/corpus) and from what earlier runs found (build/fuzz/corpus). An input that
# crashes, leaks, is slow or takes too much memory is left in build/fuzz/findings, and the exit status is 1.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=$1
shift
jobs=${JOBS:-$(nproc)}
binaries=build/fuzz/fuzz
if [ $# -eq 0 ]; then
  for binary in "$binaries"/*_fuzz; do set -- "$@" "$(basename "$binary" _fuzz)"; done
fi

run_one() {
  local target=$1 corpus=build/fuzz/corpus/$1 log=build/fuzz/logs/$1.log dictionary=tests/fuzz/dictionaries/$1.dict
  mkdir -p "$corpus" build/fuzz/logs build/fuzz/findings
  # Short inputs are tried more often; files need room for their parts.
  local length=512
  case $target in gguf | tokenizer_json | hf_config | safetensors) length=2048 ;; esac
  local options=(-max_total_time="$seconds" -max_len=$length -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=512 -print_final_stats=1
                 -artifact_prefix="build/fuzz/findings/$target-")
  if [ -e "$dictionary" ]; then options+=(-dict="$dictionary"); fi
  local status=0
  "$binaries/${target}_fuzz" "${options[@]}" "$corpus" "tests/fuzz/corpus/$target" >"$log" 2>&1 || status=$?
  local executions
  executions=$(sed -n 's/^stat::number_of_executed_units: //p' "$log" | tail -n 1)
  printf '%-16s %12s executions\n' "$target" "${executions:-0}"
  [ $status -eq 0 ] && return 0
  echo "$target: a finding (status $status):" >&2
  grep -nE '^(SUMMARY|==[0-9]+==ERROR|Test unit written to)|CHECK|runtime error' "$log" >&2 || tail -n 30 "$log" >&2
  return 1
}
export -f run_one
export seconds binaries
printf '%s\n' "$@" | xargs -P "$jobs" -I '{}' bash -c 'set -euo pipefail; run_one {}'
