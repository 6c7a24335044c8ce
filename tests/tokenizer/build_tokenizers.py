"""Small tokenizers of every kind we support, built and trained with Hugging Face's `tokenizers`."""
import json

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import texts

QWEN2 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
# A pattern that is not one of the known ones (DeepSeek's, shortened): it goes through the regex engine.
DEEPSEEK = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|"
            r"\s*[\r\n]+|\s+(?!\S)|\s+")
BYTES = [f"<0x{b:02X}>" for b in range(256)]
FLAGGED = [AddedToken("[X]", special=True, normalized=False), AddedToken("[W]", single_word=True, normalized=False),
           AddedToken("[L]", lstrip=True, normalized=False), AddedToken("[R]", rstrip=True, normalized=False, special=True),
           AddedToken("[LR]", lstrip=True, rstrip=True), AddedToken("[N]", normalized=True), AddedToken("[Ṩ]", normalized=True, special=True)]


def train(tokenizer, vocab_size=3000, special=(), alphabet=None):
    kwargs = {"initial_alphabet": alphabet} if alphabet is not None else {}
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=list(special), show_progress=False, **kwargs)
    tokenizer.train_from_iterator(texts.training_text(), trainer)
    return tokenizer


def byte_level(pattern, **model):
    t = Tokenizer(models.BPE(**model))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return t


def qwen_like():
    t = byte_level(QWEN2)
    t.normalizer = normalizers.NFC()
    train(t, 4000, alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    t.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    t.add_tokens([AddedToken(x, normalized=False) for x in ("<think>", "</think>", "<tool_call>", "</tool_call>")])
    return t


def llama3_like():
    t = byte_level(LLAMA3, ignore_merges=True)
    train(t, alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    bos = t.token_to_id("<|begin_of_text|>")
    t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B", special_tokens=[("<|begin_of_text|>", bos)])])
    # Words that no merge makes: only ignore_merges finds them.
    data = json.loads(t.to_str())
    vocab = data["model"]["vocab"]
    free = max(max(vocab.values()), max(x["id"] for x in data["added_tokens"])) + 1
    for i, word in enumerate(["Ġxylophone", "ĠZażóÅĤÄĩ", "zebra", "HTMLParser"]):
        vocab.setdefault(word, free + i)
    return Tokenizer.from_str(json.dumps(data))


def gpt2_digits():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    train(t, special=["<|endoftext|>", "<|im_start|>", "<|im_end|>"], alphabet=pre_tokenizers.ByteLevel.alphabet())
    t.add_tokens(FLAGGED)
    return t


def gpt2_prefix():
    """Adds a prefix space, lacks some bytes, and has an unknown token for them."""
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)])
    t.decoder = decoders.ByteLevel()
    train(t, 2000, special=["<unk>", "<s>", "</s>"], alphabet=[])
    t.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    return t


def o200k_like():
    t = byte_level(O200K)
    return train(t, alphabet=pre_tokenizers.ByteLevel.alphabet())


def regex_byte_level():
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"\p{N}{1,3}"), "isolated"), pre_tokenizers.Split(Regex(r"[一-龥぀-ゟ゠-ヿ]+"), "isolated"),
        pre_tokenizers.Split(Regex(DEEPSEEK), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    return train(t, alphabet=pre_tokenizers.ByteLevel.alphabet())


def sentencepiece(normalizer, pre, decoder, **model):
    """BPE as converted from SentencePiece: byte fallback, fused unknowns."""
    t = Tokenizer(models.BPE(unk_token="<unk>", **{"fuse_unk": True, "byte_fallback": True, **model}))
    t.normalizer = normalizer
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    train(t, 3000, special=["<unk>", "<s>", "</s>", *BYTES])
    data = json.loads(t.to_str())
    # Byte tokens are no added tokens in the real ones.
    data["added_tokens"] = [x for x in data["added_tokens"] if not x["content"].startswith("<0x")]
    t = Tokenizer.from_str(json.dumps(data))
    t.pre_tokenizer = pre
    t.decoder = decoder
    t.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return t


def llama_legacy():
    t = sentencepiece(normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]), None,
                      decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]))
    data = json.loads(t.to_str())
    data["pre_tokenizer"] = None
    return Tokenizer.from_str(json.dumps(data))


def llama_metaspace():
    t = sentencepiece(None, pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False), decoders.Metaspace("▁", prepend_scheme="first", split=False), ignore_merges=True)
    t.add_tokens(FLAGGED)
    return t


def gemma_like():
    t = sentencepiece(normalizers.Replace(" ", "▁"), pre_tokenizers.Split(" ", "merged_with_previous"),
                      decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]))
    t.add_tokens([AddedToken("\n" * n, normalized=False) for n in range(2, 8)] + [AddedToken("▁" * n, normalized=True) for n in range(2, 8)])
    return t


def no_fallback():
    """Unknown characters stay unknown, and are not fused."""
    t = sentencepiece(normalizers.Strip(), pre_tokenizers.Sequence([pre_tokenizers.Metaspace("▁", prepend_scheme="always"), pre_tokenizers.Punctuation()]),
                      decoders.Metaspace("▁", prepend_scheme="always"), byte_fallback=False, fuse_unk=False)
    return t


def lowercase_nfkd():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    t.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip(left=True, right=False), normalizers.Replace(Regex(r"[\x{300}-\x{36f}]+"), "")])
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous")])
    train(t, 2000, special=["<unk>"])
    t.add_tokens(FLAGGED)
    return Tokenizer.from_str(t.to_str())


def nfkc_whitespace():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("ab", "c"), normalizers.Prepend("^")])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    train(t, 2000, special=["<unk>"])
    t.decoder = decoders.Sequence([decoders.Replace(Regex("[ae]+"), "-"), decoders.Strip("c", 2, 0), decoders.Fuse(), decoders.Replace("--", "=")])
    return t


def nfd_splits(behavior, invert):
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.normalizer = normalizers.NFD()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\s+|[-'a]"), behavior, invert=invert), pre_tokenizers.Split("e", behavior), pre_tokenizers.Punctuation(behavior)])
    return train(t, 1500, special=["<unk>"])


def byte_level_first():
    """ByteLevel that is not the last step: what follows sees its alphabet."""
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False), pre_tokenizers.Split("Ġ", "merged_with_next"), pre_tokenizers.Digits()])
    t.decoder = decoders.ByteLevel()
    return train(t, alphabet=pre_tokenizers.ByteLevel.alphabet())


def all_tokenizers():
    made = {f.__name__: f() for f in (qwen_like, llama3_like, gpt2_digits, gpt2_prefix, o200k_like, regex_byte_level, llama_legacy, llama_metaspace,
                                      gemma_like, no_fallback, lowercase_nfkd, nfkc_whitespace, byte_level_first)}
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            made[f"nfd_{behavior}{'_inverted' if invert else ''}"] = nfd_splits(behavior, invert)
    return made
