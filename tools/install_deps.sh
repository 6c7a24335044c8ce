#!/usr/bin/env bash
# Installs the Debian packages the build and the tests need and that are missing. Never removes one. Does nothing when all
# are there.
set -euo pipefail

packages=(
  g++ cmake ninja-build make git pkg-config
  dpkg-dev file                            # make deb
  libboost1.81-dev libboost-json1.81-dev   # HTTP and JSON
  libcli11-dev libyaml-cpp-dev libspdlog-dev libfmt-dev  # command line, configuration, logs
  libpcre2-dev libutf8proc-dev libxxhash-dev  # tokenizers
  libssl-dev openssl                       # TLS, digests of API keys; the tests' certificates
  prometheus-cpp-dev                       # metrics
  libcurl4-openssl-dev                     # traces over OTLP
  libgtest-dev libgmock-dev                # tests
  curl                                     # the smoke test
  python3 python3-venv python3-pip         # the default model, end-to-end tests
)
case "${1:-}" in
  lint) packages+=(clang clang-format clang-tidy) ;;
  fuzz) packages+=(clang libclang-rt-14-dev llvm) ;;  # libFuzzer and the sanitizers; llvm names the lines of a finding
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  # Not a Debian: nothing to install with. The build works where the libraries are; CMake names what is missing.
  for tool in g++ cmake ninja pkg-config python3; do
    command -v "$tool" >/dev/null && continue
    echo "pegainfer: this system has no apt-get and no $tool. Install by hand: a C++20 compiler (g++ 12 or newer), CMake 3.25," \
         "Ninja, pkg-config, Python 3 with venv and pip, Boost 1.81 (headers, json), OpenSSL 3, CLI11, yaml-cpp, spdlog, fmt, PCRE2, utf8proc, xxHash," \
         "prometheus-cpp, libcurl, GoogleTest." >&2
    exit 1
  done
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true)
  [ "${status:0:2}" = ii ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "pegainfer: as root, run: apt-get install ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "pegainfer: installing ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-remove --no-install-recommends "${missing[@]}")
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Package lists may be missing or old: fetch them when the first try fails.
if ! "${install[@]}" >"$log" 2>&1; then
  "${as_root[@]}" apt-get update -qq >>"$log" 2>&1 || true
  "${install[@]}" >>"$log" 2>&1 || { tail -n 20 "$log" >&2; echo "pegainfer: could not install ${missing[*]}" >&2; exit 1; }
fi
