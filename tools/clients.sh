#!/usr/bin/env bash
# clients.sh [NAME...]: runs real clients, unchanged, against a server with the default model. Each is installed, pinned, into a
# folder of its own under .venv-clients; what cannot be installed is named at the end. Without names: all of them.
set -euo pipefail
cd "$(dirname "$0")/.."
exec .venv/bin/python tests/clients/run.py build/release-cpu/src/apps/pegainfer .models/SmolLM2-135M-Instruct.Q4_1.gguf .venv-clients "$@"
