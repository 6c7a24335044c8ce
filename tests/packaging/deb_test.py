#!/usr/bin/env python3
"""The Debian package, unpacked into a folder: what is in it, that its scripts and unit are sound, and that its binary serves a model.

Usage: deb_test.py PACKAGE.deb MODEL
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest
import urllib.request

PACKAGE = ""
MODEL = ""
WORST_EXPOSURE = 2.5  # of systemd-analyze security: "OK" ends at 4.9, and 10 is no protection


def output(*command: str, **kwargs) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, **kwargs).stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name, "root")
        cls.control = pathlib.Path(folder.name, "control")
        output("dpkg-deb", "-x", PACKAGE, str(cls.root))
        output("dpkg-deb", "-e", PACKAGE, str(cls.control))

    def test_what_is_in_it(self):
        listing = output("dpkg-deb", "-c", PACKAGE)
        files = {line.split()[5].removeprefix("."): line.split()[:2] for line in listing.splitlines()}
        for name in ("/usr/bin/pegainfer", "/lib/systemd/system/pegainfer.service", "/etc/default/pegainfer", "/usr/share/man/man1/pegainfer.1.gz",
                     "/usr/share/bash-completion/completions/pegainfer", "/usr/share/zsh/vendor-completions/_pegainfer",
                     "/usr/share/fish/vendor_completions.d/pegainfer.fish", "/usr/share/doc/pegainfer/copyright"):
            self.assertIn(name, files)
            mode, owner = files[name]
            self.assertEqual(owner, "root/root", name)
            self.assertEqual(mode, "-rwxr-xr-x" if name == "/usr/bin/pegainfer" else "-rw-r--r--", name)
        self.assertFalse([name for name in files if name.startswith(("/usr/local", "/work", "/tmp", "/root", "/home"))])

    def test_control(self):
        fields = dict(line.split(": ", 1) for line in self.control.joinpath("control").read_text().splitlines() if re.match(r"^\S+: ", line))
        self.assertEqual(fields["Package"], "pegainfer")
        for library in ("libc6", "libstdc++6", "libpcre2-8-0", "libyaml-cpp0.7", "libspdlog1.10"):
            self.assertIn(library, fields["Depends"])
        self.assertNotIn("-dev", fields["Depends"])
        self.assertEqual(self.control.joinpath("conffiles").read_text(), "/etc/default/pegainfer\n")
        for script in ("postinst", "prerm", "postrm"):
            path = self.control / script
            self.assertTrue(os.access(path, os.X_OK))
            output("sh", "-n", str(path))
        output("md5sum", "-c", str(self.control / "md5sums"), cwd=self.root)

    def test_settings_change_nothing_by_themselves(self):
        text = self.root.joinpath("etc/default/pegainfer").read_text()
        active = [line for line in text.splitlines() if line and not line.startswith("#")]
        self.assertEqual(active, ["PEGAINFER_MODEL="])
        known = output(str(self.root / "usr/bin/pegainfer"), "serve", "--help", "all")
        for name in re.findall(r"^#?(PEGAINFER_\w+)=", text, re.M):
            self.assertIn("--" + name.removeprefix("PEGAINFER_").lower().replace("_", "-"), known)

    def test_unit(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("no systemd-analyze")
        unit = self.root / "lib/systemd/system/pegainfer.service"
        local = unit.with_name("pegainfer-here.service")  # its binary is not at its place
        local.write_text(unit.read_text().replace("/usr/bin/pegainfer", str(self.root / "usr/bin/pegainfer")))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(local)], capture_output=True, text=True, timeout=60, check=False)
        about = [line for line in done.stderr.splitlines() if "pegainfer" in line]
        self.assertEqual(about, [], done.stderr)
        text = output("systemd-analyze", "security", "--offline=true", "--no-pager", str(local))
        exposure = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", text).group(1))
        self.assertLessEqual(exposure, WORST_EXPOSURE, text)
        print(f"exposure by systemd-analyze: {exposure}", file=sys.stderr)

    def test_it_serves_as_the_unit_starts_it(self):
        """Nothing but the unit's environment: flags as variables, ready told by the socket."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            path = str(pathlib.Path(folder, "notify"))
            manager.bind(path)
            manager.settimeout(60)
            environment = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": path, "WATCHDOG_USEC": "2000000", "PEGAINFER_MODEL": MODEL,
                           "PEGAINFER_PORT": "0", "PEGAINFER_CACHE_DIR": folder, "PEGAINFER_MAX_MODEL_LEN": "512"}
            server = subprocess.Popen([str(self.root / "usr/bin/pegainfer"), "serve"], env=environment, stdout=subprocess.PIPE,
                                      stderr=subprocess.DEVNULL, text=True, cwd="/")
            try:
                url = server.stdout.readline().split()[-1]
                self.assertTrue(manager.recv(256).startswith(b"READY=1\n"))
                body = json.dumps({"prompt": "The capital of France is", "max_tokens": 8, "temperature": 0}).encode()
                request = urllib.request.Request(url + "/v1/completions", body, {"Content-Type": "application/json"})
                with urllib.request.urlopen(request, timeout=60) as answer:
                    self.assertIn("Paris", json.load(answer)["choices"][0]["text"])
                self.assertEqual(manager.recv(256), b"WATCHDOG=1")
                server.terminate()
                self.assertEqual(server.wait(30), 0)
            finally:
                if server.poll() is None:
                    server.kill()
                server.wait()
                server.stdout.close()

    def test_manual_page(self):
        if not shutil.which("man"):
            self.skipTest("no man")
        page = self.root / "usr/share/man/man1/pegainfer.1.gz"
        done = subprocess.run(["man", "--warnings", "-l", str(page)], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    MODEL = os.path.abspath(sys.argv.pop())
    PACKAGE = os.path.abspath(sys.argv.pop())
    unittest.main()
