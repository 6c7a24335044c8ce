#!/usr/bin/env python3
"""The fidelity gate through the whole path: /v1/completions with echo and logprobs against the references of this folder.

    completions_golden.py BINARY MODEL REFERENCE.json RUN     RUN: bf16, f32 (a tiny model), or default

Limits as in golden_test.cpp: bf16 against transformers' bf16 run, mean 0.03 and p99 0.12 or the reference's own drift where
that is larger; f32 against the f32 run, 1e-3; the quantized default model against F32 arithmetic on its dequantized weights,
mean 0.06 and p99 0.30.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_ready(port: int, server: subprocess.Popen) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise SystemExit("the server did not become ready")


def score(port: int, ids: list[list[int]]) -> list[list[float]]:
    """Log-probabilities of every token but the first of each prompt, all prompts in one request."""
    body = {"prompt": ids, "max_tokens": 0, "echo": True, "logprobs": 0, "temperature": 0}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", data=json.dumps(body).encode(),
                                     headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        choices = sorted(json.load(answer)["choices"], key=lambda c: c["index"])
    scored = []
    for prompt, choice in zip(ids, choices, strict=True):
        logprobs = choice["logprobs"]["token_logprobs"]
        assert len(logprobs) == len(prompt) and logprobs[0] is None, (len(logprobs), len(prompt))
        scored.append(logprobs[1:])
    return scored


def main() -> int:
    binary, model, reference_path, run = sys.argv[1:5]
    with open(reference_path, encoding="utf-8") as file:
        reference = json.load(file)
    drift = reference["drift_bf16"]
    against, mean_limit, p99_limit, dtype = {
        "bf16": ("logprobs_bf16", max(0.03, drift["mean"]), max(0.12, drift["p99"]), "bfloat16"),
        "f32": ("logprobs_f32", 1e-3, 1e-3, "float32"),
        "default": ("logprobs_f32", 0.06, 0.30, "auto"),
    }[run]

    port = free_port()
    with subprocess.Popen([binary, "serve", model, "--port", str(port), "--dtype", dtype, "--log-level", "error"]) as server:
        try:
            wait_ready(port, server)
            cases = reference["prompts"]
            deltas = []
            for begin in range(0, len(cases), 4):
                some = cases[begin:begin + 4]
                for case, scored in zip(some, score(port, [c["ids"] for c in some]), strict=True):
                    deltas += [abs(a - b) for a, b in zip(scored, case[against], strict=True)]
        finally:
            server.terminate()
            server.wait(timeout=60)
    deltas.sort()
    mean, p99 = sum(deltas) / len(deltas), deltas[int(0.99 * (len(deltas) - 1))]
    good = mean <= mean_limit and p99 <= p99_limit
    print(f"{reference['model']} {run}: {len(deltas)} tokens, |delta log-prob| mean {mean:.4f} (limit {mean_limit:.4f}), "
          f"p99 {p99:.4f} (limit {p99_limit:.4f}), max {deltas[-1]:.4f}: {'ok' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
