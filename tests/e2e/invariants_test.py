#!/usr/bin/env python3
"""The invariants notice what they are for: a server that is not at rest, or not as it was, in each way that can be had from outside."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import unittest

import invariants
from support import Server, ServerCase

LONG = {"prompt": "Hello", "max_tokens": 20000, "ignore_eos": True, "stream": True}


class Noticed(ServerCase):
    flags = ("--max-num-seqs", "1", "--max-model-len", "65536")

    def broken(self, what: str, seconds: float = 2.0) -> None:
        with self.assertRaisesRegex(invariants.Broken, what):
            invariants.at_rest(self.server, seconds)

    def stream(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        connection.request("POST", "/v1/completions", json.dumps(LONG), {"Content-Type": "application/json"})
        return connection

    def test_running_and_waiting_requests(self):
        running = self.stream()
        answer = running.getresponse()
        answer.read(6)
        self.broken("num_requests_running is 1.*kv_cache_usage_perc is ", 0.2)
        waiting = self.stream()
        self.broken("num_requests_waiting is 1", 0.2)
        waiting.close()
        answer.close()
        running.close()

    def test_another_text(self):
        golden, self.server.golden = self.server.golden, "something else"
        self.broken("not 'something else'")
        self.server.golden = golden

    def test_sockets_without_a_client_files_and_threads(self):
        before = self.server.baseline
        for change, what in (({"sockets": before.sockets - 1}, "sockets for 0 connections"), ({"files": before.files[1:]}, "open files were"),
                             ({"threads": before.threads - 1}, "threads")):
            was = dict(vars(before))
            vars(before).update(change)
            self.broken(what)
            vars(before).update(was)
        with socket.create_connection(("127.0.0.1", self.server.port)):  # a client's own connection is not a leak
            invariants.at_rest(self.server, 10)

    def test_lines_in_the_log(self):
        for line, what in ((f"2026-01-01 00:00:00.000 error it failed", "error it failed"), ("x.cpp:1:2: runtime error: shift", "runtime error"),
                           (f"2026-01-01 00:00:00.000 info  asked {invariants.NONCE}", "a prompt is in the log")):
            size = len(self.server.stderr())
            with open(self.server.log.name, "a", encoding="utf-8") as log:
                log.write(line + "\n")
            try:
                self.broken(what)
            finally:
                with open(self.server.log.name, "r+", encoding="utf-8") as log:
                    log.truncate(size)


class Ends(unittest.TestCase):
    def test_by_itself(self):
        server = Server()
        server.signal(signal.SIGKILL)
        server.process.wait(60)
        with self.assertRaisesRegex(invariants.Broken, "ended by itself with -9"):
            invariants.at_rest(server)
        with self.assertRaisesRegex(AssertionError, "ended with -9"):
            server.stop()

    def test_accounts_that_do_not_add_up(self):
        class Page:
            text = ""

            def get(self, _: str) -> tuple[int, str]:
                return 200, self.text

        server = Page()
        names = ("vllm:e2e_request_latency_seconds_count", "vllm:request_prompt_tokens_count", "vllm:request_params_max_tokens_count")
        fine = ['vllm:request_success_total{finished_reason="stop"} 2', 'vllm:request_success_total{finished_reason="error"} 1',
                *(f"{name}{{}} 3" for name in names), "vllm:request_generation_tokens_sum{} 7", "vllm:generation_tokens_total{} 7",
                "vllm:time_to_first_token_seconds_count{} 2"]
        server.text = "\n".join(fine) + "\n"
        self.assertEqual(invariants.accounts(server), [])
        for line in fine:
            name, value = line.rsplit(" ", 1)
            server.text = "\n".join([other for other in fine if other != line] + [f"{name} {int(value) + 2}"]) + "\n"
            self.assertNotEqual(invariants.accounts(server), [], line)


if __name__ == "__main__":
    unittest.main(verbosity=2)
