#!/usr/bin/env python3
"""Checks who includes whom: the dependency rule of ARCHITECTURE.md over every `#include "..."` of the tree.

Usage: check_layers.py [ROOT]      exit 0 when every edge is allowed, 1 with one line an offence otherwise.
"""

from __future__ import annotations

import pathlib
import re
import sys

# folder -> the folders it may include besides itself and include/pegainfer. The longest matching folder name counts.
ALLOWED: dict[str, set[str]] = {
    "base": set(),
    "tensor": {"base"},
    "sampling": {"base"},
    "tokenizer": {"base"},
    "checkpoint": {"base", "tensor", "tokenizer/gguf_vocab.h"},
    "backend": {"base", "tensor", "backend/cpu/cpu_backend.h", "backend/check/checked_backend.h",
                "backend/null/null_backend.h", "kernels/cuda/attention/splits.h"},
    "kernels/cpu": {"base", "tensor"},
    "kernels/cuda": {"base", "tensor/dtype.h", "tensor/dummy_value.h"},
    "backend/cpu": {"base", "tensor", "backend", "kernels/cpu"},
    "backend/cuda": {"base", "tensor", "backend", "kernels/cuda"},
    "backend/null": {"base", "tensor", "backend"},
    "backend/check": {"base", "tensor", "backend"},
    "model": {"base", "tensor", "backend", "checkpoint"},
    "kv": {"base"},
    "scheduler": {"base", "kv", "sampling"},
    "runner": {"base", "tensor", "backend", "backend/null", "checkpoint", "model", "sampling", "scheduler/step_plan.h"},
    "engine": {"base", "tensor", "backend/backend.h", "backend/cards.h", "checkpoint", "tokenizer", "sampling", "kv", "scheduler", "runner",
               "model"},
    "sim": {"base", "engine", "kv", "runner/step_executor.h", "sampling", "scheduler", "tokenizer/byte_tokenizer.h"},
    "bench": {"base", "engine", "kv", "runner/step_executor.h", "sampling", "scheduler", "sim"},
    "metrics": {"base", "engine/engine_observer.h", "scheduler/step_plan.h"},
    "trace": {"base", "engine/engine_observer.h", "scheduler/step_plan.h"},
    "chat/jinja": {"base"},
    "chat": {"base", "chat/jinja"},
    "server/http": {"base"},
    "server/openai": {"base", "sampling", "tokenizer", "engine", "chat"},
    "server": {"base", "sampling", "tokenizer", "engine", "chat", "server/http", "server/openai"},
    "apps": {"base", "backend/cards.h", "backend/cuda_probe.h", "backend/cpu/machine.h", "bench", "checkpoint",
             "tokenizer", "sampling", "chat", "engine", "metrics", "trace", "server", "server/http", "server/openai", "sim"},
}
# Heavy headers that only implementation files may include (build time), and device headers by folder.
CPP_ONLY = ("boost/", "base/json.h", "CLI/", "spdlog/", "prometheus/")
CPP_ONLY_EXEMPT = {"base/json.h", "server/http"}  # the HTTP layer's own headers hold Asio types
CUDA_FOLDERS = ("kernels/cuda", "backend/cuda")
CUDA_HEADERS = re.compile(r"^(cuda|cublas|nccl|cooperative_groups|nvtx)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".cpp", ".cu", ".cuh"}


def folder_of(path: str) -> str | None:
    """The folder of ALLOWED that `path` (relative to src) is in: the longest one that fits."""
    fits = [name for name in ALLOWED if path.startswith(name + "/")]
    return max(fits, key=len) if fits else None


def allowed(source: str, target: str) -> bool:
    here, there = folder_of(source), folder_of(target)
    if here == there:
        return True
    return there in ALLOWED[here] or target in ALLOWED[here]


def check_file(path: str, text: str) -> list[str]:
    """Offences of one file; `path` is relative to src."""
    found = []
    here = folder_of(path)
    if here is None:
        return [f"src/{path}: in no folder that tools/check_layers.py knows; add it to the table and to ARCHITECTURE.md"]
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            if re.match(r"^\s*#\s*if.*\b(PEGAINFER_CUDA|USE_CUDA|PEGA_CUDA)\b", line):
                found.append(f"src/{path}:{number}: #if on a backend; choose the library in CMake instead")
            continue
        quote, target = match.groups()
        if CUDA_HEADERS.match(target) and here not in CUDA_FOLDERS:
            found.append(f"src/{path}:{number}: {target}: CUDA headers only in {' and '.join(CUDA_FOLDERS)}")
        if path.endswith((".h", ".cuh")) and target.startswith(CPP_ONLY) and not (CPP_ONLY_EXEMPT & {path, here}):
            found.append(f"src/{path}:{number}: {target}: only .cpp files may include it")
        if quote == '"' and not target.startswith("pegainfer/"):
            if folder_of(target) is None:
                found.append(f'src/{path}:{number}: "{target}" is not a path from src or include')
            elif not allowed(path, target):
                found.append(f"src/{path}:{number}: {here} may not include {target}")
    return found


def check_tree(root: pathlib.Path) -> list[str]:
    found = []
    for path in sorted((root / "src").rglob("*")):
        if path.suffix in SUFFIXES:
            found += check_file(path.relative_to(root / "src").as_posix(), path.read_text(encoding="utf-8"))
    for path in sorted((root / "include").rglob("*.h")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match.group(1) == '"' and not match.group(2).startswith("pegainfer/"):
                found.append(f"{path.relative_to(root)}:{number}: an installed header may include only pegainfer/ headers")
    return found


def main() -> int:
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    if not (root / "src").is_dir():
        print(f"check_layers.py: {root} has no src folder", file=sys.stderr)
        return 2
    found = check_tree(root)
    for offence in found:
        print(offence)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
