#!/usr/bin/env python3
"""Fails when an object file built for one instruction set defines a function that others might be given.

  check_isa_symbols.py NAMESPACE OBJECT...

The linker keeps one copy of a weak function, from any object. One compiled with AVX-512 must never be what a machine
without it runs, so such objects may only define local functions and those of their own namespace.
"""
import subprocess
import sys


def main(namespace, objects):
    bad = []
    for path in objects:
        listing = subprocess.run(["nm", "--demangle", "--defined-only", path], check=True, capture_output=True, text=True)
        for line in listing.stdout.splitlines():
            fields = line.split(maxsplit=2)
            if len(fields) < 3:
                continue
            kind, name = fields[1], fields[2]
            code = kind in "TWwi"  # data holds no instructions
            if code and namespace + "::" not in name:
                bad.append(f"{path}: {kind} {name}")
    for line in bad:
        print(line)
    print(f"{len(objects)} objects, {len(bad)} functions that another instruction set's build could be given")
    return 1 if bad or not objects else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
