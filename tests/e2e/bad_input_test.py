"""Every row of bad_input/ against the real binary, a canary request after each, and a server that is at rest at the end."""

from __future__ import annotations

import json
import os
import pathlib
import re
import unittest

from bad_input import body, boundaries, chat, completions, templates, wire
from bad_input.client import Answer, Client
from bad_input.rows import CHAT, COMPLETIONS, CONTEXT, Row, post
from support import MODEL, Server, ServerCase

CANARY = post(COMPLETIONS, {"prompt": [1, 2, 3], "max_tokens": 2, "temperature": 0, "ignore_eos": True})
SLOWEST = 2.0  # seconds of the server's CPU, for an answer that refuses; not looked at in sanitized builds
MAX_GROWTH = 96 << 20  # bytes of resident memory over the whole table
# What an error may not tell: where it runs, where its sources are, an address, a C++ name.
INTERNAL = re.compile(r"/work|/home|/root|/tmp|/build|\.cpp|\.h:|0x[0-9a-f]{6,}|std::|boost|CHECK|exception", re.IGNORECASE)


def sanitized(server) -> bool:
    return "asan" in pathlib.Path(f"/proc/{server.process.pid}/maps").read_text()


def resident(server) -> int:
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{server.process.pid}/status").read_text())[1]) << 10


def error_of(answer: Answer) -> dict:
    """The one shape of errors, and nothing in it that is nobody's business."""
    whole = json.loads(answer.body)
    error = whole["error"]
    assert set(whole) == {"error"} and set(error) == {"message", "type", "param", "code"}, answer
    assert isinstance(error["message"], str) and error["message"] and len(error["message"]) < 2000, answer
    assert all(error[key] is None or isinstance(error[key], str) for key in ("type", "param", "code")), answer
    assert answer.headers["content-type"] == "application/json", answer
    assert not (found := INTERNAL.search(answer.body.decode())), f"{found} in {answer.body!r}"
    assert MODEL not in answer.body.decode()
    return error


def check(row: Row, answer: Answer) -> None:
    assert answer.status in row.statuses(), f"{answer.status}, not {row.status}: {answer.body[:600]!r}"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", answer.headers["x-request-id"]), answer
    assert ("connection" in answer.headers) == row.closes, answer
    assert not {"set-cookie", "x-powered-by"} & set(answer.headers), answer
    if row.header is not None:
        assert row.header[1] in answer.headers.get(row.header[0], ""), answer
    if answer.status < 400:
        return
    error = error_of(answer)
    for key in ("type", "code", "param"):
        if (wanted := getattr(row, key)) is not None:
            assert error[key] == (wanted or None), f"{key} is {error[key]!r}, not {wanted!r}: {error['message'][:300]}"


class Rows(ServerCase):
    """What sends rows; its subclasses have them."""

    flags = ("--max-model-len", str(CONTEXT), "--chat-template", str(pathlib.Path(__file__).with_name("agent_template.jinja")))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.slow_build = sanitized(cls.server)
        cls.golden = cls.canary()

    @classmethod
    def canary(cls, client: Client | None = None) -> str:
        if client is None:
            with Client(cls.server.port) as client:
                return cls.canary(client)
        answer = client.ask(CANARY)
        assert answer.status == 200, answer
        return json.loads(answer.body)["choices"][0]["text"]

    def cpu_seconds(self) -> float:
        """What the server has computed so far, which other work on the machine does not change."""
        fields = pathlib.Path(f"/proc/{self.server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def run_row(self, row: Row) -> None:
        with Client(self.server.port) as client:
            began = self.cpu_seconds()
            answer = client.ask(row.data, row.head)
            took = self.cpu_seconds() - began
            check(row, answer)
            if answer.status >= 400 and answer.status != 504 and not self.slow_build:
                self.assertLess(took, SLOWEST)
            if row.closes:
                self.assertTrue(client.closed_within(5), "the connection stays open")
            else:
                self.assertEqual(self.canary(client), self.golden, "the next request of the connection")
                return
        self.assertEqual(self.canary(), self.golden)

    def run_rows(self, rows: list[Row]) -> None:
        self.assertEqual(len({row.id for row in rows}), len(rows), "two rows have the same id")
        for row in rows:
            with self.subTest(row.id):
                self.run_row(row)


class Table(Rows):
    def test_table(self):
        before = resident(self.server)
        for rows in (wire.ROWS, body.ROWS, completions.ROWS):
            self.run_rows(rows)
        if not self.slow_build:
            self.assertLess(resident(self.server) - before, MAX_GROWTH)

    def test_boundaries(self):
        prompt = [1, 2, 3, 1, 2, 3]  # something to penalize
        self.run_rows(boundaries.rows(boundaries.completion_fields(CONTEXT - len(prompt)), COMPLETIONS, {"prompt": prompt, "max_tokens": 1}))

    def test_chat(self):
        self.run_rows(chat.ROWS)

    def test_chat_boundaries(self):
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
        status, answer = self.server.post(CHAT, body)
        self.assertEqual(status, 200)
        room = CONTEXT - json.loads(answer)["usage"]["prompt_tokens"]
        self.run_rows(boundaries.rows(boundaries.chat_fields(room), CHAT, body))

    def test_two_of_one_name(self):
        """A client's name for a request is for its own eyes: two that have the same are two requests."""
        ask = post(COMPLETIONS, {"prompt": [1, 2, 3], "max_tokens": 200, "ignore_eos": True, "stream": True}, "X-Request-Id: twin\r\n")
        with Client(self.server.port) as one, Client(self.server.port) as two:
            for client in (one, two):
                client.send(ask)
            answers = [client.answer() for client in (one, two)]
        self.assertEqual([(a.status, a.headers["x-request-id"]) for a in answers], [(200, "twin")] * 2)
        self.assertTrue(all(a.body.endswith(b"data: [DONE]\n\n") for a in answers))
        self.assertEqual(len({json.loads(a.body.split(b"\n")[0][6:])["id"] for a in answers}), 2)


class OwnTemplates(Rows):
    flags = (*Rows.flags, "--trust-request-chat-template")

    def test_templates(self):
        self.run_rows(templates.ROWS)


if __name__ == "__main__":
    unittest.main()
