#!/usr/bin/env bash
# Starts `make serve` on a free loopback port, streams one completion of the default model with curl, and ends the server.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install_deps.sh
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
log=$(mktemp)
make serve PORT="$port" >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true; rm -f "$log"' EXIT

for _ in $(seq 600); do
  curl -fsS -o /dev/null "http://127.0.0.1:$port/readyz" 2>/dev/null && break
  kill -0 "$server" 2>/dev/null || { tail -n 20 "$log"; echo "smoke: the server ended before it was ready" >&2; exit 1; }
  sleep 0.5
done
answer=$(curl -fsSN --max-time 60 "http://127.0.0.1:$port/v1/completions" -H 'Content-Type: application/json' \
  -d '{"prompt": "The capital of France is", "max_tokens": 32, "temperature": 0, "stream": true}')
head -n 4 <<<"$answer"
grep -q 'Paris' <<<"$(sed -nE 's/.*"text":"([^"]*)".*/\1/p' <<<"$answer" | tr -d '\n')" || { echo "smoke: no Paris in the answer" >&2; exit 1; }
[ "$(tail -n 2 <<<"$answer" | head -n 1)" = 'data: [DONE]' ] || [ "$(tail -n 1 <<<"$answer")" = 'data: [DONE]' ] ||
  { echo "smoke: the stream does not end with [DONE]" >&2; exit 1; }

# The server itself, not make, gets the signal: it must end cleanly, and then so does make.
# (`read` fails on a file without a newline, as /proc's are: the value is what counts.)
child=
read -r child _ <"/proc/$server/task/$server/children" || true
[ -n "$child" ] || { echo "smoke: make serve has no child process to end" >&2; exit 1; }
kill -TERM "$child"
for _ in $(seq 100); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
kill -0 "$server" 2>/dev/null && { echo "smoke: the server did not end on SIGTERM" >&2; kill -KILL "$child"; exit 1; }
code=0
wait "$server" || code=$?
[ "$code" = 0 ] || { tail -n 5 "$log"; echo "smoke: make serve ended with $code" >&2; exit 1; }
echo "smoke: served and ended cleanly"
