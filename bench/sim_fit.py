#!/usr/bin/env python3
"""Fits the rates of a `bench sim` profile to measured runs, and compares what it then predicts with runs that the fit has not seen.

Three sources of measurements:
  (default)            this machine: single batches (`bench latency`) for the fit, mixed workloads (`bench throughput`) for the comparison;
  --latency-command    the same of any engine, by commands that write the JSON of those two (vllm's commands of the same names do). In them
  --throughput-command {batch} {prompt} {output} {out}, and {requests} {prompt} {output} {ratio} {seqs} {out} are put in;
  --results            files that `bench serve --save-detailed` wrote, of whatever machine: nothing is run but the simulator. The fit is to
                       these; --validate names files for the comparison. Their server's --max-num-seqs and --max-num-batched-tokens have to
                       be given, and its cache off (or prompts that share nothing): the file does not say. Network and text are in such
                       runs and not in the simulation, so the fit puts them into the overheads.

The fit is the simplex method of Nelder and Mead on the squared logarithms of predicted / measured. Sizes (bytes, flops, blocks) are facts
and stay those of --base. Only cpu-smollm2 has been fitted so far (docs/performance/sim.md); the rates of the GPU profiles are ceilings, not
a fit. A fit holds for the machine as it was. Needs nothing but Python.

  bench/sim_fit.py --model .models/SmolLM2-135M-Instruct.Q4_1.gguf --base cpu-smollm2 [--only-validate]
  bench/sim_fit.py --base h100-qwen3-4b --async-scheduling --results c1.json c16.json c64.json --validate c32.json --output h100.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# (batch, prompt tokens, output tokens)
FIT_SHAPES = [(1, 16, 64), (4, 16, 64), (8, 16, 64), (16, 16, 48), (32, 16, 32), (1, 128, 1), (1, 512, 1), (1, 1536, 1), (8, 512, 24),
              (16, 128, 32)]
# (requests, prompt tokens, output tokens, range ratio, --max-num-seqs)
MIXED = [(64, 128, 128, 0.0, 16), (48, 256, 64, 0.5, 32), (96, 64, 48, 0.8, 8), (24, 700, 40, 0.3, 16)]
# What is fitted, and from where: rates of the kind of machine that the base is of.
CPU_START = {"bandwidth": 45e9, "peak_flops": 6e11, "attention_peak_flops": 1e11, "step_overhead_s": 3e-4, "seq_overhead_s": 2e-5, "overlap": 0.5}
GPU_START = {"bandwidth": 2.8e12, "peak_flops": 5e14, "attention_peak_flops": 3e14, "step_overhead_s": 3e-4, "seq_overhead_s": 1e-6,
             "overlap": 0.8}


def run(command: list[str], out: str) -> dict:
    """The JSON that a command wrote."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{shlex.join(command)}\n{done.stderr}")
    return json.loads(pathlib.Path(out).read_text(encoding="utf-8"))


def run_template(template: str, **values: object) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "out.json")
        return run([part.format(out=out, **values) for part in shlex.split(template)], out)


class Shape:
    """A single batch; its figure is the median time."""

    def __init__(self, args: argparse.Namespace, batch: int, prompt: int, output: int):
        self.flags = ["--num-prompts", str(batch), "--random-input-len", str(prompt), "--random-output-len", str(output)]
        self.name = f"{batch}, {prompt}, {output}"
        result = run_template(args.latency_command, batch=batch, prompt=prompt, output=output)
        self.measured = {"duration": statistics.median(result["latencies"])}
        print(f"measured {self.name}: {self.measured['duration'] * 1e3:.2f} ms", flush=True)


class Mixed:
    """A mixed workload, measured three times; the median by throughput."""

    def __init__(self, args: argparse.Namespace, requests: int, prompt: int, output: int, ratio: float, seqs: int):
        self.flags = ["--num-prompts", str(requests), "--random-input-len", str(prompt), "--random-output-len", str(output),
                      "--random-range-ratio", str(ratio), "--max-num-seqs", str(seqs)]
        self.name = f"{requests}, {prompt}, {output}, {ratio}, {seqs}"
        runs = sorted((run_template(args.throughput_command, requests=requests, prompt=prompt, output=output, ratio=ratio, seqs=seqs)
                       for _ in range(3)), key=lambda r: r["output_tokens_per_second"])
        rates = [r["output_tokens_per_second"] for r in runs]
        self.spread = f" ({rates[0]:.0f} .. {rates[2]:.0f})"
        # vllm's command writes no times of tokens.
        self.measured = {"output_throughput": rates[1], **{k: runs[1][k] for k in ("mean_tpot_ms", "mean_ttft_ms") if k in runs[1]}}


class Saved:
    """A run that `bench serve --save-detailed` saved: its very lengths, and its arrivals or its concurrency."""

    FIGURES = ("output_throughput", "mean_tpot_ms", "mean_ttft_ms")

    def __init__(self, args: argparse.Namespace, path: str):
        saved = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        if "input_lens" not in saved:
            sys.exit(f"{path}: no lists of requests in it; save it with --save-detailed")
        if saved["failed"]:
            sys.exit(f"{path}: {saved['failed']} requests failed; it cannot be compared")
        self.name = pathlib.Path(path).name
        self.spread = ""
        self.measured = {figure: saved[figure] for figure in self.FIGURES if saved.get(figure)}
        closed = saved["request_rate"] == "inf"  # then requests begin when there is room, which is for the simulation to find out
        lines = [json.dumps({"arrival_s": 0 if closed else start, "prompt_tokens": prompt, "output_tokens": output})
                 for prompt, output, start in zip(saved["input_lens"], saved["output_lens"], saved["start_times"])]
        self.trace = tempfile.NamedTemporaryFile("w", suffix=".jsonl")
        self.trace.write("\n".join(lines) + "\n")
        self.trace.flush()
        self.flags = ["--trace", self.trace.name, "--max-num-seqs", str(args.max_num_seqs), "--max-num-batched-tokens",
                      str(args.max_num_batched_tokens)]
        if saved["max_concurrency"]:
            self.flags += ["--max-concurrency", str(saved["max_concurrency"])]


def predict(args: argparse.Namespace, profile: dict, case: Shape | Mixed | Saved) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        path, out = os.path.join(folder, "profile.json"), os.path.join(folder, "out.json")
        pathlib.Path(path).write_text(json.dumps({"base": args.base, **profile}), encoding="utf-8")
        serial = [] if args.async_scheduling else ["--no-async-scheduling"]
        return run([args.binary, "bench", "sim", "--profile", path, "--output-json", out, *serial, *case.flags], out)


def to_profile(start: dict, point: list[float]) -> dict:
    values = dict(zip(start, point))
    overlap = 1 / (1 + math.exp(-values.pop("overlap")))
    return {**{name: math.exp(value) for name, value in values.items()}, "overlap": overlap}


def to_point(profile: dict) -> list[float]:
    overlap = profile["overlap"]
    return [math.log(profile[name]) for name in profile if name != "overlap"] + [math.log(overlap / (1 - overlap))]


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


def fit(args: argparse.Namespace) -> dict:
    cases = [Saved(args, path) for path in args.results] if args.results else [Shape(args, *shape) for shape in FIT_SHAPES]
    start = CPU_START if args.base.startswith("cpu") else GPU_START

    def cost(point: list[float]) -> float:
        total = 0.0
        for case in cases:
            predicted = predict(args, to_profile(start, point), case)
            total += sum(math.log(max(predicted[name], 1e-9) / value) ** 2 for name, value in case.measured.items())
        return total

    profile = to_profile(start, nelder_mead(cost, to_point(start), args.evaluations))
    print(json.dumps({"base": args.base, **profile}, indent=2))
    if args.output:
        pathlib.Path(args.output).write_text(json.dumps({"base": args.base, **profile}, indent=2) + "\n", encoding="utf-8")
    if args.results:
        compare(args, profile, cases, "fitted to")
    else:
        print("| batch, prompt, output | measured ms | predicted ms | predicted / measured |\n|---|---|---|---|")
        for case in cases:
            measured, predicted = case.measured["duration"], predict(args, profile, case)["duration"]
            print(f"| {case.name} | {measured * 1e3:.1f} | {predicted * 1e3:.1f} | {predicted / measured:.2f} |")
    return profile


def compare(args: argparse.Namespace, profile: dict, cases: list, heading: str) -> None:
    print(f"| {heading} | output tok/s measured (min .. max) | predicted | ratio | TPOT ms measured | predicted | "
          "TTFT ms measured | predicted |\n|---|---|---|---|---|---|---|---|")
    for case in cases:
        m, p = case.measured, predict(args, profile, case)
        times = " | ".join(f"{m[name]:.1f} | {p[name]:.1f}" if name in m else f"- | {p[name]:.1f}" for name in ("mean_tpot_ms", "mean_ttft_ms"))
        print(f"| {case.name} | {m['output_throughput']:.0f}{case.spread} | {p['output_throughput']:.0f} | "
              f"{p['output_throughput'] / m['output_throughput']:.2f} | {times} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release-cpu/src/apps/pegainfer"), help="the simulator, and by default the engine")
    parser.add_argument("--model", default=str(ROOT / ".models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--base", default="cpu-smollm2", help="the profile whose sizes are taken")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--latency-command", help="default: --binary bench latency with --model and --threads")
    parser.add_argument("--throughput-command", help="default: --binary bench throughput with --model and --threads")
    parser.add_argument("--results", nargs="+", help="saved runs to fit to, in place of running an engine")
    parser.add_argument("--validate", nargs="+", default=[], help="saved runs to compare with")
    parser.add_argument("--max-num-seqs", type=int, default=256, help="of the server of saved runs")
    parser.add_argument("--max-num-batched-tokens", type=int, default=512, help="of the server of saved runs")
    parser.add_argument("--async-scheduling", action="store_true", help="simulate overlapped steps; default: serial ones, as on the CPU")
    parser.add_argument("--evaluations", type=int, default=400, help="points the fit may try")
    parser.add_argument("--only-validate", action="store_true", help="compare the built-in profile, without a fit")
    parser.add_argument("--output", help="write the fitted profile to this file, for bench sim --profile")
    args = parser.parse_args()
    ours = f"{shlex.quote(args.binary)} bench %s --model {shlex.quote(args.model)} --threads {args.threads} --output-json {{out}} "
    args.latency_command = args.latency_command or ours % "latency" + (
        "--batch-size {batch} --input-len {prompt} --output-len {output} --num-iters 5 --num-iters-warmup 2")
    args.throughput_command = args.throughput_command or ours % "throughput" + (
        "--num-prompts {requests} --input-len {prompt} --output-len {output} --random-range-ratio {ratio} --max-num-seqs {seqs}")
    profile = {} if args.only_validate else fit(args)
    if args.results or args.validate:
        cases = [Saved(args, path) for path in args.validate]
    else:
        cases = [Mixed(args, *mixed) for mixed in MIXED]
    if cases:
        compare(args, profile, cases, "not seen by the fit" if profile else f"built-in {args.base}")


if __name__ == "__main__":
    main()
