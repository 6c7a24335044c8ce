"""Vocabularies as GGUF holds them against an independent tokenizer of the same: Hugging Face's for byte-level ones, the
definition of SentencePiece's procedure, written out, for scores.

usage: gguf_differential_test.py TOKENIZER_PROBE [--count 4000]
"""
import argparse
import json
import os
import sys
import tempfile

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

import build_tokenizers
import texts
from differential_test import Probe, report

NORMAL, UNKNOWN, CONTROL, USER, BYTE = 1, 2, 3, 4, 6
SPACE = "\u2581"


def byte_level_parts(tokenizer):
    data = json.loads(tokenizer.to_str())
    vocab = data["model"]["vocab"]
    added = {x["id"]: x for x in data["added_tokens"]}
    names = {i: t for t, i in vocab.items()} | {i: x["content"] for i, x in added.items()}
    tokens = [names.get(i, f"[unused{i}]") for i in range(max(names) + 1)]
    types = [(CONTROL if added[i]["special"] else USER) if i in added else NORMAL for i in range(len(tokens))]
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    return {"model": "gpt2", "tokens": tokens, "token_types": types, "merges": merges}


def hugging_face(gguf, pre, normalizer=None, ignore_merges=False):
    """The same vocabulary in the library."""
    vocab = {t: i for i, t in enumerate(gguf["tokens"])}
    t = Tokenizer(models.BPE(vocab=vocab, merges=[tuple(m.split(" ")) for m in gguf["merges"]], ignore_merges=ignore_merges))
    if normalizer is not None:
        t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Sequence([*pre, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    from tokenizers import AddedToken
    for token, kind in zip(gguf["tokens"], gguf["token_types"]):
        if kind in (CONTROL, USER):
            t.add_tokens([AddedToken(token, special=kind == CONTROL, normalized=False)])
    return t


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def isolated(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level_cases():
    digits = byte_level_parts(build_tokenizers.gpt2_digits())
    qwen = byte_level_parts(build_tokenizers.qwen_like())
    llama = byte_level_parts(build_tokenizers.llama3_like())
    yield "smollm", digits, hugging_face(digits, [pre_tokenizers.Digits(individual_digits=True), isolated(GPT2)])
    yield "gpt-2", digits, hugging_face(digits, [isolated(GPT2)])
    yield "qwen2", qwen, hugging_face(qwen, [isolated(build_tokenizers.QWEN2)], normalizers.NFC())
    yield "llama-bpe", llama, hugging_face(llama, [isolated(build_tokenizers.LLAMA3)], ignore_merges=True)
    yield "default", qwen, hugging_face(qwen, [isolated(r"[\p{P}\$\+<=>\^~\|]+"), isolated(GPT2), isolated(r"\p{N}+"), isolated("[0-9][0-9][0-9]")])


def sentencepiece_parts():
    data = json.loads(build_tokenizers.llama_legacy().to_str())
    vocab = data["model"]["vocab"]
    tokens = [t for t, _ in sorted(vocab.items(), key=lambda x: x[1])]
    # Two characters lose their tokens, so that merges must go through what is no token.
    types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(tokens) - 259)
    scores = [0.0] * 259 + [-float(i // 3) for i in range(len(tokens) - 259)]  # some are equal
    for lost in ("q", "w"):
        tokens[tokens.index(lost)] = f"[lost {lost}]"
    return {"model": "llama", "tokens": tokens, "token_types": types, "scores": scores, "bos_id": 1, "eos_id": 2, "unk_id": 0}


def sentencepiece_ids(gguf, ids, text):
    """Merge the neighbours whose union has the highest score, the leftmost among equals; then fall back to bytes."""
    out = []
    specials = {t: i for t, i in ids.items() if gguf["token_types"][i] in (UNKNOWN, CONTROL)}
    rest, section = text, ""
    sections = []
    while rest:
        hit = next((t for t in sorted(specials, key=len, reverse=True) if rest.startswith(t)), None)
        if hit:
            sections += [section, specials[hit]]
            section, rest = "", rest[len(hit):]
        else:
            section, rest = section + rest[0], rest[1:]
    for part in [*sections, section]:
        if isinstance(part, int):
            out.append(part)
            continue
        if not part:
            continue
        symbols = list(SPACE + part.replace(" ", SPACE))
        while True:
            best = None
            for i in range(len(symbols) - 1):
                token = ids.get(symbols[i] + symbols[i + 1])
                if token is not None and gguf["token_types"][token] == NORMAL and (best is None or gguf["scores"][token] > best[0]):
                    best = (gguf["scores"][token], i)
            if best is None:
                break
            symbols[best[1]:best[1] + 2] = [symbols[best[1]] + symbols[best[1] + 1]]
        for s in symbols:
            out += [ids[s]] if s in ids else [ids[f"<0x{b:02X}>"] for b in s.encode()]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--count", type=int, default=4000)
    args = parser.parse_args()
    probe = Probe(args.probe)
    lines = texts.fixed_texts() + texts.random_texts(args.count, 21)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "vocab.json")

        def ours(gguf):
            with open(path, "w", encoding="utf-8") as f:
                json.dump(gguf, f)
            return [a[1] for a in probe.run("gguf", path, lines)]

        for pre, gguf, tokenizer in byte_level_cases():
            expected = [tokenizer.encode(t, add_special_tokens=False).ids for t in lines]
            wrong = [(t, e, g) for t, e, g in zip(lines, expected, ours({**gguf, "pre": pre})) if e != g]
            failures += report(pre, "ids", wrong, len(lines))
        gguf = sentencepiece_parts()
        ids = {t: i for i, t in enumerate(gguf["tokens"])}
        lines = [t for t in lines if len(t) < 80]
        expected = [sentencepiece_ids(gguf, ids, t) for t in lines]
        failures += report("llama", "ids", [(t, e, g) for t, e, g in zip(lines, expected, ours(gguf)) if e != g], len(lines))
    print(f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
