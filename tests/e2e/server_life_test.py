#!/usr/bin/env python3
"""Starting and ending a server: ports, models that do not load, signals, and the answer after it."""

from __future__ import annotations

import http.client
import json
import pathlib
import shutil
import signal
import socket
import tempfile
import threading
import time
import unittest

import support
from bad_input.client import Client
from bad_input.rows import get, post
from support import MODEL, Server, run, wait_for


def stream(server: Server, max_tokens: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=support.RUN_SECONDS)
    body = {"prompt": "Hello", "max_tokens": max_tokens, "ignore_eos": True, "stream": True}
    connection.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
    return connection, connection.getresponse()


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


class Life(unittest.TestCase):
    def test_port_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            done = run("serve", MODEL, "--port", str(port))
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"port {port} on 127.0.0.1 is taken", done.stderr)

    def test_port_is_free_again_at_once(self):
        with Server() as first:
            port = first.port
            first.get("/v1/models")
            first.signal()
            self.assertEqual(first.wait(), 0)
        with Server("--port", str(port)) as second:
            self.assertEqual(second.port, port)

    def test_models_that_do_not_load(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder, "model")
            shutil.copytree(MODEL, copy)
            weights = next(copy.glob("*.safetensors"))
            weights.write_bytes(weights.read_bytes()[:-100])
            for path in (str(copy), folder, folder + "/missing", "org/not-in-the-cache"):
                done = run("serve", path, "--port", "0")
                self.assertEqual(done.returncode, 2, (path, done.stderr))
                self.assertIn("pegainfer: ", done.stderr)

    def test_idle_server_ends_at_once(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Server() as server:
                start = time.monotonic()
                server.signal(number)
                self.assertEqual(server.wait(), 0)
                self.assertLess(time.monotonic() - start, 5)

    def test_streams_finish_after_sigterm(self):
        with Server("--max-model-len", "2048") as server:
            connection, answer = stream(server, 400)
            self.assertEqual(answer.read(6), b"data: ")
            server.signal()
            self.assertTrue(answer.read().endswith(b"data: [DONE]\n\n"))
            connection.close()
            self.assertEqual(server.wait(), 0)

    def test_what_comes_while_it_ends_is_refused(self):
        """A request whose first bytes were there before the signal is read, and told; new connections find nobody."""
        question = post("/v1/completions", {"prompt": "Hello", "max_tokens": 1})
        probe = get("/health")
        with Server("--max-model-len", "16384") as server, Client(server.port) as head, Client(server.port) as body, Client(server.port) as health:
            connection, answer = stream(server, 15000)
            self.assertEqual(answer.read(6), b"data: ")
            for client, data in ((head, question[:20]), (body, question[:-5]), (health, probe[:10])):
                client.send(data)
            time.sleep(0.2)  # they are read
            server.signal()
            wait_for(lambda: not listens(server.port))
            time.sleep(0.2)  # the engine is told behind the server's back
            for client, rest in ((head, question[20:]), (body, question[-5:]), (health, probe[10:])):
                refused = client.ask(rest)
                self.assertEqual((refused.status, refused.headers["retry-after"], refused.headers["connection"]), (503, "1", "close"))
                error = json.loads(refused.body)["error"]
                self.assertEqual((error["type"], error["code"]), ("unavailable_error", "server_shutting_down"))
                self.assertTrue(client.closed_within(5))
            server.signal()  # nobody waits for the stream
            connection.close()
            self.assertEqual(server.wait(30), 0)

    def test_second_signal_ends_streams(self):
        with Server() as server:
            connection, answer = stream(server, 90000)
            answer.read(6)
            server.signal()
            time.sleep(0.3)
            with self.assertRaises(OSError):
                socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
            server.signal()
            self.assertEqual(server.wait(30), 0)
            connection.close()

    def test_shutdown_timeout_ends_streams(self):
        with Server("--shutdown-timeout", "0.5") as server:
            connection, answer = stream(server, 90000)
            answer.read(6)
            server.signal()
            tail = answer.read()
            self.assertIn(b"server_shutting_down", tail)
            self.assertTrue(tail.endswith(b"data: [DONE]\n\n"))
            connection.close()
            self.assertEqual(server.wait(30), 0)

    def test_second_request_waits_for_the_first(self):
        with Server("--max-num-seqs", "1", "--max-model-len", "1024") as server:
            answers: list[int] = []
            body = {"prompt": "Hello", "max_tokens": 64, "ignore_eos": True}
            threads = [threading.Thread(target=lambda: answers.append(server.post("/v1/completions", body)[0]))
                       for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(answers, [200] * 6)

    def test_health_answers_under_load(self):
        with Server("--max-model-len", "2048") as server:
            streams = [stream(server, 300) for _ in range(8)]
            start = time.monotonic()
            self.assertEqual(server.get("/livez")[0], 200)
            self.assertEqual(server.get("/health")[0], 200)
            self.assertLess(time.monotonic() - start, 5)
            for connection, answer in streams:
                self.assertTrue(answer.read().endswith(b"data: [DONE]\n\n"))
                connection.close()


if __name__ == "__main__":
    unittest.main()
