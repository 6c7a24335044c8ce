"""Bytes out, answers in: what http.client would put right by itself must go to the server as it is."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import time


@dataclasses.dataclass
class Answer:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


class Broken(AssertionError):
    """The connection ended, or the time, before an answer was whole."""


class Client:
    def __init__(self, port: int, seconds: float = 30.0, tls: ssl.SSLContext | None = None, uds: str | None = None):
        if uds is None:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        else:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(seconds)
            self.socket.connect(uds)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._read = b""

    def send(self, data: bytes) -> None:
        """As much as the server takes: it may have answered, and closed, before it has read everything."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def trickle(self, data: bytes, pause: float, seconds: float) -> None:
        """A byte at a time, until the server has something to say."""
        deadline = time.monotonic() + seconds
        self.socket.settimeout(pause)
        for byte in data:
            if time.monotonic() > deadline:
                raise Broken("the server has waited for too long")
            try:
                self.socket.sendall(bytes([byte]))
                if (more := self.socket.recv(65536)) == b"":
                    break
                self._read += more
                break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        self.socket.settimeout(30.0)

    def answer(self, head: bool = False) -> Answer:
        top = self._until(b"\r\n\r\n").decode("latin-1")
        status_line, *lines = top.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        status = int(status_line.split()[1])
        if status == 100:
            return self.answer(head)
        if head or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunks())
        return Answer(status, headers, self._exactly(int(headers["content-length"])))

    def ask(self, data: bytes, head: bool = False) -> Answer:
        self.send(data)
        return self.answer(head)

    def closed_within(self, seconds: float) -> bool:
        """Whether the server closes; what it still sends is dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _more(self) -> None:
        try:
            data = self.socket.recv(1 << 16)
        except (ConnectionResetError, TimeoutError) as error:
            raise Broken(f"{type(error).__name__} after {self._read[-200:]!r}") from error
        if data == b"":
            raise Broken(f"the connection ended after {self._read[-200:]!r}")
        self._read += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._read:
            self._more()
        found, self._read = self._read.split(mark, 1)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._read) < size:
            self._more()
        found, self._read = self._read[:size], self._read[size:]
        return found

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._exactly(2)
        return body


def ask(port: int, data: bytes) -> Answer:
    with Client(port) as client:
        return client.ask(data)
