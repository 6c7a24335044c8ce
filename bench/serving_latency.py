#!/usr/bin/env python3
"""What a user feels of the scheduler, on the default model: the first token behind a shared prefix, and the longest gap in a
running stream while a long prompt arrives. Needs no package.

    bench/serving_latency.py [--binary build/release-cpu/src/apps/pegainfer] [--model .models/...gguf] [--runs 5]
"""

from __future__ import annotations

import argparse
import http.client
import json
import pathlib
import random
import statistics
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BUDGET = 512  # tokens of a full step


def connect(port: int, prompt: list[int], max_tokens: int) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    body = {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0, "stream": True, "ignore_eos": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection.getresponse()


def token_times(port: int, prompt: list[int], max_tokens: int) -> list[float]:
    """Seconds from the request to each token."""
    start = time.perf_counter()
    times = []
    for line in connect(port, prompt, max_tokens):
        if line.startswith(b"data: {"):
            times.append(time.perf_counter() - start)
    return times


def tokens(count: int) -> list[int]:
    return [random.randrange(100, 40000) for _ in range(count)]


def shared_prefix(port: int, runs: int) -> None:
    cold, warm = [], []
    for _ in range(runs):
        prompt = tokens(1024)
        cold.append(token_times(port, prompt + tokens(16), 1)[0])
        warm.append(token_times(port, prompt + tokens(16), 1)[0])
    c, w = statistics.median(cold), statistics.median(warm)
    print(f"1,024-token shared prefix, 16 more tokens, TTFT: cold {c * 1e3:.1f} ms, warm {w * 1e3:.1f} ms, ratio {w / c:.3f} (target 0.10)")


def longest_gap(port: int, runs: int) -> None:
    """A full step is what the last chunk of the same prompt adds when it is alone: two prompts a budget apart."""
    gaps, steps, usual = [], [], []
    for _ in range(runs):
        whole = tokens(4000)
        steps.append(token_times(port, tokens(4000), 1)[0] - token_times(port, tokens(4000 - BUDGET), 1)[0])
        arrivals: list[float] = []
        begun = threading.Event()

        def stream() -> None:
            for line in connect(port, tokens(16), 1200):
                if line.startswith(b"data: {"):
                    arrivals.append(time.perf_counter())
                    begun.set()

        reader = threading.Thread(target=stream)
        reader.start()
        begun.wait()
        time.sleep(0.3)
        begin = time.perf_counter()
        first = begin + token_times(port, whole, 1)[0]
        reader.join()
        inside = [(a, b) for a, b in zip(arrivals, arrivals[1:]) if b > begin and a < first]
        gaps.append(max(b - a for a, b in inside))
        usual.append(statistics.median(b - a for a, b in zip(arrivals, arrivals[1:]) if b < begin))
    g, s, u = statistics.median(gaps), statistics.median(steps), statistics.median(usual)
    print(f"running stream while a 4,000-token prompt arrives: longest gap {g * 1e3:.1f} ms (usually {u * 1e3:.1f} ms); "
          f"a full step of {BUDGET} tokens {s * 1e3:.1f} ms; ratio {g / s:.2f} (target 1.3)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=ROOT / "build/release-cpu/src/apps/pegainfer")
    parser.add_argument("--model", default=ROOT / ".models/SmolLM2-135M-Instruct.Q4_1.gguf")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    random.seed(1)
    server = subprocess.Popen([str(args.binary), "serve", str(args.model), "--port", "0", "--log-level", "error",
                               "--max-num-batched-tokens", str(BUDGET), "--kv-cache-memory-bytes", "1G"],
                              stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        for _ in range(600):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                break
            time.sleep(0.05)
        token_times(port, tokens(64), 8)  # warm
        shared_prefix(port, args.runs)
        longest_gap(port, args.runs)
    finally:
        server.terminate()
        server.wait(30)


if __name__ == "__main__":
    main()
