#!/usr/bin/env python3
"""Every sampling parameter through the real server, by the official client: what a request's JSON says shows in its tokens."""

from __future__ import annotations

import json
import math
import unittest

import openai

import support

PROMPT = "The capital of France is"


class Sampling(support.ServerCase):
    flags = ("--served-model-name", "tiny", "--max-model-len", "512")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.client = openai.OpenAI(base_url=cls.server.url + "/v1", api_key="none", max_retries=0, timeout=120)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        super().tearDownClass()

    def ids(self, max_tokens=12, prompt=PROMPT, openai_fields=None, **extra):
        """The completion's tokens; EOS is like others unless the test says otherwise."""
        extra = {"return_token_ids": True, "ignore_eos": True, "temperature": 0, **extra}
        answer = self.client.completions.create(model="tiny", prompt=prompt, max_tokens=max_tokens,
                                                **(openai_fields or {}), extra_body=extra)
        return answer.choices[0].token_ids

    def test_logit_bias_forces_and_forbids(self):
        plain = self.ids()
        self.assertEqual(self.ids(openai_fields={"logit_bias": {"42": 100}}), [42] * 12)
        self.assertNotIn(plain[0], self.ids(openai_fields={"logit_bias": {str(plain[0]): -100}}))
        self.assertEqual(self.ids(logit_bias=[[42, 100], [43, False]]), [42] * 12)

    def test_allowed_token_ids(self):
        for seed in range(4):
            self.assertLessEqual(set(self.ids(allowed_token_ids=[5, 7, 9], temperature=1, seed=seed)), {5, 7, 9})
        self.assertEqual(self.ids(allowed_token_ids=[7]), [7] * 12)

    def test_min_tokens(self):
        stop = self.ids()[0]
        self.assertEqual(self.ids(stop_token_ids=[stop]), [])
        later = self.ids(max_tokens=40, stop_token_ids=[stop], min_tokens=5)
        self.assertGreaterEqual(len(later), 5)
        self.assertNotIn(stop, later)

    def test_bad_words(self):
        plain = self.ids()
        word = self.server.post("/detokenize", {"tokens": plain[:1]})[1]
        text = json.loads(word)["prompt"]
        ids = json.loads(self.server.post("/tokenize", {"prompt": text, "add_special_tokens": False})[1])["tokens"]
        if ids != plain[:1]:
            self.skipTest(f"the first token is not a word of its own: {text!r}")
        self.assertNotIn(plain[0], self.ids(bad_words=[text]))

    def test_penalties_change_what_repeats(self):
        loop = self.ids(openai_fields={"logit_bias": {"42": 4, "43": 3.5}}, max_tokens=40)
        for fields in ({"presence_penalty": 2}, {"frequency_penalty": 2}):
            other = self.ids(openai_fields={"logit_bias": {"42": 4, "43": 3.5}, **fields}, max_tokens=40)
            self.assertGreater(len(set(other)), len(set(loop)), fields)
        self.assertGreater(len(set(self.ids(max_tokens=40, repetition_penalty=1.8))), len(set(self.ids(max_tokens=40))))
        self.assertEqual(self.ids(max_tokens=40, repeat_penalty=1.8), self.ids(max_tokens=40, repetition_penalty=1.8))
        self.assertEqual(self.ids(repetition_penalty=1.8, repeat_last_n=0), self.ids())

    def test_dry_ends_a_loop(self):
        bias = {"logit_bias": {"42": 100}}
        self.assertEqual(self.ids(openai_fields=bias, max_tokens=20), [42] * 20)
        broken = self.ids(openai_fields=bias, max_tokens=20, dry_multiplier=5, dry_base=2, dry_sequence_breakers=[])
        self.assertNotEqual(broken, [42] * 20)
        self.assertEqual(broken[:3], [42] * 3)

    def test_stages_of_the_host(self):
        self.assertEqual(self.ids(temperature=1, top_n_sigma=0.0001), self.ids())  # only the largest is left
        top = self.ids(temperature=1, mirostat=2, mirostat_tau=0, mirostat_eta=1, seed=1, max_tokens=6)
        self.assertEqual(top[1:], self.ids(prompt=self.prompt_ids() + top[:1], max_tokens=5))  # no surprise is left
        for fields in ({"typical_p": 0.5}, {"xtc_probability": 0.9, "xtc_threshold": 0.001}, {"dynatemp_range": 0.5},
                       {"mirostat": 1}, {"mirostat": 2, "dry_multiplier": 1, "presence_penalty": 1, "min_tokens": 3}):
            first = self.ids(temperature=1, seed=5, **fields)
            self.assertEqual(self.ids(temperature=1, seed=5, **fields), first, fields)
            self.assertNotEqual(self.ids(temperature=1, seed=6, **fields), first, fields)

    def prompt_ids(self):
        return json.loads(self.server.post("/tokenize", {"prompt": PROMPT})[1])["tokens"]

    def test_logprobs_are_the_models_own(self):
        fields = {"logprobs": 3, "logit_bias": {"42": 100}}
        for extra in ({}, {"typical_p": 0.5}):  # on the device, on the host
            biased = self.client.completions.create(model="tiny", prompt=PROMPT, max_tokens=1, temperature=1, seed=1,
                                                    **fields, extra_body={"ignore_eos": True, **extra}).choices[0]
            plain = self.client.completions.create(model="tiny", prompt=PROMPT, max_tokens=1, temperature=0, logprobs=3,
                                                   extra_body={"ignore_eos": True}).choices[0]
            self.assertLess(biased.logprobs.token_logprobs[0], -1)
            for token, logprob in plain.logprobs.top_logprobs[0].items():
                self.assertAlmostEqual(biased.logprobs.top_logprobs[0][token], logprob, places=5)

    def test_prompt_logprobs(self):
        answer = self.client.completions.create(model="tiny", prompt=PROMPT, max_tokens=1, temperature=0,
                                                extra_body={"prompt_logprobs": 2}).choices[0]
        scored = self.client.completions.create(model="tiny", prompt=PROMPT, max_tokens=1, temperature=0, logprobs=2,
                                                echo=True).choices[0]
        ids = self.prompt_ids()
        self.assertEqual(len(answer.prompt_logprobs), len(ids))
        self.assertIsNone(answer.prompt_logprobs[0])
        for i in range(1, len(ids)):
            entries = answer.prompt_logprobs[i]
            self.assertAlmostEqual(entries[str(ids[i])]["logprob"], scored.logprobs.token_logprobs[i], places=5)
            self.assertIn(len(entries), (2, 3))
            ranked = sorted((e["rank"], e["logprob"]) for e in entries.values() if e["rank"])
            self.assertEqual([rank for rank, _ in ranked], [1, 2])
            self.assertGreaterEqual(ranked[0][1], ranked[1][1])
            self.assertLessEqual(sum(math.exp(e["logprob"]) for e in entries.values()), 1 + 1e-4)

    def test_chat_samples_as_completions_do(self):
        messages = [{"role": "user", "content": PROMPT}]
        _, text = self.server.post("/tokenize", {"messages": messages})
        prompt = json.loads(text)["tokens"]
        plain = self.ids(prompt=prompt, temperature=1, seed=7)
        changed = 0
        for fields in ({}, {"logit_bias": {str(plain[0]): -100}}, {"allowed_token_ids": plain[3:6]}, {"min_tokens": 3},
                       {"repetition_penalty": 1.9}, {"presence_penalty": -2}, {"frequency_penalty": -2}, {"top_k": 2},
                       {"top_p": 0.1}, {"min_p": 0.9}, {"typical_p": 0.1}, {"top_n_sigma": 0.5}, {"mirostat": 2},
                       {"dynatemp_range": 0.9}, {"xtc_probability": 1, "xtc_threshold": 0.0001}, {"bad_words": ["e", "a"]},
                       {"dry_multiplier": 9, "dry_allowed_length": 1}, {"truncate_prompt_tokens": 4}):
            expected = self.ids(prompt=prompt, **{"temperature": 1, "seed": 7, **fields})
            answer = self.client.chat.completions.create(
                model="tiny", messages=messages, max_completion_tokens=12, temperature=1, seed=7,
                extra_body={"return_token_ids": True, "ignore_eos": True, **fields})
            self.assertEqual(answer.choices[0].token_ids, expected, fields)
            changed += expected != plain
        self.assertGreaterEqual(changed, 9)  # how many do depends on the machine's arithmetic

    def test_prompt_logprobs_of_a_chat(self):
        messages = [{"role": "user", "content": PROMPT}]
        extra = {"prompt_logprobs": 2, "return_token_ids": True}
        chat = self.client.chat.completions.create(model="tiny", messages=messages, max_completion_tokens=1, temperature=0,
                                                   extra_body=extra)
        whole = self.client.completions.create(model="tiny", prompt=chat.prompt_token_ids, max_tokens=1, temperature=0,
                                               extra_body=extra)
        self.assertEqual(chat.prompt_logprobs, whole.choices[0].prompt_logprobs)
        self.assertEqual(len(chat.prompt_logprobs), len(chat.prompt_token_ids))
        with self.assertRaisesRegex(openai.BadRequestError, "stream"):
            self.client.chat.completions.create(model="tiny", messages=messages, stream=True, extra_body=extra)

    def test_refused_by_name_and_ignored_with_a_count(self):
        def unknown():
            _, text = self.server.get("/metrics")
            lines = [line for line in text.splitlines()
                     if line.startswith("pegainfer:request_unknown_fields_total ")]
            return float(lines[0].split()[1])

        before = unknown()
        for fields in ({"presence_penalty": 3}, {"logit_bias": {"99999999": 1}}, {"grammar": "root ::= x"},
                       {"mirostat": 7}, {"allowed_token_ids": []}, {"min_tokens": 99, "max_tokens": 5}):
            status, body = self.server.post("/v1/completions", {"prompt": PROMPT, **fields})
            self.assertEqual(status, 400, body)
            self.assertEqual(json.loads(body)["error"]["param"], next(iter(fields)))
        status, _ = self.server.post("/v1/completions", {"prompt": PROMPT, "max_tokens": 1, "user": "u", "nobody": 1})
        self.assertEqual(status, 200)
        self.assertEqual(unknown(), before + 1)


if __name__ == "__main__":
    unittest.main()
