#!/usr/bin/env python3
"""Writes the references of tests/golden from Hugging Face transformers. A developer runs it, CI never does.

    dump_hf_golden.py tiny                       # all variants of make_tiny_model.py
    dump_hf_golden.py tiny qwen3 llama           # some of them
    dump_hf_golden.py default path/to/SmolLM2-135M-Instruct.Q4_1.gguf

Needs torch, transformers, accelerate, tokenizers, gguf, numpy. tests/golden/README.md describes the files.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import make_tiny_model as tiny
import numpy as np
import tokenizers
import torch
import transformers

Json = dict[str, Any]
Load = Callable[[torch.dtype], torch.nn.Module]

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"
GREEDY_TOKENS = 32
TINY_LENGTHS = (1, 7, 33, 120, 300)


# ---------- measuring ----------


@dataclasses.dataclass
class Case:
    """A sequence to score. `greedy`: also continue it."""

    ids: list[int]
    greedy: bool
    extra: Json = dataclasses.field(default_factory=dict)


def rounded(values: torch.Tensor) -> list[float]:
    return [round(float(v), 5) for v in values]


@torch.inference_mode()
def log_probs(model: torch.nn.Module, ids: list[int]) -> torch.Tensor:
    """[len(ids), vocab] in float32: row i is the distribution of token i + 1."""
    return model(torch.tensor([ids])).logits[0].float().log_softmax(-1)


@torch.inference_mode()
def greedy(model: torch.nn.Module, ids: list[int], count: int) -> list[int]:
    """The continuation by argmax (the lowest index wins a tie); an end token does not stop it."""
    out: list[int] = []
    cache, step = None, torch.tensor([ids])
    for _ in range(count):
        result = model(step, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        out.append(int(result.logits[0, -1].argmax()))
        step = torch.tensor([out[-1:]])
    return out


def dump(load: Load, cases: list[Case]) -> Json:
    """Scores every case in float32 and bfloat16."""
    model = load(torch.float32)
    entries, full, exact = [], [], []
    for case in cases:
        more = greedy(model, case.ids, GREEDY_TOKENS) if case.greedy else []
        lp = log_probs(model, case.ids + more)
        entries.append((case, more, lp))
    vocab = entries[0][2].shape[1]
    distributions = torch.cat([lp for _, _, lp in entries])
    entropy = float(-(distributions.exp() * distributions).sum(-1).mean())
    del model

    model = load(torch.bfloat16)
    prompts: list[Json] = []
    for case, more, lp32 in entries:
        n, ids = len(case.ids), case.ids + more
        lp16 = log_probs(model, ids)
        taken32 = lp32[:-1].gather(1, torch.tensor(ids[1:], dtype=torch.long)[:, None])[:, 0]
        taken16 = lp16[:-1].gather(1, torch.tensor(ids[1:], dtype=torch.long)[:, None])[:, 0]
        full.append(taken32)
        exact.append((taken16 - taken32).abs())
        top = lp32.topk(5)
        h32 = -(lp32.exp() * lp32).sum(-1)

        def top5(i: int, top: Any = top) -> list[list[float]]:
            return [[int(t), round(float(p), 5)] for t, p in zip(top.indices[i], top.values[i], strict=True)]

        entry: Json = dict(case.extra)
        entry |= {"ids": case.ids, "logprobs_f32": rounded(taken32[: n - 1]), "logprobs_bf16": rounded(taken16[: n - 1])}
        entry |= {"entropy_f32": round(float(h32[:n].mean()), 5), "top5_f32": top5(n - 1)}
        if more:
            assert lp32[n - 1 : -1].argmax(-1).tolist() == more, "cached and uncached runs disagree"
            entry["greedy"] = {
                "ids": more,
                "logprobs_f32": rounded(taken32[n - 1 :]),
                "logprobs_bf16": rounded(taken16[n - 1 :]),
                "margin_f32": rounded(top.values[n - 1 : -1, 0] - top.values[n - 1 : -1, 1]),
                "top5_f32": [top5(i) for i in range(n - 1, n - 1 + len(more))],
            }
        prompts.append(entry)
    drift = torch.cat(exact)
    return {
        "format": 1,
        "made_by": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0],
                    "tokenizers": tokenizers.__version__, "attention": "eager", "device": "cpu"},
        "vocab_size": vocab,
        "entropy_f32": round(entropy, 5),
        "mean_logprob_f32": round(float(torch.cat(full).mean()), 5),
        "drift_bf16": {"count": drift.numel(), "mean": round(float(drift.mean()), 5),
                       "p99": round(float(drift.quantile(0.99)), 5), "max": round(float(drift.max()), 5)},
        "prompts": prompts,
    }


def write(name: str, golden: Json) -> None:
    """One prompt a line, so that a diff can be read."""
    head = {k: v for k, v in golden.items() if k != "prompts"}
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(p, separators=(",", ":"), ensure_ascii=False) for p in golden["prompts"])
    (GOLDEN / f"{name}.json").write_text(f'{text},"prompts":[\n{lines}\n]}}\n', encoding="utf-8")
    longest = max((len(set(p["greedy"]["ids"])) for p in golden["prompts"] if "greedy" in p), default=0)
    least = min((len(set(p["greedy"]["ids"])) for p in golden["prompts"] if "greedy" in p), default=0)
    d = golden["drift_bf16"]
    print(f"{name:34} entropy {golden['entropy_f32']:.2f}  mean log-prob {golden['mean_logprob_f32']:7.3f}  "
          f"bf16 drift mean {d['mean']:.4f} p99 {d['p99']:.4f} max {d['max']:.3f} over {d['count']}  "
          f"distinct greedy tokens {least}-{longest} of {GREEDY_TOKENS}", flush=True)


# ---------- tiny models ----------


def tiny_cases(name: str, v: tiny.Variant) -> list[Case]:
    ordinary = v.vocab - v.unused_rows - len(tiny.SPECIALS)
    out = []
    for n in TINY_LENGTHS:
        bits = tiny.splitmix64(tiny.hash_name(f"{name}/prompt/{n}"), n)
        out.append(Case([int(b % np.uint64(ordinary)) for b in bits], greedy=True))
    return out


def dump_tiny(name: str) -> None:
    v = tiny.VARIANTS[name]
    with tempfile.TemporaryDirectory() as root:
        goldens = []
        for schema in ("old", "new"):
            directory = pathlib.Path(root) / schema
            tiny.write_hf(v, directory, "bfloat16", schema, 1, 0)

            def load(dtype: torch.dtype, directory: pathlib.Path = directory) -> torch.nn.Module:
                return transformers.AutoModelForCausalLM.from_pretrained(directory, dtype=dtype, attn_implementation="eager").eval()

            goldens.append(dump(load, tiny_cases(name, v)))
        assert goldens[0] == goldens[1], "the two config schemas must mean the same"
        weights = hashlib.sha256((pathlib.Path(root) / "old" / "model.safetensors").read_bytes()).hexdigest()
    golden = goldens[0]
    if not 2.0 <= golden["entropy_f32"] <= 4.0:
        raise SystemExit(f"{name}: entropy {golden['entropy_f32']} is outside 2 to 4 nats, change its gains")
    write(f"tiny-{name}", {"model": name, "weights_sha256": weights} | golden)


# ---------- the default model ----------


def gguf_tokenizer(path: pathlib.Path) -> tuple[tokenizers.Tokenizer, str]:
    """The tokenizer of SmolLM2's GGUF, and its chat template.

    Built here because transformers' own conversion of this GGUF drops the rule that each digit is a token.
    """
    import gguf  # noqa: PLC0415

    reader = gguf.GGUFReader(path)
    tokens: list[str] = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds: list[int] = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ", 1)) for m in reader.fields["tokenizer.ggml.merges"].contents()]
    tok = tokenizers.Tokenizer(tokenizers.models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    pre = tokenizers.pre_tokenizers
    tok.pre_tokenizer = pre.Sequence([pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = tokenizers.decoders.ByteLevel()
    tok.add_special_tokens([t for t, k in zip(tokens, kinds, strict=True) if k == gguf.TokenType.CONTROL])
    return tok, reader.fields["tokenizer.chat_template"].contents()


def dump_default(path: pathlib.Path) -> None:
    tok, _ = gguf_tokenizer(path)
    texts = json.loads((GOLDEN / "texts.json").read_text(encoding="utf-8"))
    cases = []
    for kind in ("prompts", "passages"):
        for item in texts[kind]:
            ids = tok.encode(item["text"]).ids
            assert tok.decode(ids, skip_special_tokens=False) == item["text"], item["name"]
            cases.append(Case(ids, kind == "prompts", {"name": item["name"], "kind": kind[:-1], "text": item["text"]}))

    def load(dtype: torch.dtype) -> torch.nn.Module:
        return transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=dtype, attn_implementation="eager").eval()

    golden = dump(load, cases)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    write("smollm2-135m-instruct-q4_1", {"model": path.name, "weights_sha256": digest} | golden)
    for p in golden["prompts"]:
        d = np.abs(np.array(p["logprobs_f32"]) - np.array(p["logprobs_bf16"]))
        print(f"  {p['kind']:8} {p['name']:18} {len(p['ids']):5} tokens  entropy {p['entropy_f32']:.2f}  "
              f"mean log-prob {np.mean(p['logprobs_f32'] or [0]):7.3f}  bf16 drift mean {d.mean() if d.size else 0:.4f}")
        if "greedy" in p:
            print(f"           -> {tok.decode(p['greedy']['ids'], skip_special_tokens=False)!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    some = commands.add_parser("tiny", help="the tiny models")
    some.add_argument("variants", nargs="*", metavar="variant", help="default: all")
    default = commands.add_parser("default", help="the default model")
    default.add_argument("gguf", type=pathlib.Path)
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    with contextlib.suppress(AttributeError):
        transformers.utils.logging.disable_progress_bar()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    if args.command == "default":
        dump_default(args.gguf)
        return
    for name in args.variants or tiny.VARIANTS:
        dump_tiny(name)


if __name__ == "__main__":
    main()
