"""Writes data/<name>.jsonl: texts and the ids that Hugging Face's `tokenizers` gives them, one [text, ids] a line.

usage: make_fixture.py TOKENIZER_JSON NAME
"""
import json
import os
import sys

from tokenizers import Tokenizer

import texts


def main():
    tokenizer = Tokenizer.from_file(sys.argv[1])
    lines = texts.fixed_texts() + texts.random_texts(200, 99)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", sys.argv[2] + ".jsonl")
    with open(path, "w", encoding="ascii") as f:
        for text in lines:
            f.write(json.dumps([text, tokenizer.encode(text).ids], separators=(",", ":")) + "\n")
    print(f"{len(lines)} texts in {path}")


if __name__ == "__main__":
    main()
