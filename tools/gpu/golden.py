#!/usr/bin/env python3
"""The logits gate on a GPU: random models of real shapes, made and scored by transformers on the same machine.

    golden.py --binary build/release/src/apps/pegainfer [--models qwen3-0.6b,qwen3-4b,...] [--work DIR] [--json FILE]

For each model: transformers saves it (fixed seed, BF16) and scores token ids in BF16 and in FP32; `pegainfer serve` scores the
same ids. Compared are log-probabilities of the ids that follow (teacher-forced), against BF16 and against FP32, with prompts
alone, all at once, and cut into chunks. Then greedy continuations through captured graphs and without, on cold and warm
prefixes, teacher-forced by transformers afterwards. Needs torch, transformers and a GPU; prints a table, exits 1 when a gate
is missed.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import gc
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from typing import Any

import torch
import transformers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import make_tiny_model as tiny  # noqa: E402

Json = dict[str, Any]
MEAN_GATE, P99_GATE = 0.03, 0.12
LENGTHS = (1, 2, 7, 16, 17, 63, 64, 65, 120, 300, 700, 1025, 2100)
LONG = 16384
GENERATED = 64


# ---------- models ----------


def config_of(name: str) -> transformers.PretrainedConfig:
    if name in ("qwen3-0.6b", "qwen3-4b"):
        big = name == "qwen3-4b"
        return transformers.Qwen3Config(
            vocab_size=151936, hidden_size=2560 if big else 1024, intermediate_size=9728 if big else 3072,
            num_hidden_layers=36 if big else 28, num_attention_heads=32 if big else 16, num_key_value_heads=8, head_dim=128,
            max_position_embeddings=40960, rope_theta=1e6, tie_word_embeddings=True, rms_norm_eps=1e-6)
    if name == "llama-3.2-1b":
        return transformers.LlamaConfig(
            vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
            num_key_value_heads=8, head_dim=64, max_position_embeddings=131072, rope_theta=5e5, tie_word_embeddings=True,
            rms_norm_eps=1e-5,
            rope_scaling={"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                          "original_max_position_embeddings": 8192})
    if name == "qwen2.5-1.5b":
        return transformers.Qwen2Config(
            vocab_size=151936, hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
            num_key_value_heads=2, max_position_embeddings=32768, rope_theta=1e6, tie_word_embeddings=True, rms_norm_eps=1e-6)
    raise SystemExit(f"golden.py: no model is called {name}")


def make_model(name: str, folder: pathlib.Path) -> torch.nn.Module:
    """Random weights in a trained model's proportions, so that the gates, which are of trained models' scale, can be held.

    A product keeps the size of its input (std 0.64 / sqrt(inputs), what 0.02 is for 1,024), what is added to the residual
    stream is scaled by 1 / sqrt(2 layers), as GPT-2 and its successors begin, and logits have a standard deviation of 1:
    log-probabilities differ in proportion to it, and at 2 transformers' own BF16 run is 0.032 to 0.042 away from its FP32
    run, so that the gates would judge BF16 and not us. Norms and biases are not all alike.
    """
    torch.manual_seed(0)
    config = config_of(name)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda"):
        model = transformers.AutoModelForCausalLM.from_config(config).eval()
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        for key, p in model.named_parameters():
            if key.endswith("norm.weight"):
                p.uniform_(0.5, 1.5)
            elif key.endswith("bias"):
                p.normal_(0, 0.5)
            elif key == "model.embed_tokens.weight":
                p.normal_(0, 1 / config.hidden_size**0.5)
            elif p.dim() == 2:
                residual = key.endswith(("o_proj.weight", "down_proj.weight"))
                p.normal_(0, 0.64 / p.shape[1] ** 0.5 / ((2 * config.num_hidden_layers) ** 0.5 if residual else 1))
    model.save_pretrained(folder, safe_serialization=True)
    tokenizer = tiny.tokenizer_json(tiny.VARIANTS["qwen3"], "old")  # any will do: prompts are ids
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return model


@torch.inference_mode()
def score(model: torch.nn.Module, ids: list[int], first: int = 1) -> tuple[list[float], list[float]]:
    """Log-probabilities of ids[first:], and the largest there was at each of these positions."""
    hidden = model.model(torch.tensor([ids], device="cuda")).last_hidden_state[0]
    got: list[float] = []
    best: list[float] = []
    for begin in range(first - 1, len(ids) - 1, 512):
        end = min(begin + 512, len(ids) - 1)
        logits = model.lm_head(hidden[begin:end]).float().log_softmax(-1)
        targets = torch.tensor(ids[begin + 1 : end + 1], device="cuda")
        got += logits.gather(1, targets[:, None])[:, 0].tolist()
        best += logits.max(-1).values.tolist()
    return got, best


# ---------- the server ----------


class Server:
    def __init__(self, binary: str, folder: pathlib.Path, *flags: str) -> None:
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log", delete=False)
        self.process = subprocess.Popen(
            [binary, "serve", str(folder), "--device", "cuda", "--port", "0", "--max-num-seqs", "64", *flags],
            stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline() if self.process.stdout else ""
        self.url = line.split()[-1] if line.startswith("listening on ") else ""
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"golden.py: the server did not become ready:\n{pathlib.Path(self.log.name).read_text()}")

    def complete(self, body: Json) -> Json:
        request = urllib.request.Request(self.url + "/v1/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    def close(self) -> None:
        self.process.terminate()
        if self.process.wait(30) != 0:
            raise SystemExit(f"golden.py: the server ended with {self.process.returncode}")


def prompt_logprobs(server: Server, ids: list[int]) -> list[float]:
    body = {"prompt": ids, "max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 1}
    return server.complete(body)["choices"][0]["logprobs"]["token_logprobs"][1 : len(ids)]


def generate(server: Server, ids: list[int], temperature: float = 0) -> list[int]:
    body = {"prompt": ids, "max_tokens": GENERATED, "temperature": temperature, "seed": 7, "ignore_eos": True,
            "return_token_ids": True}
    return server.complete(body)["choices"][0]["token_ids"]


def together(function: Any, server: Server, cases: list[list[int]]) -> list[Any]:
    with concurrent.futures.ThreadPoolExecutor(len(cases)) as pool:
        return list(pool.map(lambda ids: function(server, ids), cases))


# ---------- comparing ----------


@dataclasses.dataclass
class Row:
    model: str
    mode: str
    values: int
    ok: bool
    # mean and p99 of |difference of log-probabilities|: to transformers in BF16, to it in FP32, and of these two
    bf16: tuple[float, float] = (0.0, 0.0)
    f32: tuple[float, float] = (0.0, 0.0)
    drift: tuple[float, float] = (0.0, 0.0)

    def text(self) -> str:
        pairs = " ".join(f"{mean:8.4f} {p99:7.4f}" for mean, p99 in (self.bf16, self.f32, self.drift))
        return f"{self.model:14} {self.mode:22} {self.values:7} {pairs}  {'ok' if self.ok else 'MISSED'}"


HEADER = (f"{'model':14} {'mode':22} {'values':>7} {'mean to bf16, p99':>16} {'to f32':>8} {'':7} "
          f"{'bf16-f32':>8}")


def difference(a: list[list[float]], b: list[list[float]]) -> tuple[float, float]:
    values = sorted(abs(x - y) for u, v in zip(a, b, strict=True) for x, y in zip(u, v, strict=True))
    return statistics.fmean(values), values[min(len(values) - 1, len(values) * 99 // 100)]


class Gate:
    def __init__(self, name: str) -> None:
        self.name = name
        self.rows: list[Row] = []

    def add(self, mode: str, got: list[list[float]], bf16: list[list[float]], f32: list[list[float]]) -> None:
        to_bf16, to_f32, drift = difference(got, bf16), difference(got, f32), difference(bf16, f32)
        ok = all(mean <= MEAN_GATE and p99 <= P99_GATE for mean, p99 in (to_bf16, to_f32))
        # And as near to FP32 as another BF16 run is, whatever the gates allow.
        ok = ok and to_f32[0] <= 1.15 * drift[0] and to_f32[1] <= 1.25 * drift[1]
        self.note(Row(self.name, mode, sum(map(len, got)), ok, to_bf16, to_f32, drift))

    def check(self, mode: str, count: int, ok: bool) -> None:
        self.note(Row(self.name, mode, count, ok))

    def note(self, row: Row) -> None:
        self.rows.append(row)
        print(row.text(), flush=True)


def random_ids(count: int, vocab: int, seed: int) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, vocab, (count,), generator=generator).tolist()


def run(name: str, binary: str, work: pathlib.Path, with_long: bool) -> list[Row]:
    gate = Gate(name)
    folder = work / name
    model = make_model(name, folder)
    vocab = model.config.vocab_size
    lengths = [n for n in LENGTHS if n > 1] + ([LONG] if with_long else [])
    cases = [random_ids(n, vocab, i) for i, n in enumerate(lengths)]
    starts = [random_ids(n, vocab, 100 + i) for i, n in enumerate((1, 15, 16, 17, 100, 1000, 33, 64, 200, 5, 6))]
    bf16 = [score(model, ids)[0] for ids in cases]

    server = Server(binary, folder)
    alone = [prompt_logprobs(server, ids) for ids in cases]
    batched = together(prompt_logprobs, server, cases[:-1] if with_long else cases)
    # Eleven sequences at once: the bucket of 12 and, as they end one by one, smaller ones.
    graph = together(generate, server, starts)
    warm = together(generate, server, starts)
    server.close()
    server = Server(binary, folder, "--max-num-batched-tokens", "192", "--enforce-eager")
    chunked = [prompt_logprobs(server, ids) for ids in cases]
    server.close()
    # Drawn at temperature 1 from nearly flat distributions: a small difference in logits would soon show.
    server = Server(binary, folder, "--no-enable-prefix-caching")
    sampled = [generate(server, ids, 1.0) for ids in starts]
    again = [generate(server, ids, 1.0) for ids in starts]
    server.close()
    server = Server(binary, folder, "--no-enable-prefix-caching", "--enforce-eager")
    eager_sampled = [generate(server, ids, 1.0) for ids in starts]
    server.close()

    sequences = {"greedy, graph": graph, "greedy, prefix warm": warm}
    scored = {mode: [score(model, a + b, len(a)) for a, b in zip(starts, got)] for mode, got in sequences.items()}
    model.float()
    torch.backends.cuda.matmul.allow_tf32 = False
    f32 = [score(model, ids)[0] for ids in cases]
    scored32 = {mode: [score(model, a + b, len(a)) for a, b in zip(starts, got)] for mode, got in sequences.items()}
    del model
    gc.collect()
    torch.cuda.empty_cache()

    gate.add("prompt alone", alone, bf16, f32)
    gate.add("prompts batched", batched, bf16[: len(batched)], f32[: len(batched)])
    gate.add("prompt chunked, eager", chunked, bf16, f32)
    for mode in sequences:
        # Regret: what transformers' FP32 run gives up by our choice.
        regret = [best - got for pair in scored32[mode] for got, best in zip(*pair)]
        mean = statistics.fmean(regret)
        ours = statistics.fmean(best - got for pair in scored[mode] for got, best in zip(*pair))
        print(f"{name:14} {mode:22} {len(regret):7} regret in FP32 {mean:.4f}, in BF16 {ours:.4f}", flush=True)
        gate.check(mode, len(regret), mean <= 0.05)
    gate.check("same again", len(sampled) * GENERATED, sampled == again)
    gate.check("graph = eager, drawn", len(sampled) * GENERATED, sampled == eager_sampled)
    return gate.rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--models", default="qwen3-0.6b,llama-3.2-1b,qwen2.5-1.5b,qwen3-4b")
    parser.add_argument("--work", default="")
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    transformers.utils.logging.disable_progress_bar()
    rows: list[Row] = []
    print(HEADER)
    for name in args.models.split(","):
        with tempfile.TemporaryDirectory(dir=args.work or None) as work:
            rows += run(name, args.binary, pathlib.Path(work), with_long=name == "qwen3-0.6b")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps([dataclasses.asdict(r) for r in rows], indent=1))
    missed = [r for r in rows if not r.ok]
    print(f"golden: {len(rows) - len(missed)} of {len(rows)} gates kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
