#!/usr/bin/env python3
"""What the server's own thread computes for a request and for a streamed token: http_cost.py --binary PATH [--peer PATH] [-- FLAGS...]

Microseconds of CPU of that thread (/proc/PID/task/PID/schedstat), so that other work on the machine counts little: a GET /livez on a
connection that stays, one of a hundred that are sent at once, and a token of a stream. The best of three, the whole twice. FLAGS are of the
server: "-- --api-key abc". --peer: another binary, measured in turn and without FLAGS.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import socket
import subprocess
import sys

KEY = "abc"
HEADERS = f"Host: localhost\r\nAuthorization: Bearer {KEY}\r\n"
LIVE = f"GET /livez HTTP/1.1\r\n{HEADERS}\r\n".encode()


class Server:
    def __init__(self, binary: str, model: str, flags: list[str]) -> None:
        self.process = subprocess.Popen([binary, "serve", model, "--port", "0", *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        url = self.process.stdout.readline().split()[-1]
        self.socket = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), 60)
        self.reader = self.socket.makefile("rb")

    def cpu(self) -> int:
        """Nanoseconds of the thread that serves."""
        pid = self.process.pid
        return int(pathlib.Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])

    def answer(self) -> int:
        """Reads one answer; its status."""
        status = int(self.reader.readline().split()[1])
        length = None
        while (line := self.reader.readline()) != b"\r\n":
            name, value = line.split(b":", 1)
            if name.lower() == b"content-length":
                length = int(value)
        if length is not None:
            self.reader.read(length)
            return status
        while size := int(self.reader.readline(), 16):
            self.reader.read(size + 2)
        self.reader.readline()
        return status

    def ask(self, request: bytes, times: int = 1) -> None:
        self.socket.sendall(request)
        for _ in range(times):
            status = self.answer()
            if status != 200:
                raise SystemExit(f"status {status}")

    def close(self) -> None:
        self.reader.close()
        self.socket.close()
        self.process.terminate()
        self.process.wait(30)


def microseconds(server: Server, work, count: int) -> float:
    best = float("inf")
    for _ in range(3):
        begin = server.cpu()
        work()
        best = min(best, (server.cpu() - begin) / count / 1000)
    return best


def measure(binary: str, model: str, flags: list[str]) -> list[float]:
    server = Server(binary, model, flags)
    try:
        while True:
            server.socket.sendall(LIVE.replace(b"livez", b"readyz"))
            if server.answer() == 200:
                break
        server.ask(LIVE * 100, 100)
        body = json.dumps({"prompt": "a", "max_tokens": 2000, "ignore_eos": True, "stream": True, "temperature": 0})
        stream = f"POST /v1/completions HTTP/1.1\r\n{HEADERS}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        return [microseconds(server, lambda: [server.ask(LIVE) for _ in range(2000)], 2000),
                microseconds(server, lambda: [server.ask(LIVE * 100, 100) for _ in range(50)], 5000),
                microseconds(server, lambda: server.ask(stream), 2000)]
    finally:
        server.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--peer", help="another pegainfer")
    parser.add_argument("--model", required=True, help="a small one: tests/e2e/make_model.py writes it")
    parser.add_argument("flags", nargs="*", help="of the server, behind --")
    args = parser.parse_args()
    print("us of CPU       request  of a hundred  token")
    for _ in range(2):
        for name, binary, flags in (("this", args.binary, args.flags), ("peer", args.peer, [])):
            if binary:
                figures = measure(binary, args.model, flags)
                print(f"{name:14} {figures[0]:8.1f} {figures[1]:13.1f} {figures[2]:6.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
