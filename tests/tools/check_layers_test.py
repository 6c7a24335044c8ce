"""check_layers.py must fail when the rule is broken: one tree an offence."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tools" / "check_layers.py"


def run(files: dict[str, str]) -> tuple[int, str]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class CheckLayers(unittest.TestCase):
    def expect_offence(self, name: str, text: str, says: str) -> None:
        code, out = run({name: text})
        self.assertEqual(code, 1, out)
        self.assertIn(f"{name}:1", out)
        self.assertIn(says, out)

    def test_the_tree_is_clean(self):
        done = subprocess.run([sys.executable, SCRIPT, ROOT], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_allowed_edges_pass(self):
        code, out = run({
            "src/model/llama.cpp": '#include "backend/ops.h"\n#include "checkpoint/model_config.h"\n#include <vector>\n',
            "src/backend/cpu/cpu_ops.cpp": '#include "kernels/cpu/linear.h"\n#include "backend/ops.h"\n',
            "src/server/http/server.h": "#include <boost/asio/io_context.hpp>\n",
            "src/runner/a.h": '#include "pegainfer/engine.h"\n#include "scheduler/step_plan.h"\n',
        })
        self.assertEqual((code, out), (0, ""))

    def test_upward_and_sideways_edges_fail(self):
        for name, target in [("src/base/x.h", "tensor/tensor.h"), ("src/scheduler/x.cpp", "backend/ops.h"),
                             ("src/tokenizer/x.cpp", "checkpoint/checkpoint.h"), ("src/kernels/cpu/x.cpp", "backend/ops.h"),
                             ("src/model/x.cpp", "backend/cpu/cpu_ops.h"), ("src/server/http/x.cpp", "engine/llm_engine.h"),
                             ("src/server/openai/x.cpp", "backend/backend.h"), ("src/kv/x.cpp", "scheduler/request.h"),
                             ("src/runner/x.cpp", "scheduler/scheduler.h")]:
            with self.subTest(name=name):
                self.expect_offence(name, f'#include "{target}"\n', f"may not include {target}")

    def test_heavy_headers_stay_out_of_headers(self):
        self.expect_offence("src/model/x.h", "#include <boost/json.hpp>\n", "only .cpp files")
        self.expect_offence("src/checkpoint/x.h", '#include "base/json.h"\n', "only .cpp files")

    def test_cuda_headers_stay_in_their_folders(self):
        self.expect_offence("src/runner/x.cpp", "#include <cuda_runtime.h>\n", "CUDA headers only")
        self.assertEqual(run({"src/backend/cuda/x.cpp": "#include <cuda_runtime.h>\n"})[0], 0)

    def test_no_if_on_a_backend(self):
        self.expect_offence("src/runner/x.cpp", "#ifdef PEGAINFER_CUDA\n", "#if on a backend")

    def test_unknown_folders_and_relative_includes_fail(self):
        self.expect_offence("src/base/x.cpp", '#include "x.h"\n', "not a path from src")
        code, out = run({"src/misc/x.cpp": "\n"})
        self.assertEqual(code, 1)
        self.assertIn("in no folder", out)

    def test_installed_headers_stand_alone(self):
        code, out = run({"src/base/x.h": "", "include/pegainfer/x.h": '#include "base/check.h"\n'})
        self.assertEqual(code, 1)
        self.assertIn("installed header", out)


if __name__ == "__main__":
    unittest.main()
