"""Bodies that are not the JSON they claim to be."""

from __future__ import annotations

import json

from bad_input.rows import COMPLETIONS, IRE, Row, completion, post

GOOD = json.dumps({"prompt": "Hi", "max_tokens": 1})


def body_row(id: str, body: bytes | str, code: str | None, status: int = 400, param: str | None = None, comment: str = "") -> Row:
    return Row(id, post(COMPLETIONS, body), status, code, param, comment=comment)


def deep(depth: int) -> str:
    return '{"prompt":"Hi","max_tokens":1,"x":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


ROWS = [
    body_row("1 empty", b"", "invalid_json"),
    body_row("2 brace", "{", "invalid_json"),
    body_row("3 array", "[]", "invalid_type"),
    body_row("3 string", '"x"', "invalid_type"),
    body_row("3 null", "null", "invalid_type"),
    body_row("3 number", "42", "invalid_type"),
    body_row("4 trailing object", GOOD + "{}", "invalid_json"),
    body_row("4 trailing comma and object", GOOD + "," + GOOD, "invalid_json"),
    body_row("4 trailing space is fine", GOOD + " \n", None, 200),
    body_row("5 BOM", b"\xef\xbb\xbf" + GOOD.encode(), "invalid_json"),
    body_row("6 byte ff in a string", b'{"prompt":"a\xffb"}', "invalid_utf8"),
    body_row("6 cut sequence", b'{"prompt":"\xe4\xb8"}', "invalid_utf8"),
    body_row("6 overlong slash", b'{"prompt":"\xc0\xaf"}', "invalid_utf8"),
    body_row("6 encoded surrogate", b'{"prompt":"\xed\xa0\x80"}', "invalid_utf8"),
    body_row("7 lone high surrogate", '{"prompt":"\\ud800"}', "invalid_json"),
    body_row("7 lone low surrogate", '{"prompt":"\\udc00x"}', "invalid_json"),
    body_row("7 pair the wrong way round", '{"prompt":"\\udc00\\ud800"}', "invalid_json"),
    body_row("7 a pair is fine", '{"prompt":"\\ud83d\\ude00","max_tokens":1}', None, 200),
    body_row("8 NUL", '{"prompt":"a\\u0000b","max_tokens":1}', None, 200, comment="a character as any other: it is tokenized as its byte"),
    body_row("8 raw control character", b'{"prompt":"a\x01b"}', "invalid_json"),
    body_row("9 UTF-16", GOOD.encode("utf-16"), "invalid_utf8"),
    body_row("9 UTF-16 without BOM", GOOD.encode("utf-16-le"), "invalid_json", comment="ASCII in UTF-16 is valid UTF-8 with NULs"),
    body_row("9 GBK", json.dumps({"prompt": "你好"}, ensure_ascii=False).encode("gbk"), "invalid_utf8"),
    body_row("10 depth 64", deep(64), None, 200),
    body_row("10 depth 65", deep(65), "json_too_deep"),
    body_row("10 depth 100,000", deep(100_000), "json_too_deep"),
    body_row("10 objects 100,000 deep", '{"a":' * 100_000 + "1" + "}" * 100_000, "json_too_deep"),
    body_row("11 duplicate max_tokens", '{"prompt":"Hi","max_tokens":1,"max_tokens":2}', "duplicate_key"),
    body_row("11 duplicate inside", '{"prompt":"Hi","max_tokens":1,"metadata":{"a":1,"a":2}}', "duplicate_key"),
    body_row("11 duplicate by escape", '{"prompt":"Hi","max_tokens":1,"max_token\\u0073":2}', "duplicate_key"),
    body_row("12 NaN", '{"prompt":"Hi","temperature":NaN}', "invalid_json"),
    body_row("12 Infinity", '{"prompt":"Hi","temperature":Infinity}', "invalid_json"),
    body_row("12 -Infinity", '{"prompt":"Hi","temperature":-Infinity}', "invalid_json"),
    body_row("12 1e400", '{"prompt":"Hi","temperature":1e400}', "out_of_range"),
    body_row("12 leading zero", '{"prompt":"Hi","max_tokens":01}', "invalid_json"),
    body_row("12 hexadecimal", '{"prompt":"Hi","max_tokens":0x1}', "invalid_json"),
    body_row("12 plus sign", '{"prompt":"Hi","max_tokens":+1}', "invalid_json"),
    body_row("13 number of a million digits", '{"prompt":"Hi","max_tokens":' + "1" * 1_000_000 + "}", None, comment="out_of_range here"),
    body_row("13 fraction of a million digits", '{"prompt":"Hi","temperature":0.' + "1" * 1_000_000 + "}", None),
    body_row("14 comment", '{"prompt":"Hi"/*x*/}', "invalid_json"),
    body_row("14 line comment", '{"prompt":"Hi" // x\n}', "invalid_json"),
    body_row("14 trailing comma", '{"prompt":"Hi",}', "invalid_json"),
    body_row("14 single quotes", "{'prompt':'Hi'}", "invalid_json"),
    body_row("14 bare key", '{prompt:"Hi"}', "invalid_json"),
    body_row("14 a form", "prompt=Hi&max_tokens=1", "invalid_json"),
    Row("14 an array of 1,000,000 brackets", post(COMPLETIONS, '{"prompt":' + "[]," * 300_000 + "1}"), 400, None, None, IRE),
    Row("14 good", completion(), 200),
]
