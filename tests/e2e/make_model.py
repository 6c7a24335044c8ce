#!/usr/bin/env python3
"""make_model.py OUT: the tiny model of these tests, with a context long enough for requests that take seconds."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "make_tiny_model.py"

out = pathlib.Path(sys.argv[1])
subprocess.run([sys.executable, str(TOOL), "smollm2", str(out)], check=True)
config = json.loads((out / "config.json").read_text())
config["max_position_embeddings"] = 131072
(out / "config.json").write_text(json.dumps(config, indent=2))
