#!/usr/bin/env python3
"""Writes tests/kernels/cpu/data/quant_vectors.bin: blocks of every quantized format and what the PyPI package `gguf`
dequantizes them to.

  pip install gguf numpy && tools/make_quant_vectors.py tests/kernels/cpu/data/quant_vectors.bin

Records until the end of the file, little-endian: name length (u8), name, elements (u32), bytes (u32), the blocks, the
elements as F32. Bits are random; the F16 scales are of sane size, but for one block a format with a zero scale.
"""
import struct
import sys

import gguf
import numpy as np

# name, offsets of the F16 fields in a block, blocks
FORMATS = [("Q4_0", [0], 8), ("Q4_1", [0, 2], 8), ("Q5_0", [0], 8), ("Q5_1", [0, 2], 8), ("Q8_0", [0], 8),
           ("Q2_K", [80, 82], 3), ("Q3_K", [108], 3), ("Q4_K", [0, 2], 3), ("Q5_K", [0, 2], 3), ("Q6_K", [208], 3),
           ("IQ4_NL", [0], 8)]


def main(path):
    rng = np.random.default_rng(7)
    with open(path, "wb") as out:
        for name, halves, count in FORMATS:
            kind = gguf.GGMLQuantizationType[name]
            elements, size = gguf.GGML_QUANT_SIZES[kind]
            blocks = rng.integers(0, 256, size=(count, size), dtype=np.uint8)
            for at in halves:
                scales = rng.normal(0, 0.02, size=count).astype(np.float16)
                scales[0] = 0
                blocks[:, at:at + 2] = scales.view(np.uint8).reshape(count, 2)
            values = gguf.quants.dequantize(blocks, kind).astype("<f4")
            assert values.size == count * elements and np.isfinite(values).all()
            out.write(struct.pack("<B", len(name)) + name.encode())
            out.write(struct.pack("<II", values.size, blocks.size))
            out.write(blocks.tobytes() + values.tobytes())


if __name__ == "__main__":
    main(sys.argv[1])
