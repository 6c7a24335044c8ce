#!/usr/bin/env python3
"""What a server writes to its log: the block at the start, a line a request, JSON lines; request ids; and what is never there."""

from __future__ import annotations

import json
import os
import pathlib
import socket
import tempfile
import time
import unittest
import urllib.request

import support
from support import MODEL, Server

MARK = "zebra-marker-7741"
ACCESS = r'127\.0\.0\.1:\d+ - "POST /v1/completions HTTP/1\.1" 200 OK \d+B \d+\.\dms '


def exchange(server: Server, raw: bytes) -> bytes:
    """Bytes to the server and all it answers, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as s:
        s.sendall(raw)
        answer = b""
        while part := s.recv(65536):
            answer += part
        return answer


def request(path: str, *headers: str) -> bytes:
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers, "", "")).encode("latin-1")


def header(answer: bytes, name: str) -> str:
    lines = answer.split(b"\r\n\r\n", 1)[0].decode("latin-1").lower().split("\r\n")
    return next(line.split(": ", 1)[1] for line in lines if line.startswith(name + ": "))


class Text(support.ServerCase):
    flags = ("--disable-log-stats", "--disable-access-log-for-endpoints", "/health,/readyz,/metrics")

    def test_start_up_block(self):
        text = self.server.stderr()
        self.assertRegex(text, rf"serving at {self.server.url} after \d")
        for line in (r"model +\S+ \(LlamaForCausalLM\), in \w+", r"device +\S", r"KV cache +\d+ tokens .*: \d+\.\d requests of full length, \d+ tokens",
                     r"limits +.* 4096 may wait", r"sampling +temperature \d.*, repetition_penalty 1 ", r"access +"):
            self.assertRegex(text, "info +" + line)

    def test_access_log(self):
        body = {"prompt": MARK + " in the prompt", "max_tokens": 4, "user": MARK}
        ids = ["client-id.1", None]
        for name in ids:
            headers = {"Content-Type": "application/json", "Authorization": "Bearer " + MARK, **({"X-Request-Id": name} if name else {})}
            with urllib.request.urlopen(urllib.request.Request(self.server.url + "/v1/completions", json.dumps(body).encode(), headers), timeout=60) as r:
                got = r.headers["x-request-id"]
            if name:
                self.assertEqual(got, name)
            self.assertRegex(self.server.stderr(), ACCESS + got)
        body["stream"] = True
        request_ = urllib.request.Request(self.server.url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json", "X-Request-Id": "streamed"})
        with urllib.request.urlopen(request_, timeout=60) as r:
            self.assertEqual(r.headers["x-request-id"], "streamed")
            size = len(r.read())
        self.assertRegex(self.server.stderr(), rf'" 200 OK {size}B \d+\.\dms streamed')
        self.assertEqual(self.server.post("/v1/completions", {"prompt": MARK, "temperature": MARK})[0], 400)
        self.server.get("/health")
        self.server.get("/version?key=" + MARK)
        text = self.server.stderr()
        self.assertIn('"GET /version HTTP/1.1" 200', text)
        self.assertNotIn("/health", text)
        self.assertNotIn("/readyz", text)
        self.assertNotIn(MARK, text)

    def test_request_ids_are_on_every_answer_and_safe(self):
        for path in ("/version", "/nowhere", "/v1/completions", "/health"):
            self.assertEqual(header(exchange(self.server, request(path, "X-Request-Id: a.b_c-1")), "x-request-id"), "a.b_c-1")
        for bad in ("a b", "x" * 129, 'a"b', "a;b", "\xe4", "<script>", "a\x1b[2J"):
            answer = exchange(self.server, request("/version", "X-Request-Id: " + bad))
            self.assertRegex(header(answer, "x-request-id"), r"^req-[0-9a-f]+-[0-9a-f]+$")
        self.assertRegex(header(exchange(self.server, b"no http\r\n\r\n"), "x-request-id"), r"^req-")

    def test_nothing_forges_a_line(self):
        before = len(self.server.stderr().splitlines())
        sent = 0
        for path in ("/a%0D%0AINFO%20forged", "/a\x1b[2J\x1b]0;t\x07", "/a\x00b", "/a\nb", "/a\rb", "/\xc2\x9b2J", '/a" 200 OK', "/" + "x" * 5000):
            answer = exchange(self.server, request(path))
            self.assertTrue(answer.startswith(b"HTTP/1.1 4"), answer[:80])
            sent += 1
        exchange(self.server, request("/version", "X-Evil: a\x1b[31m", "User-Agent: \x00\x07"))
        text = pathlib.Path(self.server.log.name).read_bytes()
        lines = text.decode().splitlines()
        for line in lines[before:]:
            self.assertRegex(line, r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \w+ +127\.0\.0\.1:\d+ - "\w+ [^"]* HTTP/1\.\d" \d{3} [\w -]+ \d+B \d+\.\dms \S+$')
            self.assertLess(len(line), 600)
        self.assertEqual(len(lines) - before, sent + 1)
        self.assertFalse(set(text) & ({*range(0x20), 0x7F} - {0x0A}))


class Json(unittest.TestCase):
    def test_every_line_is_an_object(self):
        with Server("--log-format", "json", "--mlock") as server:  # another server's flag, which is a warning
            status, _ = server.post("/v1/completions", {"prompt": "Hi " + MARK, "max_tokens": 2})
            self.assertEqual(status, 200)
            exchange(server, request("/%0D%0A", "X-Request-Id: mine"))
            server.signal()
            server.wait()
            text = server.stderr()
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warn", "error"))
        self.assertIn("--mlock is ignored", lines[0]["msg"])
        start = next(line for line in lines if line["msg"].startswith("serving at"))
        self.assertEqual(start["url"], server.url)
        self.assertGreater(start["kv_tokens"], 0)
        done = next(line for line in lines if line.get("path") == "/v1/completions")
        self.assertEqual((done["method"], done["status"]), ("POST", 200))
        self.assertGreater(done["bytes"], 10)
        self.assertGreater(done["duration_ms"], 0)
        self.assertRegex(done["request_id"], "^req-")
        self.assertEqual([line["status"] for line in lines if line.get("request_id") == "mine"], [404])
        self.assertNotIn(MARK, text)

    def test_without_an_access_log(self):
        with Server("--disable-access-log") as server:
            server.get("/version")
            self.assertNotIn("/version", server.stderr())


class ServiceManager(unittest.TestCase):
    """A socket in systemd's place."""

    def test_ready_signs_of_life_and_the_end(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = str(pathlib.Path(folder, "notify"))
            manager.bind(path)
            manager.settimeout(30)
            os.environ.update(NOTIFY_SOCKET=path, WATCHDOG_USEC="200000")
            try:
                server = Server()
            finally:
                for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC"):
                    del os.environ[name]
            with server:
                self.assertRegex(manager.recv(256).decode(), rf"^READY=1\nSTATUS=serving \S+ at {server.url}$")
                # Those that came while this process did not run say nothing of how far apart they were sent.
                manager.setblocking(False)
                waiting = True
                while waiting:
                    begin = time.monotonic()
                    try:
                        self.assertEqual(manager.recv(256), b"WATCHDOG=1")
                    except BlockingIOError:
                        waiting = False
                manager.settimeout(30)
                for _ in range(4):
                    self.assertEqual(manager.recv(256), b"WATCHDOG=1")
                self.assertGreater(time.monotonic() - begin, 0.2)
                server.signal()
                messages = [manager.recv(256)]
                while messages[-1] != b"STOPPING=1":
                    messages.append(manager.recv(256))
                self.assertEqual(server.wait(), 0)


if __name__ == "__main__":
    unittest.main()
