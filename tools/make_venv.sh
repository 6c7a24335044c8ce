#!/usr/bin/env bash
# make_venv.sh DIR: a Python environment with what the end-to-end tests use. Does nothing when it is up to date.
set -euo pipefail
dir=$1
here=$(dirname "$0")
stamp=$dir/.requirements
if [ -x "$dir/bin/python" ] && cmp -s "$here/test_requirements.txt" "$stamp"; then exit 0; fi
echo "pegainfer: making $dir for the end-to-end tests (openai, tokenizers, numpy, ...)" >&2
rm -rf "$dir"
python3 -m venv "$dir"
"$dir/bin/pip" install --quiet --disable-pip-version-check -r "$here/test_requirements.txt"
cp "$here/test_requirements.txt" "$stamp"
