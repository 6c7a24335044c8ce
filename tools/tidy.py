#!/usr/bin/env python3
"""clang-tidy over src/, many files at once: tidy.py BUILD [FILE...] with the compile commands of BUILD.

Nearly all of clang-tidy's time goes into headers, and most files of a folder include the same ones. So files with the same flags and no
common names in their unnamed namespaces are read as one, which takes a quarter of the time. Where that is an error after all (the files do
have something in common), they are read one by one.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

MOST = 16  # files read as one: more would leave a core idle at the end
# The database is GCC's, and clang does not know each of its warnings.
OPTIONS = ["clang-tidy", "--quiet", "--extra-arg=-Wno-unknown-warning-option"]


def own_names(text: str) -> set[str]:
    """What a file names for itself alone: all that stands at the left margin of its unnamed namespaces, and its macros."""
    names = set(re.findall(r"^#define (\w+)", text, re.M))
    for part in re.findall(r"^namespace \{$(.*?)^\}  // namespace$", text, re.M | re.S):
        for line in part.splitlines():
            if line and line[0] not in " }#/":
                head = re.split(r"[({=;]", line)[0]
                names.update(re.findall(r"\w+", head)[-1:])
                if line.startswith(("struct", "class", "enum")):
                    names.update(re.findall(r"\w+", head))
    return names - {"struct", "class", "enum", "final", "public", "uint8_t"}


def command_of(entry: dict) -> tuple[str, ...]:
    """The flags, without what is the file's own."""
    words = shlex.split(entry["command"])[1:]
    kept, skip = [], False
    for word in words:
        if skip or word in ("-c", "-o"):
            skip = word == "-o"
            continue
        if not word.endswith((".cpp", ".o")):
            kept.append(word)
    return tuple(kept)


def groups(files: list[str], commands: dict[str, tuple[str, ...]]) -> list[list[str]]:
    """Files that can be read as one: of one folder, with the same flags, without a common name."""
    found: list[tuple[tuple, set[str], list[str]]] = []
    for file in files:
        names = own_names(pathlib.Path(file).read_text())
        key = (os.path.dirname(file), commands[file])
        for other, taken, members in found:
            if other == key and len(members) < MOST and not taken & names:
                taken |= names
                members.append(file)
                break
        else:
            found.append((key, names, [file]))
    return [members for _, _, members in found]


def tidy(build: pathlib.Path, members: list[str], flags: tuple[str, ...], number: int) -> tuple[bool, str]:
    if len(members) == 1:
        done = subprocess.run([*OPTIONS, "-p", str(build), members[0]], capture_output=True, text=True)
        return done.returncode == 0, done.stdout
    whole = build / "tidy" / f"{number}.cpp"
    lines = [f'#include "{os.path.abspath(file)}"  // NOLINT(bugprone-suspicious-include)\n' for file in members]
    whole.write_text("".join(lines))
    # A local name may be that of another file's unnamed namespace; within a file the compiler of the build looks.
    done = subprocess.run([*OPTIONS, str(whole), "--", *flags, "-Wno-shadow"], capture_output=True, text=True, cwd=build)
    if "clang-diagnostic-error" not in done.stdout:
        return done.returncode == 0, done.stdout
    print(f"tidy: one by one: {' '.join(members)}: {done.stdout.splitlines()[0]}", file=sys.stderr)
    each = [tidy(build, [file], flags, number) for file in members]
    return all(ok for ok, _ in each), "".join(text for _, text in each)


def main() -> int:
    build = pathlib.Path(sys.argv[1]).resolve()
    wanted = {os.path.abspath(file) for file in sys.argv[2:]}
    (build / "tidy").mkdir(exist_ok=True)
    commands = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if os.path.abspath(entry["file"]) in wanted:
            commands.setdefault(os.path.relpath(entry["file"]), command_of(entry))
    todo = sorted(groups(sorted(commands), commands), key=len, reverse=True)
    ok = True
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for clean, text in pool.map(lambda job: tidy(build, job[1], commands[job[1][0]], job[0]), enumerate(todo)):
            ok = ok and clean
            if not clean:
                print(text, end="", flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
