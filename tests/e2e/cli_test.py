#!/usr/bin/env python3
"""`generate`, `tokenize`, `detokenize`, `inspect` and the exit codes, as a shell sees them."""

from __future__ import annotations

import json
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

import tokenizers

import support
from support import BINARY, MODEL, run

TEXTS = ["The capital of France is Paris.", "naïve café 你好 😀", "  spaces\n\nand\tlines ", "x = 123456;", ""]


class Generate(unittest.TestCase):
    def generate(self, *args, **kwargs):
        return run("generate", "--model", MODEL, "--threads", "1", "--temperature", "0", *args, **kwargs)

    def test_text_goes_to_stdout_and_figures_to_stderr(self):
        done = self.generate("-p", "Hello", "--max-tokens", "8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("\n"))
        self.assertRegex(done.stderr, r"load [\d.]+ s \| prompt \d+ tokens, [\d.]+ tok/s \| decode \d+ tokens, [\d.]+ tok/s")
        self.assertEqual(self.generate("--max-tokens", "8", stdin="Hello").stdout, done.stdout)

    def test_json(self):
        done = self.generate("-p", "Hello", "--max-tokens", "8", "--json", "--ignore-eos")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["finish_reason"], "length")
        self.assertEqual(len(answer["token_ids"]), 8)
        tokenizer = tokenizers.Tokenizer.from_file(f"{MODEL}/tokenizer.json")
        self.assertEqual(answer["prompt_token_ids"], tokenizer.encode("Hello").ids)
        self.assertEqual(answer["text"], tokenizer.decode(answer["token_ids"], skip_special_tokens=True))
        timings = answer["timings"]
        self.assertEqual(set(timings), {"prompt_n", "prompt_ms", "prompt_per_second", "predicted_n", "predicted_ms",
                                        "predicted_per_second"})
        self.assertEqual((timings["prompt_n"], timings["predicted_n"]), (len(answer["prompt_token_ids"]), 8))
        self.assertGreater(answer["load_ms"], 0)

    def test_seed_repeats(self):
        args = ("-p", "Hello", "--max-tokens", "16", "--json", "--temperature", "1", "--seed", "5")
        first = json.loads(run("generate", "--model", MODEL, *args).stdout)["token_ids"]
        again = json.loads(run("generate", "--model", MODEL, *args).stdout)["token_ids"]
        self.assertEqual(first, again)

    def test_interrupt_ends_it_cleanly(self):
        with subprocess.Popen([BINARY, "generate", "-m", MODEL, "-p", "Hi", "--max-tokens", "120000", "--ignore-eos"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                self.assertTrue(process.stdout.read(1))  # it is under way
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
            finally:
                if process.poll() is None:
                    process.kill()
        self.assertEqual(process.returncode, 130)
        self.assertTrue(out.endswith(b"\n"))
        self.assertRegex(err.decode(), r"decode \d+ tokens, [\d.]+ tok/s \| cancelled\n$")

    def test_bad_input(self):
        for args, code, what in (
            (("-p", ""), 2, "prompt"),
            (("-p", "Hello", "--max-tokens", "-1"), 2, "--max-tokens"),
            (("-p", "Hello", "--temperature", "9"), 2, "temperature"),
            (("-p", "Hello", "--max-model-len", "32x"), 2, "--max-model-len"),
            (("-p", "Hello", "--dtype", "int3"), 2, "dtype"),
            (("-p", "Hello", "--device", "abacus"), 2, "device"),
            (("-p", "Hello", "--log-level", "loud"), 2, "--log-level"),
            (("-p", "word " * 5000, "--max-model-len", "64"), 2, "maximum context length is 64"),
            (("-p", "Hello", "--kv-cache-memory-bytes", "900T"), 3, "memory"),
        ):
            done = self.generate(*args)
            self.assertEqual(done.returncode, code, (args, done.stderr))
            self.assertIn(what, done.stderr)
        done = self.generate(stdin=b"\xff\xfe")
        self.assertEqual(done.returncode, 2)
        self.assertIn("UTF-8", done.stderr)


class MadeUpWeights(unittest.TestCase):
    """--load-format dummy: config.json is enough to run, and the seed says which weights."""

    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.addCleanup(self._folder.cleanup)
        self.model = self._folder.name
        shutil.copy(pathlib.Path(MODEL, "config.json"), self.model)

    def generate(self, *args):
        return run("generate", "-m", self.model, "--load-format", "dummy", "--threads", "1", "--temperature", "0", "--json",
                   "-p", "Hello", "--max-tokens", "12", "--ignore-eos", *args)

    def tokens(self, *args):
        done = self.generate(*args)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["token_ids"]

    def test_the_seed_makes_the_text(self):
        zero = self.tokens()
        self.assertEqual(len(zero), 12)
        self.assertEqual(self.tokens("--seed", "0"), zero)
        self.assertEqual(self.tokens("--seed", "0", "--check-ops"), zero)
        self.assertNotEqual(self.tokens("--seed", "1"), zero)

    def test_without_a_tokenizer_text_is_bytes_and_that_is_said(self):
        done = self.generate()
        self.assertEqual(json.loads(done.stdout)["prompt_token_ids"], list(b"Hello"))
        self.assertIn("no tokenizer.json", done.stderr)
        self.assertIn("made up", done.stderr)
        shutil.copy(pathlib.Path(MODEL, "tokenizer.json"), self.model)
        done = self.generate()
        ids = tokenizers.Tokenizer.from_file(f"{MODEL}/tokenizer.json").encode("Hello").ids
        self.assertEqual(json.loads(done.stdout)["prompt_token_ids"], ids)
        self.assertNotIn("no tokenizer.json", done.stderr)

    def test_bench(self):
        done = run("bench", "throughput", "-m", self.model, "--load-format", "dummy", "--num-prompts", "4", "--input-len", "16",
                   "--output-len", "4")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("output tokens/s", done.stdout)

    def test_serve(self):
        def ask(*flags):
            with support.Server("--load-format", "dummy", *flags, model=self.model) as server:
                status, body = server.post("/v1/completions", {"prompt": [1, 2, 3], "max_tokens": 12, "temperature": 1,
                                                               "ignore_eos": True, "logprobs": 1})
                self.assertEqual(status, 200, body)
                return json.loads(body)["choices"][0]["logprobs"]["token_logprobs"]

        first = ask("--seed", "3")  # weights and draws
        self.assertEqual(len(first), 12)
        self.assertEqual(ask("--seed", "3"), first)
        self.assertNotEqual(ask("--seed", "4"), first)

    def test_what_it_needs(self):
        self.assertIn("must be auto or dummy", run("generate", "-m", MODEL, "--load-format", "torch", "-p", "a").stderr)
        pathlib.Path(self.model, "config.json").unlink()
        done = self.generate()
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"{self.model}: no config.json", done.stderr)
        pathlib.Path(self.model, "a.gguf").write_bytes(b"GGUF")
        done = self.generate()
        self.assertEqual(done.returncode, 2)
        self.assertIn("a.gguf: a GGUF file", done.stderr)


class Plan(unittest.TestCase):
    """`plan` says what a start would take, for this machine and for cards that are not here."""

    def plan(self, *args, model=MODEL):
        return run("plan", model, *args)

    def figures(self, *args, code=0, model=MODEL):
        done = self.plan(*args, "--json", model=model)
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout)

    def test_it_is_what_a_start_takes(self):
        flags = ("--max-model-len", "4096", "--max-num-seqs", "8", "--max-num-batched-tokens", "64", "--threads", "1")
        plan = self.figures("--device", "cpu", *flags)
        self.assertTrue(plan["fits"])
        start = run("generate", "-m", MODEL, "-p", "a", "-n", "1", "--log-level", "info", *flags)
        memory = next(line for line in start.stderr.splitlines() if "memory: weights" in line)
        self.assertIn(f"{plan['kv_tokens']} tokens", memory)
        self.assertIn(f"weights {plan['weights_bytes'] / 1024:.1f} KiB", memory)
        self.assertIn(f"workspace {plan['workspace_bytes'] / 1024:.1f} KiB", memory)

    def test_a_card(self):
        plan = self.figures("--gpu", "H100")
        self.assertEqual(plan["memory_utilization"], 0.9)
        taken = plan["weights_bytes"] + plan["workspace_bytes"] + plan["kv_bytes"]
        taken += plan["total_bytes"] - plan["available_bytes"]  # the driver's
        self.assertLessEqual(taken, 0.9 * plan["total_bytes"])
        self.assertGreater(taken, 0.89 * plan["total_bytes"])
        self.assertAlmostEqual(plan["bound_ms_per_token"], plan["decode_weight_bytes"] / 3350e6)
        self.assertGreater(plan["bound_ms_per_token_full_context"], plan["bound_ms_per_token"])
        self.assertGreater(self.figures("--gpu", "h200")["kv_tokens"], plan["kv_tokens"])
        text = self.plan("--gpu", "h100").stdout
        for word in ("fits", "weights", "workspace", "driver", "KV cache", "bound", "nominal 3,350 GB/s"):
            self.assertIn(word, text)

    def test_what_does_not_fit(self):
        whole = self.figures("--gpu", "h100", "--max-model-len", "131072")
        fixed = whole["weights_bytes"] + whole["workspace_bytes"] + whole["total_bytes"] - whole["available_bytes"]
        room = 65536 * whole["kv_bytes_per_token"]  # half of what one request takes
        small = ("--gpu-memory", str(fixed + room), "--gpu-memory-utilization", "1")
        asked = (*small, "--max-model-len", "131072")
        done = self.plan(*asked)
        self.assertEqual(done.returncode, 3, done.stdout)
        self.assertIn("does not fit", done.stdout)
        plan = self.figures(*asked, code=3)
        largest = plan["largest_max_model_len"]
        self.assertGreater(largest, 60000)
        self.assertLess(largest, 90000)  # more than half: a shorter context takes less workspace too
        self.assertNotIn("bound_ms_per_token", plan)  # nobody knows the bandwidth of such a card
        # The largest is just that.
        self.figures(*small, "--max-model-len", str(largest))
        self.figures(*small, "--max-model-len", str(largest + 1), code=3)
        # Without a wish for a length it is shortened, as at a start.
        self.assertLess(self.figures(*small)["max_model_len"], 131072)
        self.assertEqual(self.figures("--gpu-memory", "601MiB", code=3)["largest_max_model_len"], 0)

    def test_a_configuration_is_enough(self):
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(pathlib.Path(MODEL, "config.json"), folder)
            bare = self.figures("--gpu", "l4", model=folder)
            self.assertTrue(bare["config_only"])
            whole = self.figures("--gpu", "l4")
            self.assertFalse(whole["config_only"])
            self.assertEqual(bare["weights_bytes"], whole["weights_bytes"])
            self.assertEqual(bare["kv_tokens"], whole["kv_tokens"])
            pathlib.Path(folder, "config.json").unlink()
            done = self.plan("--gpu", "l4", model=folder)
            self.assertEqual(done.returncode, 2)
            self.assertIn("no weights", done.stderr)

    def test_bad_flags(self):
        for args, what in ((("--gpu", "voodoo2"), "known are h100"), (("--gpu-memory", "lots"), "--gpu-memory"),
                           (("--gpu-memory", "0"), "--gpu-memory"), (("--gpu", "l4", "--dtype", "int3"), "--dtype"),
                           (("--gpu", "l4", "--gpu-memory-utilization", "2"), "--gpu-memory-utilization")):
            done = self.plan(*args)
            self.assertEqual(done.returncode, 2, (args, done.stdout))
            self.assertIn(what, done.stderr)


class Doctor(unittest.TestCase):
    def doctor(self, *args, code=0):
        done = run("doctor", *args, "--json")
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        report = json.loads(done.stdout)
        self.assertEqual(report["ok"], code == 0)
        return {check["name"]: check for check in report["checks"]}

    def test_a_machine_and_a_model(self):
        checks = self.doctor(MODEL, "--port", "0", "--device", "cpu")
        self.assertEqual(list(checks), ["version", "cpu", "memory", "gpu", "port", "files", "locale", "model", "fit"])
        self.assertRegex(checks["version"]["text"], r"^pegainfer \d")
        self.assertRegex(checks["cpu"]["text"], r"(portable|avx2|avx512) kernels")
        self.assertEqual(checks["model"]["verdict"], "OK")
        self.assertIn("KV cache of", checks["fit"]["text"])
        for check in checks.values():
            self.assertEqual("advice" in check, check["verdict"] != "OK", check)
        text = run("doctor", "--port", "0").stdout
        self.assertRegex(text, r"(?m)^OK    version  pegainfer ")
        self.assertNotIn("model", text.split("port", 1)[1])

    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            check = self.doctor("--port", port, code=1)["port"]
        self.assertEqual(check["verdict"], "FAIL")
        self.assertIn(port, check["text"])
        self.assertEqual(self.doctor("--port", port)["port"]["verdict"], "OK")

    def test_models_that_cannot_be_served(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.doctor(folder + "/none", "--port", "0", code=1)["model"]["verdict"], "FAIL")
            shutil.copy(pathlib.Path(MODEL, "config.json"), folder)
            self.assertIn("weights are not", self.doctor(folder, "--port", "0", code=1)["model"]["text"])
            for file in pathlib.Path(MODEL).glob("*.safetensors*"):
                shutil.copy(file, folder)
            self.assertIn("tokenizer", self.doctor(folder, "--port", "0", code=1)["model"]["text"])

    def test_a_device_that_there_is_not(self):
        check = self.doctor("--device", "abacus", "--port", "0", code=1)["device"]
        self.assertIn("abacus", check["text"])

    def test_few_descriptors_are_a_warning(self):
        done = subprocess.run(["sh", "-c", f"ulimit -n 1000 && exec '{BINARY}' doctor --port 0 --json"], capture_output=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        files = next(c for c in json.loads(done.stdout)["checks"] if c["name"] == "files")
        self.assertEqual(files["verdict"], "WARN")
        self.assertIn("1000 may be open", files["text"])


class Tokenize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.reference = tokenizers.Tokenizer.from_file(f"{MODEL}/tokenizer.json")

    def test_whole_input(self):
        for text in TEXTS:
            done = run("tokenize", "--model", MODEL, stdin=text)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout), self.reference.encode(text).ids)
            bare = run("tokenize", "--model", MODEL, "--no-special", stdin=text)
            ids = self.reference.encode(text, add_special_tokens=False).ids
            self.assertEqual(json.loads(bare.stdout), ids)
            back = run("detokenize", "--model", MODEL, stdin=json.dumps(ids))
            self.assertEqual(back.stdout, self.reference.decode(ids, skip_special_tokens=False))

    def test_lines(self):
        lines = "".join(json.dumps(t) + "\n" for t in TEXTS)
        done = run("tokenize", "--model", MODEL, "--jsonl", stdin=lines)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()],
                         [self.reference.encode(t).ids for t in TEXTS])
        back = run("detokenize", "--model", MODEL, "--jsonl", stdin=done.stdout)
        self.assertEqual(len(back.stdout.splitlines()), len(TEXTS))

    def test_needs_no_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("tokenizer.json", "tokenizer_config.json"):
                if pathlib.Path(MODEL, name).exists():
                    shutil.copy(pathlib.Path(MODEL, name), folder)
            done = run("tokenize", "--model", folder, stdin=TEXTS[0])
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout), self.reference.encode(TEXTS[0]).ids)

    def test_bad_input(self):
        for command, text in (("tokenize", '"a'), ("detokenize", '["a"]'), ("detokenize", "[99999999]"), ("detokenize", "x")):
            flags = ["--jsonl"] if command == "tokenize" else []
            done = run(command, "--model", MODEL, *flags, stdin=text)
            self.assertEqual(done.returncode, 2, (command, text, done.stdout))
            self.assertEqual(len(done.stderr.splitlines()), 1)


class InspectAndUsage(unittest.TestCase):
    def test_inspect(self):
        done = run("inspect", MODEL)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("architecture", done.stdout)
        self.assertIsInstance(json.loads(run("inspect", MODEL, "--json").stdout), dict)

    def test_inspect_says_why_not(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder, "model.safetensors")
            broken.write_bytes(b"\x08\0\0\0\0\0\0\0{}")
            for path in (str(broken), folder, folder + "/missing"):
                done = run("inspect", path)
                self.assertEqual(done.returncode, 1, path)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_usage(self):
        self.assertEqual(run("--version").returncode, 0)
        self.assertRegex(run("--version").stdout, r"^pegainfer \d+\.\d+\.\d+\n$")
        for args in (("--help",), ("serve", "--help"), ("generate", "--help"), ("inspect", "--help"), ("plan", "--help"), ("doctor", "--help")):
            done = run(*args)
            self.assertEqual(done.returncode, 0)
            self.assertIn("Exit codes", done.stdout)
        for args in ((), ("nonsense",), ("serve",), ("serve", MODEL, "--nonsense"), ("serve", MODEL, "--port", "70000"),
                     ("generate", "-m", "/no/such/model", "-p", "a")):
            done = run(*args)
            self.assertEqual(done.returncode, 2, (args, done.stderr))
            self.assertTrue(done.stderr)


if __name__ == "__main__":
    unittest.main()
