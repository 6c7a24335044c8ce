#!/usr/bin/env python3
"""The official OpenAI client against `pegainfer serve` with a tiny model."""

from __future__ import annotations

import concurrent.futures
import json
import math
import unittest

import openai

import support

PROMPT = "The capital of France is"


class OpenAiClient(support.ServerCase):
    flags = ("--served-model-name", "tiny", "org/tiny", "--max-model-len", "512")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        super().tearDownClass()

    def complete(self, prompt=PROMPT, **fields):
        fields.setdefault("max_tokens", 12)
        fields.setdefault("temperature", 0)
        return self.client.completions.create(model="tiny", prompt=prompt, **fields)

    def streamed(self, prompt=PROMPT, n=1, **fields):
        texts, reasons = [""] * n, [None] * n
        for chunk in self.complete(prompt, stream=True, n=n, **fields):
            for choice in chunk.choices:
                self.assertIsNone(reasons[choice.index])
                texts[choice.index] += choice.text
                reasons[choice.index] = choice.finish_reason
        self.assertNotIn(None, reasons)
        return texts

    def test_models(self):
        models = self.client.models.list().data
        self.assertEqual([m.id for m in models], ["tiny", "org/tiny"])
        self.assertEqual(models[0].max_model_len, 512)
        self.assertEqual(self.client.models.retrieve("org/tiny").id, "org/tiny")
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("nope")

    def test_completion(self):
        answer = self.complete()
        self.assertEqual(answer.object, "text_completion")
        self.assertEqual(answer.model, "tiny")
        self.assertTrue(answer.id.startswith("cmpl-"))
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertEqual(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 0)
        self.assertEqual(self.complete().choices[0].text, answer.choices[0].text)

    def test_model_may_be_left_out(self):
        status, body = self.server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 2})
        self.assertEqual(status, 200, body)

    def test_stream_equals_whole(self):
        for fields in ({}, {"echo": True}, {"temperature": 1, "seed": 7, "max_tokens": 60}, {"ignore": 1}):
            extra = {"ignore_eos": True} if fields.pop("ignore", None) else {}
            whole = self.complete(extra_body=extra, **fields).choices[0].text
            self.assertEqual(self.streamed(extra_body=extra, **fields), [whole])

    def test_stream_usage(self):
        chunks = list(self.complete(stream=True, stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, self.complete().usage.completion_tokens)
        for chunk in chunks[:-1]:
            self.assertEqual(len(chunk.choices), 1)
            self.assertIsNone(chunk.usage)
            self.assertEqual(chunk.id, chunks[0].id)

    def test_seed_and_n(self):
        fields = {"temperature": 1, "n": 3, "max_tokens": 24, "seed": 11}
        first = [c.text for c in self.complete(**fields).choices]
        self.assertEqual([c.text for c in self.complete(**fields).choices], first)
        self.assertEqual(self.streamed(**fields), first)
        self.assertGreater(len(set(first)), 1)
        self.assertNotEqual([c.text for c in self.complete(**{**fields, "seed": 12}).choices], first)

    def test_prompts_of_every_kind(self):
        whole = self.complete().choices[0].text
        status, body = self.server.post("/tokenize", {"prompt": PROMPT})
        self.assertEqual(status, 200)
        ids = json.loads(body)["tokens"]
        self.assertEqual(self.complete(ids).choices[0].text, whole)
        several = self.complete([PROMPT, "one two", PROMPT])
        self.assertEqual([c.index for c in several.choices], [0, 1, 2])
        self.assertEqual([several.choices[0].text, several.choices[2].text], [whole, whole])
        self.assertEqual([c.text for c in self.complete([ids, ids]).choices], [whole, whole])

    def test_echo_and_logprobs(self):
        scored = self.complete(echo=True, logprobs=5, max_tokens=0).choices[0]
        self.assertEqual(scored.text, PROMPT)
        self.assertIsNone(scored.logprobs.token_logprobs[0])
        self.assertEqual("".join(scored.logprobs.tokens), PROMPT)
        self.assertEqual(scored.logprobs.text_offset[0], 0)
        for logprob, top in zip(scored.logprobs.token_logprobs[1:], scored.logprobs.top_logprobs[1:]):
            self.assertLess(logprob, 0)
            self.assertLessEqual(logprob, max(top.values()) + 1e-6)
            self.assertLessEqual(sum(math.exp(v) for v in top.values()), 1 + 1e-3)
        # As lm-eval's local-completions asks: one token more, which it drops from the end.
        one = self.complete(echo=True, logprobs=1, max_tokens=1).choices[0].logprobs
        self.assertEqual(one.token_logprobs[:-1], scored.logprobs.token_logprobs)
        self.assertEqual(one.token_logprobs[-1], max(one.top_logprobs[-1].values()))  # greedy

    def test_completion_logprobs_agree_with_scoring(self):
        generated = self.complete(logprobs=0, max_tokens=8, extra_body={"return_token_ids": True, "ignore_eos": True})
        choice = generated.choices[0]
        scored = self.complete(choice.prompt_token_ids + choice.token_ids, echo=True, logprobs=0, max_tokens=0)
        tail = scored.choices[0].logprobs.token_logprobs[-len(choice.token_ids):]
        if support.ON_GPU:  # a prompt's rows and a decode step's round differently there
            for got, expected in zip(tail, choice.logprobs.token_logprobs, strict=True):
                self.assertAlmostEqual(got, expected, delta=1e-3)
        else:
            self.assertEqual(tail, choice.logprobs.token_logprobs)  # bit for bit

    def test_stop(self):
        whole = self.complete(max_tokens=40, extra_body={"ignore_eos": True}).choices[0].text
        stop = whole[len(whole) // 2:][:3]
        answer = self.complete(max_tokens=40, stop=[stop, "\u0000never"], extra_body={"ignore_eos": True}).choices[0]
        self.assertEqual(answer.text, whole[: whole.index(stop)])
        self.assertEqual((answer.finish_reason, answer.stop_reason), ("stop", stop))
        kept = self.complete(max_tokens=40, stop=stop, extra_body={"ignore_eos": True, "include_stop_str_in_output": True})
        self.assertEqual(kept.choices[0].text, whole[: whole.index(stop) + len(stop)])
        self.assertEqual(self.streamed(max_tokens=40, stop=stop, extra_body={"ignore_eos": True}), [answer.text])

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError) as raised:
            self.client.completions.create(model="other", prompt="a")
        self.assertEqual(raised.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as raised:
            self.complete("word " * 2000)
        self.assertEqual(raised.exception.code, "context_length_exceeded")
        self.assertIn("maximum context length is 512", str(raised.exception))
        with self.assertRaises(openai.BadRequestError) as raised:
            self.complete(max_tokens=512)
        self.assertEqual(raised.exception.code, "context_length_exceeded")
        for fields, param in (({"presence_penalty": 2.5}, "presence_penalty"), ({"suffix": "x"}, "suffix"),
                              ({"temperature": 3}, "temperature"), ({"n": 99}, "n")):
            with self.assertRaises(openai.BadRequestError) as raised:
                self.complete(**fields)
            self.assertEqual(raised.exception.param, param)
        with self.assertRaises(openai.BadRequestError):
            self.complete(stream=True, logprobs=21)
        self.assertEqual(self.server.get("/health")[0], 200)

    def test_many_at_once_equal_one_alone(self):
        prompts = [f"{PROMPT} number {i}" for i in range(24)]
        alone = [self.complete(p, max_tokens=16).choices[0].text for p in prompts]
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            together = list(pool.map(lambda p: self.streamed(p, max_tokens=16)[0], prompts))
        self.assertEqual(together, alone)

    def test_leaving_clients_do_no_harm(self):
        for _ in range(8):
            stream = self.complete(stream=True, max_tokens=400, extra_body={"ignore_eos": True})
            next(iter(stream))
            stream.close()
        self.assertEqual(self.complete().choices[0].text, self.complete().choices[0].text)


if __name__ == "__main__":
    unittest.main()
