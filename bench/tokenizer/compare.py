"""Speed of encoding against Hugging Face's `tokenizers`, one thread each, on the same 10 MB of mixed text.

usage: compare.py TOKENIZER_PROBE [tokenizer.json] [--mb 10] [--min-ratio 5]
Without a tokenizer.json one like Qwen3's is trained (tests/tokenizer/build_tokenizers.py). Prints one JSON object (processor time, so that a busy machine changes little); exits 1
when the ids differ or the ratio is below --min-ratio.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/tokenizer"))

from tokenizers import Tokenizer  # noqa: E402

import texts  # noqa: E402


def mixed_text(size, seed=3):
    """Prose of made-up words by Zipf's law, code, the scripts of the world, numbers: `size` bytes of it."""
    rng = random.Random(seed)
    syllables = ("ba be bi co da de di do e fa fi ga ge ha he hi ho i in is it ka ke la le li lo ma me mi mo na ne ni no o of on or pa pe po qu ra re ri ro sa se si so "
                 "ta te th ti to tr u un va ve vi wa we wi wo y ing tion ed er ly ness ment able st nd rk").split()
    words = ["".join(rng.choice(syllables) for _ in range(min(1 + i // 4000 + rng.randint(0, 2), 5))) for i in range(20000)]
    common = "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you were all her she there would".split()
    weights = [1 / (i + 5) for i in range(len(words))]
    scripts = list(texts.SCRIPTS.values())
    out, n = [], 0
    while n < size:
        kind = rng.random()
        if kind < 0.62:
            drawn = rng.choices(words, weights, k=60)
            line = " ".join(rng.choice(common) if rng.random() < 0.35 else w for w in drawn)
            part = line.capitalize() + rng.choice([". ", ".\n", "?\n\n", "! ", ", "])
        elif kind < 0.8:
            part = rng.choice(texts.CODE) * rng.randint(1, 3)
        elif kind < 0.95:
            part = " ".join(rng.choice(scripts) for _ in range(2)) + "\n"
        else:
            part = " ".join(str(rng.randint(0, 10 ** rng.randint(1, 9))) for _ in range(15)) + rng.choice(texts.EMOJI) + "\n"
        out.append(part)
        n += len(part.encode())
    return "".join(out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("tokenizer", nargs="?")
    parser.add_argument("--mb", type=float, default=10)
    parser.add_argument("--min-ratio", type=float, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = args.tokenizer
        if path is None:
            import build_tokenizers
            path = os.path.join(folder, "tokenizer.json")
            build_tokenizers.qwen_like().save(path)
        text = mixed_text(int(args.mb * 1e6))
        text_path = os.path.join(folder, "text")
        with open(text_path, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        size = len(text.encode())
        theirs = Tokenizer.from_file(path)
        best = {}
        # In lines, as a server would see it, and all at once: the better counts.
        lines = text.splitlines(keepends=True)
        for name, encode in (("whole", lambda: [len(theirs.encode(text).ids)]), ("lines", lambda: [len(x.ids) for x in theirs.encode_batch_fast(lines)])):
            for _ in range(2):
                start = time.process_time()
                counts = encode()
                seconds = time.process_time() - start
                best[name] = min(best.get(name, seconds), seconds)
            if name == "whole":
                expected = sum(counts)
        ours = json.loads(subprocess.run([args.probe, "bench", "json", path, text_path], capture_output=True, check=True, text=True).stdout)
    their_rate = size / min(best.values()) / 1e6
    our_rate = size / ours["encode_ms"] / 1e3
    report = {"bytes": size, "tokens": ours["tokens"], "same_count": ours["tokens"] == expected, "tokenizers_mb_per_s": round(their_rate, 2),
              "tokenizers_seconds": {k: round(v, 2) for k, v in best.items()}, "pegainfer_mb_per_s": round(our_rate, 2), "ratio": round(our_rate / their_rate, 2),
              "load_ms": round(ours["load_ms"], 1), "peak_mb": round(ours["peak_kb"] / 1024, 1)}
    print(json.dumps(report))
    return 0 if report["same_count"] and report["ratio"] >= args.min_ratio else 1


if __name__ == "__main__":
    sys.exit(main())
