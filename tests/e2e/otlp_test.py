#!/usr/bin/env python3
"""Traces over OTLP/HTTP: what a receiver gets of real requests, and that a receiver that is gone disturbs nobody."""

from __future__ import annotations

import http.server
import json
import os
import pathlib
import re
import signal
import threading
import time
import unittest
import urllib.request

from support import MODEL, Server, run, wait_for

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Receiver:
    """Keeps what was posted to it; `status` is its answer, `hold` makes it say nothing."""

    def __init__(self):
        self.posts: list[tuple[str, dict, dict]] = []  # path, headers, body
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.posts.append((self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(body)))
                receiver.hold.wait(60)
                try:
                    self.send_response(receiver.status)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def spans(self, name: str = "llm_request") -> list[dict]:
        return [span for _, _, body in list(self.posts) for resource in body["resourceSpans"] for scope in resource["scopeSpans"]
                for span in scope["spans"] if span["name"] == name]

    def close(self) -> None:
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


def attributes(owner: dict) -> dict:
    """Of a span or a resource, as Python values."""
    kinds = {"stringValue": str, "intValue": int, "doubleValue": float, "arrayValue": lambda a: [v["stringValue"] for v in a["values"]]}
    out = {}
    for item in owner["attributes"]:
        (kind, value), = item["value"].items()
        out[item["key"]] = kinds[kind](value)
    return out


def complete(server: Server, headers: dict | None = None, **body: object) -> tuple[int, dict]:
    data = json.dumps({"prompt": "Hello", "max_tokens": 6, "ignore_eos": True, **body}).encode()
    request = urllib.request.Request(server.url + "/v1/completions", data, {"Content-Type": "application/json", **(headers or {})})
    status, text = server._open(request)
    return status, json.loads(text)


class Environment:
    """Variables of the processes started meanwhile."""

    def __init__(self, **variables: str):
        self.variables = {"OTEL_BSP_SCHEDULE_DELAY": "50", **variables}

    def __enter__(self):
        self.before = {name: os.environ.get(name) for name in self.variables}
        os.environ.update(self.variables)

    def __exit__(self, *_: object):
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def metric(server: Server, outcome: str) -> float:
    found = re.search(rf'^pegainfer:otlp_requests_total{{outcome="{outcome}"}} (\S+)$', server.get("/metrics")[1], re.M)
    return float(found[1])


class Otlp(unittest.TestCase):
    def setUp(self):
        self.receiver = Receiver()

    def tearDown(self):
        self.receiver.close()

    def check_times(self, span: dict, before: float, after: float) -> None:
        begin, end = int(span["startTimeUnixNano"]) / 1e9, int(span["endTimeUnixNano"]) / 1e9
        self.assertLessEqual(before - 0.01, begin)
        self.assertLessEqual(begin, end)
        self.assertLessEqual(end, after + 0.01)
        a = attributes(span)
        self.assertAlmostEqual(a["gen_ai.latency.e2e"], end - begin, places=5)
        self.assertLessEqual(a["gen_ai.latency.time_to_first_token"], a["gen_ai.latency.e2e"])
        parts = [a["gen_ai.latency." + name] for name in ("time_in_queue", "time_in_model_prefill", "time_in_model_decode")]
        self.assertTrue(all(part >= 0 for part in parts), parts)
        self.assertLessEqual(sum(parts), a["gen_ai.latency.e2e"] + 1e-6)
        self.assertAlmostEqual(a["gen_ai.latency.time_in_model_inference"], parts[1] + parts[2], places=5)
        self.assertLess(a["gen_ai.latency.time_in_scheduler"], a["gen_ai.latency.e2e"])

    def test_spans_of_requests(self):
        with Environment(OTEL_SERVICE_NAME="chat-prod", OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20secret"):
            server = Server("--otlp-traces-endpoint", self.receiver.url, "--served-model-name", "tiny")
        with server:
            before = time.time()
            status, answer = complete(server, {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "asked-1"}, temperature=0.5,
                                      top_p=0.75, top_k=9, seed=1)
            self.assertEqual(status, 200, answer)
            self.assertEqual(complete(server, {"traceparent": f"00-{TRACE}-{PARENT}-00"})[0], 200)  # not sampled
            self.assertEqual(complete(server, n=2, seed=3)[0], 200)
            self.assertEqual(complete(server, max_tokens=100_000, timeout=0.001)[0], 504)
            after = time.time()
            wait_for(lambda: metric(server, "exported") == 4)
            spans = self.receiver.spans()
            self.assertEqual(len(spans), 4)

            ours = next(s for s in spans if s["traceId"] == TRACE)
            self.assertEqual((ours["parentSpanId"], ours["kind"], ours["status"]), (PARENT, 2, {}))
            self.assertRegex(ours["spanId"], "^[0-9a-f]{16}$")
            self.assertEqual(ours["flags"] & 0x301, 0x301)  # sampled, its parent is elsewhere
            self.check_times(ours, before, after)
            a = attributes(ours)
            self.assertEqual(a["gen_ai.request.id"], "asked-1")
            self.assertEqual(a["gen_ai.response.model"], "tiny")
            self.assertEqual((a["gen_ai.request.n"], a["gen_ai.request.max_tokens"], a["gen_ai.request.top_k"]), (1, 6, 9))
            self.assertEqual((a["gen_ai.request.temperature"], a["gen_ai.request.top_p"]), (0.5, 0.75))
            self.assertEqual(a["gen_ai.usage.prompt_tokens"], answer["usage"]["prompt_tokens"])
            self.assertEqual(a["gen_ai.usage.completion_tokens"], 6)
            self.assertEqual(a["gen_ai.response.finish_reasons"], ["length"])
            for name in ("queue", "prefill", "decode"):
                child = next(s for s in self.receiver.spans(name) if s["parentSpanId"] == ours["spanId"])
                self.assertEqual(child["traceId"], TRACE)
                self.assertLessEqual(int(ours["startTimeUnixNano"]), int(child["startTimeUnixNano"]))
                self.assertLessEqual(int(child["endTimeUnixNano"]), int(ours["endTimeUnixNano"]))

            pair = [s for s in spans if attributes(s)["gen_ai.request.n"] == 2]
            self.assertEqual(len(pair), 2)
            for span in pair:
                self.assertEqual(span["parentSpanId"], "")
                self.assertRegex(span["traceId"], "^[0-9a-f]{32}$")
                self.check_times(span, before, after)
            late = next(s for s in spans if attributes(s)["gen_ai.response.finish_reasons"] == ["timeout"])
            self.assertEqual(late["status"]["code"], 2)

            path, headers, body = self.receiver.posts[0]
            self.assertEqual(path, "/v1/traces")
            self.assertEqual(headers["content-type"], "application/json")
            self.assertEqual(headers["authorization"], "Bearer secret")
            resource = attributes(body["resourceSpans"][0]["resource"])
            self.assertEqual(resource["service.name"], "chat-prod")
            self.assertTrue(resource["service.version"])
            ids = [s["spanId"] for name in ("llm_request", "queue", "prefill", "decode") for s in self.receiver.spans(name)]
            self.assertEqual(len(set(ids)), len(ids))
            everything = json.dumps([post[2] for post in self.receiver.posts])
            self.assertNotIn("Hello", everything)
            self.assertNotIn(answer["choices"][0]["text"][:6], everything)
            self.assertNotIn("secret", server.stderr())

    def test_the_environment_is_enough_and_the_end_flushes(self):
        with Environment(OTEL_EXPORTER_OTLP_ENDPOINT=self.receiver.url, OTEL_BSP_SCHEDULE_DELAY="600000"):
            server = Server()
        with server:
            for _ in range(3):
                self.assertEqual(complete(server)[0], 200)
            self.assertEqual(self.receiver.posts, [])
        self.assertEqual(len(self.receiver.spans()), 3 + 2)  # the canaries at the end, too

    def test_a_receiver_that_refuses_or_is_gone_disturbs_nobody(self):
        self.receiver.status = 400
        with Environment(OTEL_BSP_MAX_QUEUE_SIZE="4"), Server("--otlp-traces-endpoint", self.receiver.url) as server:
            self.assertEqual(complete(server)[0], 200)
            wait_for(lambda: metric(server, "failed") == 1)
            self.assertIn("traces cannot be exported: status 400", server.stderr())
            self.receiver.server.shutdown()
            self.receiver.server.server_close()  # connections are refused from now on
            for _ in range(12):
                self.assertEqual(complete(server)[0], 200)
            wait_for(lambda: metric(server, "dropped") > 0)
            self.assertEqual(server.get("/readyz")[0], 200)
            begin = time.monotonic()
        self.assertLess(time.monotonic() - begin, 20)

    def test_a_receiver_that_hangs_delays_the_end_by_seconds_at_most(self):
        self.receiver.hold.clear()
        with Environment(), Server("--otlp-traces-endpoint", self.receiver.url) as server:
            self.assertEqual(complete(server)[0], 200)
            wait_for(lambda: self.receiver.posts)
            self.assertEqual(complete(server)[0], 200)
            begin = time.monotonic()
            server.signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0)
            self.assertLess(time.monotonic() - begin, 5 + 3)

    def test_an_endpoint_that_cannot_be_one(self):
        done = run("serve", MODEL, "--port", "0", "--otlp-traces-endpoint", "localhost:4317")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--otlp-traces-endpoint: localhost:4317 must begin with http:// or https://", done.stderr)

    def test_without_it_there_is_nothing_of_it(self):
        with Server() as server:
            maps = pathlib.Path(f"/proc/{server.process.pid}/maps")
            self.assertNotIn("libcurl", maps.read_text(encoding="utf-8"))
            self.assertNotIn("otlp", server.get("/metrics")[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
