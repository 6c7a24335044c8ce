"""Compares our tokenizer with Hugging Face's `tokenizers`: the same ids and the same decoded text.

usage: differential_test.py TOKENIZER_PROBE [--count 20000] [--few 1500]
--count random strings for the five main kinds, --few for the other variants; all the fixed texts for each. When
PEGA_QWEN3_TOKENIZER names the real Qwen3 tokenizer.json, that is compared as well, and with the committed fixture.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import Tokenizer  # noqa: E402

import build_tokenizers  # noqa: E402
import texts  # noqa: E402

MAIN = ("qwen_like", "llama3_like", "gpt2_digits", "llama_legacy", "gemma_like")
HERE = os.path.dirname(os.path.abspath(__file__))


class Probe:
    """Our tokenizer as a program: JSON lines in, JSON lines out."""

    def __init__(self, program):
        self.program = program

    def run(self, kind, path, lines):
        data = "".join(json.dumps(line) + "\n" for line in lines)
        done = subprocess.run([self.program, kind, path], input=data.encode(), capture_output=True)
        if done.returncode != 0:
            raise SystemExit(f"{path}: the probe ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
        out = [json.loads(line) for line in done.stdout.decode().split("\n")[:-1]]
        if len(out) != len(lines):
            raise SystemExit(f"{path}: {len(lines)} lines in, {len(out)} out")
        return out


def report(name, what, wrong, total):
    for item in wrong[:3]:
        print(f"{name}: {what}: " + "; ".join(ascii(x) for x in item))
    if wrong:
        print(f"{name}: {len(wrong)} of {total} differ: {what}")
    return len(wrong)


def decodable(tokenizer, ids):
    try:
        return [tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)]
    except BaseException:  # the library panics in a few cases (a Strip that is longer than the token)
        return None


def compare(probe, name, path, tokenizer, random_texts):
    fixed = texts.fixed_texts()
    lines = fixed + random_texts
    rng = random.Random(name)
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    expected = [tokenizer.encode(text).ids for text in lines]
    sequences = expected[:len(fixed)] + [[rng.randrange(size) for _ in range(rng.randint(0, 14))] for _ in range(1000)]
    got = probe.run("json", path, lines + sequences)
    wrong = [(t, e, g[0]) for t, e, g in zip(lines, expected, got) if e != g[0]]
    failures = report(name, "ids", wrong, len(lines))
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in fixed]
    failures += report(name, "ids without special tokens", [(t, e, g[1]) for t, e, g in zip(fixed, plain, got) if e != g[1]], len(fixed))
    wrong = []
    for ids, answer in zip(sequences, got[len(lines):]):
        want = decodable(tokenizer, ids)
        if want is not None and want != answer[:2]:
            wrong.append((ids, want, answer[:2]))
    failures += report(name, "decoded text", wrong, len(sequences))
    return failures


def check_fixture(probe, path, name):
    with open(os.path.join(HERE, "data", name + ".jsonl"), encoding="ascii") as f:
        rows = [json.loads(line) for line in f]
    got = probe.run("json", path, [text for text, _ in rows])
    return report(name, "fixture", [(t, e, g[0]) for (t, e), g in zip(rows, got) if e != g[0]], len(rows))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--few", type=int, default=1500)
    args = parser.parse_args()
    probe = Probe(args.probe)
    many = texts.random_texts(args.count, 7)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, tokenizer in build_tokenizers.all_tokenizers().items():
            path = os.path.join(folder, name + ".json")
            tokenizer.save(path)
            wanted = many if name in MAIN else texts.random_texts(args.few, name)
            failures += compare(probe, name, path, Tokenizer.from_file(path), wanted)
    real = os.environ.get("PEGA_QWEN3_TOKENIZER")
    if real:
        failures += compare(probe, "Qwen3", real, Tokenizer.from_file(real), many)
        failures += check_fixture(probe, real, "qwen3")
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
