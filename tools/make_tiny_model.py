#!/usr/bin/env python3
"""Writes tiny random models in the Hugging Face directory layout (and GGUF), for tests.

Every byte of the weights is a function of the variant, the tensor's name and --seed: values come from a
splitmix64 hash of (tensor name, element index), never from a library's random generator. So the same files
come out on every machine, and the references in tests/golden stay valid.

All values are rounded to bfloat16 first, whatever --dtype is, so that one reference serves the bfloat16,
the float32 and (to 3e-8) the float16 file of a variant.

Needs numpy; --gguf also needs the PyPI package `gguf`.

    make_tiny_model.py --list
    make_tiny_model.py qwen3 /tmp/tiny-qwen3
    make_tiny_model.py llama3-rope /tmp/tiny-llama3 --schema new --dtype float32 --shards 2
    make_tiny_model.py smollm2 --gguf /tmp/tiny.gguf --qtype Q8_0
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]
Json = dict[str, Any]


# ---------- variants ----------


@dataclasses.dataclass(frozen=True)
class Variant:
    """One tiny model: its shape, what makes it special, and the gains that keep its outputs lively."""

    arch: str  # "llama", "qwen2", "qwen3" or "mistral"
    about: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    tied: bool = False
    rope_theta: float = 10000.0
    rope: Json | None = None  # rope_type and its parameters, without rope_theta
    rms_eps: float = 1e-6
    attention_bias: bool = False  # llama: bias of q, k, v and o
    mlp_bias: bool = False  # llama: bias of gate, up and down
    window: int | None = None  # sliding_window
    use_window: bool = False  # qwen2: use_sliding_window
    max_window_layers: int | None = None  # qwen2: the first layer that slides
    tokenizer: str = "qwen"  # pre-tokenizer: "qwen", "llama3" or "digits"
    unused_rows: int = 0  # vocabulary rows past the tokenizer's last token
    logit_std: float = 2.5  # spread of the next-token logits: sets the entropy
    qk_std: float = 1.6  # spread of the attention scores
    max_position: int = 1024

    @property
    def qk_norm(self) -> bool:
        return self.arch == "qwen3"

    @property
    def qkv_bias(self) -> bool:
        return self.arch == "qwen2" or self.attention_bias


VARIANTS: dict[str, Variant] = {
    "qwen3": Variant(
        "qwen3", "QK norm, heads x head_dim is not hidden, 3 query heads a KV head, tied",
        hidden=64, layers=3, heads=6, kv_heads=2, head_dim=32, intermediate=160, vocab=384, tied=True,
        rope_theta=1e6, unused_rows=5,
    ),
    "qwen3-untied": Variant(
        "qwen3", "5 query heads on one KV head of 64, own output head",
        hidden=96, layers=2, heads=5, kv_heads=1, head_dim=64, intermediate=192, vocab=512, rope_theta=1e6,
    ),
    "qwen3-yarn": Variant(
        "qwen3", "YaRN with the default attention factor, 0.1 ln(factor) + 1",
        hidden=64, layers=3, heads=4, kv_heads=2, head_dim=32, intermediate=160, vocab=384, tied=True,
        rope={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256},
    ),
    "qwen2": Variant(
        "qwen2", "bias on q, k and v; sliding_window present but switched off; tied",
        hidden=96, layers=3, heads=6, kv_heads=2, head_dim=16, intermediate=224, vocab=448, tied=True,
        rope_theta=1e6, window=64, use_window=False, max_window_layers=1,
    ),
    "qwen2-window": Variant(
        "qwen2", "sliding window of 64 from layer 1 on, full attention in layer 0; own output head",
        hidden=96, layers=3, heads=6, kv_heads=2, head_dim=16, intermediate=224, vocab=448,
        rope_theta=1e6, window=64, use_window=True, max_window_layers=1,
    ),
    "llama": Variant(
        "llama", "as many KV heads as query heads, own output head",
        hidden=64, layers=3, heads=4, kv_heads=4, head_dim=16, intermediate=192, vocab=384, rms_eps=1e-5,
        tokenizer="llama3",
    ),
    "llama-rope-linear": Variant(
        "llama", "linear position scaling by 4",
        hidden=96, layers=2, heads=3, kv_heads=1, head_dim=32, intermediate=160, vocab=384, rms_eps=1e-5,
        rope={"rope_type": "linear", "factor": 4.0}, tokenizer="llama3",
    ),
    "llama3-rope": Variant(
        "llama", "Llama 3.1's frequency scaling, with wavelengths on both sides of its two bounds",
        hidden=128, layers=2, heads=4, kv_heads=2, head_dim=32, intermediate=224, vocab=512, rms_eps=1e-5,
        rope={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
              "original_max_position_embeddings": 64},
        tokenizer="llama3",
    ),
    "llama-yarn": Variant(
        "llama", "YaRN with an explicit attention_factor, beta_fast and beta_slow",
        hidden=128, layers=2, heads=4, kv_heads=1, head_dim=32, intermediate=160, vocab=384, rms_eps=1e-5,
        rope={"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 128,
              "attention_factor": 1.3, "beta_fast": 8.0, "beta_slow": 2.0},
        tokenizer="llama3",
    ),
    "llama-bias": Variant(
        "llama", "bias on every linear layer (attention_bias, mlp_bias), a large rms_norm_eps",
        hidden=64, layers=3, heads=4, kv_heads=2, head_dim=16, intermediate=160, vocab=384, rms_eps=1e-2,
        attention_bias=True, mlp_bias=True, tokenizer="llama3",
    ),
    "smollm2": Variant(
        "llama", "as SmolLM2: llama with a tied head, 3 query heads a KV head, each digit its own token",
        hidden=96, layers=4, heads=3, kv_heads=1, head_dim=32, intermediate=256, vocab=512, tied=True,
        rope_theta=100000.0, rms_eps=1e-5, tokenizer="digits",
    ),
    "mistral": Variant(
        "mistral", "no window, heads x head_dim is not hidden, 5 query heads a KV head",
        hidden=128, layers=2, heads=10, kv_heads=2, head_dim=16, intermediate=224, vocab=512, rms_eps=1e-5,
        tokenizer="llama3",
    ),
    "mistral-window": Variant(
        "mistral", "sliding window of 64 in every layer",
        hidden=64, layers=3, heads=4, kv_heads=2, head_dim=16, intermediate=160, vocab=384, rms_eps=1e-5,
        window=64, tokenizer="llama3",
    ),
}


# ---------- weights ----------


def hash_name(text: str) -> int:
    """FNV-1a, 64 bits."""
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


def splitmix64(seed: int, count: int) -> npt.NDArray[np.uint64]:
    """The first `count` outputs of splitmix64 started at `seed`, computed side by side."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def normal(name: str, shape: tuple[int, ...], std: float, mean: float = 0.0, seed: int = 0) -> F32:
    """Nearly normal values: the centred sum of the four 16-bit quarters of each hash. Exact arithmetic only."""
    bits = splitmix64(hash_name(f"{seed}/{name}"), math.prod(shape))
    total = np.zeros(bits.shape, np.int64)
    for shift in (0, 16, 32, 48):
        total += ((bits >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64)
    unit = (total - 2 * 0xFFFF).astype(np.float64) / (0x10000 / math.sqrt(3.0))
    return round_bf16((unit * std + mean).astype(np.float32)).reshape(shape)


def bf16_bits(x: F32) -> npt.NDArray[np.uint16]:
    """Round to nearest even."""
    u = np.ascontiguousarray(x).view(np.uint32)
    return ((u + np.uint32(0x7FFF) + ((u >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def round_bf16(x: F32) -> F32:
    return (bf16_bits(x).astype(np.uint32) << np.uint32(16)).view(np.float32)


def tensors(v: Variant, seed: int = 0) -> Iterator[tuple[str, F32]]:
    """The checkpoint's tensors under their Hugging Face names, in checkpoint order."""
    q_dim, kv_dim = v.heads * v.head_dim, v.kv_heads * v.head_dim
    embed_std = 0.5

    def linear(name: str, rows: int, cols: int, gain: float, bias: bool) -> Iterator[tuple[str, F32]]:
        yield f"{name}.weight", normal(f"{name}.weight", (rows, cols), gain / math.sqrt(cols), seed=seed)
        if bias:
            yield f"{name}.bias", normal(f"{name}.bias", (rows,), 0.25 * gain, seed=seed)

    def norm(name: str, size: int, mean: float = 1.0) -> tuple[str, F32]:
        return f"{name}.weight", normal(f"{name}.weight", (size,), 0.2 * mean, mean, seed=seed)

    yield "model.embed_tokens.weight", normal("model.embed_tokens.weight", (v.vocab, v.hidden), embed_std, seed=seed)
    qk_gain = math.sqrt(v.qk_std)
    for i in range(v.layers):
        p = f"model.layers.{i}"
        yield norm(f"{p}.input_layernorm", v.hidden)
        yield from linear(f"{p}.self_attn.q_proj", q_dim, v.hidden, qk_gain, v.qkv_bias)
        yield from linear(f"{p}.self_attn.k_proj", kv_dim, v.hidden, qk_gain, v.qkv_bias)
        yield from linear(f"{p}.self_attn.v_proj", kv_dim, v.hidden, 1.0, v.qkv_bias)
        yield from linear(f"{p}.self_attn.o_proj", v.hidden, q_dim, 2.0, v.attention_bias)
        if v.qk_norm:
            yield norm(f"{p}.self_attn.q_norm", v.head_dim, qk_gain)
            yield norm(f"{p}.self_attn.k_norm", v.head_dim, qk_gain)
        yield norm(f"{p}.post_attention_layernorm", v.hidden)
        yield from linear(f"{p}.mlp.gate_proj", v.intermediate, v.hidden, 1.5, v.mlp_bias)
        yield from linear(f"{p}.mlp.up_proj", v.intermediate, v.hidden, 1.0, v.mlp_bias)
        yield from linear(f"{p}.mlp.down_proj", v.hidden, v.intermediate, 1.5, v.mlp_bias)

    # A tied head would favour the current token, whose embedding is in the residual: random signs in the last
    # norm make that coupling vanish on average, so that greedy text does not repeat one token.
    last, last_norm = norm("model.norm", v.hidden, v.logit_std / (embed_std * math.sqrt(v.hidden)) if v.tied else 1.0)
    if v.tied:
        last_norm = np.where(splitmix64(hash_name(f"{seed}/signs"), v.hidden) >> np.uint64(63) != 0, last_norm, -last_norm)
    yield last, last_norm
    if not v.tied:
        yield from linear("lm_head", v.vocab, v.hidden, v.logit_std, False)


# ---------- tokenizer ----------

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]

WORDS = (
    "the and of to in is that it was for on are as with his they at be this from have or by one had not but what all "
    "were when we there can an your which their said if do will each about how up out them then she many some so these "
    "would other into has more her two like him see time could no make than first been its who now people my made over "
    "did down only way find use may water long little very after words called just where most know get through back much "
    "before go good new write our used me man too any day same right look think also around another came come work three "
    "word must because does part even place well such here take why things help put years different away again off went "
    "old number great tell men say small every found still between name should home big give air line set own under read "
    "last never us left end along while might next sound below saw something thought both few those always looked show"
).split()

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)

SPLIT_PATTERNS = {
    "qwen": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}


def byte_alphabet() -> list[str]:
    """The visible character that stands for each byte in a byte-level vocabulary, by byte."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = (chr(0x100 + i) for i in range(256 - len(visible)))
    return [chr(b) if b in visible else next(hidden) for b in range(256)]


def build_vocab(v: Variant) -> tuple[list[str], list[tuple[str, str]]]:
    """Ordinary tokens (256 bytes, then merges) and the merges; specials and unused rows follow them."""
    tokens, merges = byte_alphabet(), []
    space = tokens[0x20]
    room = v.vocab - v.unused_rows - len(SPECIALS)
    seen = set(tokens)
    for word in WORDS:  # each word as a chain: " t" + "h" -> " th" + "e" -> " the"
        for chain in (space + word, word):
            left = chain[0]
            for right in chain[1:]:
                if left + right not in seen and len(tokens) < room:
                    merges.append((left, right))
                    tokens.append(left + right)
                    seen.add(left + right)
                left += right
                if left not in seen:
                    break
    if len(tokens) != room:
        raise ValueError(f"the word list fills {len(tokens)} of {room} tokens")
    return tokens, merges


def tokenizer_json(v: Variant, schema: str) -> Json:
    """The file tokenizer.json."""
    tokens, merges = build_vocab(v)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    if v.tokenizer == "digits":
        split = [{"type": "Digits", "individual_digits": True}, byte_level | {"use_regex": True}]
    else:
        pattern = {"Regex": SPLIT_PATTERNS[v.tokenizer]}
        split = [{"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}, byte_level]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": len(tokens) + i, "content": s} | flags for i, s in enumerate(SPECIALS)],
        "normalizer": {"type": "NFC"} if v.tokenizer == "qwen" else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": split},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": {t: i for i, t in enumerate(tokens)},
            "merges": [" ".join(m) if schema == "old" else list(m) for m in merges],
        },
    }


def special_id(v: Variant, name: str) -> int:
    return v.vocab - v.unused_rows - len(SPECIALS) + SPECIALS.index(name)


def tokenizer_config(v: Variant, schema: str) -> Json:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config: Json = {
        "added_tokens_decoder": {str(special_id(v, s)): {"content": s} | flags for s in SPECIALS},
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "model_max_length": v.max_position,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    if schema == "old":  # the new schema keeps the template in a file of its own
        config["chat_template"] = CHAT_TEMPLATE
    return config


# ---------- config ----------


def model_config(v: Variant, dtype: str, schema: str) -> Json:
    """The file config.json, in the schema of transformers 4 ("old") or 5 ("new")."""
    config: Json = {
        "architectures": [{"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
                           "mistral": "MistralForCausalLM"}[v.arch]],
        "attention_dropout": 0.0,
        "bos_token_id": special_id(v, "<|endoftext|>"),
        "eos_token_id": special_id(v, "<|im_end|>"),
        "hidden_act": "silu",
        "hidden_size": v.hidden,
        "initializer_range": 0.02,
        "intermediate_size": v.intermediate,
        "max_position_embeddings": v.max_position,
        "model_type": v.arch,
        "num_attention_heads": v.heads,
        "num_hidden_layers": v.layers,
        "num_key_value_heads": v.kv_heads,
        "rms_norm_eps": v.rms_eps,
        "tie_word_embeddings": v.tied,
        "use_cache": True,
        "vocab_size": v.vocab,
    }
    if v.arch in ("llama", "qwen3"):
        config |= {"attention_bias": v.attention_bias}
    if v.arch == "llama":
        config |= {"mlp_bias": v.mlp_bias, "pretraining_tp": 1}
    if v.arch != "qwen2":
        config |= {"head_dim": v.head_dim}
    if v.arch == "mistral":
        config |= {"sliding_window": v.window}
    if v.arch.startswith("qwen"):
        first = v.layers if v.max_window_layers is None else v.max_window_layers
        config |= {"sliding_window": v.window, "use_sliding_window": v.use_window, "max_window_layers": first}
        if schema == "new":
            config["sliding_window"] = v.window if v.use_window else None
            slides = [v.use_window and i >= first for i in range(v.layers)]
            config["layer_types"] = ["sliding_attention" if s else "full_attention" for s in slides]
    if schema == "old":
        config |= {"torch_dtype": dtype, "rope_theta": v.rope_theta, "rope_scaling": v.rope, "transformers_version": "4.51.0"}
    else:
        rope = v.rope or {"rope_type": "default"}
        config |= {"dtype": dtype, "rope_parameters": rope | {"rope_theta": v.rope_theta}, "transformers_version": "5.0.0"}
    return dict(sorted(config.items()))


def generation_config(v: Variant) -> Json:
    return {
        "bos_token_id": special_id(v, "<|endoftext|>"),
        "do_sample": True,
        "eos_token_id": [special_id(v, "<|im_end|>"), special_id(v, "<|endoftext|>")],
        "pad_token_id": special_id(v, "<|endoftext|>"),
        "temperature": 0.7,
        "top_k": 20,
        "top_p": 0.9,
    }


# ---------- files ----------


def encode(x: F32, dtype: str) -> bytes:
    if dtype == "bfloat16":
        return bf16_bits(x).astype("<u2").tobytes()
    return x.astype({"float16": "<f2", "float32": "<f4"}[dtype]).tobytes()


def write_safetensors(path: pathlib.Path, entries: list[tuple[str, F32]], dtype: str) -> int:
    """Writes one file and returns the bytes of its tensors."""
    header: Json = {"__metadata__": {"format": "pt"}}
    blobs, offset = [], 0
    for name, x in entries:
        blob = encode(x, dtype)
        tag = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}[dtype]
        header[name] = {"dtype": tag, "shape": list(x.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))
    return offset


def write_json(path: pathlib.Path, value: Json) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_hf(v: Variant, out: pathlib.Path, dtype: str, schema: str, shards: int, seed: int) -> None:
    """Writes the whole model directory."""
    out.mkdir(parents=True, exist_ok=True)
    entries = list(tensors(v, seed))
    if shards == 1:
        write_safetensors(out / "model.safetensors", entries, dtype)
    else:
        names = [f"model-{i + 1:05d}-of-{shards:05d}.safetensors" for i in range(shards)]
        per = -(-len(entries) // shards)
        groups = [entries[i * per:(i + 1) * per] for i in range(shards)]
        total = sum(write_safetensors(out / n, g, dtype) for n, g in zip(names, groups, strict=True))
        weight_map = {name: n for n, g in zip(names, groups, strict=True) for name, _ in g}
        write_json(out / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": weight_map})
    write_json(out / "config.json", model_config(v, dtype, schema))
    write_json(out / "generation_config.json", generation_config(v))
    write_json(out / "tokenizer.json", tokenizer_json(v, schema))
    write_json(out / "tokenizer_config.json", tokenizer_config(v, schema))
    if schema == "new":
        (out / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


GGUF_FILE_TYPES = {"F32": 0, "F16": 1, "BF16": 32, "Q8_0": 7, "Q5_1": 9, "Q5_0": 8, "Q4_1": 3, "Q4_0": 2}


def gguf_name(name: str) -> str:
    """A tensor's name in GGUF."""
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in fixed:
        return fixed[name]
    parts = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
             "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
             "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
             "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
    _, _, layer, rest = name.split(".", 3)
    stem, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{parts[stem]}.{kind}"


def interleave_rope_rows(x: F32, heads: int) -> F32:
    """GGUF's llama rotates neighbours (0, 1), not halves (0, d/2): reorder each head's rows to match."""
    rows = x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:])
    return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(x.shape)


def llama3_rope_factors(v: Variant) -> F32:
    """The divisors of each frequency, which GGUF stores as the tensor rope_freqs."""
    assert v.rope is not None
    old = v.rope["original_max_position_embeddings"]
    low, high, factor = v.rope["low_freq_factor"], v.rope["high_freq_factor"], v.rope["factor"]
    out = []
    for i in range(0, v.head_dim, 2):
        turns = old / (2 * math.pi * v.rope_theta ** (i / v.head_dim))
        smooth = min(max((turns - low) / (high - low), 0.0), 1.0)
        out.append(1.0 / ((1.0 - smooth) / factor + smooth))
    return np.array(out, np.float32)


def write_gguf(v: Variant, path: pathlib.Path, qtype: str, seed: int, exceptions: dict[str, str] | None = None) -> None:
    """Writes the variant as GGUF: matrices in `qtype`, vectors in F32.

    `exceptions`: other types, by a part of the tensor's Hugging Face name.
    """
    import gguf  # noqa: PLC0415  (only this option needs it)

    if v.window is not None and (v.arch == "mistral" or v.use_window):
        raise SystemExit("GGUF's llama and qwen2 architectures have no sliding window")
    arch = "llama" if v.arch == "mistral" else v.arch
    w = gguf.GGUFWriter(path, arch)
    w.add_name("tiny")
    w.add_context_length(v.max_position)
    w.add_embedding_length(v.hidden)
    w.add_block_count(v.layers)
    w.add_feed_forward_length(v.intermediate)
    w.add_head_count(v.heads)
    w.add_head_count_kv(v.kv_heads)
    w.add_key_length(v.head_dim)
    w.add_value_length(v.head_dim)
    w.add_rope_dimension_count(v.head_dim)
    w.add_rope_freq_base(v.rope_theta)
    w.add_layer_norm_rms_eps(v.rms_eps)
    w.add_vocab_size(v.vocab)
    quant = gguf.GGMLQuantizationType[qtype]
    w.add_file_type(GGUF_FILE_TYPES[qtype])

    rope = v.rope or {"rope_type": "default"}
    if rope["rope_type"] in ("linear", "yarn"):
        w.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        w.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "yarn":
        w.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        if "attention_factor" in rope:  # GGUF's factor multiplies YaRN's default one
            w.add_rope_scaling_attn_factors(rope["attention_factor"] / (0.1 * math.log(rope["factor"]) + 1.0))
        if "beta_fast" in rope:
            w.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
            w.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])

    tokens, merges = build_vocab(v)
    kinds = [gguf.TokenType.NORMAL] * len(tokens)
    tokens = tokens + SPECIALS + [f"[PAD{i}]" for i in range(v.unused_rows)]
    kinds += [gguf.TokenType.CONTROL] * len(SPECIALS) + [gguf.TokenType.UNUSED] * v.unused_rows
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre({"qwen": "qwen2", "llama3": "llama-bpe", "digits": "smollm"}[v.tokenizer])
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges([" ".join(m) for m in merges])
    w.add_bos_token_id(special_id(v, "<|endoftext|>"))
    w.add_eos_token_id(special_id(v, "<|im_end|>"))
    w.add_pad_token_id(special_id(v, "<|endoftext|>"))
    w.add_add_bos_token(False)
    w.add_chat_template(CHAT_TEMPLATE)

    if rope["rope_type"] == "llama3":
        w.add_tensor("rope_freqs.weight", llama3_rope_factors(v))
    for name, x in tensors(v, seed):
        if arch == "llama" and ".q_proj." in name:
            x = interleave_rope_rows(x, v.heads)
        if arch == "llama" and ".k_proj." in name:
            x = interleave_rope_rows(x, v.kv_heads)
        other = next((q for part, q in (exceptions or {}).items() if part in name), qtype)
        kind = gguf.GGMLQuantizationType[other] if x.ndim == 2 else gguf.GGMLQuantizationType.F32
        data = x if kind == gguf.GGMLQuantizationType.F32 else gguf.quants.quantize(x, kind)
        w.add_tensor(gguf_name(name), data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variant", nargs="?", choices=sorted(VARIANTS), metavar="variant", help="one of --list")
    parser.add_argument("out", nargs="?", type=pathlib.Path, help="directory to write (made if missing)")
    parser.add_argument("--list", action="store_true", help="print the variants and exit")
    parser.add_argument("--dtype", choices=["bfloat16", "float16", "float32"], default="bfloat16",
                        help="of the safetensors (default: %(default)s)")
    parser.add_argument("--schema", choices=["old", "new"], default="old",
                        help="config.json of transformers 4 or 5 (default: %(default)s)")
    parser.add_argument("--shards", type=int, default=1,
                        help="safetensors files; above 1 adds the index (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another set of weights (references hold for 0)")
    parser.add_argument("--gguf", type=pathlib.Path, metavar="OUT", help="also write a GGUF file")
    parser.add_argument("--qtype", choices=list(GGUF_FILE_TYPES), default="F32",
                        help="of the GGUF's matrices (default: %(default)s)")
    args = parser.parse_args()
    if args.list:
        for name, v in VARIANTS.items():
            print(f"{name:18} {v.arch:8} {v.about}")
        return
    if args.variant is None or (args.out is None and args.gguf is None) or args.shards < 1:
        parser.error("give a variant and a directory (or --gguf)")
    if args.out is not None:
        write_hf(VARIANTS[args.variant], args.out, args.dtype, args.schema, args.shards, args.seed)
    if args.gguf is not None:
        write_gguf(VARIANTS[args.variant], args.gguf, args.qtype, args.seed)


if __name__ == "__main__":
    main()
