#!/usr/bin/env python3
"""Writes every tiny model that the references in this folder are for.

    make_models.py OUT

    OUT/<variant>/bf16, OUT/<variant>/f32   Hugging Face directories; the schema of config.json alternates between
                                            the old one and the new one
    OUT/<variant>/f32.gguf                  where GGUF can hold it
    OUT/<variant>/<QTYPE>.gguf and <QTYPE>  for QUANTIZED: a quantized file, and the same values as float32
"""

from __future__ import annotations

import pathlib
import sys

import gguf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "tools"))

import make_tiny_model as tiny

QUANTIZED = ("qwen3", "smollm2")
# As in files of mixed precision: the parts of a merged matrix are of different types.
MIXED = {"v_proj": "Q8_0", "up_proj": "Q5_1", "embed_tokens": "Q8_0", "down_proj": "BF16"}


def write_quantized(v: tiny.Variant, out: pathlib.Path, name: str, qtype: str, exceptions: dict[str, str]) -> None:
    """A quantized GGUF and its twin: a float32 directory of the values that its blocks stand for."""
    tiny.write_gguf(v, out / f"{name}.gguf", qtype, 0, exceptions)
    entries = []
    for tensor, x in tiny.tensors(v):
        if x.ndim == 2:
            kind = gguf.GGMLQuantizationType[next((q for part, q in exceptions.items() if part in tensor), qtype)]
            x = gguf.quants.dequantize(gguf.quants.quantize(x, kind), kind).reshape(x.shape)
        entries.append((tensor, x))
    (out / name).mkdir(parents=True, exist_ok=True)
    tiny.write_safetensors(out / name / "model.safetensors", entries, "float32")
    tiny.write_json(out / name / "config.json", tiny.model_config(v, "float32", "old"))


def main() -> None:
    out = pathlib.Path(sys.argv[1])
    for i, (name, v) in enumerate(tiny.VARIANTS.items()):
        schemas = ("old", "new") if i % 2 == 0 else ("new", "old")
        tiny.write_hf(v, out / name / "bf16", "bfloat16", schemas[0], shards=1, seed=0)
        tiny.write_hf(v, out / name / "f32", "float32", schemas[1], shards=3, seed=0)
        if v.window is None or not (v.arch == "mistral" or v.use_window):  # GGUF has no sliding window
            tiny.write_gguf(v, out / name / "f32.gguf", "F32", seed=0)
        if name in QUANTIZED:
            for qtype in ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"):
                write_quantized(v, out / name, qtype, qtype, {})
            write_quantized(v, out / name, "mixed", "Q4_0", MIXED)


if __name__ == "__main__":
    main()
