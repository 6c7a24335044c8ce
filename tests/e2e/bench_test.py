#!/usr/bin/env python3
"""The bench commands of the real binary: against ours, against a server that is not ours, without one, and in virtual time."""

from __future__ import annotations

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import unittest

import tokenizers

import invariants
import stub_server
from support import BINARY, MODEL, Server, run
from stub_server import StubServer

SIM_FIT = pathlib.Path(__file__).resolve().parents[2] / "bench/sim_fit.py"
# The names `vllm bench serve` prints and saves.
COUNTS = ["Successful requests:", "Failed requests:", "Benchmark duration (s):", "Total input tokens:", "Total generated tokens:",
          "Request throughput (req/s):", "Output token throughput (tok/s):", "Peak output token throughput (tok/s):",
          "Peak concurrent requests:", "Total Token throughput (tok/s):"]
METRICS = ("ttft", "tpot", "itl", "e2el")
KEYS = {"date", "endpoint_type", "backend", "model_id", "tokenizer_id", "num_prompts", "request_rate", "burstiness", "max_concurrency",
        "duration", "completed", "failed", "total_input_tokens", "total_output_tokens", "request_throughput", "request_goodput",
        "output_throughput", "total_token_throughput", "max_output_tokens_per_s", "max_concurrent_requests"}
DETAILS = {"input_lens", "output_lens", "start_times", "ttfts", "itls", "generated_texts", "errors"}


def printed(text: str) -> dict[str, float]:
    return {name + ":": float(value) for name, value in re.findall(r"^([^:\n]+): +([\d.]+) *$", text, re.MULTILINE)}


class Bench(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, *lines: object) -> str:
        path = os.path.join(self.folder, "lines.jsonl")
        pathlib.Path(path).write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
        return path

    def serve(self, url: str, *flags: str, code: int = 0) -> tuple[dict, subprocess.CompletedProcess]:
        """`bench serve` with its saved details and its output."""
        name = "result.json"
        done = run("bench", "serve", "--base-url", url, "--save-result", "--save-detailed", "--result-dir", self.folder, "--result-filename",
                   name, *flags)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(pathlib.Path(self.folder, name).read_text()), done

    def check_figures(self, saved: dict, done: subprocess.CompletedProcess) -> None:
        """What is printed is what is saved, and figures that follow from others do."""
        figures = printed(done.stdout)
        for name in COUNTS:
            self.assertIn(name, figures)
        for key, name in (("completed", COUNTS[0]), ("failed", COUNTS[1]), ("duration", COUNTS[2]), ("total_input_tokens", COUNTS[3]),
                          ("total_output_tokens", COUNTS[4]), ("request_throughput", COUNTS[5]), ("output_throughput", COUNTS[6]),
                          ("max_output_tokens_per_s", COUNTS[7]), ("max_concurrent_requests", COUNTS[8]),
                          ("total_token_throughput", COUNTS[9])):
            self.assertAlmostEqual(saved[key], figures[name], delta=0.00501, msg=key)
        for metric in METRICS:
            for kind in ("mean", "median", "p99"):
                self.assertAlmostEqual(saved[f"{kind}_{metric}_ms"], figures[f"{kind.capitalize()} {metric.upper()} (ms):"], delta=0.00501)
            self.assertIn(f"std_{metric}_ms", saved)
        duration = saved["duration"]
        self.assertAlmostEqual(saved["request_throughput"] * duration, saved["completed"], places=3)
        self.assertAlmostEqual(saved["output_throughput"] * duration, saved["total_output_tokens"], places=3)
        self.assertAlmostEqual(saved["total_token_throughput"] * duration, saved["total_input_tokens"] + saved["total_output_tokens"],
                               places=3)
        good = [i for i, error in enumerate(saved["errors"]) if not error]
        self.assertEqual(len(good), saved["completed"])
        self.assertEqual(sum(saved["output_lens"][i] for i in good), saved["total_output_tokens"])
        self.assertEqual(sum(saved["input_lens"][i] for i in good), saved["total_input_tokens"])
        ttfts = [saved["ttfts"][i] for i in good]
        e2els = [saved["ttfts"][i] + sum(saved["itls"][i]) for i in good]
        self.assertAlmostEqual(saved["mean_ttft_ms"], 1e3 * sum(ttfts) / len(good), places=3)
        self.assertAlmostEqual(saved["mean_e2el_ms"], 1e3 * sum(e2els) / len(good), places=3)


class OurServer(Bench):
    """Over SimEngine, whose steps take 5 ms."""

    @classmethod
    def setUpClass(cls):
        cls.profile = tempfile.NamedTemporaryFile("w", suffix=".json")
        json.dump({"base": "instant", "name": "five", "step_overhead_s": 0.005}, cls.profile)
        cls.profile.flush()

    @classmethod
    def tearDownClass(cls):
        cls.profile.close()

    def simulated(self, *flags: str) -> Server:
        return Server("--profile", self.profile.name, *flags, simulated=True)

    def test_figures_are_those_of_the_steps(self):
        with self.simulated() as server:
            saved, done = self.serve(server.url, "--num-prompts", "40", "--random-input-len", "30", "--random-output-len", "16",
                                     "--max-concurrency", "8", "--num-warmups", "3", "--metric-percentiles", "50,99,99.9")
            self.check_figures(saved, done)
            counted = invariants.metrics(server)
        self.assertEqual(set(saved), KEYS | DETAILS | {f"{kind}_{metric}_ms" for metric in METRICS
                                                      for kind in ("mean", "median", "std", "p50", "p99", "p99.9")})
        self.assertEqual((saved["completed"], saved["failed"], saved["num_prompts"]), (40, 0, 40))
        self.assertEqual((saved["total_input_tokens"], saved["total_output_tokens"]), (40 * 30, 40 * 16))
        self.assertEqual((saved["request_rate"], saved["max_concurrency"], saved["max_concurrent_requests"]), ("inf", 8, 8))
        self.assertEqual(saved["model_id"], "sim-five")
        for metric in METRICS:
            self.assertEqual(saved[f"p50_{metric}_ms"], saved[f"median_{metric}_ms"])
            self.assertLessEqual(saved[f"p99_{metric}_ms"], saved[f"p99.9_{metric}_ms"])
        # A token a step. A busy machine may be late, never early; late first tokens make the others seem faster.
        self.assertGreater(min(ttft + sum(itls) for ttft, itls in zip(saved["ttfts"], saved["itls"])), 16 * 0.005)
        for metric in ("tpot", "itl"):
            self.assertGreater(saved[f"mean_{metric}_ms"], 2.5)
            self.assertLess(saved[f"median_{metric}_ms"], 100)
        self.assertTrue(all(len(text) == 16 for text in saved["generated_texts"]))
        # What the server counted is what the client was told, with the warm-up and the question which ids it takes.
        self.assertEqual(counted["vllm:generation_tokens_total"], 43 * 16 + (1 if counted["vllm:request_success_total"] == 44 else 0))

    def test_ignore_eos(self):
        with self.simulated("--eos-probability", "0.2") as server:
            flags = ("--num-prompts", "20", "--random-input-len", "8", "--random-output-len", "24")
            ends, _ = self.serve(server.url, *flags)
            goes_on, _ = self.serve(server.url, *flags, "--ignore-eos")
        self.assertEqual((ends["completed"], goes_on["completed"]), (20, 20))
        self.assertLess(ends["total_output_tokens"], 20 * 24 / 2)
        self.assertEqual(goes_on["total_output_tokens"], 20 * 24)

    def test_refused_requests_are_failures(self):
        with self.simulated("--max-num-seqs", "1", "--max-queued-requests", "2") as server:
            saved, done = self.serve(server.url, "--num-prompts", "12", "--random-input-len", "8", "--random-output-len", "30")
            self.check_figures(saved, done)
        self.assertEqual(saved["completed"] + saved["failed"], 12)
        self.assertGreaterEqual(saved["failed"], 5)
        self.assertIn(f"{saved['failed']} failed: 429: ", done.stderr)

    def test_prompts_of_exactly_the_wanted_length(self):
        with Server() as server:
            saved, done = self.serve(server.url, "--tokenizer", MODEL, "--num-prompts", "6", "--random-input-len", "50",
                                     "--random-output-len", "8", "--random-prefix-len", "20", "--ignore-eos", "--max-concurrency", "2")
            self.check_figures(saved, done)
        self.assertEqual(saved["input_lens"], [70] * 6)  # by the server's usage
        self.assertEqual(saved["output_lens"], [8] * 6)
        self.assertEqual(saved["tokenizer_id"], MODEL)


class AnotherServer(Bench):
    def test_figures(self):
        with StubServer(token_seconds=0.01) as stub:
            saved, done = self.serve(stub.url, "--num-prompts", "6", "--random-input-len", "20", "--random-output-len", "5",
                                     "--max-concurrency", "3", "--header", "authorization=Bearer x", "--extra-body", '{"min_p": 0.5}')
        self.check_figures(saved, done)
        self.assertEqual(saved["completed"], 6)
        self.assertEqual(saved["model_id"], "stub-model")
        self.assertEqual(saved["input_lens"], [20] * 6)
        self.assertTrue(all(len(itls) == 4 for itls in saved["itls"]))
        self.assertGreater(min(ttft + sum(itls) for ttft, itls in zip(saved["ttfts"], saved["itls"])), 5 * 0.01)
        self.assertGreater(saved["mean_tpot_ms"], 5)
        self.assertEqual(saved["generated_texts"], [" t0 t1 t2 t3 t4"] * 6)
        self.assertEqual(stub.peak, 3)
        for body, headers in zip(stub.bodies, stub.headers):
            self.assertEqual((body["min_p"], body["stream"], headers["authorization"]), (0.5, True, "Bearer x"))

    def test_the_same_seed_is_the_same_workload(self):
        def bodies(*flags: str) -> list[dict]:
            stub.forget()
            self.serve(stub.url, "--num-prompts", "8", "--random-input-len", "20", "--random-output-len", "6", "--random-range-ratio", "0.5",
                       "--max-concurrency", "1", *flags)
            return stub.bodies[1:]  # the first asks whether ids are taken

        with StubServer() as stub:
            first = bodies("--seed", "3")
            self.assertEqual(len(first), 8)
            self.assertGreater(len({json.dumps(body) for body in first}), 7)
            self.assertTrue(all(10 <= len(body["prompt"]) <= 30 and 3 <= body["max_tokens"] <= 9 for body in first))
            self.assertNotIn("ignore_eos", first[0])
            self.assertEqual(bodies("--seed", "3", "--ignore-eos"), [{**body, "ignore_eos": True} for body in first])
            self.assertNotEqual(bodies("--seed", "4"), first)

    def test_request_rate(self):
        with StubServer() as stub:
            flags = ("--num-prompts", "40", "--random-input-len", "4", "--random-output-len", "2", "--request-rate", "80")
            saved, done = self.serve(stub.url, *flags)
            arrivals = stub.times[1:]
            again, _ = self.serve(stub.url, *flags)
        # The last request arrives at count / rate, and never before; a busy machine may be late with some.
        self.assertGreaterEqual(saved["start_times"][-1], 0.499)
        self.assertLess(saved["start_times"][-1], 1.5)
        self.assertAlmostEqual(arrivals[-1] - arrivals[0], saved["start_times"][-1] - saved["start_times"][0], delta=0.5)
        self.assertEqual(saved["start_times"], sorted(saved["start_times"]))
        self.assertLess(statistics.median(abs(a - b) for a, b in zip(saved["start_times"], again["start_times"])), 0.05)
        self.assertEqual(saved["request_rate"], 80)
        self.assertEqual(printed(done.stdout)["Request rate configured (RPS):"], 80)

    def test_failures_of_every_kind_are_counted(self):
        def answer(handler, body: dict, number: int) -> None:
            kind = number % 5 if number > 0 else 0  # the first asks whether ids are taken
            if kind == 1:
                stub_server.reply(handler, 500, {"error": {"message": "out of order"}})
            elif kind == 2:
                stub.stream(handler, body, number, tokens=2, end=False)
            elif kind == 3:
                handler.close_connection = True  # not a byte
            else:
                stub.stream(handler, body, number)

        with StubServer(answer) as stub:
            saved, done = self.serve(stub.url, "--num-prompts", "20", "--random-input-len", "4", "--random-output-len", "4",
                                     "--max-concurrency", "1")
            # A connection that served before and closes without a byte is tried once more, on a fresh one.
            self.assertEqual(saved["completed"] + saved["failed"], 20)
            self.check_figures(saved, done)
            errors = "\n".join(saved["errors"])
            for what in ("500: out of order", "the connection closed within the answer"):
                self.assertIn(what, errors)
                self.assertIn(f" failed: {what}", done.stderr)
            self.assertGreaterEqual(saved["failed"], 8)
            self.assertEqual(saved["total_output_tokens"], 4 * saved["completed"])

    def test_nothing_answered_is_an_error(self):
        with StubServer(lambda handler, _, number: stub_server.reply(handler, 200 if number == 0 else 503, {"error": "down"})) as stub:
            saved, done = self.serve(stub.url, "--num-prompts", "3", code=4)
        self.assertEqual((saved["completed"], saved["failed"]), (0, 3))
        self.assertIn("3 failed: 503: down", done.stderr)
        self.assertIn("no request was answered", done.stderr)

    def test_chat_and_words(self):
        def no_ids(handler, body: dict, number: int) -> None:
            if isinstance(body.get("prompt"), list):
                return stub_server.reply(handler, 400, {"error": {"message": "text only"}})
            return stub.stream(handler, body, number)

        with StubServer(no_ids) as stub:
            flags = ("--num-prompts", "3", "--random-input-len", "12", "--random-output-len", "4")
            saved, _ = self.serve(stub.url, *flags)
            self.assertEqual(saved["completed"], 3)
            self.assertTrue(all(len(body["prompt"].split()) == 12 for body in stub.bodies[1:]))
            stub.forget()
            saved, _ = self.serve(stub.url, *flags, "--endpoint", "/v1/chat/completions")
            self.assertEqual((saved["completed"], saved["total_output_tokens"]), (3, 12))
            self.assertEqual(stub.paths, ["/v1/chat/completions"] * 3)
            self.assertTrue(all(len(body["messages"][0]["content"].split()) == 12 for body in stub.bodies))

    def test_data_set(self):
        with StubServer() as stub:
            path = self.file({"prompt": "one two", "output_tokens": 3}, "", {"prompt": "three"}, {"prompt": "not sent"})
            saved, _ = self.serve(stub.url, "--dataset-name", "custom", "--dataset-path", path, "--num-prompts", "2", "--custom-output-len",
                                  "5", "--max-concurrency", "1")
            self.assertEqual([(body["prompt"], body["max_tokens"]) for body in stub.bodies], [("one two", 3), ("three", 5)])
            self.assertEqual(saved["output_lens"], [3, 5])
            bad = self.file({"prompt": "a"}, {"prompt": 1})
            done = run("bench", "serve", "--base-url", stub.url, "--dataset-name", "custom", "--dataset-path", bad)
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{bad}:2: ", done.stderr)

    def test_bad_flags(self):
        for flags, what in ((("--base-url", "https://localhost"), "http://"), (("--base-url", "http://127.0.0.1:1", "--request-rate", "0"),
                            "--request-rate"), (("--base-url", "http://127.0.0.1:1", "--percentile-metrics", "ttfb"), "ttfb"),
                            (("--base-url", "http://127.0.0.1:1", "--metric-percentiles", "101"), "--metric-percentiles"),
                            (("--base-url", "http://127.0.0.1:1", "--extra-body", "[]"), "--extra-body"),
                            (("--base-url", "http://127.0.0.1:1", "--model", "m", "--dataset-name", "custom"), "--dataset-path")):
            done = run("bench", "serve", *flags)
            self.assertEqual(done.returncode, 2, (flags, done.stderr))
            self.assertIn(what, done.stderr)
        done = run("bench", "serve", "--base-url", "http://127.0.0.1:1")
        self.assertEqual(done.returncode, 4)
        self.assertIn("127.0.0.1:1", done.stderr)


class WithoutServer(Bench):
    def command(self, name: str, *flags: str) -> tuple[dict, subprocess.CompletedProcess]:
        path = os.path.join(self.folder, "out.json")
        done = run("bench", name, "--output-json", path, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(pathlib.Path(path).read_text()), done

    def offline(self, name: str, *flags: str) -> tuple[dict, subprocess.CompletedProcess]:
        return self.command(name, "--model", MODEL, "--threads", "1", *flags)

    def test_throughput(self):
        saved, done = self.offline("throughput", "--num-prompts", "12", "--input-len", "20", "--output-len", "6", "--max-num-seqs", "4")
        self.assertEqual((saved["num_requests"], saved["total_num_tokens"]), (12, 12 * 26))
        self.assertAlmostEqual(saved["requests_per_second"] * saved["elapsed_time"], 12, places=3)
        self.assertAlmostEqual(saved["tokens_per_second"] * saved["elapsed_time"], 12 * 26, places=3)
        self.assertAlmostEqual(saved["output_tokens_per_second"] * saved["elapsed_time"], 12 * 6, places=3)
        self.assertRegex(done.stdout, rf"Throughput: {saved['requests_per_second']:.2f} requests/s, {saved['tokens_per_second']:.2f} total "
                                      rf"tokens/s, {saved['output_tokens_per_second']:.2f} output tokens/s\n"
                                      r"Total num prompt tokens:  240\nTotal num output tokens:  72\n")
        figures = printed(done.stdout)
        for name in ("Mean TTFT (ms):", "P99 TPOT (ms):", "Median ITL (ms):", "P99 E2EL (ms):"):
            self.assertGreater(figures[name], 0)
        self.assertAlmostEqual(figures["Mean TPOT (ms):"], saved["mean_tpot_ms"], delta=0.00501)

    def test_throughput_of_a_data_set(self):
        text = "The capital of France is"
        path = self.file({"prompt": text, "output_tokens": 3}, {"prompt": text + " Paris"})
        saved, _ = self.offline("throughput", "--dataset-path", path, "--output-len", "5")
        tokenizer = tokenizers.Tokenizer.from_file(f"{MODEL}/tokenizer.json")
        self.assertEqual(saved["total_num_tokens"], len(tokenizer.encode(text).ids) + len(tokenizer.encode(text + " Paris").ids) + 8)

    def test_latency(self):
        saved, done = self.offline("latency", "--batch-size", "2", "--input-len", "8", "--output-len", "4", "--num-iters", "5",
                                   "--num-iters-warmup", "1")
        self.assertEqual(len(saved["latencies"]), 5)
        self.assertAlmostEqual(saved["avg_latency"], sum(saved["latencies"]) / 5)
        self.assertEqual(saved["percentiles"]["50"], sorted(saved["latencies"])[2])
        self.assertEqual(set(saved["percentiles"]), {"10", "25", "50", "75", "90", "99"})
        for p, value in saved["percentiles"].items():
            self.assertIn(f"{p}% percentile latency: {value}", done.stdout)
        self.assertIn("Avg latency: ", done.stdout)

    def test_sim_repeats_and_is_the_arithmetic_of_its_profile(self):
        profile = os.path.join(self.folder, "profile.json")
        pathlib.Path(profile).write_text(json.dumps({"base": "instant", "step_overhead_s": 0.01}))
        flags = ("--profile", profile, "--num-prompts", "64", "--random-input-len", "10", "--random-output-len", "11", "--max-num-seqs", "16",
                 "--max-num-batched-tokens", "4096", "--no-async-scheduling")
        saved, done = self.command("sim", *flags)
        # Four rounds of 16 requests: a step for the prompts and the first token, ten for the others.
        self.assertAlmostEqual(saved["duration"], 4 * 11 * 0.01, places=6)
        self.assertAlmostEqual(saved["mean_tpot_ms"], 10, places=6)
        self.assertEqual(printed(done.stdout)["Steps:"], 44)
        self.assertEqual((saved["backend"], saved["completed"], saved["total_output_tokens"]), ("sim", 64, 64 * 11))
        self.check_figures(saved, done)
        again, _ = self.command("sim", *flags)
        self.assertEqual({**saved, "date": ""}, {**again, "date": ""})

    def test_sim_of_a_trace(self):
        path = self.file({"arrival_s": 1.5, "prompt_tokens": 7, "output_tokens": 2}, {"arrival_s": 0.5, "prompt_tokens": 5, "output_tokens": 3})
        saved, _ = self.command("sim", "--profile", "instant", "--trace", path)
        self.assertEqual((saved["input_lens"], saved["output_lens"], saved["start_times"]), ([5, 7], [3, 2], [0.5, 1.5]))
        for lines, what in (([{"arrival_s": -1, "prompt_tokens": 7, "output_tokens": 2}], ":1: arrival_s"),
                            ([{"arrival_s": 0, "prompt_tokens": 7}], ":1: output_tokens"), (["{"], ":1: "), ([], "no requests")):
            done = run("bench", "sim", "--trace", self.file(*lines))
            self.assertEqual(done.returncode, 2, lines)
            self.assertIn(what, done.stderr)

    def test_saved_runs_are_compared_with_a_profile(self):
        """bench/sim_fit.py without a fit: a simulated run agrees with its own profile, and not with a slower one."""
        saved = os.path.join(self.folder, "saved.json")
        flags = ("--num-prompts", "40", "--random-input-len", "50", "--random-output-len", "20", "--random-range-ratio", "0.5")
        for more in (("--max-concurrency", "8"), ("--request-rate", "50")):
            self.assertEqual(run("bench", "sim", "--profile", "h200-qwen3-4b", "--output-json", saved, *flags, *more).returncode, 0)
            ratios = {}
            for base in ("h200-qwen3-4b", "cpu-smollm2"):
                done = subprocess.run([sys.executable, str(SIM_FIT), "--binary", BINARY, "--base", base, "--async-scheduling",
                                       "--only-validate", "--validate", saved], capture_output=True, text=True, timeout=60, check=True)
                ratios[base] = float(done.stdout.splitlines()[-1].split(" | ")[3])
            self.assertEqual(ratios["h200-qwen3-4b"], 1.0)
            self.assertLess(ratios["cpu-smollm2"], 0.9)

    def test_help_says_what_has_been_validated(self):
        done = run("bench", "sim", "--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("is compared with nothing", " ".join(done.stdout.split()))


del Bench  # it has no tests of its own

if __name__ == "__main__":
    unittest.main()
