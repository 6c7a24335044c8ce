"""An OpenAI-compatible server that is not ours: what it is asked it notes, and how it answers is the test's to say."""

from __future__ import annotations

import http.server
import json
import threading
import time


class StubServer:
    """`answer(handler, body, number)` answers a POST; by default a stream of as many tokens as were asked for."""

    def __init__(self, answer=None, token_seconds: float = 0.0):
        self.bodies: list[dict] = []  # of POSTs, in their order
        self.paths: list[str] = []
        self.headers: list[dict] = []
        self.times: list[float] = []
        self.peak = 0  # POSTs under way at the same time
        self.token_seconds = token_seconds
        self._now = 0
        self._lock = threading.Lock()
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # a token leaves when it is written

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                reply(self, 200, {"object": "list", "data": [{"id": "stub-model"}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with stub._lock:
                    number = len(stub.bodies)
                    stub.bodies.append(body)
                    stub.paths.append(self.path)
                    stub.headers.append({k.lower(): v for k, v in self.headers.items()})
                    stub.times.append(time.monotonic())
                    stub._now += 1
                    stub.peak = max(stub.peak, stub._now)
                try:
                    (answer or stub.stream)(self, body, number)
                finally:
                    with stub._lock:
                        stub._now -= 1

        class Listener(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

        self._server = Listener(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stream(self, handler, body: dict, _number: int, tokens: int | None = None, end: bool = True) -> None:
        """Server-sent events as OpenAI's servers write them: `tokens` of them, a finish, usage, [DONE]; without `end` it breaks off."""
        chat = handler.path.endswith("/chat/completions")
        count = body["max_tokens"] if tokens is None else tokens
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("transfer-encoding", "chunked")
        handler.end_headers()
        if chat:
            event(handler, {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
        for i in range(count):
            time.sleep(self.token_seconds)
            finish = "length" if end and i == count - 1 else None
            piece = {"delta": {"content": f" t{i}"}} if chat else {"text": f" t{i}"}
            event(handler, {"choices": [{"index": 0, **piece, "finish_reason": finish}]})
        if not end:
            handler.close_connection = True
            return
        prompt = body.get("prompt", "")
        num_prompt = len(prompt if isinstance(prompt, list) else prompt.split())
        if body.get("stream_options", {}).get("include_usage"):
            event(handler, {"choices": [], "usage": {"prompt_tokens": num_prompt, "completion_tokens": count}})
        event(handler, None)
        handler.wfile.write(b"0\r\n\r\n")

    def forget(self) -> None:
        for notes in (self.bodies, self.paths, self.headers, self.times):
            notes.clear()
        self.peak = 0

    def __enter__(self) -> "StubServer":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def event(handler, value: dict | None) -> None:
    data = b"data: " + (b"[DONE]" if value is None else json.dumps(value).encode()) + b"\n\n"
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))


def reply(handler, status: int, value: dict) -> None:
    data = json.dumps(value).encode()
    handler.send_response(status)
    handler.send_header("content-type", "application/json")
    handler.send_header("content-length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)
