#!/usr/bin/env python3
"""Our server and another OpenAI-compatible one under the same load on this machine, one after the other, in turns.

The load is `pegainfer bench serve`: by default 64 requests of 128 random tokens in and 128 out, 16 at once. Ours serves --model; the other is
one that runs already (--peer-url), or a command that is started for each turn and ended after it (--peer-command, in which {port} is a free
port and {model} is --model), so that neither has the other beside it. Without a peer only ours is measured. Nothing but Python is needed.

    bench/serving_peer.py --peer-command 'llama-server -m {model} --port {port} -np 16 -c 8192 -t 2'
    bench/serving_peer.py --peer-url http://127.0.0.1:8001 --peer-model served-name --runs 5
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLUMNS = [("output tok/s", "output_throughput", "{:,.1f}"), ("req/s", "request_throughput", "{:.2f}"), ("TTFT ms", "median_ttft_ms", "{:,.0f}"),
           ("TTFT p99", "p99_ttft_ms", "{:,.0f}"), ("TPOT ms", "median_tpot_ms", "{:.1f}"), ("ITL p99", "p99_itl_ms", "{:.1f}"),
           ("failed", "failed", "{:.0f}"), ("tokens", "total_output_tokens", "{:,.0f}")]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def started(command: list[str], url: str, seconds: float):
    """A server that answers /v1/models, ended by its own process id."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + seconds
        while not ready(url):
            if process.poll() is not None:
                sys.exit(f"ended with {process.returncode}: {shlex.join(command)}")
            if time.monotonic() > deadline:
                sys.exit(f"not ready after {seconds:.0f} s: {shlex.join(command)}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ready(url: str) -> bool:
    """Some servers open their port, and list their model, before it is loaded; their /health says 503 then."""
    for path, fine in (("/v1/models", (200,)), ("/health", (200, 404))):
        try:
            with urllib.request.urlopen(url + path, timeout=10) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            with error:
                status = error.code
        except OSError:
            return False
        if status not in fine:
            return False
    return True


def load(args: argparse.Namespace, url: str, model: str | None, seed: int) -> dict:
    """One run's figures, after a short one that warms the server up with other prompts."""
    with tempfile.TemporaryDirectory() as folder:
        def bench(requests: int, run_seed: int) -> None:
            done = subprocess.run([args.binary, "bench", "serve", "--base-url", url, "--num-prompts", str(requests),
                                   "--random-input-len", str(args.input_len), "--random-output-len", str(args.output_len),
                                   "--max-concurrency", str(args.concurrency), "--ignore-eos", "--disable-progress", "--seed", str(run_seed),
                                   "--save-result", "--result-dir", folder, "--result-filename", "result.json", *(["--model", model] if model else [])],
                                  check=False, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(f"bench serve against {url}: {done.stderr}")
        bench(min(args.requests, args.concurrency), seed + 1_000_000)
        bench(args.requests, seed)
        return json.loads(pathlib.Path(folder, "result.json").read_text(encoding="utf-8"))


def measure_ours(args: argparse.Namespace, seed: int) -> dict:
    port = free_port()
    command = [args.binary, "serve", args.model, "--port", str(port), "--log-level", "error", *shlex.split(args.flags)]
    with started(command, f"http://127.0.0.1:{port}", args.start_seconds):
        return load(args, f"http://127.0.0.1:{port}", None, seed)


def measure_peer(args: argparse.Namespace, seed: int) -> dict:
    if args.peer_url:
        return load(args, args.peer_url.rstrip("/"), args.peer_model, seed)
    port = free_port()
    command = [part.format(port=port, model=args.model) for part in shlex.split(args.peer_command)]
    with started(command, f"http://127.0.0.1:{port}", args.start_seconds):
        return load(args, f"http://127.0.0.1:{port}", args.peer_model, seed)


def median_row(name: str, runs: list[dict]) -> None:
    print(f"| {name} | " + " | ".join(form.format(statistics.median(run[key] for run in runs)) for _, key, form in COLUMNS) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release-cpu/src/apps/pegainfer"))
    parser.add_argument("--model", default=str(ROOT / ".models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--flags", default=f"--threads {os.cpu_count()}", help="of our server")
    peer = parser.add_mutually_exclusive_group()
    peer.add_argument("--peer-url")
    peer.add_argument("--peer-command")
    parser.add_argument("--peer-model", help="its model's name; default: the first it lists")
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--input-len", type=int, default=128)
    parser.add_argument("--output-len", type=int, default=128)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--runs", type=int, default=3, help="turns of each")
    parser.add_argument("--start-seconds", type=float, default=120, help="a server may take to become ready")
    args = parser.parse_args()
    ours, theirs = [], []
    print(f"{os.cpu_count()} cores, load average before {os.getloadavg()[0]:.1f}; {args.requests} requests of {args.input_len} in / "
          f"{args.output_len} out, {args.concurrency} at once; medians of {args.runs}", flush=True)
    for seed in range(args.runs):
        ours.append(measure_ours(args, seed))
        if args.peer_url or args.peer_command:
            theirs.append(measure_peer(args, seed))
        print(f"turn {seed + 1}: ours {ours[-1]['output_throughput']:.1f} tok/s"
              + (f", peer {theirs[-1]['output_throughput']:.1f} tok/s" if theirs else ""), file=sys.stderr, flush=True)
    print("| server | " + " | ".join(name for name, _, _ in COLUMNS) + " |\n|" + "---|" * (len(COLUMNS) + 1))
    median_row("pegainfer", ours)
    if theirs:
        median_row("peer", theirs)
        ratios = sorted(a["output_throughput"] / b["output_throughput"] for a, b in zip(ours, theirs))
        print(f"output tok/s, ours / peer, turn by turn: median {statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
