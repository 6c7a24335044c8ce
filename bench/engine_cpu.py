#!/usr/bin/env python3
"""Whole-engine figures of the CPU backend: prompt and decode speed, start to first token, memory after load.

Runs `pegainfer generate` and, with --peer, llama.cpp's `llama-bench` on the same model in turn (A B A B ...), so that the
ratio holds when the machine's speed drifts. Prints medians; needs nothing but Python.

  bench/engine_cpu.py --model .models/SmolLM2-135M-Instruct.Q4_1.gguf [--peer path/to/llama-bench] [--threads 2] [--runs 5]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORDS = ("the quick brown fox jumps over a lazy dog while seven wizards quietly brew jade tea in old houses near "
         "the northern river and nobody knows why the clocks stopped at noon").split()


def prompt_of(binary: str, model: str, tokens: int) -> str:
    """Plain English of exactly `tokens` tokens."""
    words: list[str] = []
    while True:
        words.append(WORDS[len(words) % len(WORDS)])
        text = " ".join(words)
        done = subprocess.run([binary, "tokenize", "--model", model], input=text, capture_output=True, text=True, check=True)
        count = len(json.loads(done.stdout))
        if count >= tokens:
            return text
        words += [WORDS[(len(words) + i) % len(WORDS)] for i in range(max(0, (tokens - count) // 2))]


def generate(binary: str, model: str, threads: int, prompt: str, max_tokens: int) -> dict:
    done = subprocess.run([binary, "generate", "--model", model, "--threads", str(threads), "--max-tokens", str(max_tokens),
                           "--temperature", "0", "--ignore-eos", "--json"],
                          input=prompt, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def warm_prompt(binary: str, model: str, threads: int, tokens: int) -> float:
    """Prompt tokens a second of a process that has computed one before, as llama-bench measures: it, too, runs once to warm up."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run([binary, "bench", "latency", "--model", model, "--threads", str(threads), "--batch-size", "1",
                        "--input-len", str(tokens), "--output-len", "1", "--num-iters-warmup", "1", "--num-iters", "3",
                        "--output-json", out.name], capture_output=True, check=True)
        return tokens / json.loads(pathlib.Path(out.name).read_text(encoding="ascii"))["avg_latency"]


def peer(command: str, model: str, threads: int, prompt: int, decode: int) -> tuple[float, float]:
    """llama-bench's tokens per second for the prompt and for decoding."""
    done = subprocess.run([command, "-m", model, "-t", str(threads), "-p", str(prompt), "-n", str(decode), "-r", "1", "-o", "json"],
                          capture_output=True, text=True, check=True)
    rows = json.loads(done.stdout)
    return (next(r["avg_ts"] for r in rows if r["n_prompt"]), next(r["avg_ts"] for r in rows if r["n_gen"]))


def first_token_seconds(binary: str, model: str, threads: int, prompt: str) -> float:
    """From exec to the first byte of generated text on standard output."""
    began = time.perf_counter()
    with subprocess.Popen([binary, "generate", "--model", model, "--threads", str(threads), "--max-tokens", "2", "--temperature", "0",
                           "-p", prompt], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        seconds = time.perf_counter() - began
        process.stdout.read()
    return seconds


def memory_after_load(binary: str, model: str, threads: int) -> tuple[int, int]:
    """Resident bytes of a server that is ready, and after one request."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with subprocess.Popen([binary, "serve", model, "--port", str(port), "--threads", str(threads)], stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(600):
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                        break
                except OSError:
                    time.sleep(0.05)
            ready = resident(server.pid)
            request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/completions", method="POST",
                                             headers={"Content-Type": "application/json"},
                                             data=b'{"prompt": "The capital of France is", "max_tokens": 32}')
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()
            return ready, resident(server.pid)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=60)


def resident(pid: int) -> int:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):8.1f}  ({min(values):.1f} .. {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "build/release-cpu/src/apps/pegainfer"))
    parser.add_argument("--model", default=str(ROOT / ".models/SmolLM2-135M-Instruct.Q4_1.gguf"))
    parser.add_argument("--peer", help="a llama-bench binary, run in turn with ours")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--decode-tokens", type=int, default=128)
    args = parser.parse_args()

    prompt = prompt_of(args.binary, args.model, args.prompt_tokens)
    short = prompt_of(args.binary, args.model, 20)
    cold_prompt, ours_prompt, ours_decode, peer_prompt, peer_decode, starts = [], [], [], [], [], []
    # The first round is not counted: a machine that was idle runs it at half speed, whoever goes first.
    generate(args.binary, args.model, args.threads, prompt, args.decode_tokens)
    for _ in range(args.runs):
        timings = generate(args.binary, args.model, args.threads, prompt, 1)["timings"]
        cold_prompt.append(timings["prompt_per_second"])
        ours_prompt.append(warm_prompt(args.binary, args.model, args.threads, args.prompt_tokens))
        timings = generate(args.binary, args.model, args.threads, "The", args.decode_tokens)["timings"]
        ours_decode.append(timings["predicted_per_second"])
        starts.append(first_token_seconds(args.binary, args.model, args.threads, short) * 1e3)
        if args.peer:
            p, d = peer(args.peer, args.model, args.threads, args.prompt_tokens, args.decode_tokens)
            peer_prompt.append(p)
            peer_decode.append(d)
    print(f"{pathlib.Path(args.model).name}, {args.threads} threads, medians of {args.runs} (min .. max)")
    print(f"prompt {args.prompt_tokens:4d}   tok/s {spread(ours_prompt)}   the first of a process {spread(cold_prompt)}")
    print(f"decode {args.decode_tokens:4d}   tok/s {spread(ours_decode)}")
    if args.peer:
        print(f"peer prompt   tok/s {spread(peer_prompt)}   ours / peer {statistics.median(ours_prompt) / statistics.median(peer_prompt):.2f}")
        print(f"peer decode   tok/s {spread(peer_decode)}   ours / peer {statistics.median(ours_decode) / statistics.median(peer_decode):.2f}")
    print(f"start to first token of a 20-token prompt, file cached   ms {spread(starts)}")
    ready, after = memory_after_load(args.binary, args.model, args.threads)
    size = pathlib.Path(args.model).stat().st_size if pathlib.Path(args.model).is_file() else 0
    print(f"resident when ready {ready / 1e6:.1f} MB, after a request {after / 1e6:.1f} MB; the model file has {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
