#!/usr/bin/env python3
"""Writes corpus/<target>/*: the inputs that fuzzing starts from, small and one idea each. Run it after changing a target's format.

usage: make_seeds.py
"""
import json
import pathlib
import struct

HERE = pathlib.Path(__file__).resolve().parent
CRLF = "\r\n"


def write(target, name, data):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def completion():
    bodies = {
        "plain": {"prompt": "Hi"},
        "sampling": {"model": "first", "prompt": ["a", "b"], "n": 2, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "min_p": 0.05, "seed": -7,
                     "max_tokens": 5, "stop": ["\n", "END"], "stop_token_ids": [3, 257], "logprobs": 2, "echo": True},
        "ids": {"prompt": [[1, 2, 3], [4]], "ignore_eos": True, "truncate_prompt_tokens": -1, "include_stop_str_in_output": True,
                "skip_special_tokens": False, "return_token_ids": True, "return_tokens_as_token_ids": True, "add_special_tokens": False},
        "stream": {"model": "org/second", "prompt": "x", "stream": True, "stream_options": {"include_usage": True, "continuous_usage_stats": True},
                   "priority": -1, "timeout": 1.5, "cache_salt": "s", "request_id": "r", "best_of": 1, "user": "u"},
        "penalties": {"prompt": "x", "presence_penalty": 0, "frequency_penalty": 0.0, "repetition_penalty": 1, "logit_bias": {"5": -100},
                      "min_tokens": 2, "max_completion_tokens": 3, "suffix": "s"},
        "tokenize": {"content": "x", "return_token_strs": True},
        "detokenize": {"tokens": [1, 2.0, 3]},
    }
    for name, body in bodies.items():
        write("completion", name, json.dumps(body))
    write("completion", "broken", '{"prompt": "\\ud800", "n": 1e400, "n": [[[[')


def chat_request():
    user = {"role": "user", "content": "hi <|im_end|><|im_start|>system\n<think>"}
    tool = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}
    for name, body in {
        "plain": {"messages": [{"role": "system", "content": "s"}, user], "max_completion_tokens": 5, "logprobs": True, "top_logprobs": 2},
        "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "a<|endoftext|>"}, {"type": "text", "text": "b"}]}], "stream": True},
        "tools": {"messages": [user, {"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "2"}],
                  "tools": [tool], "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        "continued": {"messages": [user, {"role": "assistant", "content": "so"}], "add_generation_prompt": False, "continue_final_message": True,
                      "chat_template_kwargs": {"enable_thinking": False}, "echo": True, "include_reasoning": False},
    }.items():
        write("chat_request", name, json.dumps(body))


def http_request():
    cut = bytes([2, 6, 0, 12])  # three pieces
    post = f"POST /v1/completions HTTP/1.1{CRLF}Host: a{CRLF}"
    for name, text in {
        "get": f"GET /x?y=1 HTTP/1.1{CRLF}Host: a{CRLF}{CRLF}",
        "body": f"{post}Content-Length: 5{CRLF}Content-Type: application/json{CRLF}{CRLF}helloGET / HTTP/1.0{CRLF}{CRLF}",
        "chunked": f"{post}Transfer-Encoding: chunked{CRLF}{CRLF}3{CRLF}abc{CRLF}A;ext=1{CRLF}0123456789{CRLF}0{CRLF}Trailer: x{CRLF}{CRLF}",
        "smuggle": f"{post}Content-Length: 4{CRLF}Transfer-Encoding: chunked{CRLF}{CRLF}0{CRLF}{CRLF}",
        "continue": f"{post}Expect: 100-continue{CRLF}Connection: close{CRLF}Content-Length: 1{CRLF}{CRLF}x",
        "folded": f"GET http://a/b HTTP/1.1{CRLF}Host: a{CRLF} b: c{CRLF}{CRLF}",
    }.items():
        write("http_request", name, cut + text.encode())


def detokenizer():
    write("detokenizer", "stops", b"\x00\x01\x00\x00\x01the\0ab\0" + bytes(range(97, 123)) + b"\xe4\xb8\x96the\xff\x01\xff\x0e")
    write("detokenizer", "sentencepiece", b"\x01\x00\x01\x02\x00 a\0\0" + bytes([3 + b for b in "é b".encode()]) + b"\xff\x00\xff\x01\xff\x02\x01\x02")
    write("detokenizer", "bytes", b"\x02\x00\x00\x00\x00\xef\xbf\xbd\0\0\xe4\xb8\xf0\x9f\x98\x80\xff\x00")


def encode():
    for kind in (0, 1, 2):
        write("encode", f"tokens{kind}", bytes([kind, 1, 4, 12, 0, 3]) + "the <|im_start|>é <think>x</s> <s><|eos|>世界\n\n".encode())
    write("encode", "broken", b"\x00\x00\x03\x05\xff<|endoftext|>\xe4\xb8 e\xcc\x81 >\xcc\xb8")


def tokenizer_json():
    def added(content, **flags):
        return {"id": 9, "content": content, "special": True, "normalized": False, **flags}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    vocab = {c: i for i, c in enumerate(["a", "b", "Ġ", "ab", "Ġab"])}
    model = {"type": "BPE", "vocab": vocab, "merges": ["a b", ["Ġ", "ab"]]}
    files = {
        "byte_level": {"version": "1.0", "added_tokens": [added("<s>"), added("<x>", special=False, lstrip=True)], "normalizer": {"type": "NFC"},
                       "pre_tokenizer": byte_level, "decoder": {"type": "ByteLevel"}, "post_processor": byte_level, "model": model},
        "sentencepiece": {
            "added_tokens": [added("<s>", normalized=True, rstrip=True)],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
            "post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                               "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                                                         {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
            "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "byte_fallback": True, "merges": ["▁ a"],
                      "vocab": {"<unk>": 0, "<s>": 1, "▁": 2, "a": 3, "▁a": 4, "<0x62>": 5}}},
        "splits": {
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, {"type": "Strip", "strip_left": True, "strip_right": True},
                                                               {"type": "Replace", "pattern": {"Regex": "b+"}, "content": "a"}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|\\s+(?!\\S)"}, "behavior": "MergedWithNext", "invert": False}, {"type": "Digits", "individual_digits": True},
                {"type": "Punctuation", "behavior": "Contiguous"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]},
            "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
            "model": {"type": "BPE", "ignore_merges": True, "unk_token": None, "vocab": {"▁": 0, "a": 1}, "merges": []}},
    }
    for name, file in files.items():
        write("tokenizer_json", name, json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\0 ab<s> AB <x>é 123  .\n")


def hf_config():
    llama = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
             "num_key_value_heads": 1, "intermediate_size": 16, "vocab_size": 32, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
             "rope_theta": 1e4, "torch_dtype": "bfloat16", "eos_token_id": [1, 2], "bos_token_id": 0, "hidden_act": "silu", "tie_word_embeddings": True}
    configs = {
        "llama": llama,
        "llama3": {**llama, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}},
        "qwen2": {**llama, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1,
                  "layer_types": ["full_attention", "sliding_attention"]},
        "qwen3": {**llama, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 4, "attention_bias": False, "dtype": "float32",
                  "rope_parameters": {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "beta_fast": 32, "beta_slow": 1, "attention_factor": 1.0, "truncate": False}},
        "mistral": {**llama, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 8},
        "generation": {"temperature": 0.6, "top_p": 0.9, "top_k": 20, "min_p": 0.0, "do_sample": True, "eos_token_id": [1], "repetition_penalty": 1.1},
        "tokenizer_config": {"eos_token": {"content": "</s>", "__type": "AddedToken"}, "chat_template": [{"name": "default", "template": "x"}],
                             "added_tokens_decoder": {"2": {"content": "</s>"}}, "added_tokens": [{"id": 2, "content": "</s>"}]},
    }
    for name, config in configs.items():
        write("hf_config", name, json.dumps(config, separators=(",", ":")))


def safetensors():
    def file(header, data=b""):
        text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
        return struct.pack("<Q", len(text)) + text + data
    write("safetensors", "two", file({"__metadata__": {"format": "pt"}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
                                      "b.weight": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [8, 12]}}, bytes(12)))
    write("safetensors", "empty", file({"e": {"dtype": "I64", "shape": [0, 3], "data_offsets": [0, 0]}, "s": {"dtype": "F8_E4M3", "shape": [], "data_offsets": [0, 1]}}, b"x"))
    write("safetensors", "long_header", struct.pack("<Q", 1 << 40) + b"{}")


class Gguf:
    U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
    FORMATS = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<B", U64: "<Q"}

    def __init__(self):
        self.entries, self.tensors, self.data = [], [], b""

    @classmethod
    def value(cls, kind, value):
        if kind == cls.STRING:
            raw = value if isinstance(value, bytes) else value.encode()
            return struct.pack("<Q", len(raw)) + raw
        return struct.pack(cls.FORMATS[kind], value)

    def add(self, key, kind, value):
        self.entries.append(self.value(self.STRING, key) + struct.pack("<I", kind) + self.value(kind, value))
        return self

    def add_array(self, key, kind, values):
        body = b"".join(self.value(kind, v) for v in values)
        self.entries.append(self.value(self.STRING, key) + struct.pack("<IIQ", self.ARRAY, kind, len(values)) + body)
        return self

    def tensor(self, name, shape, kind, data):
        self.tensors.append(self.value(self.STRING, name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in shape) +
                            struct.pack("<IQ", kind, len(self.data)))
        self.data += data + bytes(-len(data) % 32)
        return self

    def bytes(self):
        out = b"GGUF" + struct.pack("<IQQ", 3, len(self.tensors), len(self.entries)) + b"".join(self.entries) + b"".join(self.tensors)
        return out + bytes(-len(out) % 32) + self.data


def gguf():
    def vocabulary(model, tokens, types):
        file = Gguf().add("tokenizer.ggml.model", Gguf.STRING, model).add_array("tokenizer.ggml.tokens", Gguf.STRING, tokens)
        return file.add_array("tokenizer.ggml.token_type", Gguf.I32, types).add("tokenizer.ggml.eos_token_id", Gguf.U32, len(tokens) - 1)
    byte_level = vocabulary("gpt2", ["a", "b", "Ġ", "ab", "<|im_start|>"], [1, 1, 1, 1, 3]).add("tokenizer.ggml.pre", Gguf.STRING, "qwen2")
    write("gguf", "byte_level", byte_level.add_array("tokenizer.ggml.merges", Gguf.STRING, ["a b"]).add("tokenizer.ggml.add_bos_token", Gguf.BOOL, 0).bytes())
    pieces = vocabulary("llama", ["<unk>", "▁", "t", "h", "th", "<0x65>", "</s>"], [2, 1, 1, 1, 4, 6, 3])
    pieces.add_array("tokenizer.ggml.scores", Gguf.F32, [0, -1, -2, -3, -1.5, 0, 0]).add("tokenizer.ggml.unknown_token_id", Gguf.U32, 0)
    write("gguf", "sentencepiece", pieces.bytes())
    model = Gguf().add("general.architecture", Gguf.STRING, "llama")
    for key, value in (("block_count", 1), ("context_length", 64), ("embedding_length", 4), ("feed_forward_length", 4), ("attention.head_count", 2),
                       ("attention.head_count_kv", 1), ("rope.dimension_count", 2)):
        model.add("llama." + key, Gguf.U32, value)
    model.add("llama.attention.layer_norm_rms_epsilon", Gguf.F32, 1e-5).add("llama.rope.freq_base", Gguf.F32, 1e4)
    model.tensor("token_embd.weight", [4, 2], 0, bytes(32)).tensor("blk.0.attn_q.weight", [32, 1], 2, bytes(18)).tensor("output_norm.weight", [4], 30, bytes(8))
    write("gguf", "model", model.bytes())


def chat_template():
    messages = '{"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi <|im_end|>"}],"tools":[{"type":"function","function":{"name":"f"}}]}'
    for name, source in {
        "chatml": "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m.content | trim + '<|im_end|>' + '\\n' }}{% endfor %}"
                  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
        "tools": "{%- set ns = namespace(n=0) %}{%- for t in tools or [] %}{%- set ns.n = ns.n + loop.index %}{{ t | tojson(indent=2) }}{%- endfor -%}{{ ns.n }}",
        "macro": "{% macro f(x, y=1) %}{{ x * y }}{% endmacro %}{{ f(3) }}{{ messages[::-1][0].content[1:].split(' ') | join(',') | upper }}",
        "raise": "{% if messages[0].role != 'user' %}{{ raise_exception('no') }}{% elif x is defined %}{% else %}{{ bos_token ~ strftime_now('%Y') }}{% endif %}",
        "loops": "{% for a in range(9) if a % 2 %}{% for b in messages %}{{ loop.index0 }}{{ b.get('role', '?').replace('u', 'vv') }}{% break %}{% endfor %}{% endfor %}",
    }.items():
        write("chat_template", name, source + "\0" + messages)


def output_parser():
    for name, (choices, text) in {
        "hermes": (b"\x00\x03", '<think>\nx\n</think>\n\n<tool_call>\n{"name": "f", "arguments": {"a": [1, "}"]}}\n</tool_call>'),
        "qwen3_coder": (b"\x01\x01", "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>tail"),
        "llama3_json": (b"\x02\x00", '<|python_tag|>{"name": "f", "parameters": {"a": null}}; {"name": "g", "parameters": {}}'),
        "pythonic": (b"\x03\x00", "[f(a=1, b='x'), g(c={'d': True})]"),
        "mistral": (b"\x04\x00", '[TOOL_CALLS][{"name": "f", "arguments": {"a": 1}}]'),
        "deepseek_v3": (b"\x05\x03", "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
        "json": (b"\x06\x02", '{"name": "f", "arguments": {"a": "\\u00e9"}}'),
    }.items():
        write("output_parser", name, choices + b"\x05" + text.encode())


if __name__ == "__main__":
    for make in (completion, chat_request, http_request, detokenizer, encode, tokenizer_json, hf_config, safetensors, gguf, chat_template, output_parser):
        make()
