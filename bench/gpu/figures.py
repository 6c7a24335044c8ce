#!/usr/bin/env python3
"""Whole steps of a Qwen3-4B shape on one GPU, each beside its ceiling of the same run.

    figures.py --binary build/release/src/apps/pegainfer [--json FILE] [--peer] [--only decode,prefill,serving,start]

Weights are dummies made on the device. Times are of the engine itself (`pegainfer bench latency | throughput`): a decode step
is the difference of two output lengths, divided by it, with the context in its middle; the shorter one is long enough for all
prompts of the batch to be computed, since sequences whose prompt is done decode beside the prompts of others. Ceilings, measured here through torch:
a read-only pass over 8 GB (a reduction; the larger of it and a copy), BF16 products of 8192^3, the linear layers alone as one
CUDA graph of cuBLAS calls. start: a model of that shape is saved by transformers; reading it (its files in the page cache) is compared
with the link, a copy from pinned memory, and a process is timed from its start to its first token. --peer: transformers' eager decode, and a static cache under torch.compile.
"""

from __future__ import annotations

import argparse
import gc
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, VOCAB = 36, 2560, 9728, 32, 8, 128, 151936
QKV = (HEADS + 2 * KV_HEADS) * HEAD_DIM
LINEAR = LAYERS * (QKV * HIDDEN + HEADS * HEAD_DIM * HIDDEN + 3 * FFN * HIDDEN)  # elements, without the head
HEAD = VOCAB * HIDDEN
KV_BYTES = LAYERS * 2 * KV_HEADS * HEAD_DIM * 2  # of a position
BATCHES = (1, 4, 8, 16, 32, 64, 128)
PROMPTS = (128, 512, 1024, 2048, 4096, 8192, 16384)
ATTENTION_TFLOPS = 600.0  # the figure for causal attention


def config() -> dict[str, Any]:
    return {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": VOCAB, "hidden_size": HIDDEN,
            "intermediate_size": FFN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM, "max_position_embeddings": 40960, "rope_theta": 1e6,
            "rope_scaling": None, "tie_word_embeddings": True, "rms_norm_eps": 1e-6, "hidden_act": "silu",
            "attention_bias": False, "attention_dropout": 0.0, "use_sliding_window": False, "sliding_window": None,
            "torch_dtype": "bfloat16"}


# ---------- ceilings ----------


def median_ms(call: Any, count: int = 20) -> float:
    import torch

    for _ in range(3):
        call()
    times = []
    for _ in range(count):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def ceilings(tokens: tuple[int, ...]) -> dict[str, Any]:
    import torch

    out: dict[str, Any] = {"card": torch.cuda.get_device_name(), "driver": driver()}
    a = torch.ones(1 << 30, device="cuda", dtype=torch.float32).view(1024, -1)
    b = torch.empty_like(a)
    out["reduce_gbs"] = a.nbytes / median_ms(lambda: torch.sum(a, 1)) / 1e6
    out["copy_gbs"] = 2 * a.nbytes / median_ms(lambda: b.copy_(a)) / 1e6
    del a, b
    x = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    y = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    out["gemm_tflops"] = 2 * 8192**3 / median_ms(lambda: x @ y) / 1e9
    del x, y
    shapes = ((QKV, HIDDEN), (HIDDEN, HEADS * HEAD_DIM), (2 * FFN, HIDDEN), (HIDDEN, FFN))
    weights = [[torch.randn(n, k, device="cuda", dtype=torch.bfloat16) * 0.02 for n, k in shapes] for _ in range(LAYERS)]
    head = torch.randn(VOCAB, HIDDEN, device="cuda", dtype=torch.bfloat16) * 0.02
    out["linears_ms"] = {}
    for t in tokens:
        inputs = [torch.randn(t, k, device="cuda", dtype=torch.bfloat16) for _, k in shapes]

        def step() -> None:
            for layer in weights:
                for w, i in zip(layer, inputs, strict=True):
                    torch.nn.functional.linear(i, w)
            torch.nn.functional.linear(inputs[0][: min(t, 256)], head)

        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        out["linears_ms"][t] = median_ms(graph.replay, 10)
        del graph, inputs
    del weights, head
    torch.cuda.empty_cache()
    return out


def driver() -> str:
    query = "driver_version,clocks.sm,clocks.mem,clocks.max.sm"
    return subprocess.run(["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"], capture_output=True, text=True,
                          check=False).stdout.strip()


def peer(folder: str) -> None:
    import torch
    import transformers

    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder)).eval()
    torch.set_default_dtype(torch.float32)
    ids = torch.randint(0, VOCAB, (1, 1024), device="cuda")
    mask = torch.ones_like(ids)

    def generate(count: int, **flags: Any) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        model.generate(ids, attention_mask=mask, max_new_tokens=count, min_new_tokens=count, do_sample=False, pad_token_id=0,
                       **flags)
        torch.cuda.synchronize()
        return time.perf_counter() - begin

    for name, flags in (("eager", {}), ("static cache, torch.compile", {"cache_implementation": "static"})):
        try:
            generate(4, **flags), generate(33, **flags)
            print(f"transformers {name}: {32 / (generate(33, **flags) - generate(1, **flags)):.1f} tok/s at batch 1, ctx 1024")
        except Exception as error:  # noqa: BLE001: what does not work there is a finding
            print(f"transformers {name}: failed: {str(error)[:200]}")
    with torch.inference_mode():
        for t in (1024, 8192):
            long = torch.randint(0, VOCAB, (1, t), device="cuda")
            print(f"transformers prefill {t}: {median_ms(lambda i=long: model(i, logits_to_keep=1), 5):.2f} ms")


# ---------- the engine ----------


class Engine:
    def __init__(self, binary: str, folder: str, flags: list[str]) -> None:
        self.binary, self.folder, self.flags = binary, folder, flags

    def bench(self, what: str, *flags: str) -> dict[str, Any]:
        with tempfile.NamedTemporaryFile(suffix=".json") as out:
            command = [self.binary, "bench", what, "--model", self.folder, "--device", "cuda", "--load-format", "dummy",
                       "--output-json", out.name, *self.flags, *flags]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            if done.returncode != 0:
                raise SystemExit(f"figures.py: {' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
            return json.loads(pathlib.Path(out.name).read_text())

    def latency(self, batch: int, input_len: int, output_len: int, iters: int) -> float:
        """Median seconds of a batch."""
        got = self.bench("latency", "--batch-size", str(batch), "--input-len", str(input_len), "--output-len", str(output_len),
                         "--num-iters", str(iters), "--num-iters-warmup", "2", "--no-enable-prefix-caching",
                         "--max-num-seqs", str(max(batch, 4)))
        return got["percentiles"]["50"]


def share(limit_ms: float, ms: float) -> str:
    return f"{limit_ms:8.3f} ms floor {100 * limit_ms / ms:6.1f} %"


def decode(engine: Engine, top: dict[str, Any], results: dict[str, Any]) -> None:
    read = max(top["reduce_gbs"], top["copy_gbs"]) * 1e9
    steps = 96
    first = 0.0
    for batch in BATCHES:
        context = 1024
        first_steps = batch + 16
        begin = context - steps // 2 - first_steps
        iters = 5 if batch <= 16 else 3
        whole, part = (engine.latency(batch, begin, first_steps + n, iters) for n in (steps, 0))
        ms = 1e3 * (whole - part) / steps
        kv = batch * context * KV_BYTES
        bytes_ms = 1e3 * (2 * (LINEAR + HEAD) + kv) / read
        flops_ms = 1e3 * 2 * batch * (LINEAR + HEAD) / (top["gemm_tflops"] * 1e12)
        first = first or ms
        print(f"decode batch {batch:3} ctx {context}: {ms:7.3f} ms, {1e3 * batch / ms:8.1f} tok/s, "
              f"{share(max(bytes_ms, flops_ms), ms)}, {ms / first:.2f} x batch 1, cuBLAS linears alone "
              f"{top['linears_ms'][batch]:.3f} ms", flush=True)
        results[f"decode_{batch}"] = {"ms": ms, "floor_ms": max(bytes_ms, flops_ms)}


def prefill(engine: Engine, top: dict[str, Any], results: dict[str, Any]) -> None:
    for tokens in PROMPTS:
        ms = 1e3 * engine.latency(1, tokens, 1, 8)
        linear_ms = max(2e3 * tokens * LINEAR / (top["gemm_tflops"] * 1e12),
                        2e3 * LINEAR / (max(top["reduce_gbs"], top["copy_gbs"]) * 1e9))
        attention_ms = 1e3 * LAYERS * 2 * tokens * tokens * HEADS * HEAD_DIM / (ATTENTION_TFLOPS * 1e12)
        floor = linear_ms + attention_ms
        print(f"prefill {tokens:5}: {ms:8.2f} ms, {1e3 * tokens / ms:8.0f} tok/s, {share(floor, ms)}, cuBLAS linears alone "
              f"{top['linears_ms'][tokens]:.2f} ms", flush=True)
        results[f"prefill_{tokens}"] = {"ms": ms, "floor_ms": floor}


def serving(engine: Engine, top: dict[str, Any], results: dict[str, Any]) -> None:
    read, flops = max(top["reduce_gbs"], top["copy_gbs"]) * 1e9, top["gemm_tflops"] * 1e12
    for prompt, output in ((1024, 128), (128, 1024)):
        got = engine.bench("throughput", "--num-prompts", "256", "--input-len", str(prompt), "--output-len", str(output),
                           "--max-num-seqs", "256", "--no-enable-prefix-caching")
        # The two-number bound, serially: prompts at the GEMM ceiling, then 256 rows a step at the larger of bytes and flops.
        prefill_s = 256 * (2 * prompt * LINEAR / flops + LAYERS * 2 * prompt**2 * HEADS * HEAD_DIM / (ATTENTION_TFLOPS * 1e12))
        kv = 256 * (prompt + output / 2) * KV_BYTES
        step_s = max(2 * (LINEAR + HEAD) / read, 2 * 256 * (LINEAR + HEAD) / flops) + kv / read
        bound = 256 / (prefill_s + output * step_s)
        rate = got["requests_per_second"]
        print(f"saturated {prompt}/{output}: {rate:.2f} req/s, {got['output_tokens_per_second']:.0f} output tok/s, "
              f"{got['tokens_per_second']:.0f} total tok/s; bound {bound:.2f} req/s, {100 * rate / bound:.1f} %", flush=True)
        results[f"saturated_{prompt}_{output}"] = got | {"bound_rps": bound}


def start(engine: Engine, top: dict[str, Any], results: dict[str, Any]) -> None:
    import torch

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "gpu"))
    import golden

    pinned = torch.empty(1 << 31, dtype=torch.uint8, pin_memory=True)
    device = torch.empty_like(pinned, device="cuda")
    link = pinned.nbytes / median_ms(lambda: device.copy_(pinned, non_blocking=True), 5) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        golden.make_model("qwen3-4b", pathlib.Path(folder))
        del pinned, device
        gc.collect()
        torch.cuda.empty_cache()
        size = sum(f.stat().st_size for f in pathlib.Path(folder).glob("*.safetensors"))
        for turn in ("first", "second", "third"):
            begin = time.perf_counter()
            process = subprocess.Popen([engine.binary, "generate", "--model", folder, "--device", "cuda", "-p", "the", "--max-tokens", "8",
                                        "--ignore-eos", "--log-level", "info", *engine.flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert process.stdout is not None and process.stderr is not None
            process.stdout.read(1)
            seconds = time.perf_counter() - begin
            _, log = process.communicate(timeout=60)
            loaded = re.search(r"weights: .*?([0-9.]+) GB/s", log.decode())
            rate = float(loaded[1]) if loaded else float("nan")
            print(f"start, {turn}: {seconds:.2f} s to the first character; {size / 1e9:.2f} GB of weights at {rate:.1f} GB/s, link {link:.1f} GB/s, "
                  f"{100 * rate / link:.0f} %", flush=True)
            results[f"start_{turn}"] = {"seconds": seconds, "weights_gbs": rate, "link_gbs": link}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--json", default="")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--only", default="decode,prefill,serving")
    parser.add_argument("--flags", default="", help="further flags of the engine, separated by spaces")
    args = parser.parse_args()
    top = ceilings((*BATCHES, *PROMPTS))
    print(f"{top['card']}, driver and clocks {top['driver']}")
    print(f"ceilings: reduction {top['reduce_gbs']:.0f} GB/s, copy {top['copy_gbs']:.0f} GB/s (read and written), "
          f"BF16 8192^3 {top['gemm_tflops']:.0f} TFLOP/s", flush=True)
    results: dict[str, Any] = {"ceilings": top}
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config()))
        engine = Engine(args.binary, folder, args.flags.split())
        for part in args.only.split(","):
            {"decode": decode, "prefill": prefill, "serving": serving, "start": start}[part](engine, top, results)
        if args.peer:
            peer(folder)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
