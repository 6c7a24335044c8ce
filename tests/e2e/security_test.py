"""Who may reach the real binary, and what it reaches itself: keys, TLS, Unix sockets, other sites' pages, slow clients, no connections out."""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import warnings

import invariants
import no_connections
from bad_input.client import Answer, Client
from bad_input.rows import CHAT, COMPLETIONS, get, post, request
from support import BINARY, MODEL, Server, run

ROUTES = pathlib.Path(__file__).resolve().parents[2] / "src" / "server" / "routes.cpp"
ASK = {"prompt": "Hi", "max_tokens": 1}
USER, OTHER, ADMIN = "sk-user-0123456789", "sk-other-0123456789", "sk-admin-0123456789"


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}\r\n"


def error(answer: Answer) -> tuple[int, str, str]:
    body = json.loads(answer.body)["error"]
    return answer.status, body["type"], body["code"]


MISSING, INVALID = (401, "authentication_error", "missing_api_key"), (401, "authentication_error", "invalid_api_key")
FORBIDDEN = (403, "permission_error", "admin_key_required")


class KeyServer(Server):
    """One whose own questions (is it ready, has it come to rest) bring a key."""

    def __init__(self, *flags: str, key: str = ADMIN):
        self.headers = {"Authorization": f"Bearer {key}"}
        super().__init__(*flags)


class Keys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        keys = pathlib.Path(cls.folder.name) / "keys"
        keys.write_text(f"# ours\n\nalice:{USER}\nbob:{OTHER}\n")
        keys.chmod(0o600)
        cls.server = KeyServer("--api-key-file", str(keys), "--admin-api-key", ADMIN, "--public-path", "/health", "--max-requests-per-key", "2")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def ask(self, data: bytes) -> Answer:
        with Client(self.server.port) as client:
            return client.ask(data)

    def test_every_route_needs_a_key_but_the_probes(self):
        routes = re.findall(r'\{"(GET|POST)", "([^"]+)"', ROUTES.read_text())
        self.assertGreater(len(routes), 10)
        for method, path in routes:
            path = path.replace("{id}", "x")
            for headers, wanted in (("", MISSING), (bearer("nobody"), INVALID)):
                answer = self.ask(post(path, ASK, headers) if method == "POST" else get(path, headers))
                if path in ("/livez", "/readyz", "/health"):
                    self.assertEqual(answer.status, 200, path)
                else:
                    self.assertEqual(error(answer), wanted, path)
                    self.assertTrue(answer.headers["www-authenticate"].startswith('Bearer realm="pegainfer"'))

    def test_nothing_is_told_of_paths_and_methods(self):
        for data in (get("/nothing"), get("/"), get("//livez"), get("/livez/"), get("/v1/../livez"), get("/livez%2f"), get("/LIVEZ"),
                     get("/livez;x"), post("/livez", ASK), request("OPTIONS", COMPLETIONS), request("OPTIONS", "*"),
                     request("DELETE", "/v1/models/x"), request("TRACE", "/livez"), b"CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n", get("http://localhost/v1/models")):
            self.assertEqual(error(self.ask(data)), MISSING, data[:40])
        for data in (get("/livez?x=1"), request("HEAD", "/livez"), get("http://localhost/livez")):
            with Client(self.server.port) as client:
                self.assertEqual(client.ask(data, head=data.startswith(b"HEAD")).status, 200)

    def test_ways_to_bring_a_key(self):
        good = (bearer(USER), f"authorization: bearer {USER}\r\n", f"Authorization: BEARER   {USER}\r\n", f"x-api-key: {USER}\r\n",
                f"Authorization:\tBearer {USER} \r\n", bearer(OTHER), bearer(ADMIN))
        for headers in good:
            self.assertEqual(self.ask(post(COMPLETIONS, ASK, headers)).status, 200, headers)
        wrong = {bearer(USER + "x"): INVALID, bearer(USER[:-1]): INVALID, bearer(""): INVALID, "Authorization: Bearer\r\n": INVALID,
                 bearer(USER.upper()): INVALID, bearer("x" * 7000): INVALID, bearer(USER + "," + OTHER): INVALID, bearer(USER + "\xe9"): INVALID,
                 f"Authorization: Basic {USER}\r\n": MISSING, f"Authorization: {USER}\r\n": MISSING, "Authorization: \r\n": MISSING,
                 f"Cookie: api_key={USER}\r\n": MISSING, "x-api-key: \r\n": INVALID, f"x-api-key: {USER[1:]}\r\n": INVALID}
        for headers, wanted in wrong.items():
            self.assertEqual(error(self.ask(post(COMPLETIONS, ASK, headers))), wanted, headers[:40])
            self.assertEqual(error(self.ask(post(f"{COMPLETIONS}?api_key={USER}", ASK, headers))), wanted)
        self.assertEqual(self.ask(post(COMPLETIONS, ASK, bearer("x" * 1_000_000))).status, 431)

    def test_who_has_no_key_cannot_make_it_read_a_body(self):
        with Client(self.server.port) as client:
            client.send(request("POST", COMPLETIONS, "Content-Type: application/json\r\nContent-Length: 8000000\r\n"))
            answer = client.answer()
            self.assertEqual((error(answer), answer.headers["connection"]), (MISSING, "close"))
            self.assertTrue(client.closed_within(5))

    def test_the_server_is_the_administrators_to_change(self):
        use = {"completions", "chat_completions", "render_chat", "apply_template", "tokenize", "detokenize"}
        routes = re.findall(r'\{"POST", "([^"]+)", to\(&Service::(\w+)\)', ROUTES.read_text())
        self.assertIn(("/reset_prefix_cache", "reset_prefix_cache"), routes)
        for path, handler in routes:  # whoever adds one that is no use of the model has to think of whose it is
            answer = self.ask(post(path, {}, bearer(USER)))
            self.assertEqual(error(answer) == FORBIDDEN, handler not in use, (path, answer))
        self.assertEqual(self.ask(post("/reset_prefix_cache", {}, bearer(ADMIN))).status, 200)

    def test_a_client_cannot_see_what_another_has_cached(self):
        prompt = {"prompt": [7] * 200 + [9, 10], "max_tokens": 1}

        def cached(key: str, **fields: object) -> int:
            body = json.loads(self.ask(post(COMPLETIONS, {**prompt, **fields}, bearer(key))).body)
            return body["usage"]["prompt_tokens_details"]["cached_tokens"]

        self.assertEqual(cached(USER), 0)
        self.assertGreater(cached(USER), 0)
        self.assertEqual(cached(OTHER), 0)
        self.assertEqual(cached(OTHER, cache_salt="alice"), 0)
        self.assertEqual(cached(USER, cache_salt="mine"), 0)
        self.assertGreater(cached(USER, cache_salt="mine"), 0)

    def test_places_of_a_key(self):
        long = post(COMPLETIONS, {"prompt": "a", "max_tokens": 100_000, "ignore_eos": True, "stream": True}, bearer(USER))
        with Client(self.server.port) as one, Client(self.server.port) as two:
            for client in (one, two):
                client.send(long)
                client._until(b"data: ")
            refused = self.ask(post(COMPLETIONS, ASK, bearer(USER)))
            self.assertEqual(error(refused), (429, "rate_limit_error", "rate_limit_exceeded"))
            self.assertEqual(refused.headers["retry-after"], "1")
            self.assertEqual(self.ask(get("/v1/models", bearer(USER))).status, 200)
            self.assertEqual(self.ask(post(COMPLETIONS, ASK, bearer(OTHER))).status, 200)
        deadline = time.monotonic() + 10
        while self.ask(post(COMPLETIONS, ASK, bearer(USER))).status != 200:
            self.assertLess(time.monotonic(), deadline, "the places of clients that have left are not free")

    def test_no_key_is_ever_written(self):
        self.ask(post(COMPLETIONS, {"prompt": 5}, bearer(USER)))
        self.ask(post(COMPLETIONS, ASK, bearer("sk-wrong-key-of-somebody")))
        log = self.server.stderr()
        for key in (USER, OTHER, ADMIN, "sk-wrong-key"):
            self.assertNotIn(key, log)
            self.assertNotIn(key[-6:], log)
        self.assertNotIn(USER, self.server.get("/metrics")[1])


class KeyFlags(unittest.TestCase):
    def refused(self, *flags: str) -> str:
        done = run("serve", MODEL, "--port", "0", *flags, timeout=30)
        self.assertEqual(done.returncode, 2, done.stderr)
        return done.stderr

    def test_refusals_name_the_flag_and_no_key(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "keys"
            path.write_text("secret-of-mine\n")
            path.chmod(0o666)
            self.assertIn("everybody may write it", self.refused("--api-key-file", str(path)))
            path.write_text("# nothing\n")
            path.chmod(0o600)
            self.assertIn("no key in it", self.refused("--api-key-file", str(path)))
            path.write_text("secret of mine\n")
            self.assertNotIn("secret", self.refused("--api-key-file", str(path)))
            self.assertIn("--api-key-file", self.refused("--api-key-file", folder + "/none") + "--api-key-file")
        self.assertNotIn("secret-key", self.refused("--api-key", "secret-key", "--admin-api-key", "secret-key"))
        self.assertIn("--max-requests-per-key", self.refused("--max-requests-per-key", "3"))
        self.assertIn("--max-requests-per-key", self.refused("--max-requests-per-key", "3", "--admin-api-key", "k"))
        self.assertIn("public-path", self.refused("--api-key", "k", "--public-path", "/reset_prefix_cache") + "public-path")
        self.assertIn("/nothing", self.refused("--public-path", "/nothing"))
        self.assertIn("--ssl-certfile", self.refused("--ssl-keyfile", "/dev/null"))
        self.assertIn("--ssl-certfile", self.refused("--ssl-certfile", "/dev/null"))
        self.assertIn("origin", self.refused("--allowed-origins", "app.example"))

    def test_the_environment_and_one_key(self):
        for variable in ("PEGAINFER_API_KEY", "VLLM_API_KEY"):
            os.environ[variable] = USER
            try:
                server = KeyServer(key=USER)
            finally:
                del os.environ[variable]
            with server, Client(server.port) as client:
                self.assertEqual(error(client.ask(get("/metrics"))), MISSING)
                self.assertEqual(client.ask(get("/metrics", bearer(USER))).status, 200)
                # With keys and no administrator's, nobody may change the server's state.
                self.assertEqual(error(client.ask(post("/reset_prefix_cache", {}, bearer(USER)))), FORBIDDEN)

    def test_only_an_administrators_key(self):
        with Server("--admin-api-key", ADMIN) as server, Client(server.port) as client:
            self.assertEqual(client.ask(post(COMPLETIONS, ASK)).status, 200)
            self.assertEqual(error(client.ask(post("/reset_prefix_cache", b""))), MISSING)
            self.assertEqual(client.ask(post("/reset_prefix_cache", b"", bearer(ADMIN))).status, 200)

    def test_other_machines_without_a_key(self):
        # An administrator's key keeps nobody from the rest.
        for flags in ((), ("--admin-api-key", ADMIN)):
            with Server("--host", "0.0.0.0", *flags) as server:
                self.assertIn("without an API key", server.stderr())
                self.assertRegex(server.stderr(), "access +no API key")
        with KeyServer("--host", "0.0.0.0", "--api-key", USER, key=USER) as server:
            self.assertIn("without TLS", server.stderr())


class Origins(unittest.TestCase):
    PREFLIGHT = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n"

    def preflight(self, client: Client, origin: str) -> Answer:
        return client.ask(request("OPTIONS", COMPLETIONS, f"Origin: {origin}\r\n{self.PREFLIGHT}"))

    def cors(self, answer: Answer) -> set[str]:
        return {name for name in answer.headers if name.startswith("access-control")}

    def test_listed_origins(self):
        flags = ("--allowed-origins", '["https://app.example", "http://localhost:3000"]', "--allowed-headers", "authorization,content-type")
        with KeyServer("--api-key", USER, *flags, key=USER) as server, Client(server.port) as client:
            answer = self.preflight(client, "https://app.example")
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://app.example")
            self.assertEqual(answer.headers["access-control-allow-headers"], "authorization, content-type")
            self.assertIn("POST", answer.headers["access-control-allow-methods"])
            self.assertEqual(answer.headers["vary"], "origin")
            for origin in ("https://app.example.evil.example", "https://evil.example", "null", "https://APP.example", "http://app.example"):
                answer = self.preflight(client, origin)
                self.assertEqual((answer.status, self.cors(answer)), (401, set()), origin)
            page = "Origin: http://localhost:3000\r\n"
            answer = client.ask(post(COMPLETIONS, {**ASK, "stream": True}, page + bearer(USER)))
            self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (200, "http://localhost:3000"))
            self.assertIn(b"[DONE]", answer.body)
            # A page must be able to read why it was refused, too.
            answer = client.ask(get("/v1/models", page))
            self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (401, "http://localhost:3000"))
            answer = client.ask(get("/v1/models", "Origin: https://evil.example\r\n" + bearer(USER)))
            self.assertEqual((answer.status, self.cors(answer), answer.headers["vary"]), (200, set(), "origin"))

    def test_any_origin(self):
        with Server("--allowed-origins", "*") as server, Client(server.port) as client:
            answer = self.preflight(client, "https://any.example")
            self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (204, "*"))
            self.assertIn("authorization", answer.headers["access-control-allow-headers"])
            self.assertNotIn("vary", answer.headers)
            self.assertEqual(client.ask(get("/livez")).headers.get("access-control-allow-origin"), None)

    def test_off_by_default(self):
        with Server() as server, Client(server.port) as client:
            for answer in (self.preflight(client, "https://app.example"), client.ask(post(COMPLETIONS, ASK, "Origin: https://app.example\r\n"))):
                self.assertEqual(self.cors(answer), set())


class Slow(unittest.TestCase):
    """Clients that take their time; the limits are flags, short ones here."""

    def test_slow_clients_are_let_go(self):
        flags = ("--header-timeout", "1", "--body-timeout", "2", "--idle-timeout", "1", "--write-stall-timeout", "1",
                 "--max-stream-buffer-bytes", "65536", "--max-connections", "64", "--max-body-bytes", "1M", "--max-headers", "16")
        with Server(*flags) as server:
            checks = [threading.Thread(target=self.guard, args=(check, server)) for check in (
                self.headers, self.body, self.silence, self.idle, self.reader)]
            self.failures: list[str] = []
            for thread in checks:
                thread.start()
            for thread in checks:
                thread.join()
            self.assertEqual(self.failures, [])
            with Client(server.port) as client:
                self.assertEqual(client.ask(get("/livez", "".join(f"X-{i}: 1\r\n" for i in range(20)))).status, 431)
            with Client(server.port) as client:
                self.assertEqual(client.ask(post(COMPLETIONS, {"prompt": "a" * (1 << 20)})).status, 413)
            self.crowd(server)

    def guard(self, check, server) -> None:
        try:
            check(server)
        except Exception as error:  # noqa: BLE001 -- a thread's failure is the test's
            self.failures.append(f"{check.__name__}: {error!r}")

    def headers(self, server) -> None:
        with Client(server.port) as client:
            began = time.monotonic()
            client.trickle(get("/livez", "X: " + "a" * 200 + "\r\n"), 0.05, 10)
            assert client.answer().status == 408 and client.closed_within(5)
            assert 0.8 < time.monotonic() - began < 5

    def body(self, server) -> None:
        with Client(server.port) as client:
            data = post(COMPLETIONS, {"prompt": "a" * 500})
            split = data.index(b"\r\n\r\n") + 4
            client.send(data[:split])
            began = time.monotonic()
            client.trickle(data[split:], 0.05, 10)
            assert client.answer().status == 408 and client.closed_within(5)
            assert 1.8 < time.monotonic() - began < 8

    def silence(self, server) -> None:
        with Client(server.port) as client:
            assert client.closed_within(6)

    def idle(self, server) -> None:
        with Client(server.port) as client:
            assert client.ask(get("/livez")).status == 200
            assert client.closed_within(6)

    def reader(self, server) -> None:
        """Takes nothing of a stream: it ends, and its request with it."""
        with Client(server.port) as client:
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            # Much text a step: some megabytes fit into the system's buffers before the server's own has anything to hold.
            client.send(post(COMPLETIONS, {"prompt": "a", "max_tokens": 100_000, "ignore_eos": True, "stream": True, "logprobs": 20, "n": 8}))
            client._until(b"data: ")
            deadline = time.monotonic() + 120
            while invariants.metrics(server)["vllm:num_requests_running"] > 0:
                assert time.monotonic() < deadline, "a reader that stands still is served on"
                time.sleep(0.2)

    def crowd(self, server) -> None:
        clients = [Client(server.port) for _ in range(64)]
        for client in clients:
            assert client.ask(get("/livez")).status == 200
        with Client(server.port) as one_more:
            answer = one_more.answer()
            self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
        for client in clients:
            client.close()


class Odd(unittest.TestCase):
    """Good requests that arrive in unusual ways."""

    def test_pipelines_continue_and_early_goodbyes(self):
        with Server() as server:
            with Client(server.port) as client:
                client.send(b"".join(get("/livez", f"X-Request-Id: n-{i}\r\n") for i in range(100)))
                self.assertEqual([client.answer().headers["x-request-id"] for _ in range(100)], [f"n-{i}" for i in range(100)])
            with Client(server.port) as client:
                data = post(COMPLETIONS, ASK, "Expect: 100-continue\r\n")
                split = data.index(b"\r\n\r\n") + 4
                client.send(data[:split])
                self.assertEqual(client._until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue")
                self.assertEqual(client.ask(data[split:]).status, 200)
            # The same id at the same time: both are served.
            with Client(server.port) as one, Client(server.port) as two:
                for client in (one, two):
                    client.send(post(COMPLETIONS, {**ASK, "max_tokens": 20, "ignore_eos": True}, "X-Request-Id: same\r\n"))
                answers = [client.answer() for client in (one, two)]
                self.assertEqual([a.status for a in answers], [200, 200])
                self.assertEqual(len({json.loads(a.body)["id"] for a in answers}), 2)
            long = post(COMPLETIONS, {"prompt": "a", "max_tokens": 100_000, "ignore_eos": True, "stream": True})
            for leave in (lambda s: None, lambda s: s.shutdown(socket.SHUT_WR),
                          lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")):
                for after in (0, 1):  # frames
                    client = Client(server.port)
                    client.send(long)
                    for _ in range(after):
                        client._until(b"data: ")
                    leave(client.socket)
                    client.close()
            with Client(server.port) as client:
                client.send(long[:-20])  # in the middle of the body

    def test_a_full_queue(self):
        with Server("--max-queued-requests", "1", "--max-num-seqs", "1") as server:
            long = post(COMPLETIONS, {"prompt": "a", "max_tokens": 100_000, "ignore_eos": True, "stream": True})
            with Client(server.port) as running, Client(server.port) as queued, Client(server.port) as refused:
                running.send(long)
                running._until(b"data: ")
                queued.send(long)
                deadline = time.monotonic() + 10
                while invariants.metrics(server)["vllm:num_requests_waiting"] == 0:
                    self.assertLess(time.monotonic(), deadline)
                answer = refused.ask(post(COMPLETIONS, ASK))
                self.assertEqual(error(answer)[:2], (429, "rate_limit_error"))
                self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.certificate, cls.key = cls.make("one")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def make(cls, name: str) -> tuple[pathlib.Path, pathlib.Path]:
        certificate, key = (pathlib.Path(cls.folder.name) / f"{name}.{kind}" for kind in ("pem", "key"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                        f"/CN={name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
                       check=True, capture_output=True)
        return certificate, key

    def context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.certificate))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def test_tls(self):
        with TlsServer(self.certificate, self.key, "--header-timeout", "1") as server:
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                with Client(server.port, tls=self.context(version)) as client:
                    for stream in (False, True):
                        answer = client.ask(post(COMPLETIONS, {"prompt": "a", "max_tokens": 50, "ignore_eos": True, "stream": stream}))
                        self.assertEqual(answer.status, 200)
                    # Larger than what a socket or a record takes at once, both ways.
                    ids = [5] * 400_000
                    answer = client.ask(post("/detokenize", {"tokens": ids}))
                    self.assertGreater(len(answer.body), 400_000)
                    client.send(b"".join(get("/livez") for _ in range(100)))
                    self.assertEqual({client.answer().status for _ in range(100)}, {200})
                    self.assertEqual(client.ask(get("/livez", "Connection: close\r\n")).status, 200)
                    self.assertTrue(client.closed_within(5))
            with Client(server.port) as plain:
                plain.send(get("/livez"))
                self.assertTrue(plain.closed_within(5))
            with Client(server.port) as silent:
                self.assertTrue(silent.closed_within(6), "a handshake that never comes")
            self.refuses_old_versions(server)
            self.leaves_in_the_middle(server)
            self.renews(server)

    def refuses_old_versions(self, server) -> None:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are deprecated: that is the point
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            Client(server.port, tls=old)

    def leaves_in_the_middle(self, server) -> None:
        long = post(COMPLETIONS, {"prompt": "a", "max_tokens": 100_000, "ignore_eos": True, "stream": True})
        client = Client(server.port, tls=self.context())
        client.send(long)
        client._until(b"data: ")
        client.close()

    def renews(self, server) -> None:
        certificate, key = self.make("two")
        shutil.copy(certificate, self.certificate)
        shutil.copy(key, self.key)
        server.signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while "read again" not in server.stderr():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        with Client(server.port, tls=self.context()) as client:
            subject = dict(pair[0] for pair in client.socket.getpeercert()["subject"])
            self.assertEqual(subject["commonName"], "two")
            self.assertEqual(client.ask(get("/livez")).status, 200)
        server.tls = self.context()


class TlsServer(Server):
    def __init__(self, certificate: pathlib.Path, key: pathlib.Path, *flags: str):
        self.tls = ssl.create_default_context(cafile=str(certificate))
        super().__init__("--ssl-certfile", str(certificate), "--ssl-keyfile", str(key), *flags)


class Alone(Server):
    before_exec = staticmethod(no_connections.forbid)


class NoConnectionsOut(unittest.TestCase):
    """The server reaches nobody, whatever a request says: an attempt would be its end."""

    def test_the_filter_ends_who_tries(self):
        tcp = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print('listens', flush=True); "
        for attempt in ("socket.create_connection(s.getsockname())", "socket.socket(socket.AF_INET6).connect_ex(('::1', 1))",
                        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "socket.socket(socket.AF_UNIX).connect_ex('/nothing')",
                        "socket.socket().sendto(b'a', socket.MSG_FASTOPEN, s.getsockname())",
                        "socket.socket().sendmsg([b'a'], [], socket.MSG_FASTOPEN, s.getsockname())"):
            done = subprocess.run([sys.executable, "-c", tcp + attempt], preexec_fn=no_connections.forbid, capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stdout), (-signal.SIGSYS, "listens\n"), f"{attempt}: {done.stderr}")
        done = subprocess.run([sys.executable, "-c", tcp + "socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)"], preexec_fn=no_connections.forbid,
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_serving(self):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(0.2)
        here = f"http://127.0.0.1:{listener.getsockname()[1]}/a.png"
        with Alone("--chat-template", str(pathlib.Path(__file__).with_name("agent_template.jinja"))) as server, Client(server.port) as client:
            self.assertEqual(client.ask(post(COMPLETIONS, {**ASK, "stream": True})).status, 200)
            self.assertEqual(client.ask(post(COMPLETIONS, {"prompt": f"![a]({here})", "max_tokens": 1})).status, 200)
            for url in (here, "http://169.254.169.254/latest/meta-data", "https://example.com/a.png", "file:///etc/passwd", "ftp://127.0.0.1/a"):
                for part in ({"type": "image_url", "image_url": {"url": url}}, {"type": "image_url", "image_url": url},
                             {"type": "video_url", "video_url": {"url": url}}, {"type": "input_file", "file_url": url}):
                    answer = client.ask(post(CHAT, {"messages": [{"role": "user", "content": [part]}], "max_tokens": 1}))
                    self.assertEqual(error(answer)[2], "unsupported_content")
                self.assertEqual(client.ask(post(COMPLETIONS, {**ASK, "model": url})).status, 404)
                self.assertEqual(client.ask(post(COMPLETIONS, {**ASK, "lora_path": url})).status, 400)
                self.assertEqual(client.ask(get(f"/v1/models/{url}")).status, 404)
            self.assertEqual(client.ask(request("GET", here)).status, 404)
        with self.assertRaises(TimeoutError):
            listener.accept()
        listener.close()


class UnixSockets(unittest.TestCase):
    def test_unix_socket(self):
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/pegainfer.sock"
            left = socket.socket(socket.AF_UNIX)
            left.bind(path)
            left.close()  # the name stays, and nobody listens
            process = self.start(path)
            try:
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
                with Client(0, uds=path) as client:
                    for data in (get("/livez"), post(COMPLETIONS, ASK), get("/livez")):
                        self.assertEqual(client.ask(data).status, 200)
                    # Nobody's page comes this way: any Host is as good as another.
                    self.assertEqual(client.ask(request("GET", "/livez", host="anything.example")).status, 200)
                second = run("serve", MODEL, "--uds", path, timeout=30)
                self.assertEqual(second.returncode, 2, second.stderr)
                self.assertIn("another process listens", second.stderr)
                with Client(0, uds=path) as client:
                    self.assertEqual(client.ask(get("/livez")).status, 200)
            finally:
                process.terminate()
            self.assertEqual(process.wait(30), 0)
            process.stdout.close()
            self.assertFalse(os.path.exists(path))
            file = pathlib.Path(folder) / "file"
            file.write_text("precious")
            refused = run("serve", MODEL, "--uds", str(file), timeout=30)
            self.assertEqual((refused.returncode, file.read_text()), (2, "precious"))
            self.assertEqual(run("serve", MODEL, "--uds", folder + "/" + "a" * 200, timeout=30).returncode, 2)

    def start(self, path: str) -> subprocess.Popen:
        process = subprocess.Popen([BINARY, "serve", MODEL, "--threads", "1", "--uds", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)
        self.assertEqual(process.stdout.readline(), f"listening on unix:{path}\n")
        deadline = time.monotonic() + 60
        while True:
            with Client(0, uds=path) as client:
                if client.ask(get("/readyz")).status == 200:
                    return process
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
