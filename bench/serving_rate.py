#!/usr/bin/env python3
"""Requests a second end to end over HTTP, with a model that costs nothing but the time of its steps: what server and client need.

Each row is a `bench sim-serve` whose steps take --step-ms, and a `bench serve` on the same machine, streaming 16 tokens a request. "allowed"
is what such steps allow at best: sequences / (tokens * step). "together" is the share of tokens that came in one read with the one before:
where it is high, the server fell behind the steps and sent several at a time. Needs nothing but Python and the binary.

    bench/serving_rate.py [--rows 10:512 5:512 1:64 0:64] [--seconds 5] [--runs 3]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
TOGETHER_SECONDS = 20e-6  # a read and the parsing of what it brought take longer than the next event of the same read


def cpu_seconds(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    connection.close()
    return float(re.search(r"^process_cpu_seconds_total (\S+)$", page, re.MULTILINE)[1])


def wait_ready(port: int) -> None:
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/readyz")
        if connection.getresponse().status == 200:
            return
        time.sleep(0.05)
    raise TimeoutError("the server does not become ready")


def load(binary: str, port: int, requests: int, seqs: int, tokens: int, folder: str) -> tuple[dict, float, float]:
    """The saved result, and CPU seconds of server and client."""
    server_before, client_before = cpu_seconds(port), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([binary, "bench", "serve", "--port", str(port), "--num-prompts", str(requests), "--random-input-len", "8",
                           "--random-output-len", str(tokens), "--max-concurrency", str(seqs), "--ignore-eos", "--disable-progress",
                           "--save-detailed", "--result-dir", folder, "--result-filename", "result.json"],
                          check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"bench serve: {done.stderr}")
    client_after = resource.getrusage(resource.RUSAGE_CHILDREN)
    client = client_after.ru_utime + client_after.ru_stime - client_before.ru_utime - client_before.ru_stime
    server = cpu_seconds(port) - server_before
    return json.loads(pathlib.Path(folder, "result.json").read_text(encoding="utf-8")), server, client


def row(args: argparse.Namespace, step_ms: float, seqs: int, folder: str) -> None:
    profile = pathlib.Path(folder, "profile.json")
    profile.write_text(json.dumps({"base": "instant", "step_overhead_s": step_ms / 1e3}), encoding="utf-8")
    allowed = seqs / (args.tokens * step_ms / 1e3) if step_ms > 0 else float("inf")
    requests = max(4 * seqs, int(args.seconds * min(allowed, args.expected)))
    server = subprocess.Popen([args.binary, "bench", "sim-serve", "--profile", str(profile), "--port", "0", "--max-num-seqs", str(seqs),
                               "--max-num-batched-tokens", str(9 * seqs), "--max-connections", str(seqs + 64), "--disable-log-stats"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        wait_ready(port)
        load(args.binary, port, 2 * seqs, seqs, args.tokens, folder)  # warm
        runs = sorted((load(args.binary, port, requests, seqs, args.tokens, folder) for _ in range(args.runs)),
                      key=lambda run: run[0]["request_throughput"])
    finally:
        server.terminate()
        server.wait(60)
    result, server_cpu, client_cpu = runs[len(runs) // 2]
    itls = [itl for request in result["itls"] for itl in request]
    events = result["total_output_tokens"]
    rates = [run[0]["request_throughput"] for run in runs]
    print(f"| {step_ms:g} | {seqs} | {allowed:,.0f} | {statistics.median(rates):,.0f} ({rates[0]:,.0f} .. {rates[-1]:,.0f}) | "
          f"{result['output_throughput']:,.0f} | {result['failed']} | {result['mean_tpot_ms']:.2f} | {result['p99_itl_ms']:.2f} | "
          f"{100 * sum(itl < TOGETHER_SECONDS for itl in itls) / len(itls):.1f} | {1e6 * server_cpu / events:.1f} | "
          f"{1e6 * client_cpu / events:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release-cpu/src/apps/pegainfer"))
    parser.add_argument("--rows", nargs="+", default=["10:512", "5:256", "5:512", "2:512", "1:64", "1:512", "0:64"],
                        help="step in ms : sequences at once")
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5, help="about so long a run, if --expected is right")
    parser.add_argument("--expected", type=float, default=5000, help="requests a second, to size a run by")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}; {args.runs} runs each, medians by requests/s")
    print("| step ms | sequences | allowed req/s | req/s (min .. max) | tokens/s | failed | TPOT ms | ITL p99 ms | together % | "
          "server CPU us/token | client CPU us/token |\n|---|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for text in args.rows:
            step, seqs = text.split(":")
            row(args, float(step), int(seqs), folder)


if __name__ == "__main__":
    main()
