"""One bad (or odd, but good) request and the answer it must get. The tables are beside this file: body.py, wire.py, completions.py,
chat.py, templates.py; boundaries.py makes rows for every field that has a range. A row's number is that of a kind of mistake. What is no
single request to a server at rest has its number here and its test elsewhere:

36-38   slow and silent clients                 security_test.py Slow; tests/server/http_connection_test.cpp
40      pipelines                               security_test.py Odd; http_connection_test.cpp
41-44   keys                                    security_test.py Keys
82-86   what a grammar would have to be         no grammars: the 81 rows refuse every way to ask for one by name
92      a full queue: 429                       serving_core_test.py FullQueue; security_test.py Odd; tests/server/scheduling_test.cpp
93      as many as a key may have: 429          security_test.py Keys
94      shutting down: 503, closed              server_life_test.py test_what_comes_while_it_ends_is_refused
95      the engine has failed: 503              tests/server/completions_test.cpp ADeadEngineRefusesWhatComesAfterIt, DeadEngineIsToldToHealthChecks
96      still loading: 503                      tests/server/endpoints_test.cpp LoadingIsSaidWithItsProgress
97      too late, waiting or running            serving_core_test.py Deadlines (and a row here)
98      an error in a stream: an event, [DONE]  tests/server/completions_test.cpp EngineErrorInMidStreamIsAnEvent, chat_test.cpp
                                                ErrorsBeforeAndInAStream; server_life_test.py test_shutdown_timeout_ends_streams
99      clients that leave                      http_connection_test.cpp FreesItsPlace; invariants_test.py
100     two requests of one name at a time      bad_input_test.py test_two_of_one_name
"""

from __future__ import annotations

import dataclasses
import json

IRE = "invalid_request_error"
COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
CONTEXT = 4096  # --max-model-len of the servers the rows are sent to


@dataclasses.dataclass(frozen=True)
class Row:
    """`status` may be a tuple: any of them. None as type, code or param: not looked at; "" as param: null."""

    id: str
    data: bytes
    status: int | tuple[int, ...]
    code: str | None = None
    param: str | None = None
    type: str | None = IRE
    closes: bool = False  # the server says "connection: close" and does
    header: tuple[str, str] | None = None  # one the answer must have: its name in lower case, and what its value holds
    head: bool = False  # an answer without a body
    comment: str = ""

    def statuses(self) -> tuple[int, ...]:
        return self.status if isinstance(self.status, tuple) else (self.status,)


# What would have to be kept to by a grammar. There are none, and an answer that keeps to nothing is no answer: refused by name.
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORMATS = {
    "json_object": {"type": "json_object"}, "json_schema": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    "no schema": {"type": "json_schema"}, "schema a number": {"type": "json_schema", "json_schema": {"name": "x", "schema": 123}},
    "structural_tag": {"type": "structural_tag", "format": {}}, "grammar": {"type": "grammar", "grammar": "root ::= \"a\""},
    "xml": {"type": "xml"}, "no type": {}, "a number": 123, "a text": "json_object", "a list": ["json_object"],
}
GRAMMARS: dict[str, object] = {
    "guided_json": SCHEMA, "guided_regex": "[a-z]+", "guided_choice": ["yes", "no"], "guided_grammar": "root ::= \"a\"",
    "guided_json_object": True, "structured_outputs": {"json": SCHEMA}, "grammar": "root ::= \"a\"", "json_schema": {},
    "regex": "[a-z]+", "ebnf": "root ::= \"a\"",
}


def request(method: str, path: str, headers: str = "", body: bytes | str = b"", host: str = "localhost") -> bytes:
    body = body.encode() if isinstance(body, str) else body
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode("latin-1") + body


def post(path: str, body: object, headers: str = "", content_type: str | None = "application/json") -> bytes:
    """`body`: bytes or text as they are, anything else as JSON."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode()
    typed = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    return request("POST", path, f"{typed}Content-Length: {len(data)}\r\n{headers}", data)


def get(path: str, headers: str = "") -> bytes:
    return request("GET", path, headers)


def completion(**fields: object) -> bytes:
    """A request that is good and short but for `fields`."""
    return post(COMPLETIONS, {"prompt": "Hi", "max_tokens": 1, **fields})


def chat(**fields: object) -> bytes:
    return post(CHAT, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, **fields})


def without(body: dict, *names: str) -> dict:
    return {key: value for key, value in body.items() if key not in names}


def fields_rows(number: str, build, param: str | None, values: dict[str, object], code: str | None = None,
                status: int | tuple[int, ...] = 400, comment: str = "") -> list[Row]:
    """A row for each of `values` (a name and the fields that `build` takes), all with the same answer."""
    return [Row(f"{number} {name}", build(**fields), status, code, param, comment=comment) for name, fields in values.items()]
