#!/usr/bin/env python3
"""The slowest translation units of a build, from Ninja's log: slowest_units.py build/release-cpu [COUNT]."""

import pathlib
import sys


def main() -> None:
    log = pathlib.Path(sys.argv[1], ".ninja_log")
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    last: dict[str, int] = {}  # the newest entry of an output counts
    for line in log.read_text(encoding="utf-8").splitlines()[1:]:
        start, end, _, output, _ = line.split("\t")
        if output.endswith(".o"):
            last[output] = int(end) - int(start)
    rows = sorted(last.items(), key=lambda item: -item[1])
    print(f"{len(rows)} objects, {sum(last.values()) / 1000:.0f} s of compiling in all")
    for output, ms in rows[:count]:
        print(f"{ms / 1000:6.1f} s  {output.replace('.dir/', '/').replace('CMakeFiles/', '')}")


if __name__ == "__main__":
    main()
