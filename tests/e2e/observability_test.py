#!/usr/bin/env python3
"""What a server shows: /metrics read by Prometheus' own client, the stats line, and traces as Perfetto reads them."""

from __future__ import annotations

import collections
import concurrent.futures
import http.client
import json
import math
import os
import pathlib
import re
import signal
import tempfile
import threading
import time
import unittest

from prometheus_client.parser import text_string_to_metric_families

import support
from support import MODEL, Server, run, wait_for

# These are zero when nothing happens.
BUSY_ONLY = {"vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc",
             "vllm:gpu_cache_usage_perc", "pegainfer:engine_seconds_since_progress"}


class Page:
    """One scrape."""

    def __init__(self, text: str):
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self.samples = [sample for family in self.families.values() for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        found = [s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items()]
        return sum(found) if found else math.nan


def scrape(server: Server) -> Page:
    status, text = server.get("/metrics")
    assert status == 200, text
    return Page(text)


def complete(server: Server, **body: object) -> dict:
    status, text = server.post("/v1/completions", {"prompt": "Hello", "max_tokens": 4, "ignore_eos": True, **body})
    return {"status": status, **json.loads(text)}


class Metrics(unittest.TestCase):
    def make_everything_move(self, server: Server) -> tuple[dict, collections.Counter]:
        """Load with every kind of end; gives the largest value a gauge of load had, and the usage clients were told."""
        usage: collections.Counter = collections.Counter()
        gauges: dict[str, float] = collections.defaultdict(float)
        done = threading.Event()

        def watch_gauges() -> None:
            while not done.is_set():
                page = scrape(server)
                for name in BUSY_ONLY:
                    gauges[name] = max(gauges[name], page.value(name))
                time.sleep(0.005)

        watcher = threading.Thread(target=watch_gauges)
        watcher.start()

        def ask(prompt: str) -> dict:
            answer = complete(server, prompt=prompt, max_tokens=150)
            self.assertIn(answer["status"], (200, 429), answer)
            return answer

        # Long prompts fill the queue by their tokens, short ones by their number; how many of them meet is the
        # machine's to say, so there may be several rounds.
        for i in range(20):
            prompts = [f"{i} {k} " * 15 for k in range(24)] + ["Hi"] * 24
            with concurrent.futures.ThreadPoolExecutor(24) as pool:
                for answer in pool.map(ask, prompts):
                    if answer["status"] == 200:
                        usage.update({k: v for k, v in answer["usage"].items() if isinstance(v, int)})
            page = scrape(server)
            moved = [page.value("vllm:admission_rejections_total", reason="max_num_queued_reqs"),
                     page.value("vllm:admission_rejections_total", reason="max_num_queued_tokens"),
                     page.value("vllm:num_preemptions_total"), *gauges.values()]
            if len(gauges) == len(BUSY_ONLY) and min(moved) > 0:
                break
        # The same prompt again, and a choice of two.
        for body in ({"prompt": "1 " * 30}, {"prompt": "1 " * 30}, {"n": 2, "seed": 1}):
            answer = complete(server, **body)
            self.assertEqual(answer["status"], 200, answer)
            usage.update({k: v for k, v in answer["usage"].items() if isinstance(v, int)})
            # Usage has a prompt once, however many choices; the engine's counter has it for each.
            usage["prompt_tokens"] += (body.get("n", 1) - 1) * answer["usage"]["prompt_tokens"]
        done.set()
        watcher.join()
        return gauges, usage

    def test_every_metric(self):
        with Server("--max-num-seqs", "4", "--kv-cache-memory-bytes", "320K", "--block-size", "16", "--max-model-len", "512",
                    "--max-queued-requests", "8", "--max-queued-tokens", "400") as server:
            gauges, usage = self.make_everything_move(server)
            for name in BUSY_ONLY:
                self.assertGreater(gauges[name], 0, name)

            # I8: what clients were told is what was counted.
            page = scrape(server)
            self.assertEqual(page.value("vllm:prompt_tokens_total"), usage["prompt_tokens"])
            self.assertEqual(page.value("vllm:generation_tokens_total"), usage["completion_tokens"])
            self.assertEqual(page.value("vllm:request_generation_tokens_sum"), usage["completion_tokens"])
            self.assertGreater(page.value("vllm:prefix_cache_hits_total"), 0)
            self.assertGreater(page.value("vllm:num_preemptions_total"), 0)

            # Ends that no usage tells of.
            self.assertEqual(complete(server, max_tokens=400, timeout=0.001)["status"], 504)
            wait_for(lambda: self.leave(server))  # the tiny model may be done before the server knows
            stop = complete(server, temperature=2.0, max_tokens=200, seed=3, stop_token_ids=list(range(0, 40)), nobody_knows=1)
            self.assertEqual(stop["choices"][0]["finish_reason"], "stop", stop)

            page = scrape(server)
            self.check_all_non_zero(page)
            self.assertEqual(page.value("vllm:num_requests_running"), 0)
            self.assertEqual(page.value("vllm:num_requests_waiting"), 0)
            self.assertEqual(page.value("http_requests_total", handler="/v1/completions", status="5xx"), 1)
            self.assertEqual(page.value("pegainfer:request_unknown_fields_total"), 1)

    def leave(self, server: Server) -> bool:
        """A client that leaves after some bytes of its stream; true once one was noticed before the end."""
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=support.RUN_SECONDS)
        body = {"prompt": "Hello", "max_tokens": 500, "ignore_eos": True, "stream": True}
        connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        connection.getresponse().read(10)
        connection.close()
        wait_for(lambda: scrape(server).value("vllm:num_requests_running") == 0)
        return scrape(server).value("vllm:request_success_total", finished_reason="abort") > 0

    def check_all_non_zero(self, page: Page) -> None:
        for name, family in page.families.items():
            self.assertTrue(family.documentation, name)
            for sample in family.samples:
                if sample.name.endswith("_bucket") or sample.name in BUSY_ONLY:
                    continue
                # No request of this test makes the model fail.
                if sample.labels.get("finished_reason") == "error":
                    continue
                self.assertGreater(sample.value, 0, sample)
                if name.startswith("vllm:"):
                    self.assertEqual(sample.labels.get("engine"), "0", sample)
        self.assertGreater(len(page.families), 30)
        self.assertEqual(page.value("vllm:cache_config_info", block_size="16", num_gpu_blocks="40"), 1)

    def test_labels_follow_the_served_name_and_metrics_are_there_while_loading(self):
        with Server("--served-model-name", 'my "model"') as server:
            page = scrape(server)
            self.assertEqual(page.value("vllm:num_requests_running", model_name='my "model"', engine="0"), 0)
            self.assertGreater(page.value("process_resident_memory_bytes"), 1 << 20)
            self.assertEqual(server.post("/start_profile", {})[0], 404)


class StatsLine(unittest.TestCase):
    LINE = re.compile(r"Engine 000: Avg prompt throughput: [\d.]+ tokens/s, Avg generation throughput: ([\d.]+) tokens/s, "
                      r"Running: (\d+) reqs, Waiting: (\d+) reqs, (?:GPU )?KV cache usage: [\d.]+%, Prefix cache hit rate: [\d.]+%")

    def test_one_while_busy_one_more_then_silence(self):
        with Server() as server, Server("--disable-log-stats") as silent:
            complete(server, max_tokens=50)
            complete(silent, max_tokens=50)
            wait_for(lambda: len(self.LINE.findall(server.stderr())) == 2, 40)
            time.sleep(11)
            lines = self.LINE.findall(server.stderr())
            self.assertEqual(len(lines), 2, lines)
            self.assertGreater(float(lines[0][0]), 0)
            self.assertEqual(lines[1], ("0.0", "0", "0"))
            self.assertNotIn("throughput", silent.stderr())


class Traces(unittest.TestCase):
    def read(self, path: str | pathlib.Path) -> dict:
        trace = json.loads(pathlib.Path(path).read_text())
        tracks = collections.defaultdict(list)
        for event in trace["traceEvents"]:
            if event["ph"] == "X":
                tracks[event["pid"], event["tid"]].append(event)
        for track in tracks.values():
            self.check_nesting(track)
        return trace

    def check_nesting(self, track: list[dict]) -> None:
        open_until: list[float] = []
        for event in sorted(track, key=lambda e: (e["ts"], -e["dur"])):
            while open_until and open_until[-1] <= event["ts"] + 0.0015:
                open_until.pop()
            end = event["ts"] + event["dur"]
            if open_until:
                self.assertLessEqual(end, open_until[-1] + 0.0015, event)
            open_until.append(end)

    def names(self, trace: dict, pid: int) -> collections.Counter:
        return collections.Counter(e["name"] for e in trace["traceEvents"] if e["pid"] == pid and e["ph"] in "XiC")

    def test_from_the_start_and_on_demand(self):
        with tempfile.TemporaryDirectory() as folder:
            traces = os.path.join(folder, "traces")
            with Server("--trace-dir", traces) as server:
                for i in range(3):
                    self.assertEqual(complete(server, max_tokens=8, prompt=f"{i} " * 300)["status"], 200)
                status, text = server.post("/stop_profile", {})
                self.assertEqual(status, 200, text)
                whole = self.read(json.loads(text)["path"])
                self.assertEqual(server.post("/stop_profile", {})[0], 400)

                complete(server)  # in no trace
                self.assertEqual(server.post("/start_profile", {})[0], 200)
                self.assertEqual(server.post("/start_profile", {})[0], 400)
                complete(server, max_tokens=5)
                server.signal(signal.SIGTERM)
                self.assertEqual(server.wait(), 0)
                self.assertIn("trace written:", server.stderr())
            files = sorted(pathlib.Path(traces).iterdir())
            self.assertEqual(len(files), 2, files)
            last = next(trace for trace in map(self.read, files) if trace != whole)

        steps = self.names(whole, 1)
        self.assertGreaterEqual(steps["step"], 3 * 8)
        for part in ("plan", "launch", "wait", "deliver"):
            self.assertEqual(steps[part], steps["step"])
        requests = self.names(whole, 2)
        self.assertEqual(requests["finish"], 3)
        self.assertEqual(requests["queued"], 3)
        self.assertEqual(requests["decode"], 3)
        self.assertGreaterEqual(requests["prefill"], 3)
        names = {e["args"]["name"] for e in whole["traceEvents"] if e["name"] == "thread_name" and e["pid"] == 2}
        self.assertEqual(len(names), 3)
        self.assertTrue(all(name.startswith("req-") or name.startswith("cmpl-") for name in names), names)
        self.assertEqual(self.names(last, 2)["finish"], 1)

    def test_a_folder_that_cannot_be_one(self):
        with tempfile.NamedTemporaryFile() as file:
            done = run("serve", MODEL, "--port", "0", "--trace-dir", file.name)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"--trace-dir {file.name}", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
