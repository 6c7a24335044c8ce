"""What must hold of a server whenever nothing is asked of it, as far as it can be seen from outside.

Server (support.py) calls at_rest() when a test is through with it, and ServerCase after every test; both end it by SIGTERM and hold it to
exit code 0 and to ended_well(). invariants_test.py has a server that breaks each of them.
"""

from __future__ import annotations

import collections
import http.client
import json
import os
import pathlib
import re
import time
import uuid

# Of each test process one, so that a prompt which gets into a log is found there.
NONCE = f"canary-{uuid.uuid4().hex[:12]}"
CANARY = {"prompt": f"The {NONCE} says", "max_tokens": 8, "temperature": 0, "seed": 1, "ignore_eos": True}
ENDS = ("stop", "length", "abort", "timeout", "error")
BAD_LINE = re.compile(r"^[-\d]+ [:.\d]+ (error|critical) |Sanitizer|: runtime error: |CHECK failed|terminate called", re.MULTILINE)
ESTABLISHED, LISTEN = "01", "0A"


class Broken(AssertionError):
    """An invariant that does not hold."""


def metrics(server) -> collections.Counter:
    """Each name's samples added up; of a counter by end, those too: "vllm:request_success_total/stop"."""
    status, page = server.get("/metrics")
    if status != 200:
        raise Broken(f"/metrics: {status} {page}")
    sums: collections.Counter = collections.Counter()
    for name, labels, value in re.findall(r"^([a-z0-9_:]+)(\{.*\})? (\S+)$", page, re.MULTILINE):
        sums[name] += float(value)
        if end := re.search(r'finished_reason="(\w+)"', labels):
            sums[f"{name}/{end[1]}"] += float(value)
    return sums


def descriptors(pid: int) -> tuple[int, list[str]]:
    """How many sockets a process has, and what else it holds open."""
    sockets, others = 0, []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(link)
        except FileNotFoundError:  # closed in between
            continue
        if target.startswith("socket:"):
            sockets += 1
        else:
            others.append(target)
    return sockets, sorted(others)


def threads(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def connections(port: int) -> tuple[int, int]:
    """Those a process has accepted on the port and not closed, and those that a client still holds open."""
    accepted, held = 0, 0
    for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rsplit(":", 1)[1], 16) for address in fields[1:3])
        state, inode = fields[3], fields[9]
        accepted += local == port and state != LISTEN and inode != "0"
        held += remote == port and state == ESTABLISHED
    return accepted, held


class Baseline:
    """A server that is ready and has had no request."""

    def __init__(self, server):
        def settled(_) -> list[str]:  # the connections that asked whether it is ready may not have gone yet
            before = descriptors(server.process.pid)
            time.sleep(0.03)
            self.sockets, self.files = descriptors(server.process.pid)
            return ["it opens and closes"] if before != (self.sockets, self.files) or connections(server.port)[0] else []

        settle(settled, server, 10)
        self.threads = threads(server.process.pid)


def load(server) -> list[str]:
    now = metrics(server)
    names = ("vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc")
    return [f"{name} is {now[name]:g}" for name in names if now[name] != 0]


def resources(server) -> list[str]:
    pid, before = server.process.pid, server.baseline
    wrong = []
    sockets, files = descriptors(pid)
    held = connections(server.port)[1]
    if sockets - held > before.sockets:
        wrong.append(f"{sockets} sockets for {held} connections; {before.sockets} without any")
    if files != before.files:
        wrong.append(f"open files were {before.files}, now {files}")
    if threads(pid) > before.threads:
        wrong.append(f"{threads(pid)} threads, {before.threads} at the start")
    return wrong


def accounts(server) -> list[str]:
    """Every request ended once, and what ended has all of its figures."""
    now = metrics(server)
    ended = sum(now[f"vllm:request_success_total/{end}"] for end in ENDS)
    wrong = []
    if ended != now["vllm:request_success_total"]:
        wrong.append("requests ended in a way that has no name")
    # The first two are noted of every request that ends, the third of those only that were queued and not yet ended.
    for name in ("vllm:e2e_request_latency_seconds_count", "vllm:request_prompt_tokens_count", "vllm:request_params_max_tokens_count"):
        if now[name] != ended:
            wrong.append(f"{ended:g} requests ended, {name} is {now[name]:g}")
    if now["vllm:request_generation_tokens_sum"] != now["vllm:generation_tokens_total"]:
        wrong.append(f"{now['vllm:generation_tokens_total']:g} tokens, of ended requests {now['vllm:request_generation_tokens_sum']:g}")
    if now["vllm:time_to_first_token_seconds_count"] > ended:
        wrong.append("more first tokens than requests")
    return wrong


def stream_canary(server) -> str:
    """The canary's text, its frames checked: data, one finish, [DONE], and nothing after."""
    if server.tls is None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=server.tls)
    connection.request("POST", "/v1/completions", json.dumps({**CANARY, "stream": True}), {"Content-Type": "application/json", **server.headers})
    body = connection.getresponse().read().decode()
    connection.close()
    frames = body.split("\n\n")
    if frames[-2:] != ["data: [DONE]", ""] or not all(frame.startswith("data: {") for frame in frames[:-2]):
        raise Broken(f"the canary's stream: {body!r}")
    choices = [json.loads(frame.removeprefix("data: "))["choices"][0] for frame in frames[:-2]]
    ends = [choice["finish_reason"] for choice in choices]
    if ends[-1] != "length" or any(ends[:-1]):
        raise Broken(f"the canary's ends: {ends}")
    return "".join(choice["text"] for choice in choices)


def canary(server) -> list[str]:
    status, body = server.post("/v1/completions", CANARY)
    if status != 200:
        return [f"the canary was answered with {status} {body}"]
    whole = json.loads(body)["choices"][0]["text"]
    wrong = []
    if (streamed := stream_canary(server)) != whole:
        wrong.append(f"the canary streamed says {streamed!r}, whole {whole!r}")
    if server.golden is None:
        server.golden = whole
    if whole != server.golden:
        wrong.append(f"the canary says {whole!r}, not {server.golden!r}")
    return wrong


def log(server) -> list[str]:
    text = server.stderr()
    wrong = [f"in the log: {text[found.start():].splitlines()[0]}" for found in BAD_LINE.finditer(text)]
    if NONCE in text:
        wrong.append("a prompt is in the log")
    return wrong


def settle(check, server, seconds: float) -> None:
    """What takes a step or a linger to come to rest has that long."""
    deadline = time.monotonic() + seconds
    while wrong := check(server):
        if time.monotonic() > deadline:
            raise Broken("; ".join(wrong))
        time.sleep(0.02)


def at_rest(server, seconds: float = 20.0) -> None:
    """Nobody asks for anything: the server must hold nothing, have accounted for everything, and answer as ever."""
    if (code := server.process.poll()) is not None:
        raise Broken(f"the server ended by itself with {code}: {server.stderr()}")
    for path in ("/livez", "/readyz", "/health"):
        if (answer := server.get(path))[0] != 200:
            raise Broken(f"{path}: {answer}")
    for check in (load, accounts):
        settle(check, server, seconds)
    if wrong := canary(server):
        raise Broken("; ".join(wrong))
    for check in (load, accounts, resources):
        settle(check, server, seconds)
    ended_well(server)


def ended_well(server) -> None:
    if wrong := log(server):
        raise Broken("; ".join(wrong))
