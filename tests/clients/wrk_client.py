"""wrk: plain HTTP as fast as it comes, on /health and on a completion, without an error."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from server_under_test import MODEL, URL

tree = pathlib.Path(os.environ["PEGA_TREE"])
program = shutil.which("wrk") or str(tree / "usr" / "bin" / "wrk")
environment = os.environ | {"LD_LIBRARY_PATH": str(tree / "usr" / "lib" / "x86_64-linux-gnu")}


def run(*arguments: str) -> float:
    """Requests a second; an answer that is not 2xx or a socket error is a failure."""
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, check=True, env=environment)
    assert "Non-2xx" not in done.stdout and "Socket errors" not in done.stdout, done.stdout
    return float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])


health = run("-t1", "-c16", "-d3s", URL + "/health")
with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
    body = json.dumps({"model": MODEL, "prompt": "Hi", "max_tokens": 1})
    script.write(f"wrk.method = 'POST'\nwrk.body = [[{body}]]\nwrk.headers['Content-Type'] = 'application/json'\n")
    script.flush()
    completions = run("-t1", "-c4", "-d5s", "--timeout", "30s", "-s", script.name, URL + "/v1/completions")
assert health > 100 and completions > 0
print(f"/health {health:.0f}/s, /v1/completions of one token {completions:.1f}/s")
