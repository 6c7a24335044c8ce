#!/usr/bin/env python3
"""The command line from outside: help, other servers' flags, the environment, --config, completions in a real bash, the manual page."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import support
from support import BINARY, MODEL, run

COMMANDS = ("serve", "generate", "tokenize", "detokenize", "inspect", "plan", "doctor", "bench", "completion", "man")


def run_in(environment: dict[str, str], *args: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment})


class Help(unittest.TestCase):
    def test_a_screen_for_each_command(self):
        for args in ((), *((c,) for c in COMMANDS), ("bench", "serve"), ("bench", "throughput"), ("bench", "sim")):
            done = run(*args, "--help")
            self.assertEqual(done.returncode, 0, args)
            lines = done.stdout.splitlines()
            self.assertLessEqual(len(lines), 60, args)
            self.assertLessEqual(max(map(len, lines)), 100, args)
            self.assertIn("Usage: pegainfer", done.stdout)

    def test_groups(self):
        overview = run("serve", "--help").stdout
        self.assertIn("--help GROUP", overview)
        self.assertNotIn("--num-gpu-blocks-override", overview)
        memory = run("serve", "--help", "memory").stdout
        self.assertIn("--num-gpu-blocks-override", memory)
        self.assertNotIn("--port", memory)
        everything = run("serve", "--help", "all").stdout
        for flag in ("--num-gpu-blocks-override", "--port", "--log-format", "--max-n"):
            self.assertIn(flag, everything)
        for hidden in ("--context-length", "--check-ops", "--values-from-elsewhere", "--ctx-size"):
            self.assertNotIn(hidden, everything)


class Spellings(unittest.TestCase):
    def config(self, *args: str, environment: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
        done = run_in(environment or {}, "serve", *args, "--print-config")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = [line.removeprefix("# ") for line in done.stdout.splitlines()[1:]]
        return {line.split(": ", 1)[0]: tuple(line.split(": ", 1)[1].rsplit("  # ", 1)) for line in lines}

    def test_of_other_servers(self):
        for theirs, ours, value in (
            ("--model-path", "model", "x"), ("-hf", "model", "org/x"), ("--context-length", "max-model-len", "4096"),
            ("--ctx-size", "max-model-len", "4k"), ("-c", "max-model-len", "4k"), ("--max-running-requests", "max-num-seqs", "4"),
            ("-np", "max-num-seqs", "4"), ("--parallel", "max-num-seqs", "4"), ("--chunked-prefill-size", "max-num-batched-tokens", "512"),
            ("--mem-fraction-static", "gpu-memory-utilization", "0.8"), ("--random-seed", "seed", "7"), ("-a", "served-model-name", "[x]"),
            ("-s", "seed", "7"), ("-b", "max-num-batched-tokens", "512"), ("--page-size", "block-size", "16"), ("--max_model_len", "max-model-len", "4k"),
        ):
            args = (theirs, value.strip("[]")) if ours == "model" else ("x", theirs, value.strip("[]"))
            self.assertEqual(self.config(*args)[ours], (value, "flag"), theirs)
        self.assertEqual(self.config("x", "--disable-radix-cache")["enable-prefix-caching"], ("false", "flag"))
        self.assertEqual(self.config("x", "--log-jsonl")["log-format"], ("json", "flag"))
        self.assertEqual(self.config("x", "--disable-uvicorn-access-log")["disable-access-log"], ("true", "flag"))

    def test_environment_and_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = str(pathlib.Path(folder, "c.yaml"))
            pathlib.Path(file).write_text("max_num_seqs: 3\nport: 81\nserved-model-name: [a, b]\nenforce-eager: true\n")
            config = self.config("--config", file, "-p", "83", environment={"PEGAINFER_MODEL": MODEL, "PEGAINFER_PORT": "82", "PEGAINFER_MAX_NUM_SEQS": "5"})
        self.assertEqual(config["model"], (MODEL, "PEGAINFER_MODEL"))
        self.assertEqual(config["port"], ("83", "flag"))
        self.assertEqual(config["max-num-seqs"], ("5", "PEGAINFER_MAX_NUM_SEQS"))
        self.assertEqual(config["served-model-name"], ("[a, b]", file))
        self.assertEqual(config["enforce-eager"], ("true", file))
        self.assertEqual(config["host"], ("127.0.0.1", "default"))

    def test_mistakes(self):
        for args, what in ((("serve", MODEL, "--prot", "1"), "did you mean --port?"), (("serv",), "did you mean serve?"),
                           (("serve", MODEL, "-tp", "2"), "-tp has no meaning here"), (("bench", "serv"), "did you mean serve?"),
                           (("serve", MODEL, "--log-format", "xml"), "text or json"),
                           (("serve", MODEL, "--disable-access-log-for-endpoints", "health"), "begins with /")):
            done = run(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn(what, done.stderr)
        done = run_in({"PEGAINFER_PORT": "70000"}, "serve", MODEL)
        self.assertEqual(done.returncode, 2)
        self.assertIn("PEGAINFER_PORT", done.stderr)

    def test_a_server_by_the_environment_alone(self):
        environment = {"PEGAINFER_MODEL": MODEL, "PEGAINFER_SERVED_MODEL_NAME": "one,two", "PEGAINFER_THREADS": "1"}
        previous = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            with support.Server("--threads", "1") as server:
                self.assertIn('"one"', server.get("/v1/models")[1])
        finally:
            for name, value in previous.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


class Completion(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.script = str(pathlib.Path(cls.folder.name, "pegainfer"))
        pathlib.Path(cls.script).write_text(run("completion", "bash").stdout)
        pathlib.Path(cls.folder.name, "a model.gguf").write_text("")

    def complete(self, *words: str) -> list[str]:
        """What bash offers for the last word."""
        program = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _pegainfer; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", program, "bash", self.script, "pegainfer", *words], capture_output=True, text=True,
                              timeout=30, check=True, cwd=self.folder.name)
        self.assertEqual(done.stderr, "")
        return done.stdout.split("\n")[:-1]

    def test_bash(self):
        subprocess.run(["bash", "-n", self.script], check=True)
        self.assertEqual(self.complete("se"), ["serve"])
        self.assertEqual(self.complete("bench", "thr"), ["throughput"])
        self.assertEqual(self.complete("serve", "--max-num-b"), ["--max-num-batched-tokens"])
        self.assertIn("--request-rate", self.complete("bench", "serve", "--re"))
        self.assertNotIn("--request-rate", self.complete("serve", "--re"))
        self.assertEqual(self.complete("serve", "--device", "cu"), ["cuda"])
        self.assertEqual(self.complete("serve", "--log-format", "=", "j"), ["json"])
        self.assertEqual(self.complete("serve", "--port", ""), [""])
        self.assertEqual(self.complete("serve", "a"), ["a model.gguf"])
        self.assertEqual(self.complete("serve", "-m", "a"), ["a model.gguf"])
        self.assertEqual(self.complete("serve", "x", "--no-enable-p"), ["--no-enable-prefix-caching"])
        self.assertEqual(self.complete("completion", "x"), [""])

    def test_other_shells(self):
        for shell, check in (("zsh", ["zsh", "-n"]), ("fish", ["fish", "--no-execute"])):
            text = run("completion", shell).stdout
            self.assertIn("max-num-batched-tokens", text)
            if shutil.which(shell):
                path = pathlib.Path(self.folder.name, shell)
                path.write_text(text)
                subprocess.run([*check, str(path)], check=True, timeout=30)
        self.assertEqual(run("completion", "cmd").returncode, 2)


class ManualPage(unittest.TestCase):
    def test_it_is_clean_troff(self):
        page = run("man").stdout
        self.assertEqual([line for line in page.splitlines() if line.startswith(".") and line.split()[0] not in
                          (".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".nf", ".fi")], [])
        for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES"):
            self.assertIn(f"\n.SH {section}\n", page)
        flags = {word.rstrip(",") for line in run("serve", "--help", "all").stdout.splitlines() for word in line.split()[:2] if word.startswith("--") and "[" not in word}
        self.assertGreater(len(flags), 25)
        for flag in flags:
            self.assertIn("\\fB" + flag.replace("-", "\\-") + "\\fR", page)
        if shutil.which("man"):
            with tempfile.NamedTemporaryFile("w", suffix=".1") as file:
                file.write(page)
                file.flush()
                done = subprocess.run(["man", "--warnings", "-l", file.name], capture_output=True, text=True, timeout=60, check=False,
                                      env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("--max-num-seqs", done.stdout)


if __name__ == "__main__":
    unittest.main()
