"""One bad (or odd, but good) request and the answer it must get. The tables are beside this file: body.py, wire.py, completions.py,
chat.py, keys.py; boundaries.py makes rows for every field that has a range."""

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
