#!/usr/bin/env python3
"""Real clients against a running server: installs each, starts the server, runs each, and says what came of it.

    run.py BINARY MODEL.gguf FOLDER [NAME...]      FOLDER: where clients are installed and what they need is put

Exit 1 when a client failed. One that could not be installed is not a failure, and is named.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import model_tokenizer

HERE = pathlib.Path(__file__).resolve().parent
NAME = "smollm2"
INSTALL_SECONDS, RUN_SECONDS = 1800, 900

# What each is made of. A pin is a version that was seen to work with this server.
CLIENTS: dict[str, list[str]] = {
    "openai": ["openai==3.54.0"],
    "langchain": ["langchain-openai==1.7.4"],
    "litellm": ["litellm==1.110.2"],
    "lm_eval": ["lm-eval==0.4.13", "tenacity", "transformers", "aiohttp", "requests", "tqdm"],
    "guidellm": ["guidellm==0.3.1"],  # later ones need PyTorch
    "wrk": [],
}
DEBIAN = {"wrk": ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"]}


class NotInstalled(Exception):
    pass


def call(command: list[str], seconds: float, **more: object) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, **more)


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def install_python(name: str, folder: pathlib.Path) -> pathlib.Path:
    """An environment with the client, made once."""
    place, wanted = folder / name, "\n".join(CLIENTS[name])
    stamp = place / ".installed"
    python = place / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    if CLIENTS[name]:
        done = call([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *CLIENTS[name]], INSTALL_SECONDS)
        if done.returncode != 0:
            raise NotInstalled(last_line(done.stderr))
    stamp.write_text(wanted)
    return python


def install_debian(name: str, folder: pathlib.Path) -> None:
    """Packages unpacked, not installed, so that no root is needed."""
    tree = folder / "debian"
    if shutil.which(name) or (tree / "usr" / "bin" / name).exists():
        return
    tree.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        os.chmod(work, 0o755)
        done = call(["apt-get", "download", "-qq", *DEBIAN[name]], INSTALL_SECONDS, cwd=work)
        if done.returncode != 0:
            raise NotInstalled(last_line(done.stderr))
        for package in pathlib.Path(work).glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)


def start(binary: str, model: str, log: object) -> tuple[subprocess.Popen, str]:
    server = subprocess.Popen([binary, "serve", model, "--port", "0", "--served-model-name", NAME, "--max-model-len", "4096"],
                              stdout=subprocess.PIPE, stderr=log, text=True)
    url = server.stdout.readline().split()[-1]
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit(f"the server ended with {server.returncode}")
        try:
            with urllib.request.urlopen(url + "/readyz", timeout=5):
                return server, url
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    server.kill()
    raise SystemExit("the server did not become ready")


def run_one(name: str, folder: pathlib.Path, environment: dict[str, str]) -> str:
    """What came of it, in a word or a line."""
    try:
        if name in DEBIAN:
            install_debian(name, folder)
        python = install_python(name, folder)
    except (NotInstalled, OSError, subprocess.SubprocessError) as error:
        return f"NOT INSTALLED: {error}"
    begin = time.monotonic()
    try:
        done = call([str(python), str(HERE / f"{name}_client.py")], RUN_SECONDS, env=environment)
    except subprocess.TimeoutExpired:
        return f"FAILED: not done after {RUN_SECONDS} s"
    if done.returncode != 0:
        print(done.stdout[-4000:], done.stderr[-8000:], sep="\n", file=sys.stderr)
        return f"FAILED: {last_line(done.stderr)}"
    return f"ok, {time.monotonic() - begin:.0f} s: {last_line(done.stdout)}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CLIENTS))
    args = parser.parse_args()
    if unknown := set(args.names) - CLIENTS.keys():
        parser.error(f"there is no client {', '.join(sorted(unknown))}")
    folder = args.folder.resolve()
    folder.mkdir(exist_ok=True)
    tokenizer = folder / "tokenizer"
    model_tokenizer.write(args.model, tokenizer)
    outcomes = {}
    with open(folder / "server.log", "w", encoding="utf-8") as log:
        server, url = start(args.binary, args.model, log)
        try:
            environment = os.environ | {"PEGA_URL": url, "PEGA_MODEL_NAME": NAME, "PEGA_TOKENIZER": str(tokenizer),
                                        "PEGA_TREE": str(folder / "debian"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                                        "HF_HOME": str(folder / "hf"), "OPENAI_API_KEY": "unused", "PYTHONDONTWRITEBYTECODE": "1",
                                        "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGCHAIN_TRACING_V2": "false", "TOKENIZERS_PARALLELISM": "false"}
            for name in args.names or CLIENTS:
                outcomes[name] = run_one(name, folder, environment)
                print(f"{name:<10} {outcomes[name]}", flush=True)
        finally:
            server.terminate()
            code = server.wait(60)
    if code != 0:
        outcomes["server"] = f"FAILED: it ended with {code}, see {folder / 'server.log'}"
        print(f"server     {outcomes['server']}")
    return 1 if any(outcome.startswith("FAILED") for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
