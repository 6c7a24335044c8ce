#!/usr/bin/env python3
"""Many at once, as clients of the official package see it: shared prefixes, full queues, deadlines, priorities, a cache too small."""

from __future__ import annotations

import concurrent.futures
import re
import time
import unittest

import openai

import invariants
import support

LONG = "A shared system prompt that every request begins with, long enough for several blocks of the cache. " * 4


def client_of(server: support.Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=server.url + "/v1", api_key="none", max_retries=0, timeout=120)


def metric(server: support.Server, name: str) -> float:
    status, page = server.get("/metrics")
    assert status == 200, page
    found = re.findall(rf"^{re.escape(name)}\{{[^}}]*\}} (\S+)$", page, re.MULTILINE)
    assert found, f"no {name}"
    return sum(map(float, found))


class Base(support.ServerCase):
    @classmethod
    def setUpClass(cls):
        cls.flags = ("--served-model-name", "tiny", *cls.flags)
        super().setUpClass()
        cls.client = client_of(cls.server)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        super().tearDownClass()

    def complete(self, prompt="Hello", **fields):
        fields.setdefault("max_tokens", 8)
        fields.setdefault("temperature", 0)
        return self.client.completions.create(model="tiny", prompt=prompt, **fields)

    def idle(self):
        """Nothing runs, nothing waits, no block is held."""
        invariants.settle(invariants.load, self.server, 30)


class PrefixCache(Base):
    flags = ("--max-model-len", "2048")

    def cached(self, answer) -> int:
        return answer.usage.prompt_tokens_details.cached_tokens

    def test_a_repeated_prompt_is_cached_and_says_the_same(self):
        cold = self.complete(LONG + "one", logprobs=2)
        warm = self.complete(LONG + "one", logprobs=2)
        self.assertEqual(self.cached(cold), 0)
        self.assertGreater(self.cached(warm), 0.8 * warm.usage.prompt_tokens)
        self.assertEqual(warm.choices[0].text, cold.choices[0].text)
        self.assertEqual(warm.choices[0].logprobs, cold.choices[0].logprobs)
        other_end = self.complete(LONG + "two")
        self.assertGreater(self.cached(other_end), 0.8 * other_end.usage.prompt_tokens)

    def test_salts_do_not_share(self):
        prompt = "salted " + LONG
        self.complete(prompt, extra_body={"cache_salt": "a"})
        self.assertEqual(self.cached(self.complete(prompt, extra_body={"cache_salt": "b"})), 0)
        self.assertEqual(self.cached(self.complete(prompt)), 0)
        self.assertGreater(self.cached(self.complete(prompt, extra_body={"cache_salt": "a"})), 0)

    def test_reset(self):
        prompt = "reset " + LONG
        self.complete(prompt)
        self.assertEqual(self.server.post("/reset_prefix_cache", {})[0], 200)
        self.assertEqual(self.cached(self.complete(prompt)), 0)

    def test_choices_are_what_single_requests_with_their_seeds_are(self):
        many = self.complete(LONG + "n", n=3, temperature=1, seed=7, logprobs=1)
        self.assertEqual(self.server.post("/reset_prefix_cache", {})[0], 200)
        for i, choice in enumerate(many.choices):
            alone = self.complete(LONG + "n", temperature=1, seed=7 + i, logprobs=1)
            self.assertEqual(choice.text, alone.choices[0].text)
            self.assertEqual(choice.logprobs, alone.choices[0].logprobs)

    def test_usage_is_what_the_counters_say(self):
        self.idle()
        names = ("vllm:prompt_tokens_total", "vllm:generation_tokens_total")
        before = [metric(self.server, name) for name in names]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            usages = [a.usage for a in pool.map(lambda i: self.complete(f"{i % 3} {LONG}", max_tokens=1 + i), range(16))]
        self.idle()
        after = [metric(self.server, name) for name in names]
        self.assertEqual(after[0] - before[0], sum(u.prompt_tokens for u in usages))
        self.assertEqual(after[1] - before[1], sum(u.completion_tokens for u in usages))


class SmallCache(Base):
    """Room for two requests of those that eight clients send at once."""

    flags = ("--max-model-len", "256", "--num-gpu-blocks-override", "34", "--max-num-seqs", "8")

    def test_preempted_requests_say_what_they_would_say_alone(self):
        ask = lambda i: self.complete(f"Request number {i} of many", max_tokens=160, temperature=1, seed=i, logprobs=1,
                                      extra_body={"ignore_eos": True})
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = list(pool.map(ask, range(8)))
        self.assertGreater(metric(self.server, "vllm:num_preemptions_total"), 0)
        self.idle()
        for i, answer in enumerate(together):
            alone = ask(i)
            self.assertEqual(answer.choices[0].text, alone.choices[0].text)
            self.assertEqual(answer.choices[0].logprobs.token_logprobs, alone.choices[0].logprobs.token_logprobs)
            self.assertEqual(answer.usage.completion_tokens, 160)


class FullQueue(Base):
    flags = ("--max-model-len", "4096", "--max-num-seqs", "1", "--max-queued-requests", "2")

    def test_the_fourth_is_told_when_to_come_back(self):
        slow = self.complete("slow", max_tokens=2000, stream=True, extra_body={"ignore_eos": True})
        next(iter(slow))  # it runs
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(self.complete, f"waiting {i}", max_tokens=1) for i in range(2)]
            deadline = time.monotonic() + 30
            while metric(self.server, "vllm:num_requests_waiting") < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            with self.assertRaises(openai.RateLimitError) as refused:
                self.complete("one too many")
            self.assertEqual(refused.exception.code, "queue_full")
            self.assertGreaterEqual(int(refused.exception.response.headers["retry-after"]), 1)
            self.assertGreater(metric(self.server, "vllm:admission_rejections_total"), 0)
            slow.close()  # its place and its blocks are free within a step
            for answer in waiting:
                self.assertEqual(len(answer.result(60).choices), 1)
        self.idle()
        self.assertEqual(len(self.complete("now there is room").choices), 1)

    def test_priority_goes_before_arrival(self):
        first = self.complete("runs", max_tokens=1500, stream=True, extra_body={"ignore_eos": True})
        next(iter(first))
        order = []

        def ask(name, priority):
            self.complete(name, max_tokens=300, extra_body={"priority": priority, "ignore_eos": True})
            order.append(name)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for count, (name, priority) in enumerate((("patient", 0), ("urgent", -5)), 1):
                pool.submit(ask, name, priority)
                deadline = time.monotonic() + 30
                while metric(self.server, "vllm:num_requests_waiting") < count and time.monotonic() < deadline:
                    time.sleep(0.01)
            first.close()
        self.assertEqual(order, ["urgent", "patient"])
        self.idle()


class Deadlines(Base):
    flags = ("--max-model-len", "65536", "--max-num-seqs", "1", "--request-timeout", "60")

    def test_running_and_waiting_ones_end_in_time(self):
        with self.assertRaises(openai.InternalServerError) as late:
            self.complete("for ever", max_tokens=60000, extra_body={"ignore_eos": True, "timeout": 0.3})
        self.assertEqual(late.exception.status_code, 504)
        self.assertEqual(late.exception.code, "request_timeout")

        stream = self.complete("for ever", max_tokens=60000, stream=True, extra_body={"ignore_eos": True})
        next(iter(stream))
        with self.assertRaises(openai.InternalServerError) as late:  # it never runs
            self.complete("waits", max_tokens=1, extra_body={"timeout": 0.3})
        self.assertEqual(late.exception.status_code, 504)
        stream.close()
        self.idle()

    def test_a_stream_ends_with_an_error(self):
        with self.assertRaises(openai.APIError) as late:
            for _ in self.complete("for ever", max_tokens=60000, stream=True,
                                   extra_body={"ignore_eos": True, "timeout": 0.5}):
                pass
        self.assertIn("timeout", str(late.exception.body).lower() + str(late.exception).lower())
        self.idle()


del Base  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
