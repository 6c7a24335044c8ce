#!/usr/bin/env python3
"""Fits the rates of a `bench sim` profile to this machine, and compares what it then predicts with what is measured.

Fit: the time of single batches (`bench latency`) of several shapes, against `bench sim` of the same shapes, by the simplex method of
Nelder and Mead on the squared logarithms of predicted / measured. Validation: mixed workloads the fit has not seen (`bench throughput`).
Everything runs serially, as the CPU backend does by default. Needs nothing but Python.

  bench/sim_fit.py --model .models/SmolLM2-135M-Instruct.Q4_1.gguf --base cpu-smollm2 [--only-validate]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# (batch, prompt tokens, output tokens)
FIT_SHAPES = [(1, 16, 64), (4, 16, 64), (8, 16, 64), (16, 16, 48), (32, 16, 32), (1, 128, 1), (1, 512, 1), (1, 1536, 1), (8, 512, 24),
              (16, 128, 32)]
# (requests, prompt tokens, output tokens, range ratio, --max-num-seqs)
MIXED = [(64, 128, 128, 0.0, 16), (48, 256, 64, 0.5, 32), (96, 64, 48, 0.8, 8), (24, 700, 40, 0.3, 16)]
# Fitted, from these starts; sizes are facts and stay.
START = {"bandwidth": 45e9, "peak_flops": 6e11, "attention_peak_flops": 1e11, "step_overhead_s": 3e-4, "seq_overhead_s": 2e-5, "overlap": 0.5}


def run(binary: str, *args: str) -> dict:
    """A bench command's JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        subprocess.run([binary, "bench", *args, "--output-json", out], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return json.loads(pathlib.Path(out).read_text(encoding="utf-8"))


def measure(args: argparse.Namespace, shape: tuple[int, int, int]) -> float:
    """Median seconds of a batch."""
    batch, prompt, output = shape
    result = run(args.binary, "latency", "--model", args.model, "--threads", str(args.threads), "--batch-size", str(batch), "--input-len",
                 str(prompt), "--output-len", str(output), "--num-iters", "5", "--num-iters-warmup", "2")
    return result["percentiles"]["50"]


def simulate(binary: str, profile: dict, base: str, *flags: str) -> dict:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"base": base, **profile}, file)
        file.flush()
        return run(binary, "sim", "--profile", file.name, "--no-async-scheduling", *flags)


def to_profile(point: list[float]) -> dict:
    values = dict(zip(START, point))
    overlap = 1 / (1 + math.exp(-values.pop("overlap")))
    return {**{name: math.exp(value) for name, value in values.items()}, "overlap": overlap}


def to_point(profile: dict) -> list[float]:
    overlap = profile["overlap"]
    return [math.log(profile[name]) for name in START if name != "overlap"] + [math.log(overlap / (1 - overlap))]


def nelder_mead(cost, start: list[float], evaluations: int) -> list[float]:
    simplex = [(cost(start), start)]
    for i in range(len(start)):
        point = start[:]
        point[i] += 0.4
        simplex.append((cost(point), point))
    used = len(simplex)
    while used < evaluations:
        simplex.sort(key=lambda entry: entry[0])
        worst = simplex[-1]
        centre = [sum(column) / (len(simplex) - 1) for column in zip(*(point for _, point in simplex[:-1]))]

        def along(factor: float) -> tuple[float, list[float]]:
            point = [c + factor * (w - c) for c, w in zip(centre, worst[1])]
            return cost(point), point

        trial = along(-1)
        used += 1
        if trial[0] < simplex[0][0]:
            further = along(-2)
            used += 1
            trial = min(trial, further)
        elif trial[0] >= simplex[-2][0]:
            trial = along(0.5)
            used += 1
        if trial[0] < worst[0]:
            simplex[-1] = trial
            continue
        best = simplex[0][1]
        for i in range(1, len(simplex)):
            point = [(a + b) / 2 for a, b in zip(best, simplex[i][1])]
            simplex[i] = (cost(point), point)
            used += 1
    return min(simplex)[1]


def predict(args: argparse.Namespace, profile: dict, shape: tuple[int, int, int]) -> float:
    batch, prompt, output = shape
    return simulate(args.binary, profile, args.base, "--num-prompts", str(batch), "--random-input-len", str(prompt), "--random-output-len",
                    str(output))["duration"]


def fit(args: argparse.Namespace) -> dict:
    measured = {}
    for shape in FIT_SHAPES:
        measured[shape] = measure(args, shape)
        print(f"measured {shape}: {measured[shape] * 1e3:.2f} ms", flush=True)

    def cost(point: list[float]) -> float:
        profile = to_profile(point)
        return sum(math.log(predict(args, profile, shape) / seconds) ** 2 for shape, seconds in measured.items())

    profile = to_profile(nelder_mead(cost, to_point(START), args.evaluations))
    print(json.dumps(profile, indent=2))
    print("| batch, prompt, output | measured ms | predicted ms | predicted / measured |\n|---|---|---|---|")
    for shape, seconds in measured.items():
        predicted = predict(args, profile, shape)
        print(f"| {', '.join(map(str, shape))} | {seconds * 1e3:.1f} | {predicted * 1e3:.1f} | {predicted / seconds:.2f} |")
    return profile


def validate(args: argparse.Namespace, profile: dict) -> None:
    print("| requests, prompt, output, range, seqs | output tok/s measured (min .. max) | predicted | ratio | TPOT ms measured | predicted | "
          "TTFT ms measured | predicted |\n|---|---|---|---|---|---|---|---|")
    for requests, prompt, output, ratio, seqs in MIXED:
        flags = ["--num-prompts", str(requests), "--random-input-len", str(prompt), "--random-output-len", str(output),
                 "--random-range-ratio", str(ratio), "--max-num-seqs", str(seqs)]
        runs = sorted((run(args.binary, "throughput", "--model", args.model, "--threads", str(args.threads), *flags) for _ in range(3)),
                      key=lambda r: r["output_tokens_per_second"])
        rates = [r["output_tokens_per_second"] for r in runs]
        sim = simulate(args.binary, profile, args.base, *flags)
        print(f"| {requests}, {prompt}, {output}, {ratio}, {seqs} | {rates[1]:.0f} ({rates[0]:.0f} .. {rates[2]:.0f}) | "
              f"{sim['output_throughput']:.0f} | {sim['output_throughput'] / rates[1]:.2f} | {runs[1]['mean_tpot_ms']:.1f} | "
              f"{sim['mean_tpot_ms']:.1f} | {runs[1]['mean_ttft_ms']:.0f} | {sim['mean_ttft_ms']:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release-cpu/src/apps/pegainfer"))
    parser.add_argument("--model", default=str(ROOT / ".models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--base", default="cpu-smollm2", help="the profile whose sizes are taken")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--evaluations", type=int, default=400)
    parser.add_argument("--only-validate", action="store_true", help="compare the built-in profile, without a fit")
    args = parser.parse_args()
    validate(args, {} if args.only_validate else fit(args))


if __name__ == "__main__":
    main()
