"""guidellm: a short benchmark, of which every request must succeed with the tokens it asked for."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from server_under_test import MODEL, TOKENIZER, URL, has_chat

program = shutil.which("guidellm", path=str(pathlib.Path(sys.executable).parent))
assert program, "guidellm is not beside this Python"
kind = "chat_completions" if has_chat() else "text_completions"
with tempfile.TemporaryDirectory() as folder:
    output = pathlib.Path(folder) / "report.json"
    done = subprocess.run(
        [program, "benchmark", "--target", URL, "--model", MODEL, "--processor", TOKENIZER, "--rate-type", "concurrent", "--rate", "2", "--max-requests", "8",
         "--data", "prompt_tokens=24,output_tokens=12", "--output-path", str(output), "--disable-progress"],
        env=os.environ | {"GUIDELLM__PREFERRED_ROUTE": kind}, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    report = json.loads(output.read_text())
(benchmark,) = report["benchmarks"]
totals = benchmark["request_totals"]
assert totals["successful"] == 8 and totals["errored"] == 0, totals
tokens = benchmark["metrics"]["output_token_count"]["successful"]["mean"]
assert abs(tokens - 12) < 0.5, tokens
print(f"8 requests to {kind}, {tokens:g} tokens each")
