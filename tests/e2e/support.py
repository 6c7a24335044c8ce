"""What the end-to-end tests share: the binary, a tiny model, a server that is always ended by its own process id."""

from __future__ import annotations

import json
import os
import pathlib
import queue
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

BINARY = os.environ["PEGA_BINARY"]
MODEL = os.environ["PEGA_TINY_MODEL"]
START_SECONDS = 60.0  # sanitized builds on busy machines are slow
RUN_SECONDS = 120.0


def run(*args: str, stdin: str | bytes = "", timeout: float = RUN_SECONDS) -> subprocess.CompletedProcess:
    """A command to its end; output as text."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run([BINARY, *args], input=data, capture_output=True, timeout=timeout, check=False)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


class Server:
    """`pegainfer serve` on a free port."""

    def __init__(self, *flags: str, model: str = MODEL, wait: bool = True):
        self.log = tempfile.NamedTemporaryFile("w+", prefix="pegainfer-e2e-", suffix=".log")
        self.process = subprocess.Popen([BINARY, "serve", model, "--port", "0", "--threads", "1", *flags],
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=lambda: [lines.put(line) for line in self.process.stdout], daemon=True)
        self._reader.start()
        try:
            line = self._first_line(lines)
            self.url = line.split()[-1]
            assert self.url.startswith("http://127.0.0.1:"), line
            if wait:
                self.wait_ready()
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
        try:
            with urllib.request.urlopen(request, timeout=RUN_SECONDS) as answer:
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

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
