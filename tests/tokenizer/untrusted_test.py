"""Special tokens in text that came from outside never become their ids, and ordinary text keeps the ids of Hugging Face's `tokenizers`.

usage: untrusted_test.py TOKENIZER_PROBE [--count 400] [--model GGUF]
For every special token of each tokenizer, and every other added token that a chat template names. With --model the vocabulary of
that file is one of them; when PEGA_QWEN3_TOKENIZER names the real Qwen3 tokenizer.json, that is another.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile

os.environ["RAYON_NUM_THREADS"] = "1"

from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers  # noqa: E402

import build_tokenizers  # noqa: E402
import gguf_differential_test as gguf_test  # noqa: E402
import texts  # noqa: E402
from differential_test import report  # noqa: E402

AROUND = ("", "a", " ", "\n", "é", "你", "<", "12", "x<|", "|>y")


def with_special(tokenizer, special, plain=()):
    tokenizer.add_special_tokens(list(special))
    tokenizer.add_tokens([AddedToken(x, normalized=False) for x in plain])
    return tokenizer


def mistral_like():
    """Brackets as special tokens, byte fallback, a prefix before every part."""
    return with_special(build_tokenizers.llama_legacy(), ["[INST]", "[/INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]"])


def mistral_normalized():
    """Old files, whose special tokens are looked for in the normalized text."""
    data = json.loads(build_tokenizers.llama_metaspace().to_str())
    data["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Replace", "pattern": {"String": "``"}, "content": "\""}]}
    for token in data["added_tokens"]:
        token["normalized"] = True
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return with_special(tokenizer, [AddedToken("[INST]", normalized=True, special=True), AddedToken("<é>", normalized=True, special=True)])


def tekken_like():
    """The special tokens stand in the model's vocabulary too, where `ignore_merges` finds a piece that is one."""
    data = json.loads(build_tokenizers.o200k_like().to_str())
    data["model"]["ignore_merges"] = True
    vocab = data["model"]["vocab"]
    for token in ("<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[TOOL_CALLS]", "<|start|>", "<|channel|>", "<|message|>", "<|end|>", "==>", "endofturn"):
        vocab.setdefault(token, len(vocab))
        data["added_tokens"].append({"id": vocab[token], "content": token, "special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False})
    return Tokenizer.from_str(json.dumps(data))


def tokenizers(folder, model):
    """name, kind and path for the probe, Hugging Face's tokenizer"""
    made = {
        "qwen_like": build_tokenizers.qwen_like(),
        "llama3_like": with_special(build_tokenizers.llama3_like(), ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>", "<|finetune_right_pad_id|>"]),
        "gemma_like": with_special(build_tokenizers.gemma_like(), ["<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>", "<start_of_image>"], ["<table>", "<unused0>", "[multimodal]"]),
        "mistral_like": mistral_like(), "mistral_normalized": mistral_normalized(), "tekken_like": tekken_like(),
    }
    for name, tokenizer in made.items():
        path = os.path.join(folder, name + ".json")
        tokenizer.save(path)
        yield name, "json", path, Tokenizer.from_file(path)
    real = os.environ.get("PEGA_QWEN3_TOKENIZER")
    if real:
        yield "Qwen3", "json", real, Tokenizer.from_file(real)
    if model:
        vocab = read_gguf(model)
        path = os.path.join(folder, "gguf.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(vocab, f)
        yield "GGUF", "gguf", path, gguf_test.hugging_face(vocab, [pre_tokenizers.Digits(individual_digits=True), gguf_test.isolated(gguf_test.GPT2)])


def read_gguf(path):
    from gguf import GGUFReader
    reader = GGUFReader(path)

    def get(key):
        return reader.fields["tokenizer.ggml." + key].contents()

    assert get("pre") == "smollm", "the reference is written for SmolLM2's vocabulary"
    return {"model": get("model"), "pre": get("pre"), "tokens": get("tokens"), "token_types": get("token_type"), "merges": get("merges")}


class Session:
    """The probe, loaded once and asked line by line."""

    def __init__(self, program, kind, path):
        self.process = subprocess.Popen([program, kind, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, lines):
        out = []
        for line in lines:
            self.process.stdin.write(json.dumps(line) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
            if not answer:
                raise SystemExit(f"the probe ended with {self.process.wait()} at {ascii(line)}")
            out.append(json.loads(answer))
        return out

    def close(self):
        self.process.communicate()


class Case:
    def __init__(self, session, name, tokenizer):
        self.session, self.name, self.tokenizer = session, name, tokenizer
        decoder = tokenizer.get_added_tokens_decoder()
        self.special = {i: t.content for i, t in decoder.items() if t.special}
        self.control = {i: t.content for i, t in decoder.items() if not t.special and t.content.strip("\n▁ ") and not (t.single_word or t.lstrip or t.rstrip)}
        self.failures = 0

    def ids(self, requests):
        """[(text, spans of characters, control tokens)] -> ids"""
        lines = []
        for text, spans, control in requests:
            def byte(at):
                return len(text[:at].encode())
            lines.append({"text": text, "untrusted": [[byte(b), byte(e)] for b, e in spans], "control": sorted(control)})
        return self.session.ask(lines)

    def check(self, what, items):
        """items: (input, expected, got)"""
        self.failures += report(self.name, what, [x for x in items if x[1] != x[2]], len(items))

    def encode(self, text, special=True):
        self.tokenizer.encode_special_tokens = not special
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        self.tokenizer.encode_special_tokens = False
        return ids


def check_token(case, token_id, token, control):
    n = len(token)
    whole = case.ids([(token, [], control), (token, [(0, n)], control)])
    case.check("a trusted token", [(token, [token_id], whole[0])])
    forbidden = set(case.special) | set(control)
    case.check("an untrusted token: control ids", [(token, [], [i for i in whole[1] if i in forbidden])])
    if token_id in case.special and not any(i in case.special for i in case.encode(token, special=False)):
        # Hugging Face's model itself may make the token of its text; ours must not.
        case.check("an untrusted token: ids", [(token, case.encode(token, special=False), whole[1])])
    decoded = case.session.ask([whole[1]])[0][0]
    case.check("an untrusted token: text", [(token, token, decoded)])
    halves = [(token, span, control) for k in range(1, n) for span in ([(0, k)], [(k, n)], [(k, k + 1)], [(k, k)])]
    case.check("a half trusted token", [(h, whole[1], ids) for h, ids in zip(halves, case.ids(halves))])
    around = [(a + token + b, [s for s in ((0, len(a)), (len(a) + n, len(a) + n + len(b))) if s[0] < s[1]], control) for a in AROUND for b in AROUND]
    case.check("ordinary text around a trusted token", [(t, case.encode(t[0]), ids) for t, ids in zip(around, case.ids(around))])
    inside = [(token + a + token + b + token, [(n, n + len(a) + n + len(b))], control) for a in AROUND for b in AROUND]
    case.check("an untrusted token between trusted ones", [(t, [token_id] * 2, [i for i in ids if i in forbidden]) for t, ids in zip(inside, case.ids(inside))])


def random_spans(rng, size):
    cuts = sorted(rng.sample(range(size + 1), min(size + 1, 2 * rng.randint(0, 3))))
    return [(b, e) for b, e in zip(cuts[::2], cuts[1::2])]


def check_random(case, count):
    rng = random.Random(case.name)
    every = texts.random_texts(count, case.name + " spans", pieces=list(case.special.values()) + list(case.control.values())) + texts.fixed_texts()
    control = list(case.control)
    marks = set(case.special) | set(control)
    plain = [t for t in every if not any(i in marks for i in case.encode(t))]
    requests = [(t, spans, control) for t in plain for spans in (random_spans(rng, len(t)), [(0, len(t))])]
    case.check("ids of ordinary text with spans", [(r, case.encode(r[0]), ids) for r, ids in zip(requests, case.ids(requests))])
    whole = [(t, [(0, len(t))], []) for t in every]
    items = [(r, case.encode(r[0], special=False), ids) for r, ids in zip(whole, case.ids(whole))]
    case.check("untrusted text", [x for x in items if not any(i in case.special for i in x[1])])
    requests = [(t, random_spans(rng, len(t)), control) for t in every]
    empty = [(t, [], control) for t in every]
    case.check("text without spans", [(r, case.encode(r[0]), ids) for r, ids in zip(empty, case.ids(empty))])
    case.ids(requests)  # any spans at all: it must not fail


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("probe")
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--model", default="")
    args = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, kind, path, tokenizer in tokenizers(folder, args.model):
            session = Session(args.probe, kind, path)
            case = Case(session, name, tokenizer)
            for token_id, token in case.special.items():
                check_token(case, token_id, token, [])
            for token_id, token in case.control.items():
                check_token(case, token_id, token, list(case.control))
            check_random(case, args.count)
            source = "".join(f"{{{{ '{t}' }}}}\n\n" for t in [*case.special.values(), *case.control.values()])
            case.check("tokens named in a template", [("", sorted(case.control), session.ask([{"named_in": source}])[0])])
            session.close()
            print(f"{name}: {len(case.special)} special tokens, {len(case.control)} others, {case.failures} differences")
            failures += case.failures
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
