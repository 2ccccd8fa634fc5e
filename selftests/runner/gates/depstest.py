# SPDX-License-Identifier: GPL-2.0
"""The gate of `deps`: what it would install for which command, with an apt that only writes down what it is told."""

import os
import pathlib
import pty
import subprocess
import tempfile

import tap
from where import RUNNER

# Each is in place of the program of that name; they share a folder. The first apt-get may find a lock.
STUBS = {
    "dpkg-query": "exit 1",
    "apt-cache": "exit 0",
    "sudo": '"$@"',
    "sleep": 'echo "$*" >>"$STUBS/slept"',
    "apt-get": """\
echo "$*" >>"$STUBS/called"
[ ! -e "$STUBS/lock" ] || [ "$(wc -l <"$STUBS/called")" -gt 3 ] || { cat "$STUBS/lock" >&2; exit 100; }
""",
}
# As apt has it for the package lists, and for dpkg.
LOCKS = {
    "lists-lock": "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 77 (apt-get)\n"
                  "E: Unable to lock directory /var/lib/apt/lists/\n",
    "dpkg-lock": "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 77 (unattended-upgr)\n"
                 "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process "
                 "using it?\n",
}
# Command, settings, packages that it gets, packages that it does not.
GROUPS = {
    "test": ("test", {"T": "exits"}, "gcc bochs linux-source-6.12", "rustc clang sparse pahole gdb qemu-system-x86"),
    "test-rust": ("test", {"T": "exits,f*"}, "rustc bindgen", "clang"),
    "test-debian": ("test", {"T": "exits", "KERNEL": "debian-6.1"}, "pahole", "clang"),
    "test-bochs3": ("test", {"T": "exits", "BOCHS": "3"}, "debootstrap", "clang"),
    "demo": ("demo", {}, "bochs", "rustc clang"),
    "run": ("run", {}, "bochs", "rustc clang"),
    "check": ("check", {}, "bochs debootstrap rustc clang sparse pahole python3-sphinx graphviz", "qemu-system-x86 rsync"),
    "plain": ("all", {"KDIR": "/boot"}, "gcc libzydis-dev python3", "bochs linux-source-6.12 linux-headers-amd64"),
    "list": ("list", {}, "python3", "gcc bochs"),
    "docs": ("docs", {}, "python3-sphinx graphviz linux-source-6.12", "bochs gcc"),
    "kunit": ("kunit", {}, "qemu-system-x86 linux-source-6.12", "bochs clang"),
    "deps": ("", {}, "bochs clang rustc debootstrap rsync linux-headers-amd64", "qemu-system-x86"),
}
SETTINGS = ("T", "KERNEL", "KDIR", "BOCHS", "CPU", "MACHINE", "CI", "ASSUME_YES")


class Try:
    """One call of deps, in a world of its own."""

    def __init__(self, command, settings, lock="", answer=None):
        with tempfile.TemporaryDirectory() as folder:
            stubs = pathlib.Path(folder)
            for name, text in STUBS.items():
                (stubs / name).write_text(f"#!/bin/sh\n{text}\n")
                (stubs / name).chmod(0o755)
            if lock:
                (stubs / "lock").write_text(lock)
            environment = {key: value for key, value in os.environ.items() if key not in SETTINGS}
            environment.update(settings, STUBS=folder, PATH=f"{folder}:{os.environ['PATH']}")
            words = [RUNNER / "deps", *command.split()]
            self.status, self.output = self.without_terminal(words, environment) if answer is None else \
                self.at_terminal(words, environment, answer)
            called = stubs / "called"
            self.calls = called.read_text().splitlines() if called.exists() else []
        self.packages = self.calls[-1].split() if self.calls else []

    @staticmethod
    def without_terminal(words, environment):
        result = subprocess.run(words, env=environment, stdin=subprocess.DEVNULL, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        return result.returncode, result.stdout

    @staticmethod
    def at_terminal(words, environment, answer):
        master, slave = pty.openpty()
        os.write(master, f"{answer}\n".encode())
        result = subprocess.run(words, env=environment, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        text = b""
        try:
            while data := os.read(master, 4096):
                text += data
        except OSError:
            pass
        os.close(master)
        return result.returncode, text.decode()


def groups(command, settings, wanted, unwanted):
    attempt = Try(command, settings)
    yield from (f"it does not install {name}" for name in wanted.split() if name not in attempt.packages)
    yield from (f"it installs {name}" for name in unwanted.split() if name in attempt.packages)
    if attempt.status or "Install them now?" in attempt.output:
        yield attempt.output


def locked(lock):
    attempt = Try("demo", {}, lock)
    if attempt.status or "install" not in attempt.packages or "Another apt is at work: /var/lib" not in attempt.output:
        yield attempt.output


def other_failure():
    attempt = Try("demo", {}, "E: Unable to fetch some archives\n")
    if not attempt.status or len(attempt.calls) != 1 or "Unable to fetch" not in attempt.output:
        yield attempt.output


def asks(answer, settings, question, installs):
    attempt = Try("demo", settings, answer=answer)
    if ("Install them now?" in attempt.output) != question or ("install" in attempt.packages) != installs or \
            (attempt.status == 0) != installs:
        yield attempt.output


CASES = {
    **{name: lambda what=what: groups(*what) for name, what in GROUPS.items()},
    **{name: lambda lock=lock: locked(lock) for name, lock in LOCKS.items()},
    "other-failure": other_failure,
    "yes": lambda: asks("", {}, True, True),
    "no": lambda: asks("n", {}, True, False),
    "in-CI": lambda: asks("n", {"CI": "true"}, False, True),
    "assume-yes": lambda: asks("n", {"ASSUME_YES": "1"}, False, True),
}


def run():
    """(cases, output)"""
    found = {name: list(case()) for name, case in CASES.items()}
    return [tap.Case(name, "failed" if wrong else "passed", "\n".join(wrong)) for name, wrong in found.items()], []
