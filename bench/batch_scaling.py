#!/usr/bin/env python3
"""What a decode step costs by the number of sequences in it, on the default model: does a larger batch pay?

For each batch the best of several batches of `bench latency` with one output token and with --steps more, in turns over all batches, so that
a machine that slows down for a while slows all of them down. The difference is --steps decode steps; the first is the prompts. Best and
median are both shown: where they are far apart the machine was not quiet, and the figures say little. Needs nothing but Python.

    bench/batch_scaling.py [--batches 1 4 8 16 32 48 64] [--input-len 128] [--rounds 5]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]


def latency(args: argparse.Namespace, batch: int, output_len: int) -> list[float]:
    """Seconds of --iterations batches, after one to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, "out.json")
        done = subprocess.run([args.binary, "bench", "latency", "--model", args.model, "--threads", str(args.threads), "--batch-size", str(batch),
                               "--input-len", str(args.input_len), "--output-len", str(output_len), "--max-num-seqs", str(batch), "--num-iters",
                               str(args.iterations), "--num-iters-warmup", "1", "--output-json", str(out)],
                              check=False, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return json.loads(out.read_text(encoding="utf-8"))["latencies"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release-cpu/src/apps/pegainfer"))
    parser.add_argument("--model", default=str(ROOT / ".models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16, 32, 48, 64])
    parser.add_argument("--input-len", type=int, default=128)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--iterations", type=int, default=2, help="batches a round")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"{args.threads} threads, {args.input_len} tokens in, {args.steps} decode steps; load average before {os.getloadavg()[0]:.1f}")
    seconds: dict[tuple[int, int], list[float]] = {}
    for _ in range(args.rounds):
        for batch in args.batches:
            for output_len in (1, 1 + args.steps):
                seconds.setdefault((batch, output_len), []).extend(latency(args, batch, output_len))
    print("| sequences | prompts tok/s, best | decode step ms, best | median | ms a token, best | decode tok/s, best |\n|---|---|---|---|---|---|")
    for batch in args.batches:
        first, whole = seconds[batch, 1], seconds[batch, 1 + args.steps]
        best = (min(whole) - min(first)) / args.steps * 1e3
        median = (statistics.median(whole) - statistics.median(first)) / args.steps * 1e3
        print(f"| {batch} | {batch * args.input_len / min(first):,.0f} | {best:.1f} | {median:.1f} | {best / batch:.2f} | {batch / best * 1e3:,.0f} |")


if __name__ == "__main__":
    main()
