"""What the end-to-end tests share: the binary, a tiny model, a server that is always ended by its own process id."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import queue
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import typing
import unittest
import urllib.error
import urllib.request

import invariants

BINARY = os.environ["PEGA_BINARY"]
MODEL = os.environ["PEGA_TINY_MODEL"]
ON_GPU = "PEGA_REQUIRE_GPU" in os.environ  # by tools/gpu/check.sh; what only the CPU promises is then asked for less strictly
START_SECONDS = 60.0  # sanitized builds on busy machines are slow
RUN_SECONDS = 120.0


def run(*args: str, stdin: str | bytes = "", timeout: float = RUN_SECONDS) -> subprocess.CompletedProcess:
    """A command to its end; output as text."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([BINARY, *args], input=data, capture_output=True, timeout=timeout, check=False)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def golden_canary() -> str:
    """The canary's text, from a process without a server; asked for once."""
    if not _golden:
        c = invariants.CANARY
        done = run("generate", "--model", MODEL, "--threads", "1", "-p", c["prompt"], "--max-tokens", str(c["max_tokens"]), "--temperature",
                   "0", "--ignore-eos", "--json")
        assert done.returncode == 0, done.stderr
        _golden.append(json.loads(done.stdout)["text"])
    return _golden[0]


_golden: list[str] = []


def wait_for(condition: typing.Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


class Server:
    """`pegainfer serve` on a free port. As a context, and with stop(), it has to be at rest and well when it is left."""

    headers: dict[str, str] = {}  # of every question of its own
    tls: ssl.SSLContext | None = None
    before_exec = None  # a function for the child, before it becomes the server

    def __init__(self, *flags: str, simulated: bool = False, model: str = MODEL):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="pegainfer-e2e-", suffix=".log")
        fcntl.fcntl(self.log, fcntl.F_SETFL, os.O_APPEND)  # tests write to it, too
        what = ["bench", "sim-serve"] if simulated else ["serve", model, "--threads", "1"]
        self.process = subprocess.Popen([BINARY, *what, "--port", "0", *flags], stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        preexec_fn=self.before_exec)
        self.golden = None  # what the canary says; of any other model, whatever it says first
        lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True)
        self._reader.start()
        try:
            line = self._first_line(lines)
            self.url = line.split()[-1]
            assert re.fullmatch(r"https?://(127\.0\.0\.1|0\.0\.0\.0):\d+", self.url), line
            self.wait_ready()
            self.baseline = invariants.Baseline(self)
            if not simulated and model == MODEL:
                self.golden = golden_canary()
        except Exception:
            self.kill()
            raise

    def _first_line(self, lines: queue.Queue[str]) -> str:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            try:
                return lines.get(timeout=0.1)
            except queue.Empty:
                if ended:
                    raise RuntimeError(f"the server ended with {self.process.returncode}: {self.stderr()}") from None
        raise TimeoutError("the server does not say where it listens")

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.stderr()}")
            if self.get("/readyz")[0] == 200:
                return
            time.sleep(0.02)
        raise TimeoutError(f"not ready: {self.stderr()}")

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def stderr(self) -> str:
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()

    def get(self, path: str) -> tuple[int, str]:
        return self._open(urllib.request.Request(self.url + path))

    def post(self, path: str, body: object) -> tuple[int, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._open(urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"}))

    def _open(self, request: urllib.request.Request) -> tuple[int, str]:
        for name, value in self.headers.items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=RUN_SECONDS, context=self.tls) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def signal(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = START_SECONDS) -> int:
        code = self.process.wait(timeout)
        self._reader.join(5)
        self.process.stdout.close()
        return code

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.wait()
        self.log.close()

    def stop(self) -> None:
        """The end of a server that must be at rest: SIGTERM, and all is well. One that has ended must have done so well."""
        try:
            if self.process.poll() is None:
                invariants.at_rest(self)
                self.signal()
            code = self.wait()
            assert code == 0, f"the server ended with {code}: {self.stderr()}"
            invariants.ended_well(self)
        finally:
            self.kill()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()


class ServerCase(unittest.TestCase):
    """Tests that share a server, which has to be at rest after each of them."""

    flags: tuple[str, ...] = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.flags)

    def tearDown(self):
        invariants.at_rest(self.server)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
