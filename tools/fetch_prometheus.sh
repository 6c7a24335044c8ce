#!/usr/bin/env bash
# fetch_prometheus.sh DIR: Debian's prometheus and promtool in DIR/usr/bin, for the test of dashboard and alert rules. The package
# is unpacked and not installed: installing it would start a service. Does nothing when they are there or in PATH. Where they
# cannot be had it says so and succeeds; the test is then skipped, aloud.
set -euo pipefail
dir=$(realpath -m "$1")
if [ -x "$dir/usr/bin/promtool" ] || { command -v prometheus && command -v promtool; } >/dev/null; then exit 0; fi
give_up() { echo "pegainfer: no prometheus ($1): dashboard and alert rules will not be tested" >&2; exit 0; }
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || give_up "not a Debian"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
echo "pegainfer: fetching prometheus for the test of dashboard and alert rules" >&2
download() { (cd "$work" && apt-get download -qq prometheus >log 2>&1 && ls prometheus_*.deb >/dev/null 2>&1); }
if ! download; then  # package lists may be missing or old
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 || true
  download || give_up "$(tail -n 1 "$work/log" 2>/dev/null)"
fi
dpkg-deb -x "$work"/prometheus_*.deb "$work/tree" || give_up "the package cannot be unpacked"
mkdir -p "$dir/usr/bin"
mv "$work/tree/usr/bin/prometheus" "$dir/usr/bin/"
mv "$work/tree/usr/bin/promtool" "$dir/usr/bin/"  # last: its presence says that all is there
