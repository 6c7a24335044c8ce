#!/usr/bin/env python3
"""The dashboard and the alert rules of packaging/ against a real Prometheus that scrapes a running server: every expression of
theirs is evaluated, panels must have data, and a name that no metric has is found. Without prometheus (tools/fetch_prometheus.sh)
it is skipped, aloud."""

from __future__ import annotations

import concurrent.futures
import json
import math
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

from support import Server, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging" / "prometheus"
DASHBOARD = ROOT / "packaging" / "grafana" / "pegainfer.json"
FETCHED = ROOT / ".prometheus" / "usr" / "bin"
MODEL_NAME = "tiny"
# What a page of Grafana puts in place of its variables.
VARIABLES = {"$__rate_interval": "30s", "$model_name": MODEL_NAME, "$instance": ".*"}


def find(program: str) -> str | None:
    fetched = FETCHED / program
    return str(fetched) if os.access(fetched, os.X_OK) else shutil.which(program)


PROMETHEUS, PROMTOOL = find("prometheus"), find("promtool")
MISSING = "prometheus is not here (tools/fetch_prometheus.sh .prometheus): dashboard and alert rules are NOT TESTED"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Prometheus:
    """The shipped configuration, pointed at one server and in a hurry."""

    def __init__(self, server: Server):
        self.folder = tempfile.TemporaryDirectory(prefix="pegainfer-prometheus-")
        folder = pathlib.Path(self.folder.name)
        config = (RULES / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}").replace("15s", "1s")
        (folder / "prometheus.yml").write_text(config)
        shutil.copy(RULES / "pegainfer.rules.yml", folder)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = open(folder / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [PROMETHEUS, "--config.file", str(folder / "prometheus.yml"), "--storage.tsdb.path", str(folder / "data"),
             "--web.listen-address", self.url.removeprefix("http://"), "--web.console.libraries", str(folder),
             "--web.console.templates", str(folder), "--log.level", "warn"], stdout=self.log, stderr=subprocess.STDOUT)
        try:
            wait_for(self.ready, 30)
        except BaseException:
            self.close()
            raise

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise RuntimeError(f"prometheus ended with {self.process.returncode}: {pathlib.Path(self.log.name).read_text()}")
        try:
            with urllib.request.urlopen(self.url + "/-/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def get(self, path: str, **query: str) -> dict:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return json.loads(error.read())

    def values(self, expression: str) -> list[float]:
        """The numbers of an instant query; an error of its own when Prometheus refuses it."""
        answer = self.get("query", query=expression)
        if answer["status"] != "success":
            raise AssertionError(f"{expression}: {answer}")
        return [float(series["value"][1]) for series in answer["data"]["result"]]

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()


def completion(server: Server, **body: object) -> int:
    return server.post("/v1/completions", {"max_tokens": 60, "ignore_eos": True, **body})[0]


def load(server: Server, prometheus: Prometheus) -> None:
    """Seconds of all that can happen: several scrapes see it, of each metric at least two."""
    seen: set[int] = set()
    bodies = [{"prompt": f"{i} " * (3 + i)} for i in range(24)] + [{"prompt": "again and again " * 3}] * 8
    bodies += [{"prompt": "x", "n": 2, "seed": 1}, {"prompt": "x", "n": -1}]
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        while time.monotonic() < begun + 60:
            seen.update(pool.map(lambda body: completion(server, **body), bodies))
            # Alone, since in the crowd it may always find the queue full.
            seen.add(completion(server, prompt="x", max_tokens=400, timeout=0.001))
            rates = prometheus.values("rate(vllm:request_success_total[30s]) > 0")
            scrapes = prometheus.values(f'count_over_time(vllm:num_preemptions_total{{model_name="{MODEL_NAME}"}}[1m])')
            if {200, 400, 429, 504} <= seen and rates and scrapes and scrapes[0] >= 5:
                return
    raise AssertionError(f"statuses {seen}, {scrapes} scrapes")


def names_of(expression: str) -> set[str]:
    """The names of metrics in an expression, rules' own among them."""
    expression = re.sub(r'"[^"]*"', "", expression)
    names = set(re.findall(r"\b[a-z_]+:[a-z0-9_:]+\b|\b(?:process|http)_[a-z_]+\b|\bup\b", expression))
    return names


@unittest.skipUnless(PROMETHEUS and PROMTOOL, MISSING)
class Rules(unittest.TestCase):
    def promtool(self, *args: str) -> None:
        done = subprocess.run([PROMTOOL, *args], cwd=RULES, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_they_are_well_formed(self):
        self.promtool("check", "config", "prometheus.yml")

    def test_alerts_fire_when_they_should_and_only_then(self):
        self.promtool("test", "rules", "pegainfer.rules_test.yml")


class Dashboard(unittest.TestCase):
    def test_it_is_what_its_tool_writes(self):
        done = subprocess.run([sys.executable, str(ROOT / "tools" / "make_dashboard.py"), "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_panels_are_laid_out(self):
        places = set()
        panels = json.loads(DASHBOARD.read_text())["panels"]
        self.assertEqual(len({p["id"] for p in panels}), len(panels))
        for panel in panels:
            place = panel["gridPos"]
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            self.assertFalse(cells & places, f"{panel['title']} lies over another panel")
            places |= cells


@unittest.skipUnless(PROMETHEUS and PROMTOOL, MISSING)
class Scraped(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--served-model-name", MODEL_NAME, "--max-num-seqs", "4", "--kv-cache-memory-bytes", "320K", "--block-size", "16",
                            "--max-model-len", "512", "--max-queued-requests", "4", "--max-queued-tokens", "400")
        try:
            cls.prometheus = Prometheus(cls.server)
        except BaseException:
            cls.server.kill()
            raise
        try:
            load(cls.server, cls.prometheus)
        except BaseException:
            cls.tearDownClass()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.prometheus.close()
        cls.server.stop()

    def rules(self) -> list[dict]:
        answer = self.prometheus.get("rules")
        return [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    def test_every_panel_has_data(self):
        num_expressions = 0
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            for target in panel.get("targets", ()):
                expression = target["expr"]
                for name, value in VARIABLES.items():
                    expression = expression.replace(name, value)
                self.assertNotIn("$", expression)
                values = self.prometheus.values(expression)
                self.assertTrue(values, f"{panel['title']}: no data: {expression}")
                self.assertTrue(any(math.isfinite(value) for value in values), f"{panel['title']}: {values} of {expression}")
                num_expressions += 1
        self.assertGreaterEqual(num_expressions, 40)

    def test_panels_of_what_happened_are_not_zero(self):
        titles = {"Up", "Generation", "Requests", "Prefix cache hit rate", "Token throughput", "Time to first token", "HTTP answers", "Memory"}
        panels = {p["title"]: p for p in json.loads(DASHBOARD.read_text())["panels"]}
        for title in titles:
            expression = panels[title]["targets"][0]["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            self.assertGreater(max(self.prometheus.values(expression)), 0, title)

    def test_every_rule_is_evaluated_and_every_name_is_one(self):
        wait_for(lambda: all(rule["lastEvaluation"] > "1000" and rule["health"] != "unknown" for rule in self.rules()), 20)
        rules = self.rules()
        names: set[str] = set()
        for rule in rules:
            self.assertEqual(rule["health"], "ok", rule)
            self.prometheus.values(rule["query"])
            names |= names_of(rule["query"])
        self.assertGreaterEqual(len([r for r in rules if r["type"] == "alerting"]), 12)
        names |= {rule["name"] for rule in rules if rule["type"] == "recording"}
        self.assertGreaterEqual(len(names), 20)
        for name in sorted(names):
            self.assertTrue(self.prometheus.values(f'count(present_over_time({{__name__="{name}"}}[1m]))'), f"no metric is named {name}")

    def test_it_is_up_and_nothing_fires_but_what_should(self):
        self.assertEqual(self.prometheus.values('up{job="pegainfer"}'), [1])
        targets = self.prometheus.get("targets")["data"]["activeTargets"]
        self.assertEqual([t["lastError"] for t in targets], [""])
        firing = {a["labels"]["alertname"] for a in self.prometheus.get("alerts")["data"]["alerts"] if a["state"] == "firing"}
        self.assertFalse(firing, "all of them wait for minutes, or for an engine that fails")


if __name__ == "__main__":
    unittest.main(verbosity=2)
