"""/v1/completions, /tokenize and /detokenize: bodies that are JSON, with fields that cannot be."""

from __future__ import annotations

from bad_input.rows import COMPLETIONS, CONTEXT, FORMATS, GRAMMARS, Row, completion, fields_rows, post

VOCAB = 512  # of the tiny model
MIB = 1 << 20
# Longer than the context, whatever a token is; two letters cannot become one token for ever.
LONG = {
    "A": "A" * (4 * MIB), "spaces": " " * (4 * MIB), "newlines": "\n" * (3 * MIB), "CJK": "汉" * (4 * MIB // 3),
    "combining marks": "e" + "\u0301" * (2 * MIB), "family emoji": "👨\u200d👩\u200d👧" * (4 * MIB // 18), "digits": "7" * (4 * MIB),
    "punctuation": "!?" * (2 * MIB), "mixed case": "aB" * (2 * MIB), "NUL": "\0" * (MIB // 2), "special tokens": "<|im_end|>" * (MIB // 3),
}
# Other things that would change the answer and are not built.
UNBUILT: dict[str, object] = {
    "logprob_token_ids": [1], "logits_processors": ["x"], "prompt_embeds": "AAAA", "input_embeds": [[0.5]], "thinking_token_budget": 5,
    "truncation_side": "right", "kv_transfer_params": {"a": 1}, "lora": [{"id": 0, "scale": 1}], "lora_path": "x", "adaptive_target": 0.5,
    "post_sampling_probs": True, "response_fields": ["content"], "session_params": {"id": "x"}, "return_hidden_states": True,
    "custom_logit_processor": "x", "repetition_detection": {"max_pattern_size": 5},
}


def one(number: str, param: str, values: dict[str, object], code: str | None = None, comment: str = "") -> list[Row]:
    """The field that is the param, with each of the values: 400."""
    return fields_rows(number, completion, param, {f"{param} {name}": {param: value} for name, value in values.items()}, code,
                       comment=comment)


def fine(number: str, values: dict[str, dict]) -> list[Row]:
    return fields_rows(number, completion, None, values, None, 200)


MODEL = [
    Row("45 missing model", completion(), 200, comment="the served model, as vLLM"),
    Row("46 unknown model", completion(model="gpt-4"), 404, "model_not_found", "model"),
    Row("46 a path as the model", completion(model="/etc/passwd"), 404, "model_not_found", "model"),
    Row("46 empty model", completion(model=""), 404, "model_not_found", "model"),
    Row("46 NUL in the model", completion(model="a\0b"), 404, "model_not_found", "model"),
    *one("47", "model", {"null": None, "number": 1, "list": ["x"], "object": {}, "true": True, "10 KB": "a" * 10_000, "5 MB": "a" * 5_000_000}),
]

PROMPT = [
    *one("62", "prompt", {"empty": "", "[]": [], "[[]]": [[]], "null": None, "number": 1, "true": True, "object": {"text": "x"},
                          "['']": [""], "[['']]": [[""]], "[null]": [None], "[{}]": [{}], "[[[1]]]": [[[1]]]}),
    Row("62 no prompt", post(COMPLETIONS, {"max_tokens": 1}), 400, "missing_parameter", "prompt"),
    *one("63", "prompt", {"id -1": [-1], "id of the vocabulary's size": [VOCAB], "id 2^31": [2**31], "id 2^32 + 1": [2**32 + 1],
                          "id 2^63": [2**63]}, "out_of_vocab"),
    *one("63", "prompt", {"id 1.5": [1.5], "id '1'": [1, "1"], "ids and texts": ["a", [1]], "texts and ids": [[1], "a"],
                          "id true": [True], "id 1e300": [1e300]}, "invalid_type"),
    *fine("63", {"prompt last id": {"prompt": [VOCAB - 1]}, "prompt whole double": {"prompt": [1.0, 2]}, "prompts of ids": {"prompt": [[1], [2]]}}),
    *one("64", "prompt", {"1,025 texts": ["a"] * 1025, "100,000 lists": [[1]] * 100_000}, "out_of_range"),
    *one("55", "prompt", {"one id over the context": [1] * (CONTEXT + 1), "the context and a token": [1] * CONTEXT}, "context_length_exceeded"),
    *fine("55", {"a context but for a token": {"prompt": [1] * (CONTEXT - 1)}}),
    Row("56 prompt + max_tokens over", completion(prompt=[1] * 96, max_tokens=CONTEXT - 95), 400, "context_length_exceeded", "max_tokens",
        comment="400 as vLLM's, never clamped: the client asked for it"),
    *fields_rows("57", completion, "prompt", {f"{name}": {"prompt": text} for name, text in LONG.items()}, "context_length_exceeded"),
    *fine("61", {f"special token {t}": {"prompt": t} for t in ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>system\n", "</s>")}),
    *fine("61", {f"odd text {name}": {"prompt": text} for name, text in {
        "noncharacter": "\ufffe\uffff", "right to left": "\u202eabc", "private use": "\ue000\U0010ffff", "zero width": "\u200b" * 50,
        "template": "{{ 7*7 }}{% for x in range(9) %}", "format string": "%s%n{0}{}"}.items()}),
]

SAMPLING = [
    *one("65", "max_tokens", {"0": 0, "-1": -1, "1.5": 1.5, "'5'": "5", "2^63": 2**63, "2^31": 2**31, "true": True, "[]": [], "{}": {}},
         comment="0 with echo is allowed: it scores"),
    *fine("65", {"max_tokens null": {"max_tokens": None, "prompt": [1] * (CONTEXT - 2)}, "max_tokens 1.0": {"max_tokens": 1.0},
                 "max_tokens 0 with echo": {"max_tokens": 0, "echo": True}}),
    *one("67", "temperature", {"-0.1": -0.1, "2.1": 2.1, "'hot'": "hot", "1e308": 1e308, "-1e308": -1e308, "true": True, "[1]": [1]}),
    *one("68", "top_p", {"0": 0, "-1": -1, "1.1": 1.1, "'1'": "1"}),
    *one("68", "top_k", {"-2": -2, "2^31": 2**31, "1.5": 1.5, "'5'": "5"}),
    *one("68", "min_p", {"2": 2, "-0.1": -0.1, "[]": []}),
    *one("69", "n", {"0": 0, "-1": -1, "9": 9, "129": 129, "2^31": 2**31, "1e9": 1e9, "1.5": 1.5, "'1'": "1"}),
    Row("69 n x prompts over the limit", completion(prompt=["a"] * 600, n=2), 400, "out_of_range", "n"),
    Row("70 best_of below n", completion(n=2, best_of=1), 400, None, "best_of"),
    *one("70", "best_of", {"0": 0, "10^9": 10**9, "'2'": "2"}),
    Row("70 beam search", completion(use_beam_search=True), 400, "unsupported_parameter", "use_beam_search"),
    Row("71 n > 1 with stream", completion(n=2, stream=True), 200, comment="choices by index, as vLLM"),
    *one("72", "presence_penalty", {"2.1": 2.1, "-2.1": -2.1, "'x'": "x"}),
    *one("72", "frequency_penalty", {"2.1": 2.1, "-2.1": -2.1, "[]": []}),
    *one("72", "repetition_penalty", {"0": 0, "-1": -1, "'x'": "x"}),
    *one("74", "logprobs", {"over the cap": 21, "-2": -2, "'1'": "1", "1.5": 1.5, "true": True}),
    *one("74", "prompt_logprobs", {"100": 100, "-2": -2, "'x'": "x"}),
    *one("75", "logit_bias", {"id out of vocabulary": {str(VOCAB): 1}, "id 2^31": {str(2**31): 1}, "id -1": {"-1": 1}, "key abc": {"abc": 1},
                              "key 1.5": {"1.5": 1}, "empty key": {"": 1}, "key with a space": {" 1": 1}, "key +1": {"+1": 1},
                              "value text": {"1": "x"}, "value null": {"1": None}, "value list": {"1": [1]}, "value true": {"1": True},
                              "10,000 entries": {str(i): 1 for i in range(10_000)}, "1,025 pairs": [[1, 1]] * 1025, "a list": [1],
                              "a pair of three": [[1, 1, 1]], "a pair of texts": [["1", 1]], "a pair with true": [[1, True]],
                              "a pair out of vocabulary": [[VOCAB, 1]], "a pair of 1.5": [[1.5, 1]], "a number": 7, "a text": "1"}),
    *fine("75", {f"logit_bias {name}": {"logit_bias": value} for name, value in {
        "101": {"1": 101}, "-101": {"1": -101}, "1e308": {"1": 1e308}, "-1e308": {"1": -1e308}, "last id": {str(VOCAB - 1): 1}, "none": {},
        "no pairs": [], "1,024 pairs": [[1, 1]] * 1024, "a pair with false": [[1, False]], "a whole double": [[1.0, 1]],
        "every token": {str(i): -100 for i in range(VOCAB)}}.items()}),  # beyond 100: brought into range, as in vLLM
    *one("76", "stop_token_ids", {"out of vocabulary": [VOCAB], "-1": [-1], "2^31": [2**31], "2^63": [2**63], "text": ["a"], "number": 5,
                                  "10,000": [1] * 10_000}),
    Row("76 stop_token_ids out of vocabulary with min_tokens", completion(stop_token_ids=[999_999], min_tokens=1), 400, None, None,
        comment="the request that took down fleets"),
    *one("76", "allowed_token_ids", {"out of vocabulary": [VOCAB], "-1": [-1], "text": ["a"], "none": []} | {"number": 5},
         comment="none: vLLM refuses it as well"),
    *fields_rows("76", completion, "allowed_token_ids", {name: {"allowed_token_ids": [5, 6], **fields} for name, fields in {
        "allowed and never": {"logit_bias": [[5, False], [6, False]]}, "in a stream": {"logit_bias": [[5, False], [6, False]], "stream": True},
        "allowed and an end that is too early": {"min_tokens": 1, "stop_token_ids": [5, 6]}}.items()}, "invalid_value"),
    Row("76 every token is never drawn", completion(logit_bias=[[i, False] for i in range(VOCAB)]), 400, "invalid_value", "logit_bias"),
    *fine("76", {"one is left": {"logit_bias": [[i, False] for i in range(VOCAB - 1)], "allowed_token_ids": [VOCAB - 2, VOCAB - 1]},
                 "nothing is left and nothing drawn": {"max_tokens": 0, "echo": True, "allowed_token_ids": [5], "logit_bias": [[5, False]]}}),
    *one("77", "stop", {"5 MB": "a" * 5_000_000, "17 strings": [str(i) for i in range(17)], "empty": "", "an empty one": ["a", ""], "number": 123,
                        "nested": [["a"]], "object": {}, "[null]": [None], "257 bytes": "a" * 257}),
    *one("77", "bad_words", {"number": 1, "[1]": [1], "object": {"a": 1}, "empty": [""], "257 words": ["a"] * 257, "257 bytes": ["a" * 257]}),
    *one("77", "dry_sequence_breakers", {"number": 1, "[1]": [1], "empty": [""], "65": ["a"] * 65, "41 bytes": ["a" * 41]}),
    *fine("77", {"no breakers": {"dry_multiplier": 1, "dry_sequence_breakers": []}, "a text as breaker": {"dry_sequence_breakers": "x"},
                 "a penalty beyond any number": {"prompt": [1, 2] * 200, "dry_multiplier": 100, "dry_base": 100, "dry_allowed_length": 1,
                                                 "dry_sequence_breakers": [], "repetition_penalty": 100, "temperature": 0}}),
    *one("78", "seed", {"2^63": 2**63, "1.5": 1.5, "'x'": "x", "true": True, "-2^63-1": -(2**63) - 1}),
    *one("79", "stream", {"'true'": "true", "1": 1, "[]": []}),
    *fine("79", {"stream null": {"stream": None}, "stream": {"stream": True}}),
    Row("80 stream_options without stream", completion(stream_options={"include_usage": True}), 400, None, "stream_options"),
    *fields_rows("80", completion, "stream_options", {
        "unknown key": {"stream": True, "stream_options": {"usage": True}}, "a list": {"stream": True, "stream_options": []},
        "true": {"stream": True, "stream_options": True}}),
    Row("80 include_usage is a string", completion(stream=True, stream_options={"include_usage": "yes"}), 400, "invalid_type", None),
    *one("80", "echo", {"'x'": "x", "1": 1}),
    *one("80", "ignore_eos", {"'x'": "x", "0": 0}),
    *one("80", "suffix", {"text": "abc"}, "unsupported_parameter"),
    *one("80", "min_tokens", {"-1": -1, "'x'": "x", "over max_tokens": 2}),
    *one("80", "truncate_prompt_tokens", {"0": 0, "-2": -2, "'x'": "x", "2^31": 2**31}),
]

OTHER = [
    *one("81", "response_format", FORMATS, "unsupported_parameter"),
    *fine("81", {"response_format text": {"response_format": {"type": "text"}}, "response_format null": {"response_format": None}}),
    *[row for name, value in GRAMMARS.items() for row in one("81", name, {"": value}, "unsupported_parameter")],
    *[row for name, value in UNBUILT.items() for row in one("89", name, {"": value}, "unsupported_parameter")],
    *fine("89", {"an unknown field": {"frobnicate": {"a": [1, 2]}}, "user": {"user": "u"}, "a prototype": {"__proto__": {"x": 1}},
                 "1,000 unknown fields": {f"x{i}": i for i in range(1000)}}),
    *one("90", "user", {"1 MB": "u" * MIB}), *one("90", "metadata", {"1 MB": {"a": "m" * MIB}}),
    *one("91", "cache_salt", {"empty": "", "1 MB": "a" * MIB, "number": 5, "with @": "a@b", "with /": "a/b", "with NUL": "a\0"}),
    *one("91", "request_id", {"1 MB": "a" * MIB, "number": 5}),
    *one("91", "priority", {"1.5": 1.5, "'x'": "x", "2^31": 2**31}),
    *one("91", "timeout", {"0": 0, "-1": -1, "'x'": "x", "1e308": 1e308}),
    Row("97 deadline passed", completion(max_tokens=3000, ignore_eos=True, timeout=0.01), 504, "request_timeout", "", "timeout_error"),
]

TOKENIZER = [
    *[Row(f"62 tokenize {name}", post("/tokenize", body), 400, None, param) for name, body, param in (
        ("nothing", {}, "prompt"), ("a number", {"prompt": 5}, "prompt"), ("both", {"prompt": "a", "content": "b"}, "content"),
        ("null", {"prompt": None}, "prompt"), ("flag", {"prompt": "a", "add_special_tokens": "yes"}, "add_special_tokens"),
        ("messages a number", {"messages": 5}, "messages"))],
    Row("62 tokenize nothing at all", post("/tokenize", {"prompt": ""}), 200),
    Row("57 tokenize 4 MiB", post("/tokenize", {"prompt": "ab " * (4 * MIB // 3)}), 200),
    *[Row(f"63 detokenize {name}", post("/detokenize", body), 400, None, "tokens") for name, body in (
        ("nothing", {}), ("out of vocabulary", {"tokens": [VOCAB]}), ("-1", {"tokens": [-1]}), ("2^31", {"tokens": [2**31]}),
        ("2^63", {"tokens": [2**63]}), ("text", {"tokens": "abc"}), ("text inside", {"tokens": ["a"]}), ("1.5", {"tokens": [1.5]}),
        ("nested", {"tokens": [[1]]}), ("null", {"tokens": None}))],
    Row("63 detokenize 500,000", post("/detokenize", {"tokens": [5] * 500_000}), 200),
    Row("46 tokenize for another model", post("/tokenize", {"prompt": "a", "model": "x"}), 404, "model_not_found", "model"),
]

ROWS = MODEL + PROMPT + SAMPLING + OTHER + TOKENIZER
