"""Holds our Unicode tables against those behind Hugging Face's `tokenizers`, for every code point.

usage: unicode_diff.py TOKENIZER_PROBE; fails with the code points that differ (src/tokenizer/unicode_data.h is
where to put them right).
"""
import json
import subprocess
import sys

from tokenizers import Regex, normalizers, pre_tokenizers

LETTER, NUMBER, SPACE, MARK, UPPER, LOWER, NUMERIC, PUNCT, WORD = (1 << i for i in range(9))
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def ranges(codes):
    out = []
    for c in sorted(codes):
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return " ".join(f"{a:X}-{b:X}" if a != b else f"{a:X}" for a, b in out)


def blocks(members):
    """All codes that `members`, which takes a string and gives a set of code points, says yes to."""
    found = set()
    for i in range(0, len(CODES), 4096):
        found |= members("".join(map(chr, CODES[i:i + 4096])))
    return found


def of_regex(pattern):
    split = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return blocks(lambda s: {ord(c) for piece, _ in split.pre_tokenize_str(s) for c in piece})


def removed_by(pre):
    return blocks(lambda s: set(map(ord, s)) - {ord(c) for piece, _ in pre.pre_tokenize_str(s) for c in piece})


def apart(pre, joined):
    """Codes that `pre` keeps together with letters around them (joined) or cuts from them."""
    def members(s):
        pieces = pre.pre_tokenize_str("".join("a" + c + "b " for c in s if c not in "ab "))
        if joined:
            return {ord(p[1]) for p, _ in pieces for p in [p] if len(p.strip()) == 3 and p[0] == "a" and p[2] == "b"}
        return {ord(p) for p, _ in pieces if len(p) == 1} - set(map(ord, "ab "))
    return blocks(members)


def main():
    out = subprocess.run([sys.argv[1], "unicode"], capture_output=True, check=True).stdout.decode()
    rows = {r[0]: r[1:] for r in map(json.loads, out.split("\n")[:-1])}
    ours = {bit: {c for c, r in rows.items() if r[0] & bit} for bit in (LETTER, NUMBER, SPACE, MARK, UPPER, LOWER, NUMERIC, PUNCT, WORD)}
    whitespace = pre_tokenizers.Whitespace()
    theirs = {
        "letter": (LETTER, of_regex(r"\p{L}")), "number": (NUMBER, of_regex(r"\p{N}")), "space": (SPACE, of_regex(r"\s")), "mark": (MARK, of_regex(r"\p{M}")),
        "upper": (UPPER, of_regex(r"[\p{Lu}\p{Lt}]")), "lower": (LOWER, of_regex(r"\p{Ll}")), "space of Rust": (SPACE, removed_by(pre_tokenizers.WhitespaceSplit())),
        "space of Rust's regex": (SPACE, removed_by(whitespace)), "punctuation": (PUNCT, removed_by(pre_tokenizers.Punctuation("removed"))),
        "numeric": (NUMERIC, apart(pre_tokenizers.Digits(individual_digits=True), False)),
        "word": (WORD, apart(whitespace, True) | {ord("a"), ord("b")}),
    }
    failed = False
    for name, (bit, codes) in theirs.items():
        if codes != ours[bit]:
            failed = True
            print(f"{name}: only theirs {ranges(codes - ours[bit])}; only ours {ranges(ours[bit] - codes)}")
    forms = [("NFC", normalizers.NFC()), ("NFD", normalizers.NFD()), ("NFKC", normalizers.NFKC()), ("NFKD", normalizers.NFKD()), ("lowercase", normalizers.Lowercase())]
    for i, (name, form) in enumerate(forms):
        wrong = [c for c in CODES if form.normalize_str(chr(c)) != (rows[c][1 + i] if c in rows else chr(c))]
        if wrong:
            failed = True
            print(f"{name}: {ranges(wrong)}")
    nfd = normalizers.NFD()
    wrong = [c for c in CODES if nfd.normalize_str(f"a\u0345{chr(c)}\u0334") != (rows[c][6] if c in rows else f"a\u0345{chr(c)}\u0334")]
    if wrong:
        failed = True
        print(f"order of marks: {ranges(wrong)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
